//! Applications that registered themselves (RFC 7591). They hold no secret.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::error::{Error, Result};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub redirect_uris: Vec<String>,
    pub created_at: i64,
    /// When a member last allowed it something, or it last refreshed what he did; to the day.
    pub used_at: Option<i64>,
}

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<Row>> {
    let row = sqlx::query("select * from oauth_clients where id = $1")
        .bind(id)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

pub async fn insert(tx: &mut Tx, client: &Row) -> Result<()> {
    sqlx::query("insert into oauth_clients (id, name, redirect_uris, created_at) values ($1, $2, $3, $4)")
        .bind(&client.id)
        .bind(&client.name)
        .bind(serde_json::to_string(&client.redirect_uris).map_err(Error::internal)?)
        .bind(client.created_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes that it is in use, once a day: who refreshes every few minutes writes nothing here.
pub async fn touch(tx: &mut Tx, id: &str, at: i64) -> Result<()> {
    sqlx::query("update oauth_clients set used_at = $2 where id = $1 and (used_at is null or used_at <= $3)")
        .bind(id)
        .bind(at)
        .bind(at - DAY_MS)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Removes the oldest of those that nobody has ever allowed anything, until there are no more than so many.
pub async fn make_room(tx: &mut Tx, most: i64) -> Result<()> {
    let row = sqlx::query("select count(*) as unused from oauth_clients where used_at is null")
        .fetch_one(tx.connection())
        .await?;
    let over = column::<i64>(&row, "unused")? - most;
    if over > 0 {
        sqlx::query(
            "delete from oauth_clients where id in (select id from oauth_clients where used_at is null order by created_at limit $1)",
        )
        .bind(over)
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// Removes those that were never used and are older than the first moment, and those last used before the second that have no
/// grant any more. Says how many.
pub async fn prune(tx: &mut Tx, unused_before: i64, used_before: i64, limit: i64) -> Result<u64> {
    let done = sqlx::query(
        "delete from oauth_clients where id in (select id from oauth_clients c where (c.used_at is null and c.created_at < $1) \
         or (c.used_at < $2 and not exists (select 1 from grants g where g.client_id = c.id)) limit $3)",
    )
    .bind(unused_before)
    .bind(used_before)
    .bind(limit)
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        id: column(row, "id")?,
        name: column(row, "name")?,
        redirect_uris: serde_json::from_str(&column::<String>(row, "redirect_uris")?).map_err(Error::internal)?,
        created_at: column(row, "created_at")?,
        used_at: column(row, "used_at")?,
    })
}
