//! What a tenant's KPIs are called, and which saved question answers each.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

#[derive(Clone, Debug)]
pub struct Row {
    pub tenant_id: TenantId,
    pub name: String,
    /// JSON: the saved question, its column, the unit.
    pub settings: String,
    pub created_at: i64,
    pub updated_at: i64,
}

pub async fn find(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Option<Row>> {
    let row = sqlx::query("select * from kpis where tenant_id = $1 and name = $2")
        .bind(tenant.to_string())
        .bind(name)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// A tenant's, by name, after one.
pub async fn list(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Row>> {
    let rows = sqlx::query("select * from kpis where tenant_id = $1 and name > $2 order by name limit $3")
        .bind(tenant.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

pub async fn count(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    let row = sqlx::query("select count(*) as count from kpis where tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(tx.connection())
        .await?;
    column(&row, "count")
}

/// Stores the KPI in place of the one that may be there.
pub async fn put(tx: &mut Tx, kpi: &Row) -> Result<()> {
    sqlx::query(
        "insert into kpis (tenant_id, name, settings, created_at, updated_at) values ($1, $2, $3, $4, $5) \
         on conflict (tenant_id, name) do update set settings = excluded.settings, updated_at = excluded.updated_at",
    )
    .bind(kpi.tenant_id.to_string())
    .bind(&kpi.name)
    .bind(&kpi.settings)
    .bind(kpi.created_at)
    .bind(kpi.updated_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether there was one.
pub async fn remove(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<bool> {
    let done = sqlx::query("delete from kpis where tenant_id = $1 and name = $2")
        .bind(tenant.to_string())
        .bind(name)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        tenant_id: TenantId::stored(&column::<String>(row, "tenant_id")?)?,
        name: column(row, "name")?,
        settings: column(row, "settings")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}
