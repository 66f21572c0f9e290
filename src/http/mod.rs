//! The edge: bytes in, bytes out. Every route, and the whole stack around them in the order in which it runs.

mod address;
mod body;
mod docs;
mod health;
mod listing;
pub mod mcp;
mod oauth;
mod openapi;
mod problem;
mod rest;
pub mod serve;
mod stream;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower::Service as _;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

pub use self::{address::Peer, docs::Pages, openapi::document as openapi_document};
use crate::{
    auth,
    error::{Error, Kind, Result},
    id,
    state::State,
};

/// The id of a request: in its answer, its audit entry and every line of the log about it.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes, and what runs around all of them: an id, the checks of Origin and Host, headers on every answer.
///
/// Written out rather than layered: every layer of a router costs an allocation or two of each request.
#[derive(Clone, Debug)]
pub struct Edge {
    routes: Router,
    state: Arc<State>,
}

impl Edge {
    pub fn new(state: &Arc<State>) -> Self {
        Self {
            routes: routes(state),
            state: Arc::clone(state),
        }
    }

    /// One request, from wherever it came to its answer.
    pub async fn answer<B>(&self, request: http::Request<B>, peer: Peer) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = request.map(axum::body::Body::new);
        let id: Arc<str> = id::ordered().to_string().into();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(RequestId(Arc::clone(&id)));
        let (sent_token, resource) = (auth::sends_bearer(request.headers()), oauth::resource_of(request.uri().path()));
        let mut response = match check_browser(&self.state, &request) {
            Err(error) => problem::for_path(request.uri().path(), &error, Some(&id)),
            Ok(()) => match self.routes.clone().call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            problem::complete(&mut response, &oauth::resource_metadata(&self.state, resource), sent_token);
        }
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(X_REQUEST_ID, value);
        }
        // No answer is sniffed, framed or stored by anybody between, unless its handler said otherwise.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(header::X_FRAME_OPTIONS, DENY);
        headers.entry(header::REFERRER_POLICY).or_insert(NO_REFERRER);
        headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
        if self.state.health.is_draining() {
            // The next request on this connection would find the port closed: it goes elsewhere.
            headers.insert(header::CONNECTION, CLOSE);
        }
        response
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const DENY: HeaderValue = HeaderValue::from_static("DENY");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What is open to everybody, and to every browser.
fn is_open(path: &str) -> bool {
    matches!(path, "/metrics" | "/openapi.json" | "/docs" | "/install.sh")
        || ["/health", "/docs/", "/.well-known/"].iter().any(|begin| path.starts_with(begin))
        || oauth::ASKED_BY_CLIENTS.contains(&path)
}

fn routes(state: &Arc<State>) -> Router {
    let behind_tokens = Router::new()
        .route("/mcp", any(mcp::serve))
        .route("/", post(mcp::serve).get(docs::root).fallback(mcp::serve))
        .merge(rest::routes(&state.catalogue))
        // Before the layer, so that a preflight, which no route takes, passes through CORS.
        .method_not_allowed_fallback(no_method)
        .layer(cors(state));
    let open = Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/health/services", get(health::services))
        .route("/health/database", get(health::database))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(docs::openapi))
        .route("/install.sh", get(docs::install))
        .route("/docs", get(docs::docs_root))
        .route("/docs/{*file}", get(docs::docs_file));
    Router::new()
        .merge(behind_tokens)
        .merge(open)
        .merge(oauth::routes(state))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(Arc::clone(state))
        .layer(CatchPanicLayer::custom(panicked))
}

/// Refuses browsers of other sites, and names that were bent to lead here (DNS rebinding): the specification's MUST for
/// Streamable HTTP, on both doors. A preflight is answered by the CORS layer, which grants nothing to those.
fn check_browser(state: &State, request: &Request) -> Result<()> {
    let headers = request.headers();
    if is_open(request.uri().path()) || request.method() == Method::OPTIONS {
        return Ok(());
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && !origin.to_str().is_ok_and(|origin| admits_origin(state, origin))
    {
        return Err(Error::new(
            Kind::Forbidden,
            "The Origin of this request is not allowed here; the operator can allow it by SMARTERMCP_ALLOWED_ORIGINS",
        )
        .coded("origin_not_allowed"));
    }
    if !address::admits_host(state, request.uri(), headers) {
        return Err(Error::new(
            Kind::Forbidden,
            "The Host of this request is not this gateway's; its operator sets it by SMARTERMCP_PUBLIC_URL",
        )
        .coded("host_not_allowed"));
    }
    Ok(())
}

fn admits_origin(state: &State, origin: &str) -> bool {
    state.config.origins.admits(origin, state.config.public_url.as_ref())
}

/// Browsers of allowed origins may call (protocol.md §7, 3): the inspector's page is one.
fn cors(state: &Arc<State>) -> CorsLayer {
    let state = Arc::clone(state);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origin.to_str().is_ok_and(|origin| admits_origin(&state, origin))
        }))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            X_REQUEST_ID,
            crate::limits::RATE_LIMIT,
            crate::limits::RATE_LIMIT_POLICY,
            HeaderName::from_static("mcp-session-id"),
            HeaderName::from_static("idempotent-replayed"),
        ])
}

async fn no_route(request: Request) -> Response {
    let error = Error::not_found("There is nothing at this path; /docs shows what there is").coded("no_route");
    problem::response(&error, request_id(request.extensions()))
}

async fn no_method(request: Request) -> Response {
    let error = Error::new(Kind::MethodNotAllowed, "This path does not take that method; /docs shows which");
    problem::response(&error, request_id(request.extensions()))
}

fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let error = Error::internal(format!("a handler panicked: {}", what.unwrap_or_default()));
    error.log("unknown");
    problem::response(&error, None)
}

fn request_id(extensions: &http::Extensions) -> Option<&Arc<str>> {
    extensions.get::<RequestId>().map(|RequestId(id)| id)
}

/// Whether an answer may go as this media type, by `Accept`; a client that says nothing takes anything.
fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return true;
    }
    let family = kind.split('/').next().unwrap_or_default();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|entry| {
            !entry
                .split(';')
                .skip(1)
                .any(|parameter| matches!(parameter.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
        .map(|entry| entry.split(';').next().unwrap_or_default().trim())
        .any(|entry| {
            entry == "*/*"
                || entry.eq_ignore_ascii_case(kind)
                || entry.strip_suffix("/*").is_some_and(|prefix| prefix.eq_ignore_ascii_case(family))
        })
}

/// JSON with its status.
fn json(status: http::StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body.into(),
    )
        .into_response()
}
