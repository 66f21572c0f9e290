//! What a client of a gateway is told: where the gateway is, and who calls. The gateway itself reads none of it.

use http::HeaderValue;
use url::{Host, Url};

use super::{Problem, Secret};

/// The owner's gateway.
const DEFAULT: &str = "https://mcp.smarterbot.cl";

/// A gateway, as its client is told of it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `SMARTERMCP_ENDPOINT`: where MCP is spoken, with or without `/mcp`.
    pub url: Url,
    /// `SMARTERMCP_API_TOKEN`.
    pub token: Secret,
    /// `SMARTERMCP_TENANT_ID`: id or slug. A token knows its own tenant, so only the operator's needs it.
    pub tenant: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads the environment; an address that was given beside it wins.
    ///
    /// # Errors
    /// The first [`Problem`]: which variable, what is wrong, what would be right.
    pub fn read(url: Option<String>) -> Result<Self, Problem> {
        let url = match url {
            Some(url) => Self::address("--endpoint", &url)?,
            None => Self::address(
                "SMARTERMCP_ENDPOINT",
                variable("SMARTERMCP_ENDPOINT")?.as_deref().unwrap_or(DEFAULT),
            )?,
        };
        let token = variable("SMARTERMCP_API_TOKEN")?
            .ok_or_else(|| Problem::new("SMARTERMCP_API_TOKEN", "is not set", "the tenant's token, smcp_…"))?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::new(
                "SMARTERMCP_API_TOKEN",
                "holds what no token holds",
                "the token alone, smcp_…, without `Bearer`",
            ));
        }
        let tenant = variable("SMARTERMCP_TENANT_ID")?
            .map(|tenant| {
                HeaderValue::try_from(tenant).map_err(|_| Problem::new("SMARTERMCP_TENANT_ID", "is none", "the tenant's id or its slug"))
            })
            .transpose()?;
        Ok(Self {
            url,
            token: Secret::new(token),
            tenant,
        })
    }

    /// The token must not travel in the clear, nor anything secret stand in an address, which is logged.
    fn address(name: &str, text: &str) -> Result<Url, Problem> {
        let wrong = |wrong: &str| {
            Problem::new(
                name,
                wrong,
                format_args!("the gateway's https address, e.g. {DEFAULT}; http only to this machine"),
            )
        };
        let url = Url::parse(text.trim()).map_err(|_| wrong("is no URL"))?;
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(wrong("names no host")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has more in it than a host and a path"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if here => Ok(url),
            "http" => Err(wrong("would send the token in the clear")),
            _ => Err(wrong("is neither https nor http")),
        }
    }

    /// Whether it is on this machine, where no proxy leads.
    pub fn is_here(&self) -> bool {
        self.url.scheme() == "http"
    }
}

/// A variable, unless it is absent or blank.
fn variable(name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let text = value
        .to_str()
        .ok_or_else(|| Problem::new(name, "is no UTF-8", "plain text"))?
        .trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_http_to_this_machine_are_taken() {
        for right in [
            DEFAULT,
            "https://gateway.example.cl:8443/mcp",
            "http://127.0.0.1:8080",
            "http://localhost/mcp",
            "http://[::1]:8080",
        ] {
            assert!(Endpoint::address("--endpoint", right).is_ok(), "{right}");
        }
        for wrong in [
            "mcp.smarterbot.cl",
            "http://mcp.smarterbot.cl",
            "http://10.0.0.1",
            "http://localhost.example.cl",
            "ftp://127.0.0.1",
            "https://user:hush@mcp.smarterbot.cl",
            "https://mcp.smarterbot.cl/?token=hush",
            "https://",
        ] {
            let problem = Endpoint::address("--endpoint", wrong).unwrap_err().to_string();
            assert!(problem.starts_with("--endpoint "), "{problem}");
            assert!(!problem.contains("hush"), "{problem}");
        }
    }
}
