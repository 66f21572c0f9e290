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

/// The value, which nobody changes until this transaction ends.
pub async fn get_held(tx: &mut Tx, name: &str) -> Result<Option<String>> {
    if !tx.locks_rows {
        return get(tx, name).await;
    }
    let row = sqlx::query("select value from meta where name = $1 for share")
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

/// One process at a time from here to the end of the transaction: for what several replicas may find missing at once.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    sqlx::query("update revision set revision = revision where id = 1")
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub async fn set(tx: &mut Tx, name: &str, value: &str) -> Result<()> {
    sqlx::query("insert into meta (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value")
        .bind(name)
        .bind(value)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub async fn remove(tx: &mut Tx, name: &str) -> Result<()> {
    sqlx::query("delete from meta where name = $1")
        .bind(name)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The names that begin so, at most a thousand.
pub async fn names(tx: &mut Tx, begin: &str) -> Result<Vec<String>> {
    let rows = sqlx::query("select name from meta where substr(name, 1, $1) = $2 order by name limit 1000")
        .bind(i64::try_from(begin.len()).unwrap_or_default())
        .bind(begin)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}
