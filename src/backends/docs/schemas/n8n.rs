//! What n8n keeps, from the document of its public API: the records that it serves, which are those of its schemas that have an id,
//! and the execution, which has no schema of its own and is described where it is answered. What refers to what, it says nowhere
//! outright: where a schema holds another, or a property is called after one (`workflowId`).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{COLUMNS_MAX, Column, Relationship, Schema, Table};

const NOTE: &str =
    "What n8n's public API serves; nobody reaches n8n's own database. A column may be null where the document does not promise it.";
/// What a request or a list is called, and no record.
const NO_RECORDS: [&str; 9] = [
    "List",
    ".list",
    "Request",
    ".update",
    ".create",
    "-result",
    "error",
    "Error",
    "parameter-list",
];
/// What newer schemas have behind their names.
const GENERATED: &str = "PublicDto.generated";

pub(super) fn schema(document: &Value) -> Schema {
    let mut schema = Schema {
        note: Some(NOTE.to_owned()),
        ..Schema::default()
    };
    let schemas = document["components"]["schemas"].as_object();
    let newer: HashSet<&str> = schemas
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_suffix(GENERATED))
        .collect();
    for (name, definition) in schemas.into_iter().flatten() {
        // The newer of two descriptions says more: what may be null, and what is always there.
        if NO_RECORDS.iter().any(|end| name.ends_with(end)) || newer.contains(name.as_str()) {
            continue;
        }
        schema.take(name.strip_suffix(GENERATED).unwrap_or(name), definition);
    }
    let execution = &document["paths"]["/executions/{executionId}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    if !schema.tables.iter().any(|table| table.name == "execution") {
        schema.take("execution", execution);
    }
    let Schema { tables, relationships, .. } = &mut schema;
    let has_id: HashMap<&str, bool> = tables
        .iter()
        .map(|table| (table.name.as_str(), table.columns.iter().any(|column| column.name == "id")))
        .collect();
    relationships.retain_mut(|relationship| {
        let found = has_id.get(relationship.references_table.as_str());
        // A version has a `versionId` in its place.
        if found == Some(&false) {
            relationship.references_column = None;
        }
        found.is_some()
    });
    schema
}

impl Schema {
    fn take(&mut self, name: &str, definition: &Value) {
        let Some(properties) = definition["properties"].as_object() else {
            return;
        };
        if !["id", "versionId"].iter().any(|id| properties.contains_key(*id)) || !self.takes(name) {
            return;
        }
        let required: HashSet<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut columns = Vec::new();
        for (column, property) in properties.iter().take(COLUMNS_MAX + 1) {
            let by_name = column.strip_suffix("Id").map(|record| (record.to_owned(), Some("id".to_owned())));
            if let Some((references_table, references_column)) = refers_to(property).map(|record| (record, None)).or(by_name) {
                self.relate(Relationship {
                    table: name.to_owned(),
                    column: column.clone(),
                    references_table,
                    references_column,
                });
            }
            columns.push(Column {
                name: column.clone(),
                r#type: kind(property),
                nullable: property["nullable"] == true || !required.contains(column.as_str()),
            });
        }
        self.tables.push(Table {
            name: name.to_owned(),
            columns,
        });
    }
}

/// The record that a property holds, or holds many of.
fn refers_to(property: &Value) -> Option<String> {
    let held = [property, &property["items"]];
    let reference = held.into_iter().find_map(|held| held["$ref"].as_str())?;
    let name = reference.rsplit('/').next()?;
    Some(name.strip_suffix(GENERATED).unwrap_or(name).to_owned())
}

fn kind(property: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    match (property["type"].as_str(), property["format"].as_str()) {
        (Some("array"), _) => format!("array of {}", kind(&property["items"])),
        (_, Some(format)) => format.to_owned(),
        (said, None) => said.unwrap_or("any").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_n8n_serves_is_cut() {
        let columns: serde_json::Map<_, _> = (0..5000)
            .map(|index| (format!("c{index}"), json!({ "$ref": "#/components/schemas/t0" })))
            .chain([("id".to_owned(), json!({}))])
            .collect();
        let required: Vec<_> = columns.keys().cloned().collect();
        let wide = json!({ "properties": columns, "required": required });
        let mut schemas: serde_json::Map<_, _> = (0..40).map(|index| (format!("t{index}"), wide.clone())).collect();
        schemas.insert("n".repeat(100_000), wide);
        let schema = schema(&json!({ "components": { "schemas": schemas } })).sorted();
        assert_eq!((schema.tables.len(), schema.truncated), (40, true));
        assert!(schema.tables.iter().all(|table| table.columns.len() == COLUMNS_MAX));
        assert_eq!(schema.relationships.len(), super::super::RELATIONSHIPS_MAX);
    }

    #[test]
    fn records_are_taken_the_newer_description_first_and_lists_and_requests_are_not() {
        let document = json!({
            "components": { "schemas": {
                "tag": { "properties": { "id": { "type": "string" } } },
                "tagPublicDto.generated": { "required": ["id"], "properties": { "id": { "type": "string" }, "at": { "type": "string", "format": "date-time", "nullable": true } } },
                "workflow": { "properties": { "versionId": { "type": "string" }, "tags": { "type": "array", "items": { "$ref": "#/components/schemas/tagPublicDto.generated" } }, "meta": { "$ref": "#/components/schemas/meta" } } },
                "workflowList": { "properties": { "id": {}, "data": { "type": "array" } } },
                "createColumnRequest": { "properties": { "id": {}, "name": { "type": "string" } } },
                "saml-configuration": { "properties": { "entityID": { "type": "string" } } },
                "word": { "type": "string" },
            } },
            "paths": { "/executions/{executionId}": { "get": { "responses": { "200": { "content": { "application/json": { "schema": {
                "properties": { "id": { "type": "string" }, "workflowId": { "type": "string" }, "otherId": { "type": "string" } },
            } } } } } } } },
        });
        let schema = schema(&document).sorted();
        let names: Vec<_> = schema.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["execution", "tag", "workflow"]);
        let tag = &schema.tables[1].columns;
        assert_eq!(
            (tag[0].name.as_str(), tag[0].r#type.as_str(), tag[0].nullable),
            ("at", "date-time", true)
        );
        assert!(!tag[1].nullable);
        let related: Vec<_> = schema
            .relationships
            .iter()
            .map(|found| (found.column.as_str(), found.references_table.as_str()))
            .collect();
        assert_eq!(
            related,
            [("workflowId", "workflow"), ("tags", "tag")],
            "what is not among the tables is not referred to"
        );
    }
}
