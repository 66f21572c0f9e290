//! `POST /oauth/register`: an application registers itself (RFC 7591), for clients that have no metadata document.

use std::sync::Arc;

use axum::{
    extract::{Request, State as Shared},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::refusal;
use crate::{
    http::json as json_response,
    oauth::client::{are_redirect_uris, shown_name},
    state::State,
};

/// What of a registration matters here; the rest is ignored, as RFC 7591 §2 lets a server do.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
}

pub async fn serve(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let sent = match super::read(&state, request).await {
        Ok(sent) => sent,
        Err(refusal) => return refusal,
    };
    let metadata = |description: &str| refusal(StatusCode::BAD_REQUEST, "invalid_client_metadata", description);
    let Ok(asked) = serde_json::from_slice::<Asked>(&sent.body) else {
        return metadata("The body is no JSON object with redirect_uris");
    };
    if !are_redirect_uris(&asked.redirect_uris) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "invalid_redirect_uri",
            "redirect_uris must be 1 to 20 addresses, of 4 KiB together, over https, to localhost, or with a scheme of the application's own",
        );
    }
    if asked
        .grant_types
        .is_some_and(|types| !types.iter().any(|name| name == "authorization_code"))
    {
        return metadata("grant_types must hold authorization_code");
    }
    if asked.response_types.is_some_and(|types| !types.iter().any(|name| name == "code")) {
        return metadata("response_types must hold code");
    }
    // By its host where it has no name: the member must see something.
    let name = shown_name(asked.client_name.as_deref())
        .or_else(|| shown_name(url::Url::parse(&asked.redirect_uris[0]).ok()?.host_str()))
        .unwrap_or_else(|| "MCP client".to_owned());
    let row = match state.oauth_clients.register(&state, name, asked.redirect_uris, sent.address).await {
        Ok(row) => row,
        Err(error) => return super::failure(&error, sent.request_id.as_ref()),
    };
    let mut answer = json!({
        "client_id": row.id,
        "client_id_issued_at": row.created_at / 1000,
        "client_name": row.name,
        "redirect_uris": row.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        // Whatever it asked for: no client gets a secret.
        "token_endpoint_auth_method": "none",
    });
    if let Some(scope) = asked.scope {
        answer["scope"] = scope.into();
    }
    json_response(StatusCode::CREATED, answer.to_string())
}
