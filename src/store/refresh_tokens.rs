//! Refresh tokens: their hashes. They are looked up by their hash, whosever they are.

use super::{Tx, column};
use crate::{
    auth::TokenHash,
    error::Result,
    id::{TenantId, TokenId},
};

#[derive(Debug)]
pub struct Row {
    pub tenant_id: TenantId,
    pub grant_id: TokenId,
    pub expires_at: i64,
    /// When it was first used.
    pub used_at: Option<i64>,
}

pub async fn find(tx: &mut Tx, hash: &TokenHash) -> Result<Option<Row>> {
    let row = sqlx::query("select * from refresh_tokens where hash = $1")
        .bind(hash.hex())
        .fetch_optional(tx.connection())
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Row {
        tenant_id: TenantId::stored(&column::<String>(&row, "tenant_id")?)?,
        grant_id: TokenId::stored(&column::<String>(&row, "grant_id")?)?,
        expires_at: column(&row, "expires_at")?,
        used_at: column(&row, "used_at")?,
    }))
}

/// Stores one, unless it is there: of several that come with the one before at once, all store the same.
pub async fn insert(tx: &mut Tx, hash: &TokenHash, tenant: TenantId, grant: TokenId, now: i64, expires_at: i64) -> Result<()> {
    sqlx::query(
        "insert into refresh_tokens (hash, tenant_id, grant_id, created_at, expires_at) values ($1, $2, $3, $4, $5) \
         on conflict (hash) do nothing",
    )
    .bind(hash.hex())
    .bind(tenant.to_string())
    .bind(grant.to_string())
    .bind(now)
    .bind(expires_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether this was its first use. Who comes at the same time waits until the first one's transaction ends.
pub async fn take(tx: &mut Tx, hash: &TokenHash, now: i64) -> Result<bool> {
    let done = sqlx::query("update refresh_tokens set used_at = $2 where hash = $1 and used_at is null")
        .bind(hash.hex())
        .bind(now)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}
