//! What people read: the page at `/`, the OpenAPI document, its browser at `/docs`, which loads nothing from elsewhere, and the
//! script at `/install.sh`, which is to be read before it is run.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State as Shared},
    response::{Html, IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::{
    mcp::{self, Listed, listed},
    openapi,
};
use crate::{state::State, tool::Catalogue};

/// What is rendered once, at start.
#[derive(Debug)]
pub struct Pages {
    pub tools: Listed,
    openapi: Bytes,
    root: String,
    install: String,
    docs: String,
}

const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");
const OPENAPI: &str = "/openapi.json";

impl Pages {
    pub fn render(catalogue: &Catalogue, base_url: &str, sign_in: bool) -> Self {
        let sign_in = if sign_in { include_str!("connect_sign_in.html") } else { "" };
        Self {
            tools: listed(catalogue),
            openapi: openapi::document(catalogue, base_url).into(),
            root: include_str!("connect.html")
                .replace("{sign_in}", sign_in)
                .replace("{base_url}", base_url),
            install: install_script(base_url),
            docs: swagger_file("index.html")
                .map(|(_, bytes)| {
                    String::from_utf8_lossy(&bytes)
                        .replace("\"./", "\"/docs/")
                        .replace("\"index.css\"", "\"/docs/index.css\"")
                })
                .unwrap_or_default(),
        }
    }
}

impl Pages {
    /// The OpenAPI document, as JSON.
    pub fn openapi(&self) -> &[u8] {
        &self.openapi
    }
}

/// `GET /`: for a browser, how to connect; for anybody else, what MCP has for a GET.
pub async fn root(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let asks_html = request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("text/html")));
    if !asks_html {
        return mcp::not_allowed();
    }
    let mut response = Html(state.pages.root.clone()).into_response();
    let policy = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub async fn openapi(Shared(state): Shared<Arc<State>>) -> Response {
    let mut response = super::json(StatusCode::OK, state.pages.openapi.clone());
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /install.sh`: installs the binary of this version.
pub async fn install(Shared(state): Shared<Arc<State>>) -> Response {
    const KIND: HeaderValue = HeaderValue::from_static("text/x-shellscript; charset=utf-8");
    ([(header::CONTENT_TYPE, KIND)], state.pages.install.clone()).into_response()
}

fn install_script(base_url: &str) -> String {
    include_str!("../../deploy/install.sh")
        // It stands between quotes, and an address may hold one.
        .replace("{base_url}", &base_url.replace('\'', "%27"))
        .replace("{version}", env!("CARGO_PKG_VERSION"))
}

pub async fn docs_root(Shared(state): Shared<Arc<State>>) -> Response {
    let mut response = Html(state.pages.docs.clone()).into_response();
    let policy = HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub async fn docs_file(Path(file): Path<String>) -> Response {
    match swagger_file(&file) {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE)], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A file of Swagger UI, from the binary.
fn swagger_file(path: &str) -> Option<(HeaderValue, Bytes)> {
    // Or else Swagger UI asks an outside validator about the document.
    let config = Arc::new(utoipa_swagger_ui::Config::from(OPENAPI).validator_url("none"));
    let file = utoipa_swagger_ui::serve(path, config).ok()??;
    let kind = HeaderValue::from_str(&file.content_type).ok()?;
    // Borrowed from the binary: a copy for each request would be memory to order.
    let bytes = match file.bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some((kind, bytes))
}
