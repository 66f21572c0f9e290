//! Cookies of the pages. Over https their names begin with `__Host-`, so that no other host of the domain can set one (RFC 6265bis
//! §4.1.3.2); over http, on this machine, for development, they cannot.

use http::{HeaderMap, HeaderValue, header};

use crate::{
    error::{Error, Result},
    state::State,
};

/// The longest value that is read or set: browsers keep 4096 bytes of name, value and attributes.
pub const VALUE_MAX: usize = 3800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// The session of who is signed in.
    Session,
    /// What binds the sign-in form to a browser before there is a session.
    Before,
    /// What a browser comes back from the OpenID provider with.
    OpenId,
}

impl Cookie {
    const fn name(self) -> &'static str {
        match self {
            Cookie::Session => "smartermcp",
            Cookie::Before => "smartermcp-pre",
            Cookie::OpenId => "smartermcp-openid",
        }
    }

    fn is(self, state: &State, name: &str) -> bool {
        let name = if is_https(state) {
            name.strip_prefix("__Host-")
        } else {
            Some(name)
        };
        name == Some(self.name())
    }

    /// The value that the browser sent.
    pub fn read<'a>(self, state: &State, headers: &'a HeaderMap) -> Option<&'a str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| self.is(state, name))
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty() && value.len() <= VALUE_MAX)
    }

    /// `Set-Cookie` that lasts for so many seconds.
    pub fn set(self, state: &State, value: &str, seconds: i64) -> Result<HeaderValue> {
        let (prefix, secure) = if is_https(state) { ("__Host-", "; Secure") } else { ("", "") };
        let text = format!(
            "{prefix}{}={value}; Path=/; Max-Age={seconds}; HttpOnly{secure}; SameSite=Lax",
            self.name()
        );
        let mut value = HeaderValue::try_from(text).map_err(Error::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `Set-Cookie` that takes it away.
    pub fn clear(self, state: &State) -> Result<HeaderValue> {
        self.set(state, "", 0)
    }
}

fn is_https(state: &State) -> bool {
    state.base_url.starts_with("https://")
}
