//! `/health` and its parts, and `/metrics`. Nothing here names a tenant.

use std::sync::Arc;

use axum::{
    extract::State as Shared,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use serde_json::json;

use super::json;
use crate::state::State;

pub async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    let redis_is_away = state.limits.redis().map(|redis| !redis.is_here());
    let vault_is_away = state.secrets.in_vault().map(|vault| !vault.is_here());
    let report = state.health.report(database_is_away(&state), redis_is_away, vault_is_away);
    let status = if report.status == "unhealthy" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    json(status, serde_json::to_vec(&report).unwrap_or_default())
}

/// The process runs.
pub async fn live() -> Response {
    json(StatusCode::OK, r#"{"status":"live"}"#)
}

/// The process takes calls: its database answers, and it was not asked to stop.
pub async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let (status, word) = match (state.health.is_draining(), database_is_away(&state)) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "database away"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    json(status, json!({ "status": word }).to_string())
}

pub async fn services(Shared(state): Shared<Arc<State>>) -> Response {
    json(StatusCode::OK, json!({ "services": state.health.services() }).to_string())
}

pub async fn database(Shared(state): Shared<Arc<State>>) -> Response {
    if database_is_away(&state) {
        json(StatusCode::SERVICE_UNAVAILABLE, r#"{"database":"disconnected"}"#)
    } else {
        json(StatusCode::OK, r#"{"database":"connected"}"#)
    }
}

pub async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    state.metrics.database_up.set(f64::from(u8::from(!database_is_away(&state))));
    if let Some(redis) = state.limits.redis() {
        state.metrics.redis_up.set(f64::from(u8::from(redis.is_here())));
    }
    if let Some(vault) = state.secrets.in_vault() {
        state.metrics.vault_up.set(f64::from(u8::from(vault.is_here())));
    }
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.metrics.render(),
    )
        .into_response()
}

/// It cannot be read, or takes no audit entries.
fn database_is_away(state: &State) -> bool {
    state.freshness.database_is_away() || state.audit.is_stuck()
}
