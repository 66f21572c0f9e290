//! Kill switches: what the operator has turned off, for a tenant, a backend, a tool, or any pairing of them.

use super::{Tx, column};
use crate::{error::Result, id::TenantId};

#[derive(Clone, Debug)]
pub struct Switch {
    pub id: String,
    /// `None` matches every tenant; likewise the next two.
    pub tenant_id: Option<TenantId>,
    pub backend: Option<String>,
    pub tool: Option<String>,
    pub reason: String,
    pub created_at: i64,
    pub created_by: String,
}

pub async fn list_all(tx: &mut Tx) -> Result<Vec<Switch>> {
    let rows = sqlx::query("select id, tenant_id, backend, tool, reason, created_at, created_by from switches order by id")
        .fetch_all(tx.connection())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Switch {
                id: column(row, "id")?,
                tenant_id: column::<Option<String>>(row, "tenant_id")?
                    .map(|id| TenantId::stored(&id))
                    .transpose()?,
                backend: column(row, "backend")?,
                tool: column(row, "tool")?,
                reason: column(row, "reason")?,
                created_at: column(row, "created_at")?,
                created_by: column(row, "created_by")?,
            })
        })
        .collect()
}

pub async fn insert(tx: &mut Tx, switch: &Switch) -> Result<()> {
    sqlx::query("insert into switches (id, tenant_id, backend, tool, reason, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(&switch.id)
        .bind(switch.tenant_id.map(|id| id.to_string()))
        .bind(&switch.backend)
        .bind(&switch.tool)
        .bind(&switch.reason)
        .bind(switch.created_at)
        .bind(&switch.created_by)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Whether there was such a switch.
pub async fn remove(tx: &mut Tx, id: &str) -> Result<bool> {
    let done = sqlx::query("delete from switches where id = $1")
        .bind(id)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}
