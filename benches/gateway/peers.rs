//! Peers: what the gateway is compared with, and the JSON backend behind them, each a process of its own.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{any, get, post},
    serve::ListenerExt as _,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities, ServerConfig},
    service::RequestContext,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager},
};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{Result, load::MARKER, process::loopback};

/// Where the backend says how often it was asked for an execution.
pub const HITS: &str = "/hits";

/// Serves one peer until stdin ends.
pub fn serve(arguments: &[String]) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let router = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["backend"] => backend(),
        ["slow", kind] => slow(kind),
        ["axum"] => bare_axum(),
        ["rmcp"] => mcp(Canned(kilobyte())),
        ["rmcp-reqwest", url] => mcp(Calling::new(url, Reading::Parsed)?),
        ["rmcp-reqwest-unread", url] => mcp(Calling::new(url, Reading::Unread)?),
        _ => return Err(format!("no such peer: {arguments:?}").into()),
    };
    // Every peer has the default runtime: as many workers as the machine has cores.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(loopback(0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}

/// A JSON service of n8n's shape: an execution of about 1 KB, and an empty list for anything else.
fn backend() -> Router {
    let hits = Arc::new(AtomicU64::new(0));
    let execution = |State(hits): State<Arc<AtomicU64>>, Path(id): Path<String>| async move {
        hits.fetch_add(1, Ordering::Relaxed);
        ([(CONTENT_TYPE, "application/json; charset=utf-8")], execution(&id))
    };
    let empty = || async {
        (
            [(CONTENT_TYPE, "application/json; charset=utf-8")],
            r#"{"data":[],"nextCursor":null}"#,
        )
    };
    Router::new()
        .route("/api/v1/executions/{id}", get(execution))
        .route(
            HITS,
            get(|State(hits): State<Arc<AtomicU64>>| async move { hits.load(Ordering::Relaxed).to_string() }),
        )
        .fallback(any(empty))
        .with_state(hits)
}

/// A backend of a kind that takes two seconds to say that it has nothing.
fn slow(kind: &str) -> Router {
    let nothing = match kind {
        "chatwoot" => "[]",
        "botpress" => r#"{"bots":[],"meta":{}}"#,
        _ => r#"{"data":[],"total":0}"#,
    };
    Router::new().fallback(any(move |uri: axum::http::Uri| async move {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        // Metabase's tree of collections, of which there are none but the root.
        let answer = if uri.path().ends_with("/tree") { "[]" } else { nothing };
        ([(CONTENT_TYPE, "application/json; charset=utf-8")], answer)
    }))
}

/// A finished execution with its data, as n8n's public API answers it; most of it is the last node's output.
fn execution(id: &str) -> String {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    format!(
        concat!(
            r#"{{"id":"{id}","finished":true,"mode":"webhook","retryOf":null,"retrySuccessId":null,"status":"success","#,
            r#""createdAt":"2026-11-20T23:58:23.546Z","startedAt":"2026-11-20T23:58:23.575Z","stoppedAt":"2026-11-20T23:58:23.651Z","#,
            r#""deletedAt":null,"workflowId":"q7WnBenchFlow001","waitTill":null,"storedAt":"db","#,
            r#""data":{{"version":1,"startData":{{}},"resultData":{{"runData":{{"Report":[{{"startTime":1795219103596,"executionIndex":0,"#,
            r#""source":[],"hints":[],"executionTime":48,"executionStatus":"success","data":{{"main":[[{{"json":{{"result":"{marker}","#,
            r#""customer":{{"name":"Comercial Andina SpA","city":"Valparaíso","since":2019,"active":true}},"#,
            r#""lines":[{{"item":"A-100","units":3,"price":12990}},{{"item":"B-200","units":1,"price":45500}},"#,
            r#"{{"item":"C-300","units":12,"price":990.5}}],"total":96356,"note":"Paid by transfer, to be delivered on Thursday."}},"#,
            r#""pairedItem":{{"item":0}}}}]]}}}}]}},"lastNodeExecuted":"Report"}}}},"#,
            r#""customData":{{}},"workflowData":{{"id":"q7WnBenchFlow001","name":"Nightly report"}}}}"#
        ),
        id = id,
        marker = MARKER,
    )
}

/// A text of 1 KB that holds the marker.
fn kilobyte() -> String {
    format!("{MARKER}{}", "x".repeat(1024 - MARKER.len()))
}

/// The floor: a web framework that reads JSON and answers 1 KB.
fn bare_axum() -> Router {
    let answer: Arc<str> = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, kilobyte()).into();
    let call = |State(answer): State<Arc<str>>, Json(request): Json<Value>| async move {
        match request.get("method") {
            Some(_) => ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response(),
            None => axum::http::StatusCode::BAD_REQUEST.into_response(),
        }
    };
    Router::new().route("/mcp", post(call)).with_state(answer)
}

/// An MCP server of rmcp's, without sessions and with plain JSON answers: the cheapest way it runs.
fn mcp<S: ServerHandler + Clone>(server: S) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None);
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config);
    Router::new().route_service("/mcp", service)
}

fn with_tools() -> ServerConfig {
    ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
}

/// A server whose tool answers a text that it has at hand.
#[derive(Clone)]
struct Canned(String);

impl ServerHandler for Canned {
    fn get_info(&self) -> ServerConfig {
        with_tools()
    }

    async fn call_tool(&self, _: CallToolRequestParams, _: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(self.0.clone())]).into())
    }
}

/// A server whose tool asks the JSON backend, by a pooled client: the gateway's own shape, with no policy at all.
#[derive(Clone)]
struct Calling {
    http: reqwest::Client,
    base: Arc<str>,
    reading: Reading,
}

/// What becomes of the backend's answer.
#[derive(Clone, Copy)]
enum Reading {
    /// Parsed, and answered as structured content with its twin as text.
    Parsed,
    /// Answered as text, as it came: the least that a server can do.
    Unread,
}

impl Calling {
    fn new(base: &str, reading: Reading) -> Result<Self> {
        // A client cannot be built without a TLS provider, though everything here is plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            http,
            base: base.into(),
            reading,
        })
    }

    async fn execution(&self, id: &str) -> Result<CallToolResult> {
        let url = format!("{}/api/v1/executions/{id}?includeData=true", self.base);
        let answer = self.http.get(url).header("X-N8N-API-KEY", "k").send().await?.error_for_status()?;
        let body = answer.bytes().await?;
        Ok(match self.reading {
            Reading::Parsed => CallToolResult::structured(serde_json::from_slice(&body)?),
            Reading::Unread => CallToolResult::success(vec![ContentBlock::text(String::from_utf8(body.into())?)]),
        })
    }
}

impl ServerHandler for Calling {
    fn get_info(&self) -> ServerConfig {
        with_tools()
    }

    async fn call_tool(&self, request: CallToolRequestParams, _: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let id = request
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get("execution_id")?.as_str());
        let id = id.ok_or_else(|| ErrorData::invalid_params("execution_id: is missing", None))?;
        match self.execution(id).await {
            Ok(result) => Ok(result.into()),
            Err(error) => Err(ErrorData::internal_error(error.to_string(), None)),
        }
    }
}
