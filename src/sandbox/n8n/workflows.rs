//! Workflows: how they are kept, listed, shown and created.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, Query, State as Shared},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Sandbox, State, answer,
    api::{Answer, Asked, Refusal, read_json},
    checks,
    nodes::{self, text},
    random_id, written,
};

/// The only project there is.
pub(super) const PROJECT: &str = "sandboxProject01";

#[derive(Clone, Debug)]
pub(super) struct Workflow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) draft: Arc<Version>,
    pub(super) live: Option<Live>,
    pub(super) settings: Value,
    pub(super) tags: Vec<String>,
    pub(super) archived: bool,
    pub(super) updated: Timestamp,
    created: Timestamp,
    node_groups: Value,
    static_data: Value,
    pin_data: Value,
}

/// The nodes as they were at one time.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) id: Uuid,
    pub(super) nodes: Vec<Value>,
    pub(super) connections: Value,
    created: Timestamp,
}

/// What is published.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) version: Arc<Version>,
    /// Its triggers are registered a moment after the publishing was answered.
    pub(super) from: Instant,
}

impl Version {
    /// Fills in what n8n does: ids, webhook ids, type versions, positions, parameters.
    fn new(nodes: Value, connections: Value) -> Self {
        let Value::Array(mut nodes) = nodes else {
            return Self::new(json!([]), connections);
        };
        nodes.retain(Value::is_object);
        for (index, node) in nodes.iter_mut().enumerate() {
            let awaits_calls = nodes::is_webhook(node) || nodes::is_wait(node);
            let defaults = [
                ("id", json!(Uuid::new_v4())),
                ("webhookId", if awaits_calls { json!(Uuid::new_v4()) } else { Value::Null }),
                ("typeVersion", json!(1)),
                ("position", json!([index * 200, 0])),
                ("parameters", json!({})),
            ];
            for (field, value) in defaults {
                if node[field].is_null() && !value.is_null() {
                    node[field] = value;
                }
            }
        }
        let connections = if_null(connections, json!({}));
        Self {
            id: Uuid::new_v4(),
            nodes,
            connections,
            created: Timestamp::now(),
        }
    }

    pub(super) fn live_triggers(&self) -> impl Iterator<Item = &Value> {
        self.nodes.iter().filter(|node| nodes::is_live_trigger(node))
    }
}

impl Workflow {
    /// The published version, once its triggers are registered.
    pub(super) fn registered(&self) -> Option<&Arc<Version>> {
        self.live
            .as_ref()
            .filter(|live| live.from <= Instant::now())
            .map(|live| &live.version)
    }

    pub(super) fn available_in_mcp(&self) -> bool {
        self.settings["availableInMCP"] == true
    }

    /// Whether executions of one ending are kept, as this setting says.
    pub(super) fn keeps(&self, setting: &str) -> bool {
        text(&self.settings, setting) != "none"
    }

    /// What an execution keeps of the workflow that it ran.
    pub(super) fn snapshot(&self, version: &Version) -> Value {
        json!({
            "id": self.id, "name": self.name, "nodes": version.nodes, "connections": version.connections,
            "settings": self.settings, "nodeGroups": self.node_groups,
        })
    }
}

impl State {
    pub(super) fn add_workflow(&mut self, said: Value) -> String {
        let Value::Object(mut said) = said else {
            return self.add_workflow(json!({}));
        };
        let mut take = |field| said.remove(field).unwrap_or_default();
        let now = Timestamp::now();
        let draft = Arc::new(Version::new(take("nodes"), take("connections")));
        let live = (take("active") == true).then(|| match take("activeVersion") {
            Value::Object(mut apart) => {
                let mut take = |field| apart.remove(field).unwrap_or_default();
                Arc::new(Version::new(take("nodes"), take("connections")))
            }
            _ => Arc::clone(&draft),
        });
        let names = take("tags");
        let names = names.as_array().into_iter().flatten();
        let workflow = Workflow {
            id: take("id").as_str().map_or_else(random_id, str::to_owned),
            name: take("name").as_str().unwrap_or("My workflow").to_owned(),
            draft,
            live: live.map(|version| Live {
                version,
                from: Instant::now(),
            }),
            settings: if_null(take("settings"), json!({})),
            tags: names.filter_map(Value::as_str).map(|name| self.tag_named(name)).collect(),
            archived: take("isArchived") == true,
            updated: now,
            created: now,
            node_groups: if_null(take("nodeGroups"), json!([])),
            static_data: take("staticData"),
            pin_data: take("pinData"),
        };
        let id = workflow.id.clone();
        self.workflows.insert(id.clone(), Arc::new(workflow));
        id
    }

    pub(super) fn workflow(&self, id: &str) -> Result<&Arc<Workflow>, Refusal> {
        self.workflows.get(id).ok_or_else(|| Refusal::not_found("Not Found"))
    }

    /// As lists show it.
    fn listed(&self, workflow: &Workflow, with_pins: bool) -> Value {
        let live = workflow.live.as_ref().map(|live| &live.version);
        let active_version = live.map(|version| {
            json!({
                "versionId": version.id, "workflowId": workflow.id, "nodes": version.nodes,
                "connections": version.connections, "nodeGroups": workflow.node_groups, "authors": "Olga Owner",
                "name": null, "description": null,
                "createdAt": written(version.created), "updatedAt": written(version.created),
            })
        });
        let mut shown = json!({
            "id": workflow.id, "name": workflow.name, "active": live.is_some(),
            "activeVersionId": live.map(|version| version.id), "activeVersion": active_version,
            "createdAt": written(workflow.created), "updatedAt": written(workflow.updated),
            "isArchived": workflow.archived, "versionId": workflow.draft.id,
            "triggerCount": live.map_or(0, |version| version.live_triggers().count()),
            "nodes": workflow.draft.nodes, "connections": workflow.draft.connections,
            "nodeGroups": workflow.node_groups, "settings": workflow.settings, "staticData": workflow.static_data,
            "meta": null, "tags": self.tags_shown(&workflow.tags),
            "shared": [{
                "role": "workflow:owner", "workflowId": workflow.id, "projectId": PROJECT,
                "createdAt": written(workflow.created), "updatedAt": written(workflow.created),
            }],
        });
        if with_pins {
            shown["pinData"] = workflow.pin_data.clone();
        }
        shown
    }

    /// As it is shown by itself: with its owner, among other things.
    pub(super) fn shown(&self, workflow: &Workflow, with_pins: bool) -> Value {
        let mut shown = self.listed(workflow, with_pins);
        shown["description"] = Value::Null;
        shown["versionCounter"] = json!(1);
        shown["sourceWorkflowId"] = Value::Null;
        shown["shared"][0]["project"] = json!({
            "id": PROJECT, "name": "Olga Owner <olga@example.com>", "type": "personal", "icon": null,
        });
        if workflow.live.is_some() {
            shown["activeVersion"]["workflowPublishHistory"] = json!([]);
        }
        shown
    }
}

/// `GET /workflows`: by id; each filter narrows.
pub(super) async fn list(Shared(sandbox): Shared<Sandbox>, query: Query<Vec<(String, String)>>) -> Answer {
    let asked = Asked::of(query);
    let page = asked.page()?;
    let active = asked.flag("active")?;
    let tags = asked.one("tags")?.unwrap_or_default();
    let tags: Vec<&str> = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    let name = asked.one("name")?.unwrap_or_default().to_lowercase();
    let project = asked.one("projectId")?.unwrap_or(PROJECT);
    let with_pins = asked.flag("excludePinnedData")? != Some(true);

    let state = sandbox.state();
    let fits = |workflow: &&Arc<Workflow>| {
        active.is_none_or(|active| workflow.live.is_some() == active)
            && workflow.name.to_lowercase().contains(&name)
            && tags.iter().all(|tag| state.tagged(workflow, tag))
            && project == PROJECT
    };
    let fitting: Vec<_> = state.workflows.values().filter(fits).collect();
    Ok(page.answer(&fitting, |workflow| state.listed(workflow, with_pins)))
}

/// `GET /workflows/{id}`
pub(super) async fn show(Shared(sandbox): Shared<Sandbox>, Path(id): Path<String>, query: Query<Vec<(String, String)>>) -> Answer {
    let with_pins = Asked::of(query).flag("excludePinnedData")? != Some(true);
    let state = sandbox.state();
    Ok(answer(StatusCode::OK, &state.shown(state.workflow(&id)?, with_pins)))
}

/// `POST /workflows`: takes what the strict checks let through, as a draft.
pub(super) async fn create(Shared(sandbox): Shared<Sandbox>, headers: HeaderMap, body: Bytes) -> Answer {
    let said = read_json(&headers, &body)?;
    checks::new_workflow(&said)?;
    if said["projectId"].as_str().is_some_and(|project| project != PROJECT) {
        return Err(Refusal::not_found("Project not found"));
    }
    let mut state = sandbox.state();
    let id = state.add_workflow(said);
    Ok(answer(StatusCode::OK, &state.shown(state.workflow(&id)?, true)))
}

fn if_null(value: Value, instead: Value) -> Value {
    if value.is_null() { instead } else { value }
}
