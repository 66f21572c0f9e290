//! Idempotency: a key runs a write once, whatever comes after.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use smartermcp::sandbox::n8n::Fault;

use crate::{
    app::{App, Reply, User, folder_holds, sql_number},
    cli::{Folder, Process, n8n_at_an_address},
};

const PATH: &str = "/api/v1/workflows/wf_backup_db/trigger";

async fn trigger(user: &User, key: &str, input: Value) -> Reply {
    user.with_key(key).post(PATH, json!({ "input_data": input })).await
}

/// The same through MCP, with the key where a client of MCP can put it.
async fn trigger_mcp(user: &User, key: Value, input: Value) -> Reply {
    let arguments = json!({ "workflow_id": "wf_backup_db", "input_data": input });
    user.mcp(
        "tools/call",
        json!({ "name": "workflows_trigger", "arguments": arguments, "_meta": { "cl.smarterbot/idempotencyKey": key } }),
    )
    .await
}

fn is_replay(reply: &Reply) -> bool {
    let in_header = reply.header("idempotent-replayed") == "true";
    let in_meta = reply.json["result"]["_meta"]["cl.smarterbot/replayed"] == true;
    in_header || in_meta
}

#[tokio::test]
async fn the_same_key_and_arguments_run_once() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let first = trigger(&user, "key-1", json!({ "n": 1 })).await;
    first.assert_status(200);
    assert!(!is_replay(&first));
    let second = trigger(&user, "key-1", json!({ "n": 1 })).await;
    second.assert_status(200);
    assert_eq!(second.text, first.text, "byte for byte");
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(n8n.runs(), 1);
    let other_key = trigger(&user, "key-2", json!({ "n": 1 })).await;
    assert!(!is_replay(&other_key));
    user.post(PATH, json!({ "input_data": { "n": 1 } })).await.assert_status(200);
    user.post(PATH, json!({ "input_data": { "n": 1 } })).await.assert_status(200);
    assert_eq!(n8n.runs(), 4, "another key and no key run again");
}

#[tokio::test]
async fn a_key_holds_across_both_doors_and_tokens_of_a_tenant() {
    let app = App::start().await;
    let (luna, user, n8n) = app.business("luna").await;
    let colleague = app.user(&luna, &["write:workflows"]).await;
    let first = trigger(&user, "shared", json!({ "n": 1 })).await;
    let id = first.assert_status(200).json["execution_id"].clone();

    let mcp = trigger_mcp(&colleague, json!("shared"), json!({ "n": 1 })).await;
    assert_eq!(mcp.content()["execution_id"], id);
    assert_eq!(mcp.json["result"]["_meta"]["cl.smarterbot/replayed"], true, "{}", mcp.text);
    let by_header = user
        .with_key("shared")
        .call(
            "workflows_trigger",
            json!({ "input_data": { "n": 1 }, "workflow_id": "wf_backup_db" }),
        )
        .await;
    assert_eq!(by_header.content()["execution_id"], id);
    let by_name = user
        .with_key("shared")
        .post(
            "/api/v1/tools/workflows_trigger",
            json!({ "workflow_id": "wf_backup_db", "input_data": { "n": 1 } }),
        )
        .await;
    assert_eq!(by_name.json["execution_id"], id);
    assert!(is_replay(&by_header) && is_replay(&by_name));

    // And the other way round.
    let mcp = trigger_mcp(&user, json!("second"), json!({})).await;
    assert!(mcp.json["result"]["_meta"].get("cl.smarterbot/replayed").is_none());
    let rest = trigger(&user, "second", json!({})).await;
    assert_eq!(rest.json["execution_id"], mcp.content()["execution_id"]);
    assert!(is_replay(&rest));
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn a_key_with_other_arguments_or_another_tool_is_a_conflict() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    trigger(&user, "key", json!({ "n": 1 })).await.assert_status(200);
    trigger(&user, "key", json!({ "n": 2 }))
        .await
        .assert_problem(409, "idempotency_key_reused");
    let other_tool = json!({ "name": "x", "workflow_json": { "nodes": [], "connections": {} } });
    user.with_key("key")
        .post("/api/v1/workflows", other_tool)
        .await
        .assert_problem(409, "idempotency_key_reused");
    let mcp = trigger_mcp(&user, json!("key"), json!({ "n": 3 })).await;
    mcp.tool_error();
    assert_eq!(mcp.json["result"]["_meta"]["cl.smarterbot/error"]["code"], "idempotency_key_reused");
    assert_eq!(n8n.runs(), 1);
    assert!(
        is_replay(&trigger(&user, "key", json!({ "n": 1 })).await),
        "the first outcome stands"
    );
}

#[tokio::test]
async fn a_key_belongs_to_its_tenant() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let (_, other, others_n8n) = app.business("sol").await;
    let first = trigger(&user, "key", json!({})).await;
    let second = trigger(&other, "key", json!({})).await;
    for reply in [&first, &second] {
        assert!(!is_replay(reply.assert_status(200)));
    }
    assert!(!is_replay(&trigger(&other, "key-of-sol", json!({ "n": 9 })).await));
    assert_eq!((n8n.runs(), others_n8n.runs()), (1, 2));
}

#[tokio::test]
async fn ten_duplicates_at_once_are_one_run() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(300)));
    let replies = join_all((0..10).map(|index| {
        let user = user.clone();
        async move {
            match index % 2 {
                0 => trigger(&user, "at-once", json!({ "n": 1 })).await,
                _ => trigger_mcp(&user, json!("at-once"), json!({ "n": 1 })).await,
            }
        }
    }))
    .await;
    let ids: Vec<_> = replies
        .iter()
        .map(|reply| {
            reply.assert_status(200);
            if reply.json.get("jsonrpc").is_some() {
                reply.content()["execution_id"].clone()
            } else {
                reply.json["execution_id"].clone()
            }
        })
        .collect();
    assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(replies.iter().filter(|reply| is_replay(reply)).count(), 9);
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_a_write() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(400)));
    let hung_up = tokio::time::timeout(Duration::from_millis(150), trigger(&user, "key", json!({}))).await;
    assert!(hung_up.is_err());
    let again = trigger(&user, "key", json!({})).await;
    again.assert_status(200);
    assert!(is_replay(&again));
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn a_refusal_before_the_backend_frees_the_key() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let user = app.user(&luna, &["write:workflows"]).await;
    trigger(&user, "key", json!({})).await.assert_problem(409, "not_connected");
    let (url, n8n) = app.vendors.n8n("luna", "k");
    app.connect_n8n(&luna, &url, "k").await;
    // Even with other arguments: the key is free.
    let done = trigger(&user, "key", json!({ "n": 1 })).await;
    assert!(!is_replay(done.assert_status(200)));

    let missing = user.with_key("other").post("/api/v1/workflows/wf_new/trigger", json!({})).await;
    missing.assert_problem(404, "not_found");
    n8n.add_workflow(json!({
        "id": "wf_new", "name": "New", "active": true,
        "nodes": [{ "name": "Webhook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "new", "httpMethod": "POST" } }],
    }));
    user.with_key("other")
        .post("/api/v1/workflows/wf_new/trigger", json!({}))
        .await
        .assert_status(200);
    // So do an invalid and a denied call: they never came so far.
    user.with_key("third").post(PATH, json!({ "moon": 1 })).await.assert_status(422);
    trigger(&user, "third", json!({})).await.assert_status(200);
    assert_eq!(n8n.runs(), 3);
}

#[tokio::test]
async fn a_failure_after_the_backend_was_reached_is_replayed() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    // So that the gateway knows the webhook, and the next call is the write itself.
    user.post(PATH, json!({})).await.assert_status(200);
    n8n.set_fault(Fault::Status(500));
    let failed = trigger(&user, "key", json!({})).await;
    assert!(failed.status.is_server_error(), "{}", failed.text);
    n8n.set_fault(Fault::None);
    let again = trigger(&user, "key", json!({})).await;
    assert_eq!(again.status, failed.status);
    for same in ["code", "detail", "status"] {
        assert_eq!(again.json[same], failed.json[same], "{same}");
    }
    assert_eq!(again.json["retryable"], false, "the key has its outcome for ever: {}", again.text);
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    let mcp = trigger_mcp(&user, json!("key"), json!({})).await;
    assert_eq!(mcp.tool_error(), failed.json["detail"]);
    assert!(is_replay(&mcp));
    assert_eq!(n8n.runs(), 1);
    trigger(&user, "new-key", json!({})).await.assert_status(200);
}

#[tokio::test]
async fn a_bad_key_is_refused_before_anything_runs() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let long = "k".repeat(256);
    for bad in ["", "two words", long.as_str()] {
        let refused = trigger(&user, bad, json!({})).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("Idempotency-Key"),
            "{}",
            refused.text
        );
    }
    for bad in [json!(""), json!("ñandú"), json!("two words"), json!(7), json!(["k"]), json!(long)] {
        let refused = trigger_mcp(&user, bad.clone(), json!({})).await;
        assert!(refused.tool_error().contains("Idempotency-Key"), "{bad}: {}", refused.text);
    }
    assert_eq!(n8n.runs(), 0);
    trigger(&user, &"k".repeat(255), json!({})).await.assert_status(200);
}

#[tokio::test]
async fn a_key_on_a_read_changes_nothing() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    for _ in 0..2 {
        let read = user.with_key("read").get("/api/v1/workflows").await;
        assert!(!is_replay(read.assert_status(200)));
    }
    trigger(&user, "read", json!({})).await.assert_status(200);
}

#[tokio::test]
async fn an_issued_token_is_told_again_for_its_key_and_stored_in_no_clear_text() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants", "read:crm"]).await.with_key("issue-once");
    let body = json!({ "name": "x", "scopes": ["read:crm"] });
    let first = admin.post("/auth/token", body.clone()).await;
    first.assert_status(201);
    let second = admin.post("/auth/token", body).await;
    second.assert_status(201);
    assert!(is_replay(&second));
    let token = first.json["api_token"].as_str().unwrap();
    assert_eq!(second.json["api_token"], token);
    let listed = admin.get("/auth/token").await;
    assert_eq!(listed.json["tokens"].as_array().unwrap().len(), 2, "the admin's and one more");
    let token = token.to_owned();
    let folder = app.stop().await;
    assert!(
        folder_holds(&folder, "issue-once").await,
        "the key is there, so the search would find"
    );
    assert!(!folder_holds(&folder, &token[5..40]).await, "and the token is not");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_weaker_token_cannot_have_a_stronger_one_told_again() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let strong = app.user(&luna, &["admin:tenants", "write:crm"]).await.with_key("issue-once");
    let weak = app.user(&luna, &["admin:tenants"]).await.with_key("issue-once");
    let body = json!({ "name": "x", "scopes": ["write:crm"] });
    strong.post("/auth/token", body.clone()).await.assert_status(201);
    let told = weak.post("/auth/token", body).await;
    assert!(
        !told.text.contains("smcp_"),
        "nobody gets scopes that he does not hold: {}",
        told.text
    );
}

#[tokio::test]
async fn an_outcome_is_kept_for_a_day_and_over_a_restart() {
    let app = App::start().await;
    let (url, n8n) = n8n_at_an_address("k").await;
    let luna = app.tenant("luna").await;
    app.connect_n8n(&luna, &url, "k").await;
    let user = app.user(&luna, &["write:workflows"]).await;
    let first = trigger(&user, "key", json!({})).await;
    first.assert_status(200);
    let folder = app.stop().await;

    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    let user = app.user_of(&user.token);
    let again = trigger(&user, "key", json!({})).await;
    assert!(is_replay(&again));
    assert_eq!(again.text, first.text);
    app.clock.advance(Duration::from_secs(23 * 3600));
    assert!(is_replay(&trigger(&user, "key", json!({})).await));
    app.clock.advance(Duration::from_secs(2 * 3600));
    // Now it runs again, with other arguments too.
    assert!(!is_replay(trigger(&user, "key", json!({ "n": 2 })).await.assert_status(200)));
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_write_leaves_it_unknown_and_never_runs_it_again() {
    let folder = Folder::new();
    let (url, n8n) = n8n_at_an_address("k").await;
    let server = Process::serve(&folder.0).await;
    let operator = server.operator();
    operator
        .post("/api/v1/tenants", json!({ "name": "Luna", "slug": "luna" }))
        .await
        .assert_status(201);
    operator
        .for_tenant("luna")
        .put("/api/v1/connections/n8n", json!({ "url": url, "credential": { "api_key": "k" } }))
        .await
        .assert_status(200);
    let issued = operator
        .for_tenant("luna")
        .post(
            "/auth/token",
            json!({ "name": "x", "scopes": ["write:workflows", "admin:tenants"] }),
        )
        .await;
    let token = issued.json["api_token"].as_str().unwrap().to_owned();
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_secs(30)));
    let in_flight = {
        let user = server.user(&token).with_key("cut");
        tokio::spawn(async move {
            // Its connection breaks.
            let _ = tokio::time::timeout(Duration::from_secs(20), user.send(http::Method::POST, PATH, Some("{}".to_owned()))).await;
        })
    };
    for _ in 0..500 {
        if n8n.runs() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(n8n.runs(), 1);
    server.kill().await;
    in_flight.abort();
    assert_eq!(sql_number(&folder.0, "select count(*) from audit where outcome = 'open'").await, 1);
    n8n.set_fault(Fault::None);

    // The next start, in this process, so that its clock can be moved on: after ten seconds the first one is believed dead.
    let app = App::in_folder(folder.0.clone(), |_| {}, smartermcp::backends::catalogue()).await;
    app.clock.advance(Duration::from_secs(11));
    let user = app.user_of(&token);
    let open = user.get("/api/v1/audit?outcome=open").await;
    assert_eq!(open.json["entries"].as_array().unwrap().len(), 1, "{}", open.text);
    assert_eq!(open.json["entries"][0]["tool"], "workflows_trigger");
    for _ in 0..2 {
        let unknown = user.with_key("cut").post(PATH, json!({})).await;
        unknown.assert_problem(409, "outcome_unknown");
        let entry = open.json["entries"][0]["id"].as_str().unwrap();
        assert!(unknown.json["detail"].as_str().unwrap().contains(entry), "{}", unknown.text);
    }
    let mcp = user
        .with_key("cut")
        .call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
        .await;
    assert_eq!(
        mcp.json["result"]["_meta"]["cl.smarterbot/error"]["code"], "outcome_unknown",
        "{}",
        mcp.text
    );
    user.with_key("cut")
        .post(PATH, json!({ "input_data": { "n": 1 } }))
        .await
        .assert_problem(409, "idempotency_key_reused");
    assert_eq!(n8n.runs(), 1);
    user.with_key("new").post(PATH, json!({})).await.assert_status(200);
    assert_eq!(
        user.get("/api/v1/audit?outcome=open").await.json["entries"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "it stays open"
    );
}

#[tokio::test]
async fn a_colleague_of_the_same_rights_is_told_the_same_outcome() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let one = app.user(&luna, &["admin:tenants", "write:crm"]).await.with_key("issue-once");
    let two = app.user(&luna, &["write:crm", "admin:tenants"]).await.with_key("issue-once");
    let body = json!({ "name": "x", "scopes": ["write:crm"] });
    let first = one.post("/auth/token", body.clone()).await;
    let second = two.post("/auth/token", body.clone()).await;
    assert!(is_replay(second.assert_status(201)));
    assert_eq!(second.json["api_token"], first.json["api_token"]);
    // The operator acts by other rights, though he names the same tenant.
    let operators = app
        .operator()
        .for_tenant("luna")
        .with_key("issue-once")
        .post("/auth/token", body)
        .await;
    operators.assert_problem(409, "idempotency_key_reused");
}

#[tokio::test]
async fn the_operators_own_keys_are_apart_from_every_tenants() {
    let app = App::start().await;
    let operator = app.operator().with_key("make-luna");
    let body = json!({ "name": "Luna", "slug": "luna" });
    let first = operator.post("/api/v1/tenants", body.clone()).await;
    first.assert_status(201);
    let second = operator.post("/api/v1/tenants", body.clone()).await;
    assert!(is_replay(second.assert_status(201)));
    assert_eq!(first.json, second.json);
    app.operator().post("/api/v1/tenants", body).await.assert_problem(409, "slug_taken");
    // A refusal before anything was done frees the key.
    let taken = app.operator().with_key("make-sol");
    taken
        .post("/api/v1/tenants", json!({ "name": "x", "slug": "luna" }))
        .await
        .assert_problem(409, "slug_taken");
    taken
        .post("/api/v1/tenants", json!({ "name": "x", "slug": "sol" }))
        .await
        .assert_status(201);
}

#[tokio::test]
async fn a_spent_quota_does_not_hide_what_came_of_a_key() {
    let app = App::start().await;
    let (_, user, n8n) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let mut outcomes = Vec::new();
    for number in 0..10 {
        let done = trigger(&user, &format!("key-{number}"), json!({})).await;
        outcomes.push(done.assert_status(200).text.clone());
    }
    // The plan's ten are spent: the eleventh is refused, which frees its key.
    trigger(&user, "eleventh", json!({})).await.assert_problem(429, "quota_spent");
    trigger(&user, "eleventh", json!({ "n": 1 }))
        .await
        .assert_problem(429, "quota_spent");
    // Whose answer was lost must still learn that he was the tenth.
    let again = trigger(&user, "key-9", json!({})).await;
    assert!(is_replay(again.assert_status(200)));
    assert_eq!(again.text, outcomes[9]);
    trigger(&user, "key-9", json!({ "n": 1 }))
        .await
        .assert_problem(409, "idempotency_key_reused");
    assert_eq!(n8n.runs(), 10);
}
