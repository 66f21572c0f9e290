//! The routes of sign-in: what clients ask as OAuth has it, and the pages that a member sees.
//!
//! What clients ask needs no cookie, so that pages of any origin may ask it; the pages are for this origin alone.

mod applications;
mod authorize;
mod language;
mod metadata;
mod pages;
mod register;
mod revoke;
mod sign_in;
mod token;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use tower_http::cors::{Any, CorsLayer};

pub use self::metadata::{resource_metadata, resource_of};
use super::{address, request_id};
use crate::{
    error::{Error, Kind},
    oauth::{code::Refused, openid, request::Parameters},
    state::State,
};

/// What clients ask without a browser's help, open to every origin.
pub const ASKED_BY_CLIENTS: [&str; 4] = [TOKEN, REGISTER, REVOKE, metadata::JWKS];

pub const TOKEN: &str = "/oauth/token";
pub const REGISTER: &str = "/oauth/register";
pub const REVOKE: &str = "/oauth/revoke";

/// The largest body: a registration.
const BODY_MAX: usize = 64 * 1024;

/// The routes; those of the authorization server are there only while it is on.
pub fn routes(state: &Arc<State>) -> Router<Arc<State>> {
    let metadata = metadata::routes(state.config.sign_in);
    if !state.config.sign_in {
        return metadata;
    }
    let asked_by_clients = Router::new()
        .route(TOKEN, post(token::serve))
        .route(REGISTER, post(register::serve))
        .route(REVOKE, post(revoke::serve))
        .method_not_allowed_fallback(super::no_method)
        .layer(CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any));
    metadata.merge(asked_by_clients).merge(pages())
}

/// What a member's browser asks.
fn pages() -> Router<Arc<State>> {
    Router::new()
        .route("/oauth/authorize", get(authorize::show).post(authorize::decide))
        .route("/oauth/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/oauth/sign-in/openid", get(sign_in::leave))
        .route(openid::CALLBACK, get(sign_in::come_back))
        .route("/oauth/sign-out", post(sign_in::sign_out))
        .route("/oauth/applications", get(applications::show))
        .route("/oauth/applications/revoke", post(applications::revoke))
}

/// An error as RFC 6749 §5.2, RFC 7591 §3.2.2 and RFC 7009 §2.2.1 have it.
fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    let mut response = super::json(status, json!({ "error": error, "error_description": description }).to_string());
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The same of a failure of ours, which may pass.
fn failure(error: &Error, request_id: Option<&Arc<str>>) -> Response {
    error.log(request_id.map_or("", |id| id));
    let status = error.kind().status();
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "temporarily_unavailable",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request",
    };
    let mut response = refusal(status, code, error.message());
    super::problem::retry_after(error, response.headers_mut());
    response
}

fn refused(refused: &Refused, request_id: Option<&Arc<str>>) -> Response {
    match refused {
        Refused::Unknown(description) => refusal(StatusCode::BAD_REQUEST, "invalid_grant", description),
        Refused::Said(error, description) => refusal(StatusCode::BAD_REQUEST, error, description),
        Refused::Failed(error) => failure(error, request_id),
    }
}

/// What a client sends, within a size and a time; or the refusal.
async fn read(state: &State, request: Request) -> Result<Sent, Response> {
    let (parts, body) = request.into_parts();
    let address = address::client(state, &parts.extensions, &parts.headers);
    let request_id = request_id(&parts.extensions).cloned();
    match super::body::read(&parts.headers, body, BODY_MAX).await {
        Ok(body) => Ok(Sent {
            headers: parts.headers,
            address,
            request_id,
            body,
        }),
        Err(error) => Err(refusal(error.kind().status(), "invalid_request", error.message())),
    }
}

/// A request that was read.
struct Sent {
    headers: HeaderMap,
    address: IpAddr,
    request_id: Option<Arc<str>>,
    body: Bytes,
}

impl Sent {
    fn form(&self) -> Result<Parameters, Error> {
        let text = std::str::from_utf8(&self.body).map_err(|_| Error::new(Kind::Malformed, "The body is no form in UTF-8"))?;
        Parameters::read(text)
    }

    /// Refuses an address that is shut for its guesses.
    fn check(&self, state: &State) -> Result<(), Error> {
        state.known.check_address(self.address)
    }

    /// Guesses count against the address as bad tokens do.
    fn count(&self, state: &State) {
        // What is refused for it is the next request.
        let _ = state.known.count_address(self.address);
    }
}

/// The client that names itself in a form, or by Basic with no password: it has none (RFC 6749 §2.3.1).
fn client_id(headers: &HeaderMap, form: &Parameters) -> Option<String> {
    use base64::Engine as _;
    if let Some(id) = form.get("client_id") {
        return Some(id.to_owned());
    }
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = base64::engine::general_purpose::STANDARD.decode(basic).ok()?;
    let id = String::from_utf8(pair).ok()?.split(':').next()?.to_owned();
    Some(percent_encoding::percent_decode_str(&id).decode_utf8().ok()?.into_owned())
}
