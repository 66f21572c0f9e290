//! What the operator sees: health, metrics, the trace that is passed on, and the line in the log.

use std::time::{Duration, Instant};

use axum::{Router, http::StatusCode};
use serde_json::{Value, json};
use smartermcp::sandbox::n8n::{Fault, Sandbox};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::{
    app::{App, BUSINESS, Reply},
    cli::{Folder, Process},
};

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The value of the sample with exactly this name and these labels.
fn sample(metrics: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    metrics.lines().find_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, inside) = series
            .split_once('{')
            .map_or((series, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        let mut inside: Vec<_> = inside.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let mut wanted: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        inside.sort();
        wanted.sort();
        (found == name && inside == wanted).then(|| value.parse().unwrap())
    })
}

async fn metrics(app: &App) -> String {
    let reply = app.nobody().get("/metrics").await;
    reply.assert_status(200);
    assert!(reply.header("content-type").starts_with("text/plain"), "{:?}", reply.headers);
    reply.text
}

async fn health(app: &App) -> Reply {
    app.nobody().get("/health").await
}

/// Every kind of backend, while nobody has called one.
fn unasked() -> Value {
    let kinds = smartermcp::backends::kinds();
    kinds
        .iter()
        .map(|kind| (kind.name.to_owned(), json!("unknown")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[tokio::test]
async fn health_has_the_owners_fields_and_no_others() {
    let app = App::start().await;
    let reply = health(&app).await;
    let report = &reply.assert_status(200).json;
    assert_eq!(reply.header("content-type"), "application/json");
    let with_redis = ["database", "redis", "services", "status", "timestamp", "uptime", "version"];
    let fields: Vec<_> = with_redis
        .into_iter()
        .filter(|name| *name != "redis" || crate::servers::redis_url().is_some())
        .collect();
    assert_eq!(keys(report), fields);
    assert_eq!(report["status"], "healthy");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["database"], "connected");
    assert_eq!(report["services"], unasked(), "nobody has asked yet");
    assert!(report["uptime"].as_u64().unwrap() < 60, "whole seconds");
    let told: jiff::Timestamp = report["timestamp"].as_str().unwrap().parse().expect("RFC 3339");
    assert!(told.duration_until(jiff::Timestamp::now()).as_secs().abs() < 60);
    app.clock.advance(Duration::from_secs(3600));
    assert!((3600..3660).contains(&health(&app).await.json["uptime"].as_u64().unwrap()));
}

#[tokio::test]
async fn the_parts_of_health_answer_alone_and_without_a_token() {
    let app = App::start().await;
    for (path, key, value) in [
        ("/health/live", "status", json!("live")),
        ("/health/ready", "status", json!("ready")),
        ("/health/database", "database", json!("connected")),
        ("/health/services", "services", unasked()),
    ] {
        let reply = app.nobody().get(path).await;
        assert_eq!(reply.assert_status(200).json, json!({ key: value }), "{path}");
        // A token, even a wrong one, changes nothing.
        app.user_of("nonsense").get(path).await.assert_status(200);
    }
}

#[tokio::test]
async fn calls_of_the_last_five_minutes_say_how_a_backend_does_and_do_not_move_the_status() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    let condition = async || {
        let reply = health(&app).await;
        reply.assert_status(200);
        assert_eq!(reply.json["status"], "healthy", "{}", reply.text);
        assert_eq!(app.nobody().get("/health/services").await.json["services"], reply.json["services"]);
        reply.json["services"]["n8n"].as_str().unwrap().to_owned()
    };
    // What callers do wrong says nothing of the backend.
    user.get("/api/v1/workflows/executions/77").await.assert_status(404);
    user.get("/api/v1/workflows?limit=x").await.assert_status(422);
    assert_eq!(condition().await, "healthy");
    for _ in 0..8 {
        user.get("/api/v1/workflows").await.assert_status(200);
    }
    n8n.set_fault(Fault::Status(500));
    user.get("/api/v1/workflows/executions/1").await.assert_status(503);
    assert_eq!(condition().await, "healthy", "one in ten is not over a tenth");
    user.call("workflows_status", json!({ "execution_id": "1" })).await.tool_error();
    assert_eq!(condition().await, "degraded");
    app.clock.advance(Duration::from_secs(150));
    assert_eq!(condition().await, "degraded", "still within five minutes");
    app.clock.advance(Duration::from_secs(160));
    assert_eq!(condition().await, "unknown");
    user.get("/api/v1/workflows/executions/1").await.assert_status(503);
    assert_eq!(condition().await, "down");
    n8n.set_fault(Fault::None);
    user.get("/api/v1/workflows").await.assert_status(200);
    assert_eq!(condition().await, "degraded");
}

#[tokio::test]
async fn a_platform_service_that_is_down_degrades_the_status_at_once_and_nobody_waits_for_a_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let well = listener.local_addr().unwrap();
    let answers = Router::new()
        .route("/sick", axum::routing::get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .fallback(|| async { StatusCode::UNAUTHORIZED });
    tokio::spawn(async move { axum::serve(listener, answers).await });
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = |address: std::net::SocketAddr, path: &str| -> Url { format!("http://{address}{path}").parse().unwrap() };
    let silent_at = silent.local_addr().unwrap();
    let started = Instant::now();
    let app = App::with(|config| {
        config.services = vec![
            ("n8n".to_owned(), url(well, "/")),
            ("odoo".to_owned(), url(well, "/sick")),
            ("chatwoot".to_owned(), url(closed, "/")),
            ("metabase".to_owned(), url(silent_at, "/")),
        ];
    })
    .await;
    let all_well = App::with(|config| config.services = vec![("supabase".to_owned(), url(well, "/"))]).await;
    let until = async |app: &App, name: &str, condition: &str| {
        for _ in 0..400 {
            let asked = Instant::now();
            let reply = health(app).await;
            assert!(asked.elapsed() < Duration::from_secs(1), "a request waited {:?}", asked.elapsed());
            if reply.json["services"][name] == condition {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{name} is never {condition}: {}", health(app).await.text);
    };
    let reply = until(&app, "chatwoot", "down").await;
    assert_eq!(reply.assert_status(200).json["status"], "degraded");
    until(&app, "odoo", "down").await;
    assert_eq!(
        until(&app, "n8n", "healthy").await.json["status"],
        "degraded",
        "that it asks for a login is an answer"
    );
    let reply = until(&app, "metabase", "down").await;
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "a probe has five seconds: {:?}",
        started.elapsed()
    );
    let mut told: Vec<_> = smartermcp::backends::kinds().iter().map(|kind| kind.name).collect();
    told.extend(["chatwoot", "metabase", "odoo"]);
    told.sort_unstable();
    told.dedup();
    assert_eq!(keys(&reply.json["services"]), told);
    for text in [reply.text, metrics(&app).await] {
        assert!(!text.contains(&closed.to_string()), "addresses are not told: {text}");
    }
    app.nobody().get("/health/ready").await.assert_status(200);

    let reply = until(&all_well, "supabase", "healthy").await;
    assert_eq!(reply.json["status"], "healthy");
    drop(silent);
}

#[tokio::test]
async fn neither_health_nor_metrics_names_a_tenant() {
    let app = App::start().await;
    let (tenant, user, n8n) = app.business("panaderia-luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    user.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
        .await
        .content();
    n8n.set_fault(Fault::Status(503));
    user.get("/api/v1/workflows").await.assert_status(503);
    user.for_tenant("panaderia-luna").get("/api/v1/workflows").await;
    app.operator().for_tenant(&tenant.id).get("/api/v1/audit").await.assert_status(200);
    let whoami = user.get("/api/v1/whoami").await;
    let token_id = whoami.json["token_id"].as_str().unwrap();
    for path in ["/health", "/health/services", "/health/ready", "/metrics"] {
        let reply = app.nobody().get(path).await;
        for name in ["luna", &tenant.id, "vendors.test", "127.0.0.1", token_id, "smcp_", "wf_backup_db"] {
            assert!(!reply.text.contains(name), "{name} at {path}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn all_five_metric_families_are_there_from_the_start() {
    let app = App::start().await;
    let text = metrics(&app).await;
    for (name, kind) in [
        ("mcp_requests_total", "counter"),
        ("mcp_request_duration_seconds", "histogram"),
        ("mcp_errors_total", "counter"),
        ("mcp_rate_limit_exceeded", "counter"),
        ("mcp_active_connections", "gauge"),
    ] {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("# HELP {name} ")) && line.len() > 20),
            "{name}"
        );
        let samples = text.lines().filter(|line| line.starts_with(name)).count();
        assert!(samples > 0, "{name} has no sample: {text}");
    }
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with("mcp_request_duration_seconds_bucket") && line.contains("tool=\"workflows_trigger\""))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    assert_eq!(buckets.first(), Some(&0.001), "{buckets:?}");
    assert_eq!(buckets[buckets.len() - 2..], [60.0, f64::INFINITY], "{buckets:?}");
    assert!(buckets.is_sorted() && buckets.len() > 10);
    for agent in ["codex", "gemini", "copilot"] {
        assert_eq!(sample(&text, "mcp_rate_limit_exceeded", &[("agent", agent)]), Some(0.0));
    }
}

#[tokio::test]
async fn calls_are_counted_by_tool_agent_and_the_status_that_rest_has_on_both_doors() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business("luna").await;
    let codex = app.user_with(&tenant, BUSINESS, json!({ "agent": "codex" })).await;
    let narrow = app
        .user_with(
            &tenant,
            &["read:workflows"],
            json!({ "agent": "codex", "limits": { "general": { "per_minute": 1, "burst": 1 } } }),
        )
        .await;
    let count = async |tool: &str, agent: &str, status: &str| {
        let labels = [("tool", tool), ("agent", agent), ("status", status)];
        sample(&metrics(&app).await, "mcp_requests_total", &labels).unwrap_or_default()
    };
    codex.get("/api/v1/workflows").await.assert_status(200);
    codex.call("workflows_list", json!({})).await.content();
    codex.call_modern("workflows_list", json!({})).await.content();
    assert_eq!(count("workflows_list", "codex", "200").await, 3.0);
    assert_eq!(count("workflows_list", "none", "200").await, 0.0);
    codex.get("/api/v1/workflows/executions/77").await.assert_status(404);
    codex.call("workflows_status", json!({ "execution_id": "77" })).await.tool_error();
    assert_eq!(
        count("workflows_status", "codex", "404").await,
        2.0,
        "MCP's 200 around a failure is none"
    );
    codex.get("/api/v1/workflows?limit=x").await.assert_status(422);
    assert_eq!(count("workflows_list", "codex", "422").await, 1.0);
    let made = json!({ "name": "N", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
    codex.call("workflows_create", made).await.content();
    assert_eq!(count("workflows_create", "codex", "201").await, 1.0);
    narrow
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(403);
    assert_eq!(count("workflows_trigger", "codex", "403").await, 1.0);
    n8n.set_fault(Fault::Status(503));
    codex.get("/api/v1/workflows/executions/1").await.assert_status(503);
    assert_eq!(count("workflows_status", "codex", "503").await, 1.0);
    narrow.get("/api/v1/workflows").await.assert_status(429);
    narrow.call("workflows_list", json!({})).await.tool_error();
    assert_eq!(count("workflows_list", "codex", "429").await, 2.0);

    let text = metrics(&app).await;
    assert_eq!(sample(&text, "mcp_rate_limit_exceeded", &[("agent", "codex")]), Some(2.0));
    let errors = |tool: &str, kind: &str| sample(&text, "mcp_errors_total", &[("tool", tool), ("error_type", kind)]).unwrap_or_default();
    assert_eq!(errors("workflows_status", "not_found"), 2.0);
    assert_eq!(errors("workflows_list", "invalid_input"), 1.0);
    assert_eq!(errors("workflows_status", "backend_down"), 1.0);
    assert_eq!(errors("workflows_trigger", "insufficient_scope"), 1.0);
    let timed = sample(&text, "mcp_request_duration_seconds_count", &[("tool", "workflows_list")]);
    assert_eq!(timed, Some(6.0), "each call is timed");
    assert!(sample(&text, "mcp_request_duration_seconds_sum", &[("tool", "workflows_list")]).unwrap() > 0.0);
}

#[tokio::test]
async fn what_callers_make_up_does_not_become_a_label() {
    let app = App::start().await;
    let (tenant, _, _) = app.business("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    let before = metrics(&app).await.lines().count();
    for index in 0..30 {
        user.post(&format!("/api/v1/tools/made_up_{index}"), json!({}))
            .await
            .assert_status(404);
        user.call(&format!("made_up_{index}"), json!({})).await.assert_rpc_error(-32602);
        user.mcp(&format!("made/up_{index}"), json!({})).await.assert_rpc_error(-32601);
        user.get(&format!("/api/v1/made_up_{index}")).await.assert_status(404);
    }
    let text = metrics(&app).await;
    assert!(!text.contains("made_up") && !text.contains("made/up"), "{text}");
    assert!(
        text.lines().count() <= before + 5,
        "{} lines, {before} before",
        text.lines().count()
    );
}

#[tokio::test]
async fn open_connections_are_counted_while_they_are_open() {
    let app = App::start().await;
    let open = async || sample(&metrics(&app).await, "mcp_active_connections", &[]).unwrap();
    let before = open().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(TcpStream::connect(app.address).await.unwrap());
    }
    let settles = async |expected: f64| {
        for _ in 0..100 {
            if open().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} connections, not {expected}", open().await);
    };
    settles(before + 5.0).await;
    drop(held);
    settles(before).await;
}

#[tokio::test]
async fn a_trace_from_the_header_or_from_meta_reaches_the_backend_with_a_parent_of_ours() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let arrived = || {
        let headers = n8n.last_request_headers();
        let read = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        (read("traceparent"), read("tracestate"))
    };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ours = |passed: &str, trace: &str| passed.starts_with(&format!("00-{trace}-")) && passed.ends_with("-01") && passed.len() == 55;

    let traced = user.with_header("traceparent", &given).with_header("tracestate", "vendor=abc");
    traced.get("/api/v1/workflows").await.assert_status(200);
    let (parent, state) = arrived();
    assert!(
        ours(parent.as_deref().unwrap(), trace) && parent.as_deref() != Some(&given),
        "{parent:?}"
    );
    assert_eq!(state.as_deref(), Some("vendor=abc"));
    traced.call("workflows_list", json!({})).await.content();
    assert!(ours(arrived().0.as_deref().unwrap(), trace));

    let params = json!({ "name": "workflows_list", "arguments": {}, "_meta": { "traceparent": given, "tracestate": "meta=1" } });
    for user in [user.clone(), user.with_header("traceparent", other)] {
        user.mcp_modern("tools/call", params.clone()).await.content();
        let (parent, state) = arrived();
        assert!(
            ours(parent.as_deref().unwrap(), trace),
            "what MCP says itself goes before the header: {parent:?}"
        );
        assert_eq!(state.as_deref(), Some("meta=1"));
    }
    for nonsense in ["nonsense", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        user.with_header("traceparent", nonsense)
            .get("/api/v1/workflows")
            .await
            .assert_status(200);
        assert_eq!(arrived(), (None, None), "{nonsense}");
    }
}

#[tokio::test]
async fn each_call_logs_one_json_line_of_the_contract_and_no_secret() {
    let folder = Folder::new();
    let process = Process::serve(&folder.0).await;
    let operator = process.operator();
    let sandbox = Sandbox::new("vendor-key-geheim");
    sandbox.demo_workflows();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vendor = format!("http://{}", listener.local_addr().unwrap());
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let tenant = operator.post("/api/v1/tenants", json!({ "name": "Luna", "slug": "luna" })).await;
    let tenant = tenant.assert_status(201).json["id"].as_str().unwrap().to_owned();
    let credential = json!({ "url": vendor, "credential": { "api_key": "vendor-key-geheim" } });
    operator
        .for_tenant(&tenant)
        .put("/api/v1/connections/n8n", credential)
        .await
        .assert_status(200);
    let body = json!({ "name": "t", "tenant_id": tenant, "scopes": BUSINESS, "agent": "codex" });
    let issued = operator.post("/auth/token", body).await;
    let token = issued.assert_status(201).json["api_token"].as_str().unwrap().to_owned();
    let user = process.user(&token);

    let rest = user
        .post(
            "/api/v1/workflows/wf_backup_db/trigger",
            json!({ "input_data": { "password": "hunter2-geheim" } }),
        )
        .await;
    rest.assert_status(200);
    let mcp = user
        .call(
            "workflows_trigger",
            json!({ "workflow_id": "wf_backup_db", "input_data": { "password": "hunter2-geheim" } }),
        )
        .await;
    mcp.content();
    let failed = user.call("workflows_status", json!({ "execution_id": "hunter2-geheim" })).await;
    failed.tool_error();
    let invalid = user.get("/api/v1/workflows?limit=hunter2-geheim").await;
    invalid.assert_status(422);
    process
        .user("smcp_hunter2-geheim")
        .get("/api/v1/workflows")
        .await
        .assert_status(401);
    user.get("/api/v1/hunter2-geheim?token=hunter2-geheim").await.assert_status(404);
    sandbox.set_fault(Fault::CutOff);
    user.get("/api/v1/workflows").await.assert_status(503);
    let log = process.stop().await;

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of = |reply: &Reply| {
        let id = reply.header("x-request-id");
        let calls: Vec<_> = lines
            .iter()
            .filter(|line| line["request_id"] == id && line.get("tool").is_some())
            .collect();
        assert_eq!(calls.len(), 1, "{id} in {log}");
        calls[0].clone()
    };
    for (reply, tool, status) in [
        (&rest, "workflows_trigger", 200),
        (&mcp, "workflows_trigger", 200),
        (&failed, "workflows_status", 404),
        (&invalid, "workflows_list", 422),
    ] {
        let line = of(reply);
        for field in [
            "timestamp",
            "tenant_id",
            "agent",
            "tool",
            "parameters_hash",
            "response_status",
            "duration_ms",
            "request_id",
        ] {
            assert!(line.get(field).is_some_and(|value| !value.is_null()), "{field} in {line}");
        }
        assert_eq!((&line["tool"], &line["response_status"]), (&json!(tool), &json!(status)));
        assert_eq!((&line["tenant_id"], &line["agent"]), (&json!(tenant), &json!("codex")));
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        assert!(line["duration_ms"].is_u64());
    }
    let hash = of(&rest)["parameters_hash"].clone();
    assert!(hash.as_str().unwrap().len() >= 16);
    assert_eq!(hash, of(&mcp)["parameters_hash"], "the same arguments hash the same on both doors");
    for secret in ["geheim", "hunter2", &token] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
