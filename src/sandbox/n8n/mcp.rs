//! n8n's own MCP server: stateless, framed as server-sent events, and refusing with 200.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State as Shared,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Sandbox, State, answer,
    engine::{Execution, Start},
    message,
    nodes::{self, text},
    workflows::Version,
    written,
};

/// The newest last.
const PROTOCOLS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const NEWEST: &str = "2025-11-25";

/// `POST /mcp-server/http`
pub(super) async fn call(Shared(sandbox): Shared<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = refused(&sandbox, &headers) {
        return refused;
    }
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !(accept.contains("application/json") && accept.contains("text/event-stream")) {
        let text = "Not Acceptable: Client must accept both application/json and text/event-stream";
        return answer(StatusCode::NOT_ACCEPTABLE, &failure(&Value::Null, -32000, text));
    }
    let Ok(said) = serde_json::from_slice::<Value>(&body) else {
        return answer(StatusCode::BAD_REQUEST, &failure(&Value::Null, -32700, "Parse error: Invalid JSON"));
    };
    let id = &said["id"];
    if id.is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = match text(&said, "method") {
        "initialize" => Ok(initialize(&said["params"])),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => use_tool(&sandbox, &said["params"]).await,
        _ => Err((-32601, "Method not found".to_owned())),
    };
    let reply = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, text)) => failure(id, code, &text),
    };
    let event = HeaderValue::from_static("text/event-stream");
    ([(header::CONTENT_TYPE, event)], format!("event: message\ndata: {reply}\n\n")).into_response()
}

/// `GET`: there is no stream to listen to.
pub(super) async fn no_stream() -> Response {
    answer(
        StatusCode::METHOD_NOT_ALLOWED,
        &failure(&Value::Null, -32000, "Method not allowed."),
    )
}

/// `DELETE`: there are no sessions.
pub(super) async fn no_session() -> Response {
    (StatusCode::NOT_FOUND, Html("<pre>Cannot DELETE /mcp-server/http</pre>")).into_response()
}

fn refused(sandbox: &Sandbox, headers: &HeaderMap) -> Option<Response> {
    let Some(token) = sandbox.state().mcp_token.clone() else {
        return Some(message(StatusCode::FORBIDDEN, "MCP access is disabled"));
    };
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let text = match sent.map(|sent| sent.strip_prefix(b"Bearer ")) {
        Some(Some(sent)) if sent == token.as_bytes() => return None,
        Some(_) => "Unauthorized",
        None => "Unauthorized: Authorization header not sent",
    };
    let mut refused = message(StatusCode::UNAUTHORIZED, text);
    let asks = "Bearer realm=\"n8n MCP Server\", resource_metadata=\"/.well-known/oauth-protected-resource/mcp-server/http\"";
    refused
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(asks));
    Some(refused)
}

fn failure(id: &Value, code: i64, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "error": {"code": code, "message": text}, "id": id})
}

fn initialize(params: &Value) -> Value {
    let asked = text(params, "protocolVersion");
    let protocol = if PROTOCOLS.contains(&asked) { asked } else { NEWEST };
    json!({
        "protocolVersion": protocol,
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "n8n MCP Server", "version": "1.2.0"},
    })
}

fn tools() -> Value {
    let id = json!({"type": "string"});
    json!([
        {
            "name": "execute_workflow",
            "description": "Starts an execution of a workflow and answers its id",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "workflowId": id,
                    "executionMode": {"type": "string", "enum": ["manual", "production"]},
                    "triggerNodeName": {"type": "string"},
                    "inputs": {"type": "object"},
                },
                "required": ["workflowId", "executionMode"],
            },
        },
        {
            "name": "get_workflow_execution",
            "description": "What became of an execution",
            "inputSchema": {
                "type": "object",
                "properties": {"workflowId": id, "executionId": id, "includeData": {"type": "boolean"}},
                "required": ["workflowId", "executionId"],
            },
        },
    ])
}

type Failure = (i64, String);

async fn use_tool(sandbox: &Sandbox, params: &Value) -> Result<Value, Failure> {
    let name = text(params, "name");
    let arguments = &params["arguments"];
    let required = match name {
        "execute_workflow" => ["workflowId", "executionMode"],
        "get_workflow_execution" => ["workflowId", "executionId"],
        _ => return Err((-32602, format!("Tool {name} not found"))),
    };
    if let Some(missing) = required.into_iter().find(|field| !arguments[*field].is_string()) {
        return Ok(invalid(name, &format!("{missing}: Required")));
    }
    let structured = if name == "execute_workflow" {
        let mode = text(arguments, "executionMode");
        if !matches!(mode, "manual" | "production") {
            let text = format!("executionMode: Invalid enum value. Expected 'manual' | 'production', received '{mode}'");
            return Ok(invalid(name, &text));
        }
        execute(sandbox, arguments).await
    } else {
        sandbox.state().execution_told(arguments)
    };
    Ok(json!({"content": [{"type": "text", "text": structured.to_string()}], "structuredContent": structured}))
}

fn invalid(tool: &str, what: &str) -> Value {
    let text = format!("Input validation error: Invalid arguments for tool {tool}: {what}");
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

async fn execute(sandbox: &Sandbox, arguments: &Value) -> Value {
    let started = sandbox.state().start_by_mcp(arguments);
    match started {
        Ok(execution) => {
            if let Some(pause) = sandbox.0.faults.slow_after_run() {
                sleep(pause).await;
            }
            json!({"executionId": execution.id.to_string(), "status": "started"})
        }
        Err(why) => json!({"executionId": null, "status": "error", "error": why}),
    }
}

impl State {
    fn start_by_mcp(&mut self, arguments: &Value) -> Result<Arc<Execution>, String> {
        let id = text(arguments, "workflowId");
        let workflow = self.workflows.get(id).filter(|workflow| !workflow.archived);
        let workflow = Arc::clone(workflow.ok_or("Workflow not found or you don't have permission to access it.")?);
        if !workflow.available_in_mcp() {
            return Err("Workflow is not available in MCP. Enable MCP access from the workflow card in the workflows list, or from the workflow settings.".to_owned());
        }
        let manual = text(arguments, "executionMode") == "manual";
        let version = if manual { Some(&workflow.draft) } else { workflow.registered() };
        let version = version.ok_or_else(|| format!("Workflow '{id}' has no published (active) version to execute"))?;
        let (trigger, item) = entry(version, arguments)?;
        let by_webhook = version.nodes.get(trigger).is_some_and(nodes::is_webhook);
        let mode = match (manual, by_webhook) {
            (true, _) => "manual",
            (false, true) => "webhook",
            (false, false) => "trigger",
        };
        Ok(self.record(Execution::plan(&Start {
            workflow: &workflow,
            version,
            trigger,
            output: 0,
            item,
            mode,
            pinned: by_webhook,
            awaited: false,
            broken: None,
        })))
    }

    fn execution_told(&self, arguments: &Value) -> Value {
        let (workflow, id) = (text(arguments, "workflowId"), text(arguments, "executionId"));
        let Some(seen) = id
            .parse()
            .ok()
            .and_then(|id| self.execution(id))
            .filter(|seen| seen.is_of(workflow))
        else {
            return json!({"execution": null, "error": format!("Execution '{id}' not found for workflow '{workflow}'")});
        };
        let mut told = seen.listed();
        if let Some(fields) = told.as_object_mut() {
            fields.remove("finished");
        }
        let mut whole = json!({"execution": told});
        if arguments["includeData"] == true {
            whole["data"] = seen.data();
        }
        whole
    }
}

/// The trigger to begin at, and its item.
fn entry(version: &Version, arguments: &Value) -> Result<(usize, Value), String> {
    let triggers: Vec<(usize, &Value)> = version
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| nodes::is_trigger(node) && nodes::enabled(node))
        .collect();
    let available = triggers.iter().map(|(_, node)| text(node, "name")).collect::<Vec<_>>().join(", ");
    let wanted = arguments["triggerNodeName"].as_str();
    let (place, node) = match (wanted, triggers.as_slice()) {
        (Some(wanted), _) => {
            let found = triggers.iter().find(|(_, node)| text(node, "name") == wanted);
            *found.ok_or_else(|| format!("Trigger node \"{wanted}\" was not found. Available triggers: {available}."))?
        }
        (None, [only]) => *only,
        (None, []) => return Err("This workflow has no trigger that can be executed.".to_owned()),
        (None, _) => {
            return Err(format!(
                "This workflow has multiple triggers. Provide triggerNodeName to specify which one to execute. Available triggers: {available}."
            ));
        }
    };
    let inputs = &arguments["inputs"];
    if nodes::is_webhook(node) {
        let data = &inputs["webhookData"];
        if wanted.is_none() || !data.is_object() {
            return Err(format!(
                "Provide triggerNodeName and inputs to execute this workflow. Available triggers: {available}."
            ));
        }
        let or_empty = |field: &str| {
            if data[field].is_null() { json!({}) } else { data[field].clone() }
        };
        return Ok((
            place,
            json!({"headers": or_empty("headers"), "query": or_empty("query"), "body": or_empty("body")}),
        ));
    }
    if !inputs.is_null() {
        let name = text(node, "name");
        return Err(format!("Trigger node \"{name}\" does not accept inputs. Omit inputs."));
    }
    Ok((place, json!({"timestamp": written(Timestamp::now())})))
}
