//! MCP over Streamable HTTP, at `/mcp` and `/`: revisions 2025-03-26 to 2026-07-28 on one URL, without sessions.
//!
//! The envelope is parsed once, here. `tools/call` goes straight to dispatch (`call`), `tools/list` is put together from
//! what was rendered at start (`list`); every other method goes to rmcp, which does its wire (`server`). What rmcp leaves open is closed on the way: bodies that are no JSON-RPC get a JSON-RPC error,
//! the caller is known before the body is read, and nothing waits for ever. See `docs/adr/0002-tools-call-beside-rmcp.md`.

mod call;
mod envelope;
mod list;
mod server;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State as Shared},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{json, value::RawValue};

use self::envelope::{Envelope, Era, Fault};
pub use self::list::{Listed, listed};
use super::{RequestId, accepts, address, body, json, problem};
use crate::{
    auth::{Caller, authenticate},
    error::{Error, Kind, Result},
    state::State,
};

/// How long a protocol method may take.
const PROTOCOL_TIME_LIMIT: Duration = Duration::from_secs(30);
const ALLOWED: HeaderValue = HeaderValue::from_static("POST");
const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// One MCP request.
pub async fn serve(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    if request.method() != Method::POST {
        return not_allowed();
    }
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map_or_else(|| Arc::from(""), |RequestId(id)| Arc::clone(id));
    match receive(&state, request, &request_id).await {
        Ok(response) => response,
        Err(error) => {
            error.log(&request_id);
            refusal(&error, None)
        }
    }
}

/// Knows the caller, reads the body, and hands the message to the half that answers it.
async fn receive(state: &Arc<State>, request: Request, request_id: &Arc<str>) -> Result<Response> {
    let (mut parts, sent) = request.into_parts();
    let client = address::client(state, &parts.extensions, &parts.headers);
    let caller = authenticate(state, &parts.headers, client).await?;
    if !is_json(&parts.headers) {
        return Ok(fault(
            &Fault::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                envelope::INVALID_REQUEST,
                "Content-Type must be application/json",
            ),
            None,
        ));
    }
    let accepts_json = accepts(&parts.headers, JSON);
    let accepts_stream = accepts(&parts.headers, EVENT_STREAM);
    if !accepts_json && !accepts_stream {
        return Ok(fault(
            &Fault::new(
                StatusCode::NOT_ACCEPTABLE,
                envelope::INVALID_REQUEST,
                "Accept must take application/json and text/event-stream",
            ),
            None,
        ));
    }
    let (caller, bytes) = body::read_from(state, caller, client, &parts.headers, sent).await?;
    // Nothing further in may see, pass on or log the token.
    parts.headers.remove(header::AUTHORIZATION);
    let envelope = match Envelope::parse(&bytes) {
        Ok(Some(envelope)) => envelope,
        // A notification: taken, and, without sessions, of no effect.
        Ok(None) => return Ok(accepted()),
        Err(refused) => return Ok(charged(state, &caller, || fault(&refused, None)).await),
    };
    let era = match envelope.era(&parts.headers) {
        Ok(era) => era,
        Err(refused) => return Ok(charged(state, &caller, || fault(&refused, Some(envelope.id))).await),
    };
    if envelope.method == "tools/call" {
        let wire = call::Wire {
            caller,
            era,
            streams: accepts_stream,
            request_id: Arc::clone(request_id),
        };
        return Ok(call::serve(state, wire, &envelope, &parts.headers, &bytes).await);
    }
    let (admitted, standing) = state.limits.admit_protocol(&caller).await;
    let mut response = match admitted {
        Err(error) => {
            state.metrics.limited(caller.agent());
            refusal(&error, Some(envelope.id))
        }
        Ok(()) if envelope.method == "tools/list" => list::serve(state, &caller, era, &envelope),
        Ok(()) => {
            let id = envelope.id.to_owned();
            parts
                .headers
                .insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
            parts.extensions.insert(caller);
            protocol(state, http::Request::from_parts(parts, Full::new(bytes.clone())), &id).await
        }
    };
    standing.write(response.headers_mut());
    Ok(response)
}

/// What is no call counts as a protocol method, wrong or not.
async fn charged(state: &State, caller: &Caller, answer: impl FnOnce() -> Response) -> Response {
    let (admitted, standing) = state.limits.admit_protocol(caller).await;
    let mut response = match admitted {
        Ok(()) => answer(),
        Err(error) => {
            state.metrics.limited(caller.agent());
            refusal(&error, None)
        }
    };
    standing.write(response.headers_mut());
    response
}

/// A protocol method, by rmcp. Whatever it answers as plain text becomes a JSON-RPC error.
async fn protocol(state: &Arc<State>, request: http::Request<Full<Bytes>>, id: &RawValue) -> Response {
    let answered = tokio::time::timeout(PROTOCOL_TIME_LIMIT, server::service(state).handle(request)).await;
    let Ok(response) = answered else {
        return refusal(&Error::new(Kind::Timeout, "The gateway did not answer in time"), Some(id));
    };
    let (parts, body) = response.into_parts();
    let plain = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    if !parts.status.is_success() && plain {
        // The media type was checked before: rmcp says 415 for a body that it cannot read.
        let status = match parts.status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
            status => status,
        };
        let text = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return fault(
            &Fault::new(status, envelope::INVALID_REQUEST, String::from_utf8_lossy(&text).into_owned()),
            Some(id),
        );
    }
    Response::from_parts(parts, axum::body::Body::new(body))
}

/// A JSON-RPC error of the protocol's own.
fn fault(fault: &Fault, id: Option<&RawValue>) -> Response {
    let mut error = json!({ "code": fault.code, "message": fault.message });
    if let Some(data) = &fault.data {
        error["data"] = data.clone();
    }
    let mut message = json!({ "jsonrpc": "2.0", "error": error });
    if let Some(id) = id {
        message["id"] = serde_json::from_str(id.get()).unwrap_or_default();
    }
    json(fault.status, message.to_string())
}

/// An error of ours before a tool was called. Its code is the HTTP status: outside the range that JSON-RPC keeps for itself.
///
/// The id is null where the message was not read: a member that some clients (Python's `mcp`) need to show the text at all.
pub fn refusal(error: &Error, id: Option<&RawValue>) -> Response {
    let status = error.kind().status();
    let message = json!({
        "jsonrpc": "2.0",
        "id": id.and_then(|id| serde_json::from_str::<serde_json::Value>(id.get()).ok()),
        "error": {
            "code": status.as_u16(),
            "message": error.message(),
            "data": { "code": error.code(), "retryable": error.retryable(), "retry_after": error.retry_after_secs() },
        },
    });
    let mut response = json(status, message.to_string());
    problem::headers(error, response.headers_mut());
    response
}

fn accepted() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// There is no stream to GET and no session to DELETE.
pub fn not_allowed() -> Response {
    let mut response = refusal(&Error::new(Kind::MethodNotAllowed, "MCP is spoken by POST here"), None);
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}

fn is_json(headers: &http::HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JSON))
}

/// Whether a request that may be answered either way is to be served by this revision.
fn modern(era: Era) -> bool {
    era == Era::Modern
}
