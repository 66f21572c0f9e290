//! The OpenAPI 3.1 document, made from the catalogue: an operation for each tool, and the few routes that are not tools.
//!
//! utoipa holds the frame. Tool schemas enter as they are, since OpenAPI 3.1 takes JSON Schema 2020-12 and utoipa's own types
//! drop parts of it (`const`, `$defs`).

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    InfoBuilder, OpenApiBuilder, ServerBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    error::Kind,
    tool::{Catalogue, Category, Definition},
};

/// The document as JSON, two blanks deep, so that a change to it reads well.
pub fn document(catalogue: &Catalogue, base_url: &str) -> String {
    let info = InfoBuilder::new()
        .title("SmarterMCP")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The REST door of the SmarterMCP gateway: every tool of the MCP door as a route, with the same scopes, limits and audit. \
             Errors are problem details (RFC 9457). Answers carry `RateLimit`, `RateLimit-Policy` and `X-Request-Id`. A write takes \
             `Idempotency-Key`, and is then done once however often it is sent.",
        ))
        .build();
    let frame = OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(base_url).build()]))
        .build();
    let mut document = serde_json::to_value(&frame).unwrap_or_default();
    let scheme = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An `smcp_` token"))
            .build(),
    );
    document["components"] = json!({
        "securitySchemes": { "token": scheme },
        "schemas": { "Problem": problem() },
        "responses": responses(),
    });
    document["security"] = json!([{ "token": [] }]);
    document["tags"] = Category::ALL
        .into_iter()
        .map(|category| json!({ "name": category.name() }))
        .collect();
    let mut paths = Map::new();
    for tool in catalogue.all() {
        let path = paths.entry(tool.route.full_path()).or_insert_with(|| json!({}));
        path[tool.route.method.as_str().to_ascii_lowercase()] = operation(tool);
    }
    for (path, method, operation) in others() {
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    }
    document["paths"] = Value::Object(paths);
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(tool: &Definition) -> Value {
    let in_path: Vec<_> = tool.route.parameters().collect();
    let has_body = !matches!(tool.route.method, http::Method::GET | http::Method::DELETE);
    let mut parameters: Vec<Value> = Vec::new();
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in tool.input.parameters() {
        let schema = tool.input.parameter(name);
        let description = &schema["description"];
        if in_path.contains(&name) {
            parameters.push(json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }));
        } else if has_body {
            properties.insert(name.to_owned(), schema.clone());
            if tool.input.is_required(name) {
                required.push(name);
            }
        } else {
            parameters.push(json!({ "name": name, "in": "query", "required": tool.input.is_required(name), "description": description, "schema": schema }));
        }
    }
    if tool.route.effect().writes() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "1 to 255 visible ASCII characters. The same key with the same arguments does the work once.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
    }
    let (summary, description) = tool.description.split_once("\n\n").unwrap_or((&tool.description, ""));
    let mut operation = json!({
        "operationId": tool.name,
        "tags": [tool.category.name()],
        "summary": summary.replace('\n', " "),
        "description": format!("{description}\n\nNeeds the scope `{}`.", tool.scope).trim(),
        "parameters": parameters,
        "responses": answers(tool),
        "x-smartermcp-scope": tool.scope.name(),
        "x-smartermcp-effect": format!("{:?}", tool.route.effect()).to_ascii_lowercase(),
    });
    if has_body {
        operation["requestBody"] = json!({
            "required": !required.is_empty(),
            "content": { "application/json": { "schema": {
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            } } },
        });
    }
    operation
}

fn answers(tool: &Definition) -> Value {
    let mut success = json!({ "description": "Done" });
    if tool.route.status() != http::StatusCode::NO_CONTENT
        && let Some(schema) = &tool.output_schema
    {
        success["content"] = json!({ "application/json": { "schema": schema } });
        if tool.streams {
            success["content"]["text/event-stream"] = json!({
                "schema": { "type": "string", "description": "`line` events, each with a line as its data, then an `end` event with the answer as JSON." },
            });
        }
    }
    let mut answers = Map::new();
    answers.insert(tool.route.status().as_str().to_owned(), success);
    for kind in Kind::ALL {
        let status = kind.status().as_str().to_owned();
        answers
            .entry(status.clone())
            .or_insert_with(|| json!({ "$ref": format!("#/components/responses/Problem{status}") }));
    }
    Value::Object(answers)
}

/// A response for each status that an error may have, named by it, and the codes that it may carry.
fn responses() -> Value {
    let mut responses = Map::new();
    for kind in Kind::ALL {
        let status = kind.status();
        let titles: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|other| other.status() == status)
            .map(Kind::title)
            .collect();
        responses.entry(format!("Problem{}", status.as_str())).or_insert_with(|| {
            json!({
                "description": titles.join(", or: "),
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            })
        });
    }
    Value::Object(responses)
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A failure (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "retryable"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What happened, and what the caller can do." },
            "code": { "type": "string", "description": "The same for programs, e.g. `rate_limited`." },
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later." },
            "retry_after": { "type": "integer", "description": "Seconds to wait." },
            "request_id": { "type": "string" },
        },
    })
}

/// The routes that are not tools.
fn others() -> Vec<(String, &'static str, Value)> {
    let object = |summary: &str, id: &str, tag: &str| {
        json!({
            "operationId": id, "tags": [tag], "summary": summary,
            "responses": { "200": { "description": "The answer", "content": { "application/json": { "schema": { "type": "object" } } } } },
        })
    };
    let open = |summary: &str, id: &str| {
        let mut operation = object(summary, id, "health");
        operation["security"] = json!([]);
        operation
    };
    let mut by_name = object("Call a tool by its name, with its arguments as the body.", "call_tool", "tools");
    by_name["parameters"] =
        json!([{ "name": "name", "in": "path", "required": true, "description": "The tool's name", "schema": { "type": "string" } }]);
    by_name["requestBody"] = json!({ "required": false, "content": { "application/json": { "schema": { "type": "object" } } } });
    let mut metrics = open("Metrics, as Prometheus reads them.", "metrics");
    metrics["responses"] =
        json!({ "200": { "description": "The answer", "content": { "text/plain": { "schema": { "type": "string" } } } } });
    vec![
        (
            "/api/v1/tools".to_owned(),
            "get",
            object("List the tools that this token may call.", "list_tools", "tools"),
        ),
        ("/api/v1/tools/{name}".to_owned(), "post", by_name),
        (
            "/api/v1/whoami".to_owned(),
            "get",
            object(
                "Show whose token this is, its limits, and what is left of the plan.",
                "whoami",
                "tools",
            ),
        ),
        ("/health".to_owned(), "get", open("How the gateway does.", "health")),
        ("/health/live".to_owned(), "get", open("Whether the process runs.", "health_live")),
        ("/health/ready".to_owned(), "get", open("Whether it takes calls.", "health_ready")),
        (
            "/health/services".to_owned(),
            "get",
            open("How the services do.", "health_services"),
        ),
        (
            "/health/database".to_owned(),
            "get",
            open("How the database does.", "health_database"),
        ),
        ("/metrics".to_owned(), "get", metrics),
    ]
}
