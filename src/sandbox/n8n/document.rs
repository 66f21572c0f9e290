//! The document of the public API, in the script of its Swagger UI: of what is played here, and no more.

use axum::{
    extract::State as Shared,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::Sandbox;

/// Shown to everybody, as the real one is: no key is asked for.
pub(super) async fn script(Shared(_): Shared<Sandbox>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let script = format!(
        "\nwindow.onload = function() {{\n  // Build a system\n  var options = {{\n  \"swaggerDoc\": {:#},\n  \"customOptions\": {{\n    \"plugins\": [\n      function scopeBadgePlugin() {{ return {{ }}; }}\n    ]\n  }},\n  \"swaggerUrl\": {{}}\n}};\n  window.ui = SwaggerUIBundle({{ spec: options.swaggerDoc }})\n}}\n",
        document(host)
    );
    ([(header::CONTENT_TYPE, "application/javascript; charset=utf-8")], script).into_response()
}

fn document(host: &str) -> Value {
    let operations = [
        ("/workflows", "get", "getWorkflows", "Retrieve all workflows", "workflowList"),
        ("/workflows", "post", "createWorkflow", "Create a workflow", "workflow"),
        ("/workflows/{workflowId}", "get", "getWorkflow", "Retrieve a workflow", "workflow"),
        (
            "/workflows/{workflowId}/publish",
            "post",
            "publishWorkflow",
            "Publish a workflow",
            "workflow",
        ),
        (
            "/workflows/{workflowId}/tags",
            "put",
            "updateWorkflowTags",
            "Update tags of a workflow",
            "tag",
        ),
        ("/tags", "get", "getTags", "Retrieve all tags", "tag"),
        ("/tags", "post", "createTag", "Create a tag", "tag"),
        ("/executions", "get", "getExecutions", "Retrieve all executions", ""),
        ("/executions/{executionId}", "get", "getExecution", "Retrieve an execution", ""),
    ];
    let mut paths = Map::new();
    for (path, method, id, summary, answers) in operations {
        let schema = match answers {
            "" => execution(),
            name => json!({ "$ref": format!("#/components/schemas/{name}") }),
        };
        let mut operation = json!({
            "operationId": id, "summary": summary, "description": format!("{summary} of your instance."), "x-eov-operation-id": "unreachable",
            "responses": { "200": { "description": "Operation successful.", "content": { "application/json": { "schema": schema } } } },
        });
        let named = path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        if let Some((name, _)) = named {
            operation["parameters"] = json!([{ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }]);
        }
        if method != "get" {
            operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    }
    let time = json!({ "type": "string", "format": "date-time", "readOnly": true });
    let text = json!({ "type": "string" });
    json!({
        "openapi": "3.0.0",
        "info": { "title": "n8n Public API", "description": "n8n Public API", "version": "1.1.1" },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "ApiKeyAuth": [] }],
        "paths": paths,
        "components": {
            "schemas": {
                "node": { "type": "object", "properties": {
                    "id": text, "name": text, "type": text, "typeVersion": { "type": "number" }, "parameters": { "type": "object" },
                    "position": { "type": "array", "items": { "type": "number" } }, "disabled": { "type": "boolean" },
                } },
                "tag": { "type": "object", "properties": { "id": text, "name": text }, "required": ["name"] },
                "tagPublicDto.generated": {
                    "type": "object", "properties": { "id": text, "name": text, "createdAt": time, "updatedAt": time },
                    "required": ["id", "name", "createdAt", "updatedAt"],
                },
                "workflow": {
                    "type": "object", "additionalProperties": false, "required": ["name", "nodes", "connections", "settings"],
                    "properties": {
                        "id": { "type": "string", "readOnly": true, "example": "2tUt1wbLX592XDdX" }, "name": text, "active": { "type": "boolean", "readOnly": true },
                        "nodes": { "type": "array", "items": { "$ref": "#/components/schemas/node" } }, "connections": { "type": "object" },
                        "settings": { "type": "object" }, "staticData": { "type": "object", "nullable": true },
                        "tags": { "type": "array", "readOnly": true, "items": { "$ref": "#/components/schemas/tag" } }, "createdAt": time, "updatedAt": time,
                    },
                },
                "workflowList": { "type": "object", "properties": {
                    "data": { "type": "array", "items": { "$ref": "#/components/schemas/workflow" } }, "nextCursor": { "type": "string", "nullable": true },
                } },
            },
            "securitySchemes": { "ApiKeyAuth": { "type": "apiKey", "in": "header", "name": "X-N8N-API-KEY" } },
        },
        "server": [{ "url": format!("http://{host}/api/v1}}") }],
    })
}

/// Described where it is answered: it has no schema of its own.
fn execution() -> Value {
    let text = json!({ "type": "string" });
    let time = json!({ "type": "string", "format": "date-time", "nullable": true });
    json!({
        "type": "object", "required": ["id", "mode", "status", "startedAt", "stoppedAt", "workflowId"],
        "properties": { "id": text, "mode": text, "status": text, "startedAt": time, "stoppedAt": time, "workflowId": text, "waitTill": time },
    })
}
