//! Browsers that are signed in. Of a session's cookie only the SHA-256 is here.

use super::{Tx, column};
use crate::{auth::TokenHash, error::Result};

pub async fn insert(tx: &mut Tx, hash: &TokenHash, identity: &str, now: i64, expires_at: i64) -> Result<()> {
    sqlx::query("insert into sign_ins (hash, identity, created_at, expires_at) values ($1, $2, $3, $4)")
        .bind(hash.hex())
        .bind(identity)
        .bind(now)
        .bind(expires_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Who is signed in by this cookie, as JSON.
pub async fn find(tx: &mut Tx, hash: &TokenHash, now: i64) -> Result<Option<String>> {
    let row = sqlx::query("select identity from sign_ins where hash = $1 and expires_at > $2")
        .bind(hash.hex())
        .bind(now)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| column(&row, "identity")).transpose()
}

pub async fn remove(tx: &mut Tx, hash: &TokenHash) -> Result<()> {
    sqlx::query("delete from sign_ins where hash = $1")
        .bind(hash.hex())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Removes those that have ended, and says how many.
pub async fn prune(tx: &mut Tx, now: i64, limit: i64) -> Result<u64> {
    let done = sqlx::query("delete from sign_ins where hash in (select hash from sign_ins where expires_at <= $1 limit $2)")
        .bind(now)
        .bind(limit)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected())
}
