//! `POST /oauth/revoke`: an application gives back what it was granted (RFC 7009). Either token ends the whole grant.

use std::sync::Arc;

use axum::{
    extract::State as Shared,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode};

use super::{client_id, refusal, refused};
use crate::{
    auth::jwt,
    http::{address, request_id},
    oauth::{
        code::Refused,
        grant::{self, Taker},
        refresh,
        request::Parameters,
    },
    state::State,
    store::{self, Reach},
};

pub async fn serve(Shared(state): Shared<Arc<State>>, extensions: Extensions, headers: HeaderMap, body: Bytes) -> Response {
    let form = match std::str::from_utf8(&body).map(Parameters::read) {
        Ok(Ok(form)) => form,
        Ok(Err(error)) => return refusal(StatusCode::BAD_REQUEST, "invalid_request", error.message()),
        Err(_) => return refusal(StatusCode::BAD_REQUEST, "invalid_request", "The body is no form in UTF-8"),
    };
    if let Err(flooding) = state.known.check_address(address::client(&state, &extensions, &headers)) {
        return super::failure(&flooding, request_id(&extensions));
    }
    match revoke(&state, client_id(&headers, &form).as_deref(), &form).await {
        // Also for a token that nobody knows (RFC 7009 §2.2).
        Ok(()) => StatusCode::OK.into_response(),
        Err(why) => refused(&why, request_id(&extensions)),
    }
}

async fn revoke(state: &State, client_id: Option<&str>, form: &Parameters) -> Result<(), Refused> {
    let token = form.get("token").ok_or(Refused::Said("invalid_request", "token is missing"))?;
    let mut tx = state.store.write(Reach::Operator).await?;
    let found = match jwt::grant_of(state, token) {
        Some(found) => Some(found),
        None => refresh::owner(&mut tx, token).await?,
    };
    let Some((tenant, id)) = found else { return Ok(()) };
    let Some(row) = store::grants::find(&mut tx, Some(tenant), id).await? else {
        return Ok(());
    };
    if client_id != Some(row.client_id.as_str()) {
        return Err(Refused::Said(
            "invalid_client",
            "client_id is not the client that the token was given to",
        ));
    }
    grant::revoke(state, &mut tx, tenant, id, Taker::Application).await?;
    tx.commit().await?;
    Ok(())
}
