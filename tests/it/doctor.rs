//! The doctor, with the binary that ships: what it says of a gateway that is well and of those that are not, changing nothing.
//! The embedded parts are looked at without servers (`scripts/with-servers.sh`), the others with them.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::{
    app::{OPERATOR, sql},
    cli::{Done, Folder, Process, run, run_with},
    servers,
};

/// Runs the doctor and answers what it found; the exit code must agree with it.
async fn doctor(folder: &Path, settings: &[(&str, &str)]) -> Value {
    let done = run_with(folder, &["doctor", "--json"], settings, "").await;
    let found: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(done.code, Some(if found["ok"] == true { 0 } else { 1 }), "{done:?}");
    found
}

/// What it said of one part: the verdict and the sentence of the worst finding.
#[track_caller]
fn of<'a>(found: &'a Value, check: &str) -> (&'a str, &'a str) {
    let checks = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == check);
    let rank = |finding: &&Value| {
        ["ok", "warn", "fail"]
            .iter()
            .position(|verdict| finding["verdict"] == *verdict)
            .unwrap()
    };
    let worst = checks.max_by_key(rank).unwrap_or_else(|| panic!("nothing of {check}: {found:#}"));
    (worst["verdict"].as_str().unwrap(), worst["message"].as_str().unwrap())
}

#[track_caller]
fn assert_found(found: &Value, check: &str, verdict: &str, says: &str) {
    let (is, message) = of(found, check);
    assert!(is == verdict && message.contains(says), "{check}: {is} {message}\n{found:#}");
}

/// Everything in a folder: name, length, time of change, and what is in it.
fn contents(folder: &Path) -> Vec<(String, std::time::SystemTime, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (
                name,
                file.metadata().unwrap().modified().unwrap(),
                std::fs::read(file.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// A stopped gateway with a tenant.
async fn stopped() -> Folder {
    let folder = Folder::new();
    run(&folder.0, &["tenant", "create", "--name", "Luna", "--slug", "luna"])
        .await
        .json();
    folder
}

#[tokio::test]
async fn a_gateway_that_is_well_passes_running_and_stopped_and_nothing_changes() {
    if servers::given() {
        return;
    }
    let folder = stopped().await;
    let server = Process::serve(&folder.0).await;
    let address = server.address.to_string();
    let public = format!("http://{address}");
    let settings = [("SMARTERMCP_LISTEN", address.as_str()), ("SMARTERMCP_PUBLIC_URL", public.as_str())];
    let found = doctor(&folder.0, &settings).await;
    assert_eq!(found["ok"], true, "{found:#}");
    for (check, says) in [
        ("configuration", "embedded database"),
        ("data directory", "closed to others"),
        ("disk", "MiB are free"),
        ("database", "is whole"),
        ("schema", "as this binary's"),
        ("master key", "opens all 0 credentials"),
        ("time zones", "known"),
        ("clock", "Z"),
        ("port", "answers"),
        ("public URL", "leads to a gateway"),
    ] {
        assert_found(&found, check, if check == "disk" { of(&found, check).0 } else { "ok" }, says);
    }
    server.stop().await;

    let before = contents(&folder.0);
    let found = doctor(&folder.0, &settings).await;
    assert_eq!(found["ok"], true, "{found:#}");
    assert_found(&found, "port", "ok", "is free");
    assert_eq!(contents(&folder.0), before);

    // After a crash, what is in the journal only is looked at, and stays there.
    Process::serve(&folder.0).await.kill().await;
    let of_the_crash = || {
        contents(&folder.0)
            .into_iter()
            .filter(|(name, ..)| !name.ends_with("-shm"))
            .collect::<Vec<_>>()
    };
    let before = of_the_crash();
    assert!(before.iter().any(|(name, ..)| name.ends_with("-wal")));
    assert_eq!(doctor(&folder.0, &settings).await["ok"], true);
    assert_eq!(of_the_crash(), before);

    // For people: a line each.
    let Done { code, out, err } = run_with(&folder.0, &["doctor"], &settings, "").await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.lines().all(|line| line.starts_with("ok    ") || line.starts_with("warn  ")),
        "{out}"
    );
    assert_eq!(out.lines().count(), found["checks"].as_array().unwrap().len());
}

#[tokio::test]
async fn before_the_first_start_it_passes_and_makes_nothing() {
    if servers::given() {
        return;
    }
    let folder = Folder::new();
    let missing = folder.0.join("data");
    let found = doctor(&missing, &[]).await;
    assert_found(&found, "data directory", "warn", "the first `serve` makes it");
    assert_found(&found, "database", "warn", "the first `serve` makes it");
    assert_found(&found, "master key", "ok", "back it up");
    assert!(!missing.exists());
    doctor(&folder.0, &[]).await;
    assert!(contents(&folder.0).is_empty());
}

#[tokio::test]
async fn a_wrong_setting_is_the_one_finding() {
    let folder = Folder::new();
    let found = doctor(&folder.0, &[("SMARTERMCP_ADMIN_TOKEN", "s3cret")]).await;
    assert_found(&found, "configuration", "fail", "SMARTERMCP_ADMIN_TOKEN");
    assert_eq!(found["checks"].as_array().unwrap().len(), 1);
    assert!(!found.to_string().contains("s3cret"));
    let done = run_with(&folder.0, &["doctor"], &[("SMARTERMCP_LISTEN", "here")], "").await;
    assert!(done.out.starts_with("FAIL  configuration: SMARTERMCP_LISTEN"), "{done:?}");
    assert_eq!(done.failure(), "1 of 1 checks failed");
}

#[tokio::test]
async fn files_that_others_may_read_or_write_are_named_with_the_command_that_helps() {
    if servers::given() {
        return;
    }
    let folder = stopped().await;
    let mode = |name: &str, mode: u32| std::fs::set_permissions(folder.0.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    for (name, wrong, right, says) in [
        ("master.key", 0o640, 0o600, "chmod 600"),
        ("smartermcp.db", 0o644, 0o600, "chmod 600"),
        (".", 0o777, 0o700, "chmod 700"),
    ] {
        mode(name, wrong);
        assert_found(&doctor(&folder.0, &[]).await, "data directory", "fail", says);
        mode(name, right);
    }
    assert_eq!(doctor(&folder.0, &[]).await["ok"], true);
    let file = doctor(&folder.0.join("master.key"), &[]).await;
    assert_found(&file, "data directory", "fail", "is no folder");
}

#[tokio::test]
async fn a_damaged_database_another_key_and_another_schema_are_told_apart() {
    if servers::given() {
        return;
    }
    let folder = stopped().await;
    let path = folder.0.join("smartermcp.db");
    let whole = std::fs::read(&path).unwrap();

    let other = "ab".repeat(32);
    let found = doctor(&folder.0, &[("SMARTERMCP_MASTER_KEY", &other)]).await;
    assert_found(&found, "master key", "fail", "SMARTERMCP_MASTER_KEY cannot open");
    assert!(!found.to_string().contains(&other));
    let key = folder.0.join("master.key");
    std::fs::rename(&key, folder.0.join("away")).unwrap();
    assert_found(&doctor(&folder.0, &[]).await, "master key", "fail", "Put that key back");
    assert!(!key.exists());
    std::fs::rename(folder.0.join("away"), &key).unwrap();

    sql(
        &folder.0,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'x', 1, x'00', 0)",
    )
    .await;
    assert_found(&doctor(&folder.0, &[]).await, "schema", "fail", "start the newer version");
    std::fs::write(&path, &whole).unwrap();
    sql(&folder.0, "update tenants set time_zone = 'Mars/Olympus' where slug = 'luna'").await;
    sql(&folder.0, "insert into instances (id, seen_at) values ('ahead', 9000000000000)").await;
    let found = doctor(&folder.0, &[]).await;
    assert_found(&found, "time zones", "fail", "Mars/Olympus");
    assert_found(&found, "clock", "fail", "NTP");

    std::fs::write(&path, b"no database at all").unwrap();
    let found = doctor(&folder.0, &[]).await;
    assert_found(&found, "database", "fail", "restore a backup");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xa5);
    std::fs::write(&path, damaged).unwrap();
    assert_found(&doctor(&folder.0, &[]).await, "database", "fail", "damaged");
    std::fs::write(&path, b"").unwrap();
    assert_found(&doctor(&folder.0, &[]).await, "schema", "warn", "is empty");
}

#[tokio::test]
async fn a_port_that_another_has_and_a_public_url_that_leads_elsewhere_are_found() {
    if servers::given() {
        return;
    }
    let folder = stopped().await;
    let other = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(other, axum::Router::new()).await });
    let found = doctor(&folder.0, &[("SMARTERMCP_LISTEN", &address)]).await;
    assert_found(&found, "port", "fail", "another program has");

    let server = Process::serve(&folder.0).await;
    let listen = server.address.to_string();
    let elsewhere = format!("http://{address}");
    let found = doctor(&folder.0, &[("SMARTERMCP_LISTEN", &listen), ("SMARTERMCP_PUBLIC_URL", &elsewhere)]).await;
    assert_found(&found, "public URL", "fail", "does not lead to the gateway");

    let free = doctor(&folder.0, &[("SMARTERMCP_PUBLIC_URL", "http://mcp.example.cl")]).await;
    assert_found(&free, "public URL", "warn", "not encrypted");
    let open = doctor(&folder.0, &[("SMARTERMCP_LISTEN", "0.0.0.0:0")]).await;
    assert_found(&open, "public URL", "warn", "SMARTERMCP_PUBLIC_URL is not set");
}

#[tokio::test]
async fn what_does_not_answer_is_named_without_its_secret() {
    if servers::given() {
        return;
    }
    let folder = stopped().await;
    let found = doctor(
        &folder.0,
        &[
            ("DATABASE_URL", "postgres://smartermcp:s3cret@127.0.0.1:1/smartermcp"),
            ("REDIS_URL", "redis://:s3cret@127.0.0.1:1/0"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret"),
        ],
    )
    .await;
    assert_found(&found, "database", "fail", "DATABASE_URL");
    assert_found(&found, "redis", "fail", "REDIS_URL");
    assert_found(&found, "collector", "fail", "http://127.0.0.1:1/v1/traces does not answer");
    assert!(!found.to_string().contains("s3cret"), "{found:#}");

    // Played services, a well and an unwell one, and a collector that wants another credential.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let status = |status: u16| axum::routing::any(move || async move { http::StatusCode::from_u16(status).unwrap() });
    let router = axum::Router::new()
        .route("/well", status(200))
        .route("/unwell", status(503))
        .route("/v1/traces", status(401));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let file = folder.0.join("smartermcp.toml");
    std::fs::write(
        &file,
        format!("[services]\nn8n = \"{base}/well\"\nodoo = \"{base}/unwell\"\nchatwoot = \"http://127.0.0.1:1\"\n"),
    )
    .unwrap();
    let arguments = ["doctor", "--json", "--config", file.to_str().unwrap()];
    let done = run_with(&folder.0, &arguments, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &base)], "").await;
    let found: Value = serde_json::from_str(&done.out).unwrap();
    assert_found(&found, "collector", "fail", "OTEL_EXPORTER_OTLP_HEADERS");
    let services = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == "services");
    let verdicts: Vec<_> = services
        .map(|finding| (finding["verdict"].clone(), finding["message"].as_str().unwrap()))
        .collect();
    for (verdict, says) in [
        ("ok", "n8n answers"),
        ("fail", "odoo answers HTTP 503"),
        ("fail", "chatwoot does not answer"),
    ] {
        assert!(
            verdicts
                .iter()
                .any(|(is, message)| *is == json!(verdict) && message.starts_with(says)),
            "{verdicts:?}"
        );
    }
}

/// Only with servers (`scripts/with-servers.sh`).
#[tokio::test]
async fn postgresql_and_redis_are_looked_at_and_what_keeps_no_tenants_apart_fails() {
    let (true, Some(redis)) = (servers::given(), servers::redis_url()) else {
        return;
    };
    let folder = Folder::new();
    let database = servers::database_of(&folder.0).await.unwrap();
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", redis.as_str()),
        ("SMARTERMCP_ADMIN_TOKEN", OPERATOR),
        ("SMARTERMCP_DRAIN_SECS", "0"),
    ];
    assert_found(&doctor(&folder.0, &settings).await, "schema", "warn", "is empty");
    Process::serve_with(&folder.0, &settings).await.stop().await;
    let found = doctor(&folder.0, &settings).await;
    assert_eq!(found["ok"], true, "{found:#}");
    for (check, says) in [
        ("database", "PostgreSQL"),
        ("database role", "bound by row-level security"),
        ("database clock", "ms apart"),
        ("row-level security", "forced on every table"),
        ("schema", "as this binary's"),
        ("master key", "opens all"),
        ("redis", "runs the script"),
        ("redis eviction", "noeviction"),
    ] {
        assert_found(&found, check, "ok", says);
    }

    let admin = servers::database_as_admin(&folder.0);
    let mut connection = PgConnection::connect(&admin).await.unwrap();
    servers::execute(&mut connection, "alter table audit no force row level security".to_owned()).await;
    let found = doctor(&folder.0, &[("DATABASE_URL", &admin), ("REDIS_URL", &redis)]).await;
    assert_found(&found, "database role", "fail", "superuser");
    assert_found(&found, "row-level security", "fail", "not forced on audit");
}
