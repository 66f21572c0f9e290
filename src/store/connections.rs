//! Connections: where a tenant's backend is, and the sealed credential to it. One per tenant and backend.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

#[derive(Clone, Debug)]
pub struct Row {
    pub tenant_id: TenantId,
    pub backend: String,
    /// Changes with each new credential, and is part of what the credential is sealed to.
    pub id: String,
    pub url: String,
    /// JSON: what the backend needs besides the address and the credential.
    pub settings: String,
    pub credential: Vec<u8>,
    pub created_at: i64,
    pub updated_at: i64,
}

pub async fn find(tx: &mut Tx, tenant: TenantId, backend: &str) -> Result<Option<Row>> {
    let row = sqlx::query("select * from connections where tenant_id = $1 and backend = $2")
        .bind(tenant.to_string())
        .bind(backend)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

pub async fn list(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Row>> {
    let rows = sqlx::query("select * from connections where tenant_id = $1 order by backend")
        .bind(tenant.to_string())
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// For the rotation of the master key: every connection.
pub async fn list_all(tx: &mut Tx) -> Result<Vec<Row>> {
    let rows = sqlx::query("select * from connections order by tenant_id, backend")
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// Stores the connection in place of the one that may be there, and says whether there was none.
pub async fn put(tx: &mut Tx, connection: &Row) -> Result<bool> {
    let there = find(tx, connection.tenant_id, &connection.backend).await?.is_some();
    sqlx::query(
        "insert into connections (tenant_id, backend, id, url, settings, credential, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) \
         on conflict (tenant_id, backend) do update set id = excluded.id, url = excluded.url, settings = excluded.settings, \
         credential = excluded.credential, updated_at = excluded.updated_at",
    )
    .bind(connection.tenant_id.to_string())
    .bind(&connection.backend)
    .bind(&connection.id)
    .bind(&connection.url)
    .bind(&connection.settings)
    .bind(connection.credential.clone())
    .bind(connection.created_at)
    .bind(connection.updated_at)
    .execute(tx.connection())
    .await?;
    Ok(!there)
}

/// Whether there was one.
pub async fn remove(tx: &mut Tx, tenant: TenantId, backend: &str) -> Result<bool> {
    let done = sqlx::query("delete from connections where tenant_id = $1 and backend = $2")
        .bind(tenant.to_string())
        .bind(backend)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// For the rotation of the master key: the same credential, sealed anew.
pub async fn reseal(tx: &mut Tx, tenant: TenantId, backend: &str, credential: Vec<u8>) -> Result<()> {
    sqlx::query("update connections set credential = $3 where tenant_id = $1 and backend = $2")
        .bind(tenant.to_string())
        .bind(backend)
        .bind(credential)
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        tenant_id: TenantId::stored(&column::<String>(row, "tenant_id")?)?,
        backend: column(row, "backend")?,
        id: column(row, "id")?,
        url: column(row, "url")?,
        settings: column(row, "settings")?,
        credential: column(row, "credential")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}
