//! Conversations: which there are, of a status and of an agent.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    agents,
    client::{Api, Chatwoot, not_chatwoot, number},
};
use crate::{
    auth::Scope,
    backends::{client::shortened, figures::Unavailable},
    clock::rfc3339,
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListConversations>()]
}

/// The page of a list, as the contract has it.
pub(super) const LIMIT_DEFAULT: u32 = 50;
/// How many of Chatwoot's pages one call reads. They have 25 conversations unless its operator says otherwise.
const PAGES_MAX: usize = 12;

/// List the conversations of the tenant's customers with its support team, those with the latest activity first.
///
/// Use it to see what waits for an answer, and for whom. Example: `{"status": "open", "assignee": "Camila Soto", "limit": 20}`.
/// To find what was said, or by whom, take `support_conversations_search`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListConversations {
    /// Only conversations of this status, e.g. `pending`; `open` unless said.
    status: Option<Status>,
    /// Only conversations of this agent: his name or a part of it, his e-mail address or his id, e.g. `Camila Soto`.
    #[schemars(length(min = 1, max = 200))]
    assignee: Option<String>,
    /// How many at most; 50 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    All,
    #[default]
    Open,
    Pending,
    Resolved,
    Snoozed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Status::All => "all",
            Status::Open => "open",
            Status::Pending => "pending",
            Status::Resolved => "resolved",
            Status::Snoozed => "snoozed",
        }
    }
}

/// Conversations, the latest activity first.
#[derive(Serialize, JsonSchema)]
struct Conversations {
    conversations: Vec<Conversation>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

/// A customer's conversation with the support team.
#[derive(Serialize, JsonSchema)]
pub(super) struct Conversation {
    /// Its number in the account, as in the addresses of Chatwoot's pages.
    pub(super) id: String,
    /// The customer's name; his e-mail address or phone number where he has given none.
    contact: Option<String>,
    /// `open`, `pending`, `resolved` or `snoozed`.
    status: String,
    /// The agent who has it; null where nobody has.
    assignee: Option<String>,
    /// What was said last, up to 300 characters; null where it is no text, e.g. a picture.
    last_message: Option<String>,
    /// When something last happened in it (RFC 3339, UTC).
    last_activity_at: Option<String>,
    /// How many of the customer's messages the team has not read.
    unread_count: Option<u64>,
}

/// Where a list goes on. It holds the filters, so that they need not be repeated.
#[derive(Serialize, Deserialize)]
struct Position {
    place: Place,
    status: Status,
    assignee: Option<Assignee>,
}

/// The agent by whom a list is filtered: as he was called, and who that is.
#[derive(Clone, Serialize, Deserialize)]
struct Assignee {
    called: String,
    id: u64,
}

/// A place in Chatwoot's pages: our pages have another length than its own.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Place {
    /// Chatwoot's page, from 1.
    page: u32,
    /// How many of it were shown.
    skip: usize,
    /// How many were shown in all.
    shown: u64,
    /// How many there then were in all.
    #[serde(default)]
    all: Option<u64>,
    /// How many Chatwoot has on a page.
    #[serde(default)]
    length: usize,
}

impl Place {
    pub(super) const FIRST: Place = Place {
        page: 1,
        skip: 0,
        shown: 0,
        all: None,
        length: 0,
    };

    /// Those that have left the list let all after them move up: steps back by as many, so that none is passed over; some may be shown
    /// twice. Whether another page is to be read for that.
    fn step_back(&mut self, all: Option<u64>) -> bool {
        let before = std::mem::replace(&mut self.all, all);
        let gone = before.zip(all).map_or(0, |(before, now)| before.saturating_sub(now));
        if gone == 0 || self.length == 0 {
            return false;
        }
        let (page, length) = (self.page, self.length as u64);
        self.shown = self.shown.saturating_sub(gone);
        self.page = u32::try_from(self.shown / length).unwrap_or(u32::MAX).saturating_add(1);
        self.skip = usize::try_from(self.shown % length).unwrap_or_default();
        self.page != page
    }
}

/// Which conversations are wanted.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    Of(Status),
    Assigned(u64, Status),
    /// Those in which this was said, whatever their status.
    Saying(&'a str),
    /// Those of these numbers.
    Numbered(&'a [u64]),
}

impl Tool for ListConversations {
    const NAME: &'static str = "support_conversations_list";
    const TITLE: &'static str = "List support conversations";
    const ROUTE: Route = Route::get("/support/conversations");
    const SCOPE: Scope = Scope::ReadSupport;
    const CATEGORY: Category = Category::Support;
    type Backend = Chatwoot;
    type Output = Conversations;

    async fn call(self, chatwoot: &Chatwoot) -> Result<Conversations> {
        let session = chatwoot.http.session();
        let position = match session.open_cursor(self.cursor.as_deref())? {
            Some(text) => {
                let position: Position = serde_json::from_str(&text).map_err(Error::internal)?;
                let called = position.assignee.as_ref().map(|assignee| &assignee.called);
                if self.status.is_some_and(|status| status != position.status)
                    || self.assignee.as_ref().is_some_and(|assignee| Some(assignee) != called)
                {
                    return Err(Error::invalid(
                        "cursor: it belongs to a list with other filters; repeat those, or leave them out",
                    ));
                }
                position
            }
            None => Position {
                place: Place::FIRST,
                status: self.status.unwrap_or_default(),
                assignee: match self.assignee {
                    Some(called) => Some(Assignee {
                        id: agents::find(chatwoot, &called).await?,
                        called,
                    }),
                    None => None,
                },
            },
        };
        let wanted = match &position.assignee {
            Some(assignee) => Wanted::Assigned(assignee.id, position.status),
            None => Wanted::Of(position.status),
        };
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let (found, next) = gather(chatwoot, wanted, position.place, limit).await?;
        let next = next.map(|place| serde_json::to_string(&Position { place, ..position }).map_err(Error::internal));
        let conversations: Vec<_> = found.into_iter().map(Conversation::from).collect();
        Ok(Conversations {
            unavailable: nulls(&conversations),
            conversations,
            next_cursor: next.transpose()?.map(|position| session.seal_cursor(&position)),
        })
    }
}

/// Which of their fields are null though a conversation should have them.
pub(super) fn nulls(conversations: &[Conversation]) -> Vec<Unavailable> {
    let mut unavailable = Vec::new();
    if conversations.iter().any(|conversation| conversation.contact.is_none()) {
        let reason = "Chatwoot has neither a name nor an address nor a number of a customer";
        unavailable.push(Unavailable::new("contact", reason));
    }
    if conversations.iter().any(|conversation| conversation.unread_count.is_none()) {
        unavailable.push(Unavailable::new("unread_count", "Chatwoot did not count the unread messages"));
    }
    unavailable
}

/// So many conversations from a place on, and the place where there are more.
pub(super) async fn gather(chatwoot: &Chatwoot, wanted: Wanted<'_>, mut place: Place, limit: usize) -> Result<(Vec<Raw>, Option<Place>)> {
    let mut found: Vec<Raw> = Vec::new();
    // The list is in motion: who writes meanwhile comes to its top, and pushes others onto the next page once more.
    let mut known = HashSet::new();
    for _ in 0..PAGES_MAX {
        let Page { payload, meta } = page(chatwoot, wanted, place.page).await?;
        if place.step_back(meta.all_count) {
            continue;
        }
        let length = payload.len();
        if length == 0 {
            return Ok((found, None));
        }
        place.length = place.length.max(length);
        let taken = length.saturating_sub(place.skip).min(limit - found.len());
        for raw in payload.into_iter().skip(place.skip).take(taken) {
            if known.insert(raw.id) {
                found.push(raw);
            }
        }
        place.skip += taken;
        place.shown += taken as u64;
        if place.skip >= length {
            place.page = place.page.saturating_add(1);
            place.skip = 0;
            if meta.all_count.is_some_and(|all| place.shown >= all) {
                return Ok((found, None));
            }
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok((found, Some(place)))
}

async fn page(chatwoot: &Chatwoot, wanted: Wanted<'_>, page: u32) -> Result<Page> {
    let number = page.to_string();
    let filtered = async |conditions: Value| chatwoot.ask("/conversations/filter", &[("page", &number)], &conditions).await;
    let listed = async |query: &[(&str, &str)]| chatwoot.read(Api::V1, "/conversations", query).await;
    let envelope: Envelope = match wanted {
        Wanted::Of(status) => listed(&[("status", status.name()), ("assignee_type", "all"), ("page", &number)]).await?,
        // What was said is looked for in conversations of any status.
        Wanted::Saying(text) => listed(&[("q", text), ("status", "all"), ("page", &number)]).await?,
        Wanted::Assigned(agent, status) => {
            let mut conditions = vec![condition("assignee_id", &[agent.to_string()])];
            if status != Status::All {
                conditions[0]["query_operator"] = json!("and");
                conditions.push(condition("status", &[status.name().to_owned()]));
            }
            filtered(json!({ "payload": conditions })).await?
        }
        Wanted::Numbered(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
            filtered(json!({ "payload": [condition("display_id", &numbers)] })).await?
        }
    };
    envelope.open()
}

/// One condition of a filter, the last unless it gets an operator.
fn condition(attribute: &str, values: &[String]) -> Value {
    json!({ "attribute_key": attribute, "filter_operator": "equal_to", "values": values, "query_operator": null })
}

/// Chatwoot's page of conversations: below `data` where they are listed, and not where they are filtered.
#[derive(Deserialize)]
struct Envelope {
    data: Option<Page>,
    payload: Option<Vec<Raw>>,
    #[serde(default)]
    meta: Meta,
}

impl Envelope {
    fn open(self) -> Result<Page> {
        match (self.data, self.payload) {
            (Some(page), _) => Ok(page),
            (None, Some(payload)) => Ok(Page { payload, meta: self.meta }),
            (None, None) => Err(not_chatwoot("a list without a payload")),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    payload: Vec<Raw>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    /// How many there are in all, on all pages.
    all_count: Option<u64>,
}

/// A conversation as Chatwoot has it: only what is needed is read.
#[derive(Deserialize)]
pub(super) struct Raw {
    #[serde(deserialize_with = "number")]
    pub(super) id: u64,
    #[serde(default)]
    meta: People,
    status: String,
    unread_count: Option<u64>,
    /// The last that somebody said; before Chatwoot 2.18 there are only `messages`.
    last_non_activity_message: Option<Message>,
    #[serde(default)]
    messages: Vec<Message>,
    last_activity_at: Option<i64>,
    timestamp: Option<i64>,
}

#[derive(Default, Deserialize)]
struct People {
    sender: Option<Person>,
    assignee: Option<Person>,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
    phone_number: Option<String>,
}

impl Person {
    fn called(self) -> Option<String> {
        let names = [self.name, self.email, self.phone_number];
        let called = names.into_iter().flatten().find(|name| !name.trim().is_empty());
        called.map(|name| shortened(&name))
    }
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

impl From<Raw> for Conversation {
    fn from(raw: Raw) -> Self {
        let last = raw.last_non_activity_message.or_else(|| raw.messages.into_iter().next_back());
        Self {
            id: raw.id.to_string(),
            contact: raw.meta.sender.and_then(Person::called),
            status: shortened(&raw.status),
            assignee: raw.meta.assignee.and_then(Person::called),
            last_message: last
                .and_then(|message| message.content)
                .filter(|text| !text.trim().is_empty())
                .map(|text| shortened(&text)),
            // Seconds; 0 is Chatwoot's word for never.
            last_activity_at: raw
                .last_activity_at
                .or(raw.timestamp)
                .filter(|at| *at > 0)
                .map(|at| rfc3339(at.saturating_mul(1000))),
            unread_count: raw.unread_count,
        }
    }
}
