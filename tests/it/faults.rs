//! What a caller gets when his n8n is not well: a clear failure on both doors, no success without content, no write done twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, response::IntoResponse as _};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use smartermcp::backends::n8n::sandbox::{Fault, Sandbox};

use crate::{
    app::{App, BUSINESS, Reply, Tenant, User},
    vendors::tools,
};

const DOWN: &str = "Service 'n8n' is currently unavailable";

/// Calls a tool by REST and by MCP, and checks that both tell the same failure.
async fn fails(user: &User, tool: &str, arguments: Value) -> Reply {
    let rest = user.post(&format!("/api/v1/tools/{tool}"), arguments.clone()).await;
    assert!(
        rest.status.is_client_error() || rest.status.is_server_error(),
        "{tool} {arguments} came to {} {}",
        rest.status,
        rest.text
    );
    assert_eq!(rest.header("content-type"), "application/problem+json");
    let mcp = user.call(tool, arguments).await;
    let text = mcp.tool_error();
    assert!(!text.is_empty());
    assert!(mcp.json["result"]["structuredContent"].is_null(), "{}", mcp.text);
    rest
}

#[track_caller]
fn assert_failure(reply: &Reply, status: u16, code: &str, words: &str) {
    reply.assert_problem(status, code);
    assert!(
        reply.json["detail"].as_str().unwrap().contains(words),
        "{words:?} is not in {}",
        reply.text
    );
}

async fn crowd(app: &App, name: &str) -> (Tenant, User, Sandbox) {
    let (tenant, _, n8n) = app.business(name).await;
    let user = app.tireless(&tenant, BUSINESS).await;
    (tenant, user, n8n)
}

#[tokio::test]
async fn every_fault_of_a_backend_is_told_as_a_failure_of_reads_on_both_doors() {
    let app = App::start().await;
    let cases = [
        (Fault::Status(500), 503, "backend_down", DOWN),
        (Fault::Status(502), 503, "backend_down", DOWN),
        (Fault::Status(503), 503, "backend_down", DOWN),
        (Fault::Status(504), 503, "backend_down", DOWN),
        (Fault::Status(429), 503, "backend_down", "asked too often"),
        (Fault::Status(401), 502, "credential_refused", "credential"),
        (Fault::Status(403), 502, "credential_refused", "permission"),
        (Fault::Status(418), 502, "backend_refused", "418"),
        (Fault::Html, 502, "backend_refused", "url"),
        (Fault::NotJson, 502, "backend_refused", "did not answer as its API does"),
        (Fault::LyingLength, 502, "backend_refused", "larger than 10 MiB"),
        (Fault::Huge(11 * 1024 * 1024), 502, "backend_refused", "larger than 10 MiB"),
        (Fault::CutOff, 503, "backend_down", "cut off"),
        (
            Fault::RedirectTo("http://169.254.169.254/latest/meta-data/".to_owned()),
            502,
            "backend_refused",
            "redirect",
        ),
    ];
    let app = &app;
    let all = cases
        .into_iter()
        .enumerate()
        .map(|(index, (fault, status, code, words))| async move {
            let (tenant, user, n8n) = crowd(app, &format!("tenant-{index}")).await;
            n8n.set_fault(fault.clone());
            for (tool, arguments) in [("workflows_status", json!({ "execution_id": "1" })), ("workflows_list", json!({}))] {
                // With many failures the breaker opens: each look is at a connection that has just been made.
                app.connect_n8n(
                    &tenant,
                    &format!("http://n8n-tenant-{index}.vendors.test:{}", app.vendors.address().port()),
                    "key",
                )
                .await;
                let told = user.post(&format!("/api/v1/tools/{tool}"), arguments.clone()).await;
                assert_eq!(
                    (told.status.as_u16(), told.json["code"].as_str()),
                    (status, Some(code)),
                    "{tool} at {fault:?}: {}",
                    told.text
                );
                assert_failure(&told, status, code, words);
                app.connect_n8n(
                    &tenant,
                    &format!("http://n8n-tenant-{index}.vendors.test:{}", app.vendors.address().port()),
                    "key",
                )
                .await;
                let mcp = user.call(tool, arguments).await;
                assert!(mcp.tool_error().contains(words), "{tool} at {fault:?}: {}", mcp.text);
                let machine = &mcp.json["result"]["_meta"]["cl.smarterbot/error"];
                assert_eq!(
                    (machine["code"].as_str(), machine["status"].as_u64()),
                    (Some(code), Some(status.into()))
                );
                assert!(!told.text.contains("key-of-") && !mcp.text.contains("key-of-"));
            }
        });
    join_all(all).await;
}

#[tokio::test]
async fn no_fault_makes_a_trigger_look_as_if_it_had_run() {
    let app = App::start().await;
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Html,
        Fault::NotJson,
        Fault::LyingLength,
        Fault::CutOff,
        Fault::Huge(11 * 1024 * 1024),
        Fault::RedirectTo("http://169.254.169.254/".to_owned()),
    ];
    let app = &app;
    let all = faults.into_iter().enumerate().map(|(index, fault)| async move {
        let (_, user, n8n) = crowd(app, &format!("tenant-{index}")).await;
        // So that the gateway knows the webhook, and goes straight to it.
        user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
            .await
            .assert_status(200);
        n8n.set_fault(fault.clone());
        let warm = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
        let cold = user.call("workflows_trigger", json!({ "workflow_id": "wf_daily_sales" })).await;
        assert_eq!(n8n.runs(), 1, "{fault:?} lets nothing run");
        let told = warm.status.is_client_error() || warm.status.is_server_error();
        let mut wrong = Vec::new();
        if !told {
            wrong.push(format!("{fault:?}, webhook known: {} {}", warm.status, warm.text));
        }
        if cold.json["result"]["isError"] != true {
            wrong.push(format!("{fault:?}, webhook not known: {}", cold.text));
        }
        wrong
    });
    let wrong = join_all(all).await.concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_read_is_tried_again_and_succeeds_where_the_fault_passes() {
    let app = App::start().await;
    let (_, user, n8n) = crowd(&app, "luna").await;
    let triggered = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    let path = format!("/api/v1/workflows/executions/{}", triggered.json["execution_id"].as_str().unwrap());
    for (status, times) in [(503, 2), (502, 1), (504, 2), (429, 1)] {
        n8n.set_fault(Fault::FailTimes { status, times });
        let answered = user.get(&path).await;
        assert_eq!(answered.status, 200, "{status} ×{times}: {}", answered.text);
        assert_eq!(answered.json["status"], "completed");
    }
    n8n.set_fault(Fault::FailTimes { status: 503, times: 3 });
    user.get(&path).await.assert_problem(503, "backend_down");
}

#[tokio::test]
async fn a_write_is_never_sent_twice() {
    let app = App::start().await;
    let (_, user, n8n) = crowd(&app, "luna").await;
    let trigger = "/api/v1/workflows/wf_backup_db/trigger";
    user.post(trigger, json!({})).await.assert_status(200);
    for status in [500, 502, 503, 504, 429] {
        n8n.set_fault(Fault::FailTimes { status, times: 1 });
        let answered = user.post(trigger, json!({})).await;
        let ran = n8n.runs();
        n8n.set_fault(Fault::None);
        assert_eq!(ran, 1, "{status}: it was sent again");
        assert_ne!(answered.status, 200, "{status}: {}", answered.text);
        // Each failure forgets what is known of the workflow.
        n8n.set_fault(Fault::None);
        user.get("/api/v1/workflows").await.assert_status(200);
        user.post("/api/v1/workflows/wf_ask_approval/trigger", json!({}))
            .await
            .assert_status(200);
        assert_eq!(n8n.executions_of("wf_backup_db"), 1);
        break_even(&user, &n8n).await;
        return_to_start(&user, &n8n, status).await;
        if status == 500 {
            continue;
        }
    }
    let before = workflows(&user).await;
    n8n.set_fault(Fault::FailTimes { status: 503, times: 1 });
    let body = json!({ "name": "Twice?", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
    user.post("/api/v1/workflows", body).await.assert_problem(503, "backend_down");
    n8n.set_fault(Fault::None);
    assert_eq!(workflows(&user).await, before, "nothing was created");
}
