//! Supabase: a tenant's tables and how they hang together, as its Data API (`PostgREST`) describes them at `{url}/rest/v1/`; or a
//! `PostgREST` that stands alone, at `{url}/`.
//!
//! Where several tenants share a project, each has a schema, and the connection's `schema` goes with every request
//! (`Accept-Profile`). Surprising: the description is refused to publishable and anon keys, with a 401 that calls the key
//! invalid; new keys (`sb_secret_…`) are no JWT and are refused as a bearer; and the refusal of a schema lists all others.

mod client;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::Supabase;
pub(super) use self::client::definitions;
use crate::tool::Definition;

/// It has no tool of its own: `docs_schemas`, `docs_apis` and `generate_api_client` speak to it.
pub(super) fn tools() -> Vec<Definition> {
    Vec::new()
}

/// What a tenant gives us to reach its Supabase, or its `PostgREST`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// A secret key, `sb_secret_…` (Project settings → API keys), or the legacy `service_role` key. For a `PostgREST` that stands alone, a JWT of the role that may see the tables.
    pub(super) api_key: String,
    /// The schema that is this tenant's, e.g. `luna`; it must be among the exposed ones (Project settings → Data API). Without it, the first that is exposed, usually `public`.
    pub(super) schema: Option<String>,
}
