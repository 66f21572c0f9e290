//! The manners of the public API: its key, its queries and pages, what it accepts and how it refuses.

use axum::{
    extract::{Query, Request, State as Shared},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use base64::Engine as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{BASE64, Sandbox, answer, media_type, message};

const PAGE: usize = 100;
pub(super) const PAGE_MAX: usize = 250;

/// Why the public API refuses a request.
#[derive(Debug)]
pub(super) enum Refusal {
    Message(StatusCode, String),
    /// Broken JSON is answered by the web server beneath, with a page.
    Page(StatusCode),
}

pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::Message(StatusCode::BAD_REQUEST, text.into())
    }

    pub(super) fn not_found(text: &str) -> Self {
        Self::Message(StatusCode::NOT_FOUND, text.to_owned())
    }

    pub(super) fn conflict(text: &str) -> Self {
        Self::Message(StatusCode::CONFLICT, text.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Message(status, text) => message(status, &text),
            Self::Page(status) => (status, Html("<!DOCTYPE html><html><body><pre>SyntaxError</pre></body></html>")).into_response(),
        }
    }
}

/// The query of a request to the public API.
pub(super) struct Asked(Vec<(String, String)>);

/// Where a page of a list begins, and how long it may be.
#[derive(Clone, Copy)]
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Asked {
    pub(super) fn of(Query(pairs): Query<Vec<(String, String)>>) -> Self {
        Self(pairs)
    }

    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Refusal::bad_request(format!(
                "request/query/{name} Expected string, received array"
            ))),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.one_of(name, &["true", "false"])
            .map(|value| value.map(|value| value == "true"))
    }

    pub(super) fn one_of(&self, name: &str, allowed: &[&str]) -> Result<Option<&str>, Refusal> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        if allowed.contains(&value) {
            return Ok(Some(value));
        }
        let expected: Vec<_> = allowed.iter().map(|value| format!("'{value}'")).collect();
        let expected = expected.join(" | ");
        Err(Refusal::bad_request(format!(
            "request/query/{name} Invalid enum value. Expected {expected}, received '{value}'"
        )))
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let wrong = |_| Refusal::bad_request(format!("request/query/{name} must be integer"));
        value.parse().map(Some).map_err(wrong)
    }

    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        Ok(self.number("limit")?.unwrap_or(PAGE).min(PAGE_MAX))
    }

    /// What the cursor says; it stands above `limit` and `offset`, and knows nothing of any filter.
    pub(super) fn cursor(&self) -> Result<Option<Value>, Refusal> {
        let Some(cursor) = self.one("cursor")? else {
            return Ok(None);
        };
        BASE64
            .decode(cursor)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .filter(|said| said["limit"].is_u64())
            .map(Some)
            .ok_or_else(bad_cursor)
    }

    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let Some(cursor) = self.cursor()? else {
            return Ok(Page {
                offset: self.number("offset")?.unwrap_or_default(),
                limit: self.limit()?,
            });
        };
        let offset = cursor["offset"].as_u64().ok_or_else(bad_cursor)?;
        Ok(Page {
            offset: whole(Some(offset)),
            limit: whole(cursor["limit"].as_u64()).min(PAGE_MAX),
        })
    }
}

impl Page {
    /// This page of `all`. A limit of nought gives everything, and a cursor that leads nowhere, over and over.
    pub(super) fn answer<T>(self, all: &[T], render: impl FnMut(&T) -> Value) -> Response {
        let Self { offset, limit } = self;
        let length = if limit == 0 { usize::MAX } else { limit };
        let data: Vec<_> = all.iter().skip(offset).take(length).map(render).collect();
        let next = offset.saturating_add(limit);
        let cursor = (next < all.len()).then(|| BASE64.encode(format!(r#"{{"limit":{limit},"offset":{next}}}"#)));
        answer(StatusCode::OK, &json!({"data": data, "nextCursor": cursor}))
    }
}

pub(super) fn bad_cursor() -> Refusal {
    Refusal::bad_request("An invalid cursor was provided")
}

pub(super) async fn ask_for_key(Shared(sandbox): Shared<Sandbox>, request: Request, next: Next) -> Response {
    let key = request.headers().get("x-n8n-api-key").map(HeaderValue::as_bytes);
    if key == Some(sandbox.0.api_key.as_bytes()) {
        return next.run(request).await;
    }
    let said = if request.uri().path().ends_with("/discover") {
        "unauthorized"
    } else {
        "Unauthorized"
    };
    message(StatusCode::UNAUTHORIZED, said)
}

pub(super) async fn method_not_allowed(method: Method) -> Response {
    message(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} method not allowed"))
}

/// The scopes of the key, and what may be asked for with it.
pub(super) async fn discover() -> Response {
    let endpoints = [
        ("workflow", "list", "GET", "/api/v1/workflows", "getWorkflows"),
        ("workflow", "create", "POST", "/api/v1/workflows", "createWorkflow"),
        ("workflow", "read", "GET", "/api/v1/workflows/{workflowId}", "getWorkflow"),
        (
            "workflow",
            "activate",
            "POST",
            "/api/v1/workflows/{workflowId}/publish",
            "publishWorkflow",
        ),
        (
            "workflowTags",
            "update",
            "PUT",
            "/api/v1/workflows/{workflowId}/tags",
            "updateWorkflowTags",
        ),
        ("tag", "list", "GET", "/api/v1/tags", "getTags"),
        ("tag", "create", "POST", "/api/v1/tags", "createTag"),
        ("execution", "list", "GET", "/api/v1/executions", "getExecutions"),
        ("execution", "read", "GET", "/api/v1/executions/{executionId}", "getExecution"),
    ];
    let mut resources = json!({});
    for (resource, operation, method, path, id) in endpoints {
        let of = &mut resources[resource];
        if of.is_null() {
            *of = json!({"operations": [], "endpoints": []});
        }
        push(&mut of["operations"], json!(operation));
        push(&mut of["endpoints"], json!({"method": method, "path": path, "operationId": id}));
    }
    let scopes: Vec<_> = endpoints
        .iter()
        .map(|(resource, operation, ..)| format!("{resource}:{operation}"))
        .collect();
    let data = json!({"scopes": scopes, "resources": resources, "filters": {}, "specUrl": "/api/v1/openapi.yml"});
    answer(StatusCode::OK, &json!({"data": data}))
}

/// A request's JSON; nothing at all counts as `{}`.
pub(super) fn read_json(headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let media_type = media_type(headers);
    if media_type != "application/json" {
        let text = format!("unsupported media type {media_type}");
        return Err(Refusal::Message(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    serde_json::from_slice(body).map_err(|_| Refusal::Page(StatusCode::INTERNAL_SERVER_ERROR))
}

fn push(array: &mut Value, item: Value) {
    if let Value::Array(items) = array {
        items.push(item);
    }
}

pub(super) fn whole(number: Option<u64>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}
