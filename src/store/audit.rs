//! Audit entries: who called what, with what outcome. Never the arguments, only their hash.

use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{Tx, column};
use crate::error::Result;

/// One call. A write's entry is stored open, before the backend is called, and completed after.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The tenant's id; '' for the operator's own calls.
    pub tenant: String,
    /// The request's id, a UUID v7.
    pub id: String,
    /// Epoch milliseconds.
    pub at: i64,
    /// The token's id, or who called at the console.
    pub token: String,
    pub agent: Option<&'static str>,
    pub tool: &'static str,
    pub door: &'static str,
    pub arguments_hash: String,
    pub outcome: Outcome,
}

/// How a call stands.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Begun. If its process dies, it stays so: nobody can say whether the backend acted.
    Open,
    Done {
        /// The HTTP status that REST has or would have.
        status: u16,
        /// The code of the error, if it was one.
        error: Option<&'static str>,
        duration_ms: i64,
    },
}

impl Outcome {
    const fn name(&self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::Done { error: None, .. } => "ok",
            Outcome::Done { error: Some(_), .. } => "failed",
        }
    }

    fn columns(&self) -> (&'static str, Option<i64>, Option<&'static str>, Option<i64>) {
        match *self {
            Outcome::Open => (self.name(), None, None, None),
            Outcome::Done {
                status,
                error,
                duration_ms,
            } => (self.name(), Some(i64::from(status)), error, Some(duration_ms)),
        }
    }
}

/// An entry as it is read again.
#[derive(Debug)]
pub struct Stored {
    pub id: String,
    pub at: i64,
    pub token: String,
    pub agent: Option<String>,
    pub tool: String,
    pub door: String,
    pub arguments_hash: String,
    pub outcome: String,
    pub status: Option<i64>,
    pub error: Option<String>,
    pub duration_ms: Option<i64>,
}

/// How many entries a statement holds. A few sizes only: the database keeps every statement that it has seen, and one of its own
/// for each count would cost tens of megabytes.
const SIZES: [usize; 3] = [128, 16, 1];
const COLUMNS: usize = 12;
/// After every id: ids are lower-case hexadecimal.
const LAST: &str = "g";

/// Stores entries. One that is there already stays as it is: a commit whose answer was lost is made again.
pub async fn insert(tx: &mut Tx, mut entries: &[Entry]) -> Result<()> {
    for size in SIZES {
        while let Some((batch, rest)) = entries.split_at_checked(size) {
            insert_batch(tx, batch).await?;
            entries = rest;
        }
    }
    Ok(())
}

async fn insert_batch(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    let rows: Vec<String> = (0..entries.len())
        .map(|row| {
            let places: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let statement = format!(
        "insert into audit (tenant_id, id, at, token_id, agent, tool, door, arguments_hash, outcome, status, error, duration_ms) values {} \
         on conflict (tenant_id, id) do nothing",
        rows.join(", ")
    );
    // Places and nothing else are put into the text.
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for entry in entries {
        let (outcome, status, error, duration_ms) = entry.outcome.columns();
        query = query
            .bind(entry.tenant.as_str())
            .bind(entry.id.as_str())
            .bind(entry.at)
            .bind(entry.token.as_str())
            .bind(entry.agent)
            .bind(entry.tool)
            .bind(entry.door)
            .bind(entry.arguments_hash.as_str())
            .bind(outcome)
            .bind(status)
            .bind(error)
            .bind(duration_ms);
    }
    query.execute(tx.connection()).await?;
    Ok(())
}

/// Completes an open entry.
pub async fn complete(tx: &mut Tx, tenant: &str, id: &str, outcome: &Outcome) -> Result<()> {
    let (name, status, error, duration_ms) = outcome.columns();
    sqlx::query("update audit set outcome = $3, status = $4, error = $5, duration_ms = $6 where tenant_id = $1 and id = $2")
        .bind(tenant)
        .bind(id)
        .bind(name)
        .bind(status)
        .bind(error)
        .bind(duration_ms)
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// A tenant's entries, newest first, before one; of one tool, and of one outcome, where asked.
pub async fn list(
    tx: &mut Tx,
    tenant: &str,
    before: Option<&str>,
    tool: Option<&str>,
    outcome: Option<&str>,
    limit: i64,
) -> Result<Vec<Stored>> {
    let rows = sqlx::query(
        "select * from audit where tenant_id = $1 and id < $2 and ($3 = '' or tool = $3) and ($4 = '' or outcome = $4) order by id desc limit $5",
    )
    .bind(tenant)
    .bind(before.unwrap_or(LAST))
    .bind(tool.unwrap_or_default())
    .bind(outcome.unwrap_or_default())
    .bind(limit)
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(read).collect()
}

/// For retention: removes a tenant's oldest entries up to a moment, a batch at a time.
pub async fn prune(tx: &mut Tx, tenant: &str, before: &str, batch: i64) -> Result<u64> {
    let done = sqlx::query(
        "delete from audit where tenant_id = $1 and id in (select id from audit where tenant_id = $1 and id < $2 order by id limit $3)",
    )
    .bind(tenant)
    .bind(before)
    .bind(batch)
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

fn read(row: &AnyRow) -> Result<Stored> {
    Ok(Stored {
        id: column(row, "id")?,
        at: column(row, "at")?,
        token: column(row, "token_id")?,
        agent: column(row, "agent")?,
        tool: column(row, "tool")?,
        door: column(row, "door")?,
        arguments_hash: column(row, "arguments_hash")?,
        outcome: column(row, "outcome")?,
        status: column(row, "status")?,
        error: column(row, "error")?,
        duration_ms: column(row, "duration_ms")?,
    })
}
