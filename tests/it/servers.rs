//! The PostgreSQL and Redis that the suite was given (`scripts/with-servers.sh`), if any: then every gateway of a test is on them,
//! with a database of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "what the script that started this run says is in the environment"
)]

use std::path::Path;

use smartermcp::config::{Config, Database, RedisServers, Secret};
use sqlx::{AnyConnection, Connection as _, PgConnection};

/// Whether the gateways of this run are on real servers.
pub fn given() -> bool {
    admin_url().is_some()
}

/// The same, for a test that is about them; without them it says so and ends.
pub fn needed() -> bool {
    if !given() {
        println!("skipped: this test needs PostgreSQL and Redis (scripts/with-servers.sh)");
    }
    given()
}

/// PostgreSQL as a superuser, without a database.
pub fn admin_url() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

/// The Redis of this run.
pub fn redis_url() -> Option<String> {
    std::env::var("TEST_REDIS_URL").ok()
}

/// The URL of the database that belongs to a folder, as the gateway's role, made the first time.
pub async fn database_of(folder: &Path) -> Option<String> {
    let admin = admin_url()?;
    let name = name_of(folder);
    let mut connection = PgConnection::connect(&format!("{admin}/postgres")).await.unwrap();
    let known: Option<(i32,)> = sqlx::query_as("select 1 from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut connection)
        .await
        .unwrap();
    if known.is_none() {
        execute(
            &mut connection,
            format!("create database \"{name}\" owner smartermcp template template0"),
        )
        .await;
    }
    Some(format!("{}/{name}", std::env::var("TEST_ROLE_URL").unwrap()))
}

/// A connection to the database of a folder that the gateway knows nothing of: to PostgreSQL as a superuser, whom row-level
/// security does not bind.
pub async fn past_the_gateway(folder: &Path) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match admin_url() {
        Some(admin) => format!("{admin}/{}", name_of(folder)),
        None => format!("sqlite://{}", folder.join("smartermcp.db").display()),
    };
    AnyConnection::connect(&url).await.unwrap()
}

/// The URL of a folder's database, as a superuser.
pub fn database_as_admin(folder: &Path) -> String {
    format!("{}/{}", admin_url().unwrap(), name_of(folder))
}

/// Settings of the program over this folder: the servers of this run in place of the embedded parts.
pub fn settings_of(folder: &Path) -> Vec<(&'static str, String)> {
    // Blocking: what starts the program is no async function.
    let url = std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(database_of(folder))
        });
        made.join().unwrap()
    });
    let database = url.map(|url| ("DATABASE_URL", url));
    let redis = redis_url().map(|url| ("REDIS_URL", url));
    let drain = given().then(|| ("SMARTERMCP_DRAIN_SECS", "0".to_owned()));
    database.into_iter().chain(redis).chain(drain).collect()
}

/// Settings of a gateway over this folder: the servers of this run in place of the embedded parts.
pub async fn put_on(config: &mut Config, folder: &Path) {
    if let Some(url) = database_of(folder).await {
        config.database = Database::Postgres {
            url: Secret::new(url),
            connections: 5,
        };
    }
    config.redis = redis_url().map(|url| RedisServers::parse(&url).unwrap());
}

/// Whether a text stands in any column of any table.
pub async fn database_holds(folder: &Path, text: &str) -> bool {
    let mut connection = PgConnection::connect(&format!("{}/{}", admin_url().unwrap(), name_of(folder)))
        .await
        .unwrap();
    let tables: Vec<(String,)> = sqlx::query_as("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (table,) in tables {
        let found: (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select count(*) from \"{table}\" t where strpos(t::text, $1) > 0 or strpos(t::text, encode($1::bytea, 'hex')) > 0"
        )))
        .bind(text)
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if found.0 > 0 {
            return true;
        }
    }
    false
}

pub async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await.unwrap();
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}
