//! Audit entries, as their tenant reads them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment, page};
use crate::{
    auth::Scope,
    error::{Error, Result},
    oauth::grant,
    store::{self, Reach},
    tool::{Category, Definition, Route, Tool, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListAudit>()]
}

/// List a tenant's audit entries, newest first: who called which tool, with what outcome. Arguments are kept as a hash only.
///
/// An entry that stays `open` is a write whose process died in the middle.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListAudit {
    /// The tenant, by id or slug; the caller's own unless said. The operator who names none sees his own calls.
    tenant_id: Option<String>,
    /// Only calls of this tool, e.g. `workflows_trigger`; `applications_connect` for what members have connected by signing in.
    tool: Option<String>,
    /// Only calls with this outcome.
    outcome: Option<Outcome>,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// How a call stands.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Open,
    Ok,
    Failed,
}

/// Audit entries, newest first.
#[derive(Serialize, JsonSchema)]
struct Entries {
    entries: Vec<Entry>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One call.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// The request's id, as its answer's `X-Request-Id` had it; those of sign-in have one of their own.
    id: String,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    at: i64,
    /// The id of the token or connected application that called, `member/` and a member's id, `gateway`, or the operator.
    token: String,
    agent: Option<String>,
    tool: String,
    /// mcp, rest, console, or oauth: sign-in and the list of connected applications.
    door: String,
    /// A keyed hash: equal arguments have equal ones.
    arguments_hash: String,
    /// open, ok or failed.
    outcome: String,
    /// The HTTP status that REST has or would have.
    status: Option<i64>,
    error: Option<String>,
    duration_ms: Option<i64>,
}

impl Tool for ListAudit {
    const NAME: &'static str = "audit_list";
    const TITLE: &'static str = "List audit entries";
    const ROUTE: Route = Route::get("/audit");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Entries;

    async fn call(self, account: &Account) -> Result<Entries> {
        let tenant = match &self.tenant_id {
            Some(named) => account.tenant(Some(named)).await?.tenant.id.to_string(),
            None => account.session.caller.audit_tenant(),
        };
        let is_known = |name: &str| name == grant::CONNECTED || account.state().catalogue.find(name).is_some();
        if let Some(name) = self.tool.as_deref().filter(|name| !is_known(name)) {
            return Err(Error::invalid(format!("tool: there is no tool '{name}'")));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let before = account.session.open_cursor(self.cursor.as_deref())?;
        // What was done before this call is to be seen by it.
        account.state().audit.flush().await;
        let mut tx = account.state().store.list(Reach::of(&tenant)).await?;
        let outcome = self.outcome.map(|outcome| match outcome {
            Outcome::Open => "open",
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
        });
        let rows = store::audit::list(
            &mut tx,
            &tenant,
            before.as_deref(),
            self.tool.as_deref(),
            outcome,
            i64::from(limit) + 1,
        )
        .await?;
        let (rows, next) = page(rows, limit, |entry| entry.id.clone());
        Ok(Entries {
            entries: rows
                .into_iter()
                .map(|entry| Entry {
                    id: entry.id,
                    at: entry.at,
                    token: entry.token,
                    agent: entry.agent,
                    tool: entry.tool,
                    door: entry.door,
                    arguments_hash: entry.arguments_hash,
                    outcome: entry.outcome,
                    status: entry.status,
                    error: entry.error,
                    duration_ms: entry.duration_ms,
                })
                .collect(),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}
