//! Usage: what a tenant has used of its plan this month, and what each of its tokens called by day.

use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment, page};
use crate::{
    auth::{KnownTenant, Scope},
    error::{Error, Result},
    limits::quota::Meter,
    store::{self, Reach},
    tool::{Category, Definition, Route, Tool, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GetUsage>()]
}

/// Show what a tenant has used of its plan in the current calendar month, and what is left; and by day, token and tool how many
/// calls those were. Days are kept for 400 days.
///
/// Example: `{"from": "2026-11-01", "to": "2026-11-15"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetUsage {
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
    /// The first day, in the tenant's time zone, e.g. `2026-11-01`; the first of the current month unless said.
    #[schemars(length(min = 10, max = 10))]
    from: Option<String>,
    /// The last day, e.g. `2026-11-15`; today unless said.
    #[schemars(length(min = 10, max = 10))]
    to: Option<String>,
    /// How many lines of `days` at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same `from` and `to`; leave it out for the first page.
    cursor: Option<String>,
}

/// Usage of the current month, and by day.
#[derive(Serialize, JsonSchema)]
pub struct Usage {
    plan: String,
    /// The calendar month in the tenant's time zone, e.g. `2026-11`.
    month: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    month_ends_at: i64,
    meters: Vec<Used>,
    /// The calls that the plan counts, by day, token and tool. What another replica counted in the last seconds may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<Vec<Day>>,
    /// Pass it as `cursor` for the next page of `days`; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
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

/// What one token called of one tool on one day.
#[derive(Serialize, JsonSchema)]
pub struct Day {
    /// In the tenant's time zone, e.g. `2026-11-21`.
    day: String,
    /// The token's id.
    token_id: String,
    tool: String,
    calls: i64,
}

impl Usage {
    /// What is used of the plan, without the days.
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
            days: None,
            next_cursor: None,
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
        let (store, now) = (&account.state().store, account.now());
        let today = known.usage.days.today(now);
        let from = day("from", self.from.as_deref())?.unwrap_or_else(|| today.first_of_month());
        let to = day("to", self.to.as_deref())?.unwrap_or(today);
        if to < from {
            return Err(Error::invalid(format!("to: {to} is before the first day, {from}")));
        }
        let (from, to) = (from.to_string(), to.to_string());
        let position = account.session.open_cursor(self.cursor.as_deref())?.unwrap_or_default();
        let mut after = position.splitn(3, ' ');
        let mut next = || after.next().unwrap_or_default();
        let after = (next(), next(), next());
        // What was called before this call is to be seen by it. In a task of its own: a client that goes away in the middle of a commit
        // would have it counted twice.
        let written = {
            let (usage, store) = (Arc::clone(&known.usage), store.clone());
            tokio::spawn(async move { store::in_time(usage.flush(&store, now)).await })
        };
        written.await.map_err(Error::internal)??;
        known.usage.refresh(store, now).await?;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let tenant = known.tenant.id;
        let mut tx = store.list(Reach::Tenant(tenant)).await?;
        let rows = store::usage_days::list(&mut tx, tenant, &from, &to, after, i64::from(limit) + 1).await?;
        drop(tx);
        let (rows, next) = page(rows, limit, |row| format!("{} {} {}", row.day, row.token, row.tool));
        let days = rows.into_iter().map(|row| Day {
            day: row.day,
            token_id: row.token,
            tool: row.tool,
            calls: row.calls,
        });
        Ok(Usage {
            days: Some(days.collect()),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
            ..Usage::of(&known, now)
        })
    }
}

fn day(field: &str, text: Option<&str>) -> Result<Option<Date>> {
    text.map(str::parse)
        .transpose()
        .map_err(|_| Error::invalid(format!("{field}: must be a day, e.g. 2026-11-01")))
}
