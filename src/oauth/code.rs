//! Authorization codes: what a member allowed, for the minute until the application fetches it.
//!
//! A code is fetched once. Whoever comes with it a second time has stolen it, or the first one had: what was granted for it goes
//! (RFC 6749 §4.1.2).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    grant::{self, GrantedBy, Grantor, LIFE_MS, Taker},
    refresh,
    request::{self, Asked, Parameters},
};
use crate::{
    auth::{Scopes, TokenHash, jwt::Access, token},
    error::{Error, Result},
    id::{TenantId, TokenId},
    state::State,
    store::{self, Reach, Tx, grants::Row},
};

/// How long a code may be fetched.
const LIFE_CODE_MS: i64 = 60_000;

/// What was allowed, as it is stored with the code.
#[derive(Serialize, Deserialize)]
struct Allowed {
    client_id: String,
    client_name: String,
    redirect_uri: String,
    code_challenge: String,
    resource: String,
    scopes: String,
    granted_by: String,
    /// Epoch milliseconds.
    until: i64,
}

/// What an application gets for a code or a refresh token.
pub struct Fetched {
    pub access: Access,
    pub refresh_token: Zeroizing<String>,
}

/// Why a code or a refresh token is not taken: an error code of RFC 6749 §5.2 or RFC 8707 §2, and a sentence for the client's maker.
#[derive(Debug)]
pub enum Refused {
    /// `invalid_grant`, of what was never given: whoever comes with it may be guessing.
    Unknown(&'static str),
    Said(&'static str, &'static str),
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

/// Makes a code for what a member allows.
pub async fn make(tx: &mut Tx, asked: &Asked, grantor: &Grantor, scopes: Scopes, now: i64) -> Result<Zeroizing<String>> {
    let code = token::random(token::CODE_PREFIX);
    let allowed = Allowed {
        client_id: asked.client.id.clone(),
        client_name: asked.client.name.clone(),
        redirect_uri: asked.redirect_uri.as_str().to_owned(),
        code_challenge: asked.code_challenge.clone(),
        resource: asked.resource.clone(),
        scopes: scopes.stored(),
        granted_by: grantor.by.to_string(),
        until: grantor.until.min(now + LIFE_MS),
    };
    let allowed = serde_json::to_string(&allowed).map_err(Error::internal)?;
    let tenant = grantor.tenant.tenant.id;
    store::authorization_codes::insert(tx, &TokenHash::of(&code), tenant, &allowed, now + LIFE_CODE_MS).await?;
    Ok(code)
}

/// Fetches what a code stands for (RFC 6749 §4.1.3). The code is used up whatever comes of it, so that nobody tries again.
pub async fn fetch(state: &State, client_id: &str, form: &Parameters) -> Result<Fetched, Refused> {
    let code = form.get("code").ok_or(Refused::Said("invalid_request", "code is missing"))?;
    let verifier = form
        .get("code_verifier")
        .ok_or(Refused::Said("invalid_request", "code_verifier is missing (RFC 7636 §4.5)"))?;
    if !token::is_of(token::CODE_PREFIX, code) {
        return Err(UNKNOWN);
    }
    let mut tx = state.store.write(Reach::Operator).await?;
    let fetched = taken(state, &mut tx, &TokenHash::of(code), client_id, verifier, form).await;
    if !matches!(fetched, Err(Refused::Failed(_))) {
        tx.commit().await?;
    }
    fetched
}

async fn taken(
    state: &State,
    tx: &mut Tx,
    hash: &TokenHash,
    client_id: &str,
    verifier: &str,
    form: &Parameters,
) -> Result<Fetched, Refused> {
    let now = state.clock.millis();
    // Before it is looked whether the giver still may: who takes him away at the same time waits, and takes this along.
    store::meta::lock(tx).await?;
    let found = store::authorization_codes::take(tx, hash, now).await?.ok_or(UNKNOWN)?;
    let allowed = check(state, &found.request, client_id, verifier, form);
    if let Some(used) = found.used {
        // Only of one who could have fetched it: a code alone, out of some log, disconnects nobody.
        if let (Some(id), Ok(_)) = (used.grant_id, allowed) {
            grant::revoke(state, tx, found.tenant_id, id, Taker::Gateway).await?;
            tracing::warn!(tenant = %found.tenant_id, grant = %id, client = client_id, "an authorization code came a second time");
        }
        return Err(UNKNOWN);
    }
    if found.expires_at <= now {
        return Err(Refused::Said("invalid_grant", "the code is older than 60 seconds"));
    }
    let row = granted(tx, found.tenant_id, allowed?, now).await?;
    store::grants::insert(tx, &row).await?;
    store::authorization_codes::became(tx, hash, row.id).await?;
    let refresh_token = refresh::first(tx, &row, now).await?;
    let giver = row.granted_by.parse::<GrantedBy>()?.audited();
    let about = [&*row.id.to_string(), &row.client_id, &row.scopes.stored()];
    grant::note(state, tx, row.tenant_id, grant::CONNECTED, giver, &about).await?;
    tracing::info!(tenant = %row.tenant_id, grant = %row.id, client = row.client_id, granted_by = row.granted_by, "an application was connected");
    Ok(Fetched {
        access: access(&row, row.scopes, row.expires_at)?,
        refresh_token,
    })
}

const UNKNOWN: Refused = Refused::Unknown("the code is unknown, or was used before");

fn check(state: &State, stored: &str, client_id: &str, verifier: &str, form: &Parameters) -> Result<Allowed, Refused> {
    let allowed: Allowed = serde_json::from_str(stored).map_err(Error::internal)?;
    if allowed.client_id != client_id {
        return Err(Refused::Said("invalid_grant", "the code was given to another client"));
    }
    if form.get("redirect_uri").is_some_and(|uri| !is_same(uri, &allowed.redirect_uri)) {
        return Err(Refused::Said(
            "invalid_grant",
            "redirect_uri is not the one of the authorization request",
        ));
    }
    let made = BASE64URL.encode(Sha256::digest(verifier.as_bytes()));
    if !is_verifier(verifier) || !bool::from(made.as_bytes().ct_eq(allowed.code_challenge.as_bytes())) {
        return Err(Refused::Said(
            "invalid_grant",
            "code_verifier does not fit the code_challenge (RFC 7636 §4.6)",
        ));
    }
    if form
        .get("resource")
        .is_some_and(|asked| request::resource(state, asked).as_ref() != Some(&allowed.resource))
    {
        return Err(Refused::Said(
            "invalid_target",
            "resource is not the one of the authorization request",
        ));
    }
    Ok(allowed)
}

fn is_same(uri: &str, allowed: &str) -> bool {
    uri == allowed || url::Url::parse(uri).is_ok_and(|uri| uri.as_str() == allowed)
}

/// RFC 7636 §4.1.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

/// The grant that a code becomes, if he who allowed it still may.
async fn granted(tx: &mut Tx, tenant: TenantId, allowed: Allowed, now: i64) -> Result<Row, Refused> {
    let by: GrantedBy = allowed.granted_by.parse()?;
    let gone = Refused::Said("invalid_grant", "the member who allowed it no longer may");
    let Some(giver) = grant::giver(tx, tenant, &by, now).await? else {
        return Err(gone);
    };
    // Again, and held: of many codes that were made at once, so many become something.
    if grant::has_too_many(tx, tenant, &by, now).await? {
        return Err(Refused::Said("invalid_grant", "the member has too many applications connected"));
    }
    let scopes = grant::within(Scopes::from_stored(&allowed.scopes), giver.scopes);
    if scopes.given().next().is_none() {
        return Err(gone);
    }
    Ok(Row {
        id: TokenId::random(),
        tenant_id: tenant,
        client_id: allowed.client_id,
        client_name: allowed.client_name,
        resource: allowed.resource,
        scopes,
        agent: giver.agent,
        limits: giver.limits,
        granted_by: allowed.granted_by,
        created_at: now,
        used_at: Some(now),
        expires_at: allowed.until.min(giver.until),
        revoked_at: None,
    })
}

/// What an access token of a grant says; it ends with the grant, and with its giver (`until`, epoch milliseconds).
pub fn access(grant: &Row, scopes: Scopes, until: i64) -> Result<Access> {
    Ok(Access {
        until: grant.expires_at.min(until),
        grant: grant.id,
        tenant: grant.tenant_id,
        client_id: grant.client_id.clone(),
        client_name: grant.client_name.clone(),
        granted_by: grant.granted_by.clone(),
        scopes,
        agent: grant.agent,
        limits: grant.limits.clone(),
        cells: match grant.granted_by.parse()? {
            // One token has one allowance, however many applications it has connected.
            GrantedBy::Token(token) => token,
            GrantedBy::Member(_) => grant.id,
        },
        resource: grant.resource.clone(),
    })
}
