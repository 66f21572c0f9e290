//! The client of one tenant's Supabase: authentication, the description of its tables, its errors, and the test of a connection.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Reply, Request, shortened},
    },
    error::{Error, Kind, Result},
};

const API_KEY: HeaderName = HeaderName::from_static("apikey");
const ACCEPT_PROFILE: HeaderName = HeaderName::from_static("accept-profile");
/// The media type of the description (`PostgREST`, References → API → `OpenAPI`).
const OPENAPI: HeaderValue = HeaderValue::from_static("application/openapi+json");
/// Where Supabase's gateway has the Data API.
const DATA_API: &str = "/rest/v1";
/// One attempt at the description: three of them end before a tool's time limit.
const ATTEMPT: Duration = Duration::from_secs(8);
/// The longest key that is taken.
const KEY_MAX: usize = 4096;

/// One tenant's Supabase, for one call.
pub struct Supabase {
    http: Client,
    credential: Arc<Credential>,
}

impl Backend for Supabase {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Supabase {
    const NAME: &'static str = "supabase";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        let key = &credential.api_key;
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "credential.api_key: must be visible ASCII characters, without spaces, as the project shows it",
            ));
        }
        if key.starts_with("sb_publishable_") || role(key).as_deref() == Some("anon") {
            return Err(Error::invalid(
                "credential.api_key: is a publishable (anon) key, which may not see the tables' description; give a secret key (sb_secret_…) or the service_role key",
            ));
        }
        // PostgreSQL cuts names at 63 bytes, and lets them hold almost anything; a header does not.
        if let Some(schema) = &credential.schema
            && !((1..=63).contains(&schema.len()) && schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte)))
        {
            return Err(Error::invalid(
                "credential.schema: must be 1 to 63 letters, digits and _-$, the name of an exposed schema",
            ));
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        let document = self.openapi().await?;
        let tables = definitions(&document).map_or(0, serde_json::Map::len);
        let place = match &self.credential.schema {
            Some(schema) => format!("the schema '{schema}'"),
            None => "the default schema".to_owned(),
        };
        Ok(Tested {
            ok: true,
            version: document["info"]["version"].as_str().map(shortened),
            detail: match tables {
                0 => format!("The key works, and shows no table of {place}: grant its role some, or expose another schema."),
                1 => format!("The key works, and shows one table of {place}."),
                _ => format!("The key works, and shows {tables} tables of {place}."),
            },
        })
    }
}

impl Supabase {
    /// What it says of its tables: `OpenAPI` 2.0 (Swagger), a definition for each table and view. Its address, which is often
    /// the one of a container, is set to where we reach it.
    pub(in crate::backends) async fn openapi(&self) -> Result<Value> {
        let connection = self.http.connection();
        let known = connection.recall::<&'static str>("root", Duration::MAX);
        let at_once = connection.url.path().trim_end_matches('/').ends_with(DATA_API);
        // A PostgREST that stands alone has no /rest/v1, and says so by a 404.
        let roots: &[&'static str] = match known.as_deref() {
            Some(&"") => &[""],
            Some(_) => &[DATA_API],
            None if at_once => &[""],
            None => &[DATA_API, ""],
        };
        for (index, root) in roots.iter().enumerate() {
            let reply = self.ask(root).await?;
            let elsewhere = reply.status == 404 && code(&reply).as_deref() != Some("PGRST126");
            if elsewhere && index + 1 < roots.len() {
                continue;
            }
            let mut document = self.read(reply)?;
            connection.learn("root", Arc::new(*root));
            self.put_address(&mut document, root);
            return Ok(document);
        }
        unreachable!("the last root is answered or an error")
    }

    async fn ask(&self, root: &str) -> Result<Reply> {
        let mut request = self.authorised(self.http.get(&format!("{root}/")))?;
        if let Some(schema) = &self.credential.schema {
            request = request.header(ACCEPT_PROFILE, HeaderValue::from_str(schema).map_err(Error::internal)?);
        }
        request.header(header::ACCEPT, OPENAPI).within(ATTEMPT).send().await
    }

    fn read(&self, reply: Reply) -> Result<Value> {
        let schema = self.credential.schema.as_deref().unwrap_or("(the default)");
        match (reply.status.as_u16(), code(&reply).as_deref()) {
            (401 | 403, _) if wants_secret_key(&reply) => {
                return Err(Error::new(
                    Kind::BackendRefused,
                    "The key is known, and may not see the tables' description: it is a publishable (anon) key. Set the connection with a secret key (sb_secret_…) or the service_role key",
                )
                .coded("permission_missing"));
            }
            (401 | 403, Some("42501")) => {
                return Err(Error::new(
                    Kind::BackendRefused,
                    format!("The key works, and its role may not use the schema {schema}; grant it usage on the schema"),
                )
                .coded("permission_missing"));
            }
            // Its own words name every other schema, and with them other tenants: they are not passed on.
            (406, _) => {
                return Err(Error::new(
                    Kind::BackendRefused,
                    format!("Supabase does not expose the schema {schema}; expose it (Project settings → Data API), or correct the connection's schema"),
                )
                .coded("schema_not_exposed"));
            }
            (404, Some("PGRST126")) => {
                return Err(Error::new(
                    Kind::BackendRefused,
                    "PostgREST's description of its tables is switched off there (openapi-mode); switch it on",
                ));
            }
            (404, _) => return Err(not_postgrest("HTTP 404")),
            _ => {}
        }
        let document: Value = reply.json(said)?;
        // A function of the tenant's (db-root-spec) may answer anything.
        if document["swagger"].is_string() && document["definitions"].as_object().is_some() || document["openapi"].is_string() {
            Ok(document)
        } else {
            Err(not_postgrest("no OpenAPI document"))
        }
    }

    fn put_address(&self, document: &mut Value, root: &str) {
        let url = &self.http.connection().url;
        if document["swagger"].is_string()
            && let Some(host) = url.host_str()
        {
            document["host"] = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")).into();
            document["basePath"] = format!("{}{root}", url.path().trim_end_matches('/')).into();
            document["schemes"] = Value::from([url.scheme()].as_slice());
            if document["basePath"] == "" {
                document["basePath"] = "/".into();
            }
        }
    }

    /// The key alone, or as a bearer too where it is a JWT: `PostgREST` takes its role from there, and refuses any other bearer.
    fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let key = &self.credential.api_key;
        let request = request.header(API_KEY, secret_header(key)?);
        Ok(match claims(key) {
            Some(_) => request.header(header::AUTHORIZATION, secret_header(&format!("Bearer {key}"))?),
            None => request,
        })
    }
}

/// The tables and views of a document, by name: where `OpenAPI` 2.0 has them (`PostgREST` itself), or 3.x.
pub(in crate::backends) fn definitions(document: &Value) -> Option<&serde_json::Map<String, Value>> {
    let places = [&document["definitions"], &document["components"]["schemas"]];
    places.into_iter().find_map(Value::as_object)
}

/// What a JWT claims, unverified; `None` for what is no JWT (RFC 7519 §3).
fn claims(key: &str) -> Option<Value> {
    let mut parts = key.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims.is_object().then_some(claims)
}

fn role(key: &str) -> Option<String> {
    Some(claims(key)?["role"].as_str()?.to_owned())
}

/// The code of a refusal, where it has one: `PGRST106`, `42501`.
fn code(reply: &Reply) -> Option<String> {
    refusal(reply)?["code"].as_str().map(str::to_owned)
}

/// Whether the gateway before it asks for a key of the other kind. Each has other words for it: seen on projects, announced for
/// them (changelog 42949), and of those that are hosted by oneself, which answer 403 and their own.
fn wants_secret_key(reply: &Reply) -> bool {
    let Some(refusal) = refusal(reply) else {
        return reply.status == 403;
    };
    let words = format!("{} {}", refusal["message"], refusal["hint"]).to_ascii_lowercase();
    ["secret api key", "only the `service_role`", "access to schema is forbidden"]
        .iter()
        .any(|said| words.contains(said))
        || reply.status == 403 && refusal["code"].is_null()
}

fn refusal(reply: &Reply) -> Option<Value> {
    const WORDS_MAX: usize = 16 * 1024;
    (!reply.status.is_success() && reply.body.len() <= WORDS_MAX)
        .then(|| serde_json::from_slice(&reply.body).ok())
        .flatten()
}

/// Its own words about a failure: `{code, message, details, hint}`.
fn said(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str).map(str::to_owned)
}

fn not_postgrest(why: &'static str) -> Error {
    Error::new(
        Kind::BackendRefused,
        "The address answers, and not as a Supabase or PostgREST does; check that the connection's url is the project's own, e.g. https://abcd.supabase.co",
    )
    .because(why)
}

fn secret_header(secret: &str) -> Result<HeaderValue> {
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
