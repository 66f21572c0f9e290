//! The revision row that replicas poll, and what changed with each revision; and which processes are alive.

use super::{Tx, column};
use crate::error::Result;

/// What may change under a running replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Token,
    Tenant,
    Connection,
    Switch,
    Grant,
    SigningKey,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Token,
        Kind::Tenant,
        Kind::Connection,
        Kind::Switch,
        Kind::Grant,
        Kind::SigningKey,
    ];

    const fn name(self) -> &'static str {
        match self {
            Kind::Token => "token",
            Kind::Tenant => "tenant",
            Kind::Connection => "connection",
            Kind::Switch => "switch",
            Kind::Grant => "grant",
            Kind::SigningKey => "signing_key",
        }
    }
}

#[derive(Debug)]
pub struct Change {
    pub kind: Option<Kind>,
    /// The id of what changed: a token's, a tenant's, `tenant/backend` of a connection.
    pub subject: String,
}

/// Records a change in the transaction that makes it, and answers the revision that it makes.
pub async fn record(tx: &mut Tx, kind: Kind, subject: &str, at: i64) -> Result<i64> {
    let row = sqlx::query("update revision set revision = revision + 1 where id = 1 returning revision")
        .fetch_one(tx.connection())
        .await?;
    let revision = column(&row, "revision")?;
    sqlx::query("insert into changes (revision, kind, subject, at) values ($1, $2, $3, $4)")
        .bind(revision)
        .bind(kind.name())
        .bind(subject)
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(revision)
}

pub async fn revision(tx: &mut Tx) -> Result<i64> {
    let row = sqlx::query("select revision from revision where id = 1")
        .fetch_one(tx.connection())
        .await?;
    column(&row, "revision")
}

/// What changed after a revision. `None`: so much that the list no longer reaches back, and everything must be forgotten.
pub async fn since(tx: &mut Tx, known: i64, now: i64) -> Result<Option<Vec<Change>>> {
    let rows = sqlx::query("select revision, kind, subject from changes where revision > $1 order by revision limit 1001")
        .bind(known)
        .fetch_all(tx.connection())
        .await?;
    let gap = u64::try_from(now - known).unwrap_or(u64::MAX) != rows.len() as u64;
    if rows.len() > 1000 || gap {
        return Ok(None);
    }
    rows.iter()
        .map(|row| {
            let name: String = column(row, "kind")?;
            Ok(Change {
                kind: Kind::ALL.into_iter().find(|kind| kind.name() == name),
                subject: column(row, "subject")?,
            })
        })
        .collect::<Result<_>>()
        .map(Some)
}

/// Forgets changes older than every replica's memory.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<u64> {
    let done = sqlx::query("delete from changes where at < $1")
        .bind(before)
        .execute(tx.connection())
        .await?;
    Ok(done.rows_affected())
}

/// Says that this process lives.
pub async fn beat(tx: &mut Tx, instance: &str, at: i64) -> Result<()> {
    sqlx::query("insert into instances (id, seen_at) values ($1, $2) on conflict (id) do update set seen_at = excluded.seen_at")
        .bind(instance)
        .bind(at)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Whether a process was seen after a moment.
pub async fn lives(tx: &mut Tx, instance: &str, after: i64) -> Result<bool> {
    let row = sqlx::query("select id from instances where id = $1 and seen_at > $2")
        .bind(instance)
        .bind(after)
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.is_some())
}

/// How many processes were seen after a moment.
pub async fn count_living(tx: &mut Tx, after: i64) -> Result<i64> {
    let row = sqlx::query("select count(*) as living from instances where seen_at > $1")
        .bind(after)
        .fetch_one(tx.connection())
        .await?;
    column(&row, "living")
}

/// Takes a process that ends off the list.
pub async fn leave(tx: &mut Tx, instance: &str) -> Result<()> {
    sqlx::query("delete from instances where id = $1")
        .bind(instance)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Takes processes off the list: those not seen since a moment, or all of them.
pub async fn bury(tx: &mut Tx, before: i64) -> Result<()> {
    sqlx::query("delete from instances where seen_at < $1")
        .bind(before)
        .execute(tx.connection())
        .await?;
    Ok(())
}
