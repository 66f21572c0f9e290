//! APIs: the document of a service's own interface, live where the service serves one, else the page that is kept of it.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use super::{Docs, Source, document::Document, noted, pages, services};
use crate::{
    auth::Scope,
    backends::{Backend as _, Connected as _, Session, client::Client, docker, n8n::N8n, supabase::Supabase},
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ApiDocs>()]
}

/// The gateway itself, among the services that have documentation.
pub(super) const SELF: &str = "smartermcp";
/// How long a document that was asked for is used again.
const FRESH: Duration = Duration::from_mins(5);
/// Where services commonly have their document, below their address.
const PLACES: [&str; 4] = ["/openapi.json", "/api/openapi.json", "/swagger.json", "/v3/api-docs"];
/// For all of these places together.
const LOOKING: Duration = Duration::from_secs(12);
/// One look.
const LOOK: Duration = Duration::from_secs(3);

/// Show the document of a service's API: its `OpenAPI` document where the service serves one, else what the gateway knows of it, as
/// Markdown. Use it before writing a client or a workflow that calls the service.
///
/// The services are the backends (`n8n`, `supabase`, …), `smartermcp` itself, and the tenant's own as `services_list` names them. A
/// document longer than 1 MiB is answered in part. Example: `{"service_id": "n8n"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApiDocs {
    /// The service, e.g. `supabase`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
}

/// An API's document.
#[derive(Serialize, JsonSchema)]
struct Shown {
    service_id: String,
    format: Format,
    /// An object (`OpenAPI` 2.0 or 3.x), or Markdown.
    #[schemars(with = "Form")]
    document: Box<RawValue>,
    source: Source,
    /// Whether something was left out of the document so that it is no longer than 1 MiB.
    truncated: bool,
    /// What was left out, or why there is no `OpenAPI` document.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Openapi,
    Markdown,
}

/// The forms of a document, for the schema alone.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "it says what the document may be; the document itself is text that is passed on"
)]
enum Form {
    Openapi(Map<String, Value>),
    Markdown(String),
}

impl Tool for ApiDocs {
    const NAME: &'static str = "docs_apis";
    const TITLE: &'static str = "Documentation of an API";
    const ROUTE: Route = Route::get("/docs/apis/{service_id}");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Documentation;
    type Backend = Docs;
    type Output = Shown;

    async fn call(self, docs: &Docs) -> Result<Shown> {
        let kept = pages::find(&self.service_id);
        let found = match document_of(&docs.session, &self.service_id).await {
            // What is kept needs no connection.
            Err(error) if error.kind() == Kind::NotConnected && kept.is_some() => Found::None(Some(
                "This tenant has not connected it, so that its own document could not be asked for",
            )),
            found => found?,
        };
        let (markdown, source, note) = match (found, kept) {
            (Found::Document(document), _) => return Ok(self.live(&document)),
            (Found::Registered(service, why), _) => {
                let why = match why {
                    Why::None(why) => why,
                    Why::Failed(error) => {
                        error.log(&docs.session.request_id);
                        error.message().to_owned()
                    }
                };
                (services::markdown(&service), Source::Registry, Some(why))
            }
            (Found::None(why), Some(page)) => (page.markdown.to_owned(), Source::Kept, why.map(str::to_owned)),
            (Found::None(_), None) => return Err(services::unknown(&self.service_id)),
        };
        Ok(Shown {
            service_id: self.service_id,
            format: Format::Markdown,
            document: serde_json::value::to_raw_value(&markdown).map_err(Error::internal)?,
            source,
            truncated: false,
            note,
        })
    }
}

impl ApiDocs {
    fn live(self, document: &Document) -> Shown {
        Shown {
            service_id: self.service_id,
            format: Format::Openapi,
            document: document.text.clone(),
            source: Source::Live,
            truncated: document.left_out.is_some(),
            note: document.left_out.map(|what| format!("Left out, so that it fits: {what}")),
        }
    }
}

/// The `OpenAPI` document (2.0 or 3.x, at most 1 MiB) of a backend, of the gateway, or of a service of the tenant's; `None` where
/// it serves none. All operations are in it, and the forms of what they take and answer; words may be left out.
///
/// # Errors
/// [`Kind::NotConnected`] for a backend that could serve one, [`Kind::NotFound`] for no service of this tenant,
/// [`Kind::BackendRefused`] for a document that is too large to be whole, and what the backend itself answers.
pub async fn openapi_of(session: &Session, service_id: &str) -> Result<Option<Value>> {
    match document_of(session, service_id).await? {
        Found::Document(document) if document.lacks_forms() => Err(Error::new(
            Kind::BackendRefused,
            "service_id: the document of the service is too large for a client: more than 1 MiB without its descriptions",
        )),
        Found::Document(document) => document.value().map(Some),
        Found::Registered(_, Why::Failed(error)) => Err(error),
        Found::None(_) | Found::Registered(_, Why::None(_)) => Ok(None),
    }
}

enum Found {
    Document(Arc<Document>),
    /// None, and why, where that is not in the nature of the service.
    None(Option<&'static str>),
    /// A service of the tenant's without a document, and why.
    Registered(Box<docker::Described>, Why),
}

enum Why {
    /// It has none, and what was tried.
    None(String),
    /// It could not be asked.
    Failed(Error),
}

async fn document_of(session: &Session, service_id: &str) -> Result<Found> {
    match service_id {
        SELF => {
            let document = serde_json::from_slice(session.state.pages.openapi()).map_err(Error::internal)?;
            Document::of(document).map(Arc::new).map(Found::Document)
        }
        N8n::NAME => {
            let why = "This n8n does not show its document: its Swagger UI is switched off (N8N_PUBLIC_API_SWAGGERUI_DISABLED)";
            of_backend(session, N8n::NAME, why, async || N8n::open(session.clone()).await?.openapi().await).await
        }
        Supabase::NAME => {
            let asked = async || Supabase::open(session.clone()).await?.openapi().await.map(Some);
            of_backend(session, Supabase::NAME, "", asked).await
        }
        METABASE => {
            let why = "This Metabase does not show its document: it is older than 0.55, or does not show it to everybody";
            of_backend(session, METABASE, why, async || metabase(session).await).await
        }
        _ if pages::find(service_id).is_some() => Ok(Found::None(None)),
        _ => of_service(session, service_id).await,
    }
}

/// The document of a connected backend, asked for at most every few minutes.
async fn of_backend(
    session: &Session,
    backend: &'static str,
    why_none: &'static str,
    ask: impl AsyncFnOnce() -> Result<Option<Value>>,
) -> Result<Found> {
    const NAME: &str = "openapi";
    let connection = session.connection(backend).await?;
    if let Some(known) = connection.recall::<Document>(NAME, FRESH) {
        return Ok(Found::Document(known));
    }
    match noted(session, backend, ask().await)? {
        Some(document) => {
            let document = Arc::new(Document::of(document)?);
            connection.learn(NAME, Arc::clone(&document));
            Ok(Found::Document(document))
        }
        None => Ok(Found::None(Some(why_none))),
    }
}

const METABASE: &str = "metabase";

/// Metabase shows its document to everybody who reaches it (its route `/docs` is not among those that ask who is there), since 0.55.
/// The address in it is empty.
async fn metabase(session: &Session) -> Result<Option<Value>> {
    let connection = session.connection(METABASE).await?;
    let client = Client::open(connection, session.clone()).await?;
    let reply = client.get("/api/docs/openapi.json").send().await?;
    match reply.status.as_u16() {
        401 | 403 | 404 => Ok(None),
        _ => {
            let mut document: Value = reply.json(|_| None)?;
            if is_openapi(&document) {
                let base = client.connection().url.as_str().trim_end_matches('/');
                document["servers"] = serde_json::json!([{ "url": base }]);
                Ok(Some(document))
            } else {
                Err(Error::new(
                    Kind::BackendRefused,
                    "'metabase' answered its document as none of OpenAPI; check that the connection's url is the service itself",
                ))
            }
        }
    }
}

/// The document of a service of the tenant's, where it is found below its address.
async fn of_service(session: &Session, service_id: &str) -> Result<Found> {
    let service = Box::new(services::registered(session, service_id).await?);
    let Some(url) = service.url.as_deref().and_then(|url| url.parse::<url::Url>().ok()) else {
        return Ok(Found::Registered(
            service,
            Why::None("The service has no address (url) at which to look for its document".to_owned()),
        ));
    };
    let tenant = &session.tenant()?.tenant;
    let base = url.as_str().trim_end_matches('/').to_owned();
    let connection = session.state.connections.address(tenant, "url", url)?;
    let looking = async {
        let client = Client::open(connection, session.clone()).await?;
        for place in PLACES {
            let reply = client.get(place).within(LOOK).send().await?;
            // Pages that answer whatever is asked are no documents.
            if let Ok(mut document) = serde_json::from_slice::<Value>(&reply.body)
                && reply.status.is_success()
                && is_openapi(&document)
            {
                if document["openapi"].is_string() && document["servers"].is_null() {
                    document["servers"] = serde_json::json!([{ "url": base }]);
                }
                return Ok(Some(document));
            }
        }
        Ok::<_, Error>(None)
    };
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(Ok(Some(document))) => Document::of(document).map(Arc::new).map(Found::Document),
        Ok(Ok(None)) => {
            let places = PLACES.join(", ");
            Ok(Found::Registered(
                service,
                Why::None(format!("Below its address there is no OpenAPI document at {places}")),
            ))
        }
        Ok(Err(error)) => Ok(Found::Registered(service, Why::Failed(unasked(&error)))),
        Err(_) => {
            let late = format!(
                "Its address did not answer within {} s when it was asked for a document",
                LOOKING.as_secs()
            );
            Ok(Found::Registered(service, Why::Failed(Error::new(Kind::Timeout, late))))
        }
    }
}

/// The failure at a service's address, saying what it was asked for.
fn unasked(error: &Error) -> Error {
    let told = format!("Its address could not be asked for a document: {}", error.message());
    let unasked = Error::new(error.kind(), told).coded(error.label()).because(error.cause());
    match error.retry_after_secs() {
        Some(seconds) => unasked.retry_after(seconds),
        None => unasked,
    }
}

fn is_openapi(document: &Value) -> bool {
    (document["openapi"].is_string() || document["swagger"].is_string()) && document["paths"].is_object()
}
