//! Who is calling: a token becomes a [`Caller`], and a caller and a tool become [`Authorised`].

mod agent;
mod flood;
pub mod issuers;
pub mod jwt;
mod scope;
pub mod token;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use dashmap::DashMap;
use http::{HeaderMap, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

pub use self::{
    agent::Agent,
    flood::{Flood, network},
    scope::{Scope, Scopes},
    token::TokenHash,
};
use crate::{
    error::{Error, Kind, Result},
    id::{TenantId, TokenId},
    limits::{Cells, Limits, Rates, TenantState, TenantUsage},
    state::State,
    store::{self, Reach, Store, plans::Plan},
    telemetry::NONE,
    tenant::{Status, Tenant},
    tool::Definition,
    warm::Warm,
};

/// The owner's sentence.
pub const UNAUTHORIZED: &str = "Unauthorized - Invalid or expired API token";
pub const X_TENANT_ID: &str = "x-tenant-id";

/// How many tokens, access tokens and tenants are kept warm.
const WARM_TOKENS: usize = 50_000;
const WARM_ACCESS_TOKENS: usize = 20_000;
const WARM_TENANTS: usize = 10_000;
/// How much of a header is quoted back.
const QUOTED: usize = 64;

/// A token, with all that a call needs of it: one of ours that is stored, or an access token.
#[derive(Debug)]
pub struct KnownToken {
    /// Of an access token, its grant's.
    pub id: TokenId,
    pub name: String,
    pub tenant_id: Option<TenantId>,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    /// Epoch milliseconds.
    pub expires_at: i64,
    pub rates: Arc<Rates>,
    pub cells: Arc<Cells>,
    /// Whose cells those are: its own, or those of the token by which it was granted.
    pub counts_as: TokenId,
    used_at: Arc<AtomicI64>,
}

/// A tenant, with all that a call needs of it.
#[derive(Debug)]
pub struct KnownTenant {
    pub tenant: Tenant,
    pub plan: Plan,
    pub time_zone: jiff::tz::TimeZone,
    pub usage: Arc<TenantUsage>,
    pub limits: Arc<TenantState>,
}

/// Who is calling, authenticated.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    tenant: Option<Arc<KnownTenant>>,
}

#[derive(Clone, Debug)]
enum Identity {
    /// The operator: `SMARTERMCP_ADMIN_TOKEN`, a stored token without tenant, or the console of the machine.
    Operator(Option<TokenId>, &'static str),
    Tenant(Arc<KnownToken>),
}

impl Caller {
    /// The operator at the console of the machine: whoever can read the database and its key.
    pub fn console(tenant: Option<Arc<KnownTenant>>) -> Self {
        Self {
            identity: Identity::Operator(None, "console"),
            tenant,
        }
    }

    pub fn is_operator(&self) -> bool {
        matches!(self.identity, Identity::Operator(..))
    }

    /// The tenant: the token's own, or the one that the operator named.
    pub fn tenant(&self) -> Option<&Arc<KnownTenant>> {
        self.tenant.as_ref()
    }

    pub fn tenant_id(&self) -> Option<TenantId> {
        self.tenant.as_ref().map(|known| known.tenant.id)
    }

    /// The token, if its calls are limited: the operator's are not.
    pub fn limited(&self) -> Option<&KnownToken> {
        match &self.identity {
            Identity::Operator(..) => None,
            Identity::Tenant(token) => Some(token),
        }
    }

    pub fn agent(&self) -> Option<Agent> {
        self.limited().and_then(|token| token.agent)
    }

    pub fn scopes(&self) -> Scopes {
        match &self.identity {
            Identity::Operator(..) => [Scope::AdminTenants].into_iter().collect(),
            Identity::Tenant(token) => token.scopes,
        }
    }

    /// The tenant that the audit entry belongs to; '' for the operator's own calls.
    pub fn audit_tenant(&self) -> String {
        self.tenant_id().map(|id| id.to_string()).unwrap_or_default()
    }

    /// Who calls, as the audit has it: the token's id, or the operator and how he came.
    pub fn audit_name(&self) -> String {
        match &self.identity {
            Identity::Operator(Some(id), _) => format!("operator:{id}"),
            Identity::Operator(None, how) => format!("operator:{how}"),
            Identity::Tenant(token) => token.id.to_string(),
        }
    }

    pub fn token_id(&self) -> Option<TokenId> {
        match &self.identity {
            Identity::Operator(id, _) => *id,
            Identity::Tenant(token) => Some(token.id),
        }
    }
}

/// The proof that a caller may call a tool; only [`authorise`] makes one.
#[derive(Clone, Debug)]
pub struct Authorised {
    caller: Caller,
    tool: Arc<Definition>,
}

impl Authorised {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn tool(&self) -> &Arc<Definition> {
        &self.tool
    }
}

/// The one decision, for listing and for calling: scope, agent's view, kill switches.
///
/// # Errors
/// [`Kind::Forbidden`], code `insufficient_scope`; or [`Kind::Unavailable`] when the operator has switched it off.
pub fn authorise(caller: &Caller, tool: &Arc<Definition>, limits: &Limits) -> Result<Authorised> {
    if !caller.scopes().grant(tool.scope) {
        return Err(Error::new(
            Kind::Forbidden,
            format!("'{}' needs the scope {}, which this token does not have", tool.name, tool.scope),
        )
        .coded("insufficient_scope")
        .lacking(tool.scope.name()));
    }
    if let Some(agent) = caller.agent()
        && !agent.sees(tool)
    {
        return Err(Error::new(
            Kind::Forbidden,
            format!("'{}' is outside what the agent {} may use", tool.name, agent.name()),
        )
        .coded("insufficient_scope")
        .lacking(tool.scope.name()));
    }
    limits.switches.check(caller.tenant_id(), tool, tool.backend)?;
    Ok(Authorised {
        caller: caller.clone(),
        tool: Arc::clone(tool),
    })
}

/// The tokens and tenants that are warm, and what guards their look-up.
#[derive(Debug)]
pub struct Known {
    tokens: Warm<TokenHash, Arc<KnownToken>>,
    hashes: DashMap<TokenId, TokenHash>,
    /// Access tokens that were verified.
    access: Warm<TokenHash, Arc<KnownToken>>,
    /// When grants were last used.
    grants: DashMap<TokenId, Arc<AtomicI64>>,
    /// Grants and tokens that were revoked, and when, for as long as an access token of theirs may live.
    revoked: DashMap<TokenId, i64>,
    tenants: Warm<TenantId, Arc<KnownTenant>>,
    admin: Option<TokenHash>,
    flood: Flood,
}

impl Known {
    pub fn new(admin_token: Option<&str>) -> Self {
        Self {
            tokens: Warm::new(WARM_TOKENS),
            hashes: DashMap::new(),
            access: Warm::new(WARM_ACCESS_TOKENS),
            grants: DashMap::new(),
            revoked: DashMap::new(),
            tenants: Warm::new(WARM_TENANTS),
            admin: admin_token.map(TokenHash::of),
            flood: Flood::default(),
        }
    }

    fn forget_token(&self, id: TokenId) {
        match self.hashes.remove(&id) {
            Some((_, hash)) => self.tokens.forget(&hash),
            // Being read just now, or warm without its entry in the index: what is read is not kept, what is kept goes.
            None => self.tokens.forget_where(|_, token| token.id == id),
        }
    }

    pub fn forget_tenant(&self, id: TenantId) {
        self.tenants.forget(&id);
    }

    /// Forgets which access tokens were verified: a key of theirs is gone.
    pub fn forget_access(&self) {
        self.access.clear();
    }

    pub fn forget_all(&self) {
        self.tokens.clear();
        self.hashes.clear();
        self.access.clear();
        self.tenants.clear();
    }

    /// Whether this address may try a code, a refresh token or a sign-in: those that failed count as bad tokens do.
    ///
    /// # Errors
    /// 429 when too many have failed.
    pub fn check_address(&self, address: IpAddr) -> Result<()> {
        self.flood.check(address)
    }

    /// Counts one that failed.
    ///
    /// # Errors
    /// 429 when that was one too many.
    pub fn count_address(&self, address: IpAddr) -> Result<()> {
        self.flood.count(address)
    }

    /// Refuses the access tokens of a grant, or of a token, from now on.
    pub fn revoke(&self, id: TokenId, now: i64) {
        self.revoked.insert(id, now);
    }

    /// Reads what was revoked lately.
    pub async fn reload_revoked(&self, store: &Store, now: i64) -> Result<()> {
        let since = now - jwt::REVOKED_MS;
        let mut tx = store.read(Reach::Operator).await?;
        let mut revoked = store::grants::revoked_since(&mut tx, since).await?;
        revoked.extend(store::tokens::revoked_since(&mut tx, since).await?);
        for (id, at) in revoked {
            self.revoked.insert(id, at);
        }
        Ok(())
    }

    /// Whether an access token's grant is revoked, or the token by which it was granted.
    fn is_revoked(&self, token: &KnownToken) -> bool {
        self.revoked.contains_key(&token.id) || self.revoked.contains_key(&token.counts_as)
    }

    /// Where it is noted when a grant was last used.
    fn use_of_grant(&self, id: TokenId) -> Arc<AtomicI64> {
        Arc::clone(&self.grants.entry(id).or_default())
    }

    /// Which tokens were used since they were last asked about, and when.
    pub fn take_uses(&self) -> Vec<(TokenId, i64)> {
        self.hashes
            .iter()
            .filter_map(|entry| {
                let token = self.tokens.get(entry.value())?;
                let at = token.used_at.swap(0, Ordering::Relaxed);
                (at != 0).then_some((token.id, at))
            })
            .collect()
    }

    /// The same of grants.
    pub fn take_grant_uses(&self) -> Vec<(TokenId, i64)> {
        self.grants
            .iter()
            .filter_map(|entry| {
                let at = entry.value().swap(0, Ordering::Relaxed);
                (at != 0).then_some((*entry.key(), at))
            })
            .collect()
    }

    /// When a token or a grant was last used, if that is not written yet.
    pub fn used_at(&self, id: TokenId) -> Option<i64> {
        let used_at = match self.grants.get(&id) {
            Some(used_at) => Arc::clone(&used_at),
            None => {
                let hash = *self.hashes.get(&id)?;
                Arc::clone(&self.tokens.get(&hash)?.used_at)
            }
        };
        let at = used_at.load(Ordering::Relaxed);
        (at != 0).then_some(at)
    }

    /// Tokens that have dropped out of the cache need no entry in the index, grants without a warm access token no note, and
    /// what was revoked longer ago than any access token lives is refused anyway.
    pub fn sweep(&self, now: i64) {
        self.hashes.retain(|_, hash| self.tokens.get(hash).is_some());
        self.grants
            .retain(|_, used_at| Arc::strong_count(used_at) > 1 || used_at.load(Ordering::Relaxed) != 0);
        self.revoked.retain(|_, at| now - *at <= jwt::REVOKED_MS);
    }
}

/// Who sent these headers.
///
/// # Errors
/// 401 for a missing, malformed, unknown, expired or revoked token; 404 for another's or a suspended tenant; 429 for an
/// address that has sent too many of the first.
pub async fn authenticate(state: &State, headers: &HeaderMap, address: IpAddr) -> Result<Caller> {
    let found = identify(state, headers, address).await;
    if let Err(error) = &found {
        state.metrics.called(NONE, None, error.kind().status().as_u16(), 0.0);
        state.metrics.failed(NONE, error.label());
    }
    found
}

async fn identify(state: &State, headers: &HeaderMap, address: IpAddr) -> Result<Caller> {
    let known = &state.known;
    let Some(bearer) = bearer(headers) else {
        return Err(refuse(known, address));
    };
    let hash = TokenHash::of(bearer);
    if known
        .admin
        .as_ref()
        .is_some_and(|admin| bool::from(admin.as_bytes().ct_eq(hash.as_bytes())))
    {
        return operator(state, headers, None).await;
    }
    let now = state.clock.millis();
    let is_access = jwt::is_shaped(bearer);
    let warm = if is_access { &known.access } else { &known.tokens };
    let token = match warm.get(&hash) {
        Some(token) => token,
        None => {
            let found = if is_access {
                let Some(jws) = jwt::Jws::parse(bearer) else {
                    return Err(refuse(known, address));
                };
                // Behind an address that somebody else has shut, access tokens still change every quarter of an hour.
                if !jws.is_ours(state) {
                    known.flood.check(address)?;
                }
                warm.get_or_load(hash, jwt::verify(state, &jws, now)).await?
            } else {
                if !token::is_well_formed(bearer) {
                    return Err(refuse(known, address));
                }
                known.flood.check(address)?;
                load_token(state, hash, now).await?
            };
            match found {
                Some(token) => token,
                None => return Err(refuse(known, address)),
            }
        }
    };
    if token.expires_at <= now || is_access && known.is_revoked(&token) {
        return Err(refuse(known, address));
    }
    token.used_at.store(now, Ordering::Relaxed);
    let Some(tenant_id) = token.tenant_id else {
        return operator(state, headers, Some(token.id)).await;
    };
    let named = headers.get(X_TENANT_ID);
    // Deleting a tenant revokes its tokens, also those that are warm here.
    let Some(tenant) = tenant(state, tenant_id).await? else {
        return Err(refuse(known, address));
    };
    let agrees = named.is_none_or(|value| names(value.as_bytes(), &tenant.tenant));
    if !agrees || tenant.tenant.status != Status::Active {
        let named = named.map_or_else(
            || tenant_id.to_string(),
            |value| String::from_utf8_lossy(value.as_bytes()).into_owned(),
        );
        return Err(no_tenant(&named));
    }
    Ok(Caller {
        identity: Identity::Tenant(token),
        tenant: Some(tenant),
    })
}

/// `Tenant '…' not found or access denied`: the owner's sentence.
pub fn no_tenant(named: &str) -> Error {
    let quoted: String = named.chars().filter(|letter| !letter.is_control()).take(QUOTED).collect();
    Error::not_found(format!("Tenant '{quoted}' not found or access denied")).coded("tenant_not_found")
}

/// A tenant with all that a call needs of it, whatever its status.
pub async fn tenant(state: &State, id: TenantId) -> Result<Option<Arc<KnownTenant>>> {
    state
        .known
        .tenants
        .get_or_load(
            id,
            store::in_time(async {
                let mut tx = state.store.read(Reach::Tenant(id)).await?;
                let Some(tenant) = store::tenants::find(&mut tx, id).await? else {
                    return Ok(None);
                };
                let plan = store::plans::find(&mut tx, &tenant.plan)
                    .await?
                    .ok_or_else(|| Error::internal(format!("tenant {id} has the plan {:?}, which is none", tenant.plan)))?;
                drop(tx);
                let time_zone = crate::tenant::checked_time_zone(&tenant.time_zone)?;
                let usage = state.limits.usage.of(&state.store, id, &time_zone, state.clock.millis()).await?;
                Ok(Some(Arc::new(KnownTenant {
                    limits: state.limits.tenant(id),
                    tenant,
                    plan,
                    time_zone,
                    usage,
                })))
            }),
        )
        .await
}

/// The tenant that the operator names, by id or slug.
///
/// # Errors
/// 404 when there is none.
pub async fn named_tenant(state: &State, name: &str) -> Result<Arc<KnownTenant>> {
    let id = match name.parse::<TenantId>() {
        Ok(id) => Some(id),
        Err(_) => {
            let found = store::in_time(async {
                let mut tx = state.store.read(Reach::Operator).await?;
                store::tenants::find_by_slug(&mut tx, name).await
            });
            found.await?.map(|tenant| tenant.id)
        }
    };
    let found = match id {
        Some(id) => tenant(state, id).await?,
        None => None,
    };
    found.ok_or_else(|| no_tenant(name))
}

async fn operator(state: &State, headers: &HeaderMap, token: Option<TokenId>) -> Result<Caller> {
    let tenant = match headers.get(X_TENANT_ID) {
        None => None,
        Some(value) => Some(named_tenant(state, &String::from_utf8_lossy(value.as_bytes())).await?),
    };
    Ok(Caller {
        identity: Identity::Operator(token, "admin-token"),
        tenant,
    })
}

/// Forgets a token that changed; what it has granted ends with it.
pub async fn forget_token(state: &State, id: TokenId) -> Result<()> {
    state.known.forget_token(id);
    let mut tx = state.store.read(Reach::Operator).await?;
    let token = store::tokens::find(&mut tx, None, id).await?;
    if token.is_none_or(|token| token.revoked_at.is_some()) {
        state.known.revoke(id, state.clock.millis());
    }
    Ok(())
}

async fn load_token(state: &State, hash: TokenHash, now: i64) -> Result<Option<Arc<KnownToken>>> {
    state
        .known
        .tokens
        .get_or_load(
            hash,
            store::in_time(async {
                let mut tx = state.store.read(Reach::Operator).await?;
                let found = store::tokens::find_by_hash(&mut tx, &hash).await?;
                let Some(token) = found.filter(|token| token.revoked_at.is_none() && token.expires_at > now) else {
                    return Ok(None);
                };
                state.known.hashes.insert(token.id, hash);
                Ok(Some(Arc::new(KnownToken {
                    id: token.id,
                    rates: state.limits.rates(token.limits.as_ref()),
                    cells: state.limits.cells(token.id),
                    name: token.name,
                    tenant_id: token.tenant_id,
                    scopes: token.scopes,
                    agent: token.agent,
                    expires_at: token.expires_at,
                    counts_as: token.id,
                    used_at: Arc::default(),
                })))
            }),
        )
        .await
}

/// Whether a bearer was sent, be it none.
pub fn sends_bearer(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"bearer")
    })
}

/// The one bearer of the request; two `Authorization` headers are none (RFC 6750 §3.1: one way of sending it).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, bearer) = value.split_once(' ')?;
    let bearer = bearer.trim();
    let fits = scheme.eq_ignore_ascii_case("bearer") && !bearer.is_empty() && bearer.len() <= token::BEARER_MAX;
    fits.then_some(bearer)
}

fn refuse(known: &Known, address: IpAddr) -> Error {
    match known.flood.count(address) {
        Ok(()) => Error::new(Kind::Unauthenticated, UNAUTHORIZED),
        Err(flood) => flood,
    }
}

/// Whether a header names this tenant, by id or slug.
fn names(header: &[u8], tenant: &Tenant) -> bool {
    header == tenant.slug.as_bytes() || std::str::from_utf8(header).is_ok_and(|text| text.parse() == Ok(tenant.id))
}
