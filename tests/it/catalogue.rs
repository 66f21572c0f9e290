//! The catalogue, walked: what holds for every tool, whichever will be added.

use serde_json::{Value, json};
use smartermcp::{
    auth::Scope,
    backends,
    tool::{Catalogue, Definition},
};

use crate::app::{App, Reply, Tenant, User};

/// Wide limits, so that a walk over all tools is not taken for a loop.
fn wide() -> Value {
    let most = 1_000_000;
    json!({ "limits": { "general": { "per_minute": most, "per_hour": most, "burst": most } } })
}

/// A route with something in the place of each parameter.
fn path(tool: &Definition) -> String {
    let full = tool.route.full_path();
    full.split('/')
        .map(|part| if part.starts_with('{') { "something" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

async fn by_route(user: &User, tool: &Definition) -> Reply {
    let body = (tool.route.method != http::Method::GET).then(|| "{}".to_owned());
    user.send(tool.route.method.clone(), &path(tool), body).await
}

async fn user_of_all_scopes(app: &App, tenant: &Tenant) -> User {
    app.user_with(tenant, &Scope::ALL.map(Scope::name), wide()).await
}

fn catalogue() -> Catalogue {
    backends::catalogue()
}

#[test]
fn every_tool_and_every_parameter_is_described() {
    for tool in catalogue().all() {
        let name = tool.name;
        assert!(
            tool.description.len() > 10 && tool.description.ends_with('.'),
            "{name}: {:?}",
            tool.description
        );
        assert!(!tool.title.is_empty(), "{name}");
        let schema = tool.input.schema();
        assert_eq!(schema["type"], "object", "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (parameter, schema) in schema["properties"].as_object().unwrap() {
            let said = schema["description"].as_str().unwrap_or_default();
            assert!(said.len() > 3, "{name}.{parameter} is not described");
        }
        let output = tool.output_schema.as_ref().unwrap_or_else(|| panic!("{name} has no output schema"));
        assert_eq!(output["type"], "object", "{name}");
        assert!(
            !schema.to_string().contains("$ref") && !output.to_string().contains("$ref"),
            "{name} is self-contained"
        );
        assert!(tool.time_limit.as_secs() >= 1 && tool.time_limit.as_secs() <= 120, "{name}");
    }
}

#[test]
fn every_list_has_a_limit_of_at_most_200_and_a_cursor() {
    for tool in catalogue().all() {
        let schema = tool.input.schema();
        let properties = &schema["properties"];
        if let Some(limit) = properties.get("limit") {
            assert_eq!((&limit["minimum"], &limit["maximum"]), (&json!(1), &json!(200)), "{}", tool.name);
            assert!(properties.get("cursor").is_some(), "{} takes a limit and no cursor", tool.name);
            let output = tool.output_schema.as_ref().unwrap();
            assert!(
                output["properties"].get("next_cursor").is_some(),
                "{} answers no next_cursor",
                tool.name
            );
        }
    }
    for list in ["workflows_list", "tokens_list", "tenants_list", "audit_list"] {
        assert!(catalogue().find(list).unwrap().input.has("limit"), "{list}");
    }
}

#[test]
fn routes_and_scopes_are_those_of_the_contract() {
    let catalogue = catalogue();
    for (name, method, path, scope) in [
        ("workflows_list", "GET", "/api/v1/workflows", "read:workflows"),
        (
            "workflows_trigger",
            "POST",
            "/api/v1/workflows/{workflow_id}/trigger",
            "write:workflows",
        ),
        (
            "workflows_status",
            "GET",
            "/api/v1/workflows/executions/{execution_id}",
            "read:workflows",
        ),
        ("workflows_create", "POST", "/api/v1/workflows", "write:workflows"),
        ("infra_status", "GET", "/api/v1/infra/status", "read:services"),
        ("infra_metrics", "GET", "/api/v1/infra/metrics", "read:services"),
        ("tokens_create", "POST", "/auth/token", "admin:tenants"),
        ("tokens_list", "GET", "/auth/token", "admin:tenants"),
        ("tokens_get", "GET", "/auth/token/{id}", "admin:tenants"),
        ("tokens_revoke", "DELETE", "/auth/token/{id}", "admin:tenants"),
        ("tokens_rotate", "POST", "/auth/token/{id}/rotate", "admin:tenants"),
        ("tenants_create", "POST", "/api/v1/tenants", "admin:tenants"),
        ("tenants_list", "GET", "/api/v1/tenants", "admin:tenants"),
        ("tenants_get", "GET", "/api/v1/tenants/{id}", "admin:tenants"),
        ("tenants_update", "PATCH", "/api/v1/tenants/{id}", "admin:tenants"),
        ("tenants_delete", "DELETE", "/api/v1/tenants/{id}", "admin:tenants"),
        ("connections_set", "PUT", "/api/v1/connections/{backend}", "admin:tenants"),
        ("connections_get", "GET", "/api/v1/connections/{backend}", "admin:tenants"),
        ("connections_remove", "DELETE", "/api/v1/connections/{backend}", "admin:tenants"),
        ("connections_list", "GET", "/api/v1/connections", "admin:tenants"),
        ("connections_test", "POST", "/api/v1/connections/{backend}/test", "admin:tenants"),
        ("services_list", "GET", "/api/v1/services", "read:services"),
        ("services_health", "GET", "/api/v1/services/health", "read:services"),
        ("services_deploy", "POST", "/api/v1/services/{service_id}/deploy", "write:services"),
        (
            "services_restart",
            "POST",
            "/api/v1/services/{service_id}/restart",
            "write:services",
        ),
        ("services_logs", "GET", "/api/v1/services/{service_id}/logs", "read:services"),
        ("kpis_set", "PUT", "/api/v1/analytics/kpis/{name}", "admin:tenants"),
        ("kpis_delete", "DELETE", "/api/v1/analytics/kpis/{name}", "admin:tenants"),
        ("services_set", "PUT", "/api/v1/services/{service_id}", "admin:tenants"),
        ("services_delete", "DELETE", "/api/v1/services/{service_id}", "admin:tenants"),
        ("containers_list", "GET", "/api/v1/containers", "read:services"),
        (
            "containers_restart",
            "POST",
            "/api/v1/containers/{container_id}/restart",
            "write:services",
        ),
        ("analytics_kpis", "GET", "/api/v1/analytics/kpis", "read:analytics"),
        ("analytics_dashboards", "GET", "/api/v1/analytics/dashboards", "read:analytics"),
        ("analytics_reports", "POST", "/api/v1/analytics/reports", "read:analytics"),
        ("crm_contacts_list", "GET", "/api/v1/crm/contacts", "read:crm"),
        ("crm_contacts_search", "GET", "/api/v1/crm/contacts/search", "read:crm"),
        ("crm_records_upsert", "POST", "/api/v1/crm/records", "write:crm"),
        ("crm_opportunities_list", "GET", "/api/v1/crm/opportunities", "read:crm"),
        ("crm_pipeline_status", "GET", "/api/v1/crm/pipeline", "read:crm"),
        ("support_conversations_list", "GET", "/api/v1/support/conversations", "read:support"),
        (
            "support_conversations_search",
            "GET",
            "/api/v1/support/conversations/search",
            "read:support",
        ),
        ("support_agents_status", "GET", "/api/v1/support/agents", "read:support"),
        ("support_metrics", "GET", "/api/v1/support/metrics", "read:support"),
        ("bots_list", "GET", "/api/v1/bots", "read:bots"),
        ("bots_conversations", "GET", "/api/v1/bots/{bot_id}/conversations", "read:bots"),
        ("bots_analytics", "GET", "/api/v1/bots/{bot_id}/analytics", "read:bots"),
        ("bots_deploy", "POST", "/api/v1/bots/{bot_id}/deploy", "write:bots"),
        ("docs_services", "GET", "/api/v1/docs/services/{service_id}", "read:services"),
        ("docs_apis", "GET", "/api/v1/docs/apis/{service_id}", "read:services"),
        ("docs_schemas", "GET", "/api/v1/docs/schemas/{database}", "read:services"),
        ("generate_n8n_workflow", "POST", "/api/v1/generate/n8n-workflow", "write:workflows"),
        ("generate_botpress_skill", "POST", "/api/v1/generate/botpress-skill", "write:bots"),
        ("generate_api_client", "POST", "/api/v1/generate/api-client", "read:services"),
        ("members_invite", "POST", "/api/v1/members", "admin:tenants"),
        ("members_list", "GET", "/api/v1/members", "admin:tenants"),
        ("members_remove", "DELETE", "/api/v1/members/{id}", "admin:tenants"),
        ("applications_list", "GET", "/api/v1/applications", "admin:tenants"),
        ("applications_revoke", "DELETE", "/api/v1/applications/{id}", "admin:tenants"),
        ("usage_get", "GET", "/api/v1/usage", "admin:tenants"),
        ("audit_list", "GET", "/api/v1/audit", "admin:tenants"),
    ] {
        let tool = catalogue.find(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(tool.route.method.as_str(), method, "{name}");
        assert_eq!(tool.route.full_path(), path, "{name}");
        assert_eq!(tool.scope.name(), scope, "{name}");
    }
    let parameters = |name: &str| {
        catalogue
            .find(name)
            .unwrap()
            .input
            .parameters()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(parameters("workflows_list"), ["active", "cursor", "limit", "tags"]);
    assert_eq!(parameters("workflows_trigger"), ["input_data", "workflow_id"]);
    assert_eq!(parameters("workflows_status"), ["execution_id"]);
    assert_eq!(parameters("workflows_create"), ["activate", "name", "tags", "workflow_json"]);
    assert_eq!(parameters("infra_status"), Vec::<String>::new());
    assert_eq!(parameters("analytics_kpis"), ["kpis"]);
    assert_eq!(parameters("analytics_reports"), ["format", "query"]);
    assert_eq!(parameters("crm_contacts_list"), ["cursor", "filter", "limit"]);
    assert_eq!(parameters("crm_records_upsert"), ["fields", "id", "kind"]);
    assert_eq!(parameters("crm_pipeline_status"), Vec::<String>::new());
    assert_eq!(parameters("support_conversations_list"), ["assignee", "cursor", "limit", "status"]);
    assert_eq!(parameters("support_metrics"), ["period"]);
    assert_eq!(parameters("bots_analytics"), ["bot_id", "period"]);
    assert_eq!(parameters("bots_deploy"), ["active", "bot_id", "configuration"]);
    assert_eq!(parameters("docs_services"), ["service_id"]);
    assert_eq!(parameters("docs_apis"), ["service_id"]);
    assert_eq!(parameters("generate_n8n_workflow"), ["description", "services"]);
    assert_eq!(parameters("generate_botpress_skill"), ["description"]);
    assert_eq!(parameters("generate_api_client"), ["language", "service_id"]);
    assert_eq!(parameters("infra_metrics"), ["metric", "period"]);
}

#[tokio::test]
async fn every_tool_is_refused_to_nobody_on_both_doors() {
    let app = App::with(|config| config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    for (index, tool) in catalogue().all().iter().enumerate() {
        // Each from an address of its own, so that none is refused as a flood.
        let nobody = app.nobody().with_header("x-forwarded-for", &format!("203.0.113.{index}"));
        let name = tool.name;
        for reply in [
            by_route(&nobody, tool).await,
            nobody.post(&format!("/api/v1/tools/{name}"), json!({})).await,
            nobody.call(name, json!({})).await,
            nobody.call_modern(name, json!({})).await,
        ] {
            assert_eq!(reply.status, 401, "{name}: {}", reply.text);
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{name}");
        }
    }
}

#[tokio::test]
async fn every_tool_is_refused_to_a_token_with_every_scope_but_its_own() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    for tool in catalogue().all() {
        let name = tool.name;
        let others: Vec<_> = Scope::ALL
            .into_iter()
            .filter(|scope| ![*scope].into_iter().collect::<smartermcp::auth::Scopes>().grant(tool.scope))
            .map(Scope::name)
            .collect();
        let user = app.user_with(&tenant, &others, wide()).await;
        let scope = format!(r#"scope="{}""#, tool.scope);
        for reply in [
            by_route(&user, tool).await,
            user.post(&format!("/api/v1/tools/{name}"), json!({})).await,
            user.call(name, json!({})).await,
            user.call_modern(name, json!({})).await,
        ] {
            assert_eq!(reply.status, 403, "{name}: {}", reply.text);
            let challenge = reply.header("www-authenticate");
            assert!(
                challenge.contains(r#"error="insufficient_scope""#) && challenge.contains(&scope),
                "{name}: {challenge}"
            );
        }
        assert!(!user.tools().await.contains(&name.to_owned()), "{name} is listed");
    }
}

#[tokio::test]
async fn every_tool_is_on_both_doors() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = user_of_all_scopes(&app, &tenant).await;
    for tool in catalogue().all() {
        let name = tool.name;
        // An unknown parameter, so that nothing is done, and the tool itself is what refuses.
        let wrong = json!({ "no_such_parameter": 1 });
        let by_name = user.post(&format!("/api/v1/tools/{name}"), wrong.clone()).await;
        by_name.assert_problem(422, "invalid_input");
        assert!(by_name.text.contains("no_such_parameter"), "{name}: {}", by_name.text);
        let by_route = user
            .send(
                tool.route.method.clone(),
                &format!("{}?no_such_parameter=1", path(tool)),
                Some("{}".to_owned()),
            )
            .await;
        by_route.assert_problem(422, "invalid_input");
        assert!(by_route.text.contains("no_such_parameter"), "{name}: {}", by_route.text);
        for reply in [user.call(name, wrong.clone()).await, user.call_modern(name, wrong.clone()).await] {
            assert!(reply.tool_error().contains("no_such_parameter"), "{name}: {}", reply.text);
        }
    }
}

/// Whether it is asked by POST and changes nothing.
fn reads(tool: &str) -> bool {
    matches!(tool, "connections_test" | "analytics_reports") || tool.starts_with("generate_")
}

#[tokio::test]
async fn annotations_are_derived_from_the_declaration() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = user_of_all_scopes(&app, &tenant).await;
    let listed = user.mcp("tools/list", json!({})).await;
    let rest = user.get("/api/v1/tools").await;
    let catalogue = catalogue();
    for (shown, in_rest) in listed.json["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .zip(rest.json["tools"].as_array().unwrap())
    {
        let tool = catalogue.find(shown["name"].as_str().unwrap()).unwrap();
        let hints = &shown["annotations"];
        assert_eq!(hints, &in_rest["annotations"], "{}", tool.name);
        let method = tool.route.method.as_str();
        assert_eq!(hints["readOnlyHint"], method == "GET" || reads(tool.name), "{}", tool.name);
        assert_eq!(
            hints["destructiveHint"],
            method == "DELETE"
                || matches!(
                    tool.name,
                    "switches_create" | "services_deploy" | "services_restart" | "containers_restart" | "bots_deploy"
                ),
            "{}",
            tool.name
        );
        assert_eq!(hints["idempotentHint"], method != "POST" || reads(tool.name), "{}", tool.name);
        assert_eq!(hints["openWorldHint"], tool.outside, "{}", tool.name);
        assert_eq!(shown["inputSchema"], *tool.input.schema(), "{}", tool.name);
        assert_eq!(in_rest["path"], tool.route.full_path(), "{}", tool.name);
    }
}

#[tokio::test]
async fn the_list_is_one_sorted_page_the_same_each_time_and_private() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = user_of_all_scopes(&app, &tenant).await;
    for modern in [false, true] {
        let list = async |params: Value| {
            if modern {
                user.mcp_modern("tools/list", params).await
            } else {
                user.mcp("tools/list", params).await
            }
        };
        let (one, two) = (list(json!({})).await, list(json!({})).await);
        one.assert_status(200);
        assert_eq!(one.text, two.text, "the same bytes each time");
        let result = &one.json["result"];
        assert_eq!(result["cacheScope"], "private", "{modern}");
        assert!(result["ttlMs"].as_u64().is_some(), "{modern}");
        assert!(result.get("nextCursor").is_none());
        let names: Vec<_> = result["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = catalogue().all().iter().map(|tool| tool.name).collect();
        assert_eq!(names, expected);
        assert!(names.is_sorted());
        list(json!({ "cursor": "more" })).await.assert_rpc_error(-32602);
    }
}

#[tokio::test]
async fn an_unknown_tool_is_404_in_rest_and_invalid_params_in_mcp() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = user_of_all_scopes(&app, &tenant).await;
    user.post("/api/v1/tools/workflows_destroy", json!({}))
        .await
        .assert_problem(404, "unknown_tool");
    for reply in [
        user.call("workflows_destroy", json!({})).await,
        user.call_modern("workflows_destroy", json!({})).await,
    ] {
        reply.assert_rpc_error(-32602);
    }
}
