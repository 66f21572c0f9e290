//! Tokens: issued, listed, revoked and rotated. The token itself is told once, and stored nowhere.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Account, moment, optional_moment, page};
use crate::{
    auth::{self, Agent, Scope, Scopes, TokenHash, token},
    clock,
    error::{Error, Kind, Result},
    id::{TenantId, TokenId},
    limits::Custom,
    oauth::grant::{self, GrantedBy},
    store::{self, Tx, changes, tokens::Token},
    tenant,
    tool::{Category, Definition, Route, Tool, output::Done, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        tool::<CreateToken>(),
        tool::<ListTokens>(),
        tool::<GetToken>(),
        tool::<RevokeToken>(),
        tool::<RotateToken>(),
    ]
}

const DAY_MS: i64 = 24 * 3600 * 1000;
/// A token's life unless said otherwise.
pub const LIFE_MS: i64 = 365 * DAY_MS;
const LONGEST_LIFE_MS: i64 = 10 * LIFE_MS;
const OVERLAP_SECS: u32 = 3600;
/// Tokens that a tenant's own administrators may have at work.
const MOST_TOKENS: i64 = 1000;

/// A token, without itself.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: TokenId,
    name: String,
    /// Null for a token of the operator.
    tenant_id: Option<TenantId>,
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Custom>,
    /// active, expired or revoked.
    status: &'static str,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    created_by: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    expires_at: i64,
    #[serde(serialize_with = "optional_moment")]
    #[schemars(with = "Option<String>")]
    revoked_at: Option<i64>,
    /// When it was last used, within half a minute.
    #[serde(serialize_with = "optional_moment")]
    #[schemars(with = "Option<String>")]
    last_used_at: Option<i64>,
    /// The token that it was rotated to.
    rotated_to: Option<TokenId>,
}

impl Shown {
    fn new(token: Token, account: &Account) -> Self {
        let now = account.now();
        Self {
            status: match token.revoked_at {
                Some(_) => "revoked",
                None if token.expires_at <= now => "expired",
                None => "active",
            },
            last_used_at: account.state().known.used_at(token.id).max(token.last_used_at),
            id: token.id,
            name: token.name,
            tenant_id: token.tenant_id,
            scopes: token.scopes.given().collect(),
            agent: token.agent,
            limits: token.limits,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            rotated_to: token.rotated_to,
        }
    }
}

/// Issue an API token for a tenant. The answer holds the token, this once.
///
/// Nobody can give scopes that he does not hold himself; the operator can give all.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    /// What the token is for, e.g. `claude-desktop`.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What it may do; a `write:` scope includes its `read:` twin.
    #[schemars(length(min = 1, max = 11))]
    scopes: Vec<Scope>,
    /// The tenant, by id or slug; the caller's own unless said, and `default` for the operator.
    tenant_id: Option<String>,
    /// When it ends, as RFC 3339, e.g. `2027-12-31T23:59:59Z`; in 365 days unless said.
    expires_at: Option<String>,
    /// Or how many seconds it lives.
    #[schemars(range(min = 1, max = 315_360_000))]
    expires_in: Option<i64>,
    /// The agent that uses it: codex, gemini or copilot. It sees a part of the tools only.
    agent: Option<Agent>,
    /// Limits in place of the usual ones; only the operator may go above those.
    limits: Option<Custom>,
}

/// The token that was issued.
#[derive(Serialize, JsonSchema)]
struct Issued {
    id: TokenId,
    /// The token itself. It is not stored and cannot be shown again.
    api_token: String,
    name: String,
    tenant_id: TenantId,
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    expires_at: i64,
}

impl Tool for CreateToken {
    const NAME: &'static str = "tokens_create";
    const TITLE: &'static str = "Issue a token";
    const ROUTE: Route = Route::post("/auth/token").created();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Issued;

    async fn call(self, account: &Account) -> Result<Issued> {
        let caller = &account.session.caller;
        let tenant = match (&self.tenant_id, caller.tenant()) {
            (None, None) => auth::named_tenant(account.state(), tenant::DEFAULT_SLUG).await?,
            (named, _) => account.tenant(named.as_deref()).await?,
        };
        let scopes: Scopes = self.scopes.into_iter().collect();
        check_holds(account, scopes)?;
        if let Some(limits) = &self.limits {
            limits.check(caller.is_operator())?;
        }
        let now = account.now();
        let made = Token {
            id: TokenId::random(),
            tenant_id: Some(tenant.tenant.id),
            name: self.name,
            scopes,
            agent: self.agent,
            limits: self.limits,
            created_at: now,
            created_by: account.made_by(),
            expires_at: end(now, self.expires_at.as_deref(), self.expires_in)?,
            revoked_at: None,
            rotated_to: None,
            last_used_at: None,
        };
        let mut tx = account.write().await?;
        check_room(&mut tx, account, tenant.tenant.id).await?;
        let api_token = store_new(&mut tx, &made).await?;
        account.session.reach();
        tx.commit().await?;
        issued(made, &api_token)
    }
}

/// List tokens of a tenant, without the tokens themselves; the operator sees everybody's unless he names a tenant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListTokens {
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Tokens, by id.
#[derive(Serialize, JsonSchema)]
struct Tokens {
    tokens: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListTokens {
    const NAME: &'static str = "tokens_list";
    const TITLE: &'static str = "List tokens";
    const ROUTE: Route = Route::get("/auth/token");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Tokens;

    async fn call(self, account: &Account) -> Result<Tokens> {
        let owner = match &self.tenant_id {
            Some(named) => Some(account.tenant(Some(named)).await?.tenant.id),
            None => account.owner(),
        };
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let after = account.session.open_cursor(self.cursor.as_deref())?;
        let mut tx = account.read().await?;
        let rows = store::tokens::list(&mut tx, owner, after.as_deref(), i64::from(limit) + 1).await?;
        let (rows, next) = page(rows, limit, |token| token.id.to_string());
        Ok(Tokens {
            tokens: rows.into_iter().map(|token| Shown::new(token, account)).collect(),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}

/// Show a token, without the token itself: what it may do, when it ends, when it was last used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetToken {
    /// The token's id, as its issuance answered it.
    id: String,
}

impl Tool for GetToken {
    const NAME: &'static str = "tokens_get";
    const TITLE: &'static str = "Show a token";
    const ROUTE: Route = Route::get("/auth/token/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let mut tx = account.read().await?;
        let token = find(&mut tx, account, &self.id).await?;
        drop(tx);
        Ok(Shown::new(token, account))
    }
}

/// Revoke a token. It is refused everywhere within a second, and so are the applications that were connected with it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeToken {
    /// The token's id, as its issuance answered it.
    id: String,
}

impl Tool for RevokeToken {
    const NAME: &'static str = "tokens_revoke";
    const TITLE: &'static str = "Revoke a token";
    const ROUTE: Route = Route::delete("/auth/token/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let mut tx = account.write().await?;
        let token = find(&mut tx, account, &self.id).await?;
        store::tokens::revoke(&mut tx, token.id, account.now()).await?;
        if let Some(tenant) = token.tenant_id {
            grant::revoke_given_by(&mut tx, tenant, &GrantedBy::Token(token.id), account.now()).await?;
        }
        account.commit(tx, changes::Kind::Token, token.id.to_string()).await?;
        Ok(Done::YES)
    }
}

/// Replace a token by a new one with the same rights. The old one lives on for an overlap, so that its users can change over.
///
/// Applications that were connected by signing in with it go on with the new one; with an overlap of 0, as for a token that leaked, they
/// end with the old one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateToken {
    /// The token's id, as its issuance answered it.
    id: String,
    /// For how many seconds the old token still works; 3600 unless said, 0 ends it at once, and what was connected with it.
    #[schemars(range(min = 0, max = 2_592_000))]
    overlap_secs: Option<u32>,
    /// When the new token ends, as RFC 3339; in 365 days unless said.
    expires_at: Option<String>,
    /// Or how many seconds it lives.
    #[schemars(range(min = 1, max = 315_360_000))]
    expires_in: Option<i64>,
}

impl Tool for RotateToken {
    const NAME: &'static str = "tokens_rotate";
    const TITLE: &'static str = "Rotate a token";
    const ROUTE: Route = Route::post("/auth/token/{id}/rotate").created();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Issued;

    async fn call(self, account: &Account) -> Result<Issued> {
        let now = account.now();
        let mut tx = account.write().await?;
        let old = find(&mut tx, account, &self.id).await?;
        if old.revoked_at.is_some() || old.expires_at <= now {
            return Err(Error::conflict("This token has ended; issue a new one").coded("token_ended"));
        }
        if old.tenant_id.is_none() {
            return Err(
                Error::conflict("A token of the operator is replaced at the console: smartermcp token create --operator")
                    .coded("operator_token"),
            );
        }
        // Whoever rotates a token learns the new one: he must hold what it may do.
        check_holds(account, old.scopes)?;
        if let Some(tenant) = old.tenant_id {
            check_room(&mut tx, account, tenant).await?;
        }
        let made = Token {
            id: TokenId::random(),
            created_at: now,
            created_by: account.made_by(),
            expires_at: end(now, self.expires_at.as_deref(), self.expires_in)?,
            revoked_at: None,
            rotated_to: None,
            last_used_at: None,
            ..old.clone()
        };
        let api_token = store_new(&mut tx, &made).await?;
        let overlap = i64::from(self.overlap_secs.unwrap_or(OVERLAP_SECS)) * 1000;
        store::tokens::rotate(&mut tx, old.id, made.id, old.expires_at.min(now + overlap)).await?;
        if let Some(tenant) = old.tenant_id {
            let (from, to) = (GrantedBy::Token(old.id), GrantedBy::Token(made.id));
            match overlap {
                // As of a token that leaked: whoever had it may have connected something with it.
                0 => grant::revoke_given_by(&mut tx, tenant, &from, now).await?,
                _ => store::grants::hand_over(&mut tx, tenant, &from.to_string(), &to.to_string()).await?,
            }
        }
        account.commit(tx, changes::Kind::Token, old.id.to_string()).await?;
        issued(made, &api_token)
    }
}

/// Issues a token of the operator: at the first start, and at the console of the machine.
pub async fn issue_operators(tx: &mut Tx, now: i64, created_by: &str) -> Result<Zeroizing<String>> {
    let made = Token {
        id: TokenId::random(),
        tenant_id: None,
        name: "operator".to_owned(),
        scopes: [Scope::AdminTenants].into_iter().collect(),
        agent: None,
        limits: None,
        created_at: now,
        created_by: created_by.to_owned(),
        expires_at: now + LONGEST_LIFE_MS,
        revoked_at: None,
        rotated_to: None,
        last_used_at: None,
    };
    store_new(tx, &made).await
}

async fn store_new(tx: &mut Tx, made: &Token) -> Result<Zeroizing<String>> {
    let api_token = token::generate();
    store::tokens::insert(tx, made, &TokenHash::of(&api_token)).await?;
    Ok(api_token)
}

fn issued(made: Token, api_token: &str) -> Result<Issued> {
    Ok(Issued {
        id: made.id,
        api_token: api_token.to_owned(),
        name: made.name,
        tenant_id: made
            .tenant_id
            .ok_or_else(|| Error::internal("a token was issued without a tenant"))?,
        scopes: made.scopes.given().collect(),
        agent: made.agent,
        expires_at: made.expires_at,
    })
}

async fn find(tx: &mut Tx, account: &Account, id: &str) -> Result<Token> {
    let none = || {
        let quoted: String = id.chars().take(64).collect();
        Error::not_found(format!("There is no token '{quoted}'"))
    };
    let parsed = id.parse().map_err(|_| none())?;
    let found = store::tokens::find(tx, account.owner(), parsed).await?.ok_or_else(none)?;
    // The operator's own tokens are managed at the console of the machine.
    if found.tenant_id.is_none() && !account.session.caller.is_operator() {
        return Err(none());
    }
    Ok(found)
}

/// Limits are per token: a tenant that could make them without end would have none.
async fn check_room(tx: &mut Tx, account: &Account, tenant: TenantId) -> Result<()> {
    let by_operator = account.session.caller.is_operator();
    if !by_operator && store::tokens::count_live(tx, tenant, account.now()).await? >= MOST_TOKENS {
        return Err(Error::conflict(format!(
            "This tenant has {MOST_TOKENS} tokens that work; revoke some, or ask the operator for more"
        ))
        .coded("too_many_tokens"));
    }
    Ok(())
}

/// Nobody gives what he does not hold, the operator excepted.
pub(super) fn check_holds(account: &Account, scopes: Scopes) -> Result<()> {
    let caller = &account.session.caller;
    if caller.is_operator() {
        return Ok(());
    }
    let lacking: Vec<_> = scopes
        .given()
        .filter(|scope| !caller.scopes().grant(*scope))
        .map(Scope::name)
        .collect();
    match lacking.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(
            Kind::Forbidden,
            format!("scopes: you cannot give {}, which your own token does not hold", lacking.join(", ")),
        )
        .coded("scope_not_held")
        .lacking(first)),
    }
}

/// When a token ends.
fn end(now: i64, at: Option<&str>, in_secs: Option<i64>) -> Result<i64> {
    let end = match (at, in_secs) {
        (Some(_), Some(_)) => return Err(Error::invalid("expires_at, expires_in: give one of them")),
        (None, None) => now + LIFE_MS,
        (None, Some(seconds)) => now.saturating_add(seconds.saturating_mul(1000)),
        (Some(text), None) => text
            .parse::<Timestamp>()
            .map_err(|_| {
                Error::invalid(format!(
                    "expires_at: '{text}' is no RFC 3339 time; write it like 2027-12-31T23:59:59Z"
                ))
            })?
            .as_millisecond(),
    };
    if end <= now {
        return Err(Error::invalid("expires_at: lies in the past"));
    }
    if end > now + LONGEST_LIFE_MS {
        return Err(Error::invalid(format!(
            "expires_at: must be before {}",
            clock::rfc3339(now + LONGEST_LIFE_MS)
        )));
    }
    Ok(end)
}
