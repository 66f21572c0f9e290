//! Refresh tokens: each is used once, and the one after it is made from it.
//!
//! The next one is a keyed hash of the one before: nothing that could be used is stored, and clients that refresh at the same time, or
//! whose answer was lost, all get the same next one for a minute. Who comes with a used one later has stolen it, or the one before
//! him had: the grant goes (RFC 9700 §4.14.2).

use std::num::NonZeroU32;

use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::DashMapStateStore};
use zeroize::Zeroizing;

use super::{
    code::{Fetched, Refused, access},
    grant::{self, GrantedBy, Taker},
    request::{Parameters, resource},
};
use crate::{
    auth::{TokenHash, jwt, token},
    error::{Error, Kind, Result},
    id::{TenantId, TokenId},
    state::State,
    store::{self, Reach, Tx, grants::Row},
};

/// How long a used one still answers with the next.
const OVERLAP_MS: i64 = 60_000;
/// How long one may lie unused: 30 days.
pub const IDLE_MS: i64 = 30 * 24 * 3600 * 1000;

const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN;
const BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// The first refresh token of a new grant.
pub async fn first(tx: &mut Tx, grant: &Row, now: i64) -> Result<Zeroizing<String>> {
    let made = token::random(token::REFRESH_PREFIX);
    store::refresh_tokens::insert(tx, &TokenHash::of(&made), grant.tenant_id, grant.id, now, end(grant, now)).await?;
    Ok(made)
}

/// Exchanges a refresh token (RFC 6749 §6).
pub async fn exchange(state: &State, client_id: &str, form: &Parameters) -> Result<Fetched, Refused> {
    let text = form
        .get("refresh_token")
        .ok_or(Refused::Said("invalid_request", "refresh_token is missing"))?;
    if !token::is_of(token::REFRESH_PREFIX, text) {
        return Err(UNKNOWN);
    }
    let mut tx = state.store.write(Reach::Operator).await?;
    match exchanged(state, &mut tx, text, client_id, form).await {
        Ok(done) => {
            tx.commit().await?;
            done
        }
        // Then it was not used: another may yet come with it who is right. Undone, not dropped: who is told to wait costs no connection.
        Err(why) => {
            tx.undo().await?;
            Err(why)
        }
    }
}

/// The inner refusal is to be kept, with what was written for it.
async fn exchanged(
    state: &State,
    tx: &mut Tx,
    text: &str,
    client_id: &str,
    form: &Parameters,
) -> Result<Result<Fetched, Refused>, Refused> {
    let (hash, now) = (TokenHash::of(text), state.clock.millis());
    let first = store::refresh_tokens::take(tx, &hash, now).await?;
    let found = store::refresh_tokens::find(tx, &hash).await?.ok_or(UNKNOWN)?;
    let grant = store::grants::find(tx, Some(found.tenant_id), found.grant_id)
        .await?
        .filter(|grant| grant.revoked_at.is_none() && grant.expires_at > now && found.expires_at > now)
        // One for the URL that this gateway had before: clients begin anew at `invalid_grant`, and at nothing else.
        .filter(|grant| jwt::resources(state).contains(&grant.resource))
        .ok_or(ENDED)?;
    if grant.client_id != client_id {
        return Err(Refused::Said("invalid_grant", "the refresh token was given to another client"));
    }
    if !first && found.used_at.is_none_or(|used_at| now - used_at > OVERLAP_MS) {
        grant::revoke(state, tx, grant.tenant_id, grant.id, Taker::Gateway).await?;
        tracing::warn!(tenant = %grant.tenant_id, grant = %grant.id, client = client_id, "a used refresh token came again: its grant was revoked");
        return Ok(Err(Refused::Said(
            "invalid_grant",
            "the refresh token was used before; for safety the application must be allowed anew",
        )));
    }
    if first {
        state.refreshes.check(grant.id)?;
    }
    let by: GrantedBy = grant.granted_by.parse()?;
    let giver = grant::giver(tx, grant.tenant_id, &by, now).await?.ok_or(ENDED)?;
    let most = grant::within(grant.scopes, giver.scopes);
    let scopes = match form.get("scope") {
        None => most,
        Some(text) => narrowed(text, most)?,
    };
    if scopes.given().next().is_none() {
        return Err(ENDED);
    }
    if form
        .get("resource")
        .is_some_and(|asked| resource(state, asked).as_ref() != Some(&grant.resource))
    {
        return Err(Refused::Said(
            "invalid_target",
            "resource is not the one that was granted (RFC 8707 §2.2)",
        ));
    }
    let next = token::of(token::REFRESH_PREFIX, &state.secrets.hash("refresh", text.as_bytes()));
    store::refresh_tokens::insert(tx, &TokenHash::of(&next), grant.tenant_id, grant.id, now, end(&grant, now)).await?;
    store::oauth_clients::touch(tx, client_id, now).await?;
    Ok(Ok(Fetched {
        access: access(&grant, scopes, giver.until)?,
        refresh_token: next,
    }))
}

/// How often one grant is refreshed: each time a row is stored for a month. An application needs four an hour.
pub struct Pace(RateLimiter<TokenId, DashMapStateStore<TokenId>, DefaultClock>);

impl Default for Pace {
    fn default() -> Self {
        Self(RateLimiter::dashmap(Quota::per_minute(PER_MINUTE).allow_burst(BURST)))
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("grants", &self.0.len()).finish_non_exhaustive()
    }
}

impl Pace {
    fn check(&self, grant: TokenId) -> Result<()> {
        self.0.check_key(&grant).map_err(|_| {
            Error::new(
                Kind::RateLimited,
                "This application refreshes its access too often; an access token lives 15 minutes",
            )
            .retry_after(60)
        })
    }

    /// Forgets grants that have not come for a while.
    pub fn sweep(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// Whose refresh token this is, if it is one: for its revocation.
pub async fn owner(tx: &mut Tx, text: &str) -> Result<Option<(TenantId, TokenId)>> {
    if !token::is_of(token::REFRESH_PREFIX, text) {
        return Ok(None);
    }
    let found = store::refresh_tokens::find(tx, &TokenHash::of(text)).await?;
    Ok(found.map(|found| (found.tenant_id, found.grant_id)))
}

const UNKNOWN: Refused = Refused::Unknown("the refresh token is unknown");
const ENDED: Refused = Refused::Said(
    "invalid_grant",
    "what was granted has ended or was revoked; the application must be allowed anew",
);

fn end(grant: &Row, now: i64) -> i64 {
    grant.expires_at.min(now + IDLE_MS)
}

/// Of the scopes that were granted, those that are named (RFC 6749 §6). What else is named is passed over: clients repeat what they first
/// asked for, of which a member may have given less.
fn narrowed(text: &str, most: crate::auth::Scopes) -> Result<crate::auth::Scopes, Refused> {
    let asked = super::request::asked_scopes(text).ok_or(BEYOND)?;
    // Whoever names none of ours (`offline_access`) wants what he has.
    if !text.split(' ').any(|name| name.parse::<crate::auth::Scope>().is_ok()) {
        return Ok(most);
    }
    let given = grant::within(asked, most);
    if given.given().next().is_none() { Err(BEYOND) } else { Ok(given) }
}

const BEYOND: Refused = Refused::Said("invalid_scope", "scope goes beyond what was granted");
