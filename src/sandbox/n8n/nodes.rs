//! What a workflow's nodes say: which are triggers, on which webhooks they listen, where they lead.

use std::time::Duration;

use serde_json::{Map, Value};

/// A text field, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(super) fn enabled(node: &Value) -> bool {
    node["disabled"] != true
}

pub(super) fn is_webhook(node: &Value) -> bool {
    text(node, "type") == "n8n-nodes-base.webhook"
}

pub(super) fn is_wait(node: &Value) -> bool {
    text(node, "type") == "n8n-nodes-base.wait"
}

pub(super) fn is_responder(node: &Value) -> bool {
    text(node, "type") == "n8n-nodes-base.respondToWebhook"
}

pub(super) fn is_schedule(node: &Value) -> bool {
    matches!(text(node, "type"), "n8n-nodes-base.scheduleTrigger" | "n8n-nodes-base.cron")
}

/// Whether an execution can begin at this node.
pub(super) fn is_trigger(node: &Value) -> bool {
    let kind = text(node, "type");
    is_webhook(node) || is_schedule(node) || kind.ends_with("Trigger") || kind == "n8n-nodes-base.emailReadImap"
}

/// Whether it makes a workflow worth publishing: not so the one that is pressed by hand.
pub(super) fn is_live_trigger(node: &Value) -> bool {
    let by_hand = matches!(text(node, "type"), "n8n-nodes-base.manualTrigger" | "n8n-nodes-base.errorTrigger");
    is_trigger(node) && enabled(node) && !by_hand
}

/// How long the node takes.
pub(super) fn delay(node: &Value) -> Duration {
    Duration::from_millis(node["parameters"]["delay_ms"].as_u64().unwrap_or_default())
}

/// Why the node fails, where it is meant to.
pub(super) fn failure(node: &Value) -> Option<String> {
    let named_so = |field| text(node, field).to_ascii_lowercase().contains("error");
    let fails = node["parameters"]["fail"] == true || (!is_trigger(node) && (named_so("name") || named_so("type")));
    let told = || match text(&node["parameters"], "errorMessage") {
        "" => format!("Node '{}' was told to fail", text(node, "name")),
        said => said.to_owned(),
    };
    fails.then(told)
}

/// The names of the nodes that one output of a node leads to.
pub(super) fn next<'a>(connections: &'a Value, from: &str, output: usize) -> impl DoubleEndedIterator<Item = &'a str> {
    let targets = connections[from]["main"][output].as_array().map(Vec::as_slice).unwrap_or_default();
    targets.iter().filter_map(|target| target["node"].as_str())
}

/// A method and path that a webhook node listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Its place among the nodes.
    pub(super) node: usize,
    pub(super) method: String,
    /// The node's output that this method leaves by.
    pub(super) output: usize,
    /// Without slashes at its ends; where it has parameters, behind the node's `webhookId`.
    pub(super) path: String,
}

/// All that a version's webhooks listen on. A path that is an expression is not worked out, and so is not there.
pub(super) fn routes(nodes: &[Value]) -> Vec<Route> {
    let listening = nodes.iter().enumerate().filter(|(_, node)| is_webhook(node) && enabled(node));
    listening
        .filter(|(_, node)| !text(&node["parameters"], "path").starts_with('='))
        .flat_map(routes_of)
        .collect()
}

fn routes_of((index, node): (usize, &Value)) -> Vec<Route> {
    let parameters = &node["parameters"];
    let path = text(parameters, "path").trim_matches('/');
    let path = if path.split('/').any(|segment| segment.starts_with(':')) {
        format!("{}/{path}", text(node, "webhookId"))
    } else {
        path.to_owned()
    };
    let methods: Vec<&str> = match &parameters["httpMethod"] {
        Value::Array(methods) => methods.iter().filter_map(Value::as_str).collect(),
        Value::String(method) => vec![method],
        _ if parameters["multipleMethods"] == true => vec!["GET", "POST"],
        _ => vec!["GET"],
    };
    let route = |(output, method): (usize, &str)| Route {
        node: index,
        method: method.to_owned(),
        output,
        path: path.clone(),
    };
    methods.into_iter().enumerate().map(route).collect()
}

impl Route {
    /// The path's parameters, where this route is the one asked for.
    pub(super) fn matches(&self, asked: &str) -> Option<Map<String, Value>> {
        let (ours, theirs) = (self.path.split('/'), asked.split('/'));
        if ours.clone().count() != theirs.clone().count() {
            return None;
        }
        let mut parameters = Map::new();
        for (our, their) in ours.zip(theirs) {
            match our.strip_prefix(':') {
                Some(name) => drop(parameters.insert(name.to_owned(), their.into())),
                None if our == their => {}
                None => return None,
            }
        }
        Some(parameters)
    }
}
