//! Networks: where backends may live, how their names are resolved, and which browsers' origins may call.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use url::Url;

use super::Problem;

/// Where backends may live.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Networks where any tenant's backends may live although the SSRF guard would refuse them.
    pub allow: Vec<IpNet>,
    pub dns: Dns,
}

type Lookup = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// How a backend's name becomes addresses.
#[derive(Clone, Default)]
pub enum Dns {
    /// As the machine resolves names.
    #[default]
    System,
    /// By this table: for tests, which must not ask a real name server.
    Table(Arc<Lookup>),
    /// The played vendors are on this machine, everybody else is where the machine says: for the demo.
    Sandbox,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dns::System => "System",
            Dns::Table(_) => "Table",
            Dns::Sandbox => "Sandbox",
        })
    }
}

/// Which `Origin` a browser may send (2025-11-25 and 2026-07-28, Streamable HTTP, Security).
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    pub(super) fn parse<'a>(items: impl Iterator<Item = &'a str>) -> Result<Self, Problem> {
        items
            .map(|text| match Url::parse(text) {
                Ok(url) if url.has_host() => Ok(url.origin().ascii_serialization()),
                _ => Err(Problem::new(
                    "SMARTERMCP_ALLOWED_ORIGINS",
                    format!("holds {text:?}"),
                    "origins such as https://app.example.cl, separated by commas",
                )),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether this `Origin` is ours, loopback, or was named by the operator.
    pub fn admits(&self, origin: &str, public_url: Option<&Url>) -> bool {
        let Ok(url) = Url::parse(origin) else { return false };
        let own = public_url.is_some_and(|public| public.origin() == url.origin());
        own || self.0.contains(&url.origin().ascii_serialization()) || loopback(&url)
    }
}

/// Whether a URL's host is this machine.
pub fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
