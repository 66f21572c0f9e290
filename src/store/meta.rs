//! Facts about the installation: one value for each name.

use sqlx::Row;

use super::Tx;
use crate::error::Result;

pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    let row = sqlx::query("select value from meta where name = $1")
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

pub async fn set(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    sqlx::query("insert into meta (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(tx.connection())
        .await?;
    Ok(())
}
