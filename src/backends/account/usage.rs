//! Usage: what a tenant has used of its plan this month.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment};
use crate::{
    auth::{KnownTenant, Scope},
    error::Result,
    limits::quota::Meter,
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GetUsage>()]
}

/// Show what a tenant has used of its plan in the current calendar month, and what is left.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetUsage {
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

/// Usage of the current month.
#[derive(Serialize, JsonSchema)]
pub struct Usage {
    plan: String,
    /// The calendar month in the tenant's time zone, e.g. `2026-11`.
    month: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    month_ends_at: i64,
    meters: Vec<Used>,
}

/// One meter.
#[derive(Serialize, JsonSchema)]
pub struct Used {
    /// `api_calls`, workflows (executions) or `code_generations`.
    meter: &'static str,
    used: i64,
    /// Null: no limit.
    quota: Option<i64>,
    /// Null: no limit.
    left: Option<i64>,
}

impl Usage {
    pub fn of(known: &KnownTenant, now: i64) -> Self {
        let (month, month_ends_at) = known.usage.month(now);
        Self {
            plan: known.plan.name.clone(),
            month,
            month_ends_at,
            meters: Meter::ALL
                .into_iter()
                .map(|meter| {
                    let (used, quota) = (known.usage.used(meter, now), meter.quota(&known.plan));
                    Used {
                        meter: meter.name(),
                        used,
                        quota,
                        left: quota.map(|quota| (quota - used).max(0)),
                    }
                })
                .collect(),
        }
    }
}

impl Tool for GetUsage {
    const NAME: &'static str = "usage_get";
    const TITLE: &'static str = "Show usage";
    const ROUTE: Route = Route::get("/usage");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Usage;

    async fn call(self, account: &Account) -> Result<Usage> {
        let known = account.tenant(self.tenant_id.as_deref()).await?;
        known.usage.refresh(&account.state().store, account.now()).await?;
        Ok(Usage::of(&known, account.now()))
    }
}
