//! SQL, one file per table: the durable state, in SQLite (WAL) or PostgreSQL, through one set of SQL that both take.
//!
//! Every function takes the tenant whose rows it may touch; those that reach across tenants say so in their name or take
//! [`Reach::Operator`]. Everything goes through a transaction of [`Store::read`] or [`Store::write`], which tell PostgreSQL's
//! row-level security whose rows may be seen, before anything is asked.

pub mod audit;
pub mod authorization_codes;
pub mod backup;
pub mod changes;
pub mod connections;
pub mod grants;
pub mod idempotency;
pub mod kpis;
pub mod members;
pub mod meta;
pub mod oauth_clients;
pub mod plans;
pub mod refresh_tokens;
pub mod services;
pub mod sign_ins;
pub mod signing_keys;
pub mod switches;
pub mod tenants;
pub mod tokens;
pub mod usage;
pub mod usage_days;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Any, AnyPool, Row,
    any::{AnyPoolOptions, AnyRow},
    pool::PoolConnection,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    config::Database,
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

/// What PostgreSQL is told on each new connection: no statement and no forgotten transaction holds the others up for ever, and
/// a peer that has gone without a word is noticed.
const SESSION: &str = "set statement_timeout = '15s'; set lock_timeout = '10s'; \
     set idle_in_transaction_session_timeout = '20s'; set application_name = 'smartermcp'; set timezone = 'UTC'";

/// Whose rows a transaction may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Tenant(TenantId),
    /// All tenants: token look-up, retention, the operator's lists.
    Operator,
}

impl Reach {
    /// Of what belongs to an audit entry's tenant: '' is the operator's own calls.
    pub fn of(audit_tenant: &str) -> Self {
        audit_tenant.parse().map_or(Reach::Operator, Reach::Tenant)
    }

    /// As PostgreSQL's settings, for a session or (`local`) a transaction. A tenant's id is a UUID: nothing in it needs quoting.
    fn settings(self, local: &str) -> String {
        match self {
            Reach::Tenant(id) => format!("set {local}app.tenant = '{id}'; set {local}app.operator = ''"),
            Reach::Operator => format!("set {local}app.tenant = ''; set {local}app.operator = 'on'"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// For lists that may walk many rows: they hold up each other, and nobody else.
    lists: AnyPool,
    kind: Kind,
}

/// Which database it is, and what only that one needs.
#[derive(Clone, Debug)]
enum Kind {
    /// SQLite has one writer at a time: waiting here is fair, and costs nothing while waiting.
    Sqlite {
        writer: Arc<Semaphore>,
    },
    Postgres,
}

/// A connection to read on, or a transaction to write in. A transaction that is dropped without [`Tx::commit`] never was.
#[derive(Debug)]
pub struct Tx {
    connection: PoolConnection<Any>,
    writing: bool,
    /// Rows can be locked one by one; in SQLite, who writes has locked them all.
    locks_rows: bool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Store {
    /// Opens the database and brings its schema up to date; the embedded one is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be opened, was written by a newer version, or would not keep tenants apart.
    pub async fn open(database: &Database, data_dir: &Path) -> Result<Self> {
        let store = Self::connect(database, data_dir).await?;
        store.migrate().await?;
        store.check_role().await?;
        Ok(store)
    }

    /// Opens the database as it is.
    async fn connect(database: &Database, data_dir: &Path) -> Result<Self> {
        sqlx::any::install_default_drivers();
        match database {
            Database::Embedded => {
                let path = data_dir.join(FILE);
                make_private(&path)?;
                let url = format!("sqlite://{}?mode=rwc", path.display());
                let cannot = |error| Error::unavailable(format!("The database {} cannot be opened", path.display())).because(error);
                let kind = Kind::Sqlite {
                    writer: Arc::new(Semaphore::new(1)),
                };
                Ok(Self {
                    pool: sqlite(CONNECTIONS).connect(&url).await.map_err(cannot)?,
                    lists: sqlite(LIST_CONNECTIONS).connect_lazy(&url).map_err(cannot)?,
                    kind,
                })
            }
            Database::Postgres { url, connections } => {
                let cannot = |error: sqlx::Error| {
                    Error::unavailable(format!(
                        "DATABASE_URL names a PostgreSQL that does not let this gateway in ({}). Check that it runs, and its host, port, database, user and password",
                        refusal(&error)
                    ))
                };
                Ok(Self {
                    pool: postgres(*connections).connect(url.expose()).await.map_err(cannot)?,
                    lists: postgres(LIST_CONNECTIONS).connect_lazy(url.expose()).map_err(cannot)?,
                    kind: Kind::Postgres,
                })
            }
        }
    }

    /// Safe with several replicas at once: PostgreSQL's is done under an advisory lock, SQLite's under its own.
    async fn migrate(&self) -> Result<()> {
        static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
        static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");
        let migrations = match self.kind {
            Kind::Sqlite { .. } => &SQLITE,
            Kind::Postgres => &POSTGRES,
        };
        migrations.run(&self.pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Error::unavailable(format!(
                "The database has schema {version}, which is newer than this binary: start the newer version, or restore a backup made before it"
            )),
            sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
                Error::unavailable(format!(
                    "The database's schema cannot be brought up to date ({}). Run `smartermcp migrate` with a DATABASE_URL whose user owns the database",
                    refusal(&error)
                ))
            }
            other => Error::internal(other),
        })
    }

    /// Row-level security binds neither a superuser nor a role with `BYPASSRLS`: such a one would keep no tenants apart.
    async fn check_role(&self) -> Result<()> {
        if let Kind::Sqlite { .. } = self.kind {
            return Ok(());
        }
        let row = sqlx::query("select rolname::text as name, (case when rolsuper or rolbypassrls then 1 else 0 end)::int8 as bypasses from pg_roles where rolname = current_user")
            .fetch_one(&self.pool)
            .await?;
        if column::<i64>(&row, "bypasses")? == 0 {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "DATABASE_URL logs in as '{}', a superuser or a role with BYPASSRLS, whom row-level security does not bind. Use a role of its own: create role smartermcp login password '…'; alter database … owner to smartermcp",
            column::<String>(&row, "name")?
        )))
    }

    /// A connection that reads.
    pub async fn read(&self, reach: Reach) -> Result<Tx> {
        self.reader(&self.pool, reach).await
    }

    /// A connection for a list that may walk many rows.
    pub async fn list(&self, reach: Reach) -> Result<Tx> {
        self.reader(&self.lists, reach).await
    }

    async fn reader(&self, pool: &AnyPool, reach: Reach) -> Result<Tx> {
        let mut connection = pool.acquire().await?;
        if let Kind::Postgres = self.kind {
            // Every use of a connection begins here or in `write`: what an earlier one set is overwritten.
            set(&mut connection, reach.settings("")).await?;
        }
        Ok(Tx {
            connection,
            writing: false,
            locks_rows: false,
            _permit: None,
        })
    }

    /// A transaction that writes.
    pub async fn write(&self, reach: Reach) -> Result<Tx> {
        let permit = match &self.kind {
            Kind::Sqlite { writer } => Some(
                tokio::time::timeout(ACQUIRE, Arc::clone(writer).acquire_owned())
                    .await
                    .map_err(|_| sqlx::Error::PoolTimedOut)?
                    .expect("the writer's semaphore is never closed"),
            ),
            Kind::Postgres => None,
        };
        let mut tx = Tx {
            connection: self.pool.acquire().await?,
            writing: true,
            locks_rows: matches!(self.kind, Kind::Postgres),
            _permit: permit,
        };
        match self.kind {
            // IMMEDIATE: a transaction that read first could not become a writer while another process (the command line) writes.
            Kind::Sqlite { .. } => {
                sqlx::query("begin immediate").execute(&mut *tx.connection).await?;
            }
            Kind::Postgres => set(&mut tx.connection, format!("begin; {}", reach.settings("local "))).await?,
        }
        Ok(tx)
    }

    /// Writes what the journal holds into the file and closes it.
    pub async fn close(&self) {
        self.lists.close().await;
        self.pool.close().await;
    }
}

/// Bounds work that no caller's deadline bounds, or that must not be cut off by it: a database that has gone without a word
/// would hold it until the kernel gives the connection up, a quarter of an hour later. Longer than [`SESSION`] lets a statement
/// take, so that a database that is there answers first.
pub async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    const MOST: Duration = Duration::from_secs(20);
    match tokio::time::timeout(MOST, work).await {
        Ok(done) => done,
        Err(_) => Err(sqlx::Error::PoolTimedOut.into()),
    }
}

/// Several statements in one round trip, made of our own words alone.
async fn set(connection: &mut PoolConnection<Any>, statements: String) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut **connection).await?;
    Ok(())
}

/// What PostgreSQL says to a refusal, without what it was given.
fn refusal(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::PoolTimedOut => "no answer in time".to_owned(),
        other => other.to_string(),
    }
}

fn postgres(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(SESSION).execute(&mut *connection).await?;
                Ok(())
            })
        })
}

fn sqlite(connections: u32) -> AnyPoolOptions {
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
        self.writing = false;
        Ok(())
    }

    /// Undoes what was written, and keeps the connection.
    pub async fn undo(mut self) -> Result<()> {
        sqlx::query("rollback").execute(&mut *self.connection).await?;
        self.writing = false;
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
        if self.writing {
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
    /// A migration of SQLite's as PostgreSQL has it.
    fn as_postgres(sqlite: &str) -> String {
        sqlite
            .replace(") without rowid;", ");")
            .replace(" blob", " bytea")
            .replace("`migrations/postgres` holds", "`migrations/sqlite` holds")
    }

    /// Table, policy, and whose rows it admits.
    type Secured = (&'static str, &'static str, &'static str);

    #[test]
    fn both_databases_have_the_same_tables() {
        assert_eq!(
            as_postgres(include_str!("../../migrations/sqlite/0001_gateway.sql")),
            include_str!("../../migrations/postgres/0001_gateway.sql"),
            "change both together"
        );
        let own = "tenant_id = app_tenant() or app_is_operator()";
        let operators = "app_is_operator()";
        let pairs: [(&[Secured], &str, &str); 3] = [
            (
                &[("kpis", "own", own)],
                include_str!("../../migrations/sqlite/0003_kpis.sql"),
                include_str!("../../migrations/postgres/0003_kpis.sql"),
            ),
            (
                &[("usage_days", "own", own)],
                include_str!("../../migrations/sqlite/0004_usage_days.sql"),
                include_str!("../../migrations/postgres/0004_usage_days.sql"),
            ),
            (
                &[
                    ("oauth_clients", "operator", operators),
                    ("sign_ins", "operator", operators),
                    ("signing_keys", "operator", operators),
                    ("members", "own", own),
                    ("grants", "own", own),
                    ("authorization_codes", "own", own),
                    ("refresh_tokens", "own", own),
                ],
                include_str!("../../migrations/sqlite/0005_sign_in.sql"),
                include_str!("../../migrations/postgres/0005_sign_in.sql"),
            ),
        ];
        for (tables, sqlite, postgres) in pairs {
            let secured: Vec<_> = tables
                .iter()
                .map(|(table, policy, whose)| {
                    format!(
                        "\nalter table {table} enable row level security;\nalter table {table} force row level security;\n\
                         create policy {policy} on {table} using ({whose});\n"
                    )
                })
                .collect();
            assert_eq!(as_postgres(sqlite) + &secured.concat(), postgres, "change both together");
        }
    }
}
