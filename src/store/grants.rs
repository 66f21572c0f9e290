//! Grants: what members have allowed connected applications. What such an application calls with is nowhere.

use super::{Tx, column};
use crate::{error::Result, id::TokenId};

/// Notes when grants were last used.
pub async fn touch(tx: &mut Tx, uses: &[(TokenId, i64)]) -> Result<()> {
    for (id, at) in uses {
        sqlx::query("update grants set used_at = $2 where id = $1 and (used_at is null or used_at < $2)")
            .bind(id.to_string())
            .bind(*at)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// Those that were revoked since a moment, and when.
pub async fn revoked_since(tx: &mut Tx, since: i64) -> Result<Vec<(TokenId, i64)>> {
    let rows = sqlx::query("select id, revoked_at from grants where revoked_at >= $1")
        .bind(since)
        .fetch_all(tx.connection())
        .await?;
    rows.iter()
        .map(|row| Ok((TokenId::stored(&column::<String>(row, "id")?)?, column(row, "revoked_at")?)))
        .collect()
}
