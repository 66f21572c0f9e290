//! What a caller gets when his n8n is not well: a clear failure on both doors, no success without content, no write done twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, response::IntoResponse as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use smartermcp::sandbox::n8n::{Fault, Sandbox};

use crate::{
    app::{App, BUSINESS, Reply, Tenant, User},
    vendors::tools,
};

const DOWN: &str = "Service 'n8n' is currently unavailable";

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
                told.assert_problem(status, code);
                app.connect_n8n(
                    &tenant,
                    &format!("http://n8n-tenant-{index}.vendors.test:{}", app.vendors.address().port()),
                    "key",
                )
                .await;
                let mcp = user.call(tool, arguments).await;
                // A list asks three things at once, so that its failures may open the breaker within the call.
                let closed = |text: &str| tool == "workflows_list" && text == DOWN;
                for text in [told.json["detail"].as_str().unwrap(), mcp.tool_error()] {
                    assert!(text.contains(words) || closed(text), "{tool} at {fault:?}: {text}");
                }
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
    let once = |status| Fault::FailTimes { status, times: 1 };
    let faults = [
        // At the webhook alone: n8n itself is well, and knows of no execution.
        once(500),
        once(404),
        once(403),
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
        n8n.set_fault(fault.clone());
        let cold = user.call("workflows_trigger", json!({ "workflow_id": "wf_daily_sales" })).await;
        assert_eq!(n8n.executions_of("wf_backup_db"), 1, "{fault:?} lets nothing run");
        let told = warm.status.is_client_error() || warm.status.is_server_error();
        let mut wrong = Vec::new();
        if !told {
            wrong.push(format!("{fault:?}, webhook known: {} {}", warm.status, warm.text));
        }
        if cold.json["result"]["isError"] != true && !matches!(fault, Fault::FailTimes { .. }) {
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
    let app = &App::start().await;
    join_all([502, 503, 504, 429].map(|status| async move {
        let (_, user, n8n) = crowd(app, &format!("tenant-{status}")).await;
        let trigger = "/api/v1/workflows/wf_backup_db/trigger";
        user.post(trigger, json!({})).await.assert_status(200);
        n8n.set_fault(Fault::FailTimes { status, times: 1 });
        user.post(trigger, json!({})).await.assert_problem(503, "backend_down");
        assert_eq!(n8n.runs(), 1, "{status}: the first alone has run");

        n8n.set_fault(Fault::FailTimes { status, times: 1 });
        let body = json!({ "name": "Once or never", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
        user.post("/api/v1/workflows", body).await.assert_problem(503, "backend_down");
        let listed = user.get("/api/v1/workflows").await;
        assert_eq!(listed.json["workflows"].as_array().unwrap().len(), 4, "{status}: none was created");
    }))
    .await;
}

#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    let app = App::start().await;
    let (_, user, n8n) = crowd(&app, "luna").await;
    let reached = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&reached);
    let elsewhere = app.vendors.play(
        "elsewhere",
        Router::new().fallback(move || {
            counting.fetch_add(1, Ordering::Relaxed);
            async { axum::Json(json!({ "data": [], "nextCursor": null })) }
        }),
    );
    for to in [
        elsewhere.as_str(),
        "http://169.254.169.254/latest/meta-data/",
        "/api/v1/workflows",
        "file:///etc/passwd",
    ] {
        n8n.set_fault(Fault::RedirectTo(to.to_owned()));
        let answered = user.get("/api/v1/workflows").await;
        assert_failure(&answered, 502, "backend_refused", "redirect");
        assert!(!answered.text.contains("169.254"), "{}", answered.text);
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_unavailable_in_the_owners_words() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    app.connect_n8n(&tenant, &format!("http://{free}"), "key").await;
    let user = app.user(&tenant, BUSINESS).await;
    let rest = user.get("/api/v1/workflows").await;
    rest.assert_problem(503, "backend_down");
    assert_eq!(rest.json["detail"], DOWN);
    assert_eq!(rest.json["retryable"], true);
    assert!(rest.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(user.call("workflows_list", json!({})).await.tool_error(), DOWN);
    assert_eq!(
        user.call_modern("workflows_trigger", json!({ "workflow_id": "a" }))
            .await
            .tool_error(),
        DOWN
    );
}

#[tokio::test]
async fn a_tenant_without_a_connection_learns_how_to_get_one() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, BUSINESS).await;
    let rest = user.get("/api/v1/workflows").await;
    assert_failure(&rest, 409, "not_connected", "/api/v1/connections/n8n");
    assert!(
        user.call("workflows_list", json!({}))
            .await
            .tool_error()
            .contains("connections_set")
    );
}

#[tokio::test]
async fn a_backend_slower_than_the_time_limit_is_given_up_and_a_write_that_ran_is_not_run_again() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (_, user, n8n) = crowd(&app, "luna").await;
    n8n.set_fault(Fault::Slow(Duration::from_secs(2)));
    let begun = Instant::now();
    user.get("/api/v1/test/hasty").await.assert_problem(504, "timeout");
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(!user.call("test_hasty_read", json!({})).await.tool_error().is_empty());
    user.post("/api/v1/test/hasty", json!({})).await.assert_problem(504, "timeout");
    assert_eq!(n8n.runs(), 0, "whoever hung up before has run nothing");

    n8n.set_fault(Fault::SlowAfterRun(Duration::from_secs(2)));
    let ran = user.post("/api/v1/test/hasty", json!({})).await;
    assert_failure(&ran, 504, "timeout", "look before you try again");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(n8n.runs(), 1, "once, and not again");
    n8n.set_fault(Fault::None);
    user.get("/api/v1/test/hasty").await.assert_status(200);
}

#[tokio::test]
async fn a_trigger_whose_answer_is_slow_still_finds_its_one_execution() {
    let app = App::start().await;
    let (_, user, n8n) = crowd(&app, "luna").await;
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(1500)));
    let answered = user.post("/api/v1/workflows/wf_daily_sales/trigger", json!({})).await;
    assert_eq!(answered.assert_status(200).json["execution_id"], "1");
    assert_eq!(answered.json["status"], "completed");
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn after_five_failures_a_connection_rests_and_then_a_healthy_backend_is_used_again() {
    let app = App::start().await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    let (_, other, _) = crowd(&app, "sol").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let well = Arc::new(AtomicBool::new(false));
    let (asking, healed) = (Arc::clone(&asked), Arc::clone(&well));
    let url = app.vendors.play(
        "weak",
        Router::new().fallback(move || {
            asking.fetch_add(1, Ordering::Relaxed);
            let well = healed.load(Ordering::Relaxed);
            async move {
                if well {
                    axum::Json(json!({ "id": "1", "workflowId": "w", "status": "success" })).into_response()
                } else {
                    StatusCode::SERVICE_UNAVAILABLE.into_response()
                }
            }
        }),
    );
    app.connect_n8n(&tenant, &url, "key").await;
    let path = "/api/v1/workflows/executions/1";
    while asked.load(Ordering::Relaxed) < 5 {
        user.get(path).await.assert_problem(503, "backend_down");
    }
    let opened = Instant::now();
    let before = asked.load(Ordering::Relaxed);
    assert!(before <= 6, "{before} requests for two calls");
    for _ in 0..10 {
        let refused = user.get(path).await;
        refused.assert_problem(503, "backend_down");
        assert_eq!(refused.json["detail"], DOWN);
        assert!((1..=10).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    }
    assert!(opened.elapsed() < Duration::from_secs(2), "refused without waiting");
    assert_eq!(asked.load(Ordering::Relaxed), before, "and without asking");
    other.get("/api/v1/workflows").await.assert_status(200);

    well.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(10_300).saturating_sub(opened.elapsed())).await;
    user.get(path).await.assert_status(200);
    user.get(path).await.assert_status(200);
}

#[tokio::test]
async fn a_connection_that_is_set_anew_does_not_rest() {
    let app = App::start().await;
    let (tenant, user, n8n) = crowd(&app, "luna").await;
    n8n.set_fault(Fault::Status(503));
    user.get("/api/v1/workflows").await.assert_problem(503, "backend_down");
    user.get("/api/v1/workflows").await.assert_problem(503, "backend_down");
    n8n.set_fault(Fault::None);
    let url = format!("http://n8n-luna.vendors.test:{}", app.vendors.address().port());
    app.connect_n8n(&tenant, &url, "key-of-luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
}

#[tokio::test]
async fn a_panic_costs_that_call_alone() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    let neighbour = user.get("/api/v1/test/dawdle?millis=400");
    let panics = async {
        let rest = user.get("/api/v1/test/panic").await;
        rest.assert_problem(500, "internal");
        let write = user.post("/api/v1/test/panic", json!({})).await;
        write.assert_problem(500, "internal");
        let mcp = [
            user.call("test_panic", json!({})).await,
            user.call_modern("test_panic", json!({})).await,
            user.call("test_panic_write", json!({})).await,
        ];
        for reply in &mcp {
            assert!(reply.tool_error().contains("operator"), "{}", reply.text);
        }
        for text in mcp.iter().chain([&rest, &write]).map(|reply| &reply.text) {
            assert!(!text.contains("secret reason"), "{text}");
        }
    };
    let (neighbour, ()) = futures::join!(neighbour, panics);
    neighbour.assert_status(200);
    // Each gives back its place among the fifty that may be in flight.
    for _ in 0..60 {
        user.get("/api/v1/test/panic").await.assert_status(500);
    }
    user.get("/api/v1/workflows").await.assert_status(200);

    let entries = app.audited(&tenant, "test_panic_write").await;
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!(
            (&entry["outcome"], &entry["status"], &entry["error"]),
            (&json!("failed"), &json!(500), &json!("internal"))
        );
    }
}

/// 64 KiB of the letter x, packed by gzip into a hundred bytes.
const PACKED: &str =
    "H4sIAAAAAAACA+3BAQEAAACAkNvN7wgKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAappYtCwAAAEA";

/// The letter x, over and over, packed by gzip a thousand times smaller: RFC 1951, one block of fixed codes, a literal and then
/// nothing but repetitions of 258 from one letter back. Its checksum is missing: whoever comes so far has read it all.
fn swelling(size: usize) -> Vec<u8> {
    let repetition = "1100010100000";
    let bits = format!("110{:08b}{}0000000", 0x30 + b'x', repetition.repeat(size / 258));
    let packed = bits
        .as_bytes()
        .chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0')));
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255].into_iter().chain(packed).collect()
}

#[tokio::test]
async fn an_answer_that_swells_when_it_is_unpacked_is_refused_and_a_plain_packed_one_is_read() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    let honest = STANDARD.decode(PACKED).unwrap();
    for (size, body, status) in [("small", honest, 200), ("swelling", swelling(12 * 1024 * 1024), 502)] {
        let url = app.vendors.play(
            &format!("packed-{size}"),
            Router::new().fallback(move || async move { ([("content-encoding", "gzip"), ("content-type", "application/json")], body) }),
        );
        app.connect_n8n(&tenant, &url, "key").await;
        let answered = user.get("/api/v1/test/hasty").await;
        assert_eq!(answered.status, status, "{}", answered.text);
        if status == 502 {
            assert_failure(&answered, 502, "backend_refused", "larger than 10 MiB");
        }
    }
}

#[tokio::test]
async fn an_answer_that_only_trickles_is_given_up_at_the_time_limit() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    let url = app.vendors.play(
        "trickle",
        Router::new().fallback(|| async {
            let drops = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(" "), ()))
            });
            axum::body::Body::from_stream(drops)
        }),
    );
    app.connect_n8n(&tenant, &url, "key").await;
    let begun = Instant::now();
    user.get("/api/v1/test/hasty").await.assert_problem(504, "timeout");
    assert_failure(
        &user.post("/api/v1/test/hasty", json!({})).await,
        504,
        "timeout",
        "look before you try again",
    );
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// Plays a server by hand: what it does with each request, by the request's text, until it is dropped.
async fn by_hand(answer: fn(&str) -> Option<&'static str>) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noting = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let noting = Arc::clone(&noting);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let line = request.lines().next().unwrap_or_default().to_owned();
                    noting.lock().unwrap().push(line);
                    match answer(&request) {
                        Some(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                        None => return,
                    }
                }
            });
        }
    });
    (url, seen)
}

#[tokio::test]
async fn a_write_over_a_connection_that_dies_is_not_repeated_and_a_read_is() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    // Well until a write comes: the connection is open and used when it does.
    let (url, seen) = by_hand(|request| {
        request
            .starts_with("GET")
            .then_some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    })
    .await;
    app.connect_n8n(&tenant, &url, "key").await;
    user.get("/api/v1/test/hasty").await.assert_status(200);
    let lost = user.post("/api/v1/test/hasty", json!({})).await;
    assert_failure(&lost, 503, "backend_down", "look before you try again");
    let writes = seen.lock().unwrap().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(writes, 1, "{:?}", seen.lock().unwrap());

    let (url, seen) = by_hand(|_| None).await;
    app.connect_n8n(&tenant, &url, "key").await;
    let read = user.get("/api/v1/workflows/executions/1").await;
    read.assert_problem(503, "backend_down");
    assert_eq!(seen.lock().unwrap().len(), 3, "a read is tried three times");
}

#[tokio::test]
async fn what_is_no_http_at_all_is_a_clear_failure() {
    let app = App::start().await;
    let (tenant, user, _) = crowd(&app, "luna").await;
    let nonsense: [fn(&str) -> Option<&'static str>; 4] = [
        |_| Some("SSH-2.0-OpenSSH_9.9\r\n"),
        |_| Some("HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n{}"),
        |_| Some("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        |_| Some("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}"),
    ];
    for answer in nonsense {
        let (url, _) = by_hand(answer).await;
        app.connect_n8n(&tenant, &url, "key").await;
        let refused = user.get("/api/v1/workflows/executions/1").await;
        refused.assert_problem(503, "backend_down");
        assert!(user.call("workflows_list", json!({})).await.tool_error().contains("n8n"));
    }
}
