//! Usage by day: how often each token of a tenant called each tool on a day of the tenant's time zone.

use sqlx::AssertSqlSafe;

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

/// What one token called of one tool on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub tenant_id: TenantId,
    /// `2026-11-21`.
    pub day: String,
    /// The token's id.
    pub token: String,
    pub tool: String,
    pub calls: i64,
}

/// How many rows a statement holds; a few sizes only, as the database keeps every statement that it has seen.
const SIZES: [usize; 3] = [128, 16, 1];
const COLUMNS: usize = 5;

/// Adds to the counts, which other replicas add to as well. No two rows may be of one count.
pub async fn add(tx: &mut Tx, mut rows: &[Row]) -> Result<()> {
    for size in SIZES {
        while let Some((batch, rest)) = rows.split_at_checked(size) {
            add_batch(tx, batch).await?;
            rows = rest;
        }
    }
    Ok(())
}

async fn add_batch(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    let places: Vec<String> = (0..rows.len())
        .map(|row| {
            let places: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let statement = format!(
        "insert into usage_days (tenant_id, day, token_id, tool, calls) values {} \
         on conflict (tenant_id, day, token_id, tool) do update set calls = usage_days.calls + excluded.calls",
        places.join(", ")
    );
    // Places and nothing else are put into the text.
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in rows {
        query = query
            .bind(row.tenant_id.to_string())
            .bind(row.day.as_str())
            .bind(row.token.as_str())
            .bind(row.tool.as_str())
            .bind(row.calls);
    }
    query.execute(tx.connection()).await?;
    Ok(())
}

/// A tenant's counts of the days from one to another, both among them, by day, token and tool, after one.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    from: &str,
    to: &str,
    (day, token, tool): (&str, &str, &str),
    limit: i64,
) -> Result<Vec<Row>> {
    let rows = sqlx::query(
        "select day, token_id, tool, calls from usage_days where tenant_id = $1 and day >= $2 and day <= $3 \
         and (day > $4 or day = $4 and (token_id > $5 or token_id = $5 and tool > $6)) order by day, token_id, tool limit $7",
    )
    .bind(tenant.to_string())
    .bind(from)
    .bind(to)
    .bind(day)
    .bind(token)
    .bind(tool)
    .bind(limit)
    .fetch_all(tx.connection())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Row {
                tenant_id: tenant,
                day: column(row, "day")?,
                token: column(row, "token_id")?,
                tool: column(row, "tool")?,
                calls: column(row, "calls")?,
            })
        })
        .collect()
}

/// For retention: removes a tenant's oldest day, where it is before this one.
pub async fn prune(tx: &mut Tx, tenant: &str, before: &str) -> Result<u64> {
    let done = sqlx::query(
        "delete from usage_days where tenant_id = $1 and day = (select min(day) from usage_days where tenant_id = $1 and day < $2)",
    )
    .bind(tenant)
    .bind(before)
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}
