//! Search: conversations by what was said in them, and by whom.
//!
//! Chatwoot has two searches for that, neither of which tells what a list does: they give the numbers, and a filter by numbers
//! gives the conversations. The routes are its dashboard's and not in its public documents; where a version has none, or its
//! full-text index stumbles over a sign in the text (500), the list's own `q` looks through the messages alone.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    client::{Api, Chatwoot, number, said},
    conversations::{Conversation, LIMIT_DEFAULT, Place, Raw, Wanted, gather, nulls},
};
use crate::{
    auth::Scope,
    backends::figures::Unavailable,
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<SearchConversations>()]
}

/// How many results Chatwoot's searches have on a page (`search_service.rb`).
const PAGE: usize = 15;
/// How many pages of each search are read: results that lie deeper are not found.
const PAGES_MAX: u32 = 20;
/// How many conversations are asked for by their numbers at once: as many as a page has.
const AT_ONCE: usize = 25;

/// Search the conversations of the tenant's customers by what was said in them, or by the customer's name, e-mail address or phone number.
///
/// It looks into conversations of any status. Example: `{"query": "refund request"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchConversations {
    /// Words of a message, or whom it is from, e.g. `refund request` or `rosa.huenchur@hotelcallecalle.cl`.
    #[schemars(length(min = 2, max = 200))]
    query: String,
    /// How many at most; 50 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Conversations that were found: those of a customer who is called so, and those in which it was said, each the latest first.
#[derive(Serialize, JsonSchema)]
struct Found {
    conversations: Vec<Conversation>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// What could not be searched, and the fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

/// Where a search goes on. It holds what was searched for, so that it cannot go on in another.
#[derive(Serialize, Deserialize)]
struct Position {
    query: String,
    at: At,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum At {
    /// So many were shown.
    Shown(usize),
    /// In the list's own `q`.
    Listed(Place),
}

impl Tool for SearchConversations {
    const NAME: &'static str = "support_conversations_search";
    const TITLE: &'static str = "Search support conversations";
    const ROUTE: Route = Route::get("/support/conversations/search");
    const SCOPE: Scope = Scope::ReadSupport;
    const CATEGORY: Category = Category::Support;
    type Backend = Chatwoot;
    type Output = Found;

    async fn call(self, chatwoot: &Chatwoot) -> Result<Found> {
        let session = chatwoot.http.session();
        let query = self.query.trim().to_owned();
        if query.chars().count() < 2 {
            return Err(Error::invalid("query: must have at least 2 characters besides spaces"));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let mut at = At::Shown(0);
        if let Some(text) = session.open_cursor(self.cursor.as_deref())? {
            let position: Position = serde_json::from_str(&text).map_err(Error::internal)?;
            if position.query != query {
                return Err(Error::invalid("cursor: it belongs to another search; repeat that query"));
            }
            at = position.at;
        }
        let mut unavailable = Vec::new();
        let searched = match at {
            At::Shown(shown) => searched(chatwoot, &query, shown, limit).await?,
            At::Listed(_) => None,
        };
        let (found, next) = match (searched, at) {
            (Some(Searched { found, next, deeper }), _) => {
                if deeper {
                    unavailable.push(Unavailable::new("conversations", DEEPER));
                }
                (found, next.map(At::Shown))
            }
            // The list is in another order: from its top would be shown again what was shown.
            (None, At::Shown(1..)) => {
                return Err(Error::new(
                    Kind::BackendDown,
                    "'chatwoot' failed at its search in the middle of the list; pass the same cursor again",
                )
                .retry_after(1));
            }
            (None, at) => {
                unavailable.push(Unavailable::new(
                    "contacts",
                    "This Chatwoot does not answer its search; only what was said was looked through, not who said it",
                ));
                let place = match at {
                    At::Listed(place) => place,
                    At::Shown(_) => Place::FIRST,
                };
                let (found, next) = gather(chatwoot, Wanted::Saying(&query), place, limit).await?;
                (found, next.map(At::Listed))
            }
        };
        let conversations: Vec<_> = found.into_iter().map(Conversation::from).collect();
        unavailable.extend(nulls(&conversations));
        let next = next.map(|at| serde_json::to_string(&Position { query, at }).map_err(Error::internal));
        Ok(Found {
            conversations,
            next_cursor: next.transpose()?.map(|position| session.seal_cursor(&position)),
            unavailable,
        })
    }
}

/// Why a search may end before what there is does.
const DEEPER: &str = "Only the first 300 results of each kind were looked through, and there are more; search for something rarer";

/// What the searches gave.
struct Searched {
    found: Vec<Raw>,
    /// How many will have been shown, where there are more.
    next: Option<usize>,
    /// Whether this is the end only because nothing deeper is looked at.
    deeper: bool,
}

/// So many conversations after those that were shown; `None` where Chatwoot does not answer its search.
///
/// The two searches are read from their beginnings each time: a conversation may be found by several messages on several pages,
/// and must be shown once.
async fn searched(chatwoot: &Chatwoot, query: &str, shown: usize, limit: usize) -> Result<Option<Searched>> {
    let mut numbers: Vec<u64> = Vec::new();
    let (mut contacts, mut messages) = (true, true);
    let whom = as_whom(query);
    for page in 1..=PAGES_MAX {
        if !(contacts || messages) || numbers.len() > shown + limit {
            break;
        }
        let page = page.to_string();
        let (by_contact, by_message) = tokio::try_join!(
            results::<ByContact>(chatwoot, contacts, "/search/conversations", &whom, &page),
            results::<ByMessage>(chatwoot, messages, "/search/messages", query, &page),
        )?;
        let (Some(by_contact), Some(by_message)) = (by_contact, by_message) else {
            return Ok(None);
        };
        contacts = by_contact.conversations.len() >= PAGE;
        messages = by_message.messages.len() >= PAGE;
        let by_contact = by_contact.conversations.into_iter().take(PAGE).map(|found| found.id);
        let by_message = by_message.messages.into_iter().take(PAGE).map(|found| found.conversation_id);
        for number in by_contact.chain(by_message) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
    let more = numbers.len() > shown + limit;
    let wanted: Vec<_> = numbers.into_iter().skip(shown).take(limit).collect();
    let mut found = HashMap::new();
    for numbers in wanted.chunks(AT_ONCE) {
        let (some, _) = gather(chatwoot, Wanted::Numbered(numbers), Place::FIRST, numbers.len()).await?;
        found.extend(some.into_iter().map(|raw| (raw.id, raw)));
    }
    // In the order of the search. What is gone since is left out.
    let found = wanted.iter().filter_map(|number| found.remove(number)).collect();
    Ok(Some(Searched {
        found,
        next: more.then_some(shown + limit),
        deeper: !more && (contacts || messages),
    }))
}

/// One page of one search, or nothing of one that has no more.
async fn results<T: for<'de> Deserialize<'de> + Default>(
    chatwoot: &Chatwoot,
    more: bool,
    path: &str,
    query: &str,
    page: &str,
) -> Result<Option<T>> {
    #[derive(Deserialize)]
    struct Results<T> {
        payload: T,
    }
    if !more {
        return Ok(Some(T::default()));
    }
    let reply = chatwoot.reply(Api::V1, path, &[("q", query), ("page", page)]).await?;
    if matches!(reply.status.as_u16(), 404 | 500) {
        return Ok(None);
    }
    let answer: Value = reply.json(said)?;
    let results: Results<T> = serde_json::from_value(answer).map_err(|error| super::client::not_chatwoot(error.to_string()))?;
    Ok(Some(results.payload))
}

#[derive(Default, Deserialize)]
struct ByContact {
    conversations: Vec<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(deserialize_with = "number")]
    id: u64,
}

#[derive(Default, Deserialize)]
struct ByMessage {
    messages: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    /// The number that people see.
    #[serde(deserialize_with = "number")]
    conversation_id: u64,
}

/// What a contact is looked for by: Chatwoot keeps phone numbers as `+56981234567`, and compares letter by letter.
fn as_whom(query: &str) -> String {
    let is_phone = query.chars().all(|letter| letter.is_ascii_digit() || " +-().".contains(letter));
    let digits: String = query.chars().filter(char::is_ascii_digit).collect();
    if is_phone && digits.len() >= 7 { digits } else { query.to_owned() }
}
