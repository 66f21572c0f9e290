//! Problems: how an error looks in REST (RFC 9457), and the headers that go with one on both doors.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::{
    auth::Scopes,
    error::{Error, Kind},
};

/// RFC 9457 §3, with members of our own beside the standard ones.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

pub fn response(error: &Error, request_id: Option<&Arc<str>>) -> Response {
    let mut response = (error.kind().status(), body(error, request_id)).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers(error, response.headers_mut());
    response
}

/// The problem itself, in one line of JSON.
pub fn body(error: &Error, request_id: Option<&Arc<str>>) -> Vec<u8> {
    let problem = Problem {
        r#type: format!("urn:smartermcp:problem:{}", error.code()),
        title: error.kind().title(),
        status: error.kind().status().as_u16(),
        detail: error.message(),
        code: error.code(),
        retryable: error.retryable(),
        retry_after: error.retry_after_secs(),
        request_id: request_id.map(|id| &**id),
    };
    serde_json::to_vec(&problem).unwrap_or_default()
}

/// As the door of this path shows errors.
pub fn for_path(path: &str, error: &Error, request_id: Option<&Arc<str>>) -> Response {
    match path {
        "/" | "/mcp" => super::mcp::refusal(error, None),
        _ => response(error, request_id),
    }
}

/// `Retry-After` (RFC 9110 §10.2.3).
pub fn retry_after(error: &Error, headers: &mut HeaderMap) {
    if let Some(seconds) = error.retry_after_secs() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// `Retry-After`, and the challenge of RFC 6750 §3 that belongs to a 401 and a 403. The edge completes it.
pub fn headers(error: &Error, headers: &mut HeaderMap) {
    retry_after(error, headers);
    let challenge = match error.kind() {
        Kind::Unauthenticated => Some(CHALLENGE.to_owned()),
        Kind::Forbidden => error
            .lacking_scope()
            .map(|scope| format!(r#"{CHALLENGE}, error="insufficient_scope", scope="{scope}""#)),
        _ => None,
    };
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
}

const CHALLENGE: &str = r#"Bearer realm="smartermcp""#;

/// Completes a challenge by what only the edge knows: where the metadata of the resource is that was asked for (RFC 9728 §5.1),
/// and, for a 401, which scopes to ask for, and whether there was a token that is wrong. Without one there is no error (RFC 6750 §3.1).
pub fn complete(response: &mut Response, resource_metadata: &str, sent_token: bool) {
    let status = response.status();
    let Some(challenge) = response
        .headers()
        .get(header::WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    if !challenge.starts_with(CHALLENGE) {
        return;
    }
    let wrong = match sent_token {
        true => r#", error="invalid_token", error_description="Invalid or expired API token""#,
        false => "",
    };
    let metadata = format!(r#"{challenge}, resource_metadata="{resource_metadata}""#);
    let challenge = match status {
        StatusCode::UNAUTHORIZED => format!(r#"{metadata}, scope="{}"{wrong}"#, Scopes::business().stored()),
        _ => metadata,
    };
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
}
