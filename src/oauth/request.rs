//! Authorization requests: what an application asks for, checked before a member sees it.
//!
//! The query string is all there is of it: it travels through the pages and is checked again at each of them, so that neither a
//! restart nor another replica loses it.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use url::{Url, form_urlencoded};

use super::client::{Client, URI_MAX};
use crate::{
    auth::{Scope, Scopes},
    error::{Error, Kind, Result},
    state::State,
};

/// The longest request.
pub const QUERY_MAX: usize = 8 * 1024;
const STATE_MAX: usize = 2048;
/// Of the base64url of a SHA-256 (RFC 7636 §4.2).
const CHALLENGE_LENGTH: usize = 43;
/// Scopes of OpenID that clients ask for by habit; they mean nothing here.
const IGNORED: [&str; 5] = ["openid", "profile", "email", "offline_access", "address"];

/// What an application asks a member for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub client: Arc<Client>,
    /// Where the browser goes with the answer.
    pub redirect_uri: Url,
    /// The URL that access tokens will be for, as this gateway writes it.
    pub resource: String,
    pub scopes: Scopes,
    pub state: Option<String>,
    /// S256 (RFC 7636).
    pub code_challenge: String,
}

/// Why a request comes to nothing.
#[derive(Debug)]
pub enum Refused {
    /// Client or redirect URI is wrong: there is nobody to send back to, and the member is told.
    Shown(Error),
    /// The client is told, at its redirect URI; with what, for whoever made it.
    Back(Url, &'static str),
}

/// Checks a request, from what would make a redirect dangerous to what is merely wrong.
pub async fn check(state: &State, query: &str, address: IpAddr) -> Result<Asked, Refused> {
    let parameters = Parameters::read(query).map_err(Refused::Shown)?;
    let client_id = parameters.get("client_id").ok_or_else(|| shown("client_id is missing"))?;
    let client = state.oauth_clients.find(state, client_id, address).await.map_err(Refused::Shown)?;
    let asked_uri = parameters.get("redirect_uri").ok_or_else(|| shown("redirect_uri is missing"))?;
    let redirect_uri = client
        .redirect_uri(asked_uri)
        .ok_or_else(|| shown("redirect_uri is none of those that this application has registered"))?;
    match read(state, &parameters) {
        Ok((resource, scopes, code_challenge)) => Ok(Asked {
            client,
            redirect_uri,
            resource,
            scopes,
            state: parameters.get("state").map(str::to_owned),
            code_challenge,
        }),
        Err(Fault(error, description)) => {
            let answer = [("error", error), ("error_description", description)];
            let to = back(state, redirect_uri, parameters.get("state"), &answer);
            Err(Refused::Back(to, description))
        }
    }
}

/// A redirect URI with an answer: `state` as it was sent (RFC 6749 §4.1.2) and `iss` (RFC 9207 §2).
pub fn back(state: &State, mut redirect_uri: Url, client_state: Option<&str>, answer: &[(&str, &str)]) -> Url {
    {
        let mut pairs = redirect_uri.query_pairs_mut();
        for (name, value) in answer {
            pairs.append_pair(name, value);
        }
        if let Some(client_state) = client_state {
            pairs.append_pair("state", client_state);
        }
        pairs.append_pair("iss", &state.base_url);
    }
    redirect_uri
}

/// The URLs that access tokens may be for: `/` and `/mcp`, without a slash at the end. Answers the one that was meant.
pub fn resource(state: &State, asked: &str) -> Option<String> {
    let asked = asked.strip_suffix('/').unwrap_or(asked);
    // Scheme and host in whatever case (RFC 3986 §6.2.2.1): `Url` writes them small.
    let asked = Url::parse(asked).ok()?;
    let asked = asked.as_str().strip_suffix('/').unwrap_or(asked.as_str());
    [state.base_url.clone(), format!("{}/mcp", state.base_url)]
        .into_iter()
        .find(|own| own == asked)
}

/// An error code of RFC 6749 §4.1.2.1 or RFC 8707 §2, and a sentence for the client's maker.
struct Fault(&'static str, &'static str);

fn read(state: &State, parameters: &Parameters) -> Result<(String, Scopes, String), Fault> {
    for unsupported in ["request", "request_uri"] {
        if parameters.get(unsupported).is_some() {
            return Err(Fault("request_not_supported", "send the parameters themselves"));
        }
    }
    if parameters.get("state").is_some_and(|state| state.len() > STATE_MAX) {
        return Err(Fault("invalid_request", "state is longer than 2048 characters"));
    }
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(Fault("unsupported_response_type", "response_type must be code")),
        None => return Err(Fault("invalid_request", "response_type is missing; it must be code")),
    }
    let challenge = match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) => challenge,
        (Some(_), _) => return Err(Fault("invalid_request", "code_challenge_method must be S256 (RFC 7636 §4.3)")),
        (None, _) => {
            return Err(Fault(
                "invalid_request",
                "code_challenge is missing: PKCE is required (RFC 7636 §4.4.1)",
            ));
        }
    };
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(base64url) {
        return Err(Fault(
            "invalid_request",
            "code_challenge is no SHA-256 in base64url (RFC 7636 §4.2)",
        ));
    }
    let resource = match parameters.get("resource") {
        Some(asked) => resource(state, asked).ok_or(Fault("invalid_target", "resource is none of this gateway's (RFC 8707 §2)"))?,
        None => {
            return Err(Fault(
                "invalid_target",
                "resource is missing: the URL of the MCP endpoint (RFC 8707 §2)",
            ));
        }
    };
    if let Some("none") = parameters.get("prompt") {
        return Err(Fault("interaction_required", "a member has to allow it on a page"));
    }
    let scopes = asked_scopes(parameters.get("scope").unwrap_or_default()).ok_or(Fault(
        "invalid_scope",
        "scope holds none that this gateway has; see scopes_supported",
    ))?;
    Ok((resource, scopes, challenge.to_owned()))
}

/// The scopes of a blank-separated list; those of every business tool where it names none. Names that are none of ours are passed over
/// beside one that is (RFC 6749 §3.3): clients bring some along by habit, and are told what they got. `None`: it names nothing else.
pub fn asked_scopes(text: &str) -> Option<Scopes> {
    let named: Vec<_> = text.split(' ').filter(|name| !name.is_empty() && !IGNORED.contains(name)).collect();
    if named.is_empty() {
        return Some(Scopes::business());
    }
    let known: Scopes = named.iter().filter_map(|name| name.parse::<Scope>().ok()).collect();
    (known != Scopes::default()).then_some(known)
}

/// What is read of forms and queries, here and at the OpenID provider's answer.
const KNOWN: [&str; 17] = [
    "client_id",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "error",
    "grant_type",
    "iss",
    "prompt",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "response_type",
    "scope",
    "state",
    "token",
];
/// RFC 8707 §2: the one that may come several times.
const RESOURCE: &str = "resource";

/// The parameters of a form or a query: each at most once (RFC 6749 §3.1), empty ones as if they were not there, and unknown ones passed
/// over, however long and often they come.
#[derive(Debug)]
pub struct Parameters(HashMap<&'static str, String>);

impl Parameters {
    /// # Errors
    /// 400 for one that is too long or holds a name twice.
    pub fn read(text: &str) -> Result<Self> {
        if text.len() > QUERY_MAX {
            return Err(Error::new(Kind::Malformed, "The request is longer than 8 KiB"));
        }
        let mut found = HashMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(name) = KNOWN.into_iter().chain([RESOURCE]).find(|known| *known == name) else {
                continue;
            };
            // Some providers' codes hold all that they stand for.
            if name != "code" && value.len() > URI_MAX.max(STATE_MAX + 1) {
                return Err(Error::new(Kind::Malformed, "A parameter is too long"));
            }
            match found.insert(name, value.into_owned()) {
                None => {}
                // No token is for several: together they are one that nobody has, which is answered as such.
                Some(first) if name == RESOURCE => {
                    found.entry(name).and_modify(|last| {
                        if *last != first {
                            *last = format!("{first} {last}");
                        }
                    });
                }
                Some(_) => return Err(Error::new(Kind::Malformed, "A parameter is sent twice")),
            }
        }
        found.retain(|_, value| !value.is_empty());
        Ok(Self(found))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(KNOWN.contains(&name) || name == RESOURCE, "{name} is not among those that are read");
        self.0.get(name).map(String::as_str)
    }
}

fn shown(message: &'static str) -> Refused {
    Refused::Shown(Error::new(Kind::Malformed, message).coded("authorization_request"))
}
