//! Agents: who answers the customers, who is there, and who has how much to do.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::{Api, Chatwoot, number};
use crate::{
    auth::Scope,
    backends::{client::shortened, figures::Unavailable},
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<AgentsStatus>()]
}

/// How many agents a page of the live report has (`report_builder.rb`), and how many pages are read of it.
const PAGE: usize = 25;
const PAGES_MAX: u32 = 10;
/// How many candidates an error names.
const CANDIDATES_MAX: usize = 10;

/// Show the agents of the tenant's support team: who is online, busy or offline, and how many open conversations each has.
///
/// Use it to see who can take a conversation. Example: `{"limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AgentsStatus {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Agents, by id.
#[derive(Serialize, JsonSchema)]
struct Agents {
    agents: Vec<AgentStatus>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

/// Somebody who answers customers.
#[derive(Serialize, JsonSchema)]
struct AgentStatus {
    agent_id: String,
    name: String,
    status: Option<Presence>,
    /// How many open conversations are assigned to him.
    active_conversations: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Presence {
    Online,
    Offline,
    Busy,
}

impl Presence {
    fn of(word: &str) -> Option<Self> {
        match word {
            "online" => Some(Presence::Online),
            "offline" => Some(Presence::Offline),
            "busy" => Some(Presence::Busy),
            _ => None,
        }
    }
}

impl Tool for AgentsStatus {
    const NAME: &'static str = "support_agents_status";
    const TITLE: &'static str = "Status of the support agents";
    const ROUTE: Route = Route::get("/support/agents");
    const SCOPE: Scope = Scope::ReadSupport;
    const CATEGORY: Category = Category::Support;
    type Backend = Chatwoot;
    type Output = Agents;

    async fn call(self, chatwoot: &Chatwoot) -> Result<Agents> {
        let session = chatwoot.http.session();
        let after: u64 = match session.open_cursor(self.cursor.as_deref())? {
            Some(text) => text.parse().map_err(Error::internal)?,
            None => 0,
        };
        let limit = self.limit.unwrap_or(page::LIMIT_DEFAULT) as usize;
        let (agents, open) = tokio::join!(agents(chatwoot), open_conversations(chatwoot));
        // Chatwoot gives all of them at once, in no order that it promises.
        let mut agents: Vec<_> = agents?.into_iter().filter(|agent| agent.id > after).collect();
        agents.sort_by_key(|agent| agent.id);
        let more = agents.len() > limit;
        agents.truncate(limit);
        let mut unavailable = Vec::new();
        let open = match open {
            Ok(open) => Some(open),
            Err(error) => {
                let error = chatwoot.refused_reports(error).await;
                unavailable.push(Unavailable::failed("active_conversations", &error, &session.request_id));
                None
            }
        };
        let next_cursor = agents.last().filter(|_| more).map(|last| session.seal_cursor(&last.id.to_string()));
        let agents: Vec<_> = agents
            .into_iter()
            .map(|agent| AgentStatus {
                active_conversations: open.as_ref().and_then(|open| open.get(&agent.id).copied()),
                status: agent.availability_status.as_deref().and_then(Presence::of),
                agent_id: agent.id.to_string(),
                name: shortened(&agent.name),
            })
            .collect();
        if open.is_some() && agents.iter().any(|agent| agent.active_conversations.is_none()) {
            let reason = "Chatwoot's report, of which 250 agents are read, does not have all of these agents";
            unavailable.push(Unavailable::new("active_conversations", reason));
        }
        if agents.iter().any(|agent| agent.status.is_none()) {
            let reason = "Chatwoot says of an agent neither online nor offline nor busy";
            unavailable.push(Unavailable::new("status", reason));
        }
        Ok(Agents {
            agents,
            next_cursor,
            unavailable,
        })
    }
}

/// The id of the agent who is called this way: by id, e-mail address, name, or a part of the name that only one has.
///
/// # Errors
/// Names who there is, where nobody or more than one is called so.
pub(super) async fn find(chatwoot: &Chatwoot, called: &str) -> Result<u64> {
    let agents = agents(chatwoot).await?;
    let wanted = called.trim().to_lowercase();
    let is_email = |agent: &&Agent| agent.email.as_ref().is_some_and(|email| email.to_lowercase() == wanted);
    let ways: [&dyn Fn(&&Agent) -> bool; 4] = [
        &|agent| agent.id.to_string() == wanted,
        &is_email,
        &|agent| agent.name.to_lowercase() == wanted,
        &|agent| !wanted.is_empty() && agent.name.to_lowercase().contains(&wanted),
    ];
    for way in ways {
        let found: Vec<_> = agents.iter().filter(way).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(one.id),
            several => {
                return Err(Error::conflict(format!(
                    "assignee: several agents are called '{}'; name one by his id: {}",
                    shortened(called),
                    candidates(several.iter().copied())
                ))
                .coded("ambiguous_name"));
            }
        }
    }
    Err(Error::not_found(format!(
        "assignee: no agent of this Chatwoot is called '{}'; there are {}",
        shortened(called),
        candidates(agents.iter())
    )))
}

fn candidates<'a>(agents: impl Iterator<Item = &'a Agent>) -> String {
    let mut names: Vec<_> = agents.map(|agent| format!("{} ({})", shortened(&agent.name), agent.id)).collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    if names.len() > CANDIDATES_MAX {
        names.truncate(CANDIDATES_MAX);
        names.push("…".to_owned());
    }
    names.join(", ")
}

async fn agents(chatwoot: &Chatwoot) -> Result<Vec<Agent>> {
    chatwoot.read(Api::V1, "/agents", &[]).await
}

/// How many open conversations each agent has. Administrators alone may ask.
async fn open_conversations(chatwoot: &Chatwoot) -> Result<HashMap<u64, u64>> {
    let mut open = HashMap::new();
    for page in 1..=PAGES_MAX {
        let page = page.to_string();
        let loads: Vec<Load> = chatwoot
            .read(Api::V2, "/reports/conversations", &[("type", "agent"), ("page", &page)])
            .await?;
        let last = loads.len() < PAGE;
        let known = open.len();
        open.extend(loads.into_iter().map(|load| (load.id, load.metric.open)));
        // Before 3.x it has one page, and gives that whatever is asked for.
        if last || open.len() == known {
            break;
        }
    }
    Ok(open)
}

/// An agent as Chatwoot has him: only what is needed is read.
#[derive(Deserialize)]
struct Agent {
    #[serde(deserialize_with = "number")]
    id: u64,
    #[serde(default)]
    name: String,
    email: Option<String>,
    availability_status: Option<String>,
}

#[derive(Deserialize)]
struct Load {
    #[serde(deserialize_with = "number")]
    id: u64,
    metric: Metric,
}

#[derive(Deserialize)]
struct Metric {
    open: u64,
}
