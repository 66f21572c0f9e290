//! Audit: who called what, with what outcome; and that neither arguments nor secrets are anywhere.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    app::{App, BUSINESS, OPERATOR, Reply, User, folder_holds, sql_number},
    cli::{Folder, Process, n8n_at_an_address},
};

/// The tenant's entries, newest first, as its administrator reads them.
async fn entries(admin: &User, query: &str) -> Vec<Value> {
    let read = admin.get(&format!("/api/v1/audit{query}")).await;
    read.assert_status(200);
    read.json["entries"].as_array().unwrap().clone()
}

/// The entry of a call, by the id that its answer carried.
async fn entry_of(admin: &User, reply: &Reply) -> Value {
    let id = reply.header("x-request-id");
    let all = entries(admin, "?limit=200").await;
    let mut found: Vec<_> = all.into_iter().filter(|entry| entry["id"] == id).collect();
    assert_eq!(found.len(), 1, "one entry for {id}");
    found.remove(0)
}

#[tokio::test]
async fn each_call_has_one_entry_that_says_who_what_and_how_it_ended() {
    let app = App::start().await;
    let (luna, _, _) = app.business("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    let issued = app.issue(&luna, BUSINESS, json!({ "agent": "codex" })).await;
    let user = app.user_of(issued["api_token"].as_str().unwrap());
    for (reply, tool, door, outcome, status, error) in [
        (
            user.get("/api/v1/workflows").await,
            "workflows_list",
            "rest",
            "ok",
            200,
            Value::Null,
        ),
        (
            user.call("workflows_list", json!({})).await,
            "workflows_list",
            "mcp",
            "ok",
            200,
            Value::Null,
        ),
        (
            user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await,
            "workflows_trigger",
            "rest",
            "ok",
            200,
            Value::Null,
        ),
        (
            user.call_modern("workflows_trigger", json!({ "workflow_id": "wf_nowhere" })).await,
            "workflows_trigger",
            "mcp",
            "failed",
            404,
            json!("not_found"),
        ),
        (
            user.post("/api/v1/workflows/wf_backup_db/trigger", json!({ "moon": 1 })).await,
            "workflows_trigger",
            "rest",
            "failed",
            422,
            json!("invalid_input"),
        ),
        (
            user.call("tokens_list", json!({})).await,
            "tokens_list",
            "mcp",
            "failed",
            403,
            json!("insufficient_scope"),
        ),
    ] {
        let entry = entry_of(&admin, &reply).await;
        assert_eq!((&entry["tool"], &entry["door"]), (&json!(tool), &json!(door)), "{entry}");
        assert_eq!(
            (&entry["outcome"], &entry["status"], &entry["error"]),
            (&json!(outcome), &json!(status), &error),
            "{entry}"
        );
        assert_eq!((&entry["token"], &entry["agent"]), (&issued["id"], &json!("codex")), "{entry}");
        assert!(
            entry["duration_ms"].as_i64().is_some_and(|millis| (0..20_000).contains(&millis)),
            "{entry}"
        );
        let at: jiff::Timestamp = entry["at"].as_str().unwrap().parse().unwrap();
        assert!((app.clock.millis() - at.as_millisecond()).abs() < 60_000);
        if status != 422 && status != 403 {
            assert!(entry["arguments_hash"].as_str().unwrap().len() >= 32, "{entry}");
        }
    }
}

#[tokio::test]
async fn the_same_arguments_hash_the_same_on_both_doors_and_others_do_not() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    let path = "/api/v1/workflows/wf_backup_db/trigger";
    let one = user
        .send(
            http::Method::POST,
            path,
            Some(r#"{"input_data":{"b":[1,2],"a":{"y":"ñ","x":1}}}"#.to_owned()),
        )
        .await;
    let two = user
        .mcp_raw(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"workflows_trigger",
               "arguments":{"workflow_id":"wf_backup_db","input_data":{"a":{"x":1,"y":"\u00f1"},"b":[1,2]}}}}"#,
        )
        .await;
    let other = user
        .post(path, json!({ "input_data": { "b": [2, 1], "a": { "y": "ñ", "x": 1 } } }))
        .await;
    let mut hashes = Vec::new();
    for reply in [&one, &two, &other] {
        reply.assert_status(200);
        hashes.push(entry_of(&admin, reply).await["arguments_hash"].clone());
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
}

#[tokio::test]
async fn a_hash_is_keyed_so_that_it_cannot_be_guessed() {
    let (one, two) = (App::start().await, App::start().await);
    let mut hashes = Vec::new();
    for app in [&one, &two] {
        let (luna, user, _) = app.business("luna").await;
        let admin = app.user(&luna, &["admin:tenants"]).await;
        hashes.push(entry_of(&admin, &user.get("/api/v1/workflows").await).await["arguments_hash"].clone());
    }
    assert_ne!(hashes[0], hashes[1], "each installation has its own key");
}

#[tokio::test]
async fn a_tenant_reads_its_own_entries_and_filters_them() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    let (_, other, _) = app.business("sol").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    other.get("/api/v1/workflows").await.assert_status(200);
    user.get("/api/v1/workflows").await.assert_status(200);
    user.post("/api/v1/workflows/wf_nowhere/trigger", json!({}))
        .await
        .assert_status(404);
    let all = entries(&admin, "").await;
    let tools: Vec<_> = all.iter().map(|entry| entry["tool"].as_str().unwrap()).collect();
    // The operator connected this tenant's n8n on its behalf: that is in its audit too.
    assert_eq!(
        tools,
        ["workflows_trigger", "workflows_list", "connections_set"],
        "newest first, nobody else's"
    );
    assert_eq!(entries(&admin, "?tool=workflows_list").await.len(), 1);
    let failed = entries(&admin, "?outcome=failed").await;
    assert!(failed.len() == 1 && failed[0]["tool"] == "workflows_trigger", "{failed:?}");
    admin.get("/api/v1/audit?outcome=good").await.assert_problem(422, "invalid_input");
    // The operator's own: without a tenant.
    let own = entries(&app.operator(), "?tool=tenants_create").await;
    assert_eq!(own.len(), 2);
    assert_eq!(own[0]["token"], "operator:admin-token");
    assert_eq!(entries(&app.operator().for_tenant("luna"), "?tool=workflows_list").await.len(), 1);
}

#[tokio::test]
async fn arguments_and_secrets_are_in_no_entry_no_log_line_and_no_metric() {
    const ARGUMENT: &str = "argument-of-a-customer-7c1f";
    const API_KEY: &str = "api-key-of-luna-93aa";
    const KEY: &str = "idempotency-key-of-luna";
    let folder = Folder::new();
    let (url, n8n) = n8n_at_an_address(API_KEY).await;
    // Everything that anybody in this process would say.
    let server = Process::serve_with(&folder.0, &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("RUST_LOG", "trace")]).await;
    let operator = server.operator().for_tenant("default");
    let wrong = operator
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": url, "credential": { "apikey": API_KEY } }),
        )
        .await;
    wrong.assert_status(422);
    operator
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": url, "credential": { "api_key": API_KEY } }),
        )
        .await
        .assert_status(200);
    let issued = operator
        .post(
            "/auth/token",
            json!({ "name": "x", "scopes": ["write:workflows"], "agent": "codex" }),
        )
        .await;
    let token = issued.json["api_token"].as_str().unwrap().to_owned();
    let user = server.user(&token);
    let done = user
        .with_key(KEY)
        .post(
            "/api/v1/workflows/wf_backup_db/trigger",
            json!({ "input_data": { "who": ARGUMENT } }),
        )
        .await;
    done.assert_status(200);
    user.call(
        "workflows_trigger",
        json!({ "workflow_id": ARGUMENT, "input_data": { "who": ARGUMENT } }),
    )
    .await
    .tool_error();
    user.call("workflows_trigger", json!({ "workflow_id": "x", "moon": ARGUMENT }))
        .await
        .tool_error();
    user.get(&format!("/api/v1/workflows?tags={ARGUMENT}")).await.assert_status(200);
    server.user(&format!("{token}x")).get("/api/v1/workflows").await.assert_status(401);
    operator.post("/api/v1/connections/n8n/test", json!({})).await.assert_status(200);
    assert_eq!(n8n.runs(), 1);

    let metrics = server.user("").get("/metrics").await;
    let audit = operator.get("/api/v1/audit").await;
    let log = server.stop().await;
    for secret in [ARGUMENT, API_KEY, KEY, &token, &token[5..], OPERATOR] {
        for (place, text) in [("a metric", &metrics.text), ("the audit", &audit.text), ("the log", &log)] {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
    }
    for secret in [ARGUMENT, API_KEY, &token[5..], OPERATOR] {
        assert!(!folder_holds(&folder.0, secret).await, "{secret} is in a file");
    }

    // And what must be there: a line for each call, as the contract names its fields.
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let id = done.header("x-request-id");
    let line: Vec<_> = lines
        .iter()
        .filter(|line| line["request_id"] == id && line["tool"] == "workflows_trigger")
        .collect();
    assert_eq!(line.len(), 1, "{log}");
    assert_eq!(line[0]["tenant_id"], issued.json["tenant_id"]);
    assert_eq!((&line[0]["agent"], &line[0]["response_status"]), (&json!("codex"), &json!(200)));
    assert!(line[0]["timestamp"].is_string() && line[0]["duration_ms"].is_i64(), "{}", line[0]);
    let entry = audit.json["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["id"] == id)
        .unwrap();
    assert_eq!(line[0]["parameters_hash"], entry["arguments_hash"]);
    assert!(
        metrics
            .text
            .contains(r#"mcp_requests_total{tool="workflows_trigger",agent="codex",status="200"} 1"#),
        "{}",
        metrics.text
    );
}

#[tokio::test]
async fn a_stop_loses_no_entry() {
    let app = App::start().await;
    app.tenant("luna").await;
    let replies = join_all((0..150).map(|_| {
        let operator = app.operator().for_tenant("luna");
        async move { operator.get("/api/v1/usage").await }
    }))
    .await;
    for reply in &replies {
        reply.assert_status(200);
    }
    let folder = app.stop().await;
    assert_eq!(
        sql_number(&folder, "select count(*) from audit where tool = 'usage_get' and outcome = 'ok'").await,
        150
    );
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    let mut ids: Vec<_> = entries(&app.operator().for_tenant("luna"), "?tool=usage_get&limit=200")
        .await
        .iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 150);
}

#[tokio::test]
async fn a_stop_loses_no_usage() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    for _ in 0..7 {
        user.get("/api/v1/workflows").await.assert_status(200);
    }
    let folder = app.stop().await;
    assert_eq!(sql_number(&folder, "select count from usage where meter = 'api_calls'").await, 7);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn old_entries_are_removed_by_age_and_younger_ones_stay() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    let folder = app.stop().await;
    // The same entries as of two days ago: an id is a UUID v7, whose first 48 bits are milliseconds.
    let copied = crate::app::sql(
        &folder,
        // SQLite and PostgreSQL each write hexadecimal in a way of their own.
        if crate::servers::given() {
            "insert into audit select tenant_id,
               substr(lpad(to_hex(at - 172800000), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex(at - 172800000), 12, '0'), 9, 4) || substr(id, 14),
               at - 172800000, token_id, agent, tool, door, arguments_hash, outcome, status, error, duration_ms from audit"
        } else {
            "insert into audit select tenant_id,
           lower(substr(printf('%012x', at - 172800000), 1, 8) || '-' || substr(printf('%012x', at - 172800000), 9, 4)) || substr(id, 14),
           at - 172800000, token_id, agent, tool, door, arguments_hash, outcome, status, error, duration_ms from audit"
        },
    )
    .await;
    let before = sql_number(&folder, "select count(*) from audit").await;
    assert_eq!(before, 2 * i64::try_from(copied).unwrap());

    let app = App::in_folder(folder, |config| config.audit_days = 3, smartermcp::backends::catalogue()).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let folder = app.stop().await;
    assert_eq!(
        sql_number(&folder, "select count(*) from audit").await,
        before,
        "two days are not three"
    );

    let app = App::in_folder(folder, |config| config.audit_days = 1, smartermcp::backends::catalogue()).await;
    for _ in 0..100 {
        if sql_number(app.folder(), "select count(*) from audit").await == before / 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(sql_number(app.folder(), "select count(*) from audit").await, before / 2);
    let oldest = sql_number(app.folder(), "select min(at) from audit").await;
    assert!(oldest > app.clock.millis() - 60_000);
}

#[tokio::test]
async fn a_loop_of_limited_calls_does_not_fill_the_audit() {
    let app = App::start().await;
    let (luna, ..) = app.business("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    let user = app
        .user_with(&luna, BUSINESS, json!({ "limits": { "general": { "per_minute": 1, "burst": 1 } } }))
        .await;
    user.get("/api/v1/workflows").await.assert_status(200);
    for _ in 0..5 {
        user.get("/api/v1/workflows").await.assert_status(429);
    }
    assert_eq!(entries(&admin, "?tool=workflows_list").await.len(), 1);
    let metrics = app.nobody().get("/metrics").await;
    assert!(
        metrics.text.contains(r#"mcp_rate_limit_exceeded{agent="none"} 5"#),
        "{}",
        metrics.text
    );
    assert!(
        metrics
            .text
            .contains(r#"mcp_requests_total{tool="workflows_list",agent="none",status="429"} 5"#),
        "{}",
        metrics.text
    );
}

#[tokio::test]
async fn a_read_whose_client_has_gone_is_recorded_and_a_write_is_carried_to_its_end() {
    use std::time::Duration;

    use smartermcp::sandbox::n8n::Fault;

    let app = App::start().await;
    let (luna, user, n8n) = app.business("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    n8n.set_fault(Fault::Slow(Duration::from_millis(500)));
    let gone = tokio::time::timeout(Duration::from_millis(150), user.get("/api/v1/workflows")).await;
    assert!(gone.is_err());
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(300)));
    let gone = tokio::time::timeout(
        Duration::from_millis(150),
        user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})),
    )
    .await;
    assert!(gone.is_err());
    for _ in 0..100 {
        if entries(&admin, "?outcome=open").await.is_empty() && !entries(&admin, "?tool=workflows_list").await.is_empty() {
            break;
        }
        app.clock.advance(Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = entries(&admin, "?tool=workflows_list").await;
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!((&read[0]["status"], &read[0]["error"]), (&json!(499), &json!("client_gone")));
    let writes = entries(&admin, "?tool=workflows_trigger").await;
    assert_eq!(writes.len(), 2);
    assert!(
        writes.iter().all(|entry| entry["outcome"] == "ok" && entry["status"] == 200),
        "{writes:?}"
    );
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn a_stop_waits_for_a_write_in_flight() {
    use std::time::Duration;

    use smartermcp::sandbox::n8n::Fault;

    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(600)));
    let in_flight = tokio::spawn(async move { user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await });
    for _ in 0..200 {
        if n8n.runs() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let folder = app.stop().await;
    in_flight.await.unwrap().assert_status(200);
    assert_eq!(
        sql_number(
            &folder,
            "select count(*) from audit where tool = 'workflows_trigger' and outcome = 'ok'"
        )
        .await,
        1
    );
    assert_eq!(sql_number(&folder, "select count(*) from audit where outcome = 'open'").await, 0);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn entries_whose_commit_was_made_though_its_answer_was_lost_are_taken_again_without_a_word() {
    use smartermcp::store::{
        Reach,
        audit::{Entry, Outcome, insert},
    };
    let app = App::start().await;
    let (tenant, _, _) = app.business("luna").await;
    let entry = Entry {
        tenant: tenant.id.clone(),
        id: uuid::Uuid::now_v7().to_string(),
        at: app.clock.millis(),
        token: "x".to_owned(),
        agent: None,
        tool: "workflows_list",
        door: "rest",
        arguments_hash: String::new(),
        outcome: Outcome::Done {
            status: 200,
            error: None,
            duration_ms: 1,
        },
    };
    // The writer tries the same batch until the database says that it has it.
    for _ in 0..2 {
        let mut tx = app.state.store.write(Reach::Operator).await.unwrap();
        insert(&mut tx, std::slice::from_ref(&entry)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(app.audited(&tenant, "workflows_list").await.len(), 1);
}
