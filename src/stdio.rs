//! `smartermcp stdio`: an MCP server over stdio that is a bridge to a gateway, for hosts that cannot sign in there.
//!
//! Each line of standard input is one JSON-RPC message and goes to the gateway as one POST; what comes back, JSON or events, goes
//! out as lines (MCP, Transports: stdio, Streamable HTTP). The bridge knows no tools and keeps nothing but the revision that
//! `initialize` agreed on: what a message means is the gateway's to say. Standard output has messages and nothing else.
//!
//! What goes wrong on the way becomes a JSON-RPC error with the request's id and says the remedy: a host shows that to its user, and
//! no log.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, BufRead, Read as _, Write as _},
    sync::Arc,
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

use crate::{
    auth::{UNAUTHORIZED, X_TENANT_ID},
    config::Endpoint,
    error::{Error, Kind, Result, chain},
    idempotency, serve,
};

/// The longest line that is read: the longest body that the gateway takes.
const LINE_MAX: usize = 4 * 1024 * 1024;
/// The longest message that is taken from the gateway: a tool's answer stands in it twice, once as text.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Messages that are at the gateway at once, and those that have been read at all; beyond these, nothing more is read.
const AT_ONCE: usize = 8;
const TAKEN: usize = 64;
/// How long calls may go on when the host has closed our input, and writing when they have ended.
const DRAIN: Duration = Duration::from_secs(5);
const LAST_LINES: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(10);
/// The longest silence of a gateway that works: it says so every 15 s.
const SILENCE: Duration = Duration::from_secs(90);
/// Before the second attempt: a gateway that restarts is back within a moment.
const PAUSE: Duration = Duration::from_secs(1);

const PARSE_ERROR: i64 = -32700;
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Bridges standard input and output to a gateway until the host closes either.
///
/// # Errors
/// When the host no longer reads, or this process cannot begin.
pub async fn run(endpoint: Endpoint) -> Result<()> {
    serve::install_crypto();
    let bridge = Arc::new(Bridge::new(endpoint)?);
    let mut lines = lines().map_err(Error::internal)?;
    let (out, written) = writer().map_err(Error::internal)?;
    let mut messages = JoinSet::new();
    let mut requests: HashMap<String, AbortHandle> = HashMap::new();
    tracing::info!(endpoint = %bridge.endpoint.url, "bridging standard input and output to the gateway");
    loop {
        let line = tokio::select! {
            line = lines.recv(), if messages.len() < TAKEN => line,
            Some(ended) = messages.join_next() => {
                ended_well(ended);
                continue;
            }
            () = out.closed() => return Err(Error::unavailable("The host no longer reads what is written to it")),
        };
        let message = match line {
            None => break,
            Some(Line::TooLong) => Err(failure(
                None,
                &Error::new(Kind::TooLarge, format!("A line is longer than {} MiB", LINE_MAX / 1024 / 1024)),
            )),
            Some(Line::Whole(line)) => Message::read(line, bridge.agreed.load().as_deref()).map_err(|error| {
                let wrong = Wrong {
                    code: PARSE_ERROR,
                    message: format!("Parse error: {error}").into(),
                    data: None,
                };
                wrong.line(None)
            }),
        };
        match message {
            Err(refusal) => drop(out.send(refusal).await),
            Ok(Message {
                taken_back: Some(request), ..
            }) => {
                // The gateway takes a connection that is closed for this very notice (2026-07-28, Streamable HTTP, Cancellation).
                if let Some(request) = requests.remove(&request) {
                    request.abort();
                }
            }
            Ok(message) => {
                requests.retain(|_, request| !request.is_finished());
                let id = message.id.clone();
                let task = messages.spawn(Arc::clone(&bridge).conduct(message, out.clone()));
                if let Some(id) = id {
                    requests.insert(plain(&id), task);
                }
            }
        }
    }
    let drained = timeout(DRAIN, async {
        while let Some(ended) = messages.join_next().await {
            ended_well(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(calls = messages.len(), "the host has gone, and calls that went on were given up");
        messages.shutdown().await;
    }
    drop(out);
    let _ = timeout(LAST_LINES, written).await;
    Ok(())
}

fn ended_well(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a message was lost");
    }
}

/// An id as it is compared: `"a"` may be written in several ways.
fn plain(id: &RawValue) -> String {
    serde_json::from_str::<serde_json::Value>(id.get()).map_or_else(|_| id.get().to_owned(), |id| id.to_string())
}

/// What standard input had next.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Reads standard input on a thread of its own: a process must be able to end while one waits there.
fn lines() -> io::Result<mpsc::Receiver<Line>> {
    let (sender, lines) = mpsc::channel(1);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let line = match next_line(&mut input) {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "standard input cannot be read"),
            };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// The next line that has something in it; `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.len() > LINE_MAX && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Some(Line::Whole(line)));
        }
    }
}

/// Writes whole lines to standard output, on a thread of its own like [`lines`]; the second half says when the last was written.
fn writer() -> io::Result<(mpsc::Sender<Vec<u8>>, oneshot::Receiver<()>)> {
    let (out, mut lines) = mpsc::channel::<Vec<u8>>(TAKEN);
    let (done, written) = oneshot::channel();
    thread::Builder::new().name("stdout".to_owned()).spawn(move || {
        let mut output = io::stdout().lock();
        while let Some(line) = lines.blocking_recv() {
            if let Err(error) = output.write_all(&line).and_then(|()| output.flush()) {
                return tracing::warn!(%error, "standard output cannot be written");
            }
        }
        let _ = done.send(());
    })?;
    Ok((out, written))
}

/// A message of the host, on its way.
struct Message {
    body: Bytes,
    /// As it was written. Without one it is a notification, or what only the gateway can name.
    id: Option<Box<RawValue>>,
    method: Option<String>,
    /// What the body says of itself (2026-07-28, Streamable HTTP, Request Metadata), and its idempotency key.
    headers: HeaderMap,
    /// The request that this message cancels.
    taken_back: Option<String>,
}

#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "requestId")]
    request_id: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<Cow<'a, str>>,
}

/// What was written there, or nothing: whatever is odd about a message, the gateway says it better.
fn leniently<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    // A struct would be read from a list too, member by member.
    let raw = raw.filter(|raw| !raw.get().starts_with('['));
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

impl Message {
    /// Reads a line. `agreed` is the revision of the handshake, for messages that do not name their own.
    ///
    /// # Errors
    /// When it is no JSON; everything else is the gateway's to refuse.
    fn read(line: Vec<u8>, agreed: Option<&HeaderValue>) -> serde_json::Result<Self> {
        let body = Bytes::from(line);
        let said: Said<'_> = leniently(Some(serde_json::from_slice::<&RawValue>(&body)?));
        let params: Params<'_> = leniently(said.params);
        let meta: Meta<'_> = leniently(params.meta);
        let mut headers = HeaderMap::new();
        let method = said.method.as_deref().unwrap_or_default();
        if let Some(version) = meta.version {
            let name = match method {
                "tools/call" | "prompts/get" => params.name,
                "resources/read" => params.uri,
                _ => None,
            };
            let name: Option<Cow<'_, str>> = leniently(name);
            put(&mut headers, PROTOCOL_VERSION, Some(&version));
            put(&mut headers, MCP_METHOD, Some(method));
            put(&mut headers, MCP_NAME, name.as_deref());
        } else if let Some(agreed) = agreed.filter(|_| method != "initialize") {
            headers.insert(PROTOCOL_VERSION, agreed.clone());
        }
        if method == "tools/call" {
            // Of one call and its second attempt; a key that the host wrote into `_meta` stands above it.
            let key = uuid::Uuid::new_v4().to_string();
            put(&mut headers, HeaderName::from_static(idempotency::HEADER), Some(&key));
        }
        let taken_back = (method == "notifications/cancelled").then(|| params.request_id.map(plain).unwrap_or_default());
        Ok(Self {
            id: said.id.map(RawValue::to_owned),
            method: said.method.map(Cow::into_owned),
            headers,
            taken_back,
            body,
        })
    }

    fn is_notification(&self) -> bool {
        self.id.is_none() && self.method.is_some()
    }

    fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }
}

/// Sets a header, encoded where its text could not stand in one (2026-07-28, Streamable HTTP, Value Encoding).
fn put(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) {
    let Some(text) = text else { return };
    let can_stand = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text && !text.starts_with("=?base64?");
    let value = match can_stand {
        true => HeaderValue::from_str(text),
        false => HeaderValue::try_from(format!("=?base64?{}?=", STANDARD.encode(text))),
    };
    headers.extend(value.ok().map(|value| (name, value)));
}

/// The way to one gateway.
struct Bridge {
    endpoint: Endpoint,
    http: reqwest::Client,
    /// The revision that the last `initialize` agreed on.
    agreed: ArcSwapOption<HeaderValue>,
    places: Semaphore,
}

/// The connection failed before the answer was there.
struct Broken {
    cause: String,
    /// Whether the gateway may have taken the message.
    sent: bool,
}

impl From<reqwest::Error> for Broken {
    fn from(error: reqwest::Error) -> Self {
        Self {
            sent: !error.is_connect(),
            cause: chain(&error.without_url()),
        }
    }
}

impl Bridge {
    fn new(endpoint: Endpoint) -> Result<Self> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", endpoint.token.expose())).map_err(Error::internal)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, bearer),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
        ]);
        if let Some(tenant) = &endpoint.tenant {
            headers.insert(X_TENANT_ID, tenant.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("smartermcp-stdio/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A token is not carried to where an answer points.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if endpoint.is_here() {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().map_err(Error::no_client)?,
            endpoint,
            agreed: ArcSwapOption::empty(),
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// Takes one message to the gateway, and its answer back.
    async fn conduct(self: Arc<Self>, message: Message, out: mpsc::Sender<Vec<u8>>) {
        let Ok(_place) = self.places.acquire().await else { return };
        let answer = match self.twice(&message, &out).await {
            Ok(answer) => answer,
            Err(broken) => {
                tracing::warn!(method = message.method, cause = broken.cause, "the gateway cannot be reached");
                failure(message.id.as_deref(), &self.away(&message, &broken))
            }
        };
        if !message.is_notification() {
            // A host that no longer reads ends the whole bridge.
            let _ = out.send(answer).await;
        }
    }

    /// Tries once more where the connection fails: everything but a call changes nothing, and a call carries its key, with which the
    /// gateway answers what came of the first attempt.
    async fn twice(&self, message: &Message, out: &mpsc::Sender<Vec<u8>>) -> Result<Vec<u8>, Broken> {
        let mut told = false;
        let first = match self.attempt(message, out, &mut told).await {
            Ok(answer) => return Ok(answer),
            Err(broken) => broken,
        };
        tracing::info!(
            method = message.method,
            cause = first.cause,
            "the connection failed; trying once more"
        );
        tokio::time::sleep(PAUSE).await;
        // What was told of the first attempt is not told again: progress only ever grows.
        let mut quiet = told;
        self.attempt(message, out, &mut quiet).await.map_err(|second| Broken {
            sent: first.sent || second.sent,
            ..second
        })
    }

    /// One POST, to the line that ends it. Events before that go out as they come, unless some were `told` before.
    async fn attempt(&self, message: &Message, out: &mpsc::Sender<Vec<u8>>, told: &mut bool) -> Result<Vec<u8>, Broken> {
        let request = self.http.post(self.endpoint.url.clone()).headers(message.headers.clone());
        let mut response = request.body(message.body.clone()).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let id = message.id.as_deref();
        let mut events = Events::default();
        let mut body = Vec::new();
        let streams = is_stream(&headers);
        let quiet = *told;
        while let Some(piece) = response.chunk().await? {
            if body.len().max(events.len()) + piece.len() > ANSWER_MAX {
                let cause = format!("the gateway's answer is longer than {} MiB", ANSWER_MAX / 1024 / 1024);
                return Ok(failure(id, &Error::new(Kind::BackendRefused, cause).coded("answer_too_long")));
            }
            if !streams {
                body.extend_from_slice(&piece);
                continue;
            }
            for event in events.read(&piece) {
                match serde_json::from_slice::<Answer<'_>>(&event) {
                    Ok(Answer {
                        method: Some(_), id: None, ..
                    }) => {
                        *told = true;
                        if !quiet {
                            let _ = out.send(line(event)).await;
                        }
                    }
                    // A gateway of ours asks nothing of its clients.
                    Ok(Answer { method: Some(_), .. }) => tracing::warn!("a request of the gateway is passed over"),
                    _ => return Ok(self.answer(message, status, &headers, &event)),
                }
            }
        }
        if streams {
            return Err(Broken {
                cause: "the stream ended before the answer".to_owned(),
                sent: true,
            });
        }
        Ok(self.answer(message, status, &headers, &body))
    }

    /// The gateway's answer as a line, under the request's own id: a refusal that came before the body was read has none.
    fn answer(&self, message: &Message, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
        let id = message.id.as_deref();
        match serde_json::from_slice::<Answer<'_>>(body) {
            Ok(Answer { result: Some(result), .. }) if status.is_success() => {
                if message.is("initialize") {
                    let agreed: Initialized<'_> = leniently(Some(result));
                    self.agreed
                        .store(HeaderValue::from_str(&agreed.protocol_version).ok().map(Arc::new));
                }
                compose(id, "result", result.get())
            }
            Ok(Answer { error: Some(wrong), .. }) => {
                log(message, status, &wrong.message);
                wrong.explained(status).line(id)
            }
            _ if message.is_notification() && status.is_success() => Vec::new(),
            _ => {
                let error = self.no_mcp(status, headers);
                log(message, status, error.message());
                failure(id, &error)
            }
        }
    }

    /// An answer that is no JSON-RPC: of a proxy, or of something else altogether.
    fn no_mcp(&self, status: StatusCode, headers: &HeaderMap) -> Error {
        let url = &self.endpoint.url;
        let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let wait = after.map_or_else(|| "shortly".to_owned(), |seconds: u64| format!("in {seconds} s"));
        let error = match status {
            StatusCode::UNAUTHORIZED => return Error::new(Kind::Unauthenticated, format!("{UNAUTHORIZED}. {RENEW}.")),
            StatusCode::TOO_MANY_REQUESTS => Error::new(Kind::RateLimited, format!("{url} takes no more for now. Try again {wait}.")),
            StatusCode::PAYLOAD_TOO_LARGE => Error::new(Kind::TooLarge, "The message is larger than the gateway takes"),
            _ if status.is_server_error() => Error::unavailable(format!(
                "{url} answers {status}: the gateway, or a proxy before it, is not well. Try again {wait}."
            ))
            .coded("gateway_not_well"),
            _ if status.is_redirection() => Error::new(
                Kind::BackendRefused,
                format!("{url} leads elsewhere ({status}). Set SMARTERMCP_ENDPOINT to the address that it leads to."),
            )
            .coded("no_mcp"),
            _ => Error::new(
                Kind::BackendRefused,
                format!("There is no MCP at {url} ({status}). Set SMARTERMCP_ENDPOINT to the gateway's address."),
            )
            .coded("no_mcp"),
        };
        match after {
            Some(seconds) => error.retry_after(seconds),
            None => error,
        }
    }

    fn away(&self, message: &Message, broken: &Broken) -> Error {
        let url = &self.endpoint.url;
        let cause = &broken.cause;
        let error = if broken.sent && message.is("tools/call") {
            Error::unavailable(format!(
                "The connection to {url} failed twice ({cause}). Whether the call was carried out is not known: look before you call again."
            ))
            .once()
        } else {
            Error::unavailable(format!(
                "{url} cannot be reached ({cause}). Check the network and SMARTERMCP_ENDPOINT, and try again."
            ))
        };
        error.coded("gateway_away")
    }
}

const RENEW: &str = "Set SMARTERMCP_API_TOKEN to a token that is valid, and start this server again";

/// In the log too, where nobody is left to answer.
fn log(message: &Message, status: StatusCode, said: &str) {
    tracing::warn!(method = message.method, status = status.as_u16(), "the gateway refuses: {said}");
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            kind.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case("text/event-stream")
        })
}

/// A message of the gateway.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Wrong<'a>>,
}

/// A JSON-RPC error (JSON-RPC 2.0 §5.1).
#[derive(Deserialize, serde::Serialize)]
struct Wrong<'a> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl Wrong<'_> {
    /// The refusal, with what the user of this bridge can do about it.
    fn explained(mut self, status: StatusCode) -> Self {
        let about: About<'_> = leniently(self.data);
        let remedy = match (status, about.code.as_deref()) {
            (StatusCode::UNAUTHORIZED, _) => RENEW,
            (_, Some("tenant_not_found")) => "Set SMARTERMCP_TENANT_ID to the id or the slug of the token's own tenant, or leave it out",
            (_, Some("insufficient_scope")) => "Set SMARTERMCP_API_TOKEN to a token that has it",
            _ => return self,
        };
        self.message = format!("{}. {remedy}.", self.message.trim_end_matches('.')).into();
        self
    }

    fn line(&self, id: Option<&RawValue>) -> Vec<u8> {
        compose(id, "error", &serde_json::to_string(self).unwrap_or_default())
    }
}

/// The gateway's own word on its refusal.
#[derive(Default, Deserialize)]
struct About<'a> {
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Initialized<'a> {
    #[serde(borrow, default, rename = "protocolVersion")]
    protocol_version: Cow<'a, str>,
}

/// An error of the bridge's own, in the gateway's form: the code is the HTTP status, outside the range that JSON-RPC keeps for itself.
fn failure(id: Option<&RawValue>, error: &Error) -> Vec<u8> {
    let wrong = serde_json::json!({
        "code": error.kind().status().as_u16(),
        "message": error.message(),
        "data": { "code": error.code(), "retryable": error.retryable(), "retry_after": error.retry_after_secs() },
    });
    compose(id, "error", &wrong.to_string())
}

/// A response as a line. The id is null where the request's could not be read (JSON-RPC 2.0 §5).
fn compose(id: Option<&RawValue>, member: &str, value: &str) -> Vec<u8> {
    let id = id.map_or("null", RawValue::get);
    line(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"{member}\":{value}}}").into_bytes())
}

/// JSON as one line: outside of strings, where it may not stand, a line break is a blank like any other (RFC 8259 §2).
fn line(mut json: Vec<u8>) -> Vec<u8> {
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    json.push(b'\n');
    json
}

/// The data of a stream's events (WHATWG HTML, Server-sent events), as it comes in pieces.
#[derive(Default)]
struct Events {
    unread: Vec<u8>,
    /// How much of it holds no line break.
    searched: usize,
    data: Vec<u8>,
}

impl Events {
    fn len(&self) -> usize {
        self.unread.len() + self.data.len()
    }

    /// The events that this piece completes; comments and empty ones are none.
    fn read(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        self.unread.extend_from_slice(piece);
        let mut events = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.unread[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + length;
            let line = &self.unread[begin..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                events.push(std::mem::take(&mut self.data));
            }
            begin = end + 1;
            self.searched = begin;
        }
        self.unread.drain(..begin);
        self.searched = self.unread.len();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, agreed: Option<&str>) -> Message {
        let agreed = agreed.map(|text| HeaderValue::from_str(text).unwrap());
        Message::read(line.as_bytes().to_vec(), agreed.as_ref()).unwrap()
    }

    fn header<'a>(message: &'a Message, name: &HeaderName) -> Option<&'a str> {
        message.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_message_of_2026_07_28_says_in_headers_what_it_says_of_itself() {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let call = read(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"ventas_día",{meta}}}}}"#),
            Some("2025-11-25"),
        );
        assert_eq!(header(&call, &PROTOCOL_VERSION), Some("2026-07-28"));
        assert_eq!(header(&call, &MCP_METHOD), Some("tools/call"));
        assert_eq!(header(&call, &MCP_NAME), Some("=?base64?dmVudGFzX2TDrWE=?="));
        let read_one = read(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"docs://a","name":"b",{meta}}}}}"#),
            None,
        );
        assert_eq!(header(&read_one, &MCP_NAME), Some("docs://a"));
        let list = read(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"name":"x",{meta}}}}}"#),
            None,
        );
        assert_eq!(header(&list, &MCP_NAME), None);
    }

    #[test]
    fn a_message_of_a_handshake_names_the_revision_that_was_agreed_on() {
        let list = read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, Some("2025-06-18"));
        assert_eq!(header(&list, &PROTOCOL_VERSION), Some("2025-06-18"));
        assert_eq!(header(&list, &MCP_METHOD), None);
        let again = read(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, Some("2025-06-18"));
        assert_eq!(header(&again, &PROTOCOL_VERSION), None, "it is yet to be agreed on");
    }

    #[test]
    fn each_call_has_a_key_of_its_own_and_nothing_else_has_one() {
        let key = HeaderName::from_static(idempotency::HEADER);
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let (first, second) = (read(call, None), read(call, None));
        assert!(header(&first, &key).is_some_and(|value| Some(value) != header(&second, &key)));
        assert_eq!(header(&read(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, None), &key), None);
    }

    #[test]
    fn events_come_together_from_any_pieces() {
        let stream = b": hello\r\n\r\nevent: message\r\ndata: {\"a\":\r\ndata:1}\r\nid: 7\r\n\r\ndata:\n\ndata: {\"b\":2}\n\n";
        for size in 1..=stream.len() {
            let mut events = Events::default();
            let read: Vec<_> = stream.chunks(size).flat_map(|piece| events.read(piece)).collect();
            assert_eq!(read, [&b"{\"a\":\n1}"[..], b"{\"b\":2}"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let long = format!("{}\n\n \r\n{{}}\n", "x".repeat(LINE_MAX + 1));
        let mut input = long.as_bytes();
        assert!(matches!(next_line(&mut input), Ok(Some(Line::TooLong))));
        assert!(matches!(next_line(&mut input), Ok(Some(Line::Whole(line))) if line == b"{}\n"));
        assert!(matches!(next_line(&mut input), Ok(None)));
        let just = format!("{}\n", "x".repeat(LINE_MAX));
        assert!(matches!(next_line(&mut just.as_bytes()), Ok(Some(Line::Whole(_)))));
    }
}
