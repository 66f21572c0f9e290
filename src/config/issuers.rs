//! Sign-in: whether the gateway is an authorization server itself, and which others' access tokens it takes.

use url::Url;

use super::{Problem, Settings, loopback};

/// Somebody else who issues access tokens for this gateway.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss` of its tokens, to the letter.
    pub url: String,
    /// Where its keys are; without it, its metadata says.
    pub jwks: Option<Url>,
    /// `aud` of its tokens; without it, this gateway's URL, or that of `/mcp`.
    pub audience: Option<String>,
    /// The claim that names the tenant, by id or slug. `a.b` is also `b` in `a`.
    pub tenant_claim: String,
    /// The claim that names the scopes: text with blanks, or a list.
    pub scopes_claim: String,
}

const URL: &str = "the https URL of an issuer, as its tokens have it in `iss`, e.g. https://login.example.cl";
const JWKS: &str = "the https URL of the issuer's keys, e.g. https://login.example.cl/.well-known/jwks.json";
const FIELDS: [&str; 5] = ["issuer", "jwks", "audience", "tenant_claim", "scopes_claim"];

/// Whether the gateway's own sign-in is on; it is unless it was turned off.
pub(super) fn sign_in(settings: &Settings) -> Result<bool, Problem> {
    match settings.text("SMARTERMCP_SIGN_IN") {
        None | Some("on" | "true") => Ok(true),
        Some("off" | "false") => Ok(false),
        Some(other) => Err(Problem::new("SMARTERMCP_SIGN_IN", format!("is {other:?}"), "on or off")),
    }
}

impl Issuer {
    /// Reads the issuer of the environment, and those of the file's `[issuers.NAME]`.
    pub(super) fn read_all(settings: &Settings) -> Result<Vec<Self>, Problem> {
        let mut issuers = Vec::new();
        let of_environment = |field: &str| match field {
            "issuer" => "SMARTERMCP_ISSUER".to_owned(),
            field => format!("SMARTERMCP_ISSUER_{}", field.to_ascii_uppercase()),
        };
        if settings.text("SMARTERMCP_ISSUER").is_some() {
            issuers.push(Self::read(of_environment, |name| settings.text(name))?);
        } else if let Some(alone) = FIELDS
            .iter()
            .map(|field| of_environment(field))
            .find(|name| settings.text(name).is_some())
        {
            return Err(Problem::new(&alone, "is set and SMARTERMCP_ISSUER is not", "both, or neither"));
        }
        for (name, table) in settings.issuers() {
            if let Some(unknown) = table.keys().find(|field| !FIELDS.contains(&field.as_str())) {
                return Err(Problem::new(
                    &format!("[issuers.{name}] {unknown}"),
                    "is nothing that an issuer has",
                    format!("one of {}", FIELDS.join(", ")),
                ));
            }
            let field = |field: &str| format!("[issuers.{name}] {field}");
            issuers.push(Self::read(field, |full| {
                let field = full.rsplit(' ').next().unwrap_or_default();
                table.get(field).map(|text| text.trim()).filter(|text| !text.is_empty())
            })?);
        }
        for (index, issuer) in issuers.iter().enumerate() {
            if issuers[..index].iter().any(|other| other.url == issuer.url) {
                return Err(Problem::new(
                    "SMARTERMCP_ISSUER",
                    format!("{} is set twice", issuer.url),
                    "each issuer once",
                ));
            }
        }
        Ok(issuers)
    }

    /// `name`: what a field is called where it is written; `text`: what is written there.
    fn read<'a>(name: impl Fn(&str) -> String, text: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Problem> {
        let said = |field: &str| text(&name(field)).map(str::to_owned);
        let url = said("issuer").ok_or_else(|| Problem::new(&name("issuer"), "is missing", URL))?;
        checked(&name("issuer"), &url, URL)?;
        Ok(Self {
            url,
            jwks: said("jwks").map(|text| checked(&name("jwks"), &text, JWKS)).transpose()?,
            audience: said("audience"),
            tenant_claim: said("tenant_claim").unwrap_or_else(|| "tenant".to_owned()),
            scopes_claim: said("scopes_claim").unwrap_or_else(|| "scope".to_owned()),
        })
    }
}

/// Keys that came unencrypted could be anybody's.
fn checked(name: &str, text: &str, right: &str) -> Result<Url, Problem> {
    match Url::parse(text) {
        Ok(url)
            if url.has_host()
                && (url.scheme() == "https" || url.scheme() == "http" && loopback(&url))
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none() =>
        {
            Ok(url)
        }
        _ => Err(Problem::new(name, format!("is {text:?}"), right)),
    }
}
