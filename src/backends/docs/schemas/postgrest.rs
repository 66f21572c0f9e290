//! Tables as `PostgREST` describes them: a definition for each table and view, what a column is in its `format`, and keys only in
//! notes below its description (`<pk/>`, `<fk table='…' column='…'/>`). A foreign key of several columns has no note.

use std::collections::HashSet;

use serde_json::Value;

use super::{COLUMNS_MAX, Column, Relationship, Schema, Table};
use crate::backends::supabase;

pub(super) fn schema(document: &Value) -> Schema {
    let mut schema = Schema::default();
    for (name, definition) in supabase::definitions(document).into_iter().flatten() {
        if !schema.takes(name) {
            continue;
        }
        // It lists what is not null.
        let required: HashSet<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut columns = Vec::new();
        for (column, property) in definition["properties"].as_object().into_iter().flatten().take(COLUMNS_MAX + 1) {
            if let Some((references_table, references_column)) = property["description"].as_str().and_then(foreign_key) {
                schema.relate(Relationship {
                    table: name.clone(),
                    column: column.clone(),
                    references_table,
                    references_column: Some(references_column),
                });
            }
            let format = property["format"].as_str().or_else(|| property["type"].as_str());
            columns.push(Column {
                name: column.clone(),
                r#type: format.unwrap_or("unknown").to_owned(),
                nullable: !required.contains(column.as_str()),
            });
        }
        schema.tables.push(Table {
            name: name.clone(),
            columns,
        });
    }
    schema
}

/// The table and column of the note, which comes after whatever somebody wrote of the column.
fn foreign_key(description: &str) -> Option<(String, String)> {
    let (_, note) = description.rsplit_once("<fk table='")?;
    let (table, rest) = note.split_once("' column='")?;
    let (column, _) = rest.split_once("'/>")?;
    Some((table.to_owned(), column.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_read_from_the_notes_and_not_from_comments_before_them() {
        let document = json!({ "swagger": "2.0", "definitions": { "orders": {
            "required": ["id"],
            "properties": {
                "id": { "format": "bigint", "type": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" },
                "customer_id": { "format": "bigint", "description": "Was <fk table='old' column='x'/>\n\nNote:\nThis is a Foreign Key to `customers.id`.<fk table='customers' column='id'/>" },
                "tags": { "format": "text[]", "type": "array" },
                "odd": {},
            },
        } } });
        let schema = schema(&document);
        let columns: Vec<_> = schema.tables[0]
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.r#type.as_str(), column.nullable))
            .collect();
        assert_eq!(
            columns,
            [
                ("customer_id", "bigint", true),
                ("id", "bigint", false),
                ("odd", "unknown", true),
                ("tags", "text[]", true)
            ]
        );
        assert_eq!(schema.relationships.len(), 1);
        assert_eq!(schema.relationships[0].references_table, "customers");
        assert_eq!(schema.relationships[0].references_column.as_deref(), Some("id"));
    }

    #[test]
    fn newer_documents_have_their_tables_elsewhere() {
        let document =
            json!({ "openapi": "3.0.0", "components": { "schemas": { "orders": { "properties": { "id": { "format": "bigint" } } } } } });
        assert_eq!(schema(&document).tables[0].columns[0].r#type, "bigint");
    }

    #[test]
    fn what_no_database_has_is_cut() {
        let key = json!({ "description": "<fk table='t' column='id'/>" });
        let columns: serde_json::Map<_, _> = (0..5000).map(|index| (format!("c{index}"), key.clone())).collect();
        let required: Vec<_> = columns.keys().cloned().collect();
        let wide = json!({ "properties": columns, "required": required });
        let mut definitions: serde_json::Map<_, _> = (0..40).map(|index| (format!("t{index}"), wide.clone())).collect();
        definitions.insert("n".repeat(100_000), wide);
        let schema = schema(&json!({ "swagger": "2.0", "definitions": definitions })).sorted();
        assert_eq!((schema.tables.len(), schema.truncated), (40, true));
        assert!(schema.tables.iter().all(|table| table.columns.len() == COLUMNS_MAX));
        assert_eq!(schema.relationships.len(), super::super::RELATIONSHIPS_MAX);
        let many: serde_json::Map<_, _> = (0..12_000).map(|index| (format!("t{index}"), json!({}))).collect();
        let schema = super::schema(&json!({ "definitions": many })).sorted();
        assert_eq!((schema.tables.len(), schema.truncated), (super::super::TABLES_MAX, true));
    }

    #[test]
    fn a_document_without_definitions_has_no_tables() {
        assert!(schema(&json!({ "swagger": "2.0" })).tables.is_empty());
        assert!(schema(&json!({ "definitions": { "a": 7 } })).tables[0].columns.is_empty());
    }
}
