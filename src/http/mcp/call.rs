//! `tools/call`: from the envelope to dispatch, and its answer as MCP has it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::{
    JSON, envelope,
    envelope::{Envelope, Era, Fault},
    fault, json, modern, refusal,
};
use crate::{
    auth::Caller,
    backends::{Note, Notifier},
    dispatch::{self, Answer, Call, Door, Input},
    error::{Error, Kind, Result},
    http::stream::{self, Teller},
    idempotency::Key,
    state::State,
    telemetry::Trace,
    tool::Rendered,
};

/// What the edge knows of a call.
pub struct Wire {
    pub caller: Caller,
    pub era: Era,
    /// Whether the client takes a stream of events.
    pub streams: bool,
    pub request_id: Arc<str>,
}

/// The keys of ours in `_meta`.
const RETRY_AFTER: &str = "cl.smarterbot/retryAfter";
const REPLAYED: &str = "cl.smarterbot/replayed";
const ERROR: &str = "cl.smarterbot/error";

pub async fn serve(state: &Arc<State>, wire: Wire, envelope: &Envelope<'_>, headers: &HeaderMap, body: &Bytes) -> Response {
    let tool_call = match envelope.tool_call() {
        Ok(tool_call) => tool_call,
        Err(refused) => return super::charged(state, &wire.caller, || fault(&refused, Some(envelope.id))).await,
    };
    if modern(wire.era)
        && let Err(refused) = envelope::check_name(headers, &tool_call.name)
    {
        return super::charged(state, &wire.caller, || fault(&refused, Some(envelope.id))).await;
    }
    let meta = envelope.meta();
    let asked = Asked {
        progress_token: meta.and_then(|meta| meta.progress_token).map(RawValue::to_owned),
        // A legacy client sets a level that no session keeps: it gets what there is.
        logs: match wire.era {
            Era::Legacy => state.catalogue.logs(),
            Era::Modern => meta.is_some_and(|meta| meta.log_level.is_some()),
        },
    };
    let (notifier, notes) = if wire.streams && asked.anything() {
        let (notifier, notes) = Notifier::channel();
        (notifier, Some(notes))
    } else {
        (Notifier::default(), None)
    };
    let call = Call {
        caller: wire.caller,
        tool: tool_call.name.into_owned(),
        input: Input::Json(
            tool_call
                .arguments
                .map_or_else(Bytes::new, |arguments| body.slice_ref(arguments.get().as_bytes())),
        ),
        key: key(meta, headers),
        door: Door::Mcp,
        trace: trace(meta).or_else(|| Trace::from_headers(headers)),
        request_id: wire.request_id,
        notifier,
    };
    let reply = Reply {
        id: envelope.id.to_owned(),
        era: wire.era,
    };
    if wire.streams {
        stream::answer(state, call, notes, Telling { reply, asked }).await
    } else {
        reply.response(dispatch::call(state, call).await)
    }
}

/// What the client asked to hear before the result.
#[derive(Debug)]
struct Asked {
    progress_token: Option<Box<RawValue>>,
    logs: bool,
}

impl Asked {
    fn anything(&self) -> bool {
        self.progress_token.is_some() || self.logs
    }

    /// A note as a notification, if it was asked for.
    fn message(&self, note: Note) -> Option<Value> {
        match note {
            Note::Progress { progress, total, message } => self.progress(progress.into(), total, message),
            // A line is progress too: there is one more than before.
            Note::Line { number, text } => self.progress(number.into(), None, Some(text)),
            Note::Log { level, data } if self.logs => Some(
                json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "logger": "smartermcp", "data": data } }),
            ),
            Note::Log { .. } | Note::Opened => None,
        }
    }

    fn progress(&self, progress: Value, total: Option<f64>, message: Option<String>) -> Option<Value> {
        let token: Value = serde_json::from_str(self.progress_token.as_ref()?.get()).ok()?;
        let mut params = json!({ "progressToken": token, "progress": progress });
        if let Some(total) = total {
            params["total"] = total.into();
        }
        if let Some(message) = message {
            params["message"] = message.into();
        }
        Some(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
    }
}

/// A call as MCP tells it: notifications, then the response.
struct Telling {
    reply: Reply,
    asked: Asked,
}

impl Teller for Telling {
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

    fn note(&self, note: Note) -> Option<Bytes> {
        let message = self.asked.message(note)?;
        Some(stream::event("message", message.to_string().as_bytes()))
    }

    fn end(&self, answer: &Answer) -> Bytes {
        stream::event("message", &self.reply.message(&answer.outcome, answer.replayed))
    }

    fn whole(&self, answer: Answer) -> Response {
        self.reply.response(answer)
    }
}

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw?.get()).ok()
}

fn trace(meta: Option<&envelope::Meta<'_>>) -> Option<Trace> {
    let meta = meta?;
    Trace::parse(&text(meta.traceparent)?, text(meta.tracestate).as_deref())
}

/// From `_meta`, where a client of MCP can put it, or from the header, where a program can.
fn key(meta: Option<&envelope::Meta<'_>>, headers: &HeaderMap) -> Result<Option<Key>> {
    match meta.and_then(|meta| meta.idempotency_key) {
        Some(raw) => Key::new(&text(Some(raw)).unwrap_or_default()).map(Some),
        None => Key::from_headers(headers),
    }
}

/// Whom an answer goes to.
#[derive(Debug)]
pub struct Reply {
    id: Box<RawValue>,
    era: Era,
}

impl Reply {
    /// The answer as HTTP: JSON with the headers that go with it.
    pub fn response(&self, answer: Answer) -> Response {
        let mut response = match &answer.outcome {
            Err(error) if error.code() == "insufficient_scope" => refusal(error, Some(&self.id)),
            Err(error) if answer.tool.is_none() && error.kind() == Kind::NotFound => fault(
                &Fault::new(StatusCode::OK, envelope::INVALID_PARAMS, error.message().to_owned()),
                Some(&self.id),
            ),
            outcome => {
                let mut response = json(StatusCode::OK, self.message(outcome, answer.replayed));
                if let Err(error) = outcome {
                    super::problem::retry_after(error, response.headers_mut());
                }
                response
            }
        };
        answer.standing.write(response.headers_mut());
        debug_assert!(response.headers().get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == JSON));
        response
    }

    /// The JSON-RPC message. Composed by hand: the tool's JSON goes in twice as it is, once more as text.
    pub fn message(&self, outcome: &Result<Rendered>, replayed: bool) -> Vec<u8> {
        let size = match outcome {
            Ok(Rendered::Object(object)) => object.get().len() * 2 + object.get().len() / 4,
            _ => 0,
        };
        let mut out = Vec::with_capacity(size + 512);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(self.id.get().as_bytes());
        out.extend_from_slice(b",\"result\":{");
        let mut meta = serde_json::Map::new();
        match outcome {
            Ok(Rendered::Object(object)) => {
                text_block(&mut out, object.get());
                out.extend_from_slice(b",\"structuredContent\":");
                out.extend_from_slice(object.get().as_bytes());
                out.extend_from_slice(b",\"isError\":false");
            }
            Ok(Rendered::Content(content)) => {
                out.extend_from_slice(b"\"content\":");
                push_json(&mut out, &content.blocks);
                out.extend_from_slice(if content.is_error {
                    b",\"isError\":true"
                } else {
                    b",\"isError\":false"
                });
            }
            Err(error) => {
                text_block(&mut out, error.message());
                out.extend_from_slice(b",\"isError\":true");
                describe(error, &mut meta);
            }
        }
        if replayed {
            meta.insert(REPLAYED.to_owned(), true.into());
        }
        if modern(self.era) {
            out.extend_from_slice(b",\"resultType\":\"complete\"");
            meta.insert("io.modelcontextprotocol/serverInfo".to_owned(), super::server::info_json().clone());
        }
        if !meta.is_empty() {
            out.extend_from_slice(b",\"_meta\":");
            push_json(&mut out, &meta);
        }
        out.extend_from_slice(b"}}");
        out
    }
}

/// A failure in words that a model can act on; the machine's half lies in `_meta`.
fn describe(error: &Error, meta: &mut serde_json::Map<String, serde_json::Value>) {
    meta.insert(
        ERROR.to_owned(),
        serde_json::json!({ "code": error.code(), "status": error.kind().status().as_u16(), "retryable": error.retryable() }),
    );
    if let Some(seconds) = error.retry_after_secs() {
        meta.insert(RETRY_AFTER.to_owned(), seconds.into());
    }
}

fn text_block(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"\"content\":[{\"type\":\"text\",\"text\":");
    push_json(out, text);
    out.extend_from_slice(b"}]");
}

fn push_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing strings and maps of strings to memory does not fail.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}
