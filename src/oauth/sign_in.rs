//! Who is signed in to the pages: the holder of a token, or a person whom the OpenID provider named.
//!
//! A session is a random cookie, of which the database knows the SHA-256 and who it is. What that one may grant is read anew at
//! each step: a token that was revoked meanwhile, or a member who was removed, grants nothing. No passwords are stored.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    cookie::Cookie,
    grant::{GrantedBy, Grantor, LIFE_MS},
};
use crate::{
    auth::{self, Scope, TokenHash, UNAUTHORIZED, token},
    config,
    error::{Error, Kind, Result},
    id::{TenantId, TokenId},
    state::State,
    store::{self, Reach},
    tenant::Status,
};

/// How long a session lasts, in milliseconds: a working day.
const SESSION_MS: i64 = 8 * 3600 * 1000;
/// How long the form of somebody who is not signed in stays good, in seconds.
const FORM_SECS: i64 = 3600;
/// What the cookies' values begin with, so that one that was leaked is told from a token.
const SESSION_PREFIX: &str = "smcs_";
const BEFORE_PREFIX: &str = "smcb_";
/// RFC 5321 §4.5.3.1.3, without the brackets.
const EMAIL_MAX: usize = 254;

/// Who signed in, as a session keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// The holder of a tenant's token.
    Token { token_id: TokenId, tenant_id: TenantId },
    /// A person, as the OpenID provider named him. The address is the one of this sign-in.
    Person { issuer: String, subject: String, email: String },
}

/// A session that has not ended.
#[derive(Debug)]
pub struct SignedIn {
    pub identity: Identity,
    cookie: Zeroizing<String>,
}

impl SignedIn {
    /// What a form of this session carries, so that no other site can send it.
    pub fn csrf(&self, state: &State, form: &str) -> String {
        csrf(state, &self.cookie, form)
    }

    pub fn is_csrf(&self, state: &State, form: &str, given: &str) -> bool {
        is_csrf(state, &self.cookie, form, given)
    }
}

/// The session of a browser, if it has one.
pub async fn current(state: &State, headers: &HeaderMap) -> Result<Option<SignedIn>> {
    let Some(cookie) = Cookie::Session.read(state, headers) else {
        return Ok(None);
    };
    if !token::is_of(SESSION_PREFIX, cookie) {
        return Ok(None);
    }
    let mut tx = state.store.read(Reach::Operator).await?;
    let found = store::sign_ins::find(&mut tx, &TokenHash::of(cookie), state.clock.millis()).await?;
    found
        .map(|identity| {
            Ok(SignedIn {
                identity: serde_json::from_str(&identity).map_err(Error::internal)?,
                cookie: Zeroizing::new(cookie.to_owned()),
            })
        })
        .transpose()
}

/// Begins a session, always a new one, and answers its cookie.
pub async fn begin(state: &State, identity: &Identity) -> Result<HeaderValue> {
    let cookie = token::random(SESSION_PREFIX);
    let identity = serde_json::to_string(identity).map_err(Error::internal)?;
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    store::sign_ins::insert(&mut tx, &TokenHash::of(&cookie), &identity, now, now + SESSION_MS).await?;
    tx.commit().await?;
    Cookie::Session.set(state, &cookie, SESSION_MS / 1000)
}

/// Ends a session here and now, whatever the browser does with its cookie.
pub async fn end(state: &State, signed_in: &SignedIn) -> Result<()> {
    let mut tx = state.store.write(Reach::Operator).await?;
    store::sign_ins::remove(&mut tx, &TokenHash::of(&signed_in.cookie)).await?;
    tx.commit().await
}

/// What the sign-in form carries, and the cookie that it belongs to where the browser has none yet.
pub fn csrf_before(state: &State, headers: &HeaderMap, form: &str) -> Result<(String, Option<HeaderValue>)> {
    match before(state, headers) {
        Some(cookie) => Ok((csrf(state, cookie, form), None)),
        None => {
            let cookie = token::random(BEFORE_PREFIX);
            let set = Cookie::Before.set(state, &cookie, FORM_SECS)?;
            Ok((csrf(state, &cookie, form), Some(set)))
        }
    }
}

pub fn is_csrf_before(state: &State, headers: &HeaderMap, form: &str, given: &str) -> bool {
    before(state, headers).is_some_and(|cookie| is_csrf(state, cookie, form, given))
}

fn before<'a>(state: &State, headers: &'a HeaderMap) -> Option<&'a str> {
    Cookie::Before
        .read(state, headers)
        .filter(|cookie| token::is_of(BEFORE_PREFIX, cookie))
}

fn csrf(state: &State, cookie: &str, form: &str) -> String {
    config::hex(&state.secrets.hash("csrf", format!("{cookie}\0{form}").as_bytes())).to_string()
}

fn is_csrf(state: &State, cookie: &str, form: &str, given: &str) -> bool {
    csrf(state, cookie, form).as_bytes().ct_eq(given.as_bytes()).into()
}

/// Who holds the token that was pasted.
///
/// # Errors
/// As [`auth::authenticate`], which also counts what does not work by address; 403, code `operator_token`, for the operator's.
pub async fn by_token(state: &State, pasted: &str, address: IpAddr) -> Result<Identity> {
    let bearer = Zeroizing::new(format!("Bearer {pasted}"));
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(&bearer) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    // What is no header's value at all is refused, and counted, as a missing one.
    let caller = auth::authenticate(state, &headers, address).await?;
    if caller.is_operator() {
        return Err(Error::new(
            Kind::Forbidden,
            "The operator's token holds no tenant's scopes; sign in with a tenant's own token",
        )
        .coded("operator_token"));
    }
    match (caller.token_id(), caller.tenant_id()) {
        // What an application was given opens no page where it could be given more.
        (Some(token_id), Some(tenant_id)) if token::is_well_formed(pasted) => Ok(Identity::Token { token_id, tenant_id }),
        _ => {
            state.known.count_address(address)?;
            Err(Error::new(Kind::Unauthenticated, UNAUTHORIZED))
        }
    }
}

/// What this one may grant now: for a person once for each tenant that invited him.
pub async fn grantors(state: &State, identity: &Identity) -> Result<Vec<Grantor>> {
    let now = state.clock.millis();
    let mut grantors = Vec::new();
    match identity {
        Identity::Token { token_id, tenant_id } => {
            let mut tx = state.store.read(Reach::Tenant(*tenant_id)).await?;
            let token = store::tokens::find(&mut tx, Some(*tenant_id), *token_id).await?;
            drop(tx);
            let token = token.filter(|token| token.revoked_at.is_none() && token.expires_at > now);
            if let (Some(token), Some(tenant)) = (token, active(state, *tenant_id).await?) {
                grantors.push(Grantor {
                    tenant,
                    by: GrantedBy::Token(token.id),
                    name: token.name,
                    scopes: token.scopes,
                    agent: token.agent,
                    limits: token.limits,
                    until: token.expires_at.min(now + LIFE_MS),
                });
            }
        }
        Identity::Person { issuer, subject, .. } => {
            let mut tx = state.store.read(Reach::Operator).await?;
            let memberships = store::members::of_person(&mut tx, issuer, subject).await?;
            drop(tx);
            for member in memberships {
                if let Some(tenant) = active(state, member.tenant_id).await? {
                    grantors.push(Grantor {
                        tenant,
                        by: GrantedBy::Member(member.id),
                        name: member.email,
                        scopes: member.scopes.given().filter(|scope| *scope != Scope::AdminTenants).collect(),
                        agent: None,
                        limits: None,
                        until: now + LIFE_MS,
                    });
                }
            }
        }
    }
    Ok(grantors)
}

async fn active(state: &State, id: TenantId) -> Result<Option<std::sync::Arc<auth::KnownTenant>>> {
    let known = auth::tenant(state, id).await?;
    Ok(known.filter(|known| known.tenant.status == Status::Active))
}

/// An e-mail address in the one way in which it is compared. `None`: it cannot be one.
///
/// Only A to Z are made small, and a name is of ASCII: Unicode makes one letter of several (of the Kelvin sign a k), and two addresses that
/// a provider tells apart would be one.
pub fn normal_email(text: &str) -> Option<String> {
    let email = text.trim().to_ascii_lowercase();
    let (name, host) = email.rsplit_once('@')?;
    let plain = name.is_ascii()
        && !email
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control() || matches!(letter, ',' | ';' | '<' | '>'));
    (plain && !name.is_empty() && host.contains('.') && email.len() <= EMAIL_MAX).then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_in_one_way() {
        assert_eq!(normal_email(" Ana@Luna.CL "), Some("ana@luna.cl".to_owned()));
        for wrong in [
            "",
            "ana",
            "@luna.cl",
            "ana@luna",
            "ana@luna.cl, eva@luna.cl",
            "Ana <ana@luna.cl>",
            "ana\n@luna.cl",
            "a\u{f1}a@luna.cl",
            "\u{212a}ana@luna.cl",
        ] {
            assert_eq!(normal_email(wrong), None, "{wrong:?}");
        }
        assert_ne!(normal_email("ana@\u{212a}una.cl"), normal_email("ana@kuna.cl"));
        assert_eq!(normal_email(&format!("{}@luna.cl", "a".repeat(EMAIL_MAX))), None);
    }
}
