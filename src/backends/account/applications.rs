//! Connected applications: what a tenant's members have granted, and its end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment, optional_moment, page};
use crate::{
    auth::{Agent, Scope},
    error::{Error, Result},
    id::{TenantId, TokenId},
    oauth::grant::{self, Taker},
    store::{self, changes, grants::Row},
    tool::{Category, Definition, Route, Tool, output::Done, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListApplications>(), tool::<RevokeApplication>()]
}

/// An application that was connected on the sign-in page.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// What the audit and usage call its calls by.
    id: TokenId,
    tenant_id: TenantId,
    /// What it calls itself.
    client_name: String,
    client_id: String,
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Agent>,
    /// Who allowed it: `token/` and the token's id, or `member/` and the member's.
    granted_by: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    /// When it ends, unless it is revoked before.
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    expires_at: i64,
    /// When it was last used, within half a minute.
    #[serde(serialize_with = "optional_moment")]
    #[schemars(with = "Option<String>")]
    last_used_at: Option<i64>,
}

impl From<Row> for Shown {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            client_name: row.client_name,
            client_id: row.client_id,
            scopes: row.scopes.given().collect(),
            agent: row.agent,
            granted_by: row.granted_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.used_at,
        }
    }
}

/// List the applications that are connected to a tenant, whoever allowed them: their names, scopes, and when they were last used.
///
/// Example: `{"limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListApplications {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

/// Connected applications, by id.
#[derive(Serialize, JsonSchema)]
struct Applications {
    applications: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListApplications {
    const NAME: &'static str = "applications_list";
    const TITLE: &'static str = "List connected applications";
    const ROUTE: Route = Route::get("/applications");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Applications;

    async fn call(self, account: &Account) -> Result<Applications> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let after = account.session.open_cursor(self.cursor.as_deref())?.unwrap_or_default();
        let mut tx = account.read().await?;
        let rows = store::grants::list(&mut tx, tenant, None, account.now(), &after, i64::from(limit) + 1).await?;
        let (rows, next) = page(rows, limit, |row| row.id.to_string());
        Ok(Applications {
            applications: rows.into_iter().map(Shown::from).collect(),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}

/// Take a connected application's access away. It is refused everywhere within a second, and can ask its member again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevokeApplication {
    /// The application's id, as `applications_list` answers it.
    id: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for RevokeApplication {
    const NAME: &'static str = "applications_revoke";
    const TITLE: &'static str = "Revoke a connected application";
    const ROUTE: Route = Route::delete("/applications/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let none = || Error::not_found("id: this tenant has no such application connected");
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let id = self.id.parse().map_err(|_| none())?;
        let mut tx = account.write().await?;
        if !grant::revoke(account.state(), &mut tx, tenant, id, Taker::Tool).await? {
            return Err(none());
        }
        account.store(tx).await?;
        account.forget(changes::Kind::Grant, id.to_string()).await;
        Ok(Done::YES)
    }
}
