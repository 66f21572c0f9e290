//! Whether n8n would take a workflow, and whether it is one that may be handed out: for what a model wrote.
//!
//! n8n finds unknown node types and missing credentials only when a workflow is published, and a wrong cron not even then; so that all
//! of it is looked at here. `nodes.txt` holds the nodes of n8n 2.41: type, versions, and `c` where one needs a credential, `t` where
//! one is a trigger.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use serde_json::Value;

use super::schedule::is_cron;

/// The largest workflow, as JSON, and the most nodes in it.
const BYTES_MAX: usize = 128 * 1024;
const NODES_MAX: usize = 60;
const NAME_MAX: usize = 128;
/// How many complaints are told at once.
const COMPLAINTS_MAX: usize = 12;
/// How deep parameters may nest.
const DEPTH_MAX: usize = 24;

/// What a node may hold: what n8n takes, without credentials.
const NODE: &[&str] = &[
    "id",
    "name",
    "webhookId",
    "disabled",
    "notesInFlow",
    "notes",
    "type",
    "typeVersion",
    "executeOnce",
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "onError",
    "position",
    "parameters",
];
const SETTINGS: &[&str] = &[
    "executionOrder",
    "timezone",
    "executionTimeout",
    "saveManualExecutions",
    "saveDataErrorExecution",
    "saveDataSuccessExecution",
    "saveExecutionProgress",
    "callerPolicy",
    "availableInMCP",
];
/// What reaches into the machine that n8n runs on.
const REFUSED: &[&str] = &[
    "executeCommand",
    "ssh",
    "git",
    "readWriteFile",
    "readBinaryFile",
    "readBinaryFiles",
    "writeBinaryFile",
    "localFileTrigger",
];
const PREFIX: &str = "n8n-nodes-base.";

/// A kind of node that n8n has.
#[derive(Debug)]
pub(super) struct Known {
    versions: Vec<f64>,
    pub(super) needs_credential: bool,
    trigger: bool,
}

static KNOWN: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| {
    let read = |line: &'static str| {
        let mut parts = line.split(' ');
        let name = parts.next()?;
        let versions = parts.next()?.split(',').filter_map(|version| version.parse().ok()).collect();
        let flags = parts.next().unwrap_or_default();
        let known = Known {
            versions,
            needs_credential: flags.contains('c'),
            trigger: flags.contains('t'),
        };
        Some((name, known))
    };
    include_str!("nodes.txt").lines().filter_map(read).collect()
});

/// What n8n has under a full type, e.g. `n8n-nodes-base.set`.
pub(super) fn known(kind: &str) -> Option<&'static Known> {
    KNOWN.get(kind.strip_prefix(PREFIX)?)
}

pub(super) fn is_trigger(node: &Value) -> bool {
    node["type"].as_str().and_then(known).is_some_and(|known| known.trigger)
}

/// Whether n8n publishes a node only with a credential: always, or because its parameters ask for one.
pub(super) fn needs_credential(node: &Value) -> bool {
    let parameters = &node["parameters"];
    let asks = parameters["authentication"].as_str().is_some_and(|asked| asked != "none");
    let known = node["type"].as_str().and_then(known);
    known.is_some_and(|known| known.needs_credential) || (asks && known.is_some())
}

/// What is wrong with a workflow, one sentence each; none where nothing is.
pub(super) fn complaints(workflow: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(workflow, &mut found);
    found.truncate(COMPLAINTS_MAX);
    found
}

fn look(workflow: &Value, found: &mut Vec<String>) {
    let Some(fields) = workflow.as_object() else {
        found.push("the workflow must be a JSON object".to_owned());
        return;
    };
    if serde_json::to_vec(workflow).map_or(usize::MAX, |json| json.len()) > BYTES_MAX {
        found.push(format!("the workflow is larger than {} KiB", BYTES_MAX / 1024));
        return;
    }
    for field in fields.keys() {
        if !["name", "nodes", "connections", "settings"].contains(&field.as_str()) {
            found.push(format!(
                "the field '{}' does not belong there; only name, nodes, connections, settings do",
                cut(field)
            ));
        }
    }
    if !workflow["name"]
        .as_str()
        .is_some_and(|name| (1..=NAME_MAX).contains(&name.chars().count()))
    {
        found.push(format!("name must be a text of 1 to {NAME_MAX} letters"));
    }
    let Some(nodes) = workflow["nodes"].as_array() else {
        found.push("nodes must be a list".to_owned());
        return;
    };
    if nodes.is_empty() || nodes.len() > NODES_MAX {
        found.push(format!("nodes must be 1 to {NODES_MAX}"));
        return;
    }
    let mut names = HashSet::new();
    let mut ids = HashSet::new();
    for (index, each) in nodes.iter().enumerate() {
        let name = each["name"].as_str().unwrap_or_default();
        let place = format!("nodes[{index}] ('{}')", cut(name));
        if !names.insert(name) {
            found.push(format!("{place}: another node has the same name"));
        }
        if let Some(id) = each["id"].as_str()
            && !ids.insert(id)
        {
            found.push(format!("{place}: another node has the same id"));
        }
        node(each, &place, found);
    }
    if !nodes.iter().any(|node| is_trigger(node) && node["disabled"] != true) {
        found.push("there must be a trigger: a webhook or a scheduleTrigger".to_owned());
    }
    match workflow["connections"].as_object() {
        Some(connections) => {
            for (from, outputs) in connections {
                connected(from, outputs, &names, found);
            }
        }
        None => found.push("connections must be an object".to_owned()),
    }
    match workflow["settings"].as_object() {
        Some(settings) => {
            for field in settings.keys().filter(|field| !SETTINGS.contains(&field.as_str())) {
                found.push(format!("settings.{} is no setting that may be set", cut(field)));
            }
        }
        None => found.push("settings must be an object, {} at least".to_owned()),
    }
}

fn node(node: &Value, place: &str, found: &mut Vec<String>) {
    let Some(fields) = node.as_object() else {
        found.push(format!("{place}: must be an object"));
        return;
    };
    if node["name"]
        .as_str()
        .is_none_or(|name| name.trim().is_empty() || name.chars().count() > NAME_MAX)
    {
        found.push(format!("{place}: name must be a text"));
    }
    for field in fields.keys().filter(|field| !NODE.contains(&field.as_str())) {
        found.push(format!(
            "{place}: '{}' does not belong into a node; credentials are chosen in n8n",
            cut(field)
        ));
    }
    let kind = node["type"].as_str().unwrap_or_default();
    match known(kind) {
        None => found.push(format!("{place}: n8n has no node type '{}'", cut(kind))),
        Some(_) if REFUSED.iter().any(|refused| kind.strip_prefix(PREFIX) == Some(refused)) => {
            found.push(format!(
                "{place}: the node type '{kind}' reaches into n8n's own machine, and is not generated"
            ));
        }
        Some(known) => {
            let version = node["typeVersion"].as_f64();
            if !version.is_some_and(|version| known.versions.iter().any(|known| (known - version).abs() < 1e-9)) {
                let versions: Vec<_> = known.versions.iter().map(f64::to_string).collect();
                found.push(format!("{place}: typeVersion must be one of {}", versions.join(", ")));
            }
        }
    }
    let position = node["position"].as_array();
    if !position.is_some_and(|position| position.len() == 2 && position.iter().all(Value::is_number)) {
        found.push(format!("{place}: position must be two numbers"));
    }
    if !node["parameters"].is_object() {
        found.push(format!("{place}: parameters must be an object"));
    }
    let parameters = &node["parameters"];
    match kind.strip_prefix(PREFIX) {
        Some("webhook")
            if parameters["path"]
                .as_str()
                .is_none_or(|path| path.trim_matches('/').is_empty() || path.contains(['=', ':', '{'])) =>
        {
            found.push(format!("{place}: parameters.path must be a fixed text"));
        }
        Some("httpRequest") if parameters["url"].as_str().is_none_or(str::is_empty) => {
            found.push(format!("{place}: parameters.url must be set"));
        }
        Some("scheduleTrigger") => {
            let rules = parameters["rule"]["interval"].as_array();
            if rules.is_none_or(Vec::is_empty) {
                found.push(format!("{place}: parameters.rule.interval must be a list of rules"));
            }
            for rule in rules.into_iter().flatten().filter(|rule| rule["field"] == "cronExpression") {
                if !rule["expression"].as_str().is_some_and(is_cron) {
                    found.push(format!("{place}: expression must be a cron of five fields"));
                }
            }
        }
        _ => {}
    }
    secrets(parameters, place, 0, found);
}

/// A text that is a secret by its form has no business in a workflow.
fn secrets(value: &Value, place: &str, depth: usize, found: &mut Vec<String>) {
    const BEGINNINGS: &[&str] = &[
        "Bearer ",
        "Basic ",
        "sk-",
        "xoxb-",
        "xoxp-",
        "AKIA",
        "ghp_",
        "glpat-",
        "shpat_",
        "eyJhbGciOi",
        "-----BEGIN",
    ];
    if depth > DEPTH_MAX {
        found.push(format!("{place}: parameters nest too deep"));
        return;
    }
    match value {
        Value::String(text) => {
            if text.len() > 16 && !text.contains("{{") && BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
                found.push(format!(
                    "{place}: a secret stands in its parameters; leave it out, a credential is chosen in n8n"
                ));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets(item, place, depth + 1, found)),
        Value::Object(fields) => fields.values().for_each(|field| secrets(field, place, depth + 1, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn connected(from: &str, outputs: &Value, names: &HashSet<&str>, found: &mut Vec<String>) {
    let place = format!("connections['{}']", cut(from));
    if !names.contains(from) {
        found.push(format!("{place}: no node has this name"));
    }
    let Some(kinds) = outputs.as_object() else {
        found.push(format!("{place}: must be an object like {{\"main\": [[…]]}}"));
        return;
    };
    for (kind, outputs) in kinds {
        if kind != "main" {
            found.push(format!("{place}: only 'main' is connected"));
        }
        let Some(outputs) = outputs.as_array() else {
            found.push(format!("{place}: must be a list of lists"));
            continue;
        };
        for output in outputs {
            // An output that leads nowhere may be null.
            let Some(targets) = output.as_array() else {
                if !output.is_null() {
                    found.push(format!("{place}: must be a list of lists"));
                }
                continue;
            };
            for target in targets {
                let to = target["node"].as_str().unwrap_or_default();
                if !names.contains(to) {
                    found.push(format!("{place}: leads to '{}', and no node has this name", cut(to)));
                }
                if target["type"] != "main" || !target["index"].is_u64() {
                    found.push(format!("{place}: each target is {{\"node\", \"type\": \"main\", \"index\": 0}}"));
                }
            }
        }
    }
}

fn cut(text: &str) -> String {
    crate::backends::generate::words::line(text, 60)
}
