//! What a caller sees: the tools that [`authorise`] lets him call, and who he is.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    auth::{Agent, Caller, Scope, authorise},
    backends::account_usage,
    clock,
    state::State,
    tool::{Definition, Effect},
};

/// The tools that this caller may call, sorted by name.
pub fn tools<'a>(state: &'a State, caller: &'a Caller) -> impl Iterator<Item = &'a Arc<Definition>> {
    state
        .catalogue
        .all()
        .iter()
        .filter(|tool| authorise(caller, tool, &state.limits).is_ok())
}

/// `GET /api/v1/tools`.
pub fn rest(state: &State, caller: &Caller) -> Value {
    let tools: Vec<_> = tools(state, caller)
        .map(|tool| {
            json!({
                "name": tool.name,
                "title": tool.title,
                "description": tool.description,
                "category": tool.category.name(),
                "scope": tool.scope.name(),
                "method": tool.route.method.as_str(),
                "path": tool.route.full_path(),
                "input_schema": tool.input.schema(),
                "output_schema": tool.output_schema,
                "annotations": annotations(tool),
            })
        })
        .collect();
    json!({ "tools": tools })
}

/// Derived from the declaration, so that they cannot disagree with it. `openWorldHint`: it speaks with a service outside.
pub fn annotations(tool: &Definition) -> Value {
    json!({
        "title": tool.title,
        "readOnlyHint": tool.route.effect() == Effect::Read,
        "destructiveHint": tool.route.effect() == Effect::Destroy,
        "idempotentHint": tool.route.is_idempotent(),
        "openWorldHint": tool.outside,
    })
}

/// `GET /api/v1/whoami`.
pub fn whoami(state: &State, caller: &Caller) -> Value {
    let tenant = caller.tenant().map(|known| {
        let tenant = &known.tenant;
        json!({ "id": tenant.id, "slug": tenant.slug, "name": tenant.name, "status": tenant.status, "time_zone": tenant.time_zone, "locale": tenant.locale })
    });
    let limits = caller.limited().map(|token| token.rates.shown());
    json!({
        "tenant": tenant,
        "tenant_id": caller.tenant_id(),
        "token_id": caller.token_id(),
        "operator": caller.is_operator(),
        "scopes": caller.scopes().given().map(Scope::name).collect::<Vec<_>>(),
        "agent": caller.agent().map(Agent::name),
        "expires_at": caller.limited().map(|token| clock::rfc3339(token.expires_at)),
        "limits": limits,
        "plan": caller.tenant().map(|known| account_usage(known, state.clock.millis())),
    })
}
