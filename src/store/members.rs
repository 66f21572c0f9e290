//! Members: people whom a tenant has invited by e-mail address, and who they turned out to be.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{auth::Scopes, error::Result, id::TenantId};

/// Tenants that one person may be shown.
const TENANTS_MAX: i64 = 100;

#[derive(Clone, Debug)]
pub struct Member {
    pub tenant_id: TenantId,
    /// A UUID v4.
    pub id: String,
    /// In lower case.
    pub email: String,
    /// The most that he can grant.
    pub scopes: Scopes,
    /// Who signed in first with that address; both are known, or neither.
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub created_at: i64,
    pub created_by: String,
}

/// Whether it was stored: an address is invited once.
pub async fn insert(tx: &mut Tx, member: &Member) -> Result<bool> {
    let done = sqlx::query(
        "insert into members (tenant_id, id, email, scopes, created_at, created_by) values ($1, $2, $3, $4, $5, $6) \
         on conflict (tenant_id, email) do nothing",
    )
    .bind(member.tenant_id.to_string())
    .bind(&member.id)
    .bind(&member.email)
    .bind(member.scopes.stored())
    .bind(member.created_at)
    .bind(&member.created_by)
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A tenant's, by id, after one.
pub async fn list(tx: &mut Tx, tenant: TenantId, after: &str, limit: i64) -> Result<Vec<Member>> {
    let rows = sqlx::query("select * from members where tenant_id = $1 and id > $2 order by id limit $3")
        .bind(tenant.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

pub async fn count(tx: &mut Tx, tenant: TenantId) -> Result<i64> {
    let row = sqlx::query("select count(*) as count from members where tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_one(tx.connection())
        .await?;
    column(&row, "count")
}

/// Whether there was one.
pub async fn remove(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<bool> {
    let done = sqlx::query("delete from members where tenant_id = $1 and id = $2")
        .bind(tenant.to_string())
        .bind(id)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// For sign-in: gives a person the invitations of his address that nobody has taken, of tenants where he is no member yet.
pub async fn bind(tx: &mut Tx, email: &str, issuer: &str, subject: &str) -> Result<()> {
    sqlx::query(
        "update members set issuer = $2, subject = $3 where email = $1 and subject is null and not exists \
         (select 1 from members own where own.tenant_id = members.tenant_id and own.issuer = $2 and own.subject = $3)",
    )
    .bind(email)
    .bind(issuer)
    .bind(subject)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// For sign-in: a person's memberships in all tenants.
pub async fn of_person(tx: &mut Tx, issuer: &str, subject: &str) -> Result<Vec<Member>> {
    let rows = sqlx::query("select * from members where subject = $1 and issuer = $2 order by tenant_id limit $3")
        .bind(subject)
        .bind(issuer)
        .bind(TENANTS_MAX)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(read).collect()
}

/// For sign-in: whether any tenant has invited this address, whoever took it.
pub async fn is_invited(tx: &mut Tx, email: &str) -> Result<bool> {
    let row = sqlx::query("select id from members where email = $1 limit 1")
        .bind(email)
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.is_some())
}

fn read(row: &AnyRow) -> Result<Member> {
    Ok(Member {
        tenant_id: TenantId::stored(&column::<String>(row, "tenant_id")?)?,
        id: column(row, "id")?,
        email: column(row, "email")?,
        scopes: Scopes::from_stored(&column::<String>(row, "scopes")?),
        issuer: column(row, "issuer")?,
        subject: column(row, "subject")?,
        created_at: column(row, "created_at")?,
        created_by: column(row, "created_by")?,
    })
}
