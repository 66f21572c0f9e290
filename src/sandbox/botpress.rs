//! A played Botpress Cloud: the routes of its admin and runtime APIs that the tools of bots use, in the shapes of Botpress' own
//! client (`@botpress/client` 1.45).
//!
//! A token is a person's, who is a member of some workspaces: the admin API looks at `x-workspace-id`, the runtime API only at
//! `x-bot-id` and at whose bot that is. `blocked` is taken and never told, as the real one does.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::{Bytes, to_bytes},
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

pub use crate::sandbox::faults::Fault;
use crate::sandbox::{faults::Faults, shop};

/// How long a page is, and at most.
const PAGE: usize = 20;
const PAGE_MAX: usize = 100;
const ASKED_MAX: usize = 1000;
const BODY_MAX: usize = 4 * 1024 * 1024;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A Botpress in memory. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Botpress {
    faults: Faults,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Of which workspaces a token's owner is a member.
    tokens: HashMap<String, Vec<String>>,
    bots: Vec<Bot>,
    asked: VecDeque<String>,
    /// How many requests have changed something.
    writes: usize,
}

/// A bot.
#[derive(Clone, Debug)]
pub struct Bot {
    pub id: String,
    pub workspace: String,
    pub name: String,
    pub deployed_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub blocked: bool,
    /// The configuration's data.
    pub configuration: Map<String, Value>,
    /// Names, and whether they are enabled.
    pub integrations: Vec<(String, bool)>,
    /// Ids and names.
    pub versions: Vec<(String, String)>,
    /// Which version is live.
    pub live: Option<String>,
    /// The latest first.
    pub conversations: Vec<Conversation>,
    /// Whether it has had the shop's days.
    pub busy: bool,
    /// Whether it tracks tasks and intents.
    pub tracks: bool,
}

/// A conversation with a bot.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: String,
    pub user: String,
    pub integration: String,
    /// Who speaks (true: the user), and what is said; the newest last.
    pub messages: Vec<(bool, String)>,
    pub updated_at: Timestamp,
}

impl Bot {
    /// One of a workspace, with nothing in it.
    pub fn new(id: &str, workspace: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            workspace: workspace.to_owned(),
            name: name.to_owned(),
            deployed_at: None,
            updated_at: Timestamp::now(),
            blocked: false,
            configuration: Map::new(),
            integrations: Vec::new(),
            versions: Vec::new(),
            live: None,
            conversations: Vec::new(),
            busy: false,
            tracks: false,
        }
    }
}

impl Botpress {
    /// One without workspaces.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the token of a member of these workspaces.
    #[must_use]
    pub fn with_token(self, token: &str, workspaces: &[&str]) -> Self {
        let workspaces = workspaces.iter().map(|workspace| (*workspace).to_owned()).collect();
        self.state().tokens.insert(token.to_owned(), workspaces);
        self
    }

    /// Adds the shop's two bots to a workspace.
    #[must_use]
    pub fn with_shop(self, workspace: &str) -> Self {
        let now = Timestamp::now();
        let mut bot = Bot::new(shop::BOT, workspace, shop::BOT_NAME);
        bot.deployed_at = Some(now - DAY);
        bot.integrations = shop::BOT_INTEGRATIONS.map(|(name, enabled)| (name.to_owned(), enabled)).into();
        bot.versions = shop::BOT_VERSIONS.map(|(id, name)| (id.to_owned(), name.to_owned())).into();
        bot.live = bot.versions.first().map(|(id, _)| id.clone());
        bot.configuration = Map::from_iter([("saludo".to_owned(), json!("¡Hola! Somos Panadería Luna."))]);
        bot.busy = true;
        bot.tracks = true;
        let conversations = shop::BOT_CONVERSATIONS
            .iter()
            .zip(1_i64..)
            .map(|(conversation, hours)| Conversation {
                id: conversation.id.to_owned(),
                user: format!("user_{}", conversation.contact),
                integration: conversation.integration.to_owned(),
                messages: conversation
                    .messages
                    .iter()
                    .map(|(theirs, text)| (*theirs, (*text).to_owned()))
                    .collect(),
                updated_at: now - SignedDuration::from_hours(hours),
            });
        bot.conversations = conversations.collect();
        let (id, name) = shop::BOT_DRAFT;
        let mut draft = Bot::new(id, workspace, name);
        draft.updated_at = now - DAY;
        self.state().bots.extend([bot, draft]);
        self
    }

    /// Adds a bot.
    pub fn add_bot(&self, bot: Bot) {
        self.state().bots.push(bot);
    }

    /// A bot as it stands.
    pub fn bot(&self, id: &str) -> Option<Bot> {
        self.state().bots.iter().find(|bot| bot.id == id).cloned()
    }

    /// How many requests have changed something.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// What was asked, the latest last: method, path and query.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.iter().cloned().collect()
    }

    /// How many requests came, those that met a fault included.
    pub fn requests(&self) -> usize {
        self.faults.requests()
    }

    /// Lets something go wrong, from the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.faults.set(fault);
    }

    /// Everything below the base URL.
    pub fn router(&self) -> Router {
        let played = self.clone();
        let whole = Router::new().fallback(move |request: Request| {
            let played = played.clone();
            async move { played.take(request).await }
        });
        self.faults.before(whole)
    }

    async fn take(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, BODY_MAX).await else {
            return failure(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", "The payload is too large").into_response();
        };
        let asked = Asked {
            path: head.uri.path().to_owned(),
            query: url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
            method: head.method,
            headers: head.headers,
            body,
        };
        let whole = head.uri.path_and_query().map_or("", |whole| whole.as_str());
        let (response, wrote) = {
            let mut state = self.state();
            state.asked.push_back(format!("{} {whole}", asked.method));
            if state.asked.len() > ASKED_MAX {
                state.asked.pop_front();
            }
            let before = state.writes;
            let response = state.answer(&asked).unwrap_or_else(Refusal::into_response);
            (response, state.writes > before)
        };
        if wrote && let Some(pause) = self.faults.slow_after_run() {
            tokio::time::sleep(pause).await;
        }
        response
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, taken apart.
struct Asked {
    method: Method,
    path: String,
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body).map_err(|_| failure(StatusCode::BAD_REQUEST, "InvalidPayload", "The body is no JSON"))
    }

    fn time(&self, name: &str) -> Result<Timestamp, Refusal> {
        let text = self.query.get(name).ok_or_else(|| invalid_query(&format!("{name} is required")))?;
        text.parse().map_err(|_| invalid_query(&format!("{name} must be an ISO 8601 date")))
    }

    /// The page that is asked for, and what comes after it.
    fn page<T: Clone>(&self, all: &[T]) -> Result<(Vec<T>, Value), Refusal> {
        let length: usize = match self.query.get("pageSize") {
            Some(text) => text.parse().unwrap_or(0),
            None => PAGE,
        };
        if !(1..=PAGE_MAX).contains(&length) {
            return Err(invalid_query("pageSize must be between 1 and 100"));
        }
        let from = match self.query.get("nextToken") {
            Some(token) => {
                let from = token.strip_prefix("after-").and_then(|from| from.parse().ok());
                from.ok_or_else(|| invalid_query("nextToken is invalid"))?
            }
            None => 0_usize,
        };
        let page: Vec<_> = all.iter().skip(from).take(length).cloned().collect();
        let meta = match from + page.len() {
            to if to < all.len() => json!({ "nextToken": format!("after-{to}") }),
            _ => json!({}),
        };
        Ok((page, meta))
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Result<Response, Refusal> {
        let workspaces = self.workspaces(asked)?;
        let segments: Vec<_> = asked.path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            ["v1", "admin", "account", "me"] => Ok(Json(json!({ "account": {
                "id": "user_owner", "email": "integraciones@panaderialuna.cl", "emailVerified": true, "createdAt": "2026-01-02T12:00:00.000Z",
            } }))
            .into_response()),
            ["v1", "admin", "bots", rest @ ..] => {
                let workspace = asked.header("x-workspace-id").unwrap_or_default();
                if !workspaces.iter().any(|known| known == workspace) {
                    return Err(failure(StatusCode::FORBIDDEN, "Forbidden", "You don't have access to this workspace"));
                }
                self.admin(asked, workspace, rest)
            }
            ["v1", "chat", what] => {
                let id = asked.header("x-bot-id").unwrap_or_default();
                let bot = self.bots.iter().find(|bot| bot.id == id && workspaces.contains(&bot.workspace));
                let bot = bot.ok_or_else(|| failure(StatusCode::FORBIDDEN, "Forbidden", "You don't have access to this bot"))?;
                bot.runtime(asked, what)
            }
            _ => Err(no_route()),
        }
    }

    fn workspaces(&self, asked: &Asked) -> Result<Vec<String>, Refusal> {
        let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let known = token.and_then(|token| self.tokens.get(token)).cloned();
        known.ok_or_else(|| {
            failure(
                StatusCode::UNAUTHORIZED,
                "Unauthorized",
                "The request requires to be authenticated.",
            )
        })
    }

    fn admin(&mut self, asked: &Asked, workspace: &str, path: &[&str]) -> Result<Response, Refusal> {
        let [id, rest @ ..] = path else {
            if asked.method != Method::GET {
                return Err(no_route());
            }
            let mut bots: Vec<_> = self.bots.iter().filter(|bot| bot.workspace == workspace).cloned().collect();
            bots.sort_by_key(|bot| std::cmp::Reverse(bot.updated_at));
            let (page, meta) = asked.page(&bots)?;
            let bots: Vec<_> = page.iter().map(Bot::listed).collect();
            return Ok(Json(json!({ "bots": bots, "meta": meta })).into_response());
        };
        let bot = self.bots.iter_mut().find(|bot| bot.id == *id && bot.workspace == workspace);
        let bot = bot.ok_or_else(|| failure(StatusCode::NOT_FOUND, "ResourceNotFound", &format!("Bot {id} not found")))?;
        match (&asked.method, rest) {
            (&Method::GET, []) => Ok(Json(json!({ "bot": bot.shown() })).into_response()),
            (&Method::PUT, []) => {
                bot.change(&asked.json()?)?;
                self.writes += 1;
                let shown = self.bots.iter().find(|bot| bot.id == *id).map(Bot::shown);
                Ok(Json(json!({ "bot": shown })).into_response())
            }
            (&Method::GET, ["analytics"]) => {
                let records = bot.records(asked.time("startDate")?, asked.time("endDate")?);
                Ok(Json(json!({ "records": records })).into_response())
            }
            (&Method::GET, ["versions"]) => {
                let versions: Vec<_> = bot.versions.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
                Ok(Json(json!({ "versions": versions })).into_response())
            }
            (&Method::POST, ["versions", "deploy"]) => {
                let version = asked.json()?["versionId"].as_str().unwrap_or_default().to_owned();
                if !bot.versions.iter().any(|(id, _)| *id == version) {
                    return Err(failure(StatusCode::NOT_FOUND, "ResourceNotFound", "Version not found"));
                }
                let now = Timestamp::now();
                (bot.live, bot.deployed_at, bot.updated_at) = (Some(version), Some(now), now);
                self.writes += 1;
                Ok(Json(json!({})).into_response())
            }
            _ => Err(no_route()),
        }
    }
}

impl Bot {
    fn listed(&self) -> Value {
        let mut listed = json!({
            "id": self.id, "name": self.name, "createdAt": "2026-01-02T12:00:00.000Z", "updatedAt": written(self.updated_at), "tags": {}, "type": "studio",
        });
        if let Some(at) = self.deployed_at {
            listed["deployedAt"] = json!(written(at));
        }
        listed
    }

    fn shown(&self) -> Value {
        let mut shown = self.listed();
        let integrations: Map<_, _> = self
            .integrations
            .iter()
            .map(|(name, enabled)| {
                let integration = json!({
                    "enabled": enabled, "name": name, "version": "1.0.0", "status": "registered", "statusReason": null, "disabledChannels": [],
                    "webhookUrl": "https://webhook.botpress.cloud/played", "configuration": {}, "configurationType": null, "public": true,
                });
                (format!("intver_{name}"), integration)
            })
            .collect();
        let more = json!({
            // A secret that the real one tells in each bot's page.
            "signingSecret": "secret-of-the-bot",
            "integrations": integrations,
            "configuration": { "data": self.configuration, "schema": {} },
            "status": "active", "dev": false, "alwaysAlive": false, "medias": [], "createdBy": "user_owner",
            "plugins": {}, "states": {}, "events": {}, "recurringEvents": {}, "actions": {}, "subscriptions": { "events": {} },
            "user": { "tags": {} }, "conversation": { "tags": {} }, "message": { "tags": {} },
        });
        if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
            shown.extend(more);
        }
        shown
    }

    fn change(&mut self, change: &Value) -> Result<(), Refusal> {
        let invalid = |words: &str| failure(StatusCode::BAD_REQUEST, "InvalidPayload", words);
        let Value::Object(change) = change else {
            return Err(invalid("The body must be an object"));
        };
        if let Some(unknown) = change
            .keys()
            .find(|key| !["configuration", "blocked", "name", "tags"].contains(&key.as_str()))
        {
            return Err(invalid(&format!("body must NOT have additional properties: {unknown}")));
        }
        match change.get("blocked") {
            None => {}
            Some(Value::Bool(blocked)) => self.blocked = *blocked,
            Some(_) => return Err(invalid("body/blocked must be boolean")),
        }
        match change.get("configuration").map(|configuration| &configuration["data"]) {
            None | Some(Value::Null) => {}
            // What the bot's schema asks for.
            Some(Value::Object(data)) if data.get("saludo").is_none_or(Value::is_string) => self.configuration.clone_from(data),
            Some(_) => return Err(invalid("configuration: data/saludo must be string")),
        }
        self.updated_at = Timestamp::now();
        Ok(())
    }

    fn runtime(&self, asked: &Asked, what: &str) -> Result<Response, Refusal> {
        match what {
            "conversations" => {
                let mut all = self.conversations.clone();
                all.sort_by_key(|conversation| std::cmp::Reverse(conversation.updated_at));
                let (page, meta) = asked.page(&all)?;
                let conversations: Vec<_> = page.iter().map(Conversation::shown).collect();
                Ok(Json(json!({ "conversations": conversations, "meta": meta })).into_response())
            }
            "messages" => {
                let before = match asked.query.contains_key("beforeDate") {
                    true => asked.time("beforeDate")?,
                    false => Timestamp::MAX,
                };
                let of = asked.query.get("conversationId");
                let mut all = self.conversations.clone();
                all.sort_by_key(|conversation| std::cmp::Reverse(conversation.updated_at));
                let wanted = all
                    .iter()
                    .filter(|conversation| conversation.updated_at <= before && of.is_none_or(|of| *of == conversation.id));
                let messages: Vec<_> = wanted.flat_map(|conversation| conversation.said(&self.id)).collect();
                let (page, meta) = asked.page(&messages)?;
                Ok(Json(json!({ "messages": page, "meta": meta })).into_response())
            }
            _ => Err(no_route()),
        }
    }

    /// The shop's days that lie between the two, the last of them where the range ends.
    fn records(&self, start: Timestamp, end: Timestamp) -> Vec<Value> {
        let days = (0..30_i32).zip(shop::BOT_WEEK.iter().cycle());
        let days = days
            .map(|(ago, day)| (end - DAY * ago, day))
            .filter(|(at, _)| self.busy && *at >= start);
        days.map(|(at, day)| {
            let mut events = Map::new();
            if self.tracks {
                events.insert("task_started".to_owned(), json!(day.started));
                events.insert("task_completed".to_owned(), json!(day.completed));
                let intents = shop::BOT_INTENTS.iter().zip(day.intents);
                events.extend(intents.map(|(name, count)| (format!("intent:{name}"), json!(count))));
            }
            let spread = json!({ "mean": 900, "sd": 120, "min": 300, "max": 4000 });
            json!({
                "startDateTimeUtc": written(at - DAY), "endDateTimeUtc": written(at),
                "returningUsers": day.sessions / 2, "newUsers": day.sessions / 3, "sessions": day.sessions,
                "messages": day.user_messages, "userMessages": day.user_messages, "botMessages": day.bot_messages,
                "events": 3 * day.user_messages, "eventTypes": { "message_created": day.user_messages }, "customEvents": events,
                "llm": {
                    "calls": day.bot_messages, "errors": 0, "inputTokens": 900, "outputTokens": 300, "latency": spread, "tokensPerSecond": spread,
                    "cost": { "sum": 0.4, "mean": 0.01, "sd": 0.0, "min": 0.01, "max": 0.02 },
                },
            })
        })
        .collect()
    }
}

impl Conversation {
    fn shown(&self) -> Value {
        json!({
            "id": self.id, "createdAt": written(self.updated_at - SignedDuration::from_mins(10)), "updatedAt": written(self.updated_at),
            "channel": "channel", "integration": self.integration, "tags": {}, "messageCount": self.messages.len(),
        })
    }

    /// What was said, the latest first.
    fn said(&self, bot: &str) -> Vec<Value> {
        let said = self.messages.iter().enumerate().rev();
        said.map(|(number, (theirs, text))| {
            let (direction, user) = if *theirs {
                ("incoming", self.user.as_str())
            } else {
                ("outgoing", bot)
            };
            json!({
                "id": format!("msg_{}_{number}", self.id), "createdAt": written(self.updated_at), "updatedAt": written(self.updated_at),
                "type": "text", "payload": { "type": "text", "text": text }, "direction": direction, "userId": user,
                "conversationId": self.id, "tags": {},
            })
        })
        .collect()
    }
}

fn written(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// What it answers instead.
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    words: String,
}

impl Refusal {
    fn into_response(self) -> Response {
        let Self { status, kind, words } = self;
        let body = json!({ "id": "err_20261121090000x00000000", "code": status.as_u16(), "type": kind, "message": words });
        (status, Json(body)).into_response()
    }
}

fn failure(status: StatusCode, kind: &'static str, words: &str) -> Refusal {
    Refusal {
        status,
        kind,
        words: words.to_owned(),
    }
}

fn invalid_query(words: &str) -> Refusal {
    failure(StatusCode::BAD_REQUEST, "InvalidQuery", words)
}

fn no_route() -> Refusal {
    failure(StatusCode::NOT_FOUND, "MethodNotFound", "The requested method does not exist")
}
