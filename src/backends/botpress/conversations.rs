//! Conversations: whom a bot talked with.

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{Botpress, Meta, Own, PAGE_MAX, time};
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

const LIMIT_DEFAULT: u32 = 50;

/// List the conversations of one of the tenant's bots, those with the latest activity first.
///
/// Example: `{"bot_id": "bot_abc123", "limit": 20}`. `bots_list` shows which bots there are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListConversations {
    /// The bot: its id, or a name that the connection has for it, e.g. `main`.
    #[schemars(length(min = 1, max = 200))]
    bot_id: String,
    /// How many at most; 50 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
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

/// A conversation of a bot.
#[derive(Serialize, JsonSchema)]
struct Conversation {
    conversation_id: String,
    /// Who talked with the bot, as Botpress numbers its users; null where it has not written among the latest 100 messages.
    user_id: Option<String>,
    /// Through what, e.g. `whatsapp` or `webchat`.
    channel: Option<String>,
    messages_count: Option<u64>,
    /// When it began (RFC 3339, UTC).
    started_at: Option<String>,
}

/// Where a list goes on, and of which bot it is.
#[derive(Serialize, Deserialize)]
struct Position {
    bot: String,
    token: String,
}

impl Tool for ListConversations {
    const NAME: &'static str = "bots_conversations";
    const TITLE: &'static str = "List a bot's conversations";
    const ROUTE: Route = Route::get("/bots/{bot_id}/conversations");
    const SCOPE: Scope = Scope::ReadBots;
    const CATEGORY: Category = Category::Bots;
    type Backend = Botpress;
    type Output = Conversations;

    async fn call(self, botpress: &Botpress) -> Result<Conversations> {
        let session = botpress.http.session();
        let bot = botpress.own(&self.bot_id).await?;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let token = match session.open_cursor(self.cursor.as_deref())? {
            Some(text) => {
                let position: Position = serde_json::from_str(&text).map_err(Error::internal)?;
                if position.bot != bot.id() {
                    return Err(Error::invalid("cursor: it belongs to another bot's list"));
                }
                Some(position.token)
            }
            None => None,
        };
        let later = token.is_some();
        let (listed, next) = listed(botpress, &bot, token, limit).await?;
        // On a later page the latest messages of all would be those of the first.
        let before = listed
            .first()
            .filter(|_| later)
            .and_then(|first| just_after(first.updated_at.as_deref()?));
        let mut unavailable = Vec::new();
        let users = match users(botpress, &bot, before.as_deref(), listed.is_empty()).await {
            Ok(users) => {
                if listed.iter().any(|conversation| !users.contains_key(&conversation.id)) {
                    let reason = "Botpress tells it in messages only, and the latest 100 of the bot have none of this user's";
                    unavailable.push(Unavailable::new("user_id", reason));
                }
                users
            }
            Err(error) => {
                unavailable.push(Unavailable::failed("user_id", &error, &session.request_id));
                HashMap::new()
            }
        };
        if listed.iter().any(|conversation| conversation.message_count.is_none()) {
            unavailable.push(Unavailable::new("messages_count", "Botpress did not count them"));
        }
        let next = next.map(|token| {
            let bot = bot.id().to_owned();
            serde_json::to_string(&Position { bot, token }).map_err(Error::internal)
        });
        Ok(Conversations {
            conversations: listed
                .into_iter()
                .map(|conversation| Conversation {
                    user_id: users.get(&conversation.id).cloned(),
                    // An integration has channels of its own, which are mostly called "channel".
                    channel: [conversation.integration, conversation.channel]
                        .into_iter()
                        .flatten()
                        .find(|name| !name.is_empty())
                        .map(|name| shortened(&name)),
                    messages_count: conversation.message_count,
                    started_at: conversation.created_at.as_deref().and_then(time),
                    conversation_id: conversation.id,
                })
                .collect(),
            next_cursor: next.transpose()?.map(|position| session.seal_cursor(&position)),
            unavailable,
        })
    }
}

async fn listed(botpress: &Botpress, bot: &Own, mut token: Option<String>, limit: usize) -> Result<(Vec<Listed>, Option<String>)> {
    let mut found = Vec::new();
    while found.len() < limit {
        let length = (limit - found.len()).min(PAGE_MAX).to_string();
        let mut query = vec![("pageSize", length.as_str()), ("sortField", "updatedAt"), ("sortDirection", "desc")];
        if let Some(token) = &token {
            query.push(("nextToken", token));
        }
        let page: Page = botpress.read_of(bot, "/v1/chat/conversations", &query).await?;
        let none = page.conversations.is_empty();
        found.extend(page.conversations);
        match page.meta.next_token {
            Some(next) if token.as_ref() != Some(&next) && !none => token = Some(next),
            _ => return Ok((found, None)),
        }
    }
    Ok((found, token))
}

/// Who wrote in which conversation, from one look at the latest messages: to ask for each conversation would be a request each.
async fn users(botpress: &Botpress, bot: &Own, before: Option<&str>, nothing: bool) -> Result<HashMap<String, String>> {
    #[derive(Deserialize)]
    struct Messages {
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Message {
        conversation_id: String,
        user_id: String,
        direction: String,
    }
    if nothing {
        return Ok(HashMap::new());
    }
    let length = PAGE_MAX.to_string();
    let mut query = vec![("pageSize", length.as_str())];
    if let Some(before) = before {
        query.push(("beforeDate", before));
    }
    let found: Messages = botpress.read_of(bot, "/v1/chat/messages", &query).await?;
    // What comes in is the user's; what goes out is the bot's own.
    let incoming = found.messages.into_iter().filter(|message| message.direction == "incoming");
    Ok(incoming
        .map(|message| (message.conversation_id, shortened(&message.user_id)))
        .collect())
}

/// A second later: of what happened in that one, Botpress tells milliseconds and knows more.
fn just_after(text: &str) -> Option<String> {
    let moment: Timestamp = text.parse().ok()?;
    Some(rfc3339(moment.as_millisecond().saturating_add(1000)))
}

#[derive(Deserialize)]
struct Page {
    conversations: Vec<Listed>,
    meta: Meta,
}

/// A conversation as Botpress has it: only what is needed is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    channel: Option<String>,
    integration: Option<String>,
    message_count: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}
