//! n8n 2.x: workflows and their executions, over its public API (`{url}/api/v1`, header `X-N8N-API-KEY`).
//!
//! A tenant connects it with the address of its instance and an API key that may list, read, create and publish workflows, set
//! tags, and list and read executions. n8n has no public way to run a workflow: a production webhook does, or n8n's own MCP
//! server, for which the credential may hold a token. n8n itself limits only its MCP server (100 calls per address and 5 minutes).

mod client;
mod executions;
mod mcp;
mod trigger;
mod workflows;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::N8n;
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [workflows::tools(), trigger::tools(), executions::tools()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a tenant gives us to reach its n8n.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// An API key of n8n (Settings → n8n API), with the scopes workflow:list, workflow:read, workflow:create, workflow:activate, workflowTags:update, tag:list, tag:create, execution:list and execution:read.
    pub(super) api_key: String,
    /// A token of n8n's own MCP server (Settings → MCP): needed to trigger workflows that have no webhook.
    pub(super) mcp_token: Option<String>,
    /// What the tenant's webhooks ask for, where they ask for anything.
    pub(super) webhook_auth: Option<WebhookAuth>,
}

/// Authentication of a webhook node.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum WebhookAuth {
    /// A header with a secret value ("Header Auth" in n8n).
    Header {
        /// The header's name.
        name: String,
        /// Its secret value.
        value: String,
    },
    /// User and password ("Basic Auth" in n8n).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
}
