//! Signing keys: the key pairs of access tokens, the private half sealed. They are the gateway's, and no tenant's.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::error::Result;

#[derive(Clone, Debug)]
pub struct Row {
    pub id: String,
    /// The private half: 32 bytes, sealed.
    pub sealed: Vec<u8>,
    /// The public half, as a JWK has it (RFC 8037 §2).
    pub public: String,
    pub created_at: i64,
    /// Until then it is published, and signs nothing.
    pub signs_from: i64,
    /// From then on nothing that it has signed is taken.
    pub ends_at: Option<i64>,
}

/// Every key, the oldest first.
pub async fn list(tx: &mut Tx) -> Result<Vec<Row>> {
    let rows = sqlx::query("select * from signing_keys order by created_at, id")
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

pub async fn insert(tx: &mut Tx, key: &Row) -> Result<()> {
    sqlx::query("insert into signing_keys (id, sealed, public, created_at, signs_from, ends_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(&key.id)
        .bind(key.sealed.clone())
        .bind(&key.public)
        .bind(key.created_at)
        .bind(key.signs_from)
        .bind(key.ends_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Says when the keys end that have no end yet.
pub async fn end_all(tx: &mut Tx, ends_at: i64) -> Result<()> {
    sqlx::query("update signing_keys set ends_at = $1 where ends_at is null")
        .bind(ends_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Removes keys that have ended.
pub async fn remove_ended(tx: &mut Tx, now: i64) -> Result<()> {
    sqlx::query("delete from signing_keys where ends_at <= $1")
        .bind(now)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// For the rotation of the master key: the same key, sealed anew.
pub async fn reseal(tx: &mut Tx, id: &str, sealed: Vec<u8>) -> Result<()> {
    sqlx::query("update signing_keys set sealed = $2 where id = $1")
        .bind(id)
        .bind(sealed)
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        id: column(row, "id")?,
        sealed: column(row, "sealed")?,
        public: column(row, "public")?,
        created_at: column(row, "created_at")?,
        signs_from: column(row, "signs_from")?,
        ends_at: column(row, "ends_at")?,
    })
}
