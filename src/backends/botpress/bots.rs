//! Bots: which the workspace has.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::client::{Botpress, Meta, Own, PAGE_MAX};
use crate::{
    auth::Scope,
    backends::{client::shortened, figures::Unavailable},
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListBots>()]
}

const LIMIT_DEFAULT: u32 = 50;
/// How many bots are looked at, a request each; how many at once; how long all of that may take.
const LOOKS_MAX: usize = 50;
const AT_ONCE: usize = 8;
const CHANNELS_WITHIN: Duration = Duration::from_secs(15);
/// The longest page of one bot: it holds the schemas of all its integrations.
const BOT_MAX: usize = 4 * 1024 * 1024;
/// How many integrations of a bot are shown.
const CHANNELS_MAX: usize = 50;

/// List the tenant's chatbots, to find the `bot_id` that the other tools of bots take.
///
/// Example: `{"limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListBots {
    /// How many at most; 50 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Bots, those changed last first.
#[derive(Serialize, JsonSchema)]
struct Bots {
    bots: Vec<Bot>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

/// A chatbot.
#[derive(Serialize, JsonSchema)]
struct Bot {
    id: String,
    name: String,
    /// `active`: it has been deployed. Botpress does not tell whether a bot is blocked.
    status: Status,
    /// Its enabled integrations, e.g. `whatsapp`: through most of them people reach it. Botpress does not say which those are.
    channels: Option<Vec<String>>,
    /// Always null: Botpress counts conversations of a period only; `bots_analytics` shows them.
    conversations_count: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
}

impl Tool for ListBots {
    const NAME: &'static str = "bots_list";
    const TITLE: &'static str = "List bots";
    const ROUTE: Route = Route::get("/bots");
    const SCOPE: Scope = Scope::ReadBots;
    const CATEGORY: Category = Category::Bots;
    type Backend = Botpress;
    type Output = Bots;

    async fn call(self, botpress: &Botpress) -> Result<Bots> {
        let session = botpress.http.session();
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let token = session.open_cursor(self.cursor.as_deref())?;
        let (listed, next) = listed(botpress, token, limit).await?;
        // What cannot be told of some in time is null; the list itself is there.
        let until = (session.deadline - Duration::from_secs(3)).min(Instant::now() + CHANNELS_WITHIN);
        let asked = listed.iter().take(LOOKS_MAX).map(|bot| bot.id.clone()).map(|id| async move {
            timeout_at(until, channels(botpress, &id))
                .await
                .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "'botpress' did not answer in time")))
        });
        let asked: Vec<_> = asked.collect();
        let channels: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut unavailable = Vec::new();
        if let Some(error) = channels.iter().find_map(|channels| channels.as_ref().err()) {
            unavailable.push(Unavailable::failed("channels", error, &session.request_id));
        } else if listed.len() > LOOKS_MAX {
            let reason = format!("They are asked for bot by bot, for {LOOKS_MAX} on a page; ask for shorter pages");
            unavailable.push(Unavailable::new("channels", reason));
        }
        unavailable.push(Unavailable::new(
            "conversations_count",
            "Botpress does not tell how many conversations a bot has had; bots_analytics shows those of a period",
        ));
        Ok(Bots {
            bots: listed
                .into_iter()
                .zip(channels.into_iter().map(Result::ok).chain(std::iter::repeat(None)))
                .map(|(bot, channels)| Bot {
                    status: match bot.deployed_at {
                        Some(_) => Status::Active,
                        None => Status::Inactive,
                    },
                    name: shortened(&bot.name),
                    id: bot.id,
                    channels,
                    conversations_count: None,
                })
                .collect(),
            next_cursor: next.map(|token| session.seal_cursor(&token)),
            unavailable,
        })
    }
}

/// So many bots, and the token for those after them.
async fn listed(botpress: &Botpress, mut token: Option<String>, limit: usize) -> Result<(Vec<Listed>, Option<String>)> {
    let mut found = Vec::new();
    while found.len() < limit {
        let length = (limit - found.len()).min(PAGE_MAX).to_string();
        let mut query = vec![("pageSize", length.as_str()), ("sortField", "updatedAt"), ("sortDirection", "desc")];
        if let Some(token) = &token {
            query.push(("nextToken", token));
        }
        let page: Page = botpress.read("/v1/admin/bots", &query).await?;
        let none = page.bots.is_empty();
        found.extend(page.bots);
        match page.meta.next_token {
            Some(next) if token.as_ref() != Some(&next) && !none => token = Some(next),
            _ => return Ok((found, None)),
        }
    }
    Ok((found, token))
}

/// The names of a bot's enabled integrations, each once.
async fn channels(botpress: &Botpress, id: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Shown {
        bot: Bot,
    }
    #[derive(Deserialize)]
    struct Bot {
        #[serde(default)]
        integrations: BTreeMap<String, Integration>,
    }
    #[derive(Deserialize)]
    struct Integration {
        #[serde(default)]
        enabled: bool,
        #[serde(default)]
        name: String,
    }
    let bot = Own::listed(id)?;
    let shown: Shown = botpress.read_at_most(&bot.path(), BOT_MAX).await?;
    let enabled = shown.bot.integrations.into_values().filter(|integration| integration.enabled);
    let mut names: Vec<_> = enabled.map(|integration| shortened(&integration.name)).collect();
    names.sort();
    names.dedup();
    names.truncate(CHANNELS_MAX);
    Ok(names)
}

#[derive(Deserialize)]
struct Page {
    bots: Vec<Listed>,
    meta: Meta,
}

/// A bot as the list has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    #[serde(default)]
    name: String,
    deployed_at: Option<String>,
}
