//! What clients are told before they have a token: the metadata of the two resources (RFC 9728) and of the authorization server
//! (RFC 8414, and where OpenID Connect Discovery looks for it), and the keys that access tokens are signed with.
//!
//! Open to everybody, and to pages of every site. Any other well-known path is the plain 404 that clients which try many expect.

use std::sync::Arc;

use axum::{Router, extract::State as Shared, response::Response, routing::get};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::{REGISTER, REVOKE, TOKEN};
use crate::{
    auth::{Scope, Scopes},
    http::{json as json_response, no_method},
    state::State,
};

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const RESOURCE_MCP: &str = "/.well-known/oauth-protected-resource/mcp";
pub const JWKS: &str = "/oauth/jwks.json";
/// A moved gateway or a new key is seen within minutes; a key signs ten minutes after it is published.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub fn routes(sign_in: bool) -> Router<Arc<State>> {
    let mut router = Router::new()
        .route(RESOURCE, get(async |Shared(state): Shared<Arc<State>>| resource(&state, "")))
        .route(
            RESOURCE_MCP,
            get(async |Shared(state): Shared<Arc<State>>| resource(&state, "/mcp")),
        );
    if sign_in {
        router = router
            .route("/.well-known/oauth-authorization-server", get(server))
            .route("/.well-known/openid-configuration", get(server))
            .route(JWKS, get(jwks));
    }
    // Before the layer, so that a preflight, which no route takes, passes through CORS.
    router.method_not_allowed_fallback(no_method).layer(
        CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([Method::GET])
            // Clients say their protocol's version to these too.
            .allow_headers(AllowHeaders::mirror_request()),
    )
}

/// The metadata of the resource that a path belongs to: `/mcp`, or all there is.
pub fn resource_of(path: &str) -> &'static str {
    if path == "/mcp" { RESOURCE_MCP } else { RESOURCE }
}

/// Its URL (RFC 9728 §3.1).
pub fn resource_metadata(state: &State, resource: &'static str) -> String {
    format!("{}{resource}", state.base_url)
}

/// RFC 9728 §2. `resource` is the URL that clients connect to, to the letter.
fn resource(state: &State, path: &str) -> Response {
    let servers: Vec<&str> = match state.config.sign_in {
        true => vec![&state.base_url],
        false => state.config.issuers.iter().map(|issuer| issuer.url.as_str()).collect(),
    };
    let mut document = json!({
        "resource": format!("{}{path}", state.base_url),
        "scopes_supported": scopes(),
        "bearer_methods_supported": ["header"],
        "resource_name": "SmarterMCP",
        "resource_documentation": format!("{}/docs", state.base_url),
    });
    // None at all is told by leaving it out.
    if !servers.is_empty() {
        document["authorization_servers"] = json!(servers);
    }
    answer(document.to_string())
}

/// RFC 8414 §2. The same document serves those who look where OpenID Connect has its own, with the members that its readers
/// insist on; no ID tokens are issued.
async fn server(Shared(state): Shared<Arc<State>>) -> Response {
    let base = &state.base_url;
    let document = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}{TOKEN}"),
        "registration_endpoint": format!("{base}{REGISTER}"),
        "revocation_endpoint": format!("{base}{REVOKE}"),
        "jwks_uri": format!("{base}{JWKS}"),
        "scopes_supported": scopes(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
        "protected_resources": crate::auth::jwt::resources(&state),
        "ui_locales_supported": ["es", "en"],
        "service_documentation": format!("{base}/docs"),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    answer(document.to_string())
}

/// RFC 7517 §5.
async fn jwks(Shared(state): Shared<Arc<State>>) -> Response {
    answer(state.keys.jwks())
}

fn scopes() -> Value {
    Scopes::business().given().map(Scope::name).collect()
}

fn answer(document: impl Into<axum::body::Body>) -> Response {
    let mut response = json_response(StatusCode::OK, document);
    response.headers_mut().insert(header::CACHE_CONTROL, CACHE);
    response
}
