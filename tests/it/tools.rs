//! All 35 tools of the contract, against the played systems of one shop: the same answer through both doors, and two tenants who
//! never see anything of each other's.

use http::Method;
use serde_json::{Map, Value, json};
use smartermcp::{backends, sandbox::Systems, tool::Definition};

use crate::{
    app::{App, Reply, Tenant, User},
    conformance,
};

/// The ten scopes of a tenant's business.
const SCOPES: [&str; 10] = [
    "read:services",
    "write:services",
    "read:workflows",
    "write:workflows",
    "read:analytics",
    "read:crm",
    "write:crm",
    "read:support",
    "read:bots",
    "write:bots",
];

/// A call of each tool that its played backend answers.
fn calls() -> Vec<(&'static str, Value)> {
    let workflow = json!({
        "nodes": [{ "id": "1", "name": "Webhook", "type": "n8n-nodes-base.webhook", "typeVersion": 2, "position": [0, 0],
            "parameters": { "path": "nuevo", "httpMethod": "POST" } }],
        "connections": {}, "settings": {},
    });
    vec![
        ("services_list", json!({ "filter": "backend" })),
        ("services_health", json!({ "service_id": "n8n" })),
        ("services_deploy", json!({ "service_id": "tienda" })),
        ("services_restart", json!({ "service_id": "tienda" })),
        ("services_logs", json!({ "service_id": "odoo", "lines": 10 })),
        ("workflows_list", json!({ "active": true, "tags": ["automation"] })),
        (
            "workflows_trigger",
            json!({ "workflow_id": "wf_backup_db", "input_data": { "database": "smarteros", "compress": true } }),
        ),
        ("workflows_status", json!({ "execution_id": "exec_abc123" })),
        (
            "workflows_create",
            json!({ "name": "Nuevo", "workflow_json": workflow, "tags": ["backup"], "activate": false }),
        ),
        ("analytics_kpis", json!({ "kpis": ["revenue_mtd", "conversion_rate"] })),
        ("analytics_dashboards", json!({})),
        (
            "analytics_reports",
            json!({ "query": "Diez mejores clientes por ingresos del mes", "format": "markdown" }),
        ),
        (
            "crm_contacts_list",
            json!({ "limit": 50, "filter": { "country": "CL", "type": "lead" } }),
        ),
        ("crm_contacts_search", json!({ "query": "john@example.com" })),
        (
            "crm_records_upsert",
            json!({ "kind": "contact", "id": 13, "fields": { "name": "John Smith", "tags": ["web"] } }),
        ),
        ("crm_opportunities_list", json!({ "stage": "negotiation" })),
        ("crm_pipeline_status", json!({})),
        ("support_conversations_list", json!({ "limit": 20 })),
        ("support_conversations_search", json!({ "query": "refund request" })),
        ("support_agents_status", json!({})),
        ("support_metrics", json!({ "period": "week" })),
        ("bots_list", json!({})),
        ("bots_conversations", json!({ "bot_id": "bot_abc123", "limit": 20 })),
        ("bots_analytics", json!({ "bot_id": "main", "period": "month" })),
        ("bots_deploy", json!({ "bot_id": "main", "active": true })),
        ("infra_status", json!({})),
        ("infra_metrics", json!({ "metric": "cpu", "period": "24h" })),
        ("containers_list", json!({ "filter": "running" })),
        ("containers_restart", json!({ "container_id": "luna-odoo" })),
        ("docs_services", json!({ "service_id": "n8n" })),
        ("docs_apis", json!({ "service_id": "supabase" })),
        ("docs_schemas", json!({ "database": "smarteros" })),
        (
            "generate_n8n_workflow",
            json!({ "description": "Backup smarteros database daily at 2am", "services": ["postgresql", "aws-s3"] }),
        ),
        (
            "generate_botpress_skill",
            json!({ "description": "Help users track their order status" }),
        ),
        (
            "generate_api_client",
            json!({ "service_id": "smartermcp", "language": "typescript" }),
        ),
    ]
}

/// What differs from one call to the next, whoever answers.
const MOVES: [&str; 12] = [
    "execution_id",
    "started_at",
    "finished_at",
    "last_check",
    "restart_time",
    "response_time",
    "uptime",
    "previous_uptime",
    "deployment_id",
    "updated_at",
    "as_of",
    "points",
];

fn still(tool: &str, mut value: Value) -> Value {
    fn walk(tool: &str, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let moves = MOVES.contains(&name.as_str())
                        || (tool == "workflows_create" && matches!(name.as_str(), "workflow_id" | "url"))
                        || name == "last_execution"
                        || (tool == "generate_n8n_workflow" && matches!(name.as_str(), "id" | "webhookId" | "path"));
                    if moves && !field.is_null() {
                        *field = json!("moves");
                    } else {
                        walk(tool, field);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(tool, item)),
            _ => {}
        }
    }
    walk(tool, &mut value);
    value
}

/// The tool's own route, with the arguments where they belong.
async fn by_route(user: &User, tool: &Definition, arguments: &Value) -> Reply {
    let mut rest: Map<String, Value> = arguments.as_object().unwrap().clone();
    let full = tool.route.full_path();
    let path: Vec<_> = full
        .split('/')
        .map(|part| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => rest.remove(name).unwrap().as_str().unwrap().to_owned(),
            None => part.to_owned(),
        })
        .collect();
    let path = path.join("/");
    if tool.route.method != Method::GET {
        return user
            .send(tool.route.method.clone(), &path, Some(Value::Object(rest).to_string()))
            .await;
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &rest {
        match value {
            Value::String(text) => query.append_pair(name, text),
            Value::Array(items) => {
                for item in items {
                    query.append_pair(name, item.as_str().unwrap());
                }
                &mut query
            }
            value => query.append_pair(name, &value.to_string()),
        };
    }
    user.get(&format!("{path}?{}", query.finish())).await
}

fn most() -> Value {
    let categories: Map<String, Value> = [
        "services",
        "workflows",
        "analytics",
        "crm",
        "support",
        "bots",
        "infrastructure",
        "documentation",
        "code_generation",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), json!({ "per_minute": 100_000, "per_hour": 1_000_000 })))
    .collect();
    json!({ "limits": { "general": { "per_minute": 100_000, "per_hour": 1_000_000, "burst": 10_000 }, "categories": categories } })
}

/// A tenant with all of the shop's systems, and a user with the ten business scopes.
async fn with_systems(app: &App, slug: &str) -> (Tenant, User, Systems) {
    let tenant = app.tenant(slug).await;
    let systems = Systems::play(&app.vendors, &tenant.id, slug);
    let operator = app.operator().for_tenant(&tenant.id);
    for (backend, connection) in &systems.connections {
        let path = format!("/api/v1/connections/{backend}");
        operator.put(&path, connection.clone()).await.assert_status(200);
    }
    for (name, kpi) in Systems::kpis() {
        operator
            .put(&format!("/api/v1/analytics/kpis/{name}"), kpi)
            .await
            .assert_status(200);
    }
    let user = app.user_with(&tenant, &SCOPES, most()).await;
    (tenant, user, systems)
}

#[tokio::test]
async fn a_token_with_the_ten_business_scopes_lists_35_tools_on_both_doors() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, &SCOPES).await;
    let rest = user.get("/api/v1/tools").await;
    rest.assert_status(200);
    let listed = rest.json["tools"].as_array().unwrap();
    assert_eq!(listed.len(), 35);
    let names: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(user.tools().await, names);
    let mut called: Vec<_> = calls().iter().map(|(name, _)| (*name).to_owned()).collect();
    called.sort();
    assert_eq!(called, names, "each is called below");
}

#[tokio::test]
async fn each_of_the_35_tools_answers_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = with_systems(&app, "luna").await;
    let catalogue = backends::catalogue();
    let mut wrong = Vec::new();
    for (name, arguments) in calls() {
        let tool = catalogue.find(name).unwrap();
        // What the first call changes is so already for those that are compared.
        let first = user.post(&format!("/api/v1/tools/{name}"), arguments.clone()).await;
        let route = by_route(&user, tool, &arguments).await;
        if !first.status.is_success() || !route.status.is_success() {
            wrong.push(format!("{name}: {} {}", first.text, route.text));
            continue;
        }
        let expected = still(name, route.json.clone());
        let named = user.post(&format!("/api/v1/tools/{name}"), arguments.clone()).await;
        let mut others = vec![named.json.clone()];
        for reply in [
            user.call(name, arguments.clone()).await,
            user.call_modern(name, arguments.clone()).await,
        ] {
            others.push(reply.json["result"]["structuredContent"].clone());
        }
        for other in others {
            let other = still(name, other);
            if other != expected {
                wrong.push(format!("{name}:\n  {expected}\n  {other}"));
            }
        }
        // What answers at all may still say that it has failed.
        if expected.get("error").is_some_and(|error| !error.is_null()) || expected["status"] == "failed" {
            wrong.push(format!("{name}: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_owners_three_example_workflows_run_from_start_to_end_by_an_mcp_client_in_both_eras() {
    for (era, index) in [("legacy", 0), ("modern", 1)] {
        let app = App::start().await;
        let (_, user, systems) = with_systems(&app, "luna").await;
        let settings = [("MCP_URL", format!("{}/mcp", app.base())), ("MCP_TOKEN", user.token.clone())];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let told = conformance::script("node", &["examples.mjs", era], &settings).await;
        assert_eq!(
            told["service"],
            json!({ "before": "degraded", "restarted": "running", "after": "healthy" }),
            "{index}: {told}"
        );
        assert_eq!(
            told["plan"],
            json!({
                "revenue_mtd": 45_780, "conversion_rate": 3.2, "in_negotiation": 7_200_000,
                "satisfaction_score": 4.2, "avg_resolution_hours": 2.4, "completion_rate": 78,
            }),
            "{told}"
        );
        assert_eq!(
            told["workflow"],
            json!({ "source": "template", "active": true, "status": "completed" }),
            "{told}"
        );
        assert_eq!(systems.n8n.runs(), 2, "the order workflow before, and the backup now");
    }
}
