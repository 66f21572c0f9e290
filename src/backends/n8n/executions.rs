//! Executions: how a run of a workflow stands, and what came out of it.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::client::{N8n, id};
use crate::{
    auth::Scope,
    backends::client::shortened,
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<WorkflowStatus>()]
}

/// Show how an execution of a workflow stands, with its output once it has ended.
///
/// Example: `{"execution_id": "1042"}`, with the id that `workflows_trigger` gave. While the status is `running`, ask again later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WorkflowStatus {
    /// The execution, as `workflows_trigger` or `workflows_list` named it, e.g. `1042`, or an alias that the connection gives it.
    #[schemars(length(min = 1, max = 64))]
    execution_id: String,
}

/// How an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Running,
    Completed,
    Failed,
    /// It waits for a time, a form or an approval.
    Waiting,
}

impl Status {
    /// n8n's word for it.
    pub(super) fn of(status: Option<&str>) -> Self {
        match status {
            Some("success") => Status::Completed,
            Some("error" | "crashed" | "canceled") => Status::Failed,
            Some("waiting") => Status::Waiting,
            _ => Status::Running,
        }
    }
}

/// An execution.
#[derive(Serialize, JsonSchema)]
struct Execution {
    execution_id: String,
    workflow_id: String,
    status: Status,
    started_at: Option<String>,
    /// When it ended; null while it has not.
    finished_at: Option<String>,
    /// What its last node gave: one item as it is, several as a list.
    output: Option<Value>,
    /// Why it failed.
    error: Option<String>,
}

/// An execution as n8n has it. Its data holds the secrets of webhooks (their headers): only what is named here is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    #[serde(deserialize_with = "id")]
    pub(super) workflow_id: String,
    pub(super) status: Option<String>,
    pub(super) started_at: Option<String>,
    #[serde(default)]
    stopped_at: Option<String>,
    #[serde(default)]
    pub(super) data: Option<RawData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawData {
    #[serde(default)]
    pub(super) result_data: Option<ResultData>,
    #[serde(default)]
    pub(super) execution_data: Option<ExecutionData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultData {
    #[serde(default)]
    pub(super) run_data: HashMap<String, Box<RawValue>>,
    #[serde(default)]
    last_node_executed: Option<String>,
    #[serde(default)]
    error: Option<RawError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecutionData {
    #[serde(default)]
    pub(super) node_execution_stack: Vec<Run>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    message: Option<String>,
}

/// One run of a node: what it gave, by output and item.
#[derive(Deserialize)]
pub(super) struct Run {
    #[serde(default)]
    data: Option<RunData>,
}

#[derive(Deserialize)]
struct RunData {
    #[serde(default)]
    main: Vec<Option<Vec<Item>>>,
}

#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(default)]
    pub(super) json: Value,
}

impl Run {
    /// The first item of the first output that has one.
    pub(super) fn first(&self) -> Option<&Item> {
        self.data.as_ref()?.main.iter().flatten().flatten().next()
    }

    pub(super) fn items(self) -> impl Iterator<Item = Item> {
        self.data.into_iter().flat_map(|data| data.main).flatten().flatten()
    }
}

impl Tool for WorkflowStatus {
    const NAME: &'static str = "workflows_status";
    const TITLE: &'static str = "Execution status";
    const ROUTE: Route = Route::get("/workflows/executions/{execution_id}");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = N8n;
    type Output = Execution;

    async fn call(self, n8n: &N8n) -> Result<Execution> {
        let raw = find(n8n, n8n.http.connection().resolve(&self.execution_id)).await?;
        let status = Status::of(raw.status.as_deref());
        let result = raw.data.and_then(|data| data.result_data);
        let (output, error) = match (status, result) {
            (Status::Completed | Status::Waiting, Some(result)) => (output(&result), None),
            (Status::Failed, Some(result)) => (None, result.error.and_then(|error| error.message).map(|words| shortened(&words))),
            _ => (None, None),
        };
        Ok(Execution {
            execution_id: raw.id,
            workflow_id: raw.workflow_id,
            status,
            started_at: raw.started_at,
            // n8n notes the moment of a pause in the same field.
            finished_at: raw.stopped_at.filter(|_| matches!(status, Status::Completed | Status::Failed)),
            output,
            error: error.or_else(|| (status == Status::Failed).then(|| "n8n does not say why".to_owned())),
        })
    }
}

/// An execution with its data.
pub(super) async fn find(n8n: &N8n, execution: &str) -> Result<Raw> {
    let number = execution.len() <= 20 && execution.bytes().all(|byte| byte.is_ascii_digit());
    if !number || execution.bytes().all(|byte| byte == b'0') {
        let quoted: String = execution.chars().take(64).collect();
        return Err(Error::not_found(format!(
            "execution_id: '{quoted}' is no execution of n8n; its ids are numbers such as 1042"
        )));
    }
    n8n.read(&format!("/api/v1/executions/{execution}"), &[("includeData", "true")])
        .await
}

/// What the last node gave in its last run.
fn output(result: &ResultData) -> Option<Value> {
    let runs = result.run_data.get(result.last_node_executed.as_ref()?)?;
    let runs: Vec<Run> = serde_json::from_str(runs.get()).ok()?;
    let mut items: Vec<Value> = runs
        .into_iter()
        .next_back()?
        .items()
        .map(|item| without_headers(item.json))
        .collect();
    match items.len() {
        0 => None,
        1 => items.pop(),
        _ => Some(Value::Array(items)),
    }
}

/// The item of a webhook node holds the request's headers, its secret among them.
fn without_headers(mut item: Value) -> Value {
    if let Some(object) = item.as_object_mut()
        && object.contains_key("webhookUrl")
        && object.contains_key("executionMode")
    {
        object.remove("headers");
        object.remove("webhookUrl");
        object.remove("executionMode");
    }
    item
}
