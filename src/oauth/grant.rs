//! Grants: the connected applications of a tenant, and what each may do.
//!
//! Who grants is the holder of a token, or a member: what he may do himself bounds what he can give, at the time and afterwards. A
//! grant whose giver has gone goes with him.

use std::{fmt, str::FromStr, sync::Arc};

use url::Url;

use super::{
    code, refresh,
    request::{self, Asked},
};
use crate::{
    auth::{Agent, KnownTenant, Scopes},
    config,
    error::{Error, Kind, Result},
    id::{self, TenantId, TokenId},
    limits::Custom,
    state::State,
    store::{
        self, Reach, Tx,
        audit::{Entry, Outcome},
        changes,
        grants::Row,
    },
    tenant::Status,
};

/// The longest life of a grant, in milliseconds: 90 days.
pub const LIFE_MS: i64 = 90 * 24 * 3600 * 1000;
/// Applications that one giver may have connected at a time.
const MOST: i64 = 50;

/// Who has granted, as it is stored: `token/<id>` or `member/<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedBy {
    Token(TokenId),
    Member(String),
}

impl fmt::Display for GrantedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrantedBy::Token(id) => write!(f, "token/{id}"),
            GrantedBy::Member(id) => write!(f, "member/{id}"),
        }
    }
}

impl GrantedBy {
    /// As the audit has it: a token by its id alone, as with its own calls.
    pub(super) fn audited(&self) -> String {
        match self {
            GrantedBy::Token(id) => id.to_string(),
            GrantedBy::Member(_) => self.to_string(),
        }
    }
}

impl FromStr for GrantedBy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some(("token", id)) => TokenId::stored(id).map(GrantedBy::Token),
            Some(("member", id)) => Ok(GrantedBy::Member(id.to_owned())),
            _ => Err(Error::internal(format!("a grant was stored as given by {text:?}"))),
        }
    }
}

/// Somebody who can grant for a tenant, and the most that he can.
#[derive(Clone, Debug)]
pub struct Grantor {
    pub tenant: Arc<KnownTenant>,
    pub by: GrantedBy,
    /// The token's name, or the e-mail address.
    pub name: String,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    /// When what he grants ends at the latest, epoch milliseconds.
    pub until: i64,
}

impl Grantor {
    /// Of what is asked, what he can give.
    pub fn can_give(&self, asked: Scopes) -> Scopes {
        within(asked, self.scopes)
    }
}

/// Of these scopes those that others grant.
pub fn within(scopes: Scopes, most: Scopes) -> Scopes {
    scopes.given().filter(|scope| most.grant(*scope)).collect()
}

/// Allows an application what it asks, as far as `scopes` go, and answers where the browser goes with the code.
///
/// # Errors
/// 403 for scopes that were not asked for or cannot be given; 409 for one application too many.
pub async fn allow(state: &State, asked: &Asked, grantor: &Grantor, scopes: Scopes) -> Result<Url> {
    let given = within(within(scopes, asked.scopes), grantor.scopes);
    if given != scopes || scopes.given().next().is_none() {
        return Err(Error::new(Kind::Forbidden, "These scopes were not asked for, or you do not hold them").coded("scope_not_held"));
    }
    let tenant = grantor.tenant.tenant.id;
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    if has_too_many(&mut tx, tenant, &grantor.by, now).await? {
        tx.undo().await?;
        return Err(Error::conflict(format!(
            "{MOST} applications are connected already; disconnect some at /oauth/applications first"
        ))
        .coded("too_many_applications"));
    }
    let code = code::make(&mut tx, asked, grantor, scopes, now).await?;
    if !asked.client.metadata {
        store::oauth_clients::touch(&mut tx, &asked.client.id, now).await?;
    }
    tx.commit().await?;
    tracing::info!(
        tenant = %tenant,
        granted_by = %grantor.by,
        client = asked.client.id,
        scopes = scopes.stored(),
        "an application was allowed"
    );
    Ok(request::back(
        state,
        asked.redirect_uri.clone(),
        asked.state.as_deref(),
        &[("code", &*code)],
    ))
}

/// Whether one giver has connected as many applications as he may. One that was idle for so long that it cannot come back counts no
/// more: clients that lose what they stored connect anew each time.
pub(super) async fn has_too_many(tx: &mut Tx, tenant: TenantId, by: &GrantedBy, now: i64) -> Result<bool> {
    Ok(store::grants::count_live(tx, tenant, &by.to_string(), now, now - refresh::IDLE_MS).await? >= MOST)
}

/// Where the browser goes when the member refuses.
pub fn deny(state: &State, asked: &Asked) -> Url {
    let answer = [("error", "access_denied"), ("error_description", "the member refused")];
    request::back(state, asked.redirect_uri.clone(), asked.state.as_deref(), &answer)
}

/// The applications that one has connected, or all of a tenant's; at most 200.
pub async fn list(state: &State, tenant: TenantId, by: Option<&GrantedBy>) -> Result<Vec<Row>> {
    let by = by.map(ToString::to_string);
    let mut tx = state.store.read(Reach::Tenant(tenant)).await?;
    store::grants::list(&mut tx, tenant, by.as_deref(), state.clock.millis(), "", 200).await
}

/// What the audit calls a connected application, beside the tools' names.
pub const CONNECTED: &str = "applications_connect";
/// What the audit calls a revocation, whether by this tool or on the page.
pub const REVOKED: &str = "applications_revoke";

/// Who takes an application's access away.
#[derive(Clone, Copy, Debug)]
pub enum Taker<'a> {
    /// Whoever called the tool; its call has an audit entry of its own.
    Tool,
    /// Its giver, on the page.
    Giver(&'a GrantedBy),
    /// The application itself.
    Application,
    /// The gateway, because a code or a refresh token came a second time.
    Gateway,
}

/// Takes an application's access away. Whether it had any.
pub async fn revoke(state: &State, tx: &mut Tx, tenant: TenantId, id: TokenId, taker: Taker<'_>) -> Result<bool> {
    let now = state.clock.millis();
    // First what every change holds, then the grant, as the account's tools do: else two would wait for each other.
    store::meta::lock(tx).await?;
    let had = store::grants::revoke(tx, tenant, id, now).await?;
    if had {
        let subject = id.to_string();
        changes::record(tx, changes::Kind::Grant, &subject, now).await?;
        let who = match taker {
            Taker::Tool => None,
            Taker::Giver(by) => Some(by.audited()),
            Taker::Application => Some(subject.clone()),
            Taker::Gateway => Some("gateway".to_owned()),
        };
        if let Some(who) = who {
            note(state, tx, tenant, REVOKED, who, &[&subject]).await?;
        }
        tracing::info!(%tenant, grant = %id, taker = ?taker, "an application's access was taken away");
    }
    Ok(had)
}

/// Notes in the audit, in the transaction that does it, what became of a grant by no tool: no call goes through the dispatch there.
pub(super) async fn note(state: &State, tx: &mut Tx, tenant: TenantId, what: &'static str, who: String, about: &[&str]) -> Result<()> {
    let entry = Entry {
        tenant: tenant.to_string(),
        id: id::ordered().to_string(),
        at: state.clock.millis(),
        token: who,
        agent: None,
        tool: what,
        door: "oauth",
        arguments_hash: config::hex(&state.secrets.hash("arguments", about.join("\n").as_bytes())[..16]).to_string(),
        outcome: Outcome::Done {
            status: 200,
            error: None,
            duration_ms: 0,
        },
    };
    store::audit::insert(tx, &[entry]).await
}

/// Takes away all that one giver has granted, in the transaction that takes him away.
pub async fn revoke_given_by(tx: &mut Tx, tenant: TenantId, by: &GrantedBy, now: i64) -> Result<()> {
    for id in store::grants::revoke_given_by(tx, tenant, &by.to_string(), now).await? {
        changes::record(tx, changes::Kind::Grant, &id.to_string(), now).await?;
    }
    Ok(())
}

/// What a giver may do now.
#[derive(Debug)]
pub struct Giver {
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    /// When he ends, epoch milliseconds.
    pub until: i64,
}

/// Whether somebody who has granted may still do so: his token works, or he is still a member, and the tenant is active.
pub async fn giver(tx: &mut Tx, tenant: TenantId, by: &GrantedBy, now: i64) -> Result<Option<Giver>> {
    let active = store::tenants::find(tx, tenant)
        .await?
        .is_some_and(|tenant| tenant.status == Status::Active);
    if !active {
        return Ok(None);
    }
    match by {
        GrantedBy::Token(id) => {
            let token = store::tokens::find(tx, Some(tenant), *id).await?;
            Ok(token
                .filter(|token| token.revoked_at.is_none() && token.expires_at > now)
                .map(|token| Giver {
                    scopes: token.scopes,
                    agent: token.agent,
                    limits: token.limits,
                    until: token.expires_at,
                }))
        }
        GrantedBy::Member(id) => {
            let scopes = store::grants::member_scopes(tx, tenant, id).await?;
            Ok(scopes.map(|scopes| Giver {
                scopes,
                agent: None,
                limits: None,
                until: i64::MAX,
            }))
        }
    }
}
