//! A played Chatwoot: the routes of its application API that the support tools use, answered as its own source does (4.x).
//!
//! Several accounts lie in one; a token is a user's, who is a member of some of them, as an administrator or an agent. Surprising
//! about the real one, and so here: a lacking permission is 401 like a wrong token; an account that is not there is 404, one that
//! is another's 401; `filter` leaves the `data` away that the list has; means are texts, and 0 where there is nothing.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::{Bytes, to_bytes},
    extract::Request,
    response::{Html, IntoResponse as _, Response},
};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use crate::sandbox::faults::Fault;
use crate::sandbox::{faults::Faults, shop};

/// The release that it says it is.
const VERSION: &str = "4.7.0";
/// How many conversations a page of a list has, and how many results a page of a search.
const PAGE: usize = 25;
const SEARCH_PAGE: usize = 15;
/// How many requests are remembered.
const ASKED_MAX: usize = 1000;
const BODY_MAX: usize = 1024 * 1024;
const DAY: i64 = 24 * 60 * 60;

/// A Chatwoot in memory. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Chatwoot {
    faults: Faults,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<u64, Account>,
    /// Of which accounts a token's user is a member, and whether as an administrator.
    tokens: HashMap<String, Vec<(u64, bool)>>,
    search: Search,
    asked: VecDeque<String>,
}

/// How it looks for texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Search {
    #[default]
    Letters,
    /// By PostgreSQL's full-text index, which takes some signs for operators and fails at them.
    Index,
    /// It has none of the dashboard's searches.
    Missing,
}

#[derive(Debug, Default)]
struct Account {
    agents: Vec<Agent>,
    /// In no order.
    conversations: Vec<Conversation>,
    /// Whether there is anything to report.
    busy: bool,
}

/// Somebody who answers.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: u64,
    pub name: String,
    pub email: String,
    /// online, busy or offline.
    pub availability: String,
}

/// A conversation of a customer.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The number that people see.
    pub id: u64,
    pub contact: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// open, pending, resolved or snoozed.
    pub status: String,
    pub assignee: Option<u64>,
    pub unread: u64,
    /// Who speaks (true: the contact), and what is said; the newest last.
    pub messages: Vec<(bool, String)>,
    /// Seconds since 1970.
    pub last_activity: i64,
}

impl Chatwoot {
    /// One without accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account that holds what the shop's customers wrote.
    #[must_use]
    pub fn with_shop(self, account: u64) -> Self {
        let now = Timestamp::now().as_second();
        let conversations = shop::CONVERSATIONS.iter().zip(1_i64..).map(|(conversation, minutes)| {
            let contact = shop::contact(conversation.contact);
            Conversation {
                id: conversation.id,
                contact: contact.map_or("", |contact| contact.name).to_owned(),
                email: contact.and_then(|contact| contact.email).map(str::to_owned),
                phone: contact.and_then(|contact| contact.phone).map(e164),
                status: conversation.status.to_owned(),
                assignee: conversation.assignee,
                unread: conversation.unread,
                messages: conversation
                    .messages
                    .iter()
                    .map(|(theirs, text)| (*theirs, (*text).to_owned()))
                    .collect(),
                last_activity: now - 600 * minutes,
            }
        });
        let agents = shop::AGENTS.iter().map(|agent| Agent {
            id: agent.id,
            name: agent.name.to_owned(),
            email: agent.email.to_owned(),
            availability: agent.availability.to_owned(),
        });
        let filled = Account {
            agents: agents.collect(),
            conversations: conversations.collect(),
            busy: true,
        };
        self.state().accounts.insert(account, filled);
        self
    }

    /// Adds an account in which nothing has happened yet.
    #[must_use]
    pub fn with_account(self, account: u64) -> Self {
        self.state().accounts.insert(account, Account::default());
        self
    }

    /// Adds a user's token: the accounts that he is a member of, and whether as an administrator.
    #[must_use]
    pub fn with_token(self, token: &str, memberships: &[(u64, bool)]) -> Self {
        self.state().tokens.insert(token.to_owned(), memberships.to_vec());
        self
    }

    /// One that has no route of the dashboard's searches, as old ones.
    #[must_use]
    pub fn without_search(self) -> Self {
        self.state().search = Search::Missing;
        self
    }

    /// One whose accounts have the feature `search_with_gin`: it fails at signs that are operators to PostgreSQL.
    #[must_use]
    pub fn with_indexed_search(self) -> Self {
        self.state().search = Search::Index;
        self
    }

    /// Adds a conversation to an account that is there.
    pub fn add_conversation(&self, account: u64, conversation: Conversation) {
        self.state().accounts.entry(account).or_default().conversations.push(conversation);
    }

    /// Gives a conversation another status.
    pub fn set_status(&self, account: u64, conversation: u64, status: &str) {
        let mut state = self.state();
        let conversations = state.accounts.get_mut(&account).map(|account| &mut account.conversations);
        for found in conversations.into_iter().flatten().filter(|found| found.id == conversation) {
            status.clone_into(&mut found.status);
        }
    }

    /// Adds an agent to an account that is there.
    pub fn add_agent(&self, account: u64, agent: Agent) {
        self.state().accounts.entry(account).or_default().agents.push(agent);
    }

    /// Lets something go wrong, from the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.faults.set(fault);
    }

    /// What was asked, the latest last: method, path and query.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.iter().cloned().collect()
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
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
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
        let mut state = self.state();
        let whole = head.uri.path_and_query().map_or("", |whole| whole.as_str());
        state.asked.push_back(format!("{} {whole}", asked.method));
        if state.asked.len() > ASKED_MAX {
            state.asked.pop_front();
        }
        state.answer(&asked)
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
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// From 0.
    fn page(&self) -> usize {
        let page: usize = self.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        page.max(1) - 1
    }

    fn seconds(&self, name: &str) -> i64 {
        self.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl State {
    fn answer(&self, asked: &Asked) -> Response {
        let segments: Vec<_> = asked.path.split('/').filter(|segment| !segment.is_empty()).collect();
        let is = |method: Method| asked.method == method;
        match segments.as_slice() {
            ["api"] if is(Method::GET) => Json(json!({
                "version": VERSION, "timestamp": "2026-11-21 09:00:00", "queue_services": "ok", "data_services": "ok",
            }))
            .into_response(),
            ["api", "v1", "profile"] if is(Method::GET) => match self.user(asked) {
                Ok(memberships) => Json(profile(memberships)).into_response(),
                Err(refused) => refused.into_response(),
            },
            ["api", version @ ("v1" | "v2"), "accounts", account, rest @ ..] => match self.member(asked, account) {
                Ok((account, administrator)) => self.of_account(asked, version, rest, account, administrator),
                Err(refused) => refused.into_response(),
            },
            _ => no_route(),
        }
    }

    /// The user whose token came.
    fn user(&self, asked: &Asked) -> Result<&[(u64, bool)], Refusal> {
        let Some(token) = asked.headers.get("api_access_token").and_then(|token| token.to_str().ok()) else {
            let words = json!({ "errors": ["You need to sign in or sign up before continuing."] });
            return Err(Refusal(StatusCode::UNAUTHORIZED, words));
        };
        let known = self.tokens.get(token).map(Vec::as_slice);
        known.ok_or_else(|| Refusal::of(StatusCode::UNAUTHORIZED, "Invalid Access Token"))
    }

    /// The account, and whether the user is an administrator of it.
    fn member(&self, asked: &Asked, account: &str) -> Result<(&Account, bool), Refusal> {
        let memberships = self.user(asked)?;
        let id: u64 = account.parse().unwrap_or(0);
        let Some(account) = self.accounts.get(&id) else {
            return Err(Refusal::of(StatusCode::NOT_FOUND, "Resource could not be found"));
        };
        let membership = memberships.iter().find(|(of, _)| *of == id);
        membership
            .map(|(_, administrator)| (account, *administrator))
            .ok_or_else(|| Refusal::of(StatusCode::UNAUTHORIZED, "You are not authorized to access this account"))
    }

    fn of_account(&self, asked: &Asked, version: &str, path: &[&str], account: &Account, administrator: bool) -> Response {
        let reports = |answer: &dyn Fn() -> Response| {
            if administrator {
                answer()
            } else {
                refusal(StatusCode::UNAUTHORIZED, "You are not authorized to do this action")
            }
        };
        match (&asked.method, version, path) {
            (&Method::GET, "v1", ["conversations"]) => account.list(asked),
            (&Method::GET, "v1", ["conversations", "meta"]) => {
                let found = account.listed(asked);
                Json(json!({ "meta": counts(&found) })).into_response()
            }
            (&Method::POST, "v1", ["conversations", "filter"]) => account.filter(asked),
            (&Method::GET, "v1", ["conversations", id]) => {
                let found = account.conversations.iter().find(|conversation| conversation.id.to_string() == *id);
                found.map_or_else(
                    || refusal(StatusCode::NOT_FOUND, "Resource could not be found"),
                    |found| Json(account.shown(found)).into_response(),
                )
            }
            (&Method::GET, "v1", ["agents"]) => {
                let agents: Vec<_> = account.agents.iter().map(Agent::shown).collect();
                Json(json!(agents)).into_response()
            }
            (&Method::GET, "v1", ["search", what @ ("messages" | "conversations")]) if self.search != Search::Missing => {
                let stumbles = asked
                    .parameter("q")
                    .is_some_and(|text| text.contains(['!', '&', '|', '(', ')', ':', '*']));
                if self.search == Search::Index && *what == "messages" && stumbles {
                    return (
                        StatusCode::INTERNAL_SERVER_ERROR,
                        Html("<h1>We're sorry, but something went wrong (500)</h1>"),
                    )
                        .into_response();
                }
                account.search(asked, what)
            }
            (&Method::GET, "v1", ["csat_survey_responses", "metrics"]) => reports(&|| account.ratings(asked)),
            (&Method::GET, "v2", ["reports", "summary"]) => reports(&|| account.summary(asked)),
            (&Method::GET, "v2", ["reports", "conversations"]) => reports(&|| account.live(asked)),
            _ => no_route(),
        }
    }
}

impl Account {
    /// Those that a list is of, the latest activity first.
    fn listed(&self, asked: &Asked) -> Vec<&Conversation> {
        let status = asked.parameter("status").unwrap_or("open");
        let text = asked.parameter("q").map(str::to_lowercase);
        let assigned = asked.parameter("assignee_type");
        self.latest_first(|conversation| {
            // Whoever looks for a text looks in all of them, whatever their status.
            let wanted = match &text {
                Some(text) => conversation.says(text),
                None => status == "all" || conversation.status == status,
            };
            wanted
                && match assigned {
                    Some("unassigned") => conversation.assignee.is_none(),
                    Some("assigned") => conversation.assignee.is_some(),
                    _ => true,
                }
        })
    }

    fn latest_first(&self, wanted: impl Fn(&Conversation) -> bool) -> Vec<&Conversation> {
        let mut found: Vec<_> = self.conversations.iter().filter(|conversation| wanted(conversation)).collect();
        found.sort_by_key(|conversation| std::cmp::Reverse((conversation.last_activity, conversation.id)));
        found
    }

    fn list(&self, asked: &Asked) -> Response {
        let found = self.listed(asked);
        Json(json!({ "data": { "meta": counts(&found), "payload": self.paged(asked, &found) } })).into_response()
    }

    fn paged(&self, asked: &Asked, found: &[&Conversation]) -> Vec<Value> {
        let page = found.iter().skip(asked.page() * PAGE).take(PAGE);
        page.map(|conversation| self.shown(conversation)).collect()
    }

    fn filter(&self, asked: &Asked) -> Response {
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let conditions = body["payload"].as_array().cloned().unwrap_or_default();
        for condition in &conditions {
            let (key, operator) = (&condition["attribute_key"], &condition["filter_operator"]);
            if !["assignee_id", "status", "display_id"].iter().any(|known| key == known) {
                let words = format!("Invalid attribute key - [{key}]. The key should be one of [status,assignee_id,display_id]");
                return refusal(StatusCode::UNPROCESSABLE_ENTITY, &words);
            }
            if !["equal_to", "not_equal_to"].iter().any(|known| operator == known) {
                let words = format!("Invalid operator. The allowed operators for {key} are [equal_to,not_equal_to].");
                return refusal(StatusCode::UNPROCESSABLE_ENTITY, &words);
            }
            if condition["values"].as_array().is_none_or(Vec::is_empty) {
                let words = format!("Invalid value. The values provided for {key} are invalid");
                return refusal(StatusCode::UNPROCESSABLE_ENTITY, &words);
            }
        }
        let found = self.latest_first(|conversation| {
            let mut all = true;
            let mut or = false;
            for condition in &conditions {
                let holds = conversation.meets(condition);
                all = if or { all || holds } else { all && holds };
                or = condition["query_operator"]
                    .as_str()
                    .is_some_and(|word| word.eq_ignore_ascii_case("or"));
            }
            all
        });
        Json(json!({ "meta": counts(&found), "payload": self.paged(asked, &found) })).into_response()
    }

    fn search(&self, asked: &Asked, what: &str) -> Response {
        let text = asked.parameter("q").unwrap_or_default().trim().to_lowercase();
        let skip = asked.page() * SEARCH_PAGE;
        let found: Vec<_> = if what == "conversations" {
            let found = self.latest_first(|conversation| conversation.is_whose(&text));
            let page = found.into_iter().skip(skip).take(SEARCH_PAGE);
            page.map(|conversation| {
                json!({
                    "id": conversation.id,
                    "created_at": conversation.last_activity,
                    "contact": { "name": conversation.contact, "email": conversation.email, "phone_number": conversation.phone },
                    "message": conversation.messages.first().map(|message| conversation.message(message)),
                    "agent": self.agent(conversation.assignee).map(Agent::shown).unwrap_or(json!({})),
                })
            })
            .collect()
        } else {
            let conversations = self.latest_first(|conversation| conversation.says(&text));
            let messages = conversations.into_iter().flat_map(|conversation| {
                let said = conversation.messages.iter().rev();
                let said = said.filter(|(_, said)| said.to_lowercase().contains(&text));
                said.map(|message| conversation.message(message)).collect::<Vec<_>>()
            });
            messages.skip(skip).take(SEARCH_PAGE).collect()
        };
        Json(json!({ "payload": { what: found } })).into_response()
    }

    /// The days of the shop that lie in the range, the last of them where the range ends.
    fn days(&self, asked: &Asked) -> Vec<shop::SupportDay> {
        if !self.busy {
            return Vec::new();
        }
        let (since, until) = (asked.seconds("since"), asked.seconds("until"));
        (0..30_i64)
            .zip(shop::SUPPORT_WEEK.iter().cycle())
            .filter(|(ago, _)| until - 1 - ago * DAY >= since)
            .map(|(_, day)| *day)
            .collect()
    }

    fn summary(&self, asked: &Asked) -> Response {
        if asked.parameter("type").is_none() {
            return StatusCode::UNPROCESSABLE_ENTITY.into_response();
        }
        let days = self.days(asked);
        let sum = |of: fn(&shop::SupportDay) -> u64| days.iter().map(of).sum::<u64>();
        let (conversations, resolved) = (sum(|day| day.conversations), sum(|day| day.resolved));
        // Ruby's decimals become texts in JSON; nothing at all becomes the number 0.
        let mean = |total: u64, of: u64| match of {
            0 => json!(0),
            _ => json!(format!("{}.{:03}", total / of, total % of * 1000 / of)),
        };
        let told = json!({
            "conversations_count": conversations,
            "incoming_messages_count": 3 * conversations,
            "outgoing_messages_count": 2 * conversations,
            "avg_first_response_time": mean(sum(|day| day.first_response * day.conversations), conversations),
            "avg_resolution_time": mean(sum(|day| day.resolution * day.resolved), resolved),
            "resolutions_count": resolved,
            "reply_time": mean(sum(|day| day.first_response * day.conversations), conversations),
        });
        let mut answer = told.clone();
        answer["previous"] = told;
        Json(answer).into_response()
    }

    fn ratings(&self, asked: &Asked) -> Response {
        let days = self.days(asked);
        let mut counts = serde_json::Map::new();
        for rating in 0..5 {
            let given: u64 = days.iter().map(|day| day.ratings[rating]).sum();
            if given > 0 {
                counts.insert((rating + 1).to_string(), json!(given));
            }
        }
        let total: u64 = counts.values().filter_map(Value::as_u64).sum();
        Json(json!({ "total_count": total, "ratings_count": counts, "total_sent_messages_count": 2 * total })).into_response()
    }

    fn live(&self, asked: &Asked) -> Response {
        let open = |of: &dyn Fn(&Conversation) -> bool| {
            let open = self.conversations.iter().filter(|conversation| conversation.status == "open");
            open.filter(|conversation| of(conversation)).count()
        };
        match asked.parameter("type") {
            Some("account") => Json(json!({
                "open": open(&|_| true),
                "unattended": open(&|conversation| conversation.unread > 0),
                "unassigned": open(&|conversation| conversation.assignee.is_none()),
            }))
            .into_response(),
            Some("agent") => {
                let page = self.agents.iter().skip(asked.page() * PAGE).take(PAGE);
                let loads: Vec<_> = page
                    .map(|agent| {
                        let his = |conversation: &Conversation| conversation.assignee == Some(agent.id);
                        json!({
                            "id": agent.id, "name": agent.name, "email": agent.email, "thumbnail": "", "availability": agent.availability,
                            "metric": { "open": open(&his), "unattended": open(&|conversation| his(conversation) && conversation.unread > 0) },
                        })
                    })
                    .collect();
                Json(json!(loads)).into_response()
            }
            _ => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        }
    }

    fn agent(&self, id: Option<u64>) -> Option<&Agent> {
        self.agents.iter().find(|agent| Some(agent.id) == id)
    }

    /// A conversation as a list has it.
    fn shown(&self, conversation: &Conversation) -> Value {
        let mut meta = json!({
            "sender": {
                "id": conversation.id + 9000, "name": conversation.contact, "email": conversation.email, "phone_number": conversation.phone,
                "identifier": null, "thumbnail": "", "additional_attributes": {}, "custom_attributes": {}, "availability_status": "offline",
            },
            "channel": "Channel::WebWidget",
            "hmac_verified": false,
        });
        if let Some(agent) = self.agent(conversation.assignee) {
            meta["assignee"] = agent.shown();
        }
        let last = conversation.messages.last().map(|message| conversation.message(message));
        json!({
            "meta": meta,
            "id": conversation.id,
            "messages": last.iter().collect::<Vec<_>>(),
            "uuid": format!("00000000-0000-4000-8000-{:012}", conversation.id),
            "additional_attributes": {}, "custom_attributes": {}, "labels": [], "muted": false, "priority": null, "snoozed_until": null,
            "inbox_id": 1,
            "can_reply": true,
            "status": conversation.status,
            "created_at": conversation.last_activity - DAY,
            "timestamp": conversation.last_activity,
            "last_activity_at": conversation.last_activity,
            "agent_last_seen_at": 0, "assignee_last_seen_at": 0, "contact_last_seen_at": 0, "first_reply_created_at": 0, "waiting_since": 0,
            "unread_count": conversation.unread,
            "last_non_activity_message": last,
        })
    }
}

impl Agent {
    fn shown(&self) -> Value {
        json!({
            "id": self.id, "availability_status": self.availability, "auto_offline": true, "confirmed": true, "email": self.email,
            "provider": "email", "available_name": self.name, "name": self.name, "role": "agent", "thumbnail": "",
        })
    }
}

impl Conversation {
    fn says(&self, text: &str) -> bool {
        self.messages.iter().any(|(_, said)| said.to_lowercase().contains(text))
    }

    fn is_whose(&self, text: &str) -> bool {
        let id = self.id.to_string();
        [Some(&self.contact), self.email.as_ref(), self.phone.as_ref(), Some(&id)]
            .into_iter()
            .flatten()
            .any(|word| word.to_lowercase().contains(text))
    }

    fn meets(&self, condition: &Value) -> bool {
        let own = match condition["attribute_key"].as_str() {
            Some("assignee_id") => self.assignee.map(|id| id.to_string()),
            Some("status") => Some(self.status.clone()),
            _ => Some(self.id.to_string()),
        };
        let values = condition["values"].as_array().into_iter().flatten();
        let mut values = values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let is = values.any(|value| value == "all" || own.as_ref() == Some(&value));
        is == (condition["filter_operator"] == "equal_to")
    }

    fn message(&self, (theirs, text): &(bool, String)) -> Value {
        json!({
            "id": self.id * 100, "content": text, "message_type": u8::from(!theirs), "content_type": "text", "private": false, "status": "sent",
            "conversation_id": self.id, "inbox_id": 1, "source_id": null, "created_at": self.last_activity,
        })
    }
}

fn counts(found: &[&Conversation]) -> Value {
    let unassigned = found.iter().filter(|conversation| conversation.assignee.is_none()).count();
    json!({ "mine_count": 0, "unassigned_count": unassigned, "assigned_count": found.len() - unassigned, "all_count": found.len() })
}

fn profile(memberships: &[(u64, bool)]) -> Value {
    let accounts: Vec<_> = memberships
        .iter()
        .map(|(id, administrator)| {
            let role = if *administrator { "administrator" } else { "agent" };
            json!({ "id": id, "name": format!("Cuenta {id}"), "status": "active", "role": role, "permissions": [role], "availability": "online" })
        })
        .collect();
    // The real one tells the token again, and another secret.
    json!({
        "id": 7, "name": "Integraciones", "email": "integraciones@panaderialuna.cl", "type": "User", "confirmed": true,
        "access_token": "told-again-by-the-profile", "pubsub_token": "secret-of-the-profile", "accounts": accounts,
    })
}

/// As Chatwoot keeps a phone number.
fn e164(phone: &str) -> String {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    // A mobile number of Chile, without its country.
    let country = if digits.len() == 9 { "56" } else { "" };
    format!("+{country}{digits}")
}

/// What it answers instead.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn of(status: StatusCode, words: &str) -> Self {
        Self(status, json!({ "error": words }))
    }

    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

fn refusal(status: StatusCode, words: &str) -> Response {
    Refusal::of(status, words).into_response()
}

fn no_route() -> Response {
    let page = "<!DOCTYPE html><html><head><title>The page you were looking for doesn't exist (404)</title></head><body></body></html>";
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}
