//! A small n8n that runs inside this process: for `smartermcp demo`, and as the vendor that tests play against.
//!
//! It answers the paths that the workflow tools use as n8n 2.41 was seen to answer them, oddities included, from memory
//! and without Node. Workflows are published, registered, run, listed and forgotten like the real ones, but their nodes
//! are not interpreted; what a run does is told by a few marks in the nodes themselves:
//!
//! | mark | what happens |
//! | --- | --- |
//! | none | the node's only item is `{"result":"done","input":<what the trigger was sent>,"headers_seen":false}` |
//! | `parameters.output` | the node's item is this; of an array, each element is one (`[]`: no item at all) |
//! | `parameters.delay_ms` | the node takes that long, so the execution is seen `running` |
//! | `parameters.fail: true`, or "error" in the name or type of what is no trigger | the execution fails there, with `parameters.errorMessage` if it has one; `onError` is heeded |
//! | type `n8n-nodes-base.wait` | the execution is `waiting` from there on, for good; `amount` and `unit` give its `waitTill` |
//! | type `n8n-nodes-base.respondToWebhook` | answers the caller, where the webhook's `responseMode` is `responseNode` |
//!
//! A webhook's `authentication` asks for what its own parameters hold, in the place of n8n's credential store:
//! `"sandbox": {"name": "x-secret", "value": "…"}` with `headerAuth`, `"sandbox": {"username": "…", "password": "…"}` with
//! `basicAuth`.
//!
//! Nothing here sleeps in the background: an execution's whole course is laid down when it starts and read off against
//! the clock afterwards, so that a caller who hangs up changes nothing, as with the real one.

mod api;
mod checks;
mod demo;
mod document;
mod engine;
mod executions;
mod mcp;
mod nodes;
mod publishing;
mod tags;
mod webhooks;
mod workflows;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use crate::sandbox::faults::Fault;
use crate::sandbox::faults::Faults;
use {engine::Execution, tags::Tag, workflows::Workflow};

/// The release that the sandbox says it is.
const RELEASE: &str = "n8n@2.41.1";
/// The largest body of a request.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How many executions are remembered; older ones are pruned, as n8n does.
const EXECUTIONS_KEPT: usize = 10_000;

/// An n8n in memory. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api_key: String,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mcp_token: Option<String>,
    workflows: BTreeMap<String, Arc<Workflow>>,
    tags: Vec<Tag>,
    /// By id, ascending.
    executions: VecDeque<Arc<Execution>>,
    runs: HashMap<String, usize>,
    last_execution: u64,
}

impl Sandbox {
    /// An empty n8n whose public API takes this key.
    pub fn new(api_key: &str) -> Self {
        Self(Arc::new(Inner {
            api_key: api_key.to_owned(),
            faults: Faults::default(),
            state: Mutex::default(),
        }))
    }

    /// Switches n8n's own MCP server on, for this bearer token.
    #[must_use]
    pub fn with_mcp_token(self, token: &str) -> Self {
        self.state().mcp_token = Some(token.to_owned());
        self
    }

    /// Everything below the base URL: `/api/v1`, `/webhook`, `/mcp-server/http`, `/healthz`, and the editor's page.
    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/discover", get(api::discover))
            .route("/workflows", get(workflows::list).post(workflows::create))
            .route("/workflows/{id}", get(workflows::show))
            .route("/workflows/{id}/tags", get(tags::of_workflow).put(tags::replace))
            .route("/workflows/{id}/publish", post(publishing::publish))
            .route("/workflows/{id}/activate", post(publishing::publish))
            .route("/workflows/{id}/unpublish", post(publishing::unpublish))
            .route("/workflows/{id}/deactivate", post(publishing::unpublish))
            .route("/tags", get(tags::list).post(tags::create))
            .route("/executions", get(executions::list))
            .route("/executions/{id}", get(executions::show))
            .method_not_allowed_fallback(api::method_not_allowed)
            .route_layer(middleware::from_fn_with_state(self.clone(), api::ask_for_key))
            .route("/docs/swagger-ui-init.js", get(document::script))
            .fallback(async || message(StatusCode::NOT_FOUND, "not found"));
        let whole = Router::new()
            .nest("/api/v1", api)
            .route("/webhook/{*path}", any(webhooks::call))
            .route("/mcp-server/http", post(mcp::call).get(mcp::no_stream).delete(mcp::no_session))
            .route("/healthz", get(healthy))
            .route("/healthz/readiness", get(healthy))
            .route("/metrics", get(async || (StatusCode::NOT_FOUND, Html("Cannot GET /metrics"))))
            .fallback(editor)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(self.clone());
        self.0.faults.before(whole)
    }

    /// Puts a workflow there, past all checks and with its webhooks answering at once; answers its id.
    ///
    /// Taken are `name`, `nodes`, `connections`, `settings`, `tags` (names), `active`, and, to set up what the API alone
    /// cannot, `id`, `isArchived`, `pinData`, `staticData` and `activeVersion` (`nodes` and `connections` of a published
    /// version that differs from the draft). Whatever is missing is filled in.
    pub fn add_workflow(&self, workflow: Value) -> String {
        self.state().add_workflow(workflow)
    }

    /// Adds four workflows to look at: `wf_backup_db`, `wf_daily_sales`, `wf_sync_orders` and `wf_ask_approval`.
    pub fn demo_workflows(&self) {
        let mut state = self.state();
        for workflow in demo::workflows() {
            state.add_workflow(workflow);
        }
    }

    /// Runs a workflow by its first trigger, as its schedule would, and answers the execution's id; `None` where there is no such
    /// workflow with a trigger.
    pub fn run(&self, workflow_id: &str) -> Option<String> {
        let mut state = self.state();
        let workflow = Arc::clone(state.workflows.get(workflow_id)?);
        let version = workflow.registered()?;
        let trigger = version.nodes.iter().position(nodes::is_trigger)?;
        let execution = Execution::plan(&engine::Start {
            workflow: &workflow,
            version,
            trigger,
            output: 0,
            item: json!({}),
            mode: "trigger",
            pinned: false,
            awaited: false,
            broken: None,
        });
        Some(state.record(execution).id.to_string())
    }

    /// Lets something go wrong, from the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.0.faults.set(fault);
    }

    /// How many times this workflow was executed, whether or not anything is left to see of it.
    pub fn executions_of(&self, workflow_id: &str) -> usize {
        self.state().runs.get(workflow_id).copied().unwrap_or_default()
    }

    /// How many times anything was executed.
    pub fn runs(&self) -> usize {
        self.state().runs.values().sum()
    }

    /// The headers of the last request of any kind, one that met a fault included.
    pub fn last_request_headers(&self) -> HeaderMap {
        self.0.faults.last_request_headers()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn healthy() -> Response {
    answer(StatusCode::OK, &json!({"status": "ok"}))
}

/// Any other path is the editor's page, with 200.
async fn editor() -> Response {
    let sentry = json!({"dsn": "", "environment": "production", "release": RELEASE}).to_string();
    Html(format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>n8n sandbox</title>\
         <meta name=\"n8n:config:sentry\" content=\"{}\"></head><body></body></html>",
        BASE64.encode(sentry),
    ))
    .into_response()
}

fn answer(status: StatusCode, body: &Value) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

fn message(status: StatusCode, text: &str) -> Response {
    answer(status, &json!({"message": text}))
}

/// The media type alone, in lower case, without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let whole = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// As n8n writes a time: UTC, with three digits after the second.
fn written(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Sixteen letters and digits, like the ids that n8n makes.
fn random_id() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let bytes = uuid::Uuid::new_v4().into_bytes();
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}
