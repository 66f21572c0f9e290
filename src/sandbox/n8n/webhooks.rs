//! Production webhooks: found by path and method, guarded, run, and answered as their `responseMode` says.

use std::sync::Arc;

use axum::{
    body::to_bytes,
    extract::{Path, Query, Request, State as Shared},
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, sleep_until};

use super::{
    BASE64, BODY_MAX, Sandbox, State, answer,
    engine::{Ending, Execution, Start},
    media_type,
    nodes::{self, text},
    workflows::{Version, Workflow},
};

const NO_RESPONDER: &str = "No Respond to Webhook node found in the workflow";

/// The webhook that a call is for.
struct Hook {
    workflow: Arc<Workflow>,
    version: Arc<Version>,
    node: usize,
    output: usize,
    params: Map<String, Value>,
}

enum Lookup {
    Found(Hook),
    /// The path is there, under these methods.
    Others(Vec<String>),
    Nothing,
}

/// Any method on `/webhook/{path}`.
pub(super) async fn call(Shared(sandbox): Shared<Sandbox>, Path(path): Path<String>, request: Request) -> Response {
    let mut response = handle(&sandbox, path.trim_matches('/'), request).await;
    let policy = HeaderValue::from_static("sandbox allow-downloads allow-forms allow-modals allow-scripts");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

async fn handle(sandbox: &Sandbox, path: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS
        && let Some(wanted) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return preflight(sandbox, path, wanted);
    }
    let hook = match sandbox.state().hook(path, parts.method.as_str()) {
        Lookup::Found(hook) => hook,
        Lookup::Others(methods) => return wrong_method(&parts.method, &methods),
        Lookup::Nothing => return unregistered(&parts.method, path),
    };
    let parameters = &hook.node()["parameters"];
    if let Some(refused) = refused(parameters, &parts.headers) {
        return refused;
    }
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return no_run();
    };
    let Some(body) = read_body(&parts.headers, &body) else {
        let hint = "The body is not what its content type says";
        let body = json!({"code": 422, "message": "Failed to parse request body", "hint": hint});
        return answer(StatusCode::UNPROCESSABLE_ENTITY, &body);
    };
    let execution = hook.run(sandbox, item(&parts, path, &hook.params, &body));
    let slow = sandbox.0.faults.slow_after_run();
    let response = respond(parameters, &execution).await;
    if let Some(pause) = slow {
        sleep(pause).await;
    }
    response
}

impl State {
    /// A fixed path goes before one with parameters.
    fn hook(&self, path: &str, method: &str) -> Lookup {
        let mut found: Option<Hook> = None;
        let mut others = Vec::new();
        for workflow in self.workflows.values() {
            let Some(version) = workflow.registered().filter(|_| !workflow.archived) else {
                continue;
            };
            for route in nodes::routes(&version.nodes) {
                let Some(params) = route.matches(path) else { continue };
                if route.method != method {
                    others.push(route.method);
                } else if found.as_ref().is_none_or(|found| !found.params.is_empty()) {
                    let (workflow, version) = (Arc::clone(workflow), Arc::clone(version));
                    found = Some(Hook {
                        workflow,
                        version,
                        node: route.node,
                        output: route.output,
                        params,
                    });
                }
            }
        }
        match found {
            Some(found) => Lookup::Found(found),
            None if others.is_empty() => Lookup::Nothing,
            None => Lookup::Others(others),
        }
    }
}

impl Hook {
    fn node(&self) -> &Value {
        self.version.nodes.get(self.node).unwrap_or(&Value::Null)
    }

    fn run(&self, sandbox: &Sandbox, item: Value) -> Arc<Execution> {
        let mode = text(&self.node()["parameters"], "responseMode");
        let answers = || {
            self.version
                .nodes
                .iter()
                .any(|node| nodes::is_responder(node) && nodes::enabled(node))
        };
        let broken = (mode == "responseNode" && !answers()).then_some(NO_RESPONDER);
        let execution = Execution::plan(&Start {
            workflow: &self.workflow,
            version: &self.version,
            trigger: self.node,
            output: self.output,
            item,
            mode: "webhook",
            pinned: false,
            awaited: mode == "lastNode" || broken.is_some(),
            broken,
        });
        sandbox.state().record(execution)
    }
}

/// The trigger's item: everything that was sent, secrets included.
fn item(parts: &Parts, path: &str, params: &Map<String, Value>, body: &Value) -> Value {
    let mut headers = Map::new();
    for name in parts.headers.keys() {
        let values: Vec<_> = parts
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    let host = headers.get("host").and_then(Value::as_str).unwrap_or("localhost");
    let url = format!("http://{host}/webhook/{path}");
    json!({
        "headers": headers, "params": params, "query": fields(pairs(&parts.uri)), "body": body,
        "webhookUrl": url, "executionMode": "production",
    })
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// Values are texts, those of a repeated name a list of them.
fn fields(pairs: Vec<(String, String)>) -> Value {
    let mut fields = Map::new();
    for (name, value) in pairs {
        match fields.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
            None => drop(fields.insert(name, value.into())),
        }
    }
    fields.into()
}

/// The body as the workflow gets it; none for JSON that is broken.
fn read_body(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let body = match media_type(headers).as_str() {
        "application/json" if !body.is_empty() => serde_json::from_slice(body).ok()?,
        "application/x-www-form-urlencoded" => {
            let uri = Uri::try_from(format!("/?{}", String::from_utf8_lossy(body)));
            fields(uri.map(|uri| pairs(&uri)).unwrap_or_default())
        }
        "text/plain" => String::from_utf8_lossy(body).into_owned().into(),
        _ => Value::Null,
    };
    Some(if body.is_null() { json!({}) } else { body })
}

/// Why a caller is not let through, who then leaves no execution.
fn refused(parameters: &Value, headers: &HeaderMap) -> Option<Response> {
    let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (options, secret) = (&parameters["options"], &parameters["sandbox"]);
    if options["ignoreBots"] == true && !sent("user-agent").unwrap_or_default().starts_with("Mozilla/") {
        return Some(plain(StatusCode::FORBIDDEN, "Authorization data is wrong!"));
    }
    // Whoever calls the sandbox calls from this machine.
    let whitelist = text(options, "ipWhitelist");
    if !whitelist.is_empty() && !whitelist.contains("127.0.0.1") {
        return Some(plain(StatusCode::FORBIDDEN, "IP is not allowed to access the webhook!"));
    }
    match text(parameters, "authentication") {
        "headerAuth" | "basicAuth" if !secret.is_object() => {
            let body = json!({"message": "No authentication data defined on node!"});
            Some(answer(StatusCode::INTERNAL_SERVER_ERROR, &body))
        }
        "headerAuth" => {
            let right = sent(text(secret, "name")).is_some_and(|sent| sent == text(secret, "value"));
            (!right).then(|| plain(StatusCode::FORBIDDEN, "Authorization data is wrong!"))
        }
        "basicAuth" => {
            let Some(given) = sent("authorization").and_then(|sent| sent.strip_prefix("Basic ")) else {
                let mut refused = plain(StatusCode::UNAUTHORIZED, "Authorization is required!");
                let asks = HeaderValue::from_static("Basic realm=\"Webhook\"");
                refused.headers_mut().insert(header::WWW_AUTHENTICATE, asks);
                return Some(refused);
            };
            let right = BASE64.encode(format!("{}:{}", text(secret, "username"), text(secret, "password")));
            (given != right).then(|| plain(StatusCode::UNAUTHORIZED, "Authentication data is wrong!"))
        }
        _ => None,
    }
}

async fn respond(parameters: &Value, execution: &Execution) -> Response {
    match text(parameters, "responseMode") {
        "lastNode" => {
            sleep_until(execution.over_at()).await;
            last_node(parameters, execution)
        }
        "responseNode" => {
            if let Some((at, parameters, items)) = execution.responds() {
                sleep_until(at).await;
                return by_node(parameters, items);
            }
            sleep_until(execution.over_at()).await;
            if nothing_responds(execution) {
                return answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({"code": 0, "message": NO_RESPONDER}));
            }
            match execution.ending {
                Ending::Failed(_) => failed(),
                Ending::Canceled => no_run(),
                Ending::Success | Ending::Paused(_) => answer(StatusCode::OK, &json!({"message": "Workflow executed successfully"})),
            }
        }
        "streaming" => StatusCode::OK.into_response(),
        _ => on_received(parameters),
    }
}

fn nothing_responds(execution: &Execution) -> bool {
    matches!(&execution.ending, Ending::Failed(error) if text(error, "message") == NO_RESPONDER)
}

fn on_received(parameters: &Value) -> Response {
    let status = chosen_status(parameters);
    match parameters["options"]["responseData"].as_str() {
        Some(said) => page(status, said),
        None => answer(status, &json!({"message": "Workflow was started"})),
    }
}

fn last_node(parameters: &Value, execution: &Execution) -> Response {
    match execution.ending {
        Ending::Failed(_) => return failed(),
        Ending::Canceled => return no_run(),
        Ending::Success | Ending::Paused(_) => {}
    }
    let status = chosen_status(parameters);
    let items = execution.last_items();
    match (text(parameters, "responseData"), items.first()) {
        ("noData", _) => {
            let mut empty = answer(status, &Value::Null);
            *empty.body_mut() = axum::body::Body::empty();
            empty
        }
        ("allEntries", _) => answer(status, &items.into()),
        (_, Some(first)) => answer(status, first),
        (_, None) => {
            let body = json!({"code": 0, "message": "No item to return was found"});
            answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}

/// What a Respond to Webhook node says; one whose text is an expression sends its item.
fn by_node(parameters: &Value, items: &[Value]) -> Response {
    let options = &parameters["options"];
    let code = options["responseCode"].as_u64().and_then(|code| u16::try_from(code).ok());
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = code.unwrap_or(StatusCode::OK);
    let said = text(parameters, "responseBody");
    let mut response = match text(parameters, "respondWith") {
        "noData" => status.into_response(),
        "redirect" => {
            let to = HeaderValue::from_str(text(parameters, "redirectURL"));
            let to = to.unwrap_or_else(|_| HeaderValue::from_static("/"));
            (code.unwrap_or(StatusCode::TEMPORARY_REDIRECT), [(header::LOCATION, to)]).into_response()
        }
        "allIncomingItems" => answer(status, &items.into()),
        "text" if !said.starts_with('=') => page(status, said),
        "json" if !said.starts_with('=') && !said.is_empty() => match serde_json::from_str(said) {
            Ok(body) => answer(status, &body),
            Err(_) => failed(),
        },
        _ => answer(status, items.first().unwrap_or(&Value::Null)),
    };
    let entries = options["responseHeaders"]["entries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for entry in entries {
        let name = HeaderName::try_from(text(entry, "name"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(text(entry, "value"))) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn chosen_status(parameters: &Value) -> StatusCode {
    let values = &parameters["options"]["responseCode"]["values"];
    let codes = [
        &values["customCode"],
        &values["responseCode"],
        &parameters["options"]["responseCode"],
        &parameters["responseCode"],
    ];
    let code = codes.into_iter().find_map(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK)
}

fn preflight(sandbox: &Sandbox, path: &str, wanted: &HeaderValue) -> Response {
    let wanted = wanted.to_str().unwrap_or_default();
    let Lookup::Found(_) = sandbox.state().hook(path, wanted) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (
        StatusCode::NO_CONTENT,
        [(header::ACCESS_CONTROL_ALLOW_METHODS, format!("OPTIONS, {wanted}"))],
    )
        .into_response()
}

fn unregistered(method: &Method, path: &str) -> Response {
    answer(
        StatusCode::NOT_FOUND,
        &json!({
            "code": 404,
            "message": format!("The requested webhook \"{method} {path}\" is not registered."),
            "hint": "The workflow must be active for a production URL to run successfully.",
        }),
    )
}

fn wrong_method(method: &Method, others: &[String]) -> Response {
    let others = others.join(" or ");
    let text = format!("This webhook is not registered for {method} requests. Did you mean to make a {others} request?");
    answer(StatusCode::NOT_FOUND, &json!({"code": 404, "message": text}))
}

fn failed() -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({"message": "Error in workflow"}))
}

fn no_run() -> Response {
    let body = json!({"code": 0, "message": "There was a problem executing the workflow"});
    answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

fn page(status: StatusCode, text: &str) -> Response {
    (status, axum::response::Html(text.to_owned())).into_response()
}

/// A text without a content type, as refusals of a webhook are.
fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = (status, text).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}
