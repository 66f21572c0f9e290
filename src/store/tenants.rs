//! Tenants.

use ipnet::IpNet;
use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{
    error::{Error, Result},
    id::TenantId,
    tenant::{Status, Tenant},
};

/// The tenant, unless it was deleted.
pub async fn find(tx: &mut Tx, id: TenantId) -> Result<Option<Tenant>> {
    let row = sqlx::query("select * from tenants where id = $1 and deleted_at is null")
        .bind(id.to_string())
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// For the operator: the tenant of a slug.
pub async fn find_by_slug(tx: &mut Tx, slug: &str) -> Result<Option<Tenant>> {
    let row = sqlx::query("select * from tenants where slug = $1 and deleted_at is null")
        .bind(slug)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// For the operator: tenants by id, after one.
pub async fn list_all(tx: &mut Tx, after: Option<&str>, limit: i64) -> Result<Vec<Tenant>> {
    let rows = sqlx::query("select * from tenants where deleted_at is null and id > $1 order by id limit $2")
        .bind(after.unwrap_or_default())
        .bind(limit)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// For retention: every tenant id, also of deleted ones, and the operator's own ''.
pub async fn ids_of_all(tx: &mut Tx) -> Result<Vec<String>> {
    let rows = sqlx::query("select id from tenants order by id").fetch_all(tx.connection()).await?;
    let mut ids = vec![String::new()];
    for row in &rows {
        ids.push(column(row, "id")?);
    }
    Ok(ids)
}

/// # Errors
/// [`Kind::Conflict`](crate::error::Kind) when the slug is taken, also by a deleted tenant.
pub async fn insert(tx: &mut Tx, tenant: &Tenant) -> Result<()> {
    let done = sqlx::query(
        "insert into tenants (id, slug, name, rut, plan, region, status, time_zone, locale, backend_allow, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (slug) do nothing",
    )
    .bind(tenant.id.to_string())
    .bind(&tenant.slug)
    .bind(&tenant.name)
    .bind(&tenant.rut)
    .bind(&tenant.plan)
    .bind(&tenant.region)
    .bind(tenant.status.name())
    .bind(&tenant.time_zone)
    .bind(&tenant.locale)
    .bind(networks(&tenant.backend_allow))
    .bind(tenant.created_at)
    .bind(tenant.updated_at)
    .execute(tx.connection())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::conflict(format!("The slug '{}' is taken; choose another", tenant.slug)).coded("slug_taken"));
    }
    Ok(())
}

pub async fn update(tx: &mut Tx, tenant: &Tenant) -> Result<()> {
    sqlx::query(
        "update tenants set name = $2, rut = $3, plan = $4, region = $5, status = $6, time_zone = $7, locale = $8, backend_allow = $9, updated_at = $10 where id = $1",
    )
    .bind(tenant.id.to_string())
    .bind(&tenant.name)
    .bind(&tenant.rut)
    .bind(&tenant.plan)
    .bind(&tenant.region)
    .bind(tenant.status.name())
    .bind(&tenant.time_zone)
    .bind(&tenant.locale)
    .bind(networks(&tenant.backend_allow))
    .bind(tenant.updated_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Marks the tenant deleted and takes its credentials away; audit and usage stay for the books.
pub async fn delete(tx: &mut Tx, id: TenantId, at: i64) -> Result<()> {
    let id = id.to_string();
    sqlx::query("update tenants set status = 'deleted', deleted_at = $2, updated_at = $2 where id = $1")
        .bind(&id)
        .bind(at)
        .execute(tx.connection())
        .await?;
    sqlx::query("delete from connections where tenant_id = $1")
        .bind(&id)
        .execute(tx.connection())
        .await?;
    sqlx::query("delete from services where tenant_id = $1")
        .bind(&id)
        .execute(tx.connection())
        .await?;
    sqlx::query("delete from kpis where tenant_id = $1")
        .bind(&id)
        .execute(tx.connection())
        .await?;
    for statement in [
        "delete from refresh_tokens where tenant_id = $1",
        "delete from authorization_codes where tenant_id = $1",
        "delete from grants where tenant_id = $1",
        "delete from members where tenant_id = $1",
    ] {
        sqlx::query(statement).bind(&id).execute(tx.connection()).await?;
    }
    sqlx::query("delete from idempotency where tenant_id = $1")
        .bind(&id)
        .execute(tx.connection())
        .await?;
    sqlx::query("update tokens set revoked_at = $2 where tenant_id = $1 and revoked_at is null")
        .bind(&id)
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Tenant> {
    let status: String = column(row, "status")?;
    let allow: String = column(row, "backend_allow")?;
    Ok(Tenant {
        id: TenantId::stored(&column::<String>(row, "id")?)?,
        slug: column(row, "slug")?,
        name: column(row, "name")?,
        rut: column(row, "rut")?,
        plan: column(row, "plan")?,
        region: column(row, "region")?,
        status: Status::stored(&status)?,
        time_zone: column(row, "time_zone")?,
        locale: column(row, "locale")?,
        backend_allow: allow
            .split_whitespace()
            .map(|text| text.parse::<IpNet>().map_err(Error::internal))
            .collect::<Result<_>>()?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}

fn networks(allow: &[IpNet]) -> String {
    allow.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ")
}
