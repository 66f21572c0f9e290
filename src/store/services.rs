//! The tenant's registry of services, by hand. A tenant without rows has none: its services are what its Docker says.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

#[derive(Clone, Debug)]
pub struct Row {
    pub tenant_id: TenantId,
    pub id: String,
    pub name: String,
    /// frontend, backend or infrastructure.
    pub kind: String,
    pub url: Option<String>,
    /// JSON: where its health is asked, which containers are its own, which image it runs.
    pub settings: String,
    pub created_at: i64,
    pub updated_at: i64,
}

pub async fn find(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<Option<Row>> {
    let row = sqlx::query("select * from services where tenant_id = $1 and id = $2")
        .bind(tenant.to_string())
        .bind(id)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// All of a tenant's, by id; their number is bounded where they are stored.
pub async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Row>> {
    let rows = sqlx::query("select * from services where tenant_id = $1 order by id")
        .bind(tenant.to_string())
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

pub async fn count(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    let row = sqlx::query("select count(*) as count from services where tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(tx.connection())
        .await?;
    column(&row, "count")
}

/// Stores the service in place of the one that may be there.
pub async fn put(tx: &mut Tx, service: &Row) -> Result<()> {
    sqlx::query(
        "insert into services (tenant_id, id, name, kind, url, settings, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (tenant_id, id) do update set name = excluded.name, kind = excluded.kind, url = excluded.url, \
         settings = excluded.settings, updated_at = excluded.updated_at",
    )
    .bind(service.tenant_id.to_string())
    .bind(&service.id)
    .bind(&service.name)
    .bind(&service.kind)
    .bind(&service.url)
    .bind(&service.settings)
    .bind(service.created_at)
    .bind(service.updated_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether there was one.
pub async fn remove(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<bool> {
    let done = sqlx::query("delete from services where tenant_id = $1 and id = $2")
        .bind(tenant.to_string())
        .bind(id)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        tenant_id: TenantId::stored(&column::<String>(row, "tenant_id")?)?,
        id: column(row, "id")?,
        name: column(row, "name")?,
        kind: column(row, "kind")?,
        url: column(row, "url")?,
        settings: column(row, "settings")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}
