//! Backup and restore of the embedded database: one SQLite file that is whole without its journal, and was looked at before it
//! is trusted.
//!
//! Whatever moment the machine stops at, a backup is there in whole or not at all, and the data directory holds the old database
//! or the restored one.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{AnyConnection, Connection as _, Row as _, SqliteConnection, migrate::Migrator, sqlite::SqliteConnectOptions};

use super::FILE;
use crate::{
    clock,
    config::MasterKeySource,
    error::{Error, Result},
    secrets::{self, Stored, Vault},
};

/// The schema of the embedded database, as this binary knows it.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for others to let go of the database.
const BUSY: Duration = Duration::from_secs(3);
/// What SQLite leaves beside a database: the journal of WAL, its index, and the journal of the other modes.
const JOURNALS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What a database of this gateway holds, after it was found whole.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The number of its last migration.
    pub schema: i64,
    pub tenants: i64,
    pub tokens: i64,
    pub connections: i64,
    /// Of the master key that its secrets are sealed under.
    pub key_id: String,
    /// That key is in the database itself, wrapped by Vault's Transit.
    pub key_is_wrapped: bool,
    pub bytes: u64,
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    pub facts: Facts,
    /// The database that was replaced, if there was one.
    pub aside: Option<PathBuf>,
    /// Tokens that were revoked after the backup was made, and work again.
    pub valid_again: Vec<String>,
    /// Calls with an idempotency key that were cut off by the backup or before: their keys answer `outcome_unknown`.
    pub cut_off: i64,
}

/// Writes a copy of the database to `file`, as it was at one moment, while a gateway may go on writing.
///
/// # Errors
/// When there is no database, `file` is there and not to be replaced, or what was written does not pass its own check.
pub async fn backup(data_dir: &Path, file: &Path, replace: bool) -> Result<Facts> {
    let live = data_dir.join(FILE);
    if !live.is_file() {
        return Err(Error::not_found(format!(
            "There is no database in {} yet: nothing to back up",
            data_dir.display()
        )));
    }
    let file = std::path::absolute(file).map_err(|error| cannot("written", file, error))?;
    let Some(name) = file.file_name().map(ToOwned::to_owned) else {
        return Err(Error::invalid(format!("{} is no file name", file.display())));
    };
    let folder = file.parent().unwrap_or(Path::new("/"));
    if same(folder, data_dir) && !may_be_a_backup(&name) {
        return Err(Error::invalid(format!(
            "{} is a name that the gateway itself uses; write the backup to another folder",
            file.display()
        )));
    }
    if file.is_dir() {
        return Err(Error::invalid(format!("{} is a folder; name a file in it", file.display())));
    }
    if !replace && file.symlink_metadata().is_ok() {
        return Err(there(&file));
    }
    // Of a name that nobody else uses, beside the file, so that the last step is a rename.
    let mut part = name;
    part.push(format!(".part-{}", uuid::Uuid::new_v4().simple()));
    let part = Part(folder.join(part));
    make_private(&part.0).map_err(|error| cannot("written", &part.0, error))?;
    let target = part
        .0
        .to_str()
        .ok_or_else(|| Error::invalid(format!("{} is no UTF-8 text; name another file", file.display())))?;

    let mut connection = open(&live).await.map_err(|error| cannot("opened", &live, error))?;
    let copied = sqlx::query("vacuum into $1").bind(target).execute(&mut connection).await;
    let closed = connection.close().await;
    copied.and(closed).map_err(|error| cannot("copied", &live, error))?;

    let mut copy = open(&part.0).await.map_err(|error| cannot("opened", &part.0, error))?;
    let facts = inspect(&mut copy, &part.0).await?;
    copy.close().await.map_err(|error| cannot("checked", &part.0, error))?;
    fs::File::open(&part.0)
        .and_then(|written| written.sync_all())
        .map_err(|error| cannot("written", &file, error))?;
    match replace {
        true => fs::rename(&part.0, &file).map_err(|error| cannot("written", &file, error))?,
        false => put_new(&part.0, &file)?,
    }
    sync_folder(folder).map_err(|error| cannot("written", &file, error))?;
    Ok(facts)
}

/// Puts a backup into the place of the database. The caller holds the lock of `serve`, so that no gateway serves meanwhile.
///
/// # Errors
/// When `file` is no backup of this gateway, is damaged, is newer than this binary, its secrets do not open with the master key
/// in use, or somebody else has the database open. Then the old database is as it was.
pub async fn restore(data_dir: &Path, file: &Path, key: &MasterKeySource, vault: Option<&Vault>, now: i64) -> Result<Restored> {
    let live = data_dir.join(FILE);
    let known = file.metadata().map_err(|error| cannot("read", file, error))?;
    if !known.is_file() {
        return Err(Error::invalid(format!("{} is no file", file.display())));
    }
    if same(file, &live) {
        return Err(Error::invalid(format!(
            "{} is the database itself, and no backup of it",
            file.display()
        )));
    }
    let journal = beside(file, "-wal");
    if journal.metadata().is_ok_and(|journal| journal.len() > 0) {
        return Err(Error::invalid(format!(
            "{} lies beside it, so {} is a copy of a database in use and may lack its last changes; restore what `smartermcp backup` wrote",
            journal.display(),
            file.display()
        )));
    }
    // All that follows is done to a copy: the backup itself stays as it is, and the copy is renamed only when it is ready.
    let part = Part(data_dir.join(format!("{FILE}.restoring")));
    part.remove();
    copy_private(file, &part.0).map_err(|error| cannot("copied into the data directory", file, error))?;
    let (mut facts, valid, cut_off) = make_ready(&part.0, file, (key, vault), now).await?;
    facts.bytes = known.len();

    let old = Old::take(&live).await?;
    let (aside, revoked) = match &old {
        Old::None => (None, BTreeSet::new()),
        Old::Whole(..) | Old::Broken => {
            let aside = data_dir.join(format!("{FILE}.replaced-{}", stamp(now)));
            let revoked = match &old {
                Old::Whole(_, revoked) => revoked.clone(),
                _ => BTreeSet::new(),
            };
            put_aside(&live, &aside).map_err(|error| cannot("kept aside", &live, error))?;
            (Some(aside), revoked)
        }
    };
    fs::rename(&part.0, &live)
        .and_then(|()| sync_folder(data_dir))
        .map_err(|error| cannot("replaced", &live, error))?;
    if let Old::Whole(connection, _) = old {
        // It holds nothing that is not in its file; what it has to say is of no more interest.
        let _ = connection.close().await;
    }
    Ok(Restored {
        facts,
        aside,
        valid_again: valid.intersection(&revoked).cloned().collect(),
        cut_off,
    })
}

/// Checks the copy of a backup, and makes it fit to be served again: the present schema, no process alive, and a revision that
/// no process has seen.
async fn make_ready(
    copy: &Path,
    file: &Path,
    (key, vault): (&MasterKeySource, Option<&Vault>),
    now: i64,
) -> Result<(Facts, BTreeSet<String>, i64)> {
    let failed = |error: sqlx::Error| cannot("read", file, error);
    let mut connection = open(copy).await.map_err(failed)?;
    let facts = inspect(&mut connection, file).await?;
    let stored = stored_in(copy).await.map_err(failed)?;
    secrets::try_open(key, vault, &stored).await.map_err(|error| {
        let error = if error.cause().is_empty() {
            Error::unavailable(error.message().to_owned())
        } else {
            error
        };
        Error::unavailable(format!(
            "{} cannot be restored with the master key in use, which must be the one of the backup's time. {}",
            file.display(),
            error.message()
        ))
        .because(error.cause())
    })?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(|error| Error::unavailable(format!("The schema of {} cannot be brought up to date", file.display())).because(error))?;

    let mut tx = connection.begin().await.map_err(failed)?;
    // None of the processes that it remembers runs on it. What they had not finished is `outcome_unknown` from now on.
    sqlx::query("delete from instances").execute(&mut *tx).await.map_err(failed)?;
    // Ahead of every revision that a process may remember, of this database or of the one that it replaces: there is at most one
    // change in a millisecond. The list of changes does not reach back to it, so whoever remembers anything forgets everything.
    sqlx::query("delete from changes").execute(&mut *tx).await.map_err(failed)?;
    sqlx::query("update revision set revision = max(revision + 1, $1) where id = 1")
        .bind(now)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    let cut_off = number(&mut connection, "select count(*) from idempotency where outcome is null")
        .await
        .map_err(failed)?;
    let valid = ids(&mut connection, "select id from tokens where revoked_at is null")
        .await
        .map_err(failed)?;
    // One file without a journal, which can be renamed.
    sqlx::query("pragma journal_mode = delete")
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;
    fs::File::open(copy)
        .and_then(|copy| copy.sync_all())
        .map_err(|error| cannot("written", copy, error))?;
    Ok((facts, valid, cut_off))
}

/// The database that is to be replaced.
enum Old {
    None,
    /// Held alone, its journal written into it; and the tokens that are revoked in it.
    Whole(SqliteConnection, BTreeSet<String>),
    /// No database any more: it is replaced as it lies there.
    Broken,
}

impl Old {
    async fn take(live: &Path) -> Result<Self> {
        if live.symlink_metadata().is_err() {
            return Ok(Self::None);
        }
        let taken = async {
            let mut connection = open(live).await?;
            let revoked = ids(&mut connection, "select id from tokens where revoked_at is not null")
                .await
                .unwrap_or_default();
            // Writes the journal into the file and leaves none, which SQLite does only for one who has it alone.
            let mode: String = sqlx::query_scalar("pragma journal_mode = delete")
                .fetch_one(&mut connection)
                .await?;
            sqlx::query("begin exclusive").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>((connection, revoked, mode))
        };
        match taken.await {
            Ok((connection, revoked, mode)) if mode == "delete" => Ok(Self::Whole(connection, revoked)),
            Ok(_) => Err(in_use(live)),
            Err(error) => match primary_code(&error) {
                Some(BUSY_CODE | LOCKED_CODE) => Err(in_use(live)),
                Some(CORRUPT_CODE | NOT_A_DATABASE_CODE) => Ok(Self::Broken),
                _ => Err(cannot("replaced", live, error)),
            },
        }
    }
}

// SQLite's result codes (sqlite.org/rescode.html); extended ones hold these in their lowest byte.
const BUSY_CODE: u32 = 5;
const LOCKED_CODE: u32 = 6;
const CORRUPT_CODE: u32 = 11;
const NOT_A_DATABASE_CODE: u32 = 26;

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

/// Keeps the old database under a second name, its journals with it. The database itself keeps its first name too, until the
/// rename that replaces it: there is a database at every moment.
fn put_aside(live: &Path, aside: &Path) -> io::Result<()> {
    let keep = |from: &Path, to: &Path| match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Err(error),
        // A file system without links.
        Err(_) => copy_private(from, to),
    };
    keep(live, aside)?;
    for suffix in JOURNALS {
        // Only a broken database has any. Left there, SQLite would play them into the new one.
        let journal = beside(live, suffix);
        match keep(&journal, &beside(aside, suffix)) {
            Ok(()) => fs::remove_file(journal)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match live.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Looks whether a file is a database of this gateway, whole, and not newer than this binary.
async fn inspect(connection: &mut SqliteConnection, file: &Path) -> Result<Facts> {
    let not_ours = |why: &str| Error::invalid(format!("{} is no database of this gateway ({why})", file.display()));
    let damaged =
        |error: String| Error::unavailable(format!("{} is damaged and of no use; take another backup", file.display())).because(error);
    let unreadable = |error: sqlx::Error| match primary_code(&error) {
        Some(NOT_A_DATABASE_CODE) => not_ours("it is no SQLite database"),
        Some(CORRUPT_CODE) => damaged(error.to_string()),
        Some(1) => not_ours("tables are missing"),
        _ => cannot("read", file, error),
    };
    let found: Vec<String> = sqlx::query_scalar("pragma integrity_check(5)")
        .fetch_all(&mut *connection)
        .await
        .map_err(unreadable)?;
    if found != ["ok"] {
        return Err(damaged(found.join("; ")));
    }
    let broken = sqlx::query("pragma foreign_key_check")
        .fetch_optional(&mut *connection)
        .await
        .map_err(unreadable)?;
    if broken.is_some() {
        return Err(damaged("rows refer to rows that are not there".to_owned()));
    }
    let applied = sqlx::query("select version, success, checksum from _sqlx_migrations order by version")
        .fetch_all(&mut *connection)
        .await
        .map_err(unreadable)?;
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let mut schema = 0;
    for row in &applied {
        schema = row.try_get("version").map_err(unreadable)?;
        let (whole, checksum): (bool, Vec<u8>) = (
            row.try_get("success").map_err(unreadable)?,
            row.try_get("checksum").map_err(unreadable)?,
        );
        if schema > newest {
            return Err(Error::unavailable(format!(
                "{} has schema {schema}, which is newer than this binary's {newest}: use the newer version, or an older backup",
                file.display()
            )));
        }
        let known = MIGRATIONS.iter().find(|migration| migration.version == schema);
        if !whole || known.is_none_or(|known| *known.checksum != *checksum) {
            return Err(not_ours(&format!("its schema {schema} is another")));
        }
    }
    if schema == 0 {
        return Err(not_ours("it has no schema"));
    }
    let key_id: Option<String> = sqlx::query_scalar("select value from meta where name = $1")
        .bind(secrets::META_KEY_ID)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unreadable)?;
    let wrapped: Option<String> = sqlx::query_scalar("select value from meta where name = $1")
        .bind(secrets::META_WRAPPED_KEY)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unreadable)?;
    Ok(Facts {
        key_is_wrapped: wrapped.is_some(),
        schema,
        tenants: number(connection, "select count(*) from tenants where deleted_at is null")
            .await
            .map_err(unreadable)?,
        tokens: number(connection, "select count(*) from tokens where revoked_at is null")
            .await
            .map_err(unreadable)?,
        connections: number(connection, "select count(*) from connections").await.map_err(unreadable)?,
        key_id: key_id.ok_or_else(|| not_ours("no gateway has ever started on it"))?,
        bytes: file.metadata().map(|known| known.len()).unwrap_or_default(),
    })
}

async fn stored_in(file: &Path) -> Result<Stored, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&format!("sqlite://{}?mode=ro", file.display())).await?;
    let stored = stored(&mut connection).await?;
    connection.close().await?;
    Ok(stored)
}

/// What only the master key opens, in either database.
pub async fn stored(connection: &mut AnyConnection) -> Result<Stored, sqlx::Error> {
    let mut value = async |name: &str| {
        sqlx::query_scalar("select value from meta where name = $1")
            .bind(name)
            .fetch_optional(&mut *connection)
            .await
    };
    let (key_id, hash_key): (Option<String>, Option<String>) = (value(secrets::META_KEY_ID).await?, value(secrets::META_HASH_KEY).await?);
    let wrapped_key: Option<String> = value(secrets::META_WRAPPED_KEY).await?;
    let mut sealed = Vec::new();
    for row in sqlx::query("select tenant_id, backend, id, credential from connections")
        .fetch_all(&mut *connection)
        .await?
    {
        let (tenant, backend, id): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let tenant = tenant.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        sealed.push((secrets::connection_place(tenant, &backend, &id), row.try_get(3)?));
    }
    let mut signing_keys = Vec::new();
    // A database of before sign-in has no such table.
    let signs: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where version >= 5")
        .fetch_one(&mut *connection)
        .await?;
    if signs > 0 {
        for row in sqlx::query("select id, sealed from signing_keys")
            .fetch_all(&mut *connection)
            .await?
        {
            let id: String = row.try_get(0)?;
            signing_keys.push((secrets::signing_key_place(&id), row.try_get(1)?));
        }
    }
    Ok(Stored {
        key_id: key_id.unwrap_or_default(),
        wrapped_key,
        hash_key: hash_key.unwrap_or_default(),
        sealed,
        signing_keys,
    })
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        // A file from elsewhere may hold anything: it runs nothing, and each page is checked as it is read.
        .pragma("trusted_schema", "off")
        .pragma("cell_size_check", "on");
    SqliteConnection::connect_with(&options).await
}

async fn number(connection: &mut SqliteConnection, query: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(query).fetch_one(connection).await
}

async fn ids(connection: &mut SqliteConnection, query: &'static str) -> Result<BTreeSet<String>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar(query).fetch_all(connection).await?;
    Ok(ids.into_iter().collect())
}

/// A file in the making, which goes with whoever gave up making it.
struct Part(PathBuf);

impl Part {
    fn remove(&self) {
        let _ = fs::remove_file(&self.0);
        for suffix in JOURNALS {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.remove();
    }
}

fn make_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = make_private(to)?;
    io::copy(&mut fs::File::open(from)?, &mut copy)?;
    copy.sync_all()
}

/// Gives a file its name, if nobody has that name yet.
fn put_new(part: &Path, file: &Path) -> Result<()> {
    let done = match fs::hard_link(part, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(there(file)),
        // A file system without links.
        Err(_) => fs::rename(part, file),
        Ok(()) => fs::remove_file(part),
    };
    done.map_err(|error| cannot("written", file, error))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::File::open(folder)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// In the data directory, the gateway's own names are not for backups.
fn may_be_a_backup(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let own = name == "serve.lock" || name.starts_with("master.key") || name == FILE;
    !own && !JOURNALS.iter().any(|suffix| name == format!("{FILE}{suffix}")) && name != format!("{FILE}.restoring")
}

/// A moment as a part of a file's name.
fn stamp(now: i64) -> String {
    clock::rfc3339(now).chars().filter(|letter| !matches!(letter, '-' | ':')).collect()
}

fn there(file: &Path) -> Error {
    Error::conflict(format!(
        "{} is there already. Name another file, or say --force to replace it",
        file.display()
    ))
}

fn in_use(live: &Path) -> Error {
    Error::unavailable(format!(
        "Another process has {} open. Stop the gateway and every other command on it, then restore",
        live.display()
    ))
}

fn cannot(what: &str, path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable(format!("{} cannot be {what}", path.display())).because(error)
}
