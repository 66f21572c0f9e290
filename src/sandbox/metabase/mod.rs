//! A small Metabase that runs inside this process, as the vendor that tests play against and for the demo.
//!
//! It answers what the gateway and Metabase's own command line (`@metabase/cli`) ask, in the shapes of Metabase 0.57 as its source
//! and that client's schemas have them: a query is answered with 202 also where it failed, and refusals are plain text. It runs no SQL:
//! a saved question's rows are the shop's, and a query that is sent to it is known by its text (`saved.rs`) or fails as PostgreSQL would.
//!
//! One instance holds several tenants' collections. Its first key sees all of them, as a key of a careless group would; others see
//! what they were given.

mod saved;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State as Shared},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use self::saved::{COLLECTIONS, Collection, DASHBOARDS, Dashboard};
pub use self::saved::{Card, LUNA, LUNA_DATABASE, SOL};
use crate::sandbox::faults::{Fault, Faults};

/// The release that it says it is.
const TAG: &str = "v0.57.2";

/// A Metabase in memory. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Vec<(String, Sees)>,
    cards: Vec<Card>,
    /// What somebody wrote at the table `pedidos`.
    description: String,
    asked: Vec<Asked>,
}

/// What the group of a key may see.
#[derive(Clone, Debug)]
enum Sees {
    All,
    /// These collections, with those below them.
    Collections(Vec<u64>),
}

/// What it was asked, but for its health and version.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Null where there was none.
    pub body: Value,
}

impl Sandbox {
    /// With a key that sees everything.
    pub fn new(api_key: &str) -> Self {
        Self(Arc::new(Inner {
            faults: Faults::default(),
            state: Mutex::new(State {
                keys: vec![(api_key.to_owned(), Sees::All)],
                cards: saved::cards(),
                description: "Un pedido por fila".to_owned(),
                asked: Vec::new(),
            }),
        }))
    }

    /// One more key, of a group that sees these collections alone.
    #[must_use]
    pub fn with_key(self, api_key: &str, collections: &[u64]) -> Self {
        let sees = Sees::Collections(collections.to_vec());
        self.state().keys.push((api_key.to_owned(), sees));
        self
    }

    pub fn router(&self) -> Router {
        let api = Router::new()
            .route("/user/current", get(user))
            .route("/collection/tree", get(tree))
            .route("/collection/{id}", get(collection))
            .route("/collection/{id}/items", get(items))
            .route("/card/{id}", get(card))
            .route("/card/{id}/query", post(run_card))
            .route("/dashboard/{id}", get(dashboard))
            .route("/database/{id}", get(database))
            .route("/database/{id}/metadata", get(metadata))
            .route("/dataset", post(run_sql))
            .route("/search", get(search))
            .route_layer(middleware::from_fn_with_state(self.clone(), ask_for_key))
            .route("/health", get(async || Json(json!({ "status": "ok" }))))
            .route(
                "/session/properties",
                get(async || Json(json!({ "version": { "tag": TAG, "date": "2026-10-01" }, "token-features": {} }))),
            )
            .fallback(async || text(StatusCode::NOT_FOUND, "API endpoint does not exist."));
        self.0.faults.before(Router::new().nest("/api", api).with_state(self.clone()))
    }

    /// Lets something go wrong, from the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.0.faults.set(fault);
    }

    /// Saves a question, in the place of one of its number.
    pub fn save(&self, card: Card) {
        let mut state = self.state();
        state.cards.retain(|known| known.id != card.id);
        state.cards.push(card);
    }

    /// What somebody writes at the table `pedidos` of the shop's database.
    pub fn describe(&self, words: &str) {
        words.clone_into(&mut self.state().description);
    }

    /// What it was asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sees {
    /// Whether what lies in a collection (0: in none) is to be seen.
    fn shows(&self, collection: u64) -> bool {
        match self {
            Sees::All => true,
            Sees::Collections(seen) => {
                let above = COLLECTIONS
                    .iter()
                    .find(|known| known.id == collection)
                    .map_or("", |known| known.location);
                seen.contains(&collection) || above.split('/').any(|part| part.parse().is_ok_and(|id: u64| seen.contains(&id)))
            }
        }
    }
}

fn text(status: StatusCode, words: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], words).into_response()
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    NotFound,
    Forbidden,
    /// This field has no value that is taken, for this reason.
    Field(&'static str, &'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::NotFound => text(StatusCode::NOT_FOUND, "Not found."),
            Refusal::Forbidden => text(StatusCode::FORBIDDEN, "You don't have permissions to do that."),
            Refusal::Field(name, words) => {
                let body = json!({ "errors": { name: words }, "specific-errors": { name: [words] } });
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
        }
    }
}

type Answered = Result<Response, Refusal>;

/// The database, if the key sees it.
fn known_database(id: Option<u64>, sees: &Sees) -> Result<u64, Refusal> {
    let seen = saved::shows_database(id, |collection| sees.shows(collection));
    id.filter(|_| seen).ok_or(Refusal::Forbidden)
}

async fn ask_for_key(Shared(sandbox): Shared<Sandbox>, request: Request, next: Next) -> Response {
    let given = request.headers().get("x-api-key").map(HeaderValue::as_bytes);
    let sees = sandbox
        .state()
        .keys
        .iter()
        .find(|(key, _)| given == Some(key.as_bytes()))
        .map(|(_, sees)| sees.clone());
    let Some(sees) = sees else {
        return text(StatusCode::UNAUTHORIZED, "Unauthenticated");
    };
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    sandbox.state().asked.push(Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    parts.extensions.insert(sees);
    next.run(Request::from_parts(parts, body.into())).await
}

type Seen = axum::Extension<Sees>;
type Pairs = Query<Vec<(String, String)>>;

async fn user(axum::Extension(sees): Seen) -> Response {
    let is_superuser = matches!(sees, Sees::All);
    Json(json!({ "id": 13, "email": "api-key-user-13@api-key.invalid", "common_name": "SmarterMCP", "is_superuser": is_superuser }))
        .into_response()
}

async fn tree(axum::Extension(sees): Seen) -> Response {
    // What is below nothing that is seen stands at the top.
    let roots: Vec<_> = COLLECTIONS
        .iter()
        .filter(|known| sees.shows(known.id) && !above(known).is_some_and(|above| sees.shows(above)))
        .map(|known| node(known, &sees))
        .collect();
    Json(roots).into_response()
}

fn above(collection: &Collection) -> Option<u64> {
    collection.location.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

fn node(collection: &Collection, sees: &Sees) -> Value {
    let children: Vec<_> = COLLECTIONS
        .iter()
        .filter(|known| above(known) == Some(collection.id) && sees.shows(known.id))
        .map(|known| node(known, sees))
        .collect();
    let mut shown = shown_collection(collection);
    shown["children"] = json!(children);
    shown
}

fn shown_collection(collection: &Collection) -> Value {
    json!({
        "id": collection.id, "name": collection.name, "description": null, "archived": false, "location": collection.location,
        "type": collection.kind, "authority_level": null, "namespace": null, "is_personal": false,
    })
}

/// The collection of a path: its number, or `root`.
fn placed(id: &str, sees: &Sees) -> Result<u64, Refusal> {
    let number = match id {
        "root" => return Ok(0),
        id => id.parse().map_err(|_| Refusal::NotFound)?,
    };
    if !COLLECTIONS.iter().any(|known| known.id == number) {
        return Err(Refusal::NotFound);
    }
    if sees.shows(number) { Ok(number) } else { Err(Refusal::Forbidden) }
}

async fn collection(axum::Extension(sees): Seen, Path(id): Path<String>) -> Answered {
    let number = placed(&id, &sees)?;
    Ok(match COLLECTIONS.iter().find(|known| known.id == number) {
        Some(known) => Json(shown_collection(known)).into_response(),
        None => Json(json!({ "id": "root", "name": "Our analytics", "is_personal": false })).into_response(),
    })
}

fn all<'a>(pairs: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    pairs
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

/// A page of a list, by `limit` and `offset`.
fn page(pairs: &[(String, String)], mut items: Vec<Value>) -> Value {
    let number = |name: &str| all(pairs, name).first().and_then(|text| text.parse::<usize>().ok());
    let (limit, offset) = (number("limit"), number("offset"));
    let total = items.len();
    items.drain(..offset.unwrap_or(0).min(total));
    items.truncate(limit.unwrap_or(usize::MAX));
    json!({ "total": total, "data": items, "limit": limit, "offset": offset })
}

async fn items(Shared(sandbox): Shared<Sandbox>, axum::Extension(sees): Seen, Path(id): Path<String>, Query(pairs): Pairs) -> Answered {
    let place = placed(&id, &sees)?;
    let models = all(&pairs, "models");
    let mut found = sandbox.state().found(&sees);
    found.retain(|(known, item)| *known == place && (models.is_empty() || models.iter().any(|model| item["model"] == *model)));
    let mut found: Vec<_> = found.into_iter().map(|(_, item)| item).collect();
    found.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(Json(page(&pairs, found)).into_response())
}

async fn search(Shared(sandbox): Shared<Sandbox>, axum::Extension(sees): Seen, Query(pairs): Pairs) -> Response {
    let models = all(&pairs, "models");
    let words = all(&pairs, "q").first().map(|words| words.to_lowercase());
    let mut found = sandbox.state().found(&sees);
    found.retain(|(_, item)| {
        let name = item["name"].as_str().unwrap_or_default().to_lowercase();
        (models.is_empty() || models.iter().any(|model| item["model"] == *model)) && words.as_ref().is_none_or(|words| name.contains(words))
    });
    let mut answer = page(&pairs, found.into_iter().map(|(_, item)| item).collect());
    answer["models"] = json!(models);
    Json(answer).into_response()
}

impl State {
    /// Every dashboard and question that is not in the trash, with the collection that it lies in.
    fn found(&self, sees: &Sees) -> Vec<(u64, Value)> {
        let place = |id: u64| {
            let known = COLLECTIONS.iter().find(|known| known.id == id);
            known.map(|known| json!({ "id": known.id, "name": known.name, "authority_level": null, "type": known.kind }))
        };
        let item = |id: u64, name: &str, description: Option<&str>, collection: u64, model: &str| {
            json!({
                "id": id, "name": name, "description": description, "model": model, "archived": false,
                "collection_id": (collection != 0).then_some(collection), "collection": place(collection), "collection_position": null,
            })
        };
        let cards = self
            .cards
            .iter()
            .filter(|card| !card.archived && sees.shows(card.collection))
            .map(|card| {
                let model = if card.is_model { "dataset" } else { "card" };
                (
                    card.collection,
                    item(card.id, &card.name, card.description.as_deref(), card.collection, model),
                )
            });
        let dashboards = DASHBOARDS.iter().filter(|dashboard| sees.shows(dashboard.collection)).map(|known| {
            (
                known.collection,
                item(known.id, known.name, known.description, known.collection, "dashboard"),
            )
        });
        cards.chain(dashboards).collect()
    }

    /// A question, if the key sees it.
    fn card(&self, id: &str, sees: &Sees) -> Result<Card, Refusal> {
        let number: u64 = id.parse().map_err(|_| Refusal::NotFound)?;
        let card = self.cards.iter().find(|card| card.id == number).ok_or(Refusal::NotFound)?;
        if sees.shows(card.collection) {
            Ok(card.clone())
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

async fn card(Shared(sandbox): Shared<Sandbox>, axum::Extension(sees): Seen, Path(id): Path<String>) -> Answered {
    let card = sandbox.state().card(&id, &sees)?;
    let place = COLLECTIONS.iter().find(|known| known.id == card.collection);
    Ok(Json(json!({
        "id": card.id, "name": card.name, "type": if card.is_model { "model" } else { "question" }, "description": card.description,
        "display": if card.columns.len() == 1 { "scalar" } else { "table" }, "archived": card.archived, "query_type": "native",
        "database_id": LUNA_DATABASE, "table_id": null, "collection_id": place.map(|place| place.id), "dashboard_id": null,
        "entity_id": format!("{:0>21}", card.id), "creator_id": 1, "visualization_settings": {}, "parameters": [],
        "dataset_query": { "lib/type": "mbql/query", "database": LUNA_DATABASE, "stages": [{ "lib/type": "mbql.stage/native", "native": "-- played" }] },
        "collection": place.map_or_else(|| json!({ "id": "root", "name": "Our analytics", "is_personal": false }), shown_collection),
    }))
    .into_response())
}

async fn run_card(Shared(sandbox): Shared<Sandbox>, axum::Extension(sees): Seen, Path(id): Path<String>, body: Bytes) -> Answered {
    if !body.is_empty() && serde_json::from_slice::<Value>(&body).is_err() {
        return Err(Refusal::Field("parameters", "nullable sequence of parameter."));
    }
    let card = sandbox.state().card(&id, &sees)?;
    Ok(answer(card.answer(), card.kept_since.as_deref()))
}

async fn run_sql(axum::Extension(sees): Seen, Json(body): Json<Value>) -> Answered {
    known_database(body["database"].as_u64(), &sees)?;
    if body["type"] != "native" {
        return Err(Refusal::Field("type", "only native queries are played."));
    }
    Ok(answer(saved::run(body["native"]["query"].as_str().unwrap_or_default()), None))
}

/// Columns and rows, or what the database said against the query.
type Ran = Result<(Vec<String>, Vec<Vec<Value>>), String>;

/// 202, whatever came of it.
fn answer(ran: Ran, kept_since: Option<&str>) -> Response {
    let started_at = "2026-11-21T12:00:00.000Z";
    let body = match ran {
        Ok((columns, rows)) => {
            let kind = |index: usize| match rows.first().and_then(|row| row.get(index)) {
                Some(Value::Number(number)) if number.is_f64() => "type/Float",
                Some(Value::Number(_)) => "type/Integer",
                _ => "type/Text",
            };
            let cols: Vec<_> = columns
                .iter()
                .enumerate()
                .map(|(index, name)| json!({ "name": name, "display_name": name, "base_type": kind(index), "source": "native" }))
                .collect();
            json!({
                "status": "completed", "row_count": rows.len(), "running_time": 4, "database_id": LUNA_DATABASE, "started_at": started_at,
                "context": "question", "cached": kept_since, "json_query": {},
                "data": { "rows": rows, "cols": cols, "results_timezone": "America/Santiago" },
            })
        }
        Err(words) => json!({
            "status": "failed", "error": words, "error_type": "invalid-query", "row_count": 0, "running_time": 0, "started_at": started_at,
            "class": "class org.postgresql.util.PSQLException", "stacktrace": ["--> played"], "json_query": {}, "data": { "rows": [], "cols": [] },
        }),
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

async fn dashboard(axum::Extension(sees): Seen, Path(id): Path<String>) -> Answered {
    let known = DASHBOARDS
        .iter()
        .find(|known| id.parse() == Ok(known.id))
        .ok_or(Refusal::NotFound)?;
    let Dashboard {
        id,
        name,
        description,
        collection,
    } = known;
    if !sees.shows(*collection) {
        return Err(Refusal::Forbidden);
    }
    Ok(Json(json!({
        "id": id, "name": name, "description": description, "archived": false, "creator_id": 1, "entity_id": null, "width": "fixed",
        "collection_id": (*collection != 0).then_some(collection), "auto_apply_filters": true, "enable_embedding": false, "public_uuid": null,
        "cache_ttl": null, "parameters": [], "dashcards": [], "tabs": [],
    }))
    .into_response())
}

async fn database(axum::Extension(sees): Seen, Path(id): Path<u64>) -> Answered {
    let id = known_database(Some(id), &sees)?;
    let name = saved::database_name(id);
    Ok(
        Json(json!({ "id": id, "name": name, "engine": "postgres", "is_saved_questions": false, "initial_sync_status": "complete" }))
            .into_response(),
    )
}

async fn metadata(Shared(sandbox): Shared<Sandbox>, axum::Extension(sees): Seen, Path(id): Path<u64>) -> Answered {
    let id = known_database(Some(id), &sees)?;
    let description = sandbox.state().description.clone();
    Ok(Json(saved::metadata(id, &description)).into_response())
}
