//! All 35 tools of the contract, against the played systems of one shop: the same answer through both doors, and two tenants who
//! never see anything of each other's.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Map, Value, json};
use smartermcp::{
    backends,
    sandbox::{Systems, botpress::Bot, docker::Image},
    tool::Definition,
};

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
pub fn calls() -> Vec<(&'static str, Value)> {
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
pub async fn with_systems(app: &App, slug: &str) -> (Tenant, User, Systems) {
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

/// What one tenant has and the other has not.
struct Own {
    execution: String,
    container: String,
    contact: u64,
}

/// Gives a tenant's systems things of its own, so many that the last one's number is none of the other's.
fn furnish(systems: &Systems, tenant: &Tenant, many: usize) -> Own {
    let slug = &tenant.slug;
    let webhook = json!({ "path": format!("of-{slug}"), "httpMethod": "POST", "responseMode": "lastNode" });
    let workflow = systems.n8n.add_workflow(json!({
        "id": format!("wf_of_{slug}"), "name": format!("De {slug}"), "active": true,
        "nodes": [{ "name": "Webhook", "type": "n8n-nodes-base.webhook", "parameters": webhook }], "connections": {},
    }));
    let executions: Vec<_> = (0..many).map(|_| systems.n8n.run(&workflow).unwrap()).collect();
    let containers: Vec<_> = (1..many)
        .map(|index| {
            systems
                .docker
                .run(&tenant.id, &format!("{slug}-{index}"), ("solo:1", Image::new("5010")), |_| {})
        })
        .collect();
    let (service, name) = (format!("svc-{slug}"), format!("{slug}-solo"));
    let image = ("registry.example.cl/solo:1", Image::new("5011"));
    systems
        .docker
        .engine()
        .registry
        .insert("registry.example.cl/solo:latest".to_owned(), image.1.clone());
    systems.docker.run_service(&tenant.id, &service, &name, image);
    systems
        .botpress
        .add_bot(Bot::new(&format!("bot_of_{slug}"), "wkspace_luna", &format!("Bot de {slug}")));
    let contacts: Vec<_> = (0..many)
        .map(|index| {
            systems.odoo.add(
                "res.partner",
                &json!({ "name": format!("Cliente {index} de {slug}"), "company_id": 1 }),
            )
        })
        .collect();
    Own {
        execution: executions.last().unwrap().clone(),
        container: containers.last().unwrap().clone(),
        contact: *contacts.last().unwrap(),
    }
}

/// A call of each tool that takes an id, with one of a tenant's own.
fn calls_by_id(slug: &str, own: &Own) -> Vec<(&'static str, Value)> {
    let service = format!("svc-{slug}");
    let bot = format!("bot_of_{slug}");
    vec![
        ("services_health", json!({ "service_id": service })),
        ("services_restart", json!({ "service_id": service })),
        ("services_deploy", json!({ "service_id": service })),
        ("services_logs", json!({ "service_id": service })),
        ("containers_restart", json!({ "container_id": format!("{slug}-solo") })),
        ("containers_restart", json!({ "container_id": own.container })),
        ("workflows_trigger", json!({ "workflow_id": format!("wf_of_{slug}") })),
        ("workflows_trigger", json!({ "workflow_id": format!("De {slug}") })),
        ("workflows_status", json!({ "execution_id": own.execution })),
        ("analytics_kpis", json!({ "kpis": [format!("kpi_of_{slug}")] })),
        (
            "crm_records_upsert",
            json!({ "kind": "contact", "id": own.contact, "fields": { "phone": "+56 9 1111 2222" } }),
        ),
        (
            "crm_records_upsert",
            json!({ "kind": "opportunity", "fields": { "name": "Suya", "contact_id": own.contact } }),
        ),
        ("bots_conversations", json!({ "bot_id": bot })),
        ("bots_analytics", json!({ "bot_id": bot })),
        ("bots_deploy", json!({ "bot_id": bot, "active": true })),
        ("docs_services", json!({ "service_id": service })),
        ("docs_apis", json!({ "service_id": service })),
        ("generate_api_client", json!({ "service_id": service })),
    ]
}

/// What a call came to: the status that REST has, on all doors the same.
async fn outcome(user: &User, name: &str, arguments: &Value) -> u64 {
    let rest = user.post(&format!("/api/v1/tools/{name}"), arguments.clone()).await;
    let status = u64::from(rest.status.as_u16());
    for reply in [
        user.call(name, arguments.clone()).await,
        user.call_modern(name, arguments.clone()).await,
    ] {
        let result = &reply.json["result"];
        let told = if result["isError"] == true {
            result["_meta"]["cl.smarterbot/error"]["status"].as_u64().unwrap()
        } else {
            assert_eq!(reply.status.as_u16(), 200, "{name}: {}", reply.text);
            200
        };
        assert!(
            told == status || (told == 200 && status < 300),
            "{name}: REST {status}, MCP {}",
            reply.text
        );
    }
    status
}

#[tokio::test]
async fn two_tenants_never_see_each_others_data_systems_cursors_or_breakers_whatever_the_tool() {
    let app = App::start().await;
    let (luna, of_luna, luna_systems) = with_systems(&app, "luna").await;
    let (sol, of_sol, sol_systems) = with_systems(&app, "sol").await;
    for tenant in [&luna, &sol] {
        let path = format!("/api/v1/analytics/kpis/kpi_of_{}", tenant.slug);
        let operator = app.operator().for_tenant(&tenant.id);
        operator.put(&path, json!({ "card_id": 1 })).await.assert_status(200);
    }
    let mut matrix = String::from(
        "| tool | tenant | its own call | requests to its systems | requests to the other's |\n| --- | --- | ---: | ---: | ---: |\n",
    );
    for (user, own, other) in [(&of_luna, "luna", "sol"), (&of_sol, "sol", "luna")] {
        for (name, arguments) in calls() {
            let before = (app.vendors.requests_below(own), app.vendors.requests_below(other));
            let status = outcome(user, name, &arguments).await;
            let asked = (
                app.vendors.requests_below(own) - before.0,
                app.vendors.requests_below(other) - before.1,
            );
            writeln!(matrix, "| `{name}` | {own} | {status} | {} | {} |", asked.0, asked.1).unwrap();
            // The service of the played shop whose containers have luna's names.
            assert!(status < 300, "{name} of {own}: {status}");
            assert_eq!(asked.1, 0, "{name} of {own} asked systems of {other}");
        }
        app.clock.advance(std::time::Duration::from_secs(120));
    }
    matrix.push_str("\n| tool | whose id | by itself | by the other tenant |\n| --- | --- | ---: | ---: |\n");
    for (user, stranger, slug, tenant, systems, many) in [
        (&of_luna, &of_sol, "luna", &luna, &luna_systems, 20),
        (&of_sol, &of_luna, "sol", &sol, &sol_systems, 40),
    ] {
        let own = furnish(systems, tenant, many);
        for (name, arguments) in calls_by_id(slug, &own) {
            let (by_itself, by_other) = (outcome(user, name, &arguments).await, outcome(stranger, name, &arguments).await);
            writeln!(matrix, "| `{name}` `{arguments}` | {slug} | {by_itself} | {by_other} |").unwrap();
            // A service of its own that serves no document is no source of a client.
            assert!(
                by_itself < 300 || name == "generate_api_client",
                "{name} {arguments} of {slug}: {by_itself}"
            );
            // A name in a list is a wrong value, whether or not somebody else has it.
            let unknown = if name == "analytics_kpis" { 422 } else { 404 };
            assert_eq!(by_other, unknown, "{name} {arguments} of {slug}, by the other");
        }
        app.clock.advance(std::time::Duration::from_secs(120));
    }
    matrix.push_str("\n| list | cursor of | by the other tenant |\n| --- | --- | ---: |\n");
    let mut cursors = 0;
    for (user, stranger, slug) in [(&of_luna, &of_sol, "luna"), (&of_sol, &of_luna, "sol")] {
        for tool in backends::catalogue().all().iter().filter(|tool| tool.input.has("cursor")) {
            let (_, mut arguments) = calls()
                .into_iter()
                .find(|(name, _)| *name == tool.name)
                .unwrap_or((tool.name, json!({})));
            for narrow in ["filter", "tags", "active", "stage", "query"] {
                if tool.name != "support_conversations_search" && tool.name != "crm_contacts_search" {
                    arguments.as_object_mut().unwrap().remove(narrow);
                }
            }
            arguments["limit"] = json!(1);
            let page = user.post(&format!("/api/v1/tools/{}", tool.name), arguments.clone()).await;
            let Some(cursor) = page.json["next_cursor"].as_str() else {
                continue;
            };
            arguments["cursor"] = json!(cursor);
            let refused = outcome(stranger, tool.name, &arguments).await;
            writeln!(matrix, "| `{}` | {slug} | {refused} |", tool.name).unwrap();
            assert_eq!(refused, 422, "{} of {slug}", tool.name);
            cursors += 1;
        }
        app.clock.advance(std::time::Duration::from_secs(120));
    }
    assert!(cursors >= 12, "only {cursors} lists had a second page");

    // All of luna's systems are away: her breakers open, and sol's calls go on.
    for (backend, _) in &luna_systems.connections {
        let away = axum::Router::new().fallback(async || http::StatusCode::SERVICE_UNAVAILABLE);
        app.vendors.play(&format!("{backend}.luna"), away);
    }
    matrix.push_str("\n| tool | luna, whose systems are away | sol meanwhile |\n| --- | ---: | ---: |\n");
    for (name, arguments) in calls() {
        let path = format!("/api/v1/tools/{name}");
        let (hers, his) = (
            of_luna.post(&path, arguments.clone()).await,
            of_sol.post(&path, arguments.clone()).await,
        );
        writeln!(matrix, "| `{name}` | {} | {} |", hers.status.as_u16(), his.status.as_u16()).unwrap();
        assert!(his.status.is_success(), "{name} of sol: {}", his.text);
        if backends::catalogue().find(name).unwrap().backend.is_some() {
            assert!(hers.status.is_server_error(), "{name} of luna: {}", hers.text);
        }
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tenant-matrix.md");
    std::fs::write(&file, matrix).unwrap();
    println!("the matrix of tenants is in {}", file.display());
}
