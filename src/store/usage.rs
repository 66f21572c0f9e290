//! Usage: durable counters for each tenant, calendar month and meter.

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

/// Adds to a counter and answers what it stands at.
pub async fn add(tx: &mut Tx, tenant: TenantId, month: &str, meter: &str, amount: i64) -> Result<i64> {
    let row = sqlx::query(
        "insert into usage (tenant_id, month, meter, count) values ($1, $2, $3, $4) \
         on conflict (tenant_id, month, meter) do update set count = usage.count + excluded.count returning count",
    )
    .bind(tenant.to_string())
    .bind(month)
    .bind(meter)
    .bind(amount)
    .fetch_one(tx.connection())
    .await?;
    column(&row, "count")
}

pub async fn get(tx: &mut Tx, tenant: TenantId, month: &str, meter: &str) -> Result<i64> {
    let row = sqlx::query("select count from usage where tenant_id = $1 and month = $2 and meter = $3")
        .bind(tenant.to_string())
        .bind(month)
        .bind(meter)
        .fetch_optional(tx.connection())
        .await?;
    row.map_or(Ok(0), |row| column(&row, "count"))
}
