//! The four workflow tools and the test of a connection, against the n8n that the sandbox plays.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json, Router,
    extract::Request,
    middleware::{self, Next},
    response::IntoResponse as _,
    routing::get,
};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use smartermcp::sandbox::n8n::{Fault, Sandbox};
use tower::ServiceExt as _;

use crate::app::{App, BUSINESS, Reply, Tenant, User};

/// A workflow of a webhook and one node after it.
fn hooked(name: &str, webhook: Value, node: Value) -> Value {
    let mut parameters = json!({ "path": name.to_lowercase().replace(' ', "-"), "httpMethod": "POST", "responseMode": "lastNode" });
    for (key, value) in webhook.as_object().unwrap() {
        parameters[key] = value.clone();
    }
    json!({
        "name": name, "active": true,
        "nodes": [
            { "name": "Hook", "type": "n8n-nodes-base.webhook", "position": [0, 0], "parameters": parameters },
            { "name": "Work", "type": "n8n-nodes-base.set", "position": [200, 0], "parameters": node },
        ],
        "connections": { "Hook": { "main": [[{ "node": "Work", "type": "main", "index": 0 }]] } },
    })
}

/// A workflow that only a clock starts.
fn scheduled(name: &str) -> Value {
    json!({
        "name": name, "active": true, "settings": { "availableInMCP": true },
        "nodes": [{ "name": "Clock", "type": "n8n-nodes-base.scheduleTrigger", "position": [0, 0], "parameters": {} }],
    })
}

async fn business(app: &App, slug: &str) -> (Tenant, User, Sandbox) {
    let (tenant, _, n8n) = app.business(slug).await;
    (tenant.clone(), app.tireless(&tenant, BUSINESS).await, n8n)
}

fn url_of(app: &App, host: &str) -> String {
    format!("http://{host}.vendors.test:{}", app.vendors.address().port())
}

async fn trigger(user: &User, workflow: &str, input: Value) -> Reply {
    user.post(
        "/api/v1/tools/workflows_trigger",
        json!({ "workflow_id": workflow, "input_data": input }),
    )
    .await
}

async fn status(user: &User, triggered: &Value) -> Value {
    let id = triggered["execution_id"].as_str().expect("an execution was found");
    let shown = user.get(&format!("/api/v1/workflows/executions/{id}")).await;
    shown.assert_status(200).json.clone()
}

/// Waits until an execution has ended.
async fn ended(user: &User, triggered: &Value) -> Value {
    for _ in 0..100 {
        let shown = status(user, triggered).await;
        if shown["status"] != "running" {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{triggered} does not end");
}

#[track_caller]
fn says(reply: &Reply, status: u16, code: &str, words: &[&str]) {
    reply.assert_problem(status, code);
    for word in words {
        assert!(
            reply.json["detail"].as_str().unwrap().contains(word),
            "{word:?} is not in {}",
            reply.text
        );
    }
}

fn ids(listed: &Reply) -> Vec<String> {
    let workflows = listed.assert_status(200).json["workflows"].as_array().unwrap();
    workflows
        .iter()
        .map(|workflow| workflow["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The sandbox behind something that answers these paths itself.
fn behind(sandbox: &Sandbox, path: &'static str, answer: fn() -> axum::response::Response) -> Router {
    sandbox
        .router()
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            if request.uri().path().starts_with(path) {
                answer()
            } else {
                next.run(request).await
            }
        }))
}

// workflows_list

#[tokio::test]
async fn workflows_are_listed_by_state_and_by_all_of_their_tags() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    n8n.add_workflow(json!({ "id": "gone", "name": "Archived", "isArchived": true, "tags": ["automation"] }));
    let all = ["wf_ask_approval", "wf_backup_db", "wf_daily_sales", "wf_sync_orders"];
    for (query, expected) in [
        ("", &all[..]),
        ("?active=true", &all[..3]),
        ("?active=false", &all[3..]),
        ("?tags=automation", &["wf_backup_db", "wf_sync_orders"]),
        ("?tags=automation,orders", &["wf_sync_orders"]),
        ("?tags=automation&active=true", &["wf_backup_db"]),
        ("?tags=nobody-has-this", &[]),
    ] {
        assert_eq!(ids(&user.get(&format!("/api/v1/workflows{query}")).await), expected, "{query}");
    }
    let listed = user
        .call("workflows_list", json!({ "active": true, "tags": ["automation", "backup"] }))
        .await;
    let workflow = &listed.content()["workflows"][0];
    assert_eq!(workflow["name"], "Backup database");
    assert_eq!((&workflow["active"], &workflow["nodes_count"]), (&json!(true), &json!(3)));
    let tags: BTreeSet<_> = workflow["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag.as_str().unwrap())
        .collect();
    assert_eq!(tags, ["automation", "backup"].into());
    assert!(workflow["last_execution"].is_null());
    assert!(listed.content().get("unavailable").is_none() && listed.content().get("next_cursor").is_none());
}

#[tokio::test]
async fn pages_follow_one_another_until_all_was_listed_once() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let (_, other, _) = business(&app, "sol").await;
    for index in 0..7 {
        n8n.add_workflow(json!({ "id": format!("x{index}"), "name": format!("X {index}"), "tags": ["x"] }));
    }
    let pages = async |query: &str| {
        let (mut all, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let next = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = user.get(&format!("/api/v1/workflows?limit=3{query}{next}")).await;
            sizes.push(ids(&page).len());
            all.extend(ids(&page));
            cursor = page.json["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return (all, sizes);
            }
        }
    };
    let (all, sizes) = pages("").await;
    assert_eq!(sizes, [3, 3, 3, 2]);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 11, "each once: {all:?}");
    let (tagged, sizes) = pages("&tags=x").await;
    assert_eq!((tagged.len(), sizes), (7, vec![3, 3, 1]));

    let first = user.get("/api/v1/workflows?limit=3&tags=x").await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    // The cursor alone goes on with the filters that it was given for.
    assert_eq!(ids(&user.get(&format!("/api/v1/workflows?cursor={cursor}")).await), tagged[3..6]);
    let narrower = user.get(&format!("/api/v1/workflows?limit=1&cursor={cursor}")).await;
    if narrower.status == 200 {
        assert_eq!(ids(&narrower).len(), 1, "at most as many as were asked for");
    } else {
        says(&narrower, 422, "invalid_input", &["limit"]);
    }
    for (who, query) in [
        (&user, format!("?tags=automation&cursor={cursor}")),
        (&user, format!("?active=true&cursor={cursor}")),
        (&user, format!("?tags=x&active=true&cursor={cursor}")),
        (&user, "?cursor=bm9uc2Vuc2U".to_owned()),
        (&user, format!("?cursor=A{}", &cursor[1..])),
        (&user, format!("?cursor={}", &cursor[..cursor.len() - 4])),
        (&other, format!("?cursor={cursor}")),
    ] {
        says(
            &who.get(&format!("/api/v1/workflows{query}")).await,
            422,
            "invalid_input",
            &["cursor: "],
        );
    }
}

#[tokio::test]
async fn a_workflow_shows_its_latest_execution_whether_it_runs_or_has_ended() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let slow = n8n.add_workflow(hooked("Slow", json!({ "responseMode": "onReceived" }), json!({ "delay_ms": 8000 })));
    let failing = n8n.add_workflow(hooked("Failing", json!({}), json!({ "fail": true })));
    let mut latest = Vec::new();
    for workflow in ["wf_backup_db", "wf_backup_db", &failing, &slow, "wf_ask_approval"] {
        let triggered = trigger(&user, workflow, json!({})).await;
        latest.push(triggered.assert_status(200).json["execution_id"].clone());
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let listed = user.get("/api/v1/workflows").await;
    let of = |id: &str| {
        let workflows = listed.json["workflows"].as_array().unwrap();
        workflows.iter().find(|workflow| workflow["id"] == id).unwrap()["last_execution"].clone()
    };
    assert_eq!(
        (&of("wf_backup_db")["execution_id"], &of("wf_backup_db")["status"]),
        (&latest[1], &json!("completed"))
    );
    assert_eq!(
        (&of(&failing)["execution_id"], &of(&failing)["status"]),
        (&latest[2], &json!("failed"))
    );
    assert_eq!((&of(&slow)["execution_id"], &of(&slow)["status"]), (&latest[3], &json!("running")));
    assert_eq!(
        (&of("wf_ask_approval")["execution_id"], &of("wf_ask_approval")["status"]),
        (&latest[4], &json!("waiting"))
    );
    assert!(of("wf_backup_db")["started_at"].as_str().unwrap().starts_with("20"));
    assert!(of("wf_sync_orders").is_null());
}

#[tokio::test]
async fn workflows_are_listed_without_their_executions_where_the_key_may_not_see_them() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let url = app.vendors.play(
        "half",
        behind(&n8n, "/api/v1/executions", || {
            (StatusCode::FORBIDDEN, Json(json!({ "message": "Forbidden" }))).into_response()
        }),
    );
    app.connect_n8n(&tenant, &url, "key-of-luna").await;
    let listed = user.get("/api/v1/workflows").await;
    assert_eq!(ids(&listed).len(), 4);
    assert_eq!(listed.json["unavailable"], json!(["last_execution"]));
    assert!(
        listed.json["workflows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|workflow| workflow["last_execution"].is_null())
    );
}

// workflows_trigger

#[tokio::test]
async fn a_workflow_is_triggered_by_its_id_or_its_exact_name() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    n8n.add_workflow(hooked("Backup database weekly", json!({}), json!({})));
    for named in ["wf_backup_db", "Backup database"] {
        let triggered = trigger(&user, named, json!({ "by": named })).await;
        assert_eq!(triggered.assert_status(200).json["workflow_id"], "wf_backup_db");
        assert_eq!(triggered.json["status"], "completed");
        assert!(triggered.json.get("unavailable").is_none());
        let shown = status(&user, &triggered.json).await;
        assert_eq!(shown["output"]["input"]["by"], named, "the workflow got what was sent");
    }
    assert_eq!((n8n.runs(), n8n.executions_of("wf_backup_db")), (2, 2));
    for unknown in [
        "backup database",
        "Backup",
        "wf_backup",
        "Backup database ",
        "../wf_backup_db",
        "wf_backup_db?x=1",
        "%77f_backup_db",
    ] {
        says(
            &trigger(&user, unknown, json!({})).await,
            404,
            "not_found",
            &["workflow_id", "workflows_list"],
        );
    }
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn what_cannot_be_triggered_says_why_and_what_to_do() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let twin = n8n.add_workflow(hooked("Twin", json!({ "path": "a" }), json!({})));
    let other = n8n.add_workflow(hooked("Twin", json!({ "path": "b" }), json!({})));
    n8n.add_workflow(json!({ "id": "archived", "name": "Archived", "isArchived": true, "active": true, "nodes": [] }));
    n8n.add_workflow(scheduled("Nightly"));
    n8n.add_workflow(hooked("With parameter", json!({ "path": "orders/:id" }), json!({})));
    n8n.add_workflow(hooked("By JWT", json!({ "authentication": "jwtAuth" }), json!({})));
    says(
        &trigger(&user, "Twin", json!({})).await,
        409,
        "ambiguous_name",
        &[&twin, &other, "id"],
    );
    says(
        &trigger(&user, "wf_sync_orders", json!({})).await,
        409,
        "workflow_inactive",
        &["Sync orders", "activate"],
    );
    says(
        &trigger(&user, "archived", json!({})).await,
        409,
        "workflow_inactive",
        &["Archived"],
    );
    says(&trigger(&user, "Archived", json!({})).await, 404, "not_found", &["Archived"]);
    says(
        &trigger(&user, "Nightly", json!({})).await,
        409,
        "not_triggerable",
        &["Nightly", "Webhook node", "mcp_token"],
    );
    says(
        &trigger(&user, "With parameter", json!({})).await,
        409,
        "not_triggerable",
        &["fixed path", "mcp_token"],
    );
    says(
        &trigger(&user, "By JWT", json!({})).await,
        409,
        "not_triggerable",
        &["authentication", "mcp_token"],
    );
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn a_workflow_without_a_webhook_is_started_by_n8ns_own_mcp_server() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let nightly = n8n.add_workflow(scheduled("Nightly"));
    let mut closed = scheduled("Not for agents");
    closed["settings"] = json!({});
    n8n.add_workflow(closed);
    let mut parametrised = hooked("With parameter", json!({ "path": "orders/:id" }), json!({}));
    parametrised["settings"] = json!({ "availableInMCP": true });
    n8n.add_workflow(parametrised);
    let with_token = |token: &str| json!({ "api_key": "key-of-luna", "mcp_token": token });
    app.connect(&tenant, &url_of(&app, "n8n-luna"), with_token("mcp-token")).await;

    let triggered = trigger(&user, "Nightly", json!({})).await;
    assert_eq!(triggered.assert_status(200).json["workflow_id"], nightly.as_str());
    assert!(["running", "completed"].contains(&triggered.json["status"].as_str().unwrap()));
    assert_eq!(ended(&user, &triggered.json).await["status"], "completed");
    says(
        &trigger(&user, "Nightly", json!({ "a": 1 })).await,
        422,
        "invalid_input",
        &["input_data", "schedule"],
    );
    says(
        &trigger(&user, "Not for agents", json!({})).await,
        409,
        "not_triggerable",
        &["not available in MCP"],
    );
    assert_eq!(n8n.runs(), 1);

    let triggered = trigger(&user, "With parameter", json!({ "order": 5 })).await;
    assert_eq!(
        ended(&user, &triggered.assert_status(200).json).await["output"]["input"]["order"],
        5
    );
    // A webhook that can be called is called, even so.
    let called = trigger(&user, "wf_daily_sales", json!({ "day": "today" })).await;
    assert_eq!(
        ended(&user, &called.assert_status(200).json).await["output"]["input"]["day"],
        "today"
    );

    app.connect(&tenant, &url_of(&app, "n8n-luna"), with_token("wrong")).await;
    says(&trigger(&user, "Nightly", json!({})).await, 502, "credential_refused", &["n8n"]);
    assert_eq!(n8n.executions_of(&nightly), 1);
}

#[tokio::test]
async fn a_webhook_that_asks_who_calls_gets_the_stored_secret_and_its_refusal_is_explained() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let header = json!({ "authentication": "headerAuth", "sandbox": { "name": "x-secret", "value": "open-sesame" } });
    let basic = json!({ "authentication": "basicAuth", "sandbox": { "username": "ana", "password": "s3same" } });
    n8n.add_workflow(hooked("By header", header, json!({})));
    n8n.add_workflow(hooked("By password", basic, json!({})));
    let connect = async |auth: Option<Value>| {
        let mut credential = json!({ "api_key": "key-of-luna" });
        if let Some(auth) = auth {
            credential["webhook_auth"] = auth;
        }
        app.connect(&tenant, &url_of(&app, "n8n-luna"), credential).await;
    };
    let by_header = |value: &str| json!({ "type": "header", "name": "X-Secret", "value": value });
    let by_password = |password: &str| json!({ "type": "basic", "username": "ana", "password": password });

    connect(None).await;
    says(
        &trigger(&user, "By header", json!({})).await,
        409,
        "webhook_auth_missing",
        &["webhook_auth"],
    );
    says(
        &trigger(&user, "By password", json!({})).await,
        409,
        "webhook_auth_missing",
        &["webhook_auth"],
    );
    connect(Some(by_header("wrong-one"))).await;
    let refused = trigger(&user, "By header", json!({})).await;
    says(&refused, 502, "credential_refused", &["webhook_auth"]);
    assert!(!refused.text.contains("wrong-one"));
    says(
        &trigger(&user, "By password", json!({})).await,
        409,
        "webhook_auth_missing",
        &["user and password"],
    );
    connect(Some(by_password("wrong-one"))).await;
    says(
        &trigger(&user, "By password", json!({})).await,
        502,
        "credential_refused",
        &["webhook_auth"],
    );
    assert_eq!(n8n.runs(), 0);

    connect(Some(by_header("open-sesame"))).await;
    trigger(&user, "By header", json!({})).await.assert_status(200);
    connect(Some(by_password("s3same"))).await;
    let triggered = trigger(&user, "By password", json!({})).await;
    assert_eq!(triggered.assert_status(200).json["status"], "completed");
    // A webhook that asks for nothing is told nothing.
    let plain = n8n.add_workflow(json!({
        "name": "Plain", "active": true,
        "nodes": [{ "name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "plain", "httpMethod": "POST", "responseMode": "lastNode" } }],
    }));
    trigger(&user, &plain, json!({})).await.assert_status(200);
    assert_eq!(n8n.runs(), 3);
}

#[tokio::test]
async fn a_trigger_tells_how_its_execution_stands() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    n8n.add_workflow(hooked("Slow", json!({ "responseMode": "onReceived" }), json!({ "delay_ms": 1500 })));
    n8n.add_workflow(hooked(
        "Failing",
        json!({}),
        json!({ "fail": true, "errorMessage": "No disk left" }),
    ));
    n8n.add_workflow(hooked(
        "Failing later",
        json!({ "responseMode": "onReceived" }),
        json!({ "fail": true }),
    ));
    let (slow, failing, later, waiting) = futures::join!(
        trigger(&user, "Slow", json!({})),
        trigger(&user, "Failing", json!({})),
        trigger(&user, "Failing later", json!({})),
        trigger(&user, "wf_ask_approval", json!({})),
    );
    assert_eq!(slow.assert_status(200).json["status"], "running");
    assert_eq!(status(&user, &slow.json).await["status"], "running");
    assert_eq!(
        failing.assert_status(200).json["status"],
        "failed",
        "that n8n says so is the outcome, not an error of ours"
    );
    assert!(["running", "failed"].contains(&later.assert_status(200).json["status"].as_str().unwrap()));
    assert_eq!(
        waiting.assert_status(200).json["status"],
        "running",
        "a trigger's contract knows no waiting"
    );
    for triggered in [&slow, &failing, &later, &waiting] {
        assert!(triggered.json["started_at"].as_str().unwrap().ends_with('Z'), "{}", triggered.text);
    }
    assert_eq!(ended(&user, &waiting.json).await["status"], "waiting");
    assert_eq!(ended(&user, &later.json).await["status"], "failed");
    assert_eq!(ended(&user, &slow.json).await["status"], "completed");
}

#[tokio::test]
async fn a_get_webhook_receives_its_input_as_a_query() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    n8n.add_workflow(json!({
        "name": "By GET", "active": true,
        "nodes": [{ "name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "by/get", "httpMethod": "GET", "responseMode": "lastNode" } }],
    }));
    let triggered = trigger(&user, "By GET", json!({ "city": "Ñuñoa & más", "n": 5, "deep": { "a": [1] } })).await;
    let shown = ended(&user, &triggered.assert_status(200).json).await;
    assert_eq!(
        shown["output"]["query"],
        json!({ "city": "Ñuñoa & más", "n": "5", "deep": r#"{"a":[1]}"# })
    );
}

#[tokio::test]
async fn the_published_version_counts_and_not_the_draft() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let live = hooked("Changed", json!({ "path": "live" }), json!({ "output": { "from": "live" } }));
    let mut workflow = hooked("Changed", json!({ "path": "draft" }), json!({ "output": { "from": "draft" } }));
    workflow["activeVersion"] = json!({ "nodes": live["nodes"], "connections": live["connections"] });
    n8n.add_workflow(workflow);
    let triggered = trigger(&user, "Changed", json!({})).await;
    assert_eq!(status(&user, &triggered.assert_status(200).json).await["output"]["from"], "live");
}

#[tokio::test]
async fn a_workflows_own_answer_is_not_taken_for_n8ns_refusal() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    for code in [201, 404, 403, 500] {
        let mut workflow = hooked(&format!("Answers {code}"), json!({ "responseMode": "responseNode" }), json!({}));
        workflow["nodes"][1] = json!({
            "name": "Work", "type": "n8n-nodes-base.respondToWebhook",
            "parameters": { "respondWith": "json", "responseBody": r#"{"message":"none of your business"}"#, "options": { "responseCode": code } },
        });
        let id = n8n.add_workflow(workflow);
        let triggered = trigger(&user, &id, json!({})).await;
        assert_eq!(triggered.assert_status(200).json["workflow_id"], id.as_str(), "{code}");
        assert_eq!(ended(&user, &triggered.json).await["status"], "completed", "{code}");
        assert_eq!(n8n.executions_of(&id), 1);
    }
}

#[tokio::test]
async fn an_execution_that_n8n_does_not_record_is_null_and_says_so() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let mut workflow = hooked("Forgetful", json!({}), json!({}));
    workflow["settings"] = json!({ "saveDataSuccessExecution": "none" });
    n8n.add_workflow(workflow);
    let (rest, mcp) = futures::join!(
        trigger(&user, "Forgetful", json!({})),
        user.call("workflows_trigger", json!({ "workflow_id": "Forgetful" }))
    );
    for (reply, result) in [(&rest, &rest.json), (&mcp, mcp.content())] {
        assert!(result["execution_id"].is_null(), "{result}");
        assert_eq!(result["status"], "completed", "its webhook said so");
        assert_eq!(result["unavailable"], json!(["execution_id"]));
        assert_eq!(result["correlation_id"], reply.header("x-request-id"));
    }
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn ten_triggers_at_once_each_find_their_own_execution() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let slow = n8n.add_workflow(hooked("Slow", json!({ "responseMode": "onReceived" }), json!({ "delay_ms": 700 })));
    for workflow in ["wf_backup_db", &slow] {
        let all = join_all((0..10).map(|n| {
            let user = &user;
            async move {
                let arguments = json!({ "workflow_id": workflow, "input_data": { "n": n } });
                let triggered = if n % 2 == 0 {
                    trigger(user, workflow, json!({ "n": n })).await.assert_status(200).json.clone()
                } else {
                    user.call_modern("workflows_trigger", arguments).await.content().clone()
                };
                let shown = ended(user, &triggered).await;
                assert_eq!(shown["output"]["input"]["n"], n, "another's execution: {triggered}");
                triggered["execution_id"].as_str().unwrap().to_owned()
            }
        }))
        .await;
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10, "{all:?}");
        assert_eq!(n8n.executions_of(workflow), 10);
        app.clock.advance(Duration::from_secs(60));
    }
}

// workflows_status

#[tokio::test]
async fn an_execution_shows_its_output_its_error_or_that_it_goes_on() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    for (name, parameters) in [
        ("One", json!({ "output": { "rows": 3 } })),
        ("Many", json!({ "output": [{ "a": 1 }, { "a": 2 }] })),
        ("None", json!({ "output": [] })),
        ("Failing", json!({ "fail": true, "errorMessage": "No disk left" })),
        ("Long", json!({ "fail": true, "errorMessage": "x".repeat(5000) })),
    ] {
        n8n.add_workflow(hooked(name, json!({}), parameters));
    }
    n8n.add_workflow(hooked("Slow", json!({ "responseMode": "onReceived" }), json!({ "delay_ms": 9000 })));
    let shown = async |name: &str| {
        let triggered = trigger(&user, name, json!({})).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        status(&user, &triggered.assert_status(200).json).await
    };
    let one = shown("One").await;
    assert_eq!((&one["status"], &one["output"]), (&json!("completed"), &json!({ "rows": 3 })));
    assert!(one["finished_at"].is_string() && one["started_at"].is_string() && one["error"].is_null());
    assert_eq!(shown("Many").await["output"], json!([{ "a": 1 }, { "a": 2 }]));
    let none = shown("None").await;
    assert_eq!((&none["status"], &none["output"]), (&json!("completed"), &Value::Null));
    let failing = shown("Failing").await;
    assert_eq!(
        (&failing["status"], &failing["error"], &failing["output"]),
        (&json!("failed"), &json!("No disk left"), &Value::Null)
    );
    assert!(
        !failing.to_string().contains("node_modules"),
        "a stack trace is nobody's business: {failing}"
    );
    assert!(shown("Long").await["error"].as_str().unwrap().chars().count() <= 301);
    let slow = shown("Slow").await;
    assert_eq!(
        (&slow["status"], &slow["finished_at"], &slow["output"]),
        (&json!("running"), &Value::Null, &Value::Null)
    );
    let waiting = shown("wf_ask_approval").await;
    assert_eq!((&waiting["status"], &waiting["finished_at"]), (&json!("waiting"), &Value::Null));
}

#[tokio::test]
async fn an_execution_that_is_not_there_is_404_and_one_that_cannot_be_too() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    for id in [
        "999999",
        "0",
        "-1",
        "abc",
        "1.5",
        "1e3",
        "99999999999999999999999",
        "..%2Fworkflows%2Fwf_backup_db",
        "1%3FincludeData=false",
        "%20",
    ] {
        let shown = user.get(&format!("/api/v1/workflows/executions/{id}")).await;
        assert_eq!(shown.status, 404, "{id}: {}", shown.text);
    }
    let by_mcp = user.call("workflows_status", json!({ "execution_id": "abc" })).await;
    assert!(by_mcp.tool_error().contains("execution_id"));
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn what_a_webhook_was_sent_in_its_headers_is_never_shown() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let hook = |name: &str, authentication: &str, secret: Value| {
        let parameters =
            json!({ "path": name, "httpMethod": "POST", "responseMode": "lastNode", "authentication": authentication, "sandbox": secret });
        json!({ "name": name, "active": true, "nodes": [{ "name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": parameters }] })
    };
    n8n.add_workflow(hook("header", "headerAuth", json!({ "name": "x-secret", "value": "open-sesame" })));
    n8n.add_workflow(hook("basic", "basicAuth", json!({ "username": "ana", "password": "s3same" })));
    for (workflow, auth) in [
        ("header", json!({ "type": "header", "name": "x-secret", "value": "open-sesame" })),
        ("basic", json!({ "type": "basic", "username": "ana", "password": "s3same" })),
    ] {
        app.connect(
            &tenant,
            &url_of(&app, "n8n-luna"),
            json!({ "api_key": "key-of-luna", "webhook_auth": auth }),
        )
        .await;
        let triggered = trigger(&user, workflow, json!({ "mine": true })).await;
        let shown = status(&user, &triggered.assert_status(200).json).await;
        assert_eq!(shown["output"]["body"]["mine"], true, "the input itself is shown");
        let mcp = user
            .call("workflows_status", json!({ "execution_id": triggered.json["execution_id"] }))
            .await;
        for text in [triggered.text.clone(), shown.to_string(), mcp.text] {
            let lower = text.to_lowercase();
            for secret in [
                "sesame",
                "x-secret",
                "s3same",
                "authorization",
                "yw5hons",
                "x-smartermcp-call",
                "user-agent",
                "key-of-luna",
            ] {
                assert!(!lower.contains(secret), "{secret} is in {text}");
            }
        }
    }
}

// workflows_create

#[tokio::test]
async fn a_workflow_is_created_tagged_activated_and_can_be_triggered_at_once() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let mut workflow = hooked("x", json!({ "path": "brand-new" }), json!({ "output": { "made": true } }));
    workflow
        .as_object_mut()
        .unwrap()
        .retain(|key, _| ["nodes", "connections"].contains(&key.as_str()));
    let made = user
        .post(
            "/api/v1/workflows",
            json!({ "name": "Brand new", "workflow_json": workflow, "tags": ["backup", "Fresh"] }),
        )
        .await;
    let id = made.assert_status(201).json["workflow_id"].as_str().unwrap();
    assert_eq!((&made.json["name"], &made.json["active"]), (&json!("Brand new"), &json!(true)));
    assert_eq!(made.json["url"], format!("{}/workflow/{id}", url_of(&app, "n8n-luna")));
    let triggered = trigger(&user, "Brand new", json!({})).await;
    assert_eq!(triggered.assert_status(200).json["workflow_id"], id);
    assert_eq!(status(&user, &triggered.json).await["output"], json!({ "made": true }));
    assert_eq!(n8n.executions_of(id), 1);

    assert_eq!(ids(&user.get("/api/v1/workflows?tags=Fresh").await), [id]);
    let with_old_tag = ids(&user.get("/api/v1/workflows?tags=backup").await);
    assert_eq!(with_old_tag.len(), 2, "the tag that was there is used: {with_old_tag:?}");
    let quiet = json!({ "name": "Quiet", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
    assert_eq!(user.post("/api/v1/workflows", quiet).await.assert_status(201).json["active"], false);
    assert_eq!(ids(&user.get("/api/v1/workflows?active=false").await).len(), 2);
}

#[tokio::test]
async fn what_n8n_itself_exports_can_be_created() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    let ask = http::Request::get("/api/v1/workflows/wf_backup_db").header("x-n8n-api-key", "key-of-luna");
    let exported = n8n.router().oneshot(ask.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let exported = axum::body::to_bytes(exported.into_body(), usize::MAX).await.unwrap();
    let mut export: Value = serde_json::from_slice(&exported).unwrap();
    for read_only in ["id", "active", "createdAt", "versionId", "shared", "tags"] {
        assert!(export.get(read_only).is_some(), "{read_only} is in an export");
    }
    export["nodes"][0]["extendsCredential"] = json!("unknown to the API");
    export["settings"]["someFutureSetting"] = json!(true);
    let made = user
        .post(
            "/api/v1/workflows",
            json!({ "name": "Copy", "activate": false, "workflow_json": export }),
        )
        .await;
    made.assert_status(201);
    assert_ne!(made.json["workflow_id"], "wf_backup_db");
    let listed = user.get("/api/v1/workflows").await;
    let copy = listed.json["workflows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|workflow| workflow["name"] == "Copy")
        .unwrap();
    assert_eq!(copy["nodes_count"], 3);
}

#[tokio::test]
async fn a_workflow_of_a_wrong_structure_is_refused_with_what_is_wrong_and_nothing_is_made() {
    let app = App::start().await;
    let (_, user, _) = business(&app, "luna").await;
    let node = |name: &str| json!({ "name": name, "type": "n8n-nodes-base.set", "position": [0, 0], "parameters": {} });
    for (workflow, words) in [
        (json!({}), &["workflow_json.nodes"][..]),
        (json!({ "nodes": {} }), &["workflow_json.nodes", "list"]),
        (json!({ "nodes": [5] }), &["workflow_json.nodes[0]", "object"]),
        (json!({ "nodes": [], "connections": [] }), &["workflow_json.connections", "object"]),
        (json!({ "nodes": [], "settings": "x" }), &["workflow_json.settings"]),
        (json!({ "nodes": [{ "name": "A", "position": [0, 0] }] }), &["nodes[0].type"]),
        (json!({ "nodes": [node("A"), node("A")] }), &["duplicate_node_name"]),
        (
            json!({ "nodes": [node("A")], "connections": { "A": { "main": [[{ "node": "B", "type": "main", "index": 0 }]] } } }),
            &["unknown_connection_target", "B"],
        ),
    ] {
        let refused = user
            .post("/api/v1/workflows", json!({ "name": "Wrong", "workflow_json": workflow }))
            .await;
        says(&refused, 422, "invalid_input", words);
    }
    let right = json!({ "nodes": [node("A")], "connections": {} });
    for (more, words) in [
        (json!({ "name": "" }), &["name"][..]),
        (json!({ "name": "x".repeat(129) }), &["name", "128"]),
        (json!({ "tags": ["x".repeat(25)] }), &["tags", "24"]),
        (json!({ "tags": ["a,b"] }), &["tags", "comma"]),
        (json!({ "tags": [" "] }), &["tags"]),
        (json!({ "workflow_json": "[]" }), &["workflow_json", "object"]),
        (json!({ "colour": 1 }), &["colour"]),
    ] {
        let mut body = json!({ "name": "Wrong", "workflow_json": right });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        says(&user.post("/api/v1/workflows", body).await, 422, "invalid_input", words);
    }
    assert_eq!(ids(&user.get("/api/v1/workflows").await).len(), 4);
}

#[tokio::test]
async fn a_creation_that_stops_half_way_names_what_was_created() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let made = async |name: &str, workflow: &Value| {
        user.post(
            "/api/v1/workflows",
            json!({ "name": name, "workflow_json": workflow, "tags": ["half"] }),
        )
        .await
    };
    let without_trigger = json!({ "nodes": [], "connections": {} });
    let mut taken = hooked("x", json!({ "path": "backup" }), json!({}));
    taken
        .as_object_mut()
        .unwrap()
        .retain(|key, _| ["nodes", "connections"].contains(&key.as_str()));
    for (name, workflow, words) in [("Idle", &without_trigger, "no trigger node"), ("Taken", &taken, "conflict")] {
        let refused = made(name, workflow).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
        assert_eq!(refused.json["code"], "partly_done", "{}", refused.text);
        let listed = user.get("/api/v1/workflows?tags=half&active=false").await;
        let created = listed.json["workflows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|workflow| workflow["name"] == name)
            .expect("it is there");
        let detail = refused.json["detail"].as_str().unwrap();
        assert!(
            detail.contains(created["id"].as_str().unwrap()) && detail.contains(words),
            "{detail}"
        );
    }
    // Tagging fails: the key may not.
    let url = app.vendors.play(
        "tagless",
        behind(&n8n, "/api/v1/tags", || {
            (StatusCode::FORBIDDEN, Json(json!({ "message": "Forbidden" }))).into_response()
        }),
    );
    app.connect_n8n(&tenant, &url, "key-of-luna").await;
    let refused = made("Untagged", &without_trigger).await;
    assert_eq!(refused.json["code"], "partly_done", "{}", refused.text);
    assert!(refused.json["detail"].as_str().unwrap().contains("tagging"), "{}", refused.text);
}

// connections_test

#[tokio::test]
async fn the_test_of_a_connection_says_what_works_or_which_part_is_wrong() {
    let app = App::start().await;
    let (tenant, _, n8n) = business(&app, "luna").await;
    let admin = app.tireless(&tenant, &["admin:tenants"]).await;
    let url = url_of(&app, "n8n-luna");
    let test = async |url: &str, credential: Value| {
        app.connect(&tenant, url, credential).await;
        admin.post("/api/v1/connections/n8n/test", json!({})).await
    };
    let right = || json!({ "api_key": "key-of-luna" });

    let well = test(&url, right()).await;
    assert_eq!(well.assert_status(200).json["ok"], true);
    assert_eq!(well.json["version"], "2.41.1");
    let by_operator = app
        .operator()
        .for_tenant(&tenant.id)
        .post("/api/v1/connections/n8n/test", json!({}))
        .await;
    assert_eq!(by_operator.assert_status(200).json["ok"], true);
    let with_mcp = test(&url, json!({ "api_key": "key-of-luna", "mcp_token": "mcp-token" })).await;
    assert!(with_mcp.assert_status(200).json["detail"].as_str().unwrap().contains("MCP"));
    says(
        &test(&url, json!({ "api_key": "key-of-luna", "mcp_token": "wrong" })).await,
        502,
        "credential_refused",
        &["mcp_token"],
    );
    says(
        &test(&url, json!({ "api_key": "wrong" })).await,
        502,
        "credential_refused",
        &["credential"],
    );

    let few = || {
        Json(json!({ "data": { "scopes": ["workflow:list", "workflow:read", "workflow:create", "workflow:activate", "tag:list", "tag:create"] } })).into_response()
    };
    let limited = app.vendors.play("limited", behind(&n8n, "/api/v1/discover", few));
    says(
        &test(&limited, right()).await,
        502,
        "permission_missing",
        &["workflowTags:update", "execution:list", "execution:read"],
    );

    n8n.set_fault(Fault::Html);
    says(&test(&url, right()).await, 502, "backend_refused", &["url"]);
    n8n.set_fault(Fault::None);
    let other = app.vendors.play(
        "other",
        Router::new().route("/api/v1/discover", get(|| async { Json(json!({ "hello": "world" })) })),
    );
    says(&test(&other, right()).await, 502, "backend_refused", &["not as n8n does"]);
    let old = app.vendors.play(
        "old",
        behind(&n8n, "/api/v1/discover", || {
            (StatusCode::NOT_FOUND, Json(json!({ "message": "not found" }))).into_response()
        }),
    );
    assert_eq!(
        test(&old, right()).await.assert_status(200).json["ok"],
        true,
        "before 2.x there was no such route"
    );

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    says(
        &test(&format!("http://{free}"), right()).await,
        503,
        "backend_down",
        &["refuses connections"],
    );
    says(
        &test(&url.replace("http://", "https://"), right()).await,
        503,
        "backend_down",
        &["TLS"],
    );
    assert_eq!(n8n.runs(), 0);
}

// Progress

#[tokio::test]
async fn triggering_and_creating_tell_how_far_they_are() {
    let app = App::start().await;
    let (_, user, _) = business(&app, "luna").await;
    for (tool, arguments) in [
        ("workflows_trigger", json!({ "workflow_id": "wf_backup_db" })),
        (
            "workflows_create",
            json!({ "name": "New", "activate": false, "workflow_json": { "nodes": [], "connections": {} } }),
        ),
    ] {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "p" } });
        let answered = user.mcp("tools/call", params).await;
        let mut messages = answered.messages();
        assert_eq!(messages.pop().unwrap()["result"]["isError"], false, "{}", answered.text);
        let told: Vec<_> = messages.iter().map(|note| note["params"]["progress"].as_f64().unwrap()).collect();
        assert_eq!(told, [1.0, 2.0, 3.0], "{tool}: {}", answered.text);
        assert!(
            messages
                .iter()
                .all(|note| note["params"]["progressToken"] == "p" && note["params"]["total"] == 3.0)
        );
    }
}

// Other n8ns than the usual one

#[tokio::test]
async fn an_n8n_that_answers_only_what_is_needed_with_numbers_for_ids_is_understood() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, BUSINESS).await;
    let bare = Router::new()
        .route("/api/v1/workflows", get(|| async { Json(json!({ "data": [{ "id": 5, "name": "Five", "tags": [{ "id": 1, "name": "x" }] }, { "id": "6" }] })) }))
        .route(
            "/api/v1/executions",
            get(|| async { Json(json!({ "data": [{ "id": 31, "workflowId": 5, "status": "success", "surprise": [1, { "a": null }] }], "nextCursor": null })) }),
        )
        .route("/api/v1/executions/31", get(|| async { Json(json!({ "id": 31, "workflowId": 5, "status": "some-future-status" })) }))
        .route("/api/v1/executions/32", get(|| async { Json(json!({ "id": 32, "workflowId": 5, "status": "canceled", "data": {} })) }));
    app.connect_n8n(&tenant, &app.vendors.play("bare", bare), "key").await;
    let listed = user.get("/api/v1/workflows").await;
    assert_eq!(ids(&listed), ["5", "6"]);
    let first = &listed.json["workflows"][0];
    assert_eq!(
        (&first["name"], &first["active"], &first["tags"], &first["nodes_count"]),
        (&json!("Five"), &json!(false), &json!(["x"]), &json!(0))
    );
    assert_eq!(
        (&first["last_execution"]["execution_id"], &first["last_execution"]["status"]),
        (&json!("31"), &json!("completed"))
    );
    let running = user.get("/api/v1/workflows/executions/31").await;
    assert_eq!(
        (&running.assert_status(200).json["workflow_id"], &running.json["status"]),
        (&json!("5"), &json!("running"))
    );
    let failed = user.get("/api/v1/workflows/executions/32").await;
    assert_eq!(failed.assert_status(200).json["status"], "failed");
    assert!(
        failed.json["error"].as_str().is_some_and(|text| !text.is_empty()),
        "a failure has a reason or says that it has none"
    );
}

#[tokio::test]
async fn an_n8n_below_a_path_is_reached_with_and_without_a_slash_at_its_end() {
    let app = App::start().await;
    let (tenant, user, n8n) = business(&app, "luna").await;
    let below = app.vendors.play("below", Router::new().nest_service("/tools/n8n", n8n.router()));
    for url in [format!("{below}/tools/n8n"), format!("{below}/tools/n8n/")] {
        app.connect_n8n(&tenant, &url, "key-of-luna").await;
        assert!(ids(&user.get("/api/v1/workflows").await).len() >= 4, "{url}");
        trigger(&user, "wf_backup_db", json!({})).await.assert_status(200);
        let made = json!({ "name": "N", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
        let made = user.post("/api/v1/workflows", made).await;
        let link = format!(
            "{below}/tools/n8n/workflow/{}",
            made.assert_status(201).json["workflow_id"].as_str().unwrap()
        );
        assert_eq!(made.json["url"], link);
    }
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn names_and_webhook_paths_may_hold_any_letters() {
    let app = App::start().await;
    let (_, user, n8n) = business(&app, "luna").await;
    for (name, path, encoded) in [
        (
            "Sync A/B (50%) & más?",
            "sync/größe_1",
            "Sync%20A%2FB%20%2850%25%29%20%26%20m%C3%A1s%3F",
        ),
        ("日本語", "a b/c%20d", "%E6%97%A5%E6%9C%AC%E8%AA%9E"),
        ("..", "dots", "%2E%2E"),
        ("#1 \"best\"", "x.y~z", "%231%20%22best%22"),
    ] {
        let id = n8n.add_workflow(hooked(name, json!({ "path": path }), json!({})));
        let by_rest = user.post(&format!("/api/v1/workflows/{encoded}/trigger"), json!({})).await;
        if name != ".." {
            // A URL library takes `..` as a way up however it is written.
            assert_eq!(by_rest.assert_status(200).json["workflow_id"], id.as_str(), "{name}");
        }
        let by_mcp = user.call("workflows_trigger", json!({ "workflow_id": name })).await;
        assert_eq!(by_mcp.content()["workflow_id"], id.as_str(), "{name}");
        assert!(n8n.executions_of(&id) >= 1);
    }
}
