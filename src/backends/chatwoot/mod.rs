//! Chatwoot 2 and later: conversations with customers and the agents who answer them, over its application API
//! (`{url}/api/v1/accounts/{account_id}`, reports below `/api/v2`; header `api_access_token`).
//!
//! Several tenants may share an instance: the credential's account stands in every path, and what a caller names (an agent) is
//! looked up in that account. Surprising about the API: a lacking permission is 401 like a wrong token (its documents say 403),
//! and only the words differ; a page has 25 conversations unless its operator says otherwise, whatever is asked for; a mean of
//! nothing is 0; lists lie below `data`, and the same lists filtered do not. Facts of behaviour are from Chatwoot's own source
//! (`conversation_finder.rb`, `filter_service.rb`, `search_service.rb`, `report_builder.rb`); no real one runs in our tests.

mod agents;
mod client;
mod conversations;
mod metrics;
mod search;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::Chatwoot;
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [conversations::tools(), search::tools(), agents::tools(), metrics::tools()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a tenant gives us to reach its Chatwoot.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The access token of a user (Profile settings → Access token). An administrator's, or reports stay closed; it sees the inboxes that its user sees.
    access_token: String,
    /// The account's number, as in the addresses of its pages, e.g. 3 in `/app/accounts/3/dashboard`.
    account_id: u64,
}
