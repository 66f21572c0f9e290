//! `POST /oauth/token`: a code or a refresh token becomes an access token (RFC 6749 §4.1.3, §6).

use std::sync::Arc;

use axum::{
    extract::{Request, State as Shared},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{Sent, client_id, refusal, refused};
use crate::{
    auth::jwt,
    error::{Error, Result},
    http::json as json_response,
    oauth::{
        client,
        code::{self, Fetched, Refused},
        refresh,
    },
    state::State,
};

pub async fn serve(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let sent = match super::read(&state, request).await {
        Ok(sent) => sent,
        Err(refusal) => return refusal,
    };
    match answered(&state, &sent).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answered(state: &State, sent: &Sent) -> Result<Response, Response> {
    let failed = |error: Error| super::failure(&error, sent.request_id.as_ref());
    sent.check(state).map_err(failed)?;
    let form = sent.form().map_err(failed)?;
    let client =
        client_id(&sent.headers, &form).ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "invalid_request", "client_id is missing"))?;
    if !is_known(state, &client).await.map_err(failed)? {
        sent.count(state);
        // 401: this is how clients learn to register anew (RFC 6749 §5.2).
        return Err(refusal(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "This client is not registered here; register it anew",
        ));
    }
    let fetched = match form.get("grant_type") {
        Some("authorization_code") => code::fetch(state, &client, &form).await,
        Some("refresh_token") => refresh::exchange(state, &client, &form).await,
        Some(_) => Err(Refused::Said(
            "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token",
        )),
        None => Err(Refused::Said("invalid_request", "grant_type is missing")),
    };
    match fetched {
        Ok(fetched) => answer(state, &fetched).map_err(failed),
        Err(why) => {
            // What was good once is no guess: many people may stand behind one address.
            if let Refused::Unknown(_) = why {
                sent.count(state);
            }
            Err(refused(&why, sent.request_id.as_ref()))
        }
    }
}

/// Whether a client may come here at all. One with a document is known by its address alone: the code says whether it was his.
async fn is_known(state: &State, id: &str) -> Result<bool> {
    Ok(id.contains("://") || client::registered(state, id).await?.is_some())
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
