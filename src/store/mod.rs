//! SQL, one file per table: the durable state, in SQLite (WAL) through SQL and column types that PostgreSQL takes too.
//!
//! Every function takes the tenant whose rows it may touch; those that reach across tenants say so in their name or take
//! [`Reach::Operator`]. Everything goes through a transaction of [`Store::read`] or [`Store::write`], so that the database's
//! own isolation by tenant can be set in one place.

pub mod audit;
pub mod changes;
pub mod connections;
pub mod idempotency;
pub mod meta;
pub mod plans;
pub mod services;
pub mod switches;
pub mod tenants;
pub mod tokens;
pub mod usage;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Any, AnyPool, Row,
    any::{AnyPoolOptions, AnyRow},
    pool::PoolConnection,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{Error, Result},
    id::TenantId,
};

/// The file in the data directory.
pub const FILE: &str = "smartermcp.db";

/// How long a call waits for a connection or for the writer before the database counts as away.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Readers beside the one writer.
const CONNECTIONS: u32 = 5;
const LIST_CONNECTIONS: u32 = 2;

/// Whose rows a transaction may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Tenant(TenantId),
    /// All tenants: token look-up, retention, the operator's lists.
    Operator,
}

#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// For lists that may walk many rows: they hold up each other, and nobody else.
    lists: AnyPool,
    /// SQLite has one writer at a time: waiting here is fair, and costs nothing while waiting.
    writer: Arc<Semaphore>,
}

/// A connection to read on, or a transaction to write in. A transaction that is dropped without [`Tx::commit`] never was.
#[derive(Debug)]
pub struct Tx {
    connection: PoolConnection<Any>,
    writing: Option<OwnedSemaphorePermit>,
}

impl Store {
    /// Opens the embedded database, making it where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open(data_dir: &Path) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let path = data_dir.join(FILE);
        make_private(&path)?;
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let cannot = |error| Error::unavailable(format!("The database {} cannot be opened", path.display())).because(error);
        let pool = options(CONNECTIONS).connect(&url).await.map_err(cannot)?;
        let lists = options(LIST_CONNECTIONS).connect_lazy(&url).map_err(cannot)?;
        let store = Self {
            pool,
            lists,
            writer: Arc::new(Semaphore::new(1)),
        };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<()> {
        static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
        MIGRATIONS.run(&self.pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Error::unavailable(format!(
                "The database has schema {version}, which is newer than this binary: start the newer version, or restore a backup made before it"
            )),
            other => Error::internal(other),
        })
    }

    /// A connection that reads.
    pub async fn read(&self, _reach: Reach) -> Result<Tx> {
        Ok(Tx {
            connection: self.pool.acquire().await?,
            writing: None,
        })
    }

    /// A connection for a list that may walk many rows.
    pub async fn list(&self, _reach: Reach) -> Result<Tx> {
        Ok(Tx {
            connection: self.lists.acquire().await?,
            writing: None,
        })
    }

    /// A transaction that writes.
    pub async fn write(&self, _reach: Reach) -> Result<Tx> {
        let permit = tokio::time::timeout(ACQUIRE, Arc::clone(&self.writer).acquire_owned())
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .expect("the writer's semaphore is never closed");
        let mut tx = Tx {
            connection: self.pool.acquire().await?,
            writing: Some(permit),
        };
        // IMMEDIATE: a transaction that read first could not become a writer while another process (the command line) writes.
        sqlx::query("begin immediate").execute(&mut *tx.connection).await?;
        Ok(tx)
    }

    /// Writes what the journal holds into the file and closes it.
    pub async fn close(&self) {
        self.lists.close().await;
        self.pool.close().await;
    }
}

fn options(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL, not NORMAL: an audit entry must survive the machine's power too, before its backend is called.
                for pragma in [
                    "pragma busy_timeout = 5000",
                    "pragma journal_mode = wal",
                    "pragma synchronous = full",
                    "pragma foreign_keys = on",
                    "pragma cache_size = -1000",
                ] {
                    sqlx::query(pragma).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
}

impl Tx {
    pub async fn commit(mut self) -> Result<()> {
        sqlx::query("commit").execute(&mut *self.connection).await?;
        self.writing = None;
        Ok(())
    }

    fn connection(&mut self) -> &mut sqlx::AnyConnection {
        &mut self.connection
    }
}

impl Drop for Tx {
    /// A transaction that was not committed ends with its connection: after a full disk or a cancelled call nobody can say
    /// what state the connection is in, and a new one costs a millisecond.
    fn drop(&mut self) {
        if self.writing.is_some() {
            self.connection.close_on_drop();
        }
    }
}

/// A column that must be there: a row that lacks it is a fault of ours.
fn column<'r, T>(row: &'r AnyRow, name: &str) -> Result<T>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    Ok(row.try_get(name)?)
}

/// Makes the file readable by its owner alone before anything is written to it.
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened
        .map(drop)
        .map_err(|error| Error::unavailable(format!("The database {} cannot be written", path.display())).because(error))
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_databases_have_the_same_tables() {
        let sqlite = include_str!("../../migrations/sqlite/0001_gateway.sql");
        let as_postgres = sqlite
            .replace(") without rowid;", ");")
            .replace(" blob", " bytea")
            .replace("`migrations/postgres` holds", "`migrations/sqlite` holds");
        assert_eq!(
            as_postgres,
            include_str!("../../migrations/postgres/0001_gateway.sql"),
            "change both together"
        );
    }
}
