//! The operator's OpenID provider, by which members may sign in.

use url::Url;

use super::{Problem, Secret, Settings, loopback};

/// `SMARTERMCP_OPENID_ISSUER` and what belongs to it.
#[derive(Clone, Debug)]
pub struct OpenId {
    /// As the provider's own metadata names it, without a slash at the end.
    pub issuer: String,
    /// `SMARTERMCP_OPENID_CLIENT_ID` and `…_CLIENT_SECRET`: what this gateway is registered as there. Its redirect URI there is
    /// `/oauth/sign-in/callback` below the public URL.
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// `SMARTERMCP_OPENID_NAME`: what the button says; the issuer's host unless said.
    pub name: String,
}

const ISSUER: &str = "the https URL of an OpenID provider, as its own metadata names it, e.g. https://clerk.example.cl";
const NAME_MAX: usize = 60;

impl OpenId {
    /// Reads the settings. `None`: no issuer is set.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, Problem> {
        const NAME: &str = "SMARTERMCP_OPENID_ISSUER";
        let Some(issuer) = settings.url(NAME, ISSUER)? else {
            for alone in ["SMARTERMCP_OPENID_CLIENT_ID", "SMARTERMCP_OPENID_CLIENT_SECRET"] {
                if settings.text(alone).is_some() {
                    return Err(Problem::new(alone, format!("is set and {NAME} is not"), "both, or neither"));
                }
            }
            return Ok(None);
        };
        if !is_endpoint(&issuer) || issuer.query().is_some() || issuer.fragment().is_some() {
            return Err(Problem::new(NAME, "is not https, or holds a user or a query", ISSUER));
        }
        let Some(client_id) = settings.text("SMARTERMCP_OPENID_CLIENT_ID") else {
            return Err(Problem::new(
                NAME,
                "is set and SMARTERMCP_OPENID_CLIENT_ID is not",
                "both: the client that this gateway is registered as at the provider",
            ));
        };
        let name = match settings.text("SMARTERMCP_OPENID_NAME") {
            Some(name) => name.chars().take(NAME_MAX).collect(),
            None => issuer.host_str().unwrap_or_default().to_owned(),
        };
        Ok(Some(Self {
            issuer: issuer.as_str().trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            client_secret: settings.text("SMARTERMCP_OPENID_CLIENT_SECRET").map(Secret::new),
            name,
        }))
    }
}

/// Whether codes and secrets may be sent there: over https, or to this machine.
pub fn is_endpoint(url: &Url) -> bool {
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && loopback(url));
    is_safe && url.has_host() && url.username().is_empty() && url.password().is_none()
}
