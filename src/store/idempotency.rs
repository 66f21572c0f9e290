//! Idempotency keys: which call first used a key, and what came of it. A key belongs to its tenant.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::error::Result;

#[derive(Debug)]
pub struct Claim {
    /// The tenant's id; '' for the operator's own calls.
    pub tenant: String,
    pub key: String,
    pub tool: String,
    pub arguments_hash: String,
    /// The process that runs the call.
    pub instance: String,
    pub audit_id: String,
    pub created_at: i64,
    /// Sealed; `None` while the call runs, and for ever if its process died.
    pub outcome: Option<Vec<u8>>,
}

/// Claims the key; false when somebody else has it, or had it a moment ago. A claim older than `kept_since` no longer counts.
pub async fn claim(tx: &mut Tx, claim: &Claim, kept_since: i64) -> Result<bool> {
    sqlx::query("delete from idempotency where tenant_id = $1 and key = $2 and created_at < $3")
        .bind(&claim.tenant)
        .bind(&claim.key)
        .bind(kept_since)
        .execute(tx.connection())
        .await?;
    let done = sqlx::query(
        "insert into idempotency (tenant_id, key, tool, arguments_hash, instance, audit_id, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id, key) do nothing",
    )
    .bind(&claim.tenant)
    .bind(&claim.key)
    .bind(&claim.tool)
    .bind(&claim.arguments_hash)
    .bind(&claim.instance)
    .bind(&claim.audit_id)
    .bind(claim.created_at)
    .execute(tx.connection())
    .await?;
    // Nothing but the row itself is a claim: whoever had the key may have freed it since, so that nobody is found there.
    Ok(done.rows_affected() == 1)
}

pub async fn find(tx: &mut Tx, tenant: &str, key: &str) -> Result<Option<Claim>> {
    let row = sqlx::query("select * from idempotency where tenant_id = $1 and key = $2")
        .bind(tenant)
        .bind(key)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// Keeps the outcome of the claim that this audit entry made: never another's of the same key.
pub async fn finish(tx: &mut Tx, (tenant, key): (&str, &str), audit_id: &str, outcome: Vec<u8>, at: i64) -> Result<()> {
    let done = sqlx::query("update idempotency set outcome = $4, finished_at = $5 where tenant_id = $1 and key = $2 and audit_id = $3")
        .bind(tenant)
        .bind(key)
        .bind(audit_id)
        .bind(outcome)
        .bind(at)
        .execute(tx.connection())
        .await?;
    if done.rows_affected() == 0 {
        tracing::error!(
            audit_id,
            "the claim of a key was gone when its outcome came; the key no longer protects its call"
        );
    }
    Ok(())
}

/// Frees a key whose call never reached its backend.
pub async fn free(tx: &mut Tx, (tenant, key): (&str, &str), audit_id: &str) -> Result<()> {
    sqlx::query("delete from idempotency where tenant_id = $1 and key = $2 and audit_id = $3")
        .bind(tenant)
        .bind(key)
        .bind(audit_id)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// For retention, a batch at a time.
pub async fn prune(tx: &mut Tx, before: i64, batch: i64) -> Result<u64> {
    let done = sqlx::query(
        "delete from idempotency where (tenant_id, key) in (select tenant_id, key from idempotency where created_at < $1 order by created_at limit $2)",
    )
    .bind(before)
    .bind(batch)
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

/// For the rotation of the master key: finished claims, after one.
pub async fn finished_after(tx: &mut Tx, after: (&str, &str), batch: i64) -> Result<Vec<Claim>> {
    let rows =
        sqlx::query("select * from idempotency where outcome is not null and (tenant_id, key) > ($1, $2) order by tenant_id, key limit $3")
            .bind(after.0)
            .bind(after.1)
            .bind(batch)
            .fetch_all(tx.connection())
            .await?;
    rows.iter().map(read).collect()
}

/// For the rotation of the master key: the same outcome, sealed anew.
pub async fn reseal(tx: &mut Tx, tenant: &str, key: &str, outcome: Vec<u8>) -> Result<()> {
    sqlx::query("update idempotency set outcome = $3 where tenant_id = $1 and key = $2")
        .bind(tenant)
        .bind(key)
        .bind(outcome)
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Claim> {
    Ok(Claim {
        tenant: column(row, "tenant_id")?,
        key: column(row, "key")?,
        tool: column(row, "tool")?,
        arguments_hash: column(row, "arguments_hash")?,
        instance: column(row, "instance")?,
        audit_id: column(row, "audit_id")?,
        created_at: column(row, "created_at")?,
        outcome: column(row, "outcome")?,
    })
}
