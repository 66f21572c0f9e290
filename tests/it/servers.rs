//! The PostgreSQL and Redis that the suite was given (`scripts/with-servers.sh`), if any: then every gateway of a test is on them,
//! with a database of its own.

use std::path::Path;

use smartermcp::config::{Config, Database, RedisServers, Secret};
use sqlx::{Connection as _, PgConnection};

/// Whether the gateways of this run are on real servers.
pub fn given() -> bool {
    admin_url().is_some()
}

fn admin_url() -> Option<String> {
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
        execute(&mut connection, format!("create database \"{name}\" owner smartermcp template template0")).await;
    }
    Some(format!("{}/{name}", std::env::var("TEST_ROLE_URL").unwrap()))
}

/// The same database, as a superuser, whom row-level security does not bind.
pub fn database_as_admin(folder: &Path) -> String {
    format!("{}/{}", admin_url().unwrap(), name_of(folder))
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

pub async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await.unwrap();
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap().to_str().unwrap().to_owned()
}
