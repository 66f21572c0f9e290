//! The strict checks on a workflow that is to be created: first its fields, then its structure.

use std::collections::HashSet;

use serde_json::Value;

use super::{api::Refusal, nodes::text};

const FIELDS: [&str; 9] = [
    "name",
    "nodes",
    "connections",
    "settings",
    "nodeGroups",
    "staticData",
    "pinData",
    "projectId",
    "parentFolderId",
];
const READ_ONLY: [&str; 10] = [
    "id",
    "active",
    "createdAt",
    "updatedAt",
    "isArchived",
    "versionId",
    "triggerCount",
    "meta",
    "tags",
    "activeVersion",
];
const NODE: [&str; 18] = [
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
    "continueOnFail",
    "onError",
    "position",
    "parameters",
    "credentials",
];
const SETTINGS: [&str; 17] = [
    "saveExecutionProgress",
    "saveManualExecutions",
    "saveDataErrorExecution",
    "saveDataSuccessExecution",
    "executionTimeout",
    "errorWorkflow",
    "timezone",
    "executionOrder",
    "binaryMode",
    "callerPolicy",
    "callerIds",
    "timeSavedMode",
    "timeSavedPerExecution",
    "redactionPolicy",
    "availableInMCP",
    "customTelemetryTags",
    "credentialResolverId",
];
const NAME_MAX: usize = 128;

/// Whether n8n would take this as a new workflow. Unknown node types, credentials and missing parameters are found only
/// at publishing.
pub(super) fn new_workflow(body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return refuse("request/body must be object");
    };
    read_only("request/body", body)?;
    for (index, share) in items(&body["shared"]).iter().enumerate() {
        read_only(&format!("request/body/shared/{index}"), share)?;
        read_only(&format!("request/body/shared/{index}/project"), &share["project"])?;
    }
    for required in ["name", "nodes", "connections", "settings"] {
        if !fields.contains_key(required) {
            return refuse(format!("request/body must have required property '{required}'"));
        }
    }
    recognised("request/body", body, &[&FIELDS, &["shared"]])?;
    let Some(name) = body["name"].as_str() else {
        return refuse("request/body/name must be string");
    };
    match name.chars().count() {
        0 => return refuse("request/body/name must NOT have fewer than 1 characters"),
        1..=NAME_MAX => {}
        _ => {
            return refuse(format!("request/body/name must NOT have more than {NAME_MAX} characters"));
        }
    }
    let Some(nodes) = body["nodes"].as_array() else {
        return refuse("request/body/nodes must be array");
    };
    for field in ["connections", "settings"] {
        if !body[field].is_object() {
            return refuse(format!("request/body/{field} must be object"));
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        if !node.is_object() {
            return refuse(format!("request/body/nodes/{index} must be object"));
        }
        recognised(&format!("request/body/nodes/{index}"), node, &[&NODE, &["customTelemetryTags"]])?;
    }
    recognised("request/body/settings", &body["settings"], &[&SETTINGS])?;
    structure(nodes, &body["connections"])
}

fn read_only(place: &str, value: &Value) -> Result<(), Refusal> {
    match READ_ONLY.iter().find(|field| value.get(**field).is_some()) {
        Some(field) => refuse(format!("{place}/{field} is read-only")),
        None => Ok(()),
    }
}

fn recognised(place: &str, value: &Value, allowed: &[&[&str]]) -> Result<(), Refusal> {
    let keys = value.as_object().into_iter().flat_map(|fields| fields.keys());
    let strange: Vec<_> = keys
        .filter(|key| !allowed.iter().any(|allowed| allowed.contains(&key.as_str())))
        .map(|key| format!("'{key}'"))
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    refuse(format!("{place} Unrecognized key(s) in object: {}", strange.join(", ")))
}

fn structure(nodes: &[Value], connections: &Value) -> Result<(), Refusal> {
    let mut names = HashSet::new();
    let mut ids = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        for field in ["name", "type", "position"] {
            let right = if field == "position" {
                node[field].is_array()
            } else {
                node[field].is_string()
            };
            if !right {
                let why = if node[field].is_null() { "Required" } else { "Wrong type" };
                return invalid(&format!("nodes[{index}].{field} (invalid_type): {why}"));
            }
        }
        let name = text(node, "name");
        if !names.insert(name) {
            return invalid(&format!(
                "nodes[{index}].name (duplicate_node_name): two nodes are named \"{name}\""
            ));
        }
        if let Some(id) = node["id"].as_str()
            && !ids.insert(id)
        {
            return invalid(&format!("nodes[{index}].id (duplicate_node_id): two nodes have the id \"{id}\""));
        }
    }
    for (from, outputs) in connections.as_object().into_iter().flatten() {
        if !names.contains(from.as_str()) {
            return invalid(&format!("connections.{from} (unknown_connection_source): no node has this name"));
        }
        for (kind, outputs) in outputs.as_object().into_iter().flatten() {
            let targets = items(outputs).iter().flat_map(items);
            if let Some(target) = targets.map(|target| text(target, "node")).find(|target| !names.contains(target)) {
                return invalid(&format!(
                    "connections.{from}.{kind} (unknown_connection_target): no node is named \"{target}\""
                ));
            }
        }
    }
    Ok(())
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn invalid(what: &str) -> Result<(), Refusal> {
    refuse(format!("Workflow structure is invalid. {what}"))
}

fn refuse(text: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal::bad_request(text))
}
