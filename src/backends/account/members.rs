//! Members: people whom a tenant invites by e-mail address, to sign in by the operator's OpenID provider and connect applications.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Account, moment, page, tokens::check_holds};
use crate::{
    auth::Scope,
    error::{Error, Result},
    id::TenantId,
    oauth::{
        grant::{self, GrantedBy},
        sign_in::normal_email,
    },
    store::{self, members::Member},
    tool::{Category, Definition, Route, Tool, output::Done, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<InviteMember>(), tool::<ListMembers>(), tool::<RemoveMember>()]
}

/// Members that a tenant may have.
const MOST: i64 = 1000;

/// A member.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: String,
    tenant_id: TenantId,
    email: String,
    /// The most that this member can allow an application.
    scopes: Vec<Scope>,
    /// invited, or joined from the first sign-in on.
    status: &'static str,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    created_by: String,
}

impl From<Member> for Shown {
    fn from(member: Member) -> Self {
        Self {
            status: if member.subject.is_some() { "joined" } else { "invited" },
            id: member.id,
            tenant_id: member.tenant_id,
            email: member.email,
            scopes: member.scopes.given().collect(),
            created_at: member.created_at,
            created_by: member.created_by,
        }
    }
}

/// Invite somebody by e-mail address to sign in and connect applications of his own to the tenant. No message is sent.
///
/// The first account of the operator's OpenID provider that has this address, verified, takes the invitation; no other can afterwards.
/// Nobody invites to scopes that he does not hold himself. Example: `{"email": "ana@luna.cl", "scopes": ["read:crm", "read:analytics"]}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InviteMember {
    /// The address that the person has at the OpenID provider, e.g. `ana@luna.cl`.
    #[schemars(length(min = 3, max = 254))]
    email: String,
    /// The most that he may allow an application; a `write:` scope includes its `read:` twin. Not `admin:tenants`.
    #[schemars(length(min = 1, max = 11))]
    scopes: Vec<Scope>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for InviteMember {
    const NAME: &'static str = "members_invite";
    const TITLE: &'static str = "Invite a member";
    const ROUTE: Route = Route::post("/members").created();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let tenant_id = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let email = normal_email(&self.email).ok_or_else(|| Error::invalid("email: is no e-mail address; write it like ana@luna.cl"))?;
        if self.scopes.contains(&Scope::AdminTenants) {
            return Err(Error::invalid(
                "scopes: admin:tenants is not for members; whoever administers the tenant has a token for it",
            ));
        }
        let scopes = self.scopes.into_iter().collect();
        check_holds(account, scopes)?;
        let mut tx = account.write().await?;
        if store::members::count(&mut tx, tenant_id).await? >= MOST {
            return Err(Error::conflict(format!("This tenant has {MOST} members; remove some")).coded("too_many_members"));
        }
        let made = Member {
            tenant_id,
            id: Uuid::new_v4().to_string(),
            email,
            scopes,
            issuer: None,
            subject: None,
            created_at: account.now(),
            created_by: account.made_by(),
        };
        if !store::members::insert(&mut tx, &made).await? {
            return Err(
                Error::conflict("email: this address is invited already; remove that member first to invite anew").coded("already_invited"),
            );
        }
        account.store(tx).await?;
        Ok(made.into())
    }
}

/// List a tenant's members: who is invited, who has joined, and the most that each can allow an application.
///
/// Example: `{"limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListMembers {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

/// Members, by id.
#[derive(Serialize, JsonSchema)]
struct Members {
    members: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListMembers {
    const NAME: &'static str = "members_list";
    const TITLE: &'static str = "List members";
    const ROUTE: Route = Route::get("/members");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Members;

    async fn call(self, account: &Account) -> Result<Members> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let after = account.session.open_cursor(self.cursor.as_deref())?.unwrap_or_default();
        let mut tx = account.read().await?;
        let rows = store::members::list(&mut tx, tenant, &after, i64::from(limit) + 1).await?;
        let (rows, next) = page(rows, limit, |member| member.id.clone());
        Ok(Members {
            members: rows.into_iter().map(Shown::from).collect(),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}

/// Remove a member, invited or joined. The applications that he has connected lose their access within a second.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveMember {
    /// The member's id, as `members_list` answers it.
    id: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for RemoveMember {
    const NAME: &'static str = "members_remove";
    const TITLE: &'static str = "Remove a member";
    const ROUTE: Route = Route::delete("/members/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let mut tx = account.write().await?;
        if !store::members::remove(&mut tx, tenant, &self.id).await? {
            return Err(Error::not_found("id: this tenant has no such member"));
        }
        grant::revoke_given_by(&mut tx, tenant, &GrantedBy::Member(self.id), account.now()).await?;
        account.store(tx).await?;
        Ok(Done::YES)
    }
}
