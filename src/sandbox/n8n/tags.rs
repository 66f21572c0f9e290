//! Tags, and which workflow has which.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, Query, State as Shared},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Sandbox, State, answer,
    api::{Answer, Asked, Refusal, read_json},
    random_id,
    workflows::Workflow,
    written,
};

const NAME_MAX: usize = 24;

#[derive(Clone, Debug)]
pub(super) struct Tag {
    id: String,
    name: String,
    created: Timestamp,
}

impl Tag {
    fn new(name: &str) -> Self {
        Self {
            id: random_id(),
            name: name.to_owned(),
            created: Timestamp::now(),
        }
    }

    fn shown(&self) -> Value {
        let created = written(self.created);
        json!({"id": self.id, "name": self.name, "createdAt": created, "updatedAt": created})
    }
}

impl State {
    /// The id of the tag of this name, made if there is none.
    pub(super) fn tag_named(&mut self, name: &str) -> String {
        if let Some(tag) = self.tags.iter().find(|tag| tag.name == name) {
            return tag.id.clone();
        }
        let tag = Tag::new(name);
        let id = tag.id.clone();
        self.tags.push(tag);
        id
    }

    pub(super) fn tagged(&self, workflow: &Workflow, name: &str) -> bool {
        self.tags.iter().any(|tag| tag.name == name && workflow.tags.contains(&tag.id))
    }

    pub(super) fn tags_shown(&self, ids: &[String]) -> Value {
        self.tags.iter().filter(|tag| ids.contains(&tag.id)).map(Tag::shown).collect()
    }
}

/// `GET /tags`
pub(super) async fn list(Shared(sandbox): Shared<Sandbox>, query: Query<Vec<(String, String)>>) -> Answer {
    let page = Asked::of(query).page()?;
    Ok(page.answer(&sandbox.state().tags, Tag::shown))
}

/// `POST /tags`: a name that is empty or too long is answered like one that is taken.
pub(super) async fn create(Shared(sandbox): Shared<Sandbox>, headers: HeaderMap, body: Bytes) -> Answer {
    let said = read_json(&headers, &body)?;
    let Some(name) = said["name"].as_str().map(str::trim) else {
        return Err(Refusal::bad_request("request/body must have required property 'name'"));
    };
    let mut state = sandbox.state();
    let taken = state.tags.iter().any(|tag| tag.name == name);
    if taken || name.is_empty() || name.chars().count() > NAME_MAX {
        return Err(Refusal::conflict("Tag already exists"));
    }
    let tag = Tag::new(name);
    let shown = tag.shown();
    state.tags.push(tag);
    Ok(answer(StatusCode::CREATED, &shown))
}

/// `GET /workflows/{id}/tags`
pub(super) async fn of_workflow(Shared(sandbox): Shared<Sandbox>, Path(id): Path<String>) -> Answer {
    let state = sandbox.state();
    Ok(answer(StatusCode::OK, &state.tags_shown(&state.workflow(&id)?.tags)))
}

/// `PUT /workflows/{id}/tags`: these take the place of all that it had.
pub(super) async fn replace(Shared(sandbox): Shared<Sandbox>, Path(workflow_id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let said = read_json(&headers, &body)?;
    let Some(named) = said.as_array() else {
        return Err(Refusal::bad_request("request/body must be array"));
    };
    let mut ids = Vec::with_capacity(named.len());
    for (index, tag) in named.iter().enumerate() {
        let missing = || Refusal::bad_request(format!("request/body/{index} must have required property 'id'"));
        ids.push(tag["id"].as_str().ok_or_else(missing)?.to_owned());
    }
    let mut state = sandbox.state();
    let mut workflow = Workflow::clone(state.workflow(&workflow_id)?);
    if !ids.iter().all(|id| state.tags.iter().any(|tag| tag.id == *id)) {
        return Err(Refusal::not_found("Some tags not found"));
    }
    workflow.tags = ids;
    let shown = state.tags_shown(&workflow.tags);
    state.workflows.insert(workflow_id, Arc::new(workflow));
    Ok(answer(StatusCode::OK, &shown))
}
