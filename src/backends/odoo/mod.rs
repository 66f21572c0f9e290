//! Odoo: a tenant's contacts, opportunities and pipeline, over its external API: JSON-2 (`{url}/json/2/{model}/{method}`) from Odoo 19
//! on, JSON-RPC (`{url}/jsonrpc`) before. Which one it is, is asked once (`GET /web/version`) and kept with the connection.
//!
//! Where tenants share a database, the connection's `company_id` says which company is this tenant's, and goes into the domain of
//! every query, into the context of every call and into every record that is written. Surprising about Odoo: what is empty is `false`;
//! JSON-RPC answers 200 also when it fails; models lose fields from one version to the next, and an unknown one fails the whole call;
//! a lost opportunity is an archived one; and a record without a company belongs to all of them, the people and companies that run
//! the database among them, which are therefore no contacts here.

mod chile;
mod client;
mod contacts;
mod domain;
mod opportunities;
mod protocol;
mod records;
mod row;
mod stages;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::Odoo;
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [contacts::tools(), opportunities::tools(), records::tools()]
        .into_iter()
        .flatten()
        .collect()
}

/// What a tenant gives us to reach its Odoo, 14 or newer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// An API key of the user that the gateway works as (Preferences → Account security → New API key).
    api_key: String,
    /// The database's name, e.g. `luna`. Needed before Odoo 19, and where one address serves several databases.
    database: Option<String>,
    /// The login of the user to whom the key belongs, e.g. `agente@panaderialuna.cl`. Needed before Odoo 19.
    login: Option<String>,
    /// The number of the company that is this tenant's, where the database holds several (Settings → Users & Companies → Companies; it is in the address of the company's page). Without it, all that the user may see is the tenant's.
    #[schemars(range(min = 1))]
    company_id: Option<u64>,
}
