//! Botpress Cloud: bots, what they talk about and how they do, over its admin and runtime APIs (`https://api.botpress.cloud/v1`).
//!
//! A tenant connects it with a personal access token and the workspace whose bots are its own. The token may be good for other
//! workspaces too, and the runtime API looks at the header `x-bot-id` alone: a bot that a caller names is first looked up among
//! the workspace's bots. Surprising about the API: which integrations a bot has stands only in the bot's own page, not in the
//! list; `blocked` can be set and is never told; versions have no date; a spent quota is 403 or 402 like a lacking permission,
//! with another `type`. Its shapes are those of Botpress' own client (`@botpress/client` 1.45), which also runs against the
//! played one in our tests; no real workspace does.

mod analytics;
mod bots;
mod client;
mod conversations;
mod deploy;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::Botpress;
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [bots::tools(), conversations::tools(), analytics::tools(), deploy::tools()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a tenant gives us to reach its bots.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// A personal access token (avatar → Profile settings → Personal Access Tokens), e.g. `bp_pat_…`. A bot's own key (`bp_bak_…`) does not do.
    token: String,
    /// The workspace whose bots are the tenant's, as in the address of its pages, e.g. `wkspace_01H…`.
    workspace_id: String,
}
