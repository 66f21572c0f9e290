//! Authorization codes: their hashes, and what was allowed with each. They are looked up by their hash, whosever they are.

use super::{Tx, column};
use crate::{
    auth::TokenHash,
    error::Result,
    id::{TenantId, TokenId},
};

/// A code as it was found when somebody came with it.
#[derive(Debug)]
pub struct Row {
    pub tenant_id: TenantId,
    /// JSON: what was allowed.
    pub request: String,
    pub expires_at: i64,
    /// Of the one that came before, if one did.
    pub used: Option<Used>,
}

/// A code that was fetched before.
#[derive(Debug)]
pub struct Used {
    /// What it was fetched for, unless that was refused.
    pub grant_id: Option<TokenId>,
}

pub async fn insert(tx: &mut Tx, hash: &TokenHash, tenant: TenantId, request: &str, expires_at: i64) -> Result<()> {
    sqlx::query("insert into authorization_codes (hash, tenant_id, request, expires_at) values ($1, $2, $3, $4)")
        .bind(hash.hex())
        .bind(tenant.to_string())
        .bind(request)
        .bind(expires_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Uses a code up. Of several that come at once, over all replicas, one finds it unused.
pub async fn take(tx: &mut Tx, hash: &TokenHash, now: i64) -> Result<Option<Row>> {
    let first = sqlx::query("update authorization_codes set used_at = $2 where hash = $1 and used_at is null")
        .bind(hash.hex())
        .bind(now)
        .execute(tx.connection())
        .await?
        .rows_affected()
        > 0;
    let row = sqlx::query("select * from authorization_codes where hash = $1")
        .bind(hash.hex())
        .fetch_optional(tx.connection())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let grant_id = column::<Option<String>>(&row, "grant_id")?;
    Ok(Some(Row {
        tenant_id: TenantId::stored(&column::<String>(&row, "tenant_id")?)?,
        request: column(&row, "request")?,
        expires_at: column(&row, "expires_at")?,
        used: match first {
            true => None,
            false => Some(Used {
                grant_id: grant_id.map(|id| TokenId::stored(&id)).transpose()?,
            }),
        },
    }))
}

/// Notes which grant a code became.
pub async fn became(tx: &mut Tx, hash: &TokenHash, grant: TokenId) -> Result<()> {
    sqlx::query("update authorization_codes set grant_id = $2 where hash = $1")
        .bind(hash.hex())
        .bind(grant.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}
