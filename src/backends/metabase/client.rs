//! The client of one tenant's Metabase: authentication, queries and what their answers say, and the test of a connection.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Reply, Request, shortened},
    },
    error::{Error, Kind, Result},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How long one query may take. A second attempt has what is then left of the tool's time.
const QUERY: Duration = Duration::from_secs(25);

/// One tenant's Metabase, for one call.
pub struct Metabase {
    pub(super) http: Client,
    pub(super) credential: Arc<Credential>,
}

/// What a query answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) columns: Vec<Column>,
    /// As many values in each as there are columns.
    pub(super) rows: Vec<Vec<Value>>,
    /// When Metabase had it from the database, where it says that it kept it from an earlier time; RFC 3339.
    pub(super) kept_since: Option<String>,
}

#[derive(Debug)]
pub(super) struct Column {
    /// As the query names it.
    pub(super) name: String,
    /// As people see it.
    pub(super) label: String,
}

impl Backend for Metabase {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Metabase {
    const NAME: &'static str = "metabase";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        if credential.api_key.is_empty() || !credential.api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "credential.api_key: must be visible ASCII characters, without spaces",
            ));
        }
        for (field, id) in [("collection_id", credential.collection_id), ("database_id", credential.database_id)] {
            if id == Some(0) {
                return Err(Error::invalid(format!("credential.{field}: must be at least 1")));
            }
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        #[derive(Deserialize)]
        struct User {
            #[serde(rename = "id")]
            _id: u64,
        }
        // The one route that asks for nothing but the key.
        let reply = self.send(self.http.get("/api/user/current")).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Err(not_metabase("no /api/user/current"));
        }
        let _: User = reply.json(said)?;
        let mut detail = "The API key works.".to_owned();
        if let Some(id) = self.credential.collection_id {
            let reply = self.send(self.http.get(&format!("/api/collection/{id}"))).await?;
            let found: Named = visible(reply, || format!("collection {id}"))?.json(said)?;
            detail += " The collection is '";
            detail += &shortened(&found.name);
            detail += "'.";
        }
        if let Some(id) = self.credential.database_id {
            let reply = self.send(self.http.get(&format!("/api/database/{id}"))).await?;
            let found: Named = visible(reply, || format!("database {id}"))?.json(said)?;
            detail += " Reports may be written for the database '";
            detail += &shortened(&found.name);
            detail += "'.";
        }
        Ok(Tested {
            ok: true,
            version: self.version().await,
            detail,
        })
    }
}

impl Metabase {
    /// Reads JSON.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.send(self.http.get(path).query(query)).await?.json(said)
    }

    pub(super) async fn send(&self, request: Request<'_>) -> Result<Reply> {
        let mut key = HeaderValue::from_str(&self.credential.api_key).map_err(|_| {
            Error::new(
                Kind::BackendRefused,
                "The stored credential holds characters that no HTTP header takes; set it again",
            )
            .coded("credential_refused")
        })?;
        key.set_sensitive(true);
        request.header(API_KEY, key).send().await
    }

    /// Runs a saved question that was found to be the tenant's.
    pub(super) async fn run_question(&self, id: u64, parameters: &[Map<String, Value>]) -> Result<Answer> {
        self.query(&format!("/api/card/{id}/query"), &json!({ "parameters": parameters }))
            .await
    }

    /// Runs SQL that was found to be read-only, on the database that the connection names.
    pub(super) async fn run_sql(&self, database: u64, sql: &str) -> Result<Answer> {
        let body = json!({
            "database": database, "type": "native", "native": { "query": sql, "template-tags": {} }, "parameters": [],
        });
        self.query("/api/dataset", &body).await
    }

    async fn query(&self, path: &str, body: &Value) -> Result<Answer> {
        // A 202 is given before the query has run: only the body says what came of it.
        let request = self.http.ask(Method::POST, path).json(body)?.within(QUERY);
        let raw: RawAnswer = self.send(request).await?.json(said)?;
        raw.read()
    }

    async fn version(&self) -> Option<String> {
        let found: Value = self.read("/api/session/properties", &[]).await.ok()?;
        Some(shortened(found["version"]["tag"].as_str()?))
    }
}

/// An answer as Metabase sends it.
#[derive(Deserialize)]
struct RawAnswer {
    status: Option<String>,
    error: Option<Value>,
    error_type: Option<String>,
    data: Option<RawData>,
    /// Up to 0.4x: whether it was kept, with the time beside it; after: the time itself.
    cached: Option<Value>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct RawData {
    rows: Vec<Vec<Value>>,
    cols: Vec<RawColumn>,
}

#[derive(Deserialize)]
struct RawColumn {
    name: String,
    display_name: Option<String>,
}

impl RawAnswer {
    fn read(self) -> Result<Answer> {
        match self.status.as_deref() {
            Some("completed") => {}
            Some("failed") => return Err(self.failure()),
            _ => return Err(not_metabase("a query without a status")),
        }
        let data = self.data.ok_or_else(|| not_metabase("a completed query without data"))?;
        if data.rows.iter().any(|row| row.len() != data.cols.len()) {
            return Err(not_metabase("a row with more or fewer values than columns"));
        }
        let kept_since = match self.cached {
            Some(Value::String(at)) => Some(at),
            Some(Value::Bool(true)) => self.updated_at,
            _ => None,
        };
        Ok(Answer {
            columns: data
                .cols
                .into_iter()
                .map(|column| Column {
                    label: column
                        .display_name
                        .filter(|label| !label.trim().is_empty())
                        .unwrap_or_else(|| column.name.clone()),
                    name: column.name,
                })
                .collect(),
            rows: data.rows,
            kept_since: kept_since.and_then(|at| Some(at.parse::<jiff::Timestamp>().ok()?.to_string())),
        })
    }

    fn failure(&self) -> Error {
        let words = match &self.error {
            Some(Value::String(words)) => shortened(words),
            _ => "it does not say why".to_owned(),
        };
        let error = Error::new(Kind::BackendRefused, format!("'metabase' could not run the query: {words}"));
        match self.error_type.as_deref() {
            Some("missing-required-permissions") => error.coded("credential_refused"),
            _ => error,
        }
    }
}

/// What the key does not see is not there: Metabase answers 403 or 404, and neither says that the key itself is wrong.
fn visible(reply: Reply, what: impl Fn() -> String) -> Result<Reply> {
    if matches!(reply.status.as_u16(), 400 | 403 | 404) {
        return Err(Error::new(
            Kind::BackendRefused,
            format!(
                "The API key works, and does not see {}; give its group the permission, or correct the number",
                what()
            ),
        )
        .coded("permission_missing"));
    }
    Ok(reply)
}

pub(super) fn not_metabase(why: impl Into<String>) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'metabase' did not answer as its API does; check that the connection's url is the instance itself, without /api",
    )
    .because(why.into())
}

/// Metabase's own words about a failure: plain text as a rule, which is not passed on, or JSON with `message` or `errors` by field.
pub(super) fn said(body: &Value) -> Option<String> {
    if let Some(words) = body.get("message").and_then(Value::as_str) {
        return Some(words.to_owned());
    }
    let errors = body.get("errors")?.as_object()?;
    let words: Vec<_> = errors
        .iter()
        .filter_map(|(field, words)| Some(format!("{field}: {}", words.as_str()?)))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// An id, which is a number, or for what Metabase only pretends to have ("root") a text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64())
}
