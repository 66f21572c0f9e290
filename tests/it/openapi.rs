//! The OpenAPI document and what people read: `/docs`, and the page at `/`.

use std::{collections::BTreeSet, path::Path};

use http::Method;
use serde_json::{Value, json};
use smartermcp::{backends, http::openapi_document};

use crate::app::App;

/// Name, method and path, as `design/interface.md` has them.
const ROUTES: &str = "
services_list GET /services
services_health GET /services/health
services_deploy POST /services/{service_id}/deploy
services_restart POST /services/{service_id}/restart
services_logs GET /services/{service_id}/logs
workflows_list GET /workflows
workflows_trigger POST /workflows/{workflow_id}/trigger
workflows_status GET /workflows/executions/{execution_id}
workflows_create POST /workflows
analytics_kpis GET /analytics/kpis
analytics_dashboards GET /analytics/dashboards
analytics_reports POST /analytics/reports
crm_contacts_list GET /crm/contacts
crm_contacts_search GET /crm/contacts/search
crm_records_upsert POST /crm/records
crm_opportunities_list GET /crm/opportunities
crm_pipeline_status GET /crm/pipeline
support_conversations_list GET /support/conversations
support_conversations_search GET /support/conversations/search
support_agents_status GET /support/agents
support_metrics GET /support/metrics
bots_list GET /bots
bots_conversations GET /bots/{bot_id}/conversations
bots_analytics GET /bots/{bot_id}/analytics
bots_deploy POST /bots/{bot_id}/deploy
infra_status GET /infra/status
infra_metrics GET /infra/metrics
containers_list GET /containers
containers_restart POST /containers/{container_id}/restart
docs_services GET /docs/services/{service_id}
docs_apis GET /docs/apis/{service_id}
docs_schemas GET /docs/schemas/{database}
generate_n8n_workflow POST /generate/n8n-workflow
generate_botpress_skill POST /generate/botpress-skill
generate_api_client POST /generate/api-client
";

/// The managing routes of `design/interface.md` that this gateway has so far.
const MANAGING: &[(&str, &str)] = &[
    ("post", "/auth/token"),
    ("get", "/auth/token"),
    ("get", "/auth/token/{id}"),
    ("delete", "/auth/token/{id}"),
    ("post", "/auth/token/{id}/rotate"),
    ("post", "/api/v1/tenants"),
    ("get", "/api/v1/tenants"),
    ("get", "/api/v1/tenants/{id}"),
    ("patch", "/api/v1/tenants/{id}"),
    ("delete", "/api/v1/tenants/{id}"),
    ("put", "/api/v1/connections/{backend}"),
    ("get", "/api/v1/connections/{backend}"),
    ("delete", "/api/v1/connections/{backend}"),
    ("get", "/api/v1/connections"),
    ("post", "/api/v1/connections/{backend}/test"),
    ("get", "/api/v1/usage"),
    ("get", "/api/v1/audit"),
    ("get", "/api/v1/whoami"),
    ("get", "/api/v1/tools"),
    ("post", "/api/v1/tools/{name}"),
];

async fn document(app: &App) -> Value {
    let reply = app.nobody().get("/openapi.json").await;
    reply.assert_status(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("access-control-allow-origin"), "*", "any tool on any page may read it");
    reply.json
}

/// Every operation, with its method and path.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

#[test]
fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/smartermcp.json");
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make openapi`", path.display()));
    let made = openapi_document(&backends::catalogue(), "https://mcp.smarterbot.cl");
    assert!(
        kept == made,
        "openapi/smartermcp.json is not what the catalogue makes; run `make openapi`"
    );
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_names_the_address_that_clients_use() {
    let app = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"], json!([{ "url": "https://mcp.example.cl" }]));
    let made: Value = serde_json::from_str(&openapi_document(&backends::catalogue(), "https://mcp.example.cl")).unwrap();
    assert_eq!(document, made);
}

#[tokio::test]
async fn every_tool_is_an_operation_of_its_name_at_its_route() {
    let app = App::start().await;
    let document = document(&app).await;
    let operations = operations(&document);
    let mut names = BTreeSet::new();
    for (method, path, operation) in &operations {
        let name = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{method} {path} has no operationId"));
        assert!(names.insert(name), "two operations are called {name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    for tool in backends::catalogue().all() {
        let (method, path, operation) = operations
            .iter()
            .find(|(.., operation)| operation["operationId"] == tool.name)
            .expect(tool.name);
        assert_eq!(
            (method.to_uppercase(), *path),
            (tool.route.method.to_string(), tool.route.full_path().as_str()),
            "{}",
            tool.name
        );
        assert_eq!(operation["x-smartermcp-scope"], tool.scope.name());
        for placeholder in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let declared = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .any(|parameter| parameter["name"] == placeholder && parameter["in"] == "path" && parameter["required"] == true);
            assert!(declared, "{placeholder} of {path}");
        }
        assert!(operation["responses"][tool.route.status().as_str()].is_object(), "{}", tool.name);
    }
    let mut found = 0;
    for line in ROUTES.lines().filter(|line| !line.is_empty()) {
        let parts: Vec<_> = line.split(' ').collect();
        if let Some((method, path, _)) = operations.iter().find(|(.., operation)| operation["operationId"] == parts[0]) {
            found += 1;
            assert_eq!(
                (method.to_uppercase().as_str(), *path),
                (parts[1], format!("/api/v1{}", parts[2]).as_str()),
                "{}",
                parts[0]
            );
        }
    }
    assert!(found >= 4, "the workflow tools at least");
    for (method, path) in MANAGING {
        assert!(
            operations.iter().any(|(found, at, _)| found == method && at == path),
            "{method} {path} is missing"
        );
    }
}

#[tokio::test]
async fn every_schema_compiles_and_every_reference_leads_somewhere() {
    let app = App::start().await;
    let document = document(&app).await;
    let mut schemas = Vec::new();
    collect(&document, "", &mut schemas);
    assert!(schemas.len() > 50, "{}", schemas.len());
    for (place, schema) in schemas {
        if schema.get("$ref").is_none() {
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{place}: {schema}");
            jsonschema::draft202012::new(schema).unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// The value of every `schema` member.
fn collect<'a>(value: &'a Value, place: &str, schemas: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                let place = format!("{place}/{key}");
                if key == "schema" && inner.is_object() {
                    schemas.push((place, inner));
                } else {
                    collect(inner, &place, schemas);
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, inner)| collect(inner, &format!("{place}/{index}"), schemas)),
        _ => {}
    }
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let document = document(&app).await;
    for (method, path, template, status) in [
        (Method::GET, "/api/v1/workflows", "/api/v1/workflows", "200"),
        (Method::GET, "/api/v1/workflows?limit=1", "/api/v1/workflows", "200"),
        (
            Method::POST,
            "/api/v1/workflows/wf_backup_db/trigger",
            "/api/v1/workflows/{workflow_id}/trigger",
            "200",
        ),
        (
            Method::GET,
            "/api/v1/workflows/executions/1",
            "/api/v1/workflows/executions/{execution_id}",
            "200",
        ),
        (
            Method::GET,
            "/api/v1/workflows/executions/9",
            "/api/v1/workflows/executions/{execution_id}",
            "404",
        ),
        (Method::GET, "/api/v1/workflows?limit=x", "/api/v1/workflows", "422"),
        (Method::GET, "/api/v1/tenants", "/api/v1/tenants", "403"),
    ] {
        let reply = user.send(method.clone(), path, None).await;
        assert_eq!(reply.status.as_str(), status, "{path}: {}", reply.text);
        let mut response = &document["paths"][template][method.as_str().to_lowercase()]["responses"][status];
        if let Some(reference) = response["$ref"].as_str() {
            response = document.pointer(&reference[1..]).unwrap();
        }
        let kind = reply.header("content-type");
        let mut schema = &response["content"][kind]["schema"];
        if let Some(reference) = schema["$ref"].as_str() {
            schema = document.pointer(&reference[1..]).unwrap();
        }
        assert!(schema.is_object(), "{path}: the document knows no {kind} for {status}");
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&reply.json).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{path}: {wrong:?}");
    }
}

/// What a page loads or leads to: the values of `src` and `href`.
fn links(html: &str) -> Vec<String> {
    ["src=\"", "href=\"", "src='", "href='"]
        .iter()
        .flat_map(|mark| {
            html.split(mark)
                .skip(1)
                .map(|rest| rest.split(['"', '\'']).next().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn the_docs_load_nothing_from_elsewhere() {
    let app = App::start().await;
    let page = app.nobody().get("/docs").await;
    page.assert_status(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let base: url::Url = format!("{}/docs", app.base()).parse().unwrap();
    let links = links(&page.text);
    assert!(links.len() >= 3, "{}", page.text);
    let mut scripts = String::new();
    for link in links {
        // As a browser reads it on this page.
        let there = base.join(&link).unwrap();
        assert_eq!(there.origin(), base.origin(), "{link} leads elsewhere");
        let asset = app.nobody().get(there.path()).await;
        assert_eq!(asset.status, 200, "{link} is loaded from {there}");
        assert!(!asset.text.is_empty(), "{link}");
        let kind = asset.header("content-type");
        match link.rsplit('.').next().unwrap() {
            "js" => assert!(kind.contains("javascript"), "{link}: {kind}"),
            "css" => {
                assert!(kind.contains("css"), "{link}: {kind}");
                assert!(!asset.text.contains("url(http") && !asset.text.contains("@import"), "{link}");
            }
            _ => assert!(kind.starts_with("image/"), "{link}: {kind}"),
        }
        if link.contains("initializer") {
            scripts.push_str(&asset.text);
        }
    }
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
    assert!(scripts.contains("/openapi.json"), "{scripts}");
    assert!(!scripts.contains("https://"), "{scripts}");
    // Swagger UI asks validator.swagger.io about a public address, unless it is told not to or may not.
    let told = scripts.contains("\"validatorUrl\": \"none\"")
        || scripts.contains("validatorUrl: null")
        || scripts.contains("validatorUrl: \"none\"");
    let policy = page.header("content-security-policy");
    assert!(
        told || policy.contains("default-src 'self'") || policy.contains("img-src 'self'"),
        "{policy:?} {scripts}"
    );
    app.nobody().get("/docs/no-such-file.js").await.assert_status(404);
    app.nobody().get("/docs/..%2f..%2fCargo.toml").await.assert_status(404);
}

#[tokio::test]
async fn the_page_at_the_root_is_for_browsers_alone() {
    let app = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let nobody = app.nobody();
    let page = nobody
        .raw(Method::GET, "/", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], "")
        .await;
    page.assert_status(200);
    assert!(page.header("content-type").starts_with("text/html"));
    for words in [
        "https://mcp.example.cl/mcp",
        "Claude Desktop",
        "Cline",
        "curl",
        "inspector",
        "mcp-remote@0.15.1",
        "AUTH_HEADER",
    ] {
        assert!(page.text.contains(words), "{words} is not on the page");
    }
    assert!(!page.text.contains("{base_url}"));
    for link in links(&page.text) {
        assert!(link.starts_with('/'), "{link}");
        let there = nobody.get(&link).await;
        // What a member sees leads to the sign-in first.
        let signs_in = there.status == 303 && there.header("location").starts_with("/oauth/sign-in");
        assert!(there.status == 200 || signs_in, "{link}: {} {}", there.status, there.text);
    }
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for accept in [
        "text/event-stream",
        "application/json",
        "*/*",
        "application/json, text/event-stream",
    ] {
        let reply = nobody.raw(Method::GET, "/", &[("accept", accept)], "").await;
        assert_eq!(reply.status, 405, "{accept}");
        assert!(reply.header("allow").contains("POST"));
    }
    nobody
        .raw(Method::GET, "/mcp", &[("accept", "text/html")], "")
        .await
        .assert_status(405);
}
