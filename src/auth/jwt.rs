//! Access tokens: JWTs that this gateway signed itself, or that an issuer did whom the operator has named.
//!
//! Our own (RFC 9068) say all that a call needs, so that one costs neither SQL nor network. What they cannot say is that their
//! grant was revoked: [`super::Known`] remembers that for longer than they live. What a token says of how it is signed decides
//! nothing: the key that its `kid` names has one algorithm, and the token must name the same (RFC 8725 §3.1).

use std::sync::{Arc, atomic::AtomicI64};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{Agent, KnownToken, Scopes};
use crate::{
    error::Result,
    id::{self, TenantId, TokenId},
    limits::Custom,
    oauth::keys,
    state::State,
};

/// How long an access token lives at most, in seconds.
pub const LIFE_SECS: i64 = 15 * 60;
/// How long a revocation is remembered: longer than an access token lives, by more than the clocks of replicas differ.
pub(super) const REVOKED_MS: i64 = 20 * 60 * 1000;

/// What an access token gives, and to whom.
#[derive(Clone, Debug)]
pub struct Access {
    /// The grant: what a token's id is otherwise.
    pub grant: TokenId,
    pub tenant: TenantId,
    pub client_id: String,
    pub client_name: String,
    /// `token/<id>` or `member/<id>`.
    pub granted_by: String,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    /// When what was granted ends, epoch milliseconds: no access token outlives it.
    pub until: i64,
    /// Whose limit cells count: the token that was pasted, so that it has one allowance however often it is connected; else the
    /// grant.
    pub cells: TokenId,
    /// The URL that it is for: one of [`resources`].
    pub resource: String,
}

/// The claims of our own access tokens: those of RFC 9068 §2.2, and ours.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// Epoch seconds.
    exp: i64,
    iat: i64,
    /// Not written: the clock of another replica may be behind ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: String,
    client_id: String,
    scope: String,
    tenant: TenantId,
    grant: TokenId,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Custom>,
    cells: TokenId,
}

/// The URLs that an access token may be for; each serves both doors.
pub fn resources(state: &State) -> [String; 2] {
    [state.base_url.clone(), format!("{}/mcp", state.base_url)]
}

/// Makes an access token, and says how many seconds it lives.
pub fn issue(state: &State, access: &Access) -> Result<(String, u64)> {
    let now = state.clock.millis();
    let iat = now / 1000;
    let exp = (iat + LIFE_SECS).min(access.until / 1000).max(iat);
    let claims = Claims {
        iss: state.base_url.clone(),
        aud: access.resource.clone(),
        sub: access.granted_by.clone(),
        exp,
        iat,
        nbf: None,
        jti: id::ordered().to_string(),
        client_id: access.client_id.clone(),
        scope: access.scopes.stored(),
        tenant: access.tenant,
        grant: access.grant,
        name: access.client_name.clone(),
        agent: access.agent,
        limits: access.limits.clone(),
        cells: access.cells,
    };
    Ok((state.keys.sign(&claims, now)?, (exp - iat).unsigned_abs()))
}

/// Which grant an access token of ours is of, for its revocation: also one that has expired or was revoked.
pub fn grant_of(state: &State, bearer: &str) -> Option<(TenantId, TokenId)> {
    let jws = Jws::parse(bearer)?;
    let claims: Claims = jws.claims()?;
    // As of when it was signed: its key may have ended since.
    let ours = jws.verified_as_ours(state, claims.iat.saturating_mul(1000)) == Some(true);
    ours.then_some((claims.tenant, claims.grant))
}

/// Whether a bearer has the shape of a JWT; a token of ours has no dots.
pub(super) fn is_shaped(bearer: &str) -> bool {
    bearer.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Whose access token this is: `None` for whatever is wrong with it.
pub(super) async fn verify(state: &State, jws: &Jws<'_>, now: i64) -> Result<Option<Arc<KnownToken>>> {
    match jws.verified_as_ours(state, now) {
        Some(true) => Ok(own(state, jws, now)),
        Some(false) => Ok(None),
        None => state.issuers.verify(state, jws, now).await,
    }
}

/// Of a token that we have signed.
fn own(state: &State, jws: &Jws<'_>, now: i64) -> Option<Arc<KnownToken>> {
    let claims: Claims = jws.claims()?;
    let base = state.base_url.as_str();
    let for_us = claims.aud.strip_prefix(base).is_some_and(|rest| matches!(rest, "" | "/mcp"));
    let begun = claims.nbf.is_none_or(|nbf| nbf.saturating_mul(1000) <= now);
    let expires_at = claims.exp.saturating_mul(1000);
    if !jws.is_access_token() || claims.iss != base || !for_us || !begun || expires_at <= now {
        return None;
    }
    Some(Arc::new(KnownToken {
        id: claims.grant,
        name: claims.name,
        tenant_id: Some(claims.tenant),
        scopes: Scopes::from_stored(&claims.scope),
        agent: claims.agent,
        expires_at,
        rates: state.limits.rates(claims.limits.as_ref()),
        cells: state.limits.cells(claims.cells),
        counts_as: claims.cells,
        used_at: state.known.use_of_grant(claims.grant),
    }))
}

/// Of a caller whom an outside issuer has named: his id is the same with each of his tokens.
pub(super) fn outside(state: &State, caller: Outside) -> Arc<KnownToken> {
    Arc::new(KnownToken {
        id: caller.id,
        name: caller.name,
        tenant_id: Some(caller.tenant),
        scopes: caller.scopes,
        agent: None,
        expires_at: caller.expires_at,
        rates: state.limits.rates(None),
        cells: state.limits.cells(caller.id),
        counts_as: caller.id,
        used_at: Arc::<AtomicI64>::default(),
    })
}

/// What an outside issuer's token says.
pub(super) struct Outside {
    pub id: TokenId,
    pub name: String,
    pub tenant: TenantId,
    pub scopes: Scopes,
    /// Epoch milliseconds.
    pub expires_at: i64,
}

/// A JWT in its parts (RFC 7515 §3.1, compact), none of which is believed yet.
pub struct Jws<'a> {
    header: Header,
    payload: &'a str,
    /// What is signed: header and payload as they are written.
    message: &'a str,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// What a reader must understand, or else refuse (RFC 7515 §4.1.11). We understand none of it.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl<'a> Jws<'a> {
    pub fn parse(bearer: &'a str) -> Option<Self> {
        let (message, signature) = bearer.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        header.crit.is_none().then_some(Self {
            header,
            payload,
            message,
            signature,
        })
    }

    /// Whether it names a key of ours, and so is verified without SQL and without anybody else.
    pub fn is_ours(&self, state: &State) -> bool {
        state.config.sign_in && self.kid().is_some_and(|kid| state.keys.has(kid))
    }

    /// `None`: no key of ours is named.
    fn verified_as_ours(&self, state: &State, now: i64) -> Option<bool> {
        let kid = self.header.kid.as_deref().filter(|_| state.config.sign_in)?;
        let verified = state.keys.verify(kid, self.message, self.signature, now)?;
        Some(verified && self.header.alg == "EdDSA")
    }

    /// RFC 9068 §4.
    fn is_access_token(&self) -> bool {
        let typ = self.header.typ.as_deref().unwrap_or_default();
        typ.eq_ignore_ascii_case(keys::TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
    }

    /// What it says, believed or not.
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(self.payload).ok()?).ok()
    }

    pub fn alg(&self) -> &str {
        &self.header.alg
    }

    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether this key has signed it, by the key's own algorithm.
    pub fn is_signed_by(&self, key: &jsonwebtoken::DecodingKey, algorithm: jsonwebtoken::Algorithm) -> bool {
        jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, algorithm).unwrap_or(false)
    }
}
