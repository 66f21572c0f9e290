//! Metabase: dashboards, saved questions, and the figures that a tenant maps to them, over its API (`{url}/api`).
//!
//! Where several tenants share a Metabase, the connection's `collection_id` is this tenant's part of it: nothing is listed but by
//! walking that collection, and a question is run only after Metabase has said that it lies in it (`collections.rs`). Surprising
//! about the API: a query that failed is answered with 202; refusals are plain text; a "card" is a saved question; and what a person
//! types in braces into SQL is Metabase's own language (`{{#42}}` is another saved question).
//!
//! Words are answered from the saved questions (`questions.rs`). Only where the connection names a database and the tenant has a
//! language model is a query written, and it is sent only if it is one read-only SELECT over the tables that Metabase shows (`sql.rs`).

mod client;
mod collections;
mod dashboards;
mod kpis;
mod questions;
mod reports;
mod schema;
mod sql;
mod table;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{client::Metabase, kpis::Kpi};
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [kpis::tools(), dashboards::tools(), reports::tools()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a tenant gives us to reach its Metabase.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// An API key, e.g. `mb_…` (Admin → Settings → Authentication → API keys), of a group that sees this tenant's collection alone.
    api_key: String,
    /// The number of the collection that is this tenant's, as in the address of its page (`/collection/10-…`). What lies outside it and its own collections does not exist for this tenant. Without it: all that the key sees.
    collection_id: Option<u64>,
    /// The number of the database that reports may be written for in SQL (`/admin/databases/2`), where no saved question answers. All tables that Metabase shows of it are then this tenant's to read. Without it no SQL is written.
    database_id: Option<u64>,
}
