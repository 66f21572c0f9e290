//! Workflows: which there are, and new ones.

use std::collections::HashMap;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::client::{N8n, id, segment};
use crate::{
    auth::Scope,
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListWorkflows>(), tool::<CreateWorkflow>()]
}

/// List the tenant's n8n workflows, to find the id or name that `workflows_trigger` takes.
///
/// Example: `{"active": true, "tags": ["automation"]}` lists the workflows that run and carry that tag.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListWorkflows {
    /// true: only workflows that are active; false: only those that are not.
    active: Option<bool>,
    /// Only workflows that carry all of these tags, e.g. `["automation"]`.
    #[schemars(length(max = 20))]
    tags: Option<Vec<String>>,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Workflows, by id.
#[derive(Serialize, JsonSchema)]
struct Workflows {
    workflows: Vec<Workflow>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Fields that n8n would not tell, and that are null for that reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

/// A workflow of n8n.
#[derive(Serialize, JsonSchema)]
struct Workflow {
    id: String,
    name: String,
    active: bool,
    tags: Vec<String>,
    nodes_count: usize,
    /// The latest execution among the tenant's last 250.
    last_execution: Option<LastExecution>,
}

/// The latest execution of a workflow.
#[derive(Clone, Serialize, JsonSchema)]
struct LastExecution {
    execution_id: String,
    status: super::executions::Status,
    started_at: Option<String>,
}

/// n8n's page of anything.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    #[serde(rename = "nextCursor")]
    pub(super) next_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    is_archived: bool,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    nodes: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(deserialize_with = "id")]
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ran {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(deserialize_with = "id")]
    workflow_id: String,
    status: Option<String>,
    started_at: Option<String>,
}

/// Where a page ends. n8n's own cursors do not hold the filters, so that they are kept beside it.
#[derive(Serialize, Deserialize, PartialEq)]
struct Position {
    cursor: String,
    /// n8n's cursor holds it too: another one would have no effect.
    limit: u32,
    active: Option<bool>,
    tags: Option<Vec<String>>,
}

impl Tool for ListWorkflows {
    const NAME: &'static str = "workflows_list";
    const TITLE: &'static str = "List workflows";
    const ROUTE: Route = Route::get("/workflows");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = N8n;
    type Output = Workflows;

    async fn call(self, n8n: &N8n) -> Result<Workflows> {
        let session = n8n.http.session();
        let mut filters = (self.active, self.tags);
        let mut cursor = None;
        let mut limit = self.limit.unwrap_or(page::LIMIT_DEFAULT);
        if let Some(text) = session.open_cursor(self.cursor.as_deref())? {
            let position: Position = serde_json::from_str(&text).map_err(Error::internal)?;
            let given = filters.0.is_some() || filters.1.is_some();
            if given && filters != (position.active, position.tags.clone()) {
                return Err(Error::invalid(
                    "cursor: it belongs to a list with other filters; repeat those, or leave them out",
                ));
            }
            if self.limit.is_some_and(|limit| limit != position.limit) {
                return Err(Error::invalid(format!(
                    "limit: the cursor belongs to pages of {}; repeat that, or leave it out",
                    position.limit
                )));
            }
            limit = position.limit;
            filters = (position.active, position.tags);
            cursor = Some(position.cursor);
        }
        let per_page = limit.to_string();
        let tags = filters.1.as_ref().map(|tags| tags.join(",")).filter(|tags| !tags.is_empty());
        let mut query = vec![("limit", per_page.as_str()), ("excludePinnedData", "true")];
        if let Some(active) = filters.0 {
            query.push(("active", if active { "true" } else { "false" }));
        }
        if let Some(tags) = &tags {
            query.push(("tags", tags));
        }
        if let Some(cursor) = &cursor {
            query.push(("cursor", cursor));
        }
        let (page, latest) = tokio::join!(n8n.read::<Page<Listed>>("/api/v1/workflows", &query), latest_executions(n8n));
        let page = page?;
        let mut unavailable = Vec::new();
        let latest = latest.unwrap_or_else(|_| {
            unavailable.push("last_execution");
            HashMap::new()
        });
        Ok(Workflows {
            workflows: page
                .data
                .into_iter()
                .filter(|workflow| !workflow.is_archived)
                .map(|workflow| Workflow {
                    last_execution: latest.get(&workflow.id).cloned(),
                    id: workflow.id,
                    name: workflow.name,
                    active: workflow.active,
                    tags: workflow.tags.into_iter().map(|tag| tag.name).collect(),
                    nodes_count: workflow.nodes.len(),
                })
                .collect(),
            next_cursor: page
                .next_cursor
                .map(|cursor| {
                    let (active, tags) = filters;
                    serde_json::to_string(&Position {
                        cursor,
                        limit,
                        active,
                        tags,
                    })
                    .map_err(Error::internal)
                })
                .transpose()?
                .map(|position| session.seal_cursor(&position)),
            unavailable,
        })
    }
}

/// The latest execution of each workflow: one look at the newest 250, and one at those that run, which n8n lists apart.
async fn latest_executions(n8n: &N8n) -> Result<HashMap<String, LastExecution>> {
    let (ended, running) = tokio::join!(
        n8n.read::<Page<Ran>>("/api/v1/executions", &[("limit", "250")]),
        n8n.read::<Page<Ran>>("/api/v1/executions", &[("limit", "250"), ("status", "running")]),
    );
    let mut latest = HashMap::new();
    // Newest first, and the running ones before: the first of a workflow is its latest.
    for ran in running?.data.into_iter().chain(ended?.data) {
        latest.entry(ran.workflow_id).or_insert(LastExecution {
            execution_id: ran.id,
            status: super::executions::Status::of(ran.status.as_deref()),
            started_at: ran.started_at,
        });
    }
    Ok(latest)
}

/// Create a workflow in the tenant's n8n, tag it, and activate it.
///
/// `workflow_json` is a workflow as n8n exports it, or as `generate_n8n_workflow` makes it: at least `nodes` and `connections`.
/// When a later step fails, the error names the id of the workflow that was created.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateWorkflow {
    /// What the workflow is called, e.g. `Daily DB Backup`.
    #[schemars(length(min = 1, max = 128))]
    name: String,
    /// The workflow: an object with `nodes` (a list) and `connections` (an object), and `settings` where wanted.
    workflow_json: Map<String, Value>,
    /// Tags that it is to carry; those that do not exist are made. At most 24 characters each.
    #[schemars(length(max = 20))]
    tags: Option<Vec<String>>,
    /// Whether it is active at once; true unless said. Only an active workflow can be triggered.
    activate: Option<bool>,
}

/// The workflow that was created.
#[derive(Serialize, JsonSchema)]
struct Created {
    workflow_id: String,
    name: String,
    /// Where people open it.
    url: String,
    active: bool,
}

/// What n8n takes in a node; an export may hold more, which it refuses.
const NODE_KEYS: &[&str] = &[
    "id",
    "name",
    "webhookId",
    "disabled",
    "notesInFlow",
    "notes",
    "type",
    "typeVersion",
    "executeOnce",
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "continueOnFail",
    "onError",
    "position",
    "parameters",
    "credentials",
];
const SETTINGS_KEYS: &[&str] = &[
    "saveExecutionProgress",
    "saveManualExecutions",
    "saveDataErrorExecution",
    "saveDataSuccessExecution",
    "executionTimeout",
    "errorWorkflow",
    "timezone",
    "executionOrder",
    "binaryMode",
    "callerPolicy",
    "callerIds",
    "timeSavedMode",
    "timeSavedPerExecution",
    "availableInMCP",
];

impl Tool for CreateWorkflow {
    const NAME: &'static str = "workflows_create";
    const TITLE: &'static str = "Create a workflow";
    const ROUTE: Route = Route::post("/workflows").created();
    const SCOPE: Scope = Scope::WriteWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = N8n;
    type Output = Created;

    async fn call(self, n8n: &N8n) -> Result<Created> {
        let tags = self.tags.unwrap_or_default();
        if let Some(tag) = tags
            .iter()
            .find(|tag| tag.trim().is_empty() || tag.chars().count() > 24 || tag.contains(','))
        {
            return Err(Error::invalid(format!(
                "tags: '{tag}' cannot be one; use 1 to 24 characters without a comma"
            )));
        }
        let body = workflow_body(&self.name, self.workflow_json, n8n.credential.mcp_token.is_some())?;
        let notifier = &n8n.http.session().notifier;
        let created: Listed = n8n.write(Method::POST, "/api/v1/workflows", &body).await?;
        notifier.progress(1.0, Some(3.0), format!("created as {}", created.id));
        let after = |step: &str, error: Error| {
            Error::new(
                error.kind(),
                format!(
                    "The workflow was created as '{}', and {step} failed: {}",
                    created.id,
                    error.message()
                ),
            )
            .coded("partly_done")
            .once()
        };
        if !tags.is_empty() {
            set_tags(n8n, &created.id, &tags)
                .await
                .map_err(|error| after("tagging it", error))?;
        }
        notifier.progress(2.0, Some(3.0), "tagged");
        let active = self.activate.unwrap_or(true);
        if active {
            publish(n8n, &created.id).await.map_err(|error| after("activating it", error))?;
        }
        notifier.progress(3.0, Some(3.0), if active { "active" } else { "done" });
        Ok(Created {
            url: n8n.workflow_url(&created.id),
            workflow_id: created.id,
            name: self.name,
            active,
        })
    }
}

/// What n8n's create call takes, out of what an export holds.
fn workflow_body(name: &str, mut given: Map<String, Value>, for_mcp: bool) -> Result<Value> {
    let keep = |object: &mut Map<String, Value>, keys: &[&str]| object.retain(|key, _| keys.contains(&key.as_str()));
    let Some(Value::Array(mut nodes)) = given.remove("nodes") else {
        return Err(Error::invalid("workflow_json.nodes: must be a list of nodes"));
    };
    for (index, node) in nodes.iter_mut().enumerate() {
        match node {
            Value::Object(node) => keep(node, NODE_KEYS),
            _ => return Err(Error::invalid(format!("workflow_json.nodes[{index}]: must be an object"))),
        }
    }
    let connections = given.remove("connections").unwrap_or_else(|| json!({}));
    if !connections.is_object() {
        return Err(Error::invalid("workflow_json.connections: must be an object"));
    }
    let mut settings = match given.remove("settings") {
        Some(Value::Object(settings)) => settings,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(Error::invalid("workflow_json.settings: must be an object")),
    };
    keep(&mut settings, SETTINGS_KEYS);
    if for_mcp {
        // So that `workflows_trigger` can also start it when it has no webhook.
        settings.entry("availableInMCP").or_insert(Value::Bool(true));
    }
    let mut body = json!({ "name": name, "nodes": nodes, "connections": connections, "settings": settings });
    for key in ["staticData", "pinData", "nodeGroups"] {
        if let Some(value) = given.remove(key).filter(|value| !value.is_null()) {
            body[key] = value;
        }
    }
    Ok(body)
}

async fn set_tags(n8n: &N8n, workflow: &str, wanted: &[String]) -> Result<()> {
    const PAGES: usize = 20;
    let mut known: HashMap<String, String> = HashMap::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let mut query = vec![("limit", "250")];
        if let Some(cursor) = &cursor {
            query.push(("cursor", cursor));
        }
        let page: Page<Tag> = n8n.read("/api/v1/tags", &query).await?;
        known.extend(page.data.into_iter().map(|tag| (tag.name, tag.id)));
        match page.next_cursor {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    let mut ids = Vec::new();
    for name in wanted {
        let name = name.trim();
        let id = match known.get(name) {
            Some(id) => id.clone(),
            None => {
                let tag: Tag = n8n.write(Method::POST, "/api/v1/tags", &json!({ "name": name })).await?;
                tag.id
            }
        };
        ids.push(json!({ "id": id }));
    }
    let _: Value = n8n
        .write(
            Method::PUT,
            &format!("/api/v1/workflows/{}/tags", segment(workflow)),
            &Value::Array(ids),
        )
        .await?;
    Ok(())
}

/// Publishes; before 2.x the same was called activating.
async fn publish(n8n: &N8n, workflow: &str) -> Result<()> {
    let path = |verb: &str| format!("/api/v1/workflows/{}/{verb}", segment(workflow));
    let published = n8n.write::<Value>(Method::POST, &path("publish"), &json!({})).await;
    match published {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::MethodNotAllowed) => {
            n8n.write::<Value>(Method::POST, &path("activate"), &json!({})).await.map(drop)
        }
        other => other.map(drop),
    }
}
