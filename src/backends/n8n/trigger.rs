//! Triggering: by a production webhook where the workflow has one, else by n8n's own MCP server; and finding the execution again.
//!
//! A webhook's answer does not say which execution it began. Each call therefore carries a header that n8n keeps with the
//! execution's data, and the newest executions of the workflow are searched for it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    WebhookAuth,
    client::{N8n, id, said, secret_header, segment},
    executions::{self, Raw, Run, Status},
    workflows::Page,
};
use crate::{
    auth::Scope,
    backends::client::{Reply, shortened},
    clock,
    error::{Error, Kind, Result},
    limits::quota::Meter,
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<TriggerWorkflow>()]
}

const CORRELATION: HeaderName = HeaderName::from_static("x-smartermcp-call");
/// How long a webhook that answers with its last node may take before the execution is reported as running.
const WEBHOOK: Duration = Duration::from_secs(25);
/// How long what a workflow is triggered by is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// A webhook answers up to 200 ms after n8n has said that it is published.
const REGISTERING: [u64; 4] = [150, 300, 500, 800];
/// When to look for the execution, in milliseconds between the looks: at its end n8n lists it nowhere for a quarter of a second.
const LOOKS: [u64; 6] = [0, 150, 300, 600, 900, 1200];
/// How many of the newest executions are looked into.
const NEWEST: &str = "10";

/// Trigger a workflow of the tenant's n8n, and say which execution it started.
///
/// The workflow must be active. Ask `workflows_status` with the `execution_id` for the outcome.
/// Example: `{"workflow_id": "wf_backup_db", "input_data": {"database": "smarteros", "compress": true}}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TriggerWorkflow {
    /// The workflow's id, e.g. `wf_backup_db`, its exact name, e.g. `Backup database`, or an alias that the connection gives it.
    #[schemars(length(min = 1, max = 128))]
    workflow_id: String,
    /// What the workflow receives as its input.
    input_data: Option<Map<String, Value>>,
}

/// The execution that was started.
#[derive(Serialize, JsonSchema)]
struct Triggered {
    /// Null when n8n keeps no record of it; see `unavailable`.
    execution_id: Option<String>,
    workflow_id: String,
    status: Status,
    started_at: String,
    /// What n8n would not tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
    /// Where the execution could not be found: the value of its request header `x-smartermcp-call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
}

/// What a workflow is triggered by.
#[derive(Debug)]
struct Trigger {
    workflow_id: String,
    by: By,
}

#[derive(Debug)]
enum By {
    Webhook {
        method: Method,
        path: String,
        authentication: Authentication,
    },
    /// Through n8n's MCP server, by a webhook node that cannot be reached from outside.
    McpWebhook { node: String },
    /// Through n8n's MCP server, by a schedule or the like, which takes no input.
    McpSchedule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authentication {
    None,
    Header,
    Basic,
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workflow {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    active: bool,
    #[serde(default)]
    is_archived: bool,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    active_version: Option<Version>,
}

/// What is live may differ from the draft.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    parameters: Value,
}

impl Tool for TriggerWorkflow {
    const NAME: &'static str = "workflows_trigger";
    const TITLE: &'static str = "Trigger a workflow";
    const ROUTE: Route = Route::post("/workflows/{workflow_id}/trigger");
    const SCOPE: Scope = Scope::WriteWorkflows;
    const CATEGORY: Category = Category::Workflows;
    const TIME_LIMIT: Duration = Duration::from_secs(45);
    const METER: Option<Meter> = Some(Meter::Workflows);
    type Backend = N8n;
    type Output = Triggered;

    async fn call(self, n8n: &N8n) -> Result<Triggered> {
        let session = n8n.http.session();
        let named = n8n.http.connection().resolve(&self.workflow_id);
        let trigger = trigger_of(n8n, named).await?;
        session.notifier.progress(1.0, Some(3.0), "workflow found");
        let input = self.input_data.unwrap_or_default();
        let now = clock::rfc3339(session.state.clock.millis());
        let triggered = match &trigger.by {
            By::Webhook { .. } => by_webhook(n8n, &trigger, input, now).await,
            By::McpWebhook { node } => by_mcp(n8n, &trigger, Some((node, &Value::Object(input))), now).await,
            By::McpSchedule if !input.is_empty() => Err(Error::invalid(
                "input_data: this workflow starts by a schedule and takes no input; leave it out, or give the workflow a webhook node",
            )),
            By::McpSchedule => by_mcp(n8n, &trigger, None, now).await,
        };
        if triggered.is_err() {
            n8n.http.connection().unlearn(named);
        }
        session.notifier.progress(3.0, Some(3.0), "done");
        triggered
    }
}

/// What triggers the workflow of an id or an exact name.
async fn trigger_of(n8n: &N8n, named: &str) -> Result<Arc<Trigger>> {
    let connection = n8n.http.connection();
    if let Some(known) = connection.recall::<Trigger>(named, REMEMBERED) {
        return Ok(known);
    }
    let workflow = find(n8n, named).await?;
    if workflow.is_archived || !workflow.active {
        return Err(Error::conflict(format!(
            "The workflow '{}' is not active, and only active ones can be triggered; activate it in n8n",
            workflow.name
        ))
        .coded("workflow_inactive"));
    }
    let nodes = workflow.active_version.map_or(workflow.nodes, |version| version.nodes);
    let by = choose(n8n, &workflow.name, &nodes)?;
    let trigger = Arc::new(Trigger {
        workflow_id: workflow.id,
        by,
    });
    connection.learn(named, Arc::clone(&trigger));
    Ok(trigger)
}

async fn find(n8n: &N8n, named: &str) -> Result<Workflow> {
    let plain = named
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain {
        match n8n
            .read(&format!("/api/v1/workflows/{}", segment(named)), &[("excludePinnedData", "true")])
            .await
        {
            Ok(workflow) => return Ok(workflow),
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // The filter finds names that contain the text, in any case: the exact one is picked here.
    let page: Page<Workflow> = n8n
        .read(
            "/api/v1/workflows",
            &[("name", named), ("limit", "250"), ("excludePinnedData", "true")],
        )
        .await?;
    let mut exact: Vec<_> = page
        .data
        .into_iter()
        .filter(|workflow| workflow.name == named && !workflow.is_archived)
        .collect();
    match (exact.pop(), exact.len()) {
        (Some(workflow), 0) => Ok(workflow),
        (Some(last), _) => {
            let ids: Vec<_> = exact
                .iter()
                .map(|workflow| workflow.id.as_str())
                .chain([last.id.as_str()])
                .collect();
            Err(Error::conflict(format!(
                "workflow_id: several workflows are called '{named}': {}; name one by its id",
                ids.join(", ")
            ))
            .coded("ambiguous_name"))
        }
        (None, _) => Err(Error::not_found(format!(
            "workflow_id: n8n has no workflow with the id or exact name '{named}'; workflows_list names them"
        ))),
    }
}

/// A webhook that can be called from outside, else n8n's MCP server.
fn choose(n8n: &N8n, name: &str, nodes: &[Node]) -> Result<By> {
    let has_mcp = n8n.credential.mcp_token.is_some();
    let webhooks: Vec<_> = nodes
        .iter()
        .filter(|node| node.kind == "n8n-nodes-base.webhook" && !node.disabled)
        .collect();
    let mut reachable: Vec<_> = webhooks.iter().filter_map(|node| webhook(node)).collect();
    reachable.sort_by_key(|(method, ..)| *method != Method::POST);
    let first = reachable
        .into_iter()
        .find(|(.., authentication)| *authentication != Authentication::Other || !has_mcp);
    if let Some((method, path, authentication)) = first {
        if authentication == Authentication::Other {
            return Err(Error::conflict(format!(
                "The webhook of '{name}' asks for a kind of authentication that is not spoken here; use Header Auth or Basic Auth, or connect n8n's MCP server (mcp_token)"
            ))
            .coded("not_triggerable"));
        }
        return Ok(By::Webhook {
            method,
            path,
            authentication,
        });
    }
    match webhooks.first() {
        _ if !has_mcp => Err(Error::conflict(format!(
            "'{name}' has no webhook that can be called; add a Webhook node (method POST, a fixed path) and publish it, or give the n8n connection an mcp_token"
        ))
        .coded("not_triggerable")),
        Some(node) => Ok(By::McpWebhook { node: node.name.clone() }),
        None => Ok(By::McpSchedule),
    }
}

/// Method, path and authentication of a webhook node; `None` where the path holds parameters or is computed.
fn webhook(node: &Node) -> Option<(Method, String, Authentication)> {
    let path = node.parameters["path"].as_str()?.trim_matches('/');
    if path.is_empty() || path.starts_with('=') || path.split('/').any(|part| part.starts_with(':') || part == "..") {
        return None;
    }
    let method = match &node.parameters["httpMethod"] {
        Value::String(method) => method.as_str(),
        Value::Array(methods) if methods.iter().any(|method| method == "POST") => "POST",
        Value::Array(methods) => methods.first()?.as_str()?,
        _ => "GET",
    };
    let authentication = match node.parameters["authentication"].as_str() {
        None | Some("none") => Authentication::None,
        Some("headerAuth") => Authentication::Header,
        Some("basicAuth") => Authentication::Basic,
        Some(_) => Authentication::Other,
    };
    Some((method.parse().ok()?, path.to_owned(), authentication))
}

async fn by_webhook(n8n: &N8n, trigger: &Trigger, input: Map<String, Value>, now: String) -> Result<Triggered> {
    let session = n8n.http.session();
    let called = call_webhook(n8n, trigger, &input).await;
    let said = match called {
        Ok(reply) => answered(&reply)?,
        // n8n goes on when its caller hangs up: the execution is there to be found.
        Err(error) if error.kind() == Kind::Timeout => Said::Started,
        Err(error) => return Err(error),
    };
    session.notifier.progress(2.0, Some(3.0), "triggered");
    let correlation = &*session.request_id;
    let found = match (look_for(n8n, &trigger.workflow_id, correlation).await, said) {
        (Ok(Some(found)), _) => found,
        // A sign-in page or the like where n8n's own API should be: then the webhook's answer was none of n8n's either.
        (Err(error), _) if error.kind() == Kind::BackendRefused => return Err(error),
        (Ok(None) | Err(_), Said::Other(status)) => {
            return Err(Error::new(
                Kind::BackendRefused,
                format!("The workflow's webhook answered HTTP {status}, and n8n shows no execution that it began; look there before you try again"),
            )
            .coded("not_started"));
        }
        // It was triggered: failing to find it again must not look as if it had not been.
        (Ok(None) | Err(_), Said::Started | Said::Ended(_)) => {
            return Ok(Triggered {
                execution_id: None,
                workflow_id: trigger.workflow_id.clone(),
                status: match said {
                    Said::Ended(status) => status,
                    Said::Started | Said::Other(_) => Status::Running,
                },
                started_at: now,
                unavailable: vec!["execution_id"],
                correlation_id: Some(correlation.to_owned()),
            });
        }
    };
    Ok(Triggered {
        status: match Status::of(found.status.as_deref()) {
            // The contract of a trigger knows no waiting: it has not ended.
            Status::Waiting => Status::Running,
            status => status,
        },
        started_at: found.started_at.unwrap_or(now),
        execution_id: Some(found.id),
        workflow_id: trigger.workflow_id.clone(),
        unavailable: Vec::new(),
        correlation_id: None,
    })
}

/// What a webhook's answer says of the execution.
#[derive(Clone, Copy, Debug)]
enum Said {
    Started,
    Ended(Status),
    /// Neither n8n's words nor a success: a workflow's own answer, or the refusal of somebody between.
    Other(u16),
}

/// Calls the webhook. While it is not registered yet nothing runs, so that asking again is safe.
async fn call_webhook(n8n: &N8n, trigger: &Trigger, input: &Map<String, Value>) -> Result<Reply> {
    let By::Webhook {
        method,
        path,
        authentication,
    } = &trigger.by
    else {
        return Err(Error::internal("a workflow without webhook was to be called by one"));
    };
    let path = format!("/webhook/{}", path.split('/').map(segment).collect::<Vec<_>>().join("/"));
    let mut pauses = REGISTERING.into_iter();
    loop {
        let mut request = n8n.http.write(method.clone(), &path).within(WEBHOOK).header(
            CORRELATION,
            HeaderValue::from_str(&n8n.http.session().request_id).map_err(Error::internal)?,
        );
        if let Some((name, value)) = authenticate(n8n, *authentication)? {
            request = request.header(name, value);
        }
        let request = if *method == Method::GET || *method == Method::HEAD {
            let pairs: Vec<_> = input.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            request.query(&pairs)
        } else {
            request.json(input)?
        };
        let reply = request.send().await?;
        if !is_unregistered(&reply) {
            return Ok(reply);
        }
        match pauses.next() {
            Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
            None => {
                n8n.http.session().unreach();
                return Err(
                    Error::conflict("n8n says that the workflow's webhook is not registered; publish the workflow again in n8n")
                        .coded("not_triggerable"),
                );
            }
        }
    }
}

/// n8n's own 404, which a workflow's answer of its own is not.
fn is_unregistered(reply: &Reply) -> bool {
    reply.status == http::StatusCode::NOT_FOUND
        && serde_json::from_slice::<Value>(&reply.body)
            .is_ok_and(|body| body["code"] == 404 && body["message"].as_str().is_some_and(|words| words.contains("not registered")))
}

fn authenticate(n8n: &N8n, authentication: Authentication) -> Result<Option<(HeaderName, HeaderValue)>> {
    let lacking = |what: &str| {
        Error::new(
            Kind::NotConnected,
            format!("The workflow's webhook asks for {what}; set webhook_auth in the credential of the n8n connection"),
        )
        .coded("webhook_auth_missing")
    };
    match (authentication, &n8n.credential.webhook_auth) {
        (Authentication::None | Authentication::Other, _) => Ok(None),
        (Authentication::Header, Some(WebhookAuth::Header { name, value })) => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| lacking("a header with a valid name"))?;
            Ok(Some((name, secret_header(value)?)))
        }
        (Authentication::Basic, Some(WebhookAuth::Basic { username, password })) => {
            let pair = STANDARD.encode(format!("{username}:{password}"));
            Ok(Some((header::AUTHORIZATION, secret_header(&format!("Basic {pair}"))?)))
        }
        (Authentication::Header, _) => Err(lacking("a secret header (Header Auth)")),
        (Authentication::Basic, _) => Err(lacking("user and password (Basic Auth)")),
    }
}

/// Reads a webhook's answer. Most are the workflow's own words.
fn answered(reply: &Reply) -> Result<Said> {
    let refused = |detail: &str| {
        Error::new(
            Kind::BackendRefused,
            format!("The workflow's webhook refuses the call ({detail}); check webhook_auth in the n8n connection"),
        )
        .coded("credential_refused")
    };
    let text = String::from_utf8_lossy(&reply.body);
    match reply.status.as_u16() {
        401 | 403
            if text.starts_with("Authori")
                || text.starts_with("Authenti")
                || text.starts_with("No token")
                || text.starts_with("IP is not") =>
        {
            Err(refused(&shortened(&text)))
        }
        429 | 502 | 503 | 504 => Err(reply.refusal(said)),
        500 if text.contains("Error in workflow") || text.contains("problem executing") => Ok(Said::Ended(Status::Failed)),
        _ if text.contains("Workflow was started") => Ok(Said::Started),
        200..=299 => Ok(Said::Ended(Status::Completed)),
        other => Ok(Said::Other(other)),
    }
}

/// Looks for the execution whose trigger carried our header.
async fn look_for(n8n: &N8n, workflow: &str, correlation: &str) -> Result<Option<Raw>> {
    let mut seen = HashSet::new();
    for pause in LOOKS {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // Running executions are in no list but their own.
        let running = [("workflowId", workflow), ("limit", NEWEST), ("status", "running")];
        let (running, ended) = tokio::join!(
            n8n.read::<Page<Raw>>("/api/v1/executions", &running),
            n8n.read::<Page<Raw>>("/api/v1/executions", &running[..2]),
        );
        for execution in running?.data.into_iter().chain(ended?.data) {
            if seen.contains(&execution.id) {
                continue;
            }
            match executions::find(n8n, &execution.id).await {
                Ok(found) if carries(&found, correlation) => return Ok(Some(found)),
                Ok(_) => {
                    seen.insert(execution.id);
                }
                // Gone between the list and the look.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}

/// Whether an execution was begun by our call: the header is with the trigger's item, which lies elsewhere while it runs.
fn carries(execution: &Raw, correlation: &str) -> bool {
    let Some(data) = &execution.data else { return false };
    let in_item = |json: &Value| json["headers"][CORRELATION.as_str()] == correlation;
    let ran = data.result_data.iter().flat_map(|result| result.run_data.values()).any(|runs| {
        runs.get().contains(correlation)
            && serde_json::from_str::<Vec<Run>>(runs.get())
                .is_ok_and(|runs| runs.into_iter().flat_map(Run::items).any(|item| in_item(&item.json)))
    });
    ran || data
        .execution_data
        .iter()
        .flat_map(|data| &data.node_execution_stack)
        .any(|run| run.first().is_some_and(|item| in_item(&item.json)))
}

async fn by_mcp(n8n: &N8n, trigger: &Trigger, webhook: Option<(&str, &Value)>, now: String) -> Result<Triggered> {
    let execution_id = n8n.execute(&trigger.workflow_id, webhook).await?;
    n8n.http.session().notifier.progress(2.0, Some(3.0), "triggered");
    let found = executions::find(n8n, &execution_id).await.ok();
    Ok(Triggered {
        status: match found.as_ref().map(|found| Status::of(found.status.as_deref())) {
            Some(status @ (Status::Completed | Status::Failed)) => status,
            _ => Status::Running,
        },
        started_at: found.and_then(|found| found.started_at).unwrap_or(now),
        execution_id: Some(execution_id),
        workflow_id: trigger.workflow_id.clone(),
        unavailable: Vec::new(),
        correlation_id: None,
    })
}

/// A value as a query has it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
