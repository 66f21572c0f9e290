//! The REST door: problems as RFC 9457 has them, how a query is read, and what browsers are told.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::app::{App, BUSINESS, Reply, User};

const JSON: (&str, &str) = ("content-type", "application/json");

#[track_caller]
fn is_whole_problem(reply: &Reply) {
    assert_eq!(reply.header("content-type"), "application/problem+json", "{}", reply.text);
    let problem = &reply.json;
    assert!(
        problem["type"].as_str().is_some_and(|kind| url::Url::parse(kind).is_ok()),
        "{problem}"
    );
    for text in ["title", "detail", "code", "request_id"] {
        assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text} in {problem}");
    }
    assert_eq!(problem["status"], reply.status.as_u16());
    assert!(problem["retryable"].is_boolean());
    assert_eq!(problem["request_id"], reply.header("x-request-id"));
}

fn ids(listed: &Reply) -> Vec<&str> {
    let workflows = listed.assert_status(200).json["workflows"].as_array().unwrap();
    workflows.iter().map(|workflow| workflow["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_failure_is_a_problem_with_all_its_members_and_the_answers_own_id() {
    let app = App::start().await;
    let (tenant, user, _) = app.business("luna").await;
    let reader = app.user(&tenant, &["read:workflows"]).await;
    let bare = app.tenant("bare").await;
    let bare = app.user(&bare, BUSINESS).await;
    let trigger = "/api/v1/workflows/wf_backup_db/trigger";
    let mut seen = Vec::new();
    for (reply, status, code) in [
        (app.nobody().get("/api/v1/workflows").await, 401, "unauthenticated"),
        (app.nobody().get("/api/v1/whoami").await, 401, "unauthenticated"),
        (user.get("/api/v1/nothing/here").await, 404, "no_route"),
        (user.get("/api/v2/workflows").await, 404, "no_route"),
        (user.delete("/api/v1/workflows").await, 405, "method_not_allowed"),
        (user.get(trigger).await, 405, "method_not_allowed"),
        (app.nobody().post("/health", json!({})).await, 405, "method_not_allowed"),
        (
            user.send(Method::POST, trigger, Some("{\"input_data\":".to_owned())).await,
            400,
            "malformed",
        ),
        (
            user.send(Method::POST, trigger, Some("nonsense".to_owned())).await,
            400,
            "malformed",
        ),
        (
            user.raw(Method::POST, trigger, &[JSON], b"{\"input_data\":{\"a\":\"\xff\"}}".to_vec())
                .await,
            400,
            "malformed",
        ),
        (user.send(Method::POST, trigger, Some("[]".to_owned())).await, 422, "invalid_input"),
        (user.get("/api/v1/workflows?limit=x").await, 422, "invalid_input"),
        (user.post("/api/v1/tools/no_such_tool", json!({})).await, 404, "unknown_tool"),
        (user.get("/api/v1/workflows/executions/77").await, 404, "not_found"),
        (reader.post(trigger, json!({})).await, 403, "insufficient_scope"),
        (
            user.for_tenant("somebody-else").get("/api/v1/workflows").await,
            404,
            "tenant_not_found",
        ),
        (bare.get("/api/v1/workflows").await, 409, "not_connected"),
        (user.with_key("with blanks").post(trigger, json!({})).await, 422, "invalid_input"),
    ] {
        reply.assert_problem(status, code);
        is_whole_problem(&reply);
        seen.push(reply.header("x-request-id").to_owned());
        app.clock.advance(Duration::from_secs(2));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 18, "each request has an id of its own");
    assert_eq!(user.get("/api/v1/workflows/executions/77").await.header("www-authenticate"), "");
}

#[tokio::test]
async fn a_wrong_method_names_those_that_are_right() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let refused = user.delete("/api/v1/workflows").await;
    refused.assert_problem(405, "method_not_allowed");
    let allowed: Vec<_> = refused.header("allow").split(',').map(str::trim).collect();
    assert!(
        allowed.contains(&"GET") && allowed.contains(&"POST"),
        "RFC 9110 §15.5.6: {:?}",
        refused.headers
    );
}

#[tokio::test]
async fn a_query_is_read_as_the_types_of_the_parameters() {
    let app = App::start().await;
    let (tenant, _, _) = app.business("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    for (query, expected) in [
        ("active=true", 3),
        ("active=false", 1),
        ("tags=automation,orders", 1),
        ("tags=automation&tags=orders", 1),
        ("tags[]=automation&tags[]=orders", 1),
        ("tags=automation%2Corders", 1),
        ("tags=automation", 2),
        ("tags=", 4),
        ("limit=3", 3),
        ("limit=200", 4),
        ("active=true&limit=2", 2),
        ("", 4),
    ] {
        let listed = user.get(&format!("/api/v1/workflows?{query}")).await;
        assert_eq!(listed.status, 200, "{query}: {}", listed.text);
        assert_eq!(ids(&listed).len(), expected, "{query}: {}", listed.text);
    }
    for (query, words) in [
        ("limit=x", &["limit", "integer"][..]),
        ("limit=201", &["limit", "at most 200", "201"]),
        ("limit=0", &["limit", "at least 1"]),
        ("limit=-1", &["limit", "at least 1"]),
        ("limit=1.5", &["limit", "integer"]),
        ("limit=99999999999999999999", &["limit"]),
        ("limit=", &["limit", "integer"]),
        ("active=yes", &["active", "boolean", "yes"]),
        ("active=1", &["active", "boolean"]),
        ("active=True", &["active", "boolean"]),
        ("colour=blue", &["colour", "unknown", "active", "cursor", "limit", "tags"]),
        ("cursor=abc", &["cursor"]),
        ("limit=x&active=y", &["limit", "active"]),
    ] {
        let refused = user.get(&format!("/api/v1/workflows?{query}")).await;
        refused.assert_problem(422, "invalid_input");
        for word in words {
            assert!(
                refused.json["detail"].as_str().unwrap().contains(word),
                "{query}: {word:?} is not in {}",
                refused.text
            );
        }
    }
    for twice in ["limit=2&limit=3", "active=true&active=false"] {
        let refused = user.get(&format!("/api/v1/workflows?{twice}")).await;
        refused.assert_problem(422, "invalid_input");
    }
}

#[tokio::test]
async fn a_value_that_path_and_body_say_differently_is_refused_and_nothing_runs() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let path = "/api/v1/workflows/wf_backup_db/trigger";
    for (path, body) in [
        (path.to_owned(), json!({ "workflow_id": "wf_daily_sales" })),
        (format!("{path}?workflow_id=wf_daily_sales"), json!({})),
        (
            "/api/v1/workflows/wf_backup_db/trigger?workflow_id=wf_daily_sales".to_owned(),
            json!({ "workflow_id": "wf_daily_sales" }),
        ),
    ] {
        let refused = user.post(&path, body).await;
        refused.assert_problem(422, "invalid_input");
        assert!(refused.json["detail"].as_str().unwrap().contains("workflow_id"), "{}", refused.text);
    }
    assert_eq!(n8n.runs(), 0);
    let agreed = user.post(path, json!({ "workflow_id": "wf_backup_db" })).await;
    assert_eq!(agreed.assert_status(200).json["workflow_id"], "wf_backup_db");
    // A path is decoded: names may hold anything.
    let by_name = user.post("/api/v1/workflows/Backup%20database/trigger", json!({})).await;
    assert_eq!(by_name.assert_status(200).json["workflow_id"], "wf_backup_db");
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn any_tool_can_be_called_by_its_name_with_its_arguments_as_the_body() {
    let app = App::start().await;
    let (tenant, user, n8n) = app.business("luna").await;
    assert_eq!(
        ids(&user.post("/api/v1/tools/workflows_list", json!({ "active": false })).await),
        ["wf_sync_orders"]
    );
    assert_eq!(
        ids(&user.send(Method::POST, "/api/v1/tools/workflows_list", None).await).len(),
        4,
        "no body is no arguments"
    );
    let triggered = user
        .post("/api/v1/tools/workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
        .await;
    assert_eq!(triggered.assert_status(200).json["status"], "completed");
    let made = json!({ "name": "N", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
    user.post("/api/v1/tools/workflows_create", made).await.assert_status(201);
    user.post("/api/v1/tools/no_such_tool", json!({}))
        .await
        .assert_problem(404, "unknown_tool");
    user.get("/api/v1/tools/workflows_list")
        .await
        .assert_problem(405, "method_not_allowed");
    let reader = app.user(&tenant, &["read:workflows"]).await;
    reader
        .post("/api/v1/tools/workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
        .await
        .assert_problem(403, "insufficient_scope");
    assert_eq!(n8n.runs(), 1);

    let listed = reader.get("/api/v1/tools").await;
    let names: Vec<_> = listed.assert_status(200).json["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"workflows_list") && !names.contains(&"workflows_trigger"),
        "{names:?}"
    );
    let list = listed.json["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "workflows_list")
        .unwrap();
    assert_eq!((&list["method"], &list["path"]), (&json!("GET"), &json!("/api/v1/workflows")));
}

#[tokio::test]
async fn a_body_needs_no_content_type_of_its_own_but_a_gets_body_means_nothing() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let triggered = user
        .raw(Method::POST, "/api/v1/workflows/wf_backup_db/trigger", &[JSON], "  \n ")
        .await;
    triggered.assert_status(200);
    let listed = user.raw(Method::GET, "/api/v1/workflows", &[JSON], r#"{"active":false}"#).await;
    assert_eq!(ids(&listed).len(), 4);
}

#[tokio::test]
async fn browsers_of_allowed_sites_may_call_and_others_are_refused() {
    let app = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let (_, user, _) = app.business("luna").await;
    let asks = |origin: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,mcp-protocol-version"),
        ]
    };
    for path in ["/mcp", "/", "/api/v1/workflows", "/auth/token"] {
        for origin in ["https://mcp.example.cl", "http://localhost:6274", "http://127.0.0.1:5173"] {
            // A preflight carries no token.
            let answered = app.nobody().raw(Method::OPTIONS, path, &asks(origin), "").await;
            assert!(
                answered.status.is_success(),
                "{origin} at {path}: {} {}",
                answered.status,
                answered.text
            );
            assert_eq!(answered.header("access-control-allow-origin"), origin);
            assert!(answered.header("access-control-allow-methods").contains("POST"));
            let headers = answered.header("access-control-allow-headers").to_lowercase();
            assert!(
                headers.contains("authorization") && headers.contains("mcp-protocol-version"),
                "{headers}"
            );
        }
        let foreign = app.nobody().raw(Method::OPTIONS, path, &asks("https://evil.example"), "").await;
        assert_eq!(foreign.header("access-control-allow-origin"), "", "{path}");
    }
    let called = user
        .raw(Method::GET, "/api/v1/workflows", &[("origin", "http://localhost:6274")], "")
        .await;
    assert_eq!(
        called.assert_status(200).header("access-control-allow-origin"),
        "http://localhost:6274"
    );
    let exposed = called.header("access-control-expose-headers").to_lowercase();
    for name in ["www-authenticate", "retry-after", "x-request-id", "ratelimit"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let refused = user
        .raw(Method::GET, "/api/v1/workflows", &[("origin", "https://evil.example")], "")
        .await;
    refused.assert_problem(403, "origin_not_allowed");
    is_whole_problem(&refused);
    assert_eq!(refused.header("access-control-allow-origin"), "");
    user.raw(Method::GET, "/api/v1/workflows", &[("host", "evil.example")], "")
        .await
        .assert_status(403);
}

#[tokio::test]
async fn no_answer_may_be_stored_sniffed_or_framed() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let all = |user: User| async move {
        let mut replies = Vec::new();
        for path in [
            "/api/v1/workflows",
            "/api/v1/whoami",
            "/nothing",
            "/health",
            "/metrics",
            "/openapi.json",
            "/docs",
        ] {
            replies.push(user.get(path).await);
        }
        replies.push(user.call("workflows_list", json!({})).await);
        replies.push(user.mcp("tools/list", json!({})).await);
        replies
    };
    for reply in all(user).await.into_iter().chain(all(app.nobody()).await) {
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{}", reply.text);
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(uuid::Uuid::parse_str(reply.header("x-request-id")).is_ok());
        assert_eq!(reply.header("server"), "");
    }
}
