//! `POST /oauth/revoke`: an application gives back what it was granted (RFC 7009). Either token ends the whole grant.

use std::sync::Arc;

use axum::{
    extract::{Request, State as Shared},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;

use super::{Sent, client_id, refused};
use crate::{
    auth::{jwt, token},
    oauth::{
        code::Refused,
        grant::{self, Taker},
        refresh,
    },
    state::State,
    store::{self, Reach, grants::Row},
};

pub async fn serve(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let sent = match super::read(&state, request).await {
        Ok(sent) => sent,
        Err(refusal) => return refusal,
    };
    match revoke(&state, &sent).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal,
    }
}

async fn revoke(state: &State, sent: &Sent) -> Result<(), Response> {
    let said = |why: &Refused| refused(why, sent.request_id.as_ref());
    let failed = |error| said(&Refused::Failed(error));
    sent.check(state).map_err(failed)?;
    let form = sent.form().map_err(failed)?;
    let token = form
        .get("token")
        .ok_or_else(|| said(&Refused::Said("invalid_request", "token is missing")))?;
    let Some(row) = find(state, token).await.map_err(failed)? else {
        sent.count(state);
        // Also of a token that nobody knows (RFC 7009 §2.2).
        return Ok(());
    };
    if client_id(&sent.headers, &form).as_deref() != Some(&row.client_id) {
        sent.count(state);
        return Err(said(&Refused::Said(
            "invalid_client",
            "client_id is not the client that the token was given to",
        )));
    }
    if row.revoked_at.is_some() {
        return Ok(());
    }
    let ended = async {
        let mut tx = state.store.write(Reach::Operator).await?;
        grant::revoke(state, &mut tx, row.tenant_id, row.id, Taker::Application).await?;
        tx.commit().await
    };
    ended.await.map_err(failed)
}

/// The grant of a token. Strangers ask here: nothing is written, nor waited for, before one is found.
async fn find(state: &State, token: &str) -> crate::error::Result<Option<Row>> {
    let access = jwt::grant_of(state, token);
    if access.is_none() && !token::is_of(token::REFRESH_PREFIX, token) {
        return Ok(None);
    }
    let mut tx = state.store.read(Reach::Operator).await?;
    let found = match access {
        Some(found) => Some(found),
        None => refresh::owner(&mut tx, token).await?,
    };
    match found {
        Some((tenant, id)) => store::grants::find(&mut tx, Some(tenant), id).await,
        None => Ok(None),
    }
}
