//! Schemas: the tables of a database, their columns, and which refers to which.
//!
//! `database` is a name, never an address: whose database it is comes from the tenant's connection. Of n8n and Odoo nobody reaches
//! the database itself; their tables here are what their APIs say of what they keep.

mod n8n;
mod odoo;
mod postgrest;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Docs, Source, noted};
use crate::{
    auth::Scope,
    backends::{Backend as _, Connected as _, Session, n8n::N8n, odoo::Odoo, supabase::Supabase},
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    LazyLock::force(&KEPT);
    vec![tool::<Schemas>()]
}

/// How long tables that were asked for are used again: the next pages of a list come from them too.
const FRESH: Duration = Duration::from_mins(5);
/// The most tables of a database, and columns of a table, that are looked at (`PostgreSQL` has no more columns).
const TABLES_MAX: usize = 10_000;
const COLUMNS_MAX: usize = 1600;
/// The longest name of a table that is looked at, in bytes: it is repeated for each relationship (`PostgreSQL`'s have 63).
const NAME_MAX: usize = 200;
/// The most relationships of a database.
const RELATIONSHIPS_MAX: usize = 50_000;
/// A page ends before its limit where its tables have more columns than this together.
const COLUMNS_ON_A_PAGE: usize = 5000;
/// The longest name of a type, in characters.
const TYPE_MAX: usize = 200;

/// List the tables of a database with their columns, and which column refers to which table. Use it before writing a query, a
/// workflow or a report over the data.
///
/// `supabase` is the tenant's own Supabase or `PostgREST`; `odoo` and `n8n` are what their APIs keep; `smarteros` is the platform's
/// database, as far as rows of the tenant lie in it. Example: `{"database": "supabase", "limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Schemas {
    /// The database: `smarteros`, `supabase`, `n8n` or `odoo`.
    database: Database,
    /// How many tables at most; 100 unless said. A page of very wide tables ends earlier.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Database {
    Smarteros,
    Supabase,
    N8n,
    Odoo,
}

/// Tables, by name.
#[derive(Serialize, JsonSchema)]
struct Shown {
    database: Database,
    tables: Vec<Table>,
    /// Of the tables of this page.
    relationships: Vec<Relationship>,
    source: Source,
    /// What these tables are, where it is not the database itself that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Whether there is more than was looked at: tables beyond 10 000, columns beyond 1600 of one table, or relationships beyond 50 000.
    truncated: bool,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    /// By name.
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    /// In the database's own words, e.g. `bigint`.
    r#type: String,
    nullable: bool,
}

/// A column that holds what a column of another table holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Relationship {
    table: String,
    column: String,
    references_table: String,
    /// Null where the backend does not say.
    references_column: Option<String>,
}

/// All tables of a database.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    tables: Vec<Table>,
    relationships: Vec<Relationship>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    truncated: bool,
}

/// What the gateway keeps: of its own database what a tenant may see, and of n8n what stands in for a live answer.
struct Kept {
    smarteros: Arc<Schema>,
    n8n: Arc<Schema>,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let read = |name: &str, text: &str| {
        let schema: Schema = serde_json::from_str(text).unwrap_or_else(|error| panic!("the kept schema of {name}: {error}"));
        Arc::new(schema.sorted())
    };
    Kept {
        smarteros: read("smarteros", include_str!("smarteros.json")),
        n8n: read("n8n", include_str!("n8n.json")),
    }
});

impl Tool for Schemas {
    const NAME: &'static str = "docs_schemas";
    const TITLE: &'static str = "Documentation of a database";
    const ROUTE: Route = Route::get("/docs/schemas/{database}");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Documentation;
    type Backend = Docs;
    type Output = Shown;

    async fn call(self, docs: &Docs) -> Result<Shown> {
        let session = &docs.session;
        let (schema, source) = match self.database {
            Database::Smarteros => (Arc::clone(&KEPT.smarteros), Source::Kept),
            Database::Supabase => {
                let ask = async || {
                    Supabase::open(session.clone())
                        .await?
                        .openapi()
                        .await
                        .map(|found| Some(postgrest::schema(&found)))
                };
                (of_backend(session, Supabase::NAME, ask).await?.unwrap_or_default(), Source::Live)
            }
            Database::N8n => {
                let ask = async || Ok(N8n::open(session.clone()).await?.openapi().await?.map(|found| n8n::schema(&found)));
                match of_backend(session, N8n::NAME, ask).await {
                    Ok(Some(schema)) => (schema, Source::Live),
                    Ok(None) => (Arc::clone(&KEPT.n8n), Source::Kept),
                    Err(error) if error.kind() == Kind::NotConnected => (Arc::clone(&KEPT.n8n), Source::Kept),
                    Err(error) => return Err(error),
                }
            }
            Database::Odoo => {
                let ask = async || Ok(Some(odoo::schema(Odoo::open(session.clone()).await?).await?));
                (of_backend(session, Odoo::NAME, ask).await?.unwrap_or_default(), Source::Live)
            }
        };
        page_of(session, self.database, &schema, source, self.limit, self.cursor.as_deref())
    }
}

/// The tables that a connected backend tells of, asked for at most every few minutes.
async fn of_backend(
    session: &Session,
    backend: &'static str,
    ask: impl AsyncFnOnce() -> Result<Option<Schema>>,
) -> Result<Option<Arc<Schema>>> {
    const NAME: &str = "schema";
    let connection = session.connection(backend).await?;
    if let Some(known) = connection.recall::<Schema>(NAME, FRESH) {
        return Ok(Some(known));
    }
    Ok(noted(session, backend, ask().await)?.map(|schema| {
        let schema = Arc::new(schema.sorted());
        connection.learn(NAME, Arc::clone(&schema));
        schema
    }))
}

impl Schema {
    /// Whether one more table of this name is looked at.
    fn takes(&mut self, name: &str) -> bool {
        let takes = self.tables.len() <= TABLES_MAX && name.len() <= NAME_MAX;
        self.truncated |= !takes;
        takes
    }

    fn relate(&mut self, relationship: Relationship) {
        if self.relationships.len() < RELATIONSHIPS_MAX {
            self.relationships.push(relationship);
        } else {
            self.truncated = true;
        }
    }

    /// By name, and no more than is looked at.
    fn sorted(mut self) -> Self {
        self.tables.sort_by(|one, other| one.name.cmp(&other.name));
        self.truncated |= self.tables.len() > TABLES_MAX;
        self.tables.truncate(TABLES_MAX);
        for table in &mut self.tables {
            table.columns.sort_by(|one, other| one.name.cmp(&other.name));
            self.truncated |= table.columns.len() > COLUMNS_MAX;
            table.columns.truncate(COLUMNS_MAX);
            for column in &mut table.columns {
                if let Some((end, _)) = column.r#type.char_indices().nth(TYPE_MAX) {
                    column.r#type.truncate(end);
                }
            }
        }
        self.relationships.sort();
        self.relationships.dedup();
        self
    }
}

fn page_of(
    session: &Session,
    database: Database,
    schema: &Schema,
    source: Source,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Shown> {
    // The cursor is of one database: its first letters say which.
    let prefix = format!("{database:?}/");
    let after = match session.open_cursor(cursor)? {
        None => None,
        Some(position) => match position.strip_prefix(&prefix) {
            Some(name) => Some(name.to_owned()),
            None => {
                return Err(Error::invalid(
                    "cursor: was given for another database; pass next_cursor with the database that it came with",
                ));
            }
        },
    };
    let limit = limit.unwrap_or(page::LIMIT_DEFAULT) as usize;
    let mut rest = schema
        .tables
        .iter()
        .filter(|table| after.as_ref().is_none_or(|after| table.name > *after))
        .peekable();
    let (mut tables, mut columns) = (Vec::new(), 0);
    while let Some(table) = rest.peek() {
        columns += table.columns.len();
        if tables.len() == limit || !tables.is_empty() && columns > COLUMNS_ON_A_PAGE {
            break;
        }
        tables.extend(rest.next().cloned());
    }
    let next_cursor = match (rest.peek(), tables.last()) {
        (Some(_), Some(last)) => Some(session.seal_cursor(&format!("{prefix}{}", last.name))),
        _ => None,
    };
    let relationships = schema.relationships.iter().filter(|relationship| {
        let place = tables.binary_search_by(|table| table.name.cmp(&relationship.table));
        place.is_ok()
    });
    Ok(Shown {
        database,
        relationships: relationships.cloned().collect(),
        tables,
        source,
        note: schema.note.clone(),
        truncated: schema.truncated,
        next_cursor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, type and whether it may be null, of each column that a migration makes.
    fn columns(migration: &str, table: &str) -> Vec<(String, String, bool)> {
        let (_, rest) = migration
            .split_once(&format!("create table {table} ("))
            .expect("the migration makes it");
        let (body, _) = rest.split_once("\n)").expect("it ends");
        let keys = body
            .lines()
            .find_map(|line| line.trim().strip_prefix("primary key ("))
            .unwrap_or_default();
        let keys: Vec<&str> = keys.trim_end_matches([')', ',']).split(", ").collect();
        let lines = body
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("primary key"));
        lines
            .map(|line| {
                let mut words = line.trim_end_matches(',').split_whitespace();
                let (name, kind) = (words.next().unwrap(), words.next().unwrap());
                let never = line.contains("not null") || line.contains("primary key") || keys.contains(&name);
                (name.to_owned(), kind.to_owned(), !never)
            })
            .collect()
    }

    #[test]
    fn what_is_kept_of_the_platform_is_what_its_migrations_make() {
        let migration = include_str!("../../../../migrations/postgres/0001_gateway.sql");
        for table in &KEPT.smarteros.tables {
            let made = columns(migration, &table.name);
            for column in &table.columns {
                let kept = (column.name.clone(), column.r#type.clone(), column.nullable);
                assert!(made.contains(&kept), "{}: {kept:?} is not among {made:?}", table.name);
            }
        }
        let names: Vec<_> = KEPT
            .smarteros
            .tables
            .iter()
            .flat_map(|table| table.columns.iter().map(|column| column.name.as_str()))
            .collect();
        for secret in ["hash", "credential", "backend_allow", "arguments_hash"] {
            assert!(!names.contains(&secret), "{secret} is not for tenants");
        }
    }

    #[test]
    fn every_relationship_that_is_kept_is_of_columns_that_are_kept() {
        for schema in [&KEPT.smarteros, &KEPT.n8n] {
            let has = |table: &str, column: &str| {
                let found = schema.tables.iter().find(|found| found.name == table);
                found.is_some_and(|found| found.columns.iter().any(|found| found.name == column))
            };
            for Relationship {
                table,
                column,
                references_table,
                references_column,
            } in &schema.relationships
            {
                assert!(has(table, column), "{table}.{column}");
                assert!(has(references_table, references_column.as_deref().unwrap()), "{references_table}");
            }
        }
    }
}
