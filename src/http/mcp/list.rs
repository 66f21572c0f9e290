//! `tools/list`, beside rmcp as `tools/call` is: each tool is rendered once, at start, and a list is those that the caller may call,
//! one after the other. Read as a value and written anew for each caller, 35 tools cost most of a millisecond.

use std::collections::HashMap;

use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    envelope::{Envelope, Era, Fault, INVALID_PARAMS},
    fault, json as answer, modern, server,
};
use crate::{auth::Caller, http::listing, state::State, tool::Catalogue};

/// How long a client may keep the list, in milliseconds. Short: scopes and switches change.
const TTL_MS: &str = "60000";

/// Every tool as the list shows it.
pub type Listed = HashMap<&'static str, Box<RawValue>>;

/// Renders every tool, at start.
pub fn listed(catalogue: &Catalogue) -> Listed {
    catalogue
        .all()
        .iter()
        .filter_map(|definition| {
            let shown = serde_json::value::to_raw_value(&server::tool(definition)).ok()?;
            Some((definition.name, shown))
        })
        .collect()
}

/// The parameters: only what pages would need.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    cursor: Option<&'a RawValue>,
}

pub fn serve(state: &State, caller: &Caller, era: Era, envelope: &Envelope<'_>) -> Response {
    let page: Option<Page<'_>> = envelope.params().and_then(|params| serde_json::from_str(params.get()).ok());
    if page.and_then(|page| page.cursor).is_some_and(|cursor| cursor.get() != "\"\"") {
        let refused = Fault::new(StatusCode::OK, INVALID_PARAMS, "cursor: the list of tools is one page");
        return fault(&refused, Some(envelope.id));
    }
    let tools: Vec<&str> = listing::tools(state, caller)
        .filter_map(|tool| state.pages.tools.get(tool.name).map(|shown| shown.get()))
        .collect();
    let size = tools.iter().map(|tool| tool.len() + 1).sum::<usize>();
    let mut out = String::with_capacity(size + 512);
    out.push_str(r#"{"jsonrpc":"2.0","id":"#);
    out.push_str(envelope.id.get());
    out.push_str(r#","result":{"#);
    if modern(era) {
        out.push_str(r#""resultType":"complete","#);
    }
    let meta = json!({ server::SERVER_INFO: server::info_json() }).to_string();
    for part in [r#""_meta":"#, &meta, r#","ttlMs":"#, TTL_MS, r#","cacheScope":"private","tools":["#] {
        out.push_str(part);
    }
    for (index, tool) in tools.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(tool);
    }
    out.push_str("]}}");
    answer(StatusCode::OK, out)
}
