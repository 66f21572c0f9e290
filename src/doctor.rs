//! The doctor: looks at each configured part, and says what is wrong with it and what to do.
//!
//! It changes nothing: files and databases are opened for reading, the schema is not brought up to date, and no backend of a
//! tenant is called. What it finds is a sentence for the operator, without a secret.

use std::{fmt, fs, io, net::IpAddr, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Row as _, migrate::Migrator};
use url::Url;

use crate::{
    auth::issuers,
    clock::{self, Clock},
    config::{Config, Database, MasterKeySource, Otlp, Secret, Settings, VaultServer, loopback},
    error::{Error, chain},
    limits::redis::Redis,
    oauth::openid::Provider,
    secrets::{self, Vault, vault},
    store::{self, backup},
};

/// How long each part has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Less room than this on the disk of the embedded database is close to its end; a full disk refuses writes.
const ROOM_WARN: u64 = 1 << 30;
const ROOM_FAIL: u64 = 64 << 20;
/// A clock that differs from the database's by more: replicas that are ten seconds apart take each other for dead.
const SKEW_WARN_MS: i64 = 1_000;
const SKEW_FAIL_MS: i64 = 5_000;
/// A call waits for Redis at most 100 ms.
const REDIS_SLOW: Duration = Duration::from_millis(20);

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// How a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, and there is something to know.
    Warn,
    Fail,
}

/// What was found of one part.
#[derive(Debug)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub message: String,
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}  {}: {}", self.verdict.name(), self.check, self.message)
    }
}

/// The findings for people: a line each.
pub fn text(findings: &[Finding]) -> String {
    findings
        .iter()
        .fold(String::new(), |text, finding| text + &finding.to_string() + "\n")
}

/// The findings for a program.
pub fn json(findings: &[Finding]) -> Value {
    json!({
        "ok": findings.iter().all(|finding| finding.verdict != Verdict::Fail),
        "checks": findings
            .iter()
            .map(|finding| json!({
                "check": finding.check,
                "verdict": finding.verdict.name().to_ascii_lowercase(),
                "message": finding.message,
            }))
            .collect::<Vec<_>>(),
    })
}

/// Looks at everything that is configured, as `serve` would read it.
pub async fn examine(file: Option<&Path>) -> Vec<Finding> {
    let mut found = Findings(Vec::new());
    let config = match Settings::read(file).and_then(|settings| Config::load(&settings)) {
        Ok(config) => config,
        Err(problem) => {
            found.fail("configuration", format!("{problem} Nothing else was looked at"));
            return found.0;
        }
    };
    found.ok("configuration", configured(&config));
    data_directory(&config, &mut found);
    // Before the database, whose key it may hold.
    let vault = match &config.vault {
        Some(server) => examine_vault(server, &mut found).await,
        None => None,
    };
    match &config.database {
        Database::Embedded => embedded(&config, vault.as_ref(), &mut found).await,
        Database::Postgres { url, connections } => postgres(&config, vault.as_ref(), (url, *connections), &mut found).await,
    }
    let http = match reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
    {
        Ok(http) => http,
        Err(error) => {
            found.fail("network", format!("no HTTP client can be made: {}", chain(&error)));
            return found.0;
        }
    };
    let answers = port(&config, &http, &mut found).await;
    public_url(&config, answers, &http, &mut found).await;
    if let Some(servers) = &config.redis {
        redis(&Redis::new(servers.clone()), &mut found).await;
    } else if let Database::Postgres { .. } = config.database {
        found.warn("redis", "REDIS_URL is not set: with several replicas, each counts limits by itself");
    }
    if let Some(otlp) = &config.otlp {
        collector(otlp, &http, &mut found).await;
    }
    services(&config, &http, &mut found).await;
    outside_issuers(&config, &mut found).await;
    openid_provider(&config, &mut found).await;
    found.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(check, Verdict::Ok, message.into());
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(check, Verdict::Warn, message.into());
    }

    fn fail(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(check, Verdict::Fail, message.into());
    }

    /// One line each, whatever somebody else's words hold.
    fn push(&mut self, check: &'static str, verdict: Verdict, message: String) {
        let message = message
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect();
        self.0.push(Finding { check, verdict, message });
    }
}

fn configured(config: &Config) -> String {
    let database = match &config.database {
        Database::Embedded => "the embedded database",
        Database::Postgres { .. } => "PostgreSQL",
    };
    let limits = if config.redis.is_some() {
        "limits in Redis"
    } else {
        "limits in the process"
    };
    let secrets = if config.vault.is_some() { ", credentials in Vault" } else { "" };
    let spans = if config.otlp.is_some() { ", spans to a collector" } else { "" };
    format!("smartermcp {} with {database}, {limits}{secrets}{spans}", env!("CARGO_PKG_VERSION"))
}

/// The folder and what lies in it: there, ours, and closed to others.
fn data_directory(config: &Config, found: &mut Findings) {
    const CHECK: &str = "data directory";
    let folder = &config.data_dir;
    let shown = folder.display();
    let known = match folder.metadata() {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return found.warn(CHECK, format!("{shown} is not there yet; the first `serve` makes it"));
        }
        Err(error) => {
            return found.fail(CHECK, format!("{shown} cannot be read ({error}); run this as the user that serves"));
        }
    };
    if !known.is_dir() {
        return found.fail(CHECK, format!("{shown} is no folder; set SMARTERMCP_DATA_DIR to one"));
    }
    let before = found.0.len();
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        found.fail(
            CHECK,
            format!("{shown} cannot be written by this user; run this as the user that serves, or give the folder to him with chown"),
        );
    }
    if known.mode() & 0o022 != 0 {
        found.fail(CHECK, format!("others may write to {shown}: chmod 700 {shown}"));
    }
    for (name, what) in [
        ("master.key", "the master key"),
        ("master.key.new", "the next master key"),
        (store::FILE, "the database"),
    ] {
        let path = folder.join(name);
        match path.metadata() {
            Ok(known) if known.mode() & 0o077 != 0 => found.fail(
                CHECK,
                format!(
                    "others may read {what}: chmod 600 {}, and rotate what was in it if they could",
                    path.display()
                ),
            ),
            Ok(_) if rustix::fs::access(&path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_err() => found.fail(
                CHECK,
                format!("{} cannot be used by this user; run this as the user that serves", path.display()),
            ),
            _ => {}
        }
    }
    if found.0.len() == before {
        found.ok(CHECK, format!("{shown} is ours and closed to others"));
    }
}

async fn embedded(config: &Config, vault: Option<&Looked>, found: &mut Findings) {
    const CHECK: &str = "database";
    let path = config.data_dir.join(store::FILE);
    if path.parent().is_some_and(Path::is_dir) {
        room(&config.data_dir, found);
    }
    let Ok(known) = path.metadata() else {
        found.warn(CHECK, format!("{} is not there yet; the first `serve` makes it", path.display()));
        return key_before_first_start(config, found);
    };
    // With a journal somebody may be writing; without one nobody is, and reading then makes no journal either.
    let mut journal = path.clone().into_os_string();
    journal.push("-wal");
    let journal = fs::metadata(&journal).is_ok();
    let url = format!(
        "sqlite://{}?mode=ro{}",
        path.display(),
        if journal { "" } else { "&immutable=true" }
    );
    sqlx::any::install_default_drivers();
    let looked = async {
        let mut connection = AnyConnection::connect(&url).await?;
        let check: Vec<String> = sqlx::query("pragma quick_check(3)")
            .fetch_all(&mut connection)
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        if check != ["ok"] {
            found.fail(
                CHECK,
                format!("{} is damaged ({}); restore a backup", path.display(), check.join("; ")),
            );
            return Ok(());
        }
        if schema(&mut connection, &backup::MIGRATIONS, found).await? {
            found.ok(CHECK, format!("{}, {} bytes, is whole", path.display(), known.len()));
            last_seen(&mut connection, found).await?;
            stored(config, vault, &mut connection, found).await?;
            zones(&mut connection, found).await?;
        }
        connection.close().await
    };
    if let Err(error) = in_time(looked).await {
        found.fail(
            CHECK,
            format!("{} cannot be read ({error}); restore a backup if it is damaged", path.display()),
        );
    }
}

/// What the disk has left: a full one refuses writes.
fn room(folder: &Path, found: &mut Findings) {
    const CHECK: &str = "disk";
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let left = disk.f_bavail.saturating_mul(disk.f_frsize);
            let says = format!("{} MiB are free for {}", left >> 20, folder.display());
            match left {
                ..ROOM_FAIL => found.fail(CHECK, format!("{says}; writes are refused when none is left: make room")),
                ROOM_FAIL..ROOM_WARN => found.warn(CHECK, format!("{says}; make room before none is left")),
                _ => found.ok(CHECK, says),
            }
        }
        Err(error) => found.warn(CHECK, format!("what is free for {} cannot be told ({error})", folder.display())),
    }
}

fn key_before_first_start(config: &Config, found: &mut Findings) {
    match &config.master_key {
        MasterKeySource::File(_) if config.vault.is_some() => {
            found.ok("master key", "the first start lets Vault's Transit engine make it");
        }
        MasterKeySource::Given(_) => found.ok("master key", "SMARTERMCP_MASTER_KEY; nothing is sealed under it yet"),
        MasterKeySource::File(path) if path.exists() => {
            found.ok("master key", format!("{}; nothing is sealed under it yet", path.display()));
        }
        MasterKeySource::File(path) => found.ok("master key", format!("the first start makes {}; back it up then", path.display())),
    }
}

async fn postgres(config: &Config, vault: Option<&Looked>, (url, connections): (&Secret, u32), found: &mut Findings) {
    const CHECK: &str = "database";
    sqlx::any::install_default_drivers();
    let looked = async {
        let mut connection = AnyConnection::connect(url.expose()).await?;
        // Nothing is changed, whatever is asked; and all tenants' rows are looked at.
        sqlx::raw_sql("set default_transaction_read_only = on; set statement_timeout = '4s'; set app.operator = 'on'")
            .execute(&mut connection)
            .await?;
        let text = async |connection: &mut AnyConnection, query: &'static str| -> Result<String, sqlx::Error> {
            sqlx::query(query).fetch_one(connection).await?.try_get(0)
        };
        let version = text(&mut connection, "select current_setting('server_version')").await?;
        let standby = text(&mut connection, "select pg_is_in_recovery()::text").await?;
        if standby == "true" {
            found.fail(
                CHECK,
                "this PostgreSQL is a standby and takes no writes; point DATABASE_URL at the primary",
            );
        } else {
            found.ok(CHECK, format!("PostgreSQL {version} answers"));
        }
        role(&mut connection, found).await?;
        let encrypted = text(
            &mut connection,
            "select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)::text",
        )
        .await?;
        let local = Url::parse(url.expose()).is_ok_and(|url| url.host_str().is_none_or(on_this_machine));
        if encrypted != "true" && !local {
            found.warn(
                "database encryption",
                "the connection to PostgreSQL is not encrypted; add sslmode=verify-full to DATABASE_URL",
            );
        }
        let most: i64 = text(&mut connection, "select current_setting('max_connections')")
            .await?
            .parse()
            .unwrap_or(i64::MAX);
        let each = i64::from(connections) + 2;
        if each > most - 5 {
            found.warn(
                "database connections",
                format!("a replica opens up to {each} of the {most} connections that PostgreSQL has; lower SMARTERMCP_DATABASE_CONNECTIONS or raise max_connections"),
            );
        }
        let before = Clock::default().millis();
        let there = text(&mut connection, "select (extract(epoch from clock_timestamp()) * 1000)::int8::text").await?;
        let after = Clock::default().millis();
        skew(there.parse().unwrap_or_default(), before, after, found);
        if schema(&mut connection, &POSTGRES, found).await? {
            row_security(&mut connection, found).await?;
            last_seen(&mut connection, found).await?;
            stored(config, vault, &mut connection, found).await?;
            zones(&mut connection, found).await?;
        }
        connection.close().await
    };
    if let Err(error) = in_time(looked).await {
        found.fail(
            CHECK,
            format!("DATABASE_URL names a PostgreSQL that cannot be asked ({error}). Check that it runs, and its host, port, database, user and password"),
        );
    }
}

/// Of a URL whose scheme is none of the web's, where an address is read as a name.
fn on_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.is_empty() || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Row-level security binds neither a superuser nor a role with `BYPASSRLS`.
async fn role(connection: &mut AnyConnection, found: &mut Findings) -> Result<(), sqlx::Error> {
    let row = sqlx::query(
        "select rolname::text, (case when rolsuper or rolbypassrls then 1 else 0 end)::int8 from pg_roles where rolname = current_user",
    )
    .fetch_one(connection)
    .await?;
    let (name, bypasses): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    match bypasses {
        0 => found.ok("database role", format!("'{name}' is bound by row-level security")),
        _ => found.fail(
            "database role",
            format!("'{name}' is a superuser or has BYPASSRLS, so nothing keeps tenants apart, and `serve` refuses to start: use a role of its own"),
        ),
    }
    Ok(())
}

/// Every table with rows of tenants is under row-level security, its owner included.
async fn row_security(connection: &mut AnyConnection, found: &mut Findings) -> Result<(), sqlx::Error> {
    let open: Vec<String> = sqlx::query(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where n.nspname = current_schema() and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity) \
         and (c.relname = 'tenants' or exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)) \
         order by 1",
    )
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| row.try_get(0))
    .collect::<Result<_, _>>()?;
    match open.is_empty() {
        true => found.ok("row-level security", "forced on every table that holds rows of tenants"),
        false => found.fail(
            "row-level security",
            format!(
                "not forced on {}: alter table … enable row level security, force row level security",
                open.join(", ")
            ),
        ),
    }
    Ok(())
}

/// Compares what was applied with what this binary knows. False when the rest cannot be read.
async fn schema(connection: &mut AnyConnection, known: &Migrator, found: &mut Findings) -> Result<bool, sqlx::Error> {
    const CHECK: &str = "schema";
    let applied = sqlx::query(
        "select version, cast(case when success then 1 else 0 end as bigint) as whole, checksum from _sqlx_migrations order by version",
    )
    .fetch_all(connection)
    .await;
    let rows = match applied {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(missing)) if matches!(missing.code().as_deref(), Some("1" | "42P01")) => {
            found.warn(
                CHECK,
                "the database is empty; the first `serve` or `smartermcp migrate` makes its tables",
            );
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let newest = known.iter().map(|migration| migration.version).max().unwrap_or_default();
    let mut last = 0;
    for row in &rows {
        last = row.try_get::<i64, _>("version")?;
        let checksum: Vec<u8> = row.try_get("checksum")?;
        if last > newest {
            found.fail(
                CHECK,
                format!("the database has schema {last} and this binary knows {newest}: start the newer version, or restore a backup made before it"),
            );
            return Ok(false);
        }
        let same = known
            .iter()
            .any(|migration| migration.version == last && *migration.checksum == *checksum);
        if row.try_get::<i64, _>("whole")? == 0 || !same {
            found.fail(
                CHECK,
                format!("schema {last} of the database is not the one of this gateway; restore a backup"),
            );
            return Ok(false);
        }
    }
    match last < newest {
        true => found.warn(
            CHECK,
            format!("the database has schema {last}, and this binary brings it to {newest} when it starts; back up first"),
        ),
        false => found.ok(CHECK, format!("{last}, as this binary's")),
    }
    Ok(true)
}

/// Opens everything that is sealed, and changes nothing.
async fn stored(config: &Config, vault: Option<&Looked>, connection: &mut AnyConnection, found: &mut Findings) -> Result<(), sqlx::Error> {
    const CHECK: &str = "master key";
    let stored = backup::stored(connection).await?;
    if stored.hash_key.is_empty() {
        key_before_first_start(config, found);
        return Ok(());
    }
    let place = match stored.wrapped_key {
        Some(_) => ", wrapped by Vault,",
        None => "",
    };
    match secrets::try_open(&config.master_key, vault.map(|(vault, _)| vault), &stored).await {
        Ok(()) => found.ok(
            CHECK,
            format!(
                "{}{place} opens all {} credentials and {} signing keys",
                stored.key_id,
                stored.sealed.len(),
                stored.signing_keys.len()
            ),
        ),
        Err(error) => found.fail(CHECK, sentence(&error)),
    }
    if let (Some(wrapped), Some((_, Some(newest)))) = (&stored.wrapped_key, vault)
        && let Some(by) = vault::wrapped_by(wrapped)
        && by < *newest
    {
        found.warn(
            CHECK,
            format!("it is wrapped by version {by} of Transit's key, whose newest is {newest}: smartermcp secrets rewrap"),
        );
    }
    Ok(())
}

/// Every tenant's time zone is one that this binary knows: quotas turn over by it.
async fn zones(connection: &mut AnyConnection, found: &mut Findings) -> Result<(), sqlx::Error> {
    let zones: Vec<String> = sqlx::query("select distinct time_zone from tenants")
        .fetch_all(connection)
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let unknown: Vec<_> = zones
        .iter()
        .filter(|zone| jiff::tz::db().get(zone).is_err())
        .map(String::as_str)
        .collect();
    match unknown.is_empty() {
        true => found.ok("time zones", "the zones of all tenants are known"),
        false => found.fail(
            "time zones",
            format!("unknown: {}; set another for those tenants", unknown.join(", ")),
        ),
    }
    Ok(())
}

/// A clock that went back makes what was just issued lie in the future, and processes that ended look alive.
async fn last_seen(connection: &mut AnyConnection, found: &mut Findings) -> Result<(), sqlx::Error> {
    let row = sqlx::query("select coalesce(max(seen_at), 0) from instances")
        .fetch_one(connection)
        .await?;
    let (last, now): (i64, i64) = (row.try_get(0)?, Clock::default().millis());
    match last - now > SKEW_FAIL_MS {
        true => found.fail(
            "clock",
            format!(
                "a gateway wrote at {}, and this machine says {}: set the clocks by NTP",
                clock::rfc3339(last),
                clock::rfc3339(now)
            ),
        ),
        false => found.ok("clock", clock::rfc3339(now)),
    }
    Ok(())
}

fn skew(there: i64, before: i64, after: i64, found: &mut Findings) {
    const CHECK: &str = "database clock";
    // It was read at some moment between the two.
    let apart = (before - there).max(there - after).max(0);
    let says = format!("this machine's clock and PostgreSQL's are {apart} ms apart");
    match apart {
        ..SKEW_WARN_MS => found.ok(CHECK, says),
        SKEW_WARN_MS..=SKEW_FAIL_MS => found.warn(CHECK, format!("{says}; set both by NTP")),
        _ => found.fail(CHECK, format!("{says}: replicas would take each other for dead; set both by NTP")),
    }
}

/// Whether the port is free, or this gateway answers on it.
async fn port(config: &Config, http: &reqwest::Client, found: &mut Findings) -> bool {
    const CHECK: &str = "port";
    let listen = config.listen;
    if listen.port() == 0 {
        found.ok(CHECK, format!("{listen}: a free port is taken at each start"));
        return false;
    }
    match std::net::TcpListener::bind(listen) {
        Ok(listener) => {
            drop(listener);
            found.ok(CHECK, format!("{listen} is free; no gateway runs here"));
            false
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match health(http, &format!("http://{}", crate::config::reached_at(listen))).await {
                Ok(Answer { version, status }) => {
                    let runs = format!("a gateway {version} answers on {listen} and is {status}");
                    if status == "unhealthy" {
                        found.fail(CHECK, format!("{runs}; GET /health says why"));
                    } else if status == "degraded" {
                        found.warn(CHECK, format!("{runs}; GET /health says why"));
                    } else if version != env!("CARGO_PKG_VERSION") {
                        found.warn(
                            CHECK,
                            format!("{runs}; this binary is {}: restart to upgrade", env!("CARGO_PKG_VERSION")),
                        );
                    } else {
                        found.ok(CHECK, runs);
                    }
                    true
                }
                Err(why) => {
                    found.fail(
                        CHECK,
                        format!("another program has {listen} ({why}); end it, or choose another SMARTERMCP_LISTEN"),
                    );
                    false
                }
            }
        }
        Err(error) => {
            found.fail(
                CHECK,
                format!("{listen} cannot be listened on ({error}); choose another SMARTERMCP_LISTEN"),
            );
            false
        }
    }
}

async fn public_url(config: &Config, answers: bool, http: &reqwest::Client, found: &mut Findings) {
    const CHECK: &str = "public URL";
    let Some(url) = &config.public_url else {
        return match config.listen.ip().is_loopback() {
            true => found.ok(CHECK, "not set; clients of this machine use the address listened on"),
            false => found.warn(
                CHECK,
                "SMARTERMCP_PUBLIC_URL is not set although others can reach the port; set it to the https URL that clients use",
            ),
        };
    };
    if url.scheme() == "http" && !loopback(url) {
        found.warn(
            CHECK,
            format!("{url} is not encrypted, so tokens can be read on the way; let a proxy end TLS and use https"),
        );
    }
    if !answers {
        return found.ok(CHECK, format!("{url}; whether it leads here was not tried, since no gateway runs"));
    }
    match health(http, url.as_str().trim_end_matches('/')).await {
        Ok(_) => found.ok(CHECK, format!("{url} leads to a gateway")),
        Err(why) => found.fail(
            CHECK,
            format!("{url} does not lead to the gateway ({why}); check the name, the certificate and the proxy"),
        ),
    }
}

struct Answer {
    version: String,
    status: String,
}

/// Asks for `/health`, which only a gateway answers so.
async fn health(http: &reqwest::Client, base: &str) -> Result<Answer, String> {
    const MOST: usize = 64 * 1024;
    let mut response = http
        .get(format!("{base}/health"))
        .send()
        .await
        .map_err(|error| chain(&error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        if body.len() + chunk.len() > MOST {
            return Err("its /health is none of a gateway".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (json["version"].as_str(), json["status"].as_str(), json["uptime"].as_i64()) {
        (Some(version), Some(status), Some(_)) => Ok(Answer {
            // A stranger's words are cut short.
            version: version.chars().take(20).collect(),
            status: status.chars().take(20).collect(),
        }),
        _ => Err(format!("its /health is none of a gateway: HTTP {}", status.as_u16())),
    }
}

async fn redis(redis: &Redis, found: &mut Findings) {
    const CHECK: &str = "redis";
    let examined = match redis.examine().await {
        Ok(examined) => examined,
        Err(why) => {
            return found.fail(
                CHECK,
                format!("REDIS_URL: Redis cannot be used ({why}); until it can, each replica counts limits by itself"),
            );
        }
    };
    let version = examined.version.as_deref().unwrap_or("of unknown version");
    let took = examined.took.as_millis();
    match examined.took > REDIS_SLOW {
        true => found.warn(
            CHECK,
            format!("Redis {version} took {took} ms for the script; every call waits for it, so put it nearer"),
        ),
        false => found.ok(CHECK, format!("Redis {version} answers and runs the script in {took} ms")),
    }
    match examined.eviction.as_deref() {
        Some(policy) if policy.starts_with("allkeys-") => found.warn(
            "redis eviction",
            format!("maxmemory-policy is {policy}: under pressure a spent limit may be forgotten; set noeviction"),
        ),
        Some(policy) => found.ok("redis eviction", format!("maxmemory-policy is {policy}")),
        None => found.ok("redis eviction", "its maxmemory-policy is not told; see that it is noeviction"),
    }
}

/// A Vault, and the newest version of Transit's key there, where it can be told.
type Looked = (Vault, Option<u64>);

/// Logs in, and asks what the policies allow; nothing is written.
async fn examine_vault(server: &VaultServer, found: &mut Findings) -> Option<Looked> {
    const CHECK: &str = "vault";
    let vault = match Vault::new(server.clone(), Clock::default()) {
        Ok(vault) => vault,
        Err(error) => {
            found.fail(CHECK, sentence(&error));
            return None;
        }
    };
    let examined = match vault.examine().await {
        Ok(examined) => examined,
        Err(why) => {
            found.fail(CHECK, format!("VAULT_ADDR: {why}"));
            return Some((vault, None));
        }
    };
    found.ok(CHECK, format!("Vault {} answers and lets this gateway in", examined.version));
    if !examined.encrypted {
        found.warn(
            CHECK,
            "VAULT_ADDR is not encrypted, so secrets can be read on the way; let Vault speak TLS and use https",
        );
    }
    if examined.is_root {
        found.warn(
            CHECK,
            "VAULT_TOKEN is root's, which may do everything; use the AppRole that bootstrap-mcp-vault.sh makes",
        );
    }
    if let Some(seconds) = examined.ends {
        found.warn(
            CHECK,
            format!("VAULT_TOKEN ends in {seconds} s and cannot be renewed; use an AppRole"),
        );
    }
    match examined.lacking.is_empty() {
        true => found.ok("vault policy", "allows all that is needed"),
        false => found.fail(
            "vault policy",
            format!(
                "does not allow {}; see deploy/vault/policies/smartermcp-gateway.hcl",
                examined.lacking.join("; ")
            ),
        ),
    }
    match &examined.newest_key {
        Ok(version) => found.ok(
            "vault transit",
            format!("the key {} is there, version {version}", server.transit_key),
        ),
        Err(why) => found.fail("vault transit", format!("{why}; run deploy/vault/bootstrap-mcp-vault.sh")),
    }
    Some((vault, examined.newest_key.ok()))
}

/// Sends an export of nothing, which a collector takes and forgets.
async fn collector(otlp: &Otlp, http: &reqwest::Client, found: &mut Findings) {
    const CHECK: &str = "collector";
    let mut request = http
        .post(otlp.endpoint.clone())
        .header(http::header::CONTENT_TYPE, "application/x-protobuf")
        .body(Vec::new());
    for (name, value) in &otlp.headers {
        let plain: Vec<u8> = percent_encoding::percent_decode_str(value.expose()).collect();
        request = request.header(name.as_str(), plain);
    }
    let url = &otlp.endpoint;
    match request.send().await {
        Ok(response) if response.status().is_success() => found.ok(CHECK, format!("{url} takes spans")),
        Ok(response) => {
            let hint = match response.status().as_u16() {
                401 | 403 => "check OTEL_EXPORTER_OTLP_HEADERS",
                404 | 405 => "check the path; OTEL_EXPORTER_OTLP_ENDPOINT is the base, to which /v1/traces is added",
                _ => "look at the collector",
            };
            found.fail(
                CHECK,
                format!("{url} answers HTTP {}, so spans are dropped; {hint}", response.status().as_u16()),
            );
        }
        Err(error) => found.fail(
            CHECK,
            format!(
                "{url} does not answer ({}), so spans are dropped; start the collector or unset the endpoint",
                chain(&error.without_url())
            ),
        ),
    }
}

/// The platform's own services, as `/health` probes them.
async fn services(config: &Config, http: &reqwest::Client, found: &mut Findings) {
    const CHECK: &str = "services";
    let asked = config.services.iter().map(|(kind, url)| async move {
        let wrong = match http.get(url.clone()).send().await {
            Ok(response) if !response.status().is_server_error() => None,
            Ok(response) => Some(format!("answers HTTP {}", response.status().as_u16())),
            Err(error) => Some(format!("does not answer ({})", chain(&error.without_url()))),
        };
        (kind, wrong)
    });
    for (kind, wrong) in futures::future::join_all(asked).await {
        match wrong {
            None => found.ok(CHECK, format!("{kind} answers")),
            Some(wrong) => found.fail(CHECK, format!("{kind} {wrong}; start it, or take it out of [services]")),
        }
    }
}

/// Others whose access tokens are taken: whether their keys can be had.
async fn outside_issuers(config: &Config, found: &mut Findings) {
    const CHECK: &str = "issuers";
    if config.issuers.is_empty() {
        if !config.sign_in {
            found.warn(
                CHECK,
                "SMARTERMCP_SIGN_IN is off and SMARTERMCP_ISSUER is not set: only API tokens let anybody in",
            );
        }
        return;
    }
    let http = match issuers::client() {
        Ok(http) => http,
        Err(error) => return found.fail(CHECK, sentence(&error)),
    };
    let asked = config
        .issuers
        .iter()
        .map(|issuer| async { (&issuer.url, issuers::fetch(&http, issuer).await) });
    for (url, keys) in futures::future::join_all(asked).await {
        match keys {
            Ok(keys) => found.ok(CHECK, format!("{url} publishes {} keys", keys.len())),
            Err(why) => found.fail(
                CHECK,
                format!(
                    "the keys of {url} cannot be had, so its tokens are refused: {why}; check SMARTERMCP_ISSUER and SMARTERMCP_ISSUER_JWKS"
                ),
            ),
        }
    }
}

/// By whom members sign in: whether it says where, and with which keys.
async fn openid_provider(config: &Config, found: &mut Findings) {
    const CHECK: &str = "openid";
    let Some(openid) = &config.openid else { return };
    if !config.sign_in {
        return found.warn(
            CHECK,
            "SMARTERMCP_OPENID_ISSUER is set and SMARTERMCP_SIGN_IN is off: there is no page to sign in to",
        );
    }
    let looked = match Provider::new(openid) {
        Ok(provider) => provider.check().await,
        Err(error) => Err(sentence(&error)),
    };
    match looked {
        Ok(()) => found.ok(CHECK, format!("{} publishes its endpoints and keys", openid.issuer)),
        Err(why) => found.fail(
            CHECK,
            format!("members cannot sign in by {}: {why}; check SMARTERMCP_OPENID_ISSUER", openid.issuer),
        ),
    }
}

/// An error in one sentence, both halves of it: the operator reads it.
fn sentence(error: &Error) -> String {
    match error.source() {
        Some(_) => format!("{} ({})", error.message(), error.cause()),
        None => error.message().to_owned(),
    }
}

async fn in_time(looked: impl Future<Output = Result<(), sqlx::Error>>) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(sqlx::Error::Database(error))) => Err(error.message().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
