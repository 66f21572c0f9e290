//! Plans: what a tenant may use in a calendar month. Rows, so that the operator may change them.

use super::{Tx, column};
use crate::error::Result;

/// A plan's monthly quotas; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub api_calls: Option<i64>,
    pub workflows: Option<i64>,
    pub storage_gb: Option<i64>,
    pub code_generations: Option<i64>,
}

pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Plan>> {
    let row = sqlx::query("select name, api_calls, workflows, storage_gb, code_generations from plans where name = $1")
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| {
        Ok(Plan {
            name: column(&row, "name")?,
            api_calls: column(&row, "api_calls")?,
            workflows: column(&row, "workflows")?,
            storage_gb: column(&row, "storage_gb")?,
            code_generations: column(&row, "code_generations")?,
        })
    })
    .transpose()
}

pub async fn names(tx: &mut Tx) -> Result<Vec<String>> {
    let rows = sqlx::query("select name from plans order by name")
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|row| column(row, "name")).collect()
}
