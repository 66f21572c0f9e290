//! `POST /oauth/token`: a code or a refresh token becomes an access token (RFC 6749 §4.1.3, §6).

use std::{net::IpAddr, sync::Arc};

use axum::{extract::State as Shared, response::Response};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{client_id, refusal, refused};
use crate::{
    auth::jwt,
    error::Result,
    http::{address, json as json_response, request_id},
    oauth::{
        client,
        code::{self, Fetched, Refused},
        refresh,
        request::Parameters,
    },
    state::State,
};

pub async fn serve(Shared(state): Shared<Arc<State>>, extensions: Extensions, headers: HeaderMap, body: Bytes) -> Response {
    let request_id = request_id(&extensions);
    let address = address::client(&state, &extensions, &headers);
    let form = match std::str::from_utf8(&body).map(Parameters::read) {
        Ok(Ok(form)) => form,
        Ok(Err(error)) => return refusal(StatusCode::BAD_REQUEST, "invalid_request", error.message()),
        Err(_) => return refusal(StatusCode::BAD_REQUEST, "invalid_request", "The body is no form in UTF-8"),
    };
    let Some(client) = client_id(&headers, &form) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_request", "client_id is missing");
    };
    if let Err(flooding) = state.known.check_address(address) {
        return super::failure(&flooding, request_id);
    }
    match is_known(&state, &client).await {
        Ok(true) => {}
        Ok(false) => {
            count(&state, address);
            // 401: this is how clients learn to register anew (RFC 6749 §5.2).
            return refusal(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "This client is not registered here; register it anew",
            );
        }
        Err(error) => return super::failure(&error, request_id),
    }
    let fetched = match form.get("grant_type") {
        Some("authorization_code") => code::fetch(&state, &client, &form).await,
        Some("refresh_token") => refresh::exchange(&state, &client, &form).await,
        Some(_) => Err(Refused::Said(
            "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token",
        )),
        None => Err(Refused::Said("invalid_request", "grant_type is missing")),
    };
    let answered = match fetched {
        Ok(fetched) => answer(&state, &fetched).map_err(Refused::Failed),
        Err(refused) => Err(refused),
    };
    match answered {
        Ok(response) => response,
        Err(why) => {
            if let Refused::Said("invalid_grant", _) = why {
                count(&state, address);
            }
            refused(&why, request_id)
        }
    }
}

/// Whether a client may come here at all. One with a document is known by its address alone: the code says whether it was his.
async fn is_known(state: &State, id: &str) -> Result<bool> {
    Ok(id.contains("://") || client::registered(state, id).await?.is_some())
}

/// Guesses count against the address as bad tokens do.
fn count(state: &State, address: IpAddr) {
    // What is refused for it is the next request.
    let _ = state.known.count_address(address);
}

/// RFC 6749 §5.1.
fn answer(state: &State, fetched: &Fetched) -> Result<Response> {
    let (access_token, expires_in) = jwt::issue(state, &fetched.access)?;
    let body = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "refresh_token": &*fetched.refresh_token,
        "scope": fetched.access.scopes.stored(),
    });
    let mut response = json_response(StatusCode::OK, body.to_string());
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}
