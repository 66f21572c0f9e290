//! The tables of the database that a connection names, as Metabase shows them: what a query may be written over.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    client::{Metabase, said},
    sql::Engine,
};
use crate::{
    backends::client::shortened,
    error::{Error, Kind, Result},
};

const FRESH: Duration = Duration::from_mins(5);
/// What a model is told of: more would cost more than it helps.
const TABLES_MAX: usize = 60;
const COLUMNS_MAX: usize = 60;
/// The longest name of a schema, a table or a column, in bytes, as H2 has it; what is called longer is not shown.
const NAME_MAX: usize = 256;
/// How many columns a table may hide.
const HIDDEN_MAX: usize = 200;

/// A database, as far as a query may read it.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) engine: Engine,
    pub(super) tables: Vec<Table>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    description: Option<String>,
    columns: Vec<Column>,
    /// The columns that are there, and nobody's to see.
    pub(super) hidden: Vec<String>,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    engine: String,
    #[serde(default)]
    tables: Vec<RawTable>,
}

#[derive(Deserialize)]
struct RawTable {
    name: String,
    schema: Option<String>,
    description: Option<String>,
    /// `hidden`, `technical` or `cruft`, where somebody has put it away.
    visibility_type: Option<String>,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
struct RawField {
    name: String,
    description: Option<String>,
    database_type: Option<String>,
    base_type: Option<String>,
    /// `sensitive` and `retired` fields are nobody's to see.
    visibility_type: Option<String>,
    #[serde(default)]
    active: Option<bool>,
}

impl Metabase {
    /// What the database holds that the connection names.
    pub(super) async fn schema(&self, database: u64) -> Result<Arc<Schema>> {
        const LEARNED: &str = "schema";
        let connection = self.http.connection();
        if let Some(known) = connection.recall(LEARNED, FRESH) {
            return Ok(known);
        }
        let reply = self.send(self.http.get(&format!("/api/database/{database}/metadata"))).await?;
        if matches!(reply.status.as_u16(), 400 | 403 | 404) {
            return Err(Error::new(
                Kind::BackendRefused,
                format!("'metabase' does not show database {database} to this API key; correct the connection's database_id"),
            )
            .coded("permission_missing"));
        }
        let raw: Raw = reply.json(said)?;
        let schema = Arc::new(raw.read()?);
        connection.learn(LEARNED, Arc::clone(&schema));
        Ok(schema)
    }
}

impl Schema {
    /// For a model to read. All of it is somebody else's words.
    pub(super) fn told(&self, today: &str) -> Value {
        let columns = |table: &Table| -> Vec<Value> {
            let told = |column: &Column| json!({ "name": column.name, "type": column.kind, "description": column.description });
            table.columns.iter().map(told).collect()
        };
        let tables: Vec<_> = self
            .tables
            .iter()
            .map(|table| {
                json!({
                    "schema": table.schema, "name": table.name, "description": table.description, "columns": columns(table),
                })
            })
            .collect();
        json!({ "database": self.engine.name(), "today": today, "tables": tables })
    }
}

impl Table {
    /// Whether it shows a column of this name, in lower case.
    pub(super) fn shows(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name.to_lowercase() == name)
    }
}

impl Raw {
    fn read(self) -> Result<Schema> {
        let engine = Engine::of(&self.engine).ok_or_else(|| {
            Error::new(
                Kind::BackendRefused,
                format!(
                    "The connection's database is a '{}', and reports are written for {} only; save a question in Metabase instead",
                    shortened(&self.engine),
                    Engine::names()
                ),
            )
        })?;
        let mut tables: Vec<_> = self
            .tables
            .into_iter()
            .filter(|table| table.visibility_type.is_none() && table.active != Some(false))
            .filter_map(RawTable::read)
            .collect();
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        tables.truncate(TABLES_MAX);
        Ok(Schema { engine, tables })
    }
}

impl RawTable {
    /// `None` for what cannot be kept whole: what hides a column must not be forgotten.
    fn read(self) -> Option<Table> {
        let fits = |name: &str| name.len() <= NAME_MAX;
        let (hidden, shown): (Vec<_>, Vec<_>) = self
            .fields
            .into_iter()
            .filter(|field| field.active != Some(false))
            .partition(|field| matches!(field.visibility_type.as_deref(), Some("sensitive" | "retired")));
        let hidden: Vec<_> = hidden.into_iter().map(|field| field.name).collect();
        let schema = self.schema.filter(|schema| !schema.is_empty());
        if !fits(&self.name)
            || schema.as_deref().is_some_and(|schema| !fits(schema))
            || hidden.len() > HIDDEN_MAX
            || !hidden.iter().all(|name| fits(name))
        {
            return None;
        }
        let columns = shown
            .into_iter()
            .filter(|field| fits(&field.name))
            .take(COLUMNS_MAX)
            .map(|field| Column {
                kind: shortened(&field.database_type.or(field.base_type).unwrap_or_default()),
                description: brief(field.description),
                name: field.name,
            })
            .collect();
        Some(Table {
            schema,
            description: brief(self.description),
            name: self.name,
            columns,
            hidden,
        })
    }
}

fn brief(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty()).map(|text| shortened(&text))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A schema as Metabase would tell it.
    pub(in crate::backends::metabase) fn schema(raw: &Value) -> Schema {
        serde_json::from_value::<Raw>(raw.clone()).unwrap().read().unwrap()
    }

    #[test]
    fn what_somebody_has_put_away_is_not_told() {
        let told = schema(&json!({ "engine": "postgres", "tables": [
            { "name": "pedidos", "schema": "public", "visibility_type": null, "fields": [
                { "name": "id", "base_type": "type/Integer", "visibility_type": "normal" },
                { "name": "clave", "base_type": "type/Text", "visibility_type": "sensitive" },
                { "name": "antiguo", "base_type": "type/Text", "active": false },
            ] },
            { "name": "tmp", "schema": "public", "visibility_type": "cruft", "fields": [] },
            { "name": "x".repeat(300), "schema": "public", "fields": [] },
            { "name": "ido", "schema": "public", "active": false, "fields": [] },
        ] }))
        .told("2026-11-21");
        assert_eq!(
            told,
            json!({ "database": "postgres", "today": "2026-11-21", "tables": [
                { "schema": "public", "name": "pedidos", "description": null, "columns": [
                    { "name": "id", "type": "type/Integer", "description": null },
                ] },
            ] })
        );
    }

    #[test]
    fn a_database_whose_grammar_is_not_known_is_not_written_for() {
        let raw: Raw = serde_json::from_value(json!({ "engine": "mongo", "tables": [] })).unwrap();
        assert!(raw.read().unwrap_err().message().contains("'mongo'"));
    }
}
