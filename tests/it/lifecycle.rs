//! Starting, stopping, dying, and clients that go away in the middle: nothing in flight is lost without a word.

use std::time::{Duration, Instant};

use futures::future::join;
use serde_json::{Value, json};
use smartermcp::sandbox::n8n::Sandbox;
use tokio::net::{TcpListener, TcpStream};

use crate::{
    app::{App, BUSINESS, OPERATOR, Tenant, User},
    cli::{Folder, Process},
    vendors::tools,
};

const DAY: &str = "/api/v1/workflows/slow/trigger";

/// An n8n with a workflow `slow` that answers after so many milliseconds.
fn slow_n8n(millis: u64) -> Sandbox {
    let sandbox = Sandbox::new("key");
    sandbox.add_workflow(slow(millis));
    sandbox
}

fn slow(millis: u64) -> Value {
    json!({
        "id": "slow", "name": "Slow", "active": true,
        "nodes": [
            { "name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "slow", "httpMethod": "POST", "responseMode": "lastNode" } },
            { "name": "Work", "type": "n8n-nodes-base.set", "parameters": { "delay_ms": millis } },
        ],
        "connections": { "Hook": { "main": [[{ "node": "Work", "type": "main", "index": 0 }]] } },
    })
}

/// A tenant of a real process, connected to this n8n: its id, and a token.
async fn settle(process: &Process, sandbox: &Sandbox) -> (Tenant, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let operator = process.operator();
    let made = operator.post("/api/v1/tenants", json!({ "name": "Luna", "slug": "luna" })).await;
    let id = made.assert_status(201).json["id"].as_str().unwrap().to_owned();
    let connection = json!({ "url": url, "credential": { "api_key": "key" } });
    operator
        .for_tenant(&id)
        .put("/api/v1/connections/n8n", connection)
        .await
        .assert_status(200);
    let issued = operator
        .post("/auth/token", json!({ "name": "t", "tenant_id": id, "scopes": BUSINESS }))
        .await;
    let token = issued.assert_status(201).json["api_token"].as_str().unwrap().to_owned();
    (
        Tenant {
            id,
            slug: "luna".to_owned(),
        },
        token,
    )
}

async fn audited(process: &Process, tenant: &Tenant, tool: &str) -> Vec<Value> {
    let listed = process
        .operator()
        .for_tenant(&tenant.id)
        .get(&format!("/api/v1/audit?tool={tool}"))
        .await;
    listed.assert_status(200).json["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_write_in_flight_at_sigterm_is_finished_answered_and_audited_and_all_is_there_after_a_restart() {
    let folder = Folder::new();
    let process = Process::serve(&folder.0).await;
    let sandbox = slow_n8n(2000);
    let (tenant, token) = settle(&process, &sandbox).await;
    let (rest, mcp) = (process.user(&token), process.user(&token));
    let address = process.address;
    let begun = Instant::now();
    let writes = join(
        rest.post(DAY, json!({})),
        mcp.call("workflows_trigger", json!({ "workflow_id": "slow" })),
    );
    let stopping = async {
        while sandbox.runs() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let stopped = process.stop();
        let refused = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
        };
        join(stopped, refused).await.0
    };
    let ((rest, mcp), log) = join(writes, stopping).await;
    assert_eq!(rest.assert_status(200).json["status"], "completed");
    assert_eq!(mcp.content()["status"], "completed");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(log.contains("\"stopped\""), "{log}");

    let process = Process::serve(&folder.0).await;
    let entries = audited(&process, &tenant, "workflows_trigger").await;
    assert_eq!(entries.len(), 2);
    assert!(
        entries.iter().all(|entry| entry["outcome"] == "ok" && entry["status"] == 200),
        "{entries:?}"
    );
    process.user(&token).get("/api/v1/workflows").await.assert_status(200);
    assert_eq!(sandbox.runs(), 2);
    process.stop().await;
}

#[tokio::test]
async fn a_call_that_outlasts_the_time_to_stop_leaves_an_open_audit_entry_and_the_process_ends() {
    let folder = Folder::new();
    let settings = [("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("SMARTERMCP_SHUTDOWN_SECS", "1")];
    let process = Process::serve_with(&folder.0, &settings).await;
    let sandbox = slow_n8n(20_000);
    let (tenant, token) = settle(&process, &sandbox).await;
    let user = process.user(&token);
    let write = tokio::spawn(async move {
        user.begin(http::Method::POST, DAY, &[("content-type", "application/json")], "{}")
            .await
            .is_err()
    });
    while sandbox.runs() < 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    process.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(write.await.unwrap(), "its client sees that the connection ended");
    let process = Process::serve(&folder.0).await;
    let entries = audited(&process, &tenant, "workflows_trigger").await;
    assert_eq!((entries.len(), &entries[0]["outcome"]), (1, &json!("open")));
    process.stop().await;
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_of_a_write_leaves_an_open_entry_and_starts_again() {
    let folder = Folder::new();
    let process = Process::serve(&folder.0).await;
    let sandbox = slow_n8n(20_000);
    let (tenant, token) = settle(&process, &sandbox).await;
    process.user(&token).get("/api/v1/workflows").await.assert_status(200);
    let user = process.user(&token);
    let write = tokio::spawn(async move {
        user.begin(http::Method::POST, DAY, &[("content-type", "application/json")], "{}")
            .await
            .is_err()
    });
    while sandbox.runs() < 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    process.kill().await;
    assert!(write.await.unwrap());
    let process = Process::serve(&folder.0).await;
    let entries = audited(&process, &tenant, "workflows_trigger").await;
    assert_eq!(
        (entries.len(), &entries[0]["outcome"], &entries[0]["status"]),
        (1, &json!("open"), &Value::Null)
    );
    process.user(&token).get("/api/v1/workflows").await.assert_status(200);
    assert_eq!(sandbox.runs(), 1);
    process.stop().await;
}

/// Sends a call, and goes away after this long.
async fn leave_after(pause: Duration, call: impl Future<Output = crate::app::Reply>) {
    assert!(
        tokio::time::timeout(pause, call).await.is_err(),
        "the call was over too soon for this test"
    );
}

async fn until_audited(app: &App, tenant: &Tenant, tool: &str, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let entries = app.audited(tenant, tool).await;
        if entries.iter().filter(|entry| entry["outcome"] != "open").count() == count {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", app.audited(tenant, tool).await);
}

#[tokio::test]
async fn a_write_whose_client_goes_away_is_carried_to_its_end_and_audited() {
    let app = App::start().await;
    let (tenant, user, n8n) = app.business("luna").await;
    n8n.add_workflow(slow(1200));
    let pause = Duration::from_millis(700);
    let arguments = json!({ "workflow_id": "slow" });
    let keyed = user.with_key("once");
    futures::join!(
        leave_after(pause, keyed.post(DAY, json!({}))),
        leave_after(pause, user.call("workflows_trigger", arguments.clone())),
        leave_after(pause, user.call_modern("workflows_trigger", arguments.clone())),
        leave_after(
            pause,
            user.mcp(
                "tools/call",
                json!({ "name": "workflows_trigger", "arguments": arguments, "_meta": { "progressToken": 1 } })
            )
        ),
    );
    let entries = until_audited(&app, &tenant, "workflows_trigger", 4).await;
    assert!(
        entries.iter().all(|entry| entry["outcome"] == "ok" && entry["status"] == 200),
        "{entries:?}"
    );
    assert_eq!(n8n.executions_of("slow"), 4);
    // Who comes back with the key gets what came of it.
    let again = keyed.post(DAY, json!({})).await;
    assert_eq!(again.assert_status(200).json["status"], "completed");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(n8n.executions_of("slow"), 4);
}

#[tokio::test]
async fn a_read_whose_client_goes_away_is_dropped_and_audited_as_that() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let tenant = app.tenant("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    let pause = Duration::from_millis(300);
    let long = json!({ "millis": 20_000 });
    let leaving = |user: User| {
        let long = long.clone();
        async move {
            futures::join!(
                leave_after(pause, user.get("/api/v1/test/dawdle?millis=20000")),
                leave_after(pause, user.call("test_dawdle", long.clone())),
                leave_after(pause, user.call_modern("test_dawdle", long.clone())),
            )
        }
    };
    leaving(user.clone()).await;
    let entries = until_audited(&app, &tenant, "test_dawdle", 3).await;
    for entry in &entries {
        assert_eq!(
            (&entry["outcome"], &entry["status"], &entry["error"]),
            (&json!("failed"), &json!(499), &json!("client_gone"))
        );
        assert!(
            entry["duration_ms"].as_i64().unwrap() < 5000,
            "dropped, and not run to its end: {entry}"
        );
    }
    // Their places among the fifty in flight are free again.
    for _ in 0..20 {
        leaving(user.clone()).await;
    }
    user.get("/api/v1/test/dawdle?millis=1").await.assert_status(200);
}

#[tokio::test]
async fn a_slow_head_or_half_a_request_keeps_nobody_else_waiting() {
    use tokio::io::AsyncWriteExt as _;
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let mut half = Vec::new();
    for text in [
        "POST /mcp HT",
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
        "\r\n\r\n",
        "\0\0\0",
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        half.push(stream);
    }
    let begun = Instant::now();
    user.get("/api/v1/workflows").await.assert_status(200);
    assert!(begun.elapsed() < Duration::from_secs(3));
    // Nor does it hold up the stop beyond the time that is set for it.
    app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
