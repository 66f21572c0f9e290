//! Code generation: workflows and skills by templates and by a played model, and clients that parse and call.

use std::{path::Path, process::Stdio};

use axum::{Json, Router, extract::Request, routing::any};
use serde_json::{Value, json};
use smartermcp::sandbox::{
    faults::Fault,
    llm::{Model, Says},
};

use crate::app::{App, Reply, Tenant, User};

const WORKFLOW: &str = "/api/v1/generate/n8n-workflow";
const SKILL: &str = "/api/v1/generate/botpress-skill";
const CLIENT: &str = "/api/v1/generate/api-client";
/// The owner's third example.
const BACKUP: &str = "Backup smarteros database daily at 2am";

/// A user whose limits stand in no test's way.
async fn maker(app: &App, tenant: &Tenant) -> User {
    let wide = json!({ "limits": {
        "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 },
        "categories": { "code_generation": { "per_minute": 1000, "per_hour": 10_000 }, "workflows": { "per_minute": 1000 } },
    } });
    app.user_with(tenant, &["read:services", "write:workflows", "write:bots"], wide)
        .await
}

/// Connects a played language model.
async fn writer(app: &App, tenant: &Tenant) -> Model {
    let model = Model::new(Some("sk-0123456789"), &["m"]);
    let url = app.vendors.play(&format!("llm-{}", tenant.slug), model.router());
    let credential = json!({ "provider": "anthropic", "api_key": "sk-0123456789", "model": "m" });
    let operator = app.operator().for_tenant(&tenant.id);
    let set = operator
        .put("/api/v1/connections/llm", json!({ "url": url, "credential": credential }))
        .await;
    set.assert_status(200);
    model
}

async fn workflow(user: &User, description: &str, services: &[&str]) -> Value {
    let made = user
        .post(WORKFLOW, json!({ "description": description, "services": services }))
        .await;
    made.assert_status(200);
    made.json
}

fn node<'a>(workflow: &'a Value, kind: &str) -> &'a Value {
    let kind = format!("n8n-nodes-base.{kind}");
    let mut nodes = workflow["nodes"].as_array().unwrap().iter();
    nodes.find(|node| node["type"] == kind).unwrap_or(&Value::Null)
}

/// The same without what is made anew each time: the webhook's path.
fn without_paths(mut answer: Value) -> Value {
    for node in answer["workflow_json"]["nodes"].as_array_mut().unwrap() {
        if node["type"] == "n8n-nodes-base.webhook" {
            let path = node["parameters"]["path"].as_str().unwrap();
            let (slug, secret) = path.rsplit_once('-').unwrap();
            assert_eq!(secret.len(), 32, "{path}");
            node["parameters"]["path"] = slug.into();
        }
    }
    answer
}

#[tokio::test]
async fn a_workflow_is_the_same_on_both_doors() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let arguments = json!({ "description": BACKUP, "services": ["postgresql", "aws-s3"] });
    let rest = user.post(WORKFLOW, arguments.clone()).await;
    rest.assert_status(200);
    assert_eq!(rest.json["source"], "template");
    let fields: Vec<_> = rest.json["workflow_json"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["connections", "name", "nodes", "settings"]);
    let expected = without_paths(rest.json.clone());
    for mcp in [
        user.call("generate_n8n_workflow", arguments.clone()).await,
        user.call_modern("generate_n8n_workflow", arguments.clone()).await,
    ] {
        assert_eq!(without_paths(mcp.content().clone()), expected);
    }
}

#[tokio::test]
async fn the_owners_third_example_runs_from_start_to_end() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business("luna").await;
    let user = maker(&app, &tenant).await;
    let made = workflow(&user, BACKUP, &["postgresql", "aws-s3"]).await;
    let json = &made["workflow_json"];
    assert_eq!(
        node(json, "scheduleTrigger")["parameters"]["rule"]["interval"],
        json!([{ "field": "cronExpression", "expression": "0 2 * * *" }])
    );
    assert_eq!(json["settings"]["timezone"], "America/Santiago");
    // Each step that waits for a credential is disabled, named and explained.
    let explanation = made["explanation"].as_str().unwrap();
    for (kind, named) in [("postgres", "PostgreSQL: list tables"), ("awsS3", "AWS S3: upload")] {
        assert_eq!(node(json, kind)["disabled"], true);
        assert_eq!(node(json, kind)["name"], named);
        assert!(explanation.contains(named), "{explanation}");
    }
    assert!(
        explanation.contains("do nothing until") && explanation.contains("No language model"),
        "{explanation}"
    );

    let created = user
        .post(
            "/api/v1/workflows",
            json!({ "name": "Daily DB Backup", "workflow_json": json, "tags": ["backup", "automation"] }),
        )
        .await;
    created.assert_status(201);
    assert_eq!(created.json["active"], true);
    let id = created.json["workflow_id"].as_str().unwrap();
    let triggered = user.post(&format!("/api/v1/workflows/{id}/trigger"), json!({})).await;
    triggered.assert_status(200);
    let execution = triggered.json["execution_id"].as_str().unwrap();
    let path = format!("/api/v1/workflows/executions/{execution}");
    let mut status = user.get(&path).await;
    for _ in 0..100 {
        if status.json["status"] != "running" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        status = user.get(&path).await;
    }
    assert_eq!(status.json["status"], "completed", "{}", status.text);
    assert_eq!(n8n.executions_of(id), 1);
}

#[tokio::test]
async fn what_is_generated_twice_can_be_published_twice() {
    let app = App::start().await;
    let (tenant, _, _) = app.business("luna").await;
    let user = maker(&app, &tenant).await;
    for description in [
        BACKUP,
        BACKUP,
        "Cuando llegue un pedido de Shopify, crear el cliente en Odoo y avisar por WhatsApp",
        "Un formulario de contacto que guarde en Supabase",
        "Sincronizar Odoo con Google Sheets cada 15 minutos",
        "Every Monday at 9:30 send a report from Metabase to Slack",
        "=={{ $env.HOME }}' }} nonsense */ \u{202e}",
    ] {
        let made = workflow(&user, description, &[]).await;
        let created = user
            .post("/api/v1/workflows", json!({ "name": "x", "workflow_json": made["workflow_json"] }))
            .await;
        created.assert_status(201);
    }
}

#[tokio::test]
async fn the_workflow_runs_in_the_tenants_time_zone() {
    let app = App::start().await;
    let tenant = app.tenant_with("luna", json!({ "time_zone": "Pacific/Easter" })).await;
    let user = maker(&app, &tenant).await;
    let made = workflow(&user, "todos los lunes a las 9:30 avisar por Slack", &[]).await;
    assert_eq!(made["workflow_json"]["settings"]["timezone"], "Pacific/Easter");
    assert!(made["explanation"].as_str().unwrap().contains("30 9 * * 1"));
}

#[tokio::test]
async fn a_schedule_that_is_not_understood_is_told_and_not_guessed() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let made = workflow(&user, "Send a report to Slack every 90 minutes", &[]).await;
    assert_eq!(node(&made["workflow_json"], "scheduleTrigger"), &Value::Null);
    assert!(made["explanation"].as_str().unwrap().contains("schedule"));
}

/// What a model that keeps the rules answers.
fn good_answer() -> Value {
    json!({
        "workflow": {
            "name": "Respaldo",
            "nodes": [
                { "id": "a", "name": "Cada noche", "type": "n8n-nodes-base.scheduleTrigger", "typeVersion": 1.2, "position": [0, 0],
                  "parameters": { "rule": { "interval": [{ "field": "cronExpression", "expression": "0 2 * * *" }] } } },
                { "id": "b", "name": "Base", "type": "n8n-nodes-base.postgres", "typeVersion": 2.6, "position": [220, 0],
                  "parameters": { "operation": "executeQuery", "query": "SELECT 1", "options": {} } },
            ],
            "connections": { "Cada noche": { "main": [[{ "node": "Base", "type": "main", "index": 0 }]] } },
            "settings": { "executionOrder": "v1" },
        },
        "explanation": "Respalda la base cada noche.",
    })
}

#[tokio::test]
async fn a_models_workflow_is_checked_and_made_fit_to_run() {
    let app = App::start().await;
    let (tenant, _, _) = app.business("luna").await;
    let user = maker(&app, &tenant).await;
    let model = writer(&app, &tenant).await;
    model.say(Says::Text(format!("Here it is:\n```json\n{}\n```", good_answer())));
    let made = workflow(&user, BACKUP, &["postgresql"]).await;
    assert_eq!(made["source"], "llm", "{made}");
    let json = &made["workflow_json"];
    // A webhook beside its schedule, leading to the same step.
    let entry = node(json, "webhook");
    assert_eq!(entry["parameters"]["httpMethod"], "POST");
    assert_eq!(
        json["connections"][entry["name"].as_str().unwrap()],
        json["connections"]["Cada noche"]
    );
    assert_eq!(node(json, "postgres")["disabled"], true);
    let explanation = made["explanation"].as_str().unwrap();
    assert!(
        explanation.starts_with("Respalda la base") && explanation.contains("Base"),
        "{explanation}"
    );
    let created = user.post("/api/v1/workflows", json!({ "name": "x", "workflow_json": json })).await;
    created.assert_status(201);
    let asked = model.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].user.contains(BACKUP) && asked[0].user.contains("postgresql") && !asked[0].system.contains(BACKUP));
}

#[tokio::test]
async fn what_does_not_pass_the_check_is_sent_back_once_and_then_replaced() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let model = writer(&app, &tenant).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut answer = good_answer();
        change(&mut answer["workflow"]);
        answer.to_string()
    };
    let wrong: Vec<(String, &str)> = vec![
        ("I would rather not.".to_owned(), "one JSON object"),
        ("{\"workflow\": {".to_owned(), "one JSON object"),
        (with(&|workflow| workflow["active"] = true.into()), "'active'"),
        (
            with(&|workflow| workflow["nodes"][1]["type"] = "n8n-nodes-base.doesNotExist".into()),
            "doesNotExist",
        ),
        (
            with(&|workflow| workflow["nodes"][1]["type"] = "n8n-nodes-base.executeCommand".into()),
            "own machine",
        ),
        (with(&|workflow| workflow["nodes"][1]["typeVersion"] = 99.into()), "typeVersion"),
        (
            with(&|workflow| workflow["nodes"][1]["credentials"] = json!({ "postgres": { "id": "1" } })),
            "credentials",
        ),
        (with(&|workflow| workflow["nodes"][1]["name"] = "Cada noche".into()), "same name"),
        (
            with(&|workflow| workflow["connections"]["Nobody"] = json!({ "main": [] })),
            "no node has this name",
        ),
        (
            with(&|workflow| workflow["connections"]["Cada noche"]["main"][0][0]["node"] = "Nobody".into()),
            "leads to 'Nobody'",
        ),
        (
            with(&|workflow| workflow["nodes"][0]["parameters"]["rule"]["interval"][0]["expression"] = "every day".into()),
            "cron",
        ),
        (
            with(&|workflow| workflow["nodes"][1]["parameters"]["token"] = "Bearer abcdefghijklmnopqrstuvwx".into()),
            "secret",
        ),
        (with(&|workflow| workflow["nodes"] = json!([])), "nodes must be"),
        (
            with(&|workflow| {
                workflow["nodes"].as_array_mut().unwrap().remove(0);
                workflow["connections"] = json!({});
            }),
            "trigger",
        ),
    ];
    for (answer, complaint) in wrong {
        // A token of its own: no limits are wide enough for all.
        let user = maker(&app, &tenant).await;
        let before = model.asked().len();
        model.say(Says::Text(answer.clone()));
        model.say(Says::Text(good_answer().to_string()));
        let made = workflow(&user, BACKUP, &[]).await;
        assert_eq!(made["source"], "llm", "{complaint}");
        let repair = &model.asked()[before + 1];
        assert!(repair.user.contains(complaint), "{complaint}: {}", repair.user);
        // What it had written comes back as data.
        assert!(repair.user.contains("<data>"));

        model.say(Says::Text(answer.clone()));
        model.say(Says::Text(answer.clone()));
        let made = workflow(&user, BACKUP, &[]).await;
        assert_eq!(made["source"], "template", "{complaint}");
        assert!(made["explanation"].as_str().unwrap().contains("did not pass the check"), "{made}");
        assert_eq!(model.asked().len() - before, 4);
    }
}

#[tokio::test]
async fn a_model_that_is_not_well_is_replaced_by_the_templates_and_told_of() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let model = writer(&app, &tenant).await;
    for (says, words) in [
        (Says::Status(500, None), "currently unavailable"),
        (Says::Status(429, Some(60)), "asked too often"),
        (Says::CutOff("{\"workflow\":".to_owned()), "cut off"),
        (Says::Refusal, "refuses to answer"),
        (Says::Empty, "answered nothing"),
    ] {
        model.say(says);
        let made = workflow(&user, BACKUP, &[]).await;
        assert_eq!(made["source"], "template");
        assert!(made["explanation"].as_str().unwrap().contains(words), "{made}");
    }
    let user = maker(&app, &tenant).await;
    for fault in [Fault::Html, Fault::CutOff, Fault::Status(401)] {
        model.faults().set(fault);
        for (path, body) in [
            (WORKFLOW, json!({ "description": BACKUP })),
            (SKILL, json!({ "description": "order status" })),
        ] {
            let made = user.post(path, body).await;
            made.assert_status(200);
            assert_eq!(made.json["source"], "template");
            assert!(
                made.json["explanation"].as_str().unwrap().contains("not to be had"),
                "{}",
                made.text
            );
            assert!(!made.text.contains("sk-0123456789"));
        }
    }
}

#[tokio::test]
async fn bad_input_is_refused_by_field() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let long = "x".repeat(4001);
    for (path, body) in [
        (WORKFLOW, json!({})),
        (WORKFLOW, json!({ "description": "" })),
        (WORKFLOW, json!({ "description": "    " })),
        (WORKFLOW, json!({ "description": long })),
        (WORKFLOW, json!({ "description": "backup", "services": "s3" })),
        (WORKFLOW, json!({ "description": "backup", "services": vec!["s3"; 21] })),
        (WORKFLOW, json!({ "description": "backup", "service": [] })),
        (SKILL, json!({ "description": "  \n " })),
        (CLIENT, json!({})),
        (CLIENT, json!({ "service_id": "smartermcp", "language": "rust" })),
    ] {
        user.post(path, body.clone()).await.assert_problem(422, "invalid_input");
    }
}

#[tokio::test]
async fn a_skill_is_the_same_on_both_doors_and_speaks_both_languages() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let arguments = json!({ "description": "Consultar el estado de un pedido, precios, y derivar a una persona" });
    let rest = user.post(SKILL, arguments.clone()).await;
    rest.assert_status(200);
    let names: Vec<_> = rest.json["intents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|intent| &intent["name"])
        .collect();
    assert_eq!(names, ["order_status", "price", "human_handover"]);
    for intent in rest.json["intents"].as_array().unwrap() {
        assert!(intent["utterances"]["es"].as_array().unwrap().len() > 2 && intent["utterances"]["en"].as_array().unwrap().len() > 2);
    }
    assert_eq!(rest.json["skill_json"]["intents"], rest.json["intents"]);
    assert_eq!(rest.json["skill_json"]["actions"], rest.json["actions"]);
    assert_eq!(rest.json["skill_json"]["slots"][0]["name"], "order_number");
    assert_eq!(rest.json["source"], "template");
    for mcp in [
        user.call("generate_botpress_skill", arguments.clone()).await,
        user.call_modern("generate_botpress_skill", arguments.clone()).await,
    ] {
        assert_eq!(mcp.content(), &rest.json);
    }
}

#[tokio::test]
async fn a_models_skill_is_checked_too() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let model = writer(&app, &tenant).await;
    let good = json!({
        "intents": [{ "name": "cueca", "utterances": { "es": ["Quiero bailar"], "en": ["I want to dance"] }, "slots": ["who"], "actions": ["dance"] }],
        "slots": [{ "name": "who", "type": "text", "prompt": { "es": "¿Con quién?", "en": "With whom?" } }],
        "actions": [{ "name": "dance", "description": "Dances.", "input": ["who"] }],
    });
    model.say(Says::Text(good.to_string()));
    let made = user.post(SKILL, json!({ "description": "Bailar cueca" })).await;
    assert_eq!(
        (&made.json["source"], &made.json["intents"]),
        (&json!("llm"), &good["intents"]),
        "{}",
        made.text
    );
    for (field, value, complaint) in [
        ("/intents/0/slots/0", json!("nobody"), "no slot"),
        ("/intents/0/actions/0", json!("nothing"), "no action"),
        ("/intents/0/name", json!("Cueca!"), "small letters"),
        ("/intents/0/utterances/en", json!([]), "utterances"),
        ("/slots/0/type", json!("password"), "type must be"),
        ("/actions", json!("none"), "form that was shown"),
    ] {
        let mut wrong = good.clone();
        *wrong.pointer_mut(field).unwrap() = value;
        model.say(Says::Text(wrong.to_string()));
        model.say(Says::Text(good.to_string()));
        let made = user.post(SKILL, json!({ "description": "Bailar cueca" })).await;
        assert_eq!(made.json["source"], "llm", "{field}");
        assert!(model.asked().last().unwrap().user.contains(complaint), "{field}");
    }
}

// Clients.

/// A shop's own API: its document, and the calls that it was sent.
fn shop(document: Value) -> (Router, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let calls = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = calls.clone();
    let answer = move |request: Request| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let header = |name: &str| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
            seen.lock().unwrap().push(format!(
                "{} {} key={} body={}",
                parts.method,
                parts.uri,
                header("x-api-key"),
                String::from_utf8_lossy(&body)
            ));
            match parts.uri.path() {
                "/missing" => (http::StatusCode::NOT_FOUND, Json(json!({ "message": "no" }))),
                _ => (http::StatusCode::OK, Json(json!({ "id": 7, "total": 1990 }))),
            }
        }
    };
    let router = Router::new()
        .route("/openapi.json", any(move || async move { Json(document) }))
        .fallback(any(answer));
    (router, calls)
}

fn document() -> Value {
    json!({
        "openapi": "3.0.3", "info": { "title": "Tienda", "version": "1" },
        "components": {
            "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" } },
            "schemas": {
                "Order": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "integer" }, "total": { "type": "number", "nullable": true }, "parent": { "$ref": "#/components/schemas/Order" },
                    "status": { "type": "string", "enum": ["open", "paid"] }, "odd name\"": { "type": "string" },
                } },
                "New": { "allOf": [{ "$ref": "#/components/schemas/Order" }, { "type": "object", "properties": { "note": { "type": "string" } } }] },
            },
        },
        "paths": {
            "/orders/{id}": {
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
                "get": { "operationId": "getOrder", "summary": "One order.",
                    "parameters": [{ "name": "fields[]", "in": "query", "schema": { "type": "array", "items": { "type": "string" } } }, { "name": "class", "in": "query", "schema": { "type": "string" } }],
                    "responses": { "200": { "description": "", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } } },
            },
            "/orders": { "post": { "operationId": "delete",
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                "responses": { "201": { "description": "", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } } } },
            "/missing": { "get": { "responses": { "204": { "description": "" } } } },
        },
    })
}

/// What a hostile service serves: code wherever there is room for text.
fn hostile() -> Value {
    let evil = "*/ process.exit(3); /* \"\"\" ' ` ${process.exit(3)} \\ \n\r\u{2028} __import__('os')._exit(3) # @ts-nocheck";
    let cycle = json!({ "$ref": "#/components/schemas/Cycle" });
    let reserved = [
        "class",
        "constructor",
        "__proto__",
        "__init__",
        "import",
        "None",
        "await",
        "then",
        "123",
        "",
        "ñandú",
        "self",
        "body",
        "args",
    ];
    let parameters: Vec<_> = reserved
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "description": evil }))
        .collect();
    let mut paths = json!({});
    for (index, name) in reserved.iter().chain([&evil]).enumerate() {
        paths[format!("/p{index}/{{{name}}}")] = json!({
            "get": { "operationId": name, "summary": evil, "description": evil, "parameters": parameters, "responses": { "200": { "content": { "application/json": { "schema": cycle } } } } },
            "post": { "operationId": name, "requestBody": { "content": { evil: {}, "application/json": { "schema": { "$ref": "#/components/schemas/Evil" } } } }, "responses": {} },
        });
    }
    let mut schemas = json!({
        "Cycle": { "anyOf": [cycle, { "$ref": "#/components/schemas/Other" }] },
        "Other": { "allOf": [cycle] },
        "List": { "type": "array", "items": { "$ref": "#/components/schemas/List" } },
        "Evil": { "properties": { evil: { "enum": [evil], "description": evil }, "list": { "$ref": "#/components/schemas/List" }, "m": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Map" } } } },
        "Map": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Map" } },
    });
    for (index, name) in ["Any", "Object", "String", "Client", "None", "Promise", evil]
        .into_iter()
        .enumerate()
    {
        schemas[name] = json!({ "type": "object", "properties": { "constructor": { "$ref": "#/components/schemas/Evil" } } });
        paths[format!("/types/{index}")] = json!({ "get": { "responses": { "200": { "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{}", name.replace('~', "~0").replace('/', "~1")) } } } } } } });
    }
    json!({
        "openapi": "3.1.0", "info": { "title": evil, "description": evil }, "servers": [{ "url": format!("https://x.cl/{evil}") }],
        "components": { "schemas": schemas, "securitySchemes": { evil: { "type": "apiKey", "in": "query", "name": evil }, "b": { "type": "http", "scheme": "basic" }, "t": { "type": "oauth2" } } },
        "paths": paths,
    })
}

/// Registers a played service of this document.
async fn registered(app: &App, tenant: &Tenant, id: &str, document: Value) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let (router, calls) = shop(document);
    let url = app.vendors.play(&format!("{id}-{}", tenant.slug), router);
    let operator = app.operator().for_tenant(&tenant.id);
    let set = operator
        .put(&format!("/api/v1/services/{id}"), json!({ "type": "backend", "url": url }))
        .await;
    assert!(set.status.is_success(), "{}", set.text);
    (url, calls)
}

/// Runs a program of `tests/clients` in this folder.
async fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?} failed\n{out}\n{err}");
    out.into_owned()
}

/// Writes a client's files, and lets the language's own tool read them.
async fn parsed(made: &Reply, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for file in made.json["files"].as_array().unwrap() {
        std::fs::write(folder.join(file["path"].as_str().unwrap()), file["content"].as_str().unwrap()).unwrap();
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/node_modules");
    match made.json["language"].as_str().unwrap() {
        "typescript" => {
            let tsc = tools.join("typescript/bin/tsc");
            assert!(
                tsc.is_file(),
                "the packages of tests/clients are not installed; `make clients` installs them"
            );
            let strict = [
                "--noEmit",
                "--strict",
                "--target",
                "es2022",
                "--module",
                "esnext",
                "--lib",
                "es2023,dom",
                "client.ts",
            ];
            run("node", &[&[tsc.to_str().unwrap()], &strict[..]].concat(), folder).await;
        }
        "javascript" => drop(run("node", &["--check", "client.mjs"], folder).await),
        _ => drop(run("python3", &["-c", "import client"], folder).await),
    }
}

async fn client(user: &User, id: &str, language: &str) -> Reply {
    let made = user.post(CLIENT, json!({ "service_id": id, "language": language })).await;
    made.assert_status(200);
    made
}

#[tokio::test]
async fn clients_parse_in_their_languages_also_those_of_hostile_documents() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    registered(&app, &tenant, "tienda", document()).await;
    registered(&app, &tenant, "hostile", hostile()).await;
    for id in ["tienda", "hostile", "smartermcp"] {
        for language in ["typescript", "javascript", "python"] {
            let made = client(&user, id, language).await;
            assert_eq!(made.json["language"], language);
            parsed(&made, &app.folder().join(format!("{id}-{language}"))).await;
        }
    }
}

#[tokio::test]
async fn a_client_calls_the_service_that_it_was_made_for() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    let (_, calls) = registered(&app, &tenant, "tienda", document()).await;
    let expected = [
        "GET /orders/a%2Fb?fields%5B%5D=id&fields%5B%5D=total&class=x key=secret body=",
        "POST /orders key=secret body={\"id\":7,\"note\":\"ñ\"}",
        "GET /missing key=secret body=",
    ];
    // The played service is called at the address of the server that plays it, under its name.
    let base = format!("http://{}", app.vendors.address());
    let host = format!("tienda-luna.vendors.test:{}", app.vendors.address().port());
    let javascript = app.folder().join("javascript");
    parsed(&client(&user, "tienda", "javascript").await, &javascript).await;
    // fetch sets Host itself, so that a small relay in front says the name.
    let relay = relay(&base, &host).await;
    let script = format!(
        "import {{ Client, ApiError }} from './client.mjs';
        const client = new Client({{ baseUrl: '{relay}/', apiKey: 'secret' }});
        const order = await client.getOrder({{ id: 'a/b', fields: ['id', 'total'], class_: 'x' }});
        if (order.total !== 1990) throw new Error('total');
        await client.delete_({{ body: {{ id: 7, note: 'ñ' }} }});
        try {{ await client.getMissing(); throw new Error('no error'); }} catch (error) {{ if (!(error instanceof ApiError) || error.status !== 404 || error.body.message !== 'no') throw error; }}
        try {{ client.getOrder({{ id: '..' }}); throw new Error('no error'); }} catch (error) {{ if (!/path parameter/.test(error.message)) throw error; }}"
    );
    std::fs::write(javascript.join("call.mjs"), script).unwrap();
    run("node", &["call.mjs"], &javascript).await;
    assert_eq!(calls.lock().unwrap().drain(..).collect::<Vec<_>>(), expected);

    let python = app.folder().join("python");
    parsed(&client(&user, "tienda", "python").await, &python).await;
    let script = format!(
        "from client import Client, ApiError
client = Client(base_url='{relay}', api_key='secret')
assert client.get_order(id='a/b', fields=['id', 'total'], class_='x')['total'] == 1990
client.delete_(body={{'id': 7, 'note': '\u{f1}'}})
try:
    client.get_missing()
    raise SystemExit('no error')
except ApiError as error:
    assert error.status == 404 and error.body['message'] == 'no'
try:
    client.get_order(id='..')
    raise SystemExit('no error')
except ValueError:
    pass
"
    );
    std::fs::write(python.join("call.py"), script).unwrap();
    run("python3", &["call.py"], &python).await;
    let mut seen = calls.lock().unwrap().drain(..).collect::<Vec<_>>();
    // Python writes its JSON with blanks, and letters as escapes.
    seen[1] = seen[1].replace("\": ", "\":").replace(", ", ",").replace("\\u00f1", "ñ");
    assert_eq!(seen, expected);
}

/// A port that hands requests on under another name.
async fn relay(to: &str, host: &str) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (to, host) = (to.to_owned(), host.to_owned());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let router = Router::new().fallback(any(move |request: Request| {
        let (to, host, http) = (to.clone(), host.clone(), http.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let mut sent = http
                .request(parts.method, format!("{to}{}", parts.uri))
                .header("host", host)
                .body(body);
            for name in ["x-api-key", "content-type"] {
                if let Some(value) = parts.headers.get(name) {
                    sent = sent.header(name, value);
                }
            }
            let answer = sent.send().await.unwrap();
            let status = answer.status();
            (status, [("content-type", "application/json")], answer.bytes().await.unwrap())
        }
    }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_client_is_the_same_on_both_doors_and_each_time() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    registered(&app, &tenant, "tienda", document()).await;
    let rest = user.post(CLIENT, json!({ "service_id": "tienda" })).await;
    rest.assert_status(200);
    assert_eq!(
        (&rest.json["language"], &rest.json["operations"]),
        (&json!("typescript"), &json!(3))
    );
    assert_eq!(rest.json["files"][0]["path"], "client.ts");
    for mcp in [
        user.call("generate_api_client", json!({ "service_id": "tienda" })).await,
        user.call_modern("generate_api_client", json!({ "service_id": "tienda" })).await,
    ] {
        assert_eq!(mcp.content(), &rest.json);
    }
}

#[tokio::test]
async fn where_there_is_no_document_it_says_which_services_have_one() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    registered(&app, &tenant, "mute", json!({ "hello": "world" })).await;
    for id in ["mute", "odoo", "chatwoot"] {
        let refused = user.post(CLIENT, json!({ "service_id": id })).await;
        refused.assert_status(404);
        let told = refused.json["detail"].as_str().unwrap();
        assert!(
            told.starts_with("service_id:") && told.contains("smartermcp") && told.contains("supabase"),
            "{told}"
        );
    }
    user.post(CLIENT, json!({ "service_id": "n8n" }))
        .await
        .assert_problem(409, "not_connected");
    user.post(CLIENT, json!({ "service_id": "nobody" })).await.assert_status(404);
}

#[tokio::test]
async fn a_document_that_is_not_whole_or_not_to_be_had_is_no_client() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = maker(&app, &tenant).await;
    // Words are not missed in a client; forms and paths would be.
    let mut long = document();
    long["info"]["description"] = "w".repeat(2 * 1024 * 1024).into();
    registered(&app, &tenant, "long", long).await;
    client(&user, "long", "typescript").await;
    let mut forms = document();
    forms["components"]["schemas"]["Long"] = json!({ "enum": ["e".repeat(2 * 1024 * 1024)] });
    registered(&app, &tenant, "forms", forms).await;
    let mut paths = document();
    paths["paths"]["/long"] = json!({ "get": { "summary": "s".repeat(2 * 1024 * 1024) } });
    registered(&app, &tenant, "paths", paths).await;
    for id in ["forms", "paths"] {
        let refused = user.post(CLIENT, json!({ "service_id": id })).await;
        refused.assert_problem(502, "backend_refused");
        assert!(refused.text.contains("too large for a client"), "{}", refused.text);
    }
    let operator = app.operator().for_tenant(&tenant.id);
    for (id, url, status, code) in [
        ("gone", "http://gone.vendors.test:9", 503, "backend_down"),
        ("inside", "http://169.254.169.254/latest", 502, "address_refused"),
    ] {
        operator
            .put(&format!("/api/v1/services/{id}"), json!({ "type": "backend", "url": url }))
            .await
            .assert_status(200);
        let refused = user.post(CLIENT, json!({ "service_id": id })).await;
        refused.assert_problem(status, code);
        assert!(refused.text.contains("could not be asked for a document"), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_second_tenants_service_is_not_found() {
    let app = App::start().await;
    let (luna, sol) = (app.tenant("luna").await, app.tenant("sol").await);
    registered(&app, &luna, "tienda", document()).await;
    registered(&app, &sol, "otra", document()).await;
    let user = maker(&app, &sol).await;
    user.post(CLIENT, json!({ "service_id": "tienda" })).await.assert_status(404);
    user.call("generate_api_client", json!({ "service_id": "tienda" }))
        .await
        .tool_error();
}
