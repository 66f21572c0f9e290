//! Grants: what members have allowed connected applications. What such an application calls with is nowhere.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{
    auth::{Agent, Scopes},
    error::{Error, Result},
    id::{TenantId, TokenId},
    limits::Custom,
};

#[derive(Clone, Debug)]
pub struct Row {
    pub id: TokenId,
    pub tenant_id: TenantId,
    pub client_id: String,
    /// As the application calls itself.
    pub client_name: String,
    /// The URL that its access tokens are for.
    pub resource: String,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    /// `token/<id>` or `member/<id>`.
    pub granted_by: String,
    pub created_at: i64,
    pub used_at: Option<i64>,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
}

/// The grant, if it is this tenant's; for the operator (`None`), whoever's it is.
pub async fn find(tx: &mut Tx, tenant: Option<TenantId>, id: TokenId) -> Result<Option<Row>> {
    let row = match tenant {
        Some(tenant) => sqlx::query("select * from grants where id = $1 and tenant_id = $2")
            .bind(id.to_string())
            .bind(tenant.to_string()),
        None => sqlx::query("select * from grants where id = $1").bind(id.to_string()),
    }
    .fetch_optional(tx.connection())
    .await?;
    row.map(|row| read(&row)).transpose()
}

/// A tenant's grants that still work, by id, after one; of one giver, or of all.
pub async fn list(tx: &mut Tx, tenant: TenantId, granted_by: Option<&str>, now: i64, after: &str, limit: i64) -> Result<Vec<Row>> {
    let rows = sqlx::query(
        "select * from grants where tenant_id = $1 and ($2 = '' or granted_by = $2) and revoked_at is null and expires_at > $3 \
         and id > $4 order by id limit $5",
    )
    .bind(tenant.to_string())
    .bind(granted_by.unwrap_or_default())
    .bind(now)
    .bind(after)
    .bind(limit)
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(read).collect()
}

/// How many of one giver's still work, and were used since a moment.
pub async fn count_live(tx: &mut Tx, tenant: TenantId, granted_by: &str, now: i64, used_since: i64) -> Result<i64> {
    let row = sqlx::query(
        "select count(*) as live from grants where tenant_id = $1 and granted_by = $2 and revoked_at is null and expires_at > $3 \
         and coalesce(used_at, created_at) > $4",
    )
    .bind(tenant.to_string())
    .bind(granted_by)
    .bind(now)
    .bind(used_since)
    .fetch_one(tx.connection())
    .await?;
    column(&row, "live")
}

pub async fn insert(tx: &mut Tx, grant: &Row) -> Result<()> {
    let limits = grant
        .limits
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(Error::internal)?;
    sqlx::query(
        "insert into grants (id, tenant_id, client_id, client_name, resource, scopes, agent, limits, granted_by, created_at, used_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(grant.id.to_string())
    .bind(grant.tenant_id.to_string())
    .bind(&grant.client_id)
    .bind(&grant.client_name)
    .bind(&grant.resource)
    .bind(grant.scopes.stored())
    .bind(grant.agent.map(Agent::name))
    .bind(limits)
    .bind(&grant.granted_by)
    .bind(grant.created_at)
    .bind(grant.used_at)
    .bind(grant.expires_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether it worked until now.
pub async fn revoke(tx: &mut Tx, tenant: TenantId, id: TokenId, at: i64) -> Result<bool> {
    let done = sqlx::query("update grants set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Revokes all that one giver has granted, and answers which.
pub async fn revoke_given_by(tx: &mut Tx, tenant: TenantId, granted_by: &str, at: i64) -> Result<Vec<TokenId>> {
    let rows =
        sqlx::query("update grants set revoked_at = $3 where tenant_id = $1 and granted_by = $2 and revoked_at is null returning id")
            .bind(tenant.to_string())
            .bind(granted_by)
            .bind(at)
            .fetch_all(tx.connection())
            .await?;
    rows.iter().map(|row| TokenId::stored(&column::<String>(row, "id")?)).collect()
}

/// Moves the grants of a token that was rotated to its successor.
pub async fn hand_over(tx: &mut Tx, tenant: TenantId, from: &str, to: &str) -> Result<()> {
    sqlx::query("update grants set granted_by = $3 where tenant_id = $1 and granted_by = $2 and revoked_at is null")
        .bind(tenant.to_string())
        .bind(from)
        .bind(to)
        .execute(tx.connection())
        .await?;
    Ok(())
}

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

/// What a member may do, while he is one.
pub async fn member_scopes(tx: &mut Tx, tenant: TenantId, member: &str) -> Result<Option<Scopes>> {
    let row = sqlx::query("select scopes from members where tenant_id = $1 and id = $2")
        .bind(tenant.to_string())
        .bind(member)
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| Ok(Scopes::from_stored(&column::<String>(&row, "scopes")?)))
        .transpose()
}

/// Removes those that ended before a moment, and with them what is left of their refresh tokens.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<()> {
    for statement in [
        "delete from refresh_tokens where expires_at < $1",
        "delete from authorization_codes where expires_at < $1",
        "delete from grants where expires_at < $1 or revoked_at < $1",
    ] {
        sqlx::query(statement).bind(before).execute(tx.connection()).await?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        id: TokenId::stored(&column::<String>(row, "id")?)?,
        tenant_id: TenantId::stored(&column::<String>(row, "tenant_id")?)?,
        client_id: column(row, "client_id")?,
        client_name: column(row, "client_name")?,
        resource: column(row, "resource")?,
        scopes: Scopes::from_stored(&column::<String>(row, "scopes")?),
        agent: super::tokens::agent(row)?,
        limits: super::tokens::limits(row)?,
        granted_by: column(row, "granted_by")?,
        created_at: column(row, "created_at")?,
        used_at: column(row, "used_at")?,
        expires_at: column(row, "expires_at")?,
        revoked_at: column(row, "revoked_at")?,
    })
}
