//! Spans, as a played collector receives them: whose they are, what lies below what, and what is in none of them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use opentelemetry_sdk::trace::Sampler;
use prost::Message as _;
use serde_json::json;
use smartermcp::config::{Otlp, Secret};

use crate::{
    app::{App, BUSINESS, OPERATOR},
    cli::{Folder, Process, run_with},
};

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

/// A played collector of OTLP over http/protobuf.
#[derive(Clone, Default)]
struct Collector {
    exports: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn start() -> (Self, url::Url) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let take = |State(collector): State<Self>, headers: HeaderMap, body: Bytes| async move {
            collector.exports.lock().unwrap().push((headers, body));
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, url.parse().unwrap())
    }

    fn decoded(&self) -> Vec<ExportTraceServiceRequest> {
        let exports = self.exports.lock().unwrap();
        exports
            .iter()
            .map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).expect("an export is protobuf"))
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let scopes = self
            .decoded()
            .into_iter()
            .flat_map(|export| export.resource_spans)
            .flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Waits until so many spans of this name came.
    async fn named(&self, name: &str, count: usize) -> Vec<Span> {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let found: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
            if found.len() >= count {
                return found;
            }
            assert!(tokio::time::Instant::now() < until, "{} of {count} spans {name}", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn holds(&self, text: &str) -> bool {
        let exports = self.exports.lock().unwrap();
        exports
            .iter()
            .any(|(_, body)| body.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

fn otlp(endpoint: url::Url) -> Option<Otlp> {
    Some(Otlp {
        endpoint,
        headers: vec![("x-api-key".to_owned(), Secret::new("key%20of%20the%20collector"))],
        service: "gateway-under-test".to_owned(),
        sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
    })
}

fn attribute(of: &[KeyValue], name: &str) -> String {
    let value = of.iter().find(|attribute| attribute.key == name);
    match value.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_call_leaves_a_span_under_its_callers_and_below_it_one_for_the_backend() {
    let (collector, url) = Collector::start().await;
    let app = App::with(|config| config.otlp = otlp(url)).await;
    let (tenant, user, n8n) = app.business("luna").await;
    let traced = user
        .with_header("traceparent", &format!("00-{CALLER_TRACE}-{CALLER_SPAN}-01"))
        .with_header("tracestate", "vendor=1");
    let reply = traced.get("/api/v1/workflows").await;
    reply.assert_status(200);

    let server = &collector.named("workflows_list", 1).await[0];
    assert_eq!(
        (hex(&server.trace_id), hex(&server.parent_span_id)),
        (CALLER_TRACE.to_owned(), CALLER_SPAN.to_owned())
    );
    assert_eq!(server.kind(), SpanKind::Server);
    for (name, value) in [
        ("smartermcp.tool", "workflows_list"),
        ("smartermcp.category", "workflows"),
        ("smartermcp.tenant_id", tenant.id.as_str()),
        ("smartermcp.agent", "none"),
        ("smartermcp.door", "rest"),
        ("smartermcp.request_id", reply.header("x-request-id")),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&server.attributes, name), value, "{name}");
    }
    let client = &collector.named("GET n8n", 1).await[0];
    assert_eq!((&client.trace_id, &client.parent_span_id), (&server.trace_id, &server.span_id));
    assert_eq!(client.kind(), SpanKind::Client);
    for (name, value) in [
        ("smartermcp.backend", "n8n"),
        ("smartermcp.attempt", "1"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(attribute(&client.attributes, name), value, "{name}");
    }
    assert!(client.start_time_unix_nano >= server.start_time_unix_nano && client.end_time_unix_nano <= server.end_time_unix_nano);
    // What the backend does lies below the client span.
    let passed = n8n.last_request_headers();
    assert!(
        passed["traceparent"].to_str().unwrap().starts_with(&format!("00-{CALLER_TRACE}-")),
        "{passed:?}"
    );
    assert_eq!(passed["tracestate"], "vendor=1");

    let (headers, _) = collector.exports.lock().unwrap()[0].clone();
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["x-api-key"], "key of the collector");
    let resource = collector.decoded()[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name"), "gateway-under-test");
    assert_eq!(attribute(&resource.attributes, "service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(attribute(&resource.attributes, "service.instance.id"), app.state.instance);
}

#[tokio::test]
async fn each_attempt_has_a_span_and_says_how_it_failed() {
    let (collector, url) = Collector::start().await;
    let app = App::with(|config| config.otlp = otlp(url)).await;
    let tenant = app.tenant("luna").await;
    app.connect_n8n(&tenant, "http://127.0.0.1:1", "key-of-luna").await;
    let user = app.user_with(&tenant, BUSINESS, json!({ "agent": "codex" })).await;
    user.call("workflows_list", json!({})).await.tool_error();
    let server = &collector.named("workflows_list", 1).await[0];
    assert_eq!(attribute(&server.attributes, "error.type"), "backend_down");
    assert_eq!(attribute(&server.attributes, "http.response.status_code"), "503");
    assert_eq!(attribute(&server.attributes, "smartermcp.door"), "mcp");
    assert_eq!(attribute(&server.attributes, "smartermcp.agent"), "codex");
    assert_eq!(server.status.as_ref().unwrap().code(), StatusCode::Error);
    assert!(
        server.parent_span_id.is_empty() && server.trace_id.iter().any(|byte| *byte != 0),
        "a trace of its own"
    );
    // The call's own span ends last: those below it were sent before or with it.
    let attempts = collector.named("GET n8n", 3).await;
    for span in &attempts {
        assert_eq!(attribute(&span.attributes, "error.type"), "backend_down");
        assert_eq!((&span.trace_id, &span.parent_span_id), (&server.trace_id, &server.span_id));
    }
    // Two requests run side by side, and five failures in a row let the connection rest.
    for number in ["1", "2"] {
        let is_this = |span: &&Span| attribute(&span.attributes, "smartermcp.attempt") == number;
        assert!(attempts.iter().any(|span| is_this(&span)), "attempt {number}");
    }

    // A caller's mistake and an unknown tool have spans too, and are no fault of the gateway.
    user.post("/api/v1/tools/workflows_status", json!({})).await.assert_status(422);
    let mistaken = &collector.named("workflows_status", 1).await[0];
    assert_eq!(attribute(&mistaken.attributes, "error.type"), "invalid_input");
    assert_ne!(mistaken.status.clone().unwrap_or_default().code(), StatusCode::Error);
    user.call("no_such_tool", json!({})).await;
    assert_eq!(
        attribute(&collector.named("none", 1).await[0].attributes, "error.type"),
        "unknown_tool"
    );
    assert!(!collector.holds("no_such_tool"));
}

#[tokio::test]
async fn no_parameter_path_or_credential_is_in_a_span_and_a_stop_sends_what_is_left() {
    let (collector, url) = Collector::start().await;
    let app = App::with(|config| config.otlp = otlp(url)).await;
    let (_, user, _) = app.business("luna").await;
    let traced = user.with_key("idempotency-key-of-the-test");
    let path = "/api/v1/workflows/wf_backup_db/trigger?";
    traced
        .post(path, json!({ "input_data": { "rut": "secret-parameter" } }))
        .await
        .assert_status(200);
    let issued = app
        .operator()
        .post("/auth/token", json!({ "name": "x", "scopes": ["read:crm"] }))
        .await;
    let new_token = issued.json["api_token"].as_str().unwrap().to_owned();
    app.stop().await;
    for tool in ["workflows_trigger", "tokens_create", "connections_set"] {
        assert!(
            collector.spans().iter().any(|span| span.name == tool),
            "{tool}: sent before the stop was over"
        );
    }
    for secret in [
        "secret-parameter",
        "rut",
        "wf_backup_db",
        "webhook",
        "luna.",
        "key-of-luna",
        "key of the collector",
        "idempotency-key-of-the-test",
        user.token.as_str(),
        new_token.as_str(),
        OPERATOR,
    ] {
        assert!(!collector.holds(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_sent() {
    let (collector, url) = Collector::start().await;
    let app = App::with(|config| config.otlp = otlp(url)).await;
    let (_, user, n8n) = app.business("luna").await;
    let unsampled = user.with_header("traceparent", &format!("00-{CALLER_TRACE}-{CALLER_SPAN}-00"));
    unsampled.get("/api/v1/workflows").await.assert_status(200);
    let passed = n8n.last_request_headers()["traceparent"].to_str().unwrap().to_owned();
    assert!(
        passed.starts_with(&format!("00-{CALLER_TRACE}-")) && passed.ends_with("-00"),
        "{passed}"
    );
    app.stop().await;
    assert!(!collector.spans().is_empty() && collector.spans().iter().all(|span| hex(&span.trace_id) != CALLER_TRACE));
}

#[tokio::test]
async fn a_dead_collector_costs_a_counted_drop_and_one_line() {
    let folder = Folder::new();
    let settings = [
        ("SMARTERMCP_ADMIN_TOKEN", OPERATOR),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collectors-secret"),
    ];
    let server = Process::serve_with(&folder.0, &settings).await;
    let operator = server.operator();
    let dropped = async || {
        let metrics = operator.get("/metrics").await.text;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("smartermcp_spans_dropped_total"))
            .unwrap()
            .to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(dropped().await, 0);
    for batch in 0..2 {
        operator.get("/api/v1/tenants").await.assert_status(200);
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while dropped().await <= batch {
            assert!(tokio::time::Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    operator.get("/api/v1/tenants").await.assert_status(200);
    let log = server.stop().await;
    assert_eq!(log.matches("the collector takes no spans").count(), 1, "{log}");
    assert!(!log.contains("collectors-secret"));
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_no_stop_up() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    let app = App::with(|config| config.otlp = otlp(url.parse().unwrap())).await;
    let (_, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    tokio::time::timeout(Duration::from_secs(10), app.stop())
        .await
        .expect("the stop does not wait for the collector");
    silent.abort();
}

#[tokio::test]
async fn without_an_endpoint_there_are_no_spans_and_no_trace_is_made_up() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    assert!(app.state.spans.is_none());
    assert!(!n8n.last_request_headers().contains_key("traceparent"));
}

#[tokio::test]
async fn a_wrong_setting_of_the_exporter_is_named_and_not_quoted_where_it_may_be_secret() {
    let folder = Folder::new();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    for (name, value, remedy) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:s3cret@collector", "without a user"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://collector/?key=s3cret",
            "without a user",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "na me=s3cret", "name=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "name=s3cret%0a", "name=value"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "traceidratio"),
    ] {
        let done = run_with(&folder.0, &["serve"], &[endpoint, (name, value)], "").await;
        let said = done.failure();
        assert!(said.starts_with(name) && said.contains(remedy), "{name}={value}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let settings = [endpoint, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
    let refused = run_with(&folder.0, &["serve"], &settings, "").await;
    assert!(refused.failure().starts_with("OTEL_TRACES_SAMPLER_ARG"), "{refused:?}");
}
