//! The client of one tenant's n8n: authentication, its errors, and the test of a connection.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Request},
    },
    error::{Error, Kind, Result},
};

const API_KEY: HeaderName = HeaderName::from_static("x-n8n-api-key");
/// What the four tools need of an API key.
const SCOPES: &[&str] = &[
    "workflow:list",
    "workflow:read",
    "workflow:create",
    "workflow:activate",
    "workflowTags:update",
    "tag:list",
    "tag:create",
    "execution:list",
    "execution:read",
];

/// One tenant's n8n, for one call.
pub struct N8n {
    pub(super) http: Client,
    pub(super) credential: Arc<Credential>,
}

impl Backend for N8n {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for N8n {
    const NAME: &'static str = "n8n";
    type Credential = Credential;

    async fn test(&self) -> Result<Tested> {
        let reply = self.authorised(self.http.get("/api/v1/discover"))?.send().await?;
        let scopes = match reply.status.as_u16() {
            // Before 2.x there is no such route: a list shows that the key works, if not what it may.
            404 => {
                let list: Value = self.read("/api/v1/workflows", &[("limit", "1")]).await?;
                list.get("data").map(|_| None).ok_or_else(not_n8n)?
            }
            _ => {
                let found: Value = reply.json(said)?;
                Some(found["data"]["scopes"].as_array().cloned().ok_or_else(not_n8n)?)
            }
        };
        if let Some(scopes) = &scopes {
            let missing: Vec<_> = SCOPES
                .iter()
                .filter(|scope| !scopes.iter().any(|given| given == **scope))
                .copied()
                .collect();
            if !missing.is_empty() {
                return Err(Error::new(
                    Kind::BackendRefused,
                    format!(
                        "The API key works, and lacks the permissions {}; make one with these scopes",
                        missing.join(", ")
                    ),
                )
                .coded("permission_missing"));
            }
        }
        if self.credential.mcp_token.is_some() {
            self.test_mcp().await?;
        }
        Ok(Tested {
            ok: true,
            version: self.version().await,
            detail: match self.credential.mcp_token {
                Some(_) => "The API key and the MCP token work.".to_owned(),
                None => "The API key works. Without mcp_token, only workflows with a webhook can be triggered.".to_owned(),
            },
        })
    }
}

impl N8n {
    /// Reads JSON from the public API.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.authorised(self.http.get(path))?.query(query).send().await?.json(said)
    }

    /// Sends JSON to the public API.
    pub(super) async fn write<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        self.authorised(self.http.write(method, path))?.json(body)?.send().await?.json(said)
    }

    pub(super) fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        Ok(request.header(API_KEY, secret_header(&self.credential.api_key)?))
    }

    /// Where people open a workflow.
    pub(super) fn workflow_url(&self, id: &str) -> String {
        format!("{}/workflow/{id}", self.http.connection().url.as_str().trim_end_matches('/'))
    }

    /// n8n's own description of its public API: `OpenAPI` 3.0; `None` where the instance does not show it (its Swagger UI is
    /// switched off). It serves the document as YAML too; the script of its Swagger UI holds the same as JSON. Neither needs a key.
    pub(in crate::backends) async fn openapi(&self) -> Result<Option<Value>> {
        const SCRIPT: &str = "/api/v1/docs/swagger-ui-init.js";
        let reply = self.http.get(SCRIPT).send().await?;
        match reply.status.as_u16() {
            200 => {}
            401 | 403 | 404 => return Ok(None),
            _ => return Err(reply.refusal(said)),
        }
        let script = std::str::from_utf8(&reply.body).map_err(|_| not_n8n())?;
        let (_, document) = script.split_once("\"swaggerDoc\":").ok_or_else(not_n8n)?;
        let mut document: Value = serde_json::Deserializer::from_str(document)
            .into_iter()
            .next()
            .and_then(Result::ok)
            .filter(|document: &Value| document["openapi"].is_string())
            .ok_or_else(not_n8n)?;
        // The first of its servers is relative to a page that nobody looks at here.
        let base = self.http.connection().url.as_str().trim_end_matches('/');
        document["servers"] = serde_json::json!([{ "url": format!("{base}/api/v1") }]);
        if let Some(document) = document.as_object_mut() {
            document.remove("server");
        }
        Ok(Some(document))
    }

    /// n8n tells its version only in a tag of its start page.
    async fn version(&self) -> Option<String> {
        let page = self.http.get("/").send().await.ok()?;
        let html = std::str::from_utf8(&page.body).ok()?;
        let (_, rest) = html.split_once("name=\"n8n:config:sentry\" content=\"")?;
        let (content, _) = rest.split_once('"')?;
        let config: Value = serde_json::from_slice(&STANDARD.decode(content).ok()?).ok()?;
        Some(config["release"].as_str()?.trim_start_matches("n8n@").to_owned())
    }
}

fn not_n8n() -> Error {
    Error::new(
        Kind::BackendRefused,
        "The address answers, and not as n8n does; check that the url is the instance itself, without /api/v1",
    )
}

/// n8n's own words about a failure: `{"message": …}`. Stack traces lie beside it and are left there.
pub(super) fn said(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn secret_header(secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).map_err(|_| {
        Error::new(
            Kind::BackendRefused,
            "The stored credential holds characters that no HTTP header takes; set it again",
        )
        .coded("credential_refused")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// An id, which n8n has given as text and as a number.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
    }
    Ok(match Id::deserialize(deserializer)? {
        Id::Text(text) if text.len() > 128 => return Err(serde::de::Error::custom("an id longer than 128 bytes")),
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    })
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
