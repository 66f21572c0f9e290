//! What can go wrong with a vendor, on demand.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State as Shared},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::time::sleep;

/// What [`Fault::LyingLength`] promises.
const PROMISED: u64 = 1 << 40;
/// Long enough for what was sent to have left before the connection breaks.
const BEFORE_THE_END: Duration = Duration::from_millis(50);
const CHUNK: usize = 64 * 1024;

/// What every request meets before anything else. But for `None` and the last three, nothing is run or changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// All is well.
    #[default]
    None,
    /// This status, with a JSON message; 429 asks to come back after a second. A status that is none becomes 500.
    Status(u16),
    /// A sign-in page, with 200.
    Html,
    /// Valid JSON under a `Content-Length` of a terabyte; then the connection breaks.
    LyingLength,
    /// Half a JSON document of an honest `Content-Length`; then the connection breaks.
    CutOff,
    /// A JSON text of this many bytes, whose length is not said beforehand.
    Huge(usize),
    /// 307 to this URL.
    RedirectTo(String),
    /// 200 and a JSON content type over what is no JSON.
    NotJson,
    /// The next so many requests fail with this status, like [`Fault::Status`]; those after them are served.
    FailTimes {
        /// The status that they fail with.
        status: u16,
        /// How many are still to fail.
        times: u32,
    },
    /// Each request waits this long before it is looked at: a caller who hangs up meanwhile has run nothing.
    Slow(Duration),
    /// What changes something is done at once, and the vendor is slow to say so: a caller who hangs up has done it all the
    /// same. Each vendor says where it heeds this, by [`Faults::slow_after_run`].
    SlowAfterRun(Duration),
}

/// What a played vendor meets, and what it was sent. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    fault: Fault,
    last_headers: HeaderMap,
    requests: usize,
}

impl Faults {
    /// Lets something go wrong, from the next request on.
    pub fn set(&self, fault: Fault) {
        self.seen().fault = fault;
    }

    /// The headers of the last request of any kind, one that met a fault included.
    pub fn last_request_headers(&self) -> HeaderMap {
        self.seen().last_headers.clone()
    }

    /// How many requests came, those that met a fault included.
    pub fn requests(&self) -> usize {
        self.seen().requests
    }

    /// How long a vendor that has run something is to wait before it says so.
    pub fn slow_after_run(&self) -> Option<Duration> {
        match self.seen().fault {
            Fault::SlowAfterRun(pause) => Some(pause),
            _ => None,
        }
    }

    /// The router behind what goes wrong.
    pub fn before(&self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self.clone(), meddle))
    }

    /// The fault that the request at hand meets.
    fn next(&self, headers: &HeaderMap) -> Fault {
        let mut seen = self.seen();
        seen.last_headers = headers.clone();
        seen.requests += 1;
        let Fault::FailTimes { status, times } = &mut seen.fault else {
            return seen.fault.clone();
        };
        if *times == 0 {
            return Fault::None;
        }
        *times -= 1;
        Fault::Status(*status)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn meddle(Shared(faults): Shared<Faults>, request: Request, next: Next) -> Response {
    match faults.next(request.headers()) {
        Fault::None | Fault::SlowAfterRun(_) | Fault::FailTimes { .. } => next.run(request).await,
        Fault::Slow(pause) => {
            sleep(pause).await;
            next.run(request).await
        }
        Fault::Status(code) => failure(code),
        Fault::Html => Html("<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>").into_response(),
        Fault::LyingLength => breaking_off(r#"{"data":[],"nextCursor":null}"#, PROMISED),
        Fault::CutOff => breaking_off(r#"{"data":[{"id":"1","name":"#, 60),
        Fault::Huge(size) => huge(size),
        Fault::RedirectTo(url) => {
            let to = HeaderValue::from_str(&url).unwrap_or_else(|_| HeaderValue::from_static("/"));
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        Fault::NotJson => as_json(Body::from("upstream connect error or disconnect before headers")),
    }
}

fn failure(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let said = status.canonical_reason().unwrap_or("Something went wrong");
    let mut response = (status, Json(json!({"message": said}))).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Sends this much, and then breaks the connection though more was promised.
fn breaking_off(sent: &'static str, promised: u64) -> Response {
    let sent = stream::once(async move { Ok(Bytes::from_static(sent.as_bytes())) });
    let end = stream::once(async {
        sleep(BEFORE_THE_END).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let mut response = as_json(Body::from_stream(sent.chain(end)));
    response.headers_mut().insert(header::CONTENT_LENGTH, promised.into());
    response
}

/// `{"data":"xxx…"}` of this size in all, never held in memory at once.
fn huge(size: usize) -> Response {
    let (opening, closing) = (r#"{"data":""#, r#""}"#);
    let filling = size.saturating_sub(opening.len() + closing.len());
    let body = stream::unfold(filling, |left| async move {
        let length = left.min(CHUNK);
        (length > 0).then(|| (Bytes::from(vec![b'x'; length]), left - length))
    });
    let opening = stream::once(async move { Bytes::from_static(opening.as_bytes()) });
    let closing = stream::once(async move { Bytes::from_static(closing.as_bytes()) });
    as_json(Body::from_stream(opening.chain(body).chain(closing).map(Ok::<_, io::Error>)))
}

fn as_json(body: Body) -> Response {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}
