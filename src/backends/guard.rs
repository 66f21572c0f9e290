//! The guard against server-side request forgery: a tenant's URL may only lead to the public internet, or to networks that
//! the operator allowed.
//!
//! A name is resolved, every address that is not allowed is dropped, and the connection goes to an address that was checked:
//! the check is in the resolver, so that no second look-up lies between it and the connection. Redirects are not followed.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{
    config::Dns,
    error::{Error, Result},
    sandbox,
};

/// How long a name may take to resolve when a connection is stored.
const LOOK_UP: Duration = Duration::from_secs(3);

/// Which addresses one tenant's backends may have.
#[derive(Clone, Debug)]
pub struct Guard {
    allow: Vec<IpNet>,
    /// Whether only this machine's own addresses are admitted, where they are allowed at all.
    loopback_only: bool,
    dns: Dns,
}

/// An address was refused; carried through the HTTP client's errors.
#[derive(Debug)]
pub struct Refused {
    host: String,
    address: Option<IpAddr>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) if is_public(address) => write!(f, "'{}' leads to {address}, which is not on this machine", self.host),
            Some(address) => write!(f, "'{}' leads to {address}, which is not a public address", self.host),
            None => write!(f, "'{}' has no address", self.host),
        }
    }
}

impl std::error::Error for Refused {}

/// Reads a URL of a field. It is not quoted back: what does not parse may still hold a password.
///
/// # Errors
/// When it is none.
pub fn read_url(field: &str, text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| Error::invalid(format!("{field}: is no URL ({error}); write it like https://n8n.example.cl")))
}

impl Guard {
    pub fn new(operator: &[IpNet], tenant: &[IpNet], dns: Dns) -> Self {
        let mut allow = [operator, tenant].concat();
        allow.sort();
        allow.dedup();
        Self {
            allow,
            loopback_only: false,
            dns,
        }
    }

    /// The same, for this machine's own addresses alone: for what must not be sent over a network in the clear.
    #[must_use]
    pub fn loopback_only(mut self) -> Self {
        self.loopback_only = true;
        self
    }

    /// What tells this guard's HTTP client from another's: connections are pooled only among tenants that may go to the same places.
    pub fn key(&self) -> &[IpNet] {
        &self.allow
    }

    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.loopback_only && !address.is_loopback() {
            return false;
        }
        self.allow.iter().any(|network| network.contains(&address)) || is_public(address)
    }

    /// Refuses a literal address before every request: the resolver is not asked about those.
    ///
    /// # Errors
    /// When the URL's host is an address that is not admitted.
    pub fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if self.admits(address) {
            return Ok(());
        }
        Err(Refused {
            host: address.to_string(),
            address: Some(address),
        })
    }

    /// Checks a URL that a connection is to be stored with. A name that does not resolve yet is taken.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`](crate::error::Kind): no http URL, credentials in it, or an address that is refused.
    pub async fn check_url(&self, url: &Url) -> Result<()> {
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::invalid(
                "url: must not have a query or fragment; give the address of the service itself",
            ));
        }
        self.check("url", url).await
    }

    /// Checks a URL that is to be asked as it stands, whatever its field is called.
    ///
    /// # Errors
    /// As [`Guard::check_url`].
    pub async fn check(&self, field: &str, url: &Url) -> Result<()> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::invalid(format!(
                "{field}: must begin with https:// or http:// and name a host"
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(format!(
                "{field}: must not hold a user or password; put them into the credential"
            )));
        }
        let refused = |refused: Refused| {
            let why = match self.loopback_only {
                true => "Without TLS only this machine's own addresses are taken; use https".to_owned(),
                false => "The operator can allow a private network by SMARTERMCP_BACKEND_ALLOW or the tenant's backend_allow".to_owned(),
            };
            Error::invalid(format!("{field}: {refused}. {why}")).coded("address_refused")
        };
        self.check_literal(url).map_err(refused)?;
        if let Some(Host::Domain(name)) = url.host()
            && let Ok(Ok(addresses)) = tokio::time::timeout(LOOK_UP, self.look_up(name.to_owned())).await
            && let Some(address) = addresses.into_iter().find(|address| !self.admits(*address))
        {
            return Err(refused(Refused {
                host: name.to_owned(),
                address: Some(address),
            }));
        }
        Ok(())
    }

    async fn look_up(&self, name: String) -> std::io::Result<Vec<IpAddr>> {
        match &self.dns {
            Dns::Table(table) => Ok(table(&name)),
            Dns::Sandbox if sandbox::plays(&name) => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            Dns::System | Dns::Sandbox => Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = guard.look_up(host.clone()).await?;
            let first = addresses.first().copied();
            let admitted: Vec<_> = addresses
                .into_iter()
                .filter(|address| guard.admits(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if admitted.is_empty() {
                return Err(Refused { host, address: first }.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet (IANA special-purpose registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // carriers' own, RFC 6598
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [first, second, ..] = segments;
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    // Addresses that carry an IPv4 one lead there: NAT64 (RFC 6052) and 6to4 (RFC 3056).
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(segments[6], segments[7]));
    }
    if first == 0x2002 {
        return is_public_v4(embedded(second, segments[2]));
    }
    // Only 2000::/3 is global unicast; within it, documentation, benchmarking, ORCHID and Teredo are not.
    first & 0xe000 == 0x2000 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8)) && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_admitted() {
        let guard = Guard::new(&[], &[], Dns::System);
        for public in ["1.1.1.1", "190.13.80.4", "2606:4700:4700::1111", "64:ff9b::101:101"] {
            assert!(guard.admits(public.parse().unwrap()), "{public}");
        }
        for refused in [
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "::127.0.0.1",
        ] {
            assert!(!guard.admits(refused.parse().unwrap()), "{refused}");
        }
    }

    #[test]
    fn an_allowed_network_is_admitted_and_its_neighbours_are_not() {
        let guard = Guard::new(&["10.1.0.0/16".parse().unwrap()], &["::1/128".parse().unwrap()], Dns::System);
        assert!(guard.admits("10.1.2.3".parse().unwrap()));
        assert!(guard.admits("::ffff:10.1.2.3".parse().unwrap()));
        assert!(guard.admits("::1".parse().unwrap()));
        assert!(!guard.admits("10.2.0.1".parse().unwrap()));
        assert!(guard.check_literal(&Url::parse("http://0x7f.1/").unwrap()).is_err());
        assert!(guard.check_literal(&Url::parse("http://2130706433/").unwrap()).is_err());
    }
}
