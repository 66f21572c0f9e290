//! Publishing: what is looked at only then, and how long it takes until the triggers are there.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, State as Shared},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Sandbox, State, answer,
    api::{Answer, Refusal, read_json},
    nodes::{self, Route, enabled, text},
    workflows::{Live, Version, Workflow},
};

/// Between the answer and the moment from which triggers are registered.
const REGISTRATION: Duration = Duration::from_millis(120);

/// `POST /workflows/{id}/publish` and, as it was called before, `/activate`.
pub(super) async fn publish(Shared(sandbox): Shared<Sandbox>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let said = read_json(&headers, &body)?;
    let mut state = sandbox.state();
    let mut workflow =
        Workflow::clone(state.workflows.get(&id).ok_or_else(|| {
            Refusal::not_found("You do not have permission to activate this workflow. Ask the owner to share it with you.")
        })?);
    if workflow.archived {
        return Err(Refusal::bad_request("Cannot activate an archived workflow."));
    }
    let asked = text(&said, "versionId");
    if !asked.is_empty() && asked != workflow.draft.id.to_string() {
        return Err(Refusal::not_found("Version not found"));
    }
    check_nodes(&workflow.draft)?;
    state.check_conflicts(&id, &workflow.draft)?;

    let from = workflow.live.map_or_else(|| Instant::now() + REGISTRATION, |live| live.from);
    workflow.live = Some(Live {
        version: Arc::clone(&workflow.draft),
        from,
    });
    workflow.updated = Timestamp::now();
    let shown = state.shown(&workflow, true);
    state.workflows.insert(id, Arc::new(workflow));
    Ok(answer(StatusCode::OK, &shown))
}

/// `POST /workflows/{id}/unpublish` and `/deactivate`
pub(super) async fn unpublish(Shared(sandbox): Shared<Sandbox>, Path(id): Path<String>) -> Answer {
    let mut state = sandbox.state();
    let mut workflow = Workflow::clone(state.workflow(&id)?);
    workflow.live = None;
    workflow.updated = Timestamp::now();
    let shown = state.shown(&workflow, true);
    state.workflows.insert(id, Arc::new(workflow));
    Ok(answer(StatusCode::OK, &shown))
}

impl State {
    /// No method and path may be listened on twice.
    fn check_conflicts(&self, id: &str, version: &Version) -> Result<(), Refusal> {
        let others = self.workflows.values().filter(|workflow| workflow.id != id);
        let mut taken: Vec<Route> = others
            .filter_map(|workflow| workflow.live.as_ref())
            .flat_map(|live| nodes::routes(&live.version.nodes))
            .collect();
        for route in nodes::routes(&version.nodes) {
            if taken.iter().any(|other| other.method == route.method && other.path == route.path) {
                return Err(Refusal::conflict("There is a conflict with one of the webhooks."));
            }
            taken.push(route);
        }
        Ok(())
    }
}

fn check_nodes(version: &Version) -> Result<(), Refusal> {
    if let Some(node) = version.nodes.iter().find(|node| !is_known(text(node, "type"))) {
        return Err(Refusal::bad_request(format!("Unrecognized node type: {}", text(node, "type"))));
    }
    if version.live_triggers().next().is_none() {
        return Err(Refusal::bad_request(
            "Workflow cannot be activated because it has no trigger node. At least one trigger, webhook, or polling node is required.",
        ));
    }
    let complaint = |node: &Value| match missing(node) {
        lacks if lacks.is_empty() => None,
        lacks => Some(format!("Node \"{}\":\n{}", text(node, "name"), lacks.join("\n"))),
    };
    let complaints: Vec<_> = version.nodes.iter().filter(|node| enabled(node)).filter_map(complaint).collect();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "Cannot publish workflow: {} node have configuration issues:\n\n{}",
        complaints.len(),
        complaints.join("\n\n"),
    )))
}

/// Whether a type could be one of n8n's own. The sandbox has no list of them: `doesNotExist` stands for what is not on it.
fn is_known(kind: &str) -> bool {
    let own = kind
        .strip_prefix("n8n-nodes-base.")
        .or_else(|| kind.strip_prefix("@n8n/n8n-nodes-langchain."));
    own.is_some_and(|own| own != "doesNotExist" && !own.is_empty())
}

/// What a node still needs, of the few whose needs are known here.
fn missing(node: &Value) -> Vec<String> {
    let parameters = &node["parameters"];
    let (parameter, credential) = match text(node, "type") {
        "n8n-nodes-base.httpRequest" => ("url", ""),
        "n8n-nodes-base.webhook" => match text(parameters, "authentication") {
            "headerAuth" => ("path", "httpHeaderAuth"),
            "basicAuth" => ("path", "httpBasicAuth"),
            _ => ("path", ""),
        },
        "n8n-nodes-base.slack" => ("", "slackApi"),
        _ => ("", ""),
    };
    let mut lacks = Vec::new();
    if !parameter.is_empty() && text(parameters, parameter).is_empty() {
        lacks.push(format!("  - Missing or invalid required parameters: {parameter}"));
    }
    if !credential.is_empty() && node["credentials"][credential].is_null() && parameters["sandbox"].is_null() {
        lacks.push(format!("  - Missing required credential: {credential}"));
    }
    lacks
}
