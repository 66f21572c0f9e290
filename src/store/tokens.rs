//! Tokens: their hashes and what they allow. The token itself is nowhere.

use sqlx::any::AnyRow;

use super::{Tx, column};
use crate::{
    auth::{Agent, Scopes, TokenHash},
    error::{Error, Result},
    id::{TenantId, TokenId},
    limits::Custom,
};

#[derive(Clone, Debug)]
pub struct Token {
    pub id: TokenId,
    /// `None`: the operator's.
    pub tenant_id: Option<TenantId>,
    pub name: String,
    pub scopes: Scopes,
    pub agent: Option<Agent>,
    pub limits: Option<Custom>,
    pub created_at: i64,
    pub created_by: String,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
    pub rotated_to: Option<TokenId>,
    pub last_used_at: Option<i64>,
}

/// For authentication: whose token this is. Revoked and expired ones too, so that the caller decides by his own clock.
pub async fn find_by_hash(tx: &mut Tx, hash: &TokenHash) -> Result<Option<Token>> {
    let row = sqlx::query("select * from tokens where hash = $1")
        .bind(hash.hex())
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// The token, if it is this tenant's; for the operator (`None`), whoever's it is.
pub async fn find(tx: &mut Tx, tenant: Option<TenantId>, id: TokenId) -> Result<Option<Token>> {
    let row = match tenant {
        Some(tenant) => sqlx::query("select * from tokens where id = $1 and tenant_id = $2")
            .bind(id.to_string())
            .bind(tenant.to_string()),
        None => sqlx::query("select * from tokens where id = $1").bind(id.to_string()),
    }
    .fetch_optional(tx.connection())
    .await?;
    row.map(|row| read(&row)).transpose()
}

/// A tenant's tokens by id, after one; for the operator (`None`), everybody's.
pub async fn list(tx: &mut Tx, tenant: Option<TenantId>, after: Option<&str>, limit: i64) -> Result<Vec<Token>> {
    let after = after.unwrap_or_default();
    let rows = match tenant {
        Some(tenant) => sqlx::query("select * from tokens where tenant_id = $1 and id > $2 order by id limit $3")
            .bind(tenant.to_string())
            .bind(after)
            .bind(limit),
        None => sqlx::query("select * from tokens where id > $1 order by id limit $2")
            .bind(after)
            .bind(limit),
    }
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(read).collect()
}

pub async fn insert(tx: &mut Tx, token: &Token, hash: &TokenHash) -> Result<()> {
    let limits = token
        .limits
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .map_err(Error::internal)?;
    sqlx::query(
        "insert into tokens (id, tenant_id, hash, name, scopes, agent, limits, created_at, created_by, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(token.id.to_string())
    .bind(token.tenant_id.map(|id| id.to_string()))
    .bind(hash.hex())
    .bind(&token.name)
    .bind(token.scopes.stored())
    .bind(token.agent.map(Agent::name))
    .bind(limits)
    .bind(token.created_at)
    .bind(&token.created_by)
    .bind(token.expires_at)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// How many tokens of a tenant still work.
pub async fn count_live(tx: &mut Tx, tenant: TenantId, now: i64) -> Result<i64> {
    let row = sqlx::query("select count(*) as live from tokens where tenant_id = $1 and revoked_at is null and expires_at > $2")
        .bind(tenant.to_string())
        .bind(now)
        .fetch_one(tx.connection())
        .await?;
    column(&row, "live")
}

/// Revokes; says nothing new when it already was.
pub async fn revoke(tx: &mut Tx, id: TokenId, at: i64) -> Result<()> {
    sqlx::query("update tokens set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(id.to_string())
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes what a token was replaced by, and when the old one ends.
pub async fn rotate(tx: &mut Tx, id: TokenId, to: TokenId, ends_at: i64) -> Result<()> {
    sqlx::query("update tokens set rotated_to = $2, expires_at = $3 where id = $1")
        .bind(id.to_string())
        .bind(to.to_string())
        .bind(ends_at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Notes when tokens were last used.
pub async fn touch(tx: &mut Tx, uses: &[(TokenId, i64)]) -> Result<()> {
    for (id, at) in uses {
        sqlx::query("update tokens set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at < $2)")
            .bind(id.to_string())
            .bind(*at)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// Those that were revoked since a moment, and when.
pub async fn revoked_since(tx: &mut Tx, since: i64) -> Result<Vec<(TokenId, i64)>> {
    let rows = sqlx::query("select id, revoked_at from tokens where revoked_at >= $1")
        .bind(since)
        .fetch_all(tx.connection())
        .await?;
    rows.iter()
        .map(|row| Ok((TokenId::stored(&column::<String>(row, "id")?)?, column(row, "revoked_at")?)))
        .collect()
}

/// Revokes every stored token of the operator, and says how many there were.
pub async fn revoke_operators(tx: &mut Tx, at: i64) -> Result<Vec<TokenId>> {
    let rows = sqlx::query("update tokens set revoked_at = $1 where tenant_id is null and revoked_at is null returning id")
        .bind(at)
        .fetch_all(tx.connection())
        .await?;
    rows.iter().map(|row| TokenId::stored(&column::<String>(row, "id")?)).collect()
}

/// Whether the operator has a stored token that still works.
pub async fn operator_has_one(tx: &mut Tx, now: i64) -> Result<bool> {
    let row = sqlx::query("select id from tokens where tenant_id is null and revoked_at is null and expires_at > $1 limit 1")
        .bind(now)
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.is_some())
}

fn read(row: &AnyRow) -> Result<Token> {
    Ok(Token {
        id: TokenId::stored(&column::<String>(row, "id")?)?,
        tenant_id: column::<Option<String>>(row, "tenant_id")?
            .map(|id| TenantId::stored(&id))
            .transpose()?,
        name: column(row, "name")?,
        scopes: Scopes::from_stored(&column::<String>(row, "scopes")?),
        agent: agent(row)?,
        limits: limits(row)?,
        created_at: column(row, "created_at")?,
        created_by: column(row, "created_by")?,
        expires_at: column(row, "expires_at")?,
        revoked_at: column(row, "revoked_at")?,
        rotated_to: column::<Option<String>>(row, "rotated_to")?
            .map(|id| TokenId::stored(&id))
            .transpose()?,
        last_used_at: column(row, "last_used_at")?,
    })
}

/// The agent's view that a row names.
pub(super) fn agent(row: &AnyRow) -> Result<Option<Agent>> {
    column::<Option<String>>(row, "agent")?
        .map(|name| {
            name.parse()
                .map_err(|()| Error::internal(format!("stored agent {name:?} is unknown")))
        })
        .transpose()
}

/// The limits that a row holds in place of the usual ones.
pub(super) fn limits(row: &AnyRow) -> Result<Option<Custom>> {
    column::<Option<String>>(row, "limits")?
        .map(|text| serde_json::from_str(&text).map_err(Error::internal))
        .transpose()
}
