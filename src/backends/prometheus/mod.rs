//! Prometheus: how a tenant's hosts do, from what its node exporters tell, over the HTTP API (`{url}/api/v1`) of Prometheus or of
//! what speaks like it (Mimir, Thanos, VictoriaMetrics).
//!
//! The queries are the gateway's own (`catalogue.rs`): no caller sends PromQL. Where several tenants share a Prometheus, the
//! connection's `matcher` says which series are this tenant's, and goes into every selector of every query. Surprising about the API:
//! values are text (`"NaN"` among them), a 200 may say `"status":"error"`, and a 503 may mean only that a query took too long.

mod catalogue;
mod client;
mod matcher;
mod metrics;
mod status;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::client::Prometheus;
use self::matcher::Matcher;
use crate::{
    backends::figures::{self, Unavailable},
    tool::Definition,
};

pub(super) fn tools() -> Vec<Definition> {
    [metrics::tools(), status::tools()].into_iter().flatten().collect()
}

/// What a tenant gives us to reach its Prometheus. All of it may be left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// What it asks for, where it asks for anything; usually a proxy before it does.
    auth: Option<Auth>,
    /// The tenant of a Mimir or Thanos that holds several, sent as X-Scope-OrgID, e.g. `luna`.
    org_id: Option<String>,
    /// Which series are this tenant's: up to 5 labels with the values that they must have, e.g. `{"instance": "vps1:9100"}`. Without it, all are.
    #[serde(default)]
    matcher: Matcher,
}

/// How to authenticate.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// User and password (RFC 7617).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token (RFC 6750).
    Bearer {
        /// The token.
        token: String,
    },
}

/// What Prometheus was asked for and knows nothing of.
fn no_data(name: &'static str) -> Unavailable {
    Unavailable::new(name, "Prometheus has no data on it")
}

/// Two decimals: more is noise. Percentages may leave 0 to 100 by a hair, where a counter was read late.
fn rounded(value: f64, percent: bool) -> f64 {
    let value = if percent { value.clamp(0.0, 100.0) } else { value };
    figures::rounded(value)
}
