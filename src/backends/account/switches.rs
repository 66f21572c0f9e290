//! Kill switches: the operator turns off a tenant, a backend, a tool, or any pairing of them, at once and everywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment};
use crate::{
    auth::Scope,
    error::{Error, Result},
    id::{self, TenantId},
    store::{self, changes},
    tool::{Category, Definition, Route, Tool, output::Done, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<CreateSwitch>(), tool::<ListSwitches>(), tool::<RemoveSwitch>()]
}

/// Something that is switched off.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: String,
    /// Null: for every tenant.
    tenant_id: Option<TenantId>,
    /// Null: for every backend.
    backend: Option<String>,
    /// Null: for every tool.
    tool: Option<String>,
    reason: String,
    created_by: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
}

impl From<store::switches::Switch> for Shown {
    fn from(switch: store::switches::Switch) -> Self {
        Self {
            id: switch.id,
            tenant_id: switch.tenant_id,
            backend: switch.backend,
            tool: switch.tool,
            reason: switch.reason,
            created_by: switch.created_by,
            created_at: switch.created_at,
        }
    }
}

/// Switch off a tool, a backend, a tenant, or what several of them name together. Only the operator may.
///
/// Calls are refused with the reason until `switches_remove`. Example: `{"backend": "n8n", "reason": "n8n is being upgraded"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateSwitch {
    /// Only for this tenant, by id or slug; for all unless said.
    tenant_id: Option<String>,
    /// Only for tools of this backend, e.g. `n8n`.
    backend: Option<String>,
    /// Only for this tool, e.g. `workflows_trigger`.
    tool: Option<String>,
    /// What callers are told.
    #[schemars(length(min = 1, max = 200))]
    reason: String,
}

impl Tool for CreateSwitch {
    const NAME: &'static str = "switches_create";
    const TITLE: &'static str = "Switch something off";
    const ROUTE: Route = Route::post("/switches").created().destroys();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        account.need_operator("use kill switches")?;
        let tenant_id = match &self.tenant_id {
            Some(named) => Some(account.tenant(Some(named)).await?.tenant.id),
            None => account.owner(),
        };
        if tenant_id.is_none() && self.backend.is_none() && self.tool.is_none() {
            return Err(Error::invalid(
                "Name at least one of tenant_id, backend and tool: a switch for everything would switch itself off",
            ));
        }
        if let Some(name) = &self.tool {
            match account.state().catalogue.find(name) {
                None => return Err(Error::invalid(format!("tool: there is no tool '{name}'"))),
                Some(tool) if tool.category == Category::Account && tenant_id.is_none() => {
                    return Err(Error::invalid(
                        "tool: tools of the account cannot be switched off for everybody, or nobody could switch them on again",
                    ));
                }
                Some(_) => {}
            }
        }
        if let Some(name) = &self.backend {
            account.state().connections.kind(name)?;
        }
        let switch = store::switches::Switch {
            id: id::ordered().to_string(),
            tenant_id,
            backend: self.backend,
            tool: self.tool,
            reason: self.reason,
            created_at: account.now(),
            created_by: account.made_by(),
        };
        let mut tx = account.write().await?;
        store::switches::insert(&mut tx, &switch).await?;
        account.commit(tx, changes::Kind::Switch, switch.id.clone()).await?;
        Ok(switch.into())
    }
}

/// List what is switched off. Only the operator may.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListSwitches {}

/// What is switched off.
#[derive(Serialize, JsonSchema)]
struct Switches {
    switches: Vec<Shown>,
}

impl Tool for ListSwitches {
    const NAME: &'static str = "switches_list";
    const TITLE: &'static str = "List what is switched off";
    const ROUTE: Route = Route::get("/switches");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Switches;

    async fn call(self, account: &Account) -> Result<Switches> {
        account.need_operator("see kill switches")?;
        let mut tx = account.read().await?;
        let rows = store::switches::list_all(&mut tx).await?;
        Ok(Switches {
            switches: rows.into_iter().map(Shown::from).collect(),
        })
    }
}

/// Switch something on again. Only the operator may.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveSwitch {
    /// The switch's id, as `switches_list` shows it.
    id: String,
}

impl Tool for RemoveSwitch {
    const NAME: &'static str = "switches_remove";
    const TITLE: &'static str = "Switch something on again";
    const ROUTE: Route = Route::delete("/switches/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        account.need_operator("use kill switches")?;
        let mut tx = account.write().await?;
        if !store::switches::remove(&mut tx, &self.id).await? {
            return Err(Error::not_found("There is no such switch"));
        }
        account.commit(tx, changes::Kind::Switch, self.id).await?;
        Ok(Done::YES)
    }
}
