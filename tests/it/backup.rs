//! Backup and restore, with the binary that ships: what was backed up comes back, and nothing else is taken for a backup.
//! With servers (`scripts/with-servers.sh`) there is no embedded state, and nothing to test here.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use smartermcp::{backends, config::Database};
use sqlx::{Connection as _, SqliteConnection};

use crate::{
    app::{App, OPERATOR, User, folder_holds, sql, sql_number},
    cli::{Done, Folder, Process, command, n8n_at_an_address, run, run_with},
    servers,
};

const BUSINESS: &str = "write:workflows";

/// A server with the tenant `luna`, which is connected to an n8n, and a user of it.
async fn luna(folder: &Path) -> (Process, User, String) {
    let server = Process::serve(folder).await;
    let operator = server.operator();
    operator
        .post("/api/v1/tenants", json!({ "name": "Luna", "slug": "luna" }))
        .await
        .assert_status(201);
    let (url, _) = n8n_at_an_address("key-of-luna").await;
    operator
        .for_tenant("luna")
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": url, "credential": { "api_key": "key-of-luna" } }),
        )
        .await
        .assert_status(200);
    let issued = operator
        .post("/auth/token", json!({ "name": "luna", "scopes": [BUSINESS], "tenant_id": "luna" }))
        .await;
    issued.assert_status(201);
    let user = server.user(issued.json["api_token"].as_str().unwrap());
    (server, user, issued.json["id"].as_str().unwrap().to_owned())
}

async fn backup(folder: &Path, file: &Path) -> Done {
    run(folder, &["backup", file.to_str().unwrap()]).await
}

async fn restore(folder: &Path, file: &Path) -> Done {
    run(folder, &["restore", file.to_str().unwrap()]).await
}

#[track_caller]
fn done(done: &Done) -> &str {
    assert_eq!(done.code, Some(0), "{done:?}");
    &done.out
}

/// The names in a folder that begin so.
fn named(folder: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

async fn sql_in(file: &Path, statement: &'static str) {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", file.display()))
        .await
        .unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A stopped gateway with the tenant `luna`, and a backup of it in another folder.
async fn backed_up() -> (Folder, Folder, PathBuf) {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    run(&folder.0, &["tenant", "create", "--name", "Luna", "--slug", "luna"])
        .await
        .json();
    let file = elsewhere.0.join("backup.db");
    done(&backup(&folder.0, &file).await);
    (folder, elsewhere, file)
}

#[tokio::test]
async fn a_backup_made_under_load_brings_back_what_was() {
    if servers::given() {
        return;
    }
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let file = elsewhere.0.join("backup.db");
    let (server, user, token_id) = luna(&folder.0).await;
    user.get("/api/v1/workflows").await.assert_status(200);

    let load: Vec<_> = (0..4)
        .map(|lane| {
            let operator = server.operator();
            tokio::spawn(async move {
                for call in 0..1000 {
                    operator
                        .post("/auth/token", json!({ "name": format!("{lane}-{call}"), "scopes": ["read:crm"] }))
                        .await
                        .assert_status(201);
                }
            })
        })
        .collect();
    // In the middle of it: some are written, and more come.
    while sql_number(&folder.0, "select count(*) from tokens").await < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let made = backup(&folder.0, &file).await;
    let said = done(&made).to_owned();
    for lane in load {
        lane.abort();
    }
    assert!(
        said.contains("checked") && said.contains("2 tenants") && said.contains("1 connections"),
        "{said}"
    );
    assert!(said.contains("master.key") && said.contains("not in it"), "{said}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(named(&elsewhere.0, ""), ["backup.db"], "one file, and no journal");
    let key = std::fs::read_to_string(folder.0.join("master.key")).unwrap();
    for secret in [key.trim(), "key-of-luna"] {
        assert!(!folder_holds(&elsewhere.0, secret).await);
    }

    // What happens afterwards is undone.
    let operator = server.operator();
    operator
        .post("/api/v1/tenants", json!({ "name": "Sol", "slug": "sol" }))
        .await
        .assert_status(201);
    operator
        .for_tenant("luna")
        .delete("/api/v1/connections/n8n")
        .await
        .assert_status(204);
    operator.delete(&format!("/auth/token/{token_id}")).await.assert_status(204);
    user.get("/api/v1/workflows").await.assert_status(401);
    server.stop().await;
    let before = sql_number(&folder.0, "select revision from revision").await;

    let restored = restore(&folder.0, &file).await;
    let said = done(&restored);
    assert!(
        said.contains(&token_id) && said.contains("token revoke"),
        "a revoked token that works again is named: {said}"
    );
    let aside = named(&folder.0, "smartermcp.db");
    assert!(aside.len() == 2 && aside[1].starts_with("smartermcp.db.replaced-"), "{aside:?}");
    assert!(said.contains(&aside[1]), "{said}");
    for name in &aside {
        assert_eq!(
            folder.0.join(name).metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    assert!(sql_number(&folder.0, "select revision from revision").await > before);
    assert_eq!(sql_number(&folder.0, "select count(*) from instances").await, 0);

    let server = Process::serve(&folder.0).await;
    let user = server.user(&user.token);
    user.get("/api/v1/workflows").await.assert_status(200);
    assert!(!server.operator().get("/api/v1/tenants").await.text.contains("\"sol\""));
    server.stop().await;

    // And back again: what was kept aside is a backup too.
    let aside = folder.0.join(&aside[1]);
    done(&restore(&folder.0, &aside).await);
    let server = Process::serve(&folder.0).await;
    assert!(server.operator().get("/api/v1/tenants").await.text.contains("\"sol\""));
    server.user(&user.token).get("/api/v1/workflows").await.assert_status(401);
}

#[tokio::test]
async fn a_call_that_the_backup_cut_off_is_not_run_again_and_an_ended_one_is_replayed() {
    if servers::given() {
        return;
    }
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let file = elsewhere.0.join("backup.db");
    let (server, user, _) = luna(&folder.0).await;
    let trigger = async |user: &User, key: &str| {
        user.with_key(key)
            .post("/api/v1/workflows/wf_backup_db/trigger", json!({ "input_data": { "by": key } }))
            .await
    };
    let first = trigger(&user, "ended").await;
    first.assert_status(200);
    trigger(&user, "cut-off").await.assert_status(200);
    // As it lies there while the call runs, in a process whose clock is far ahead.
    sql(
        &folder.0,
        "update idempotency set outcome = null, finished_at = null where key = 'cut-off'",
    )
    .await;
    sql(&folder.0, "update instances set seen_at = 9000000000000000").await;
    assert_eq!(sql_number(&folder.0, "select count(*) from instances").await, 1);
    done(&backup(&folder.0, &file).await);
    server.kill().await;

    let said = restore(&folder.0, &file).await;
    assert!(done(&said).contains("outcome_unknown"), "{said:?}");
    let app = App::in_folder(
        folder.0.clone(),
        |config| config.database = Database::Embedded,
        backends::catalogue(),
    )
    .await;
    let user = app.user_of(&user.token);
    // Nobody is called dead by a gateway that has just started itself.
    app.clock.advance(Duration::from_secs(11));
    trigger(&user, "cut-off").await.assert_problem(409, "outcome_unknown");
    let again = trigger(&user, "ended").await;
    assert_eq!((again.header("idempotent-replayed"), &again.json), ("true", &first.json));
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_and_nothing_changes() {
    if servers::given() {
        return;
    }
    let (folder, elsewhere, file) = backed_up().await;
    let before = std::fs::read(folder.0.join("smartermcp.db")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut zeroed = whole.clone();
    let middle = zeroed.len() / 2;
    zeroed[middle..middle + 8192].fill(0xa5);
    let other = elsewhere.0.join("other.db");
    sql_in(&other, "create table meta (name text, value text)").await;
    let (newer, unmigrated) = (elsewhere.0.join("newer.db"), elsewhere.0.join("unmigrated.db"));
    std::fs::copy(&file, &newer).unwrap();
    sql_in(
        &newer,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'x', 1, x'00', 0)",
    )
    .await;
    std::fs::copy(&file, &unmigrated).unwrap();
    sql_in(&unmigrated, "update _sqlx_migrations set checksum = x'00'").await;
    for (name, bytes) in [
        ("zeroed.db", zeroed),
        ("cut.db", whole[..whole.len() - 4096].to_vec()),
        ("text.db", b"no database at all, but long enough to look at".repeat(100)),
        ("empty.db", Vec::new()),
    ] {
        std::fs::write(elsewhere.0.join(name), bytes).unwrap();
    }
    for (name, said) in [
        ("zeroed.db", "damaged"),
        ("cut.db", "damaged"),
        ("text.db", "no database of this gateway"),
        ("empty.db", "no database of this gateway"),
        ("other.db", "no database of this gateway"),
        ("newer.db", "newer than this binary"),
        ("unmigrated.db", "no database of this gateway"),
        ("missing.db", "missing.db"),
        (".", "no file"),
    ] {
        let refused = restore(&folder.0, &elsewhere.0.join(name)).await;
        assert!(refused.failure().contains(said), "{name}: {refused:?}");
    }
    // A copy of a database in use, with its journal beside it.
    let copied = elsewhere.0.join("copied.db");
    std::fs::copy(&file, &copied).unwrap();
    std::fs::write(elsewhere.0.join("copied.db-wal"), "frames").unwrap();
    let refused = restore(&folder.0, &copied).await;
    assert!(refused.failure().contains("copied.db-wal"), "{refused:?}");
    let itself = restore(&folder.0, &folder.0.join("smartermcp.db")).await;
    assert!(itself.failure().contains("itself"), "{itself:?}");

    assert_eq!(std::fs::read(folder.0.join("smartermcp.db")).unwrap(), before);
    assert_eq!(named(&folder.0, "smartermcp.db"), ["smartermcp.db"]);
    assert_eq!(std::fs::read(&file).unwrap(), whole, "the backup itself is only read");
}

#[tokio::test]
async fn a_backup_needs_the_master_key_of_its_time() {
    if servers::given() {
        return;
    }
    let (folder, _elsewhere, file) = backed_up().await;
    let old = std::fs::read_to_string(folder.0.join("master.key")).unwrap();
    assert_eq!(run(&folder.0, &["secrets", "rotate-key"]).await.code, Some(0));
    let new = std::fs::read_to_string(folder.0.join("master.key")).unwrap();
    let refused = restore(&folder.0, &file).await;
    let said = refused.failure();
    assert!(said.contains("master key in use") && said.contains("master.key"), "{said}");
    assert!(!said.contains(old.trim()) && !said.contains(new.trim()), "{said}");

    // Another machine, before its key is there.
    let fresh = Folder::new();
    let refused = restore(&fresh.0, &file).await;
    assert!(refused.failure().contains("Put that key back"), "{refused:?}");
    assert_eq!(named(&fresh.0, ""), ["serve.lock"], "nothing is left of it");
    std::fs::write(fresh.0.join("master.key"), &old).unwrap();
    done(&restore(&fresh.0, &file).await);
    assert!(run(&fresh.0, &["tenant", "list"]).await.out.contains("luna"));

    // Or by the environment.
    let given = run_with(
        &folder.0,
        &["restore", file.to_str().unwrap()],
        &[("SMARTERMCP_MASTER_KEY", old.trim())],
        "",
    )
    .await;
    done(&given);
}

#[tokio::test]
async fn a_restore_is_refused_while_the_database_is_in_use() {
    if servers::given() {
        return;
    }
    let (folder, _elsewhere, file) = backed_up().await;
    let server = Process::serve(&folder.0).await;
    let refused = restore(&folder.0, &file).await;
    assert!(refused.failure().contains("serves from SMARTERMCP_DATA_DIR"), "{refused:?}");
    assert_eq!(server.operator().get("/api/v1/whoami").await.json["operator"], true);
    server.stop().await;

    // Another command, which takes no lock of `serve`.
    let url = format!("sqlite://{}", folder.0.join("smartermcp.db").display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("pragma journal_mode = wal").execute(&mut other).await.unwrap();
    sqlx::query("select count(*) from tenants").execute(&mut other).await.unwrap();
    let refused = restore(&folder.0, &file).await;
    assert!(refused.failure().contains("Another process"), "{refused:?}");
    assert!(named(&folder.0, "smartermcp.db.").is_empty(), "{:?}", named(&folder.0, ""));
    other.close().await.unwrap();
    done(&restore(&folder.0, &file).await);
    Process::serve_with(&folder.0, &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR)])
        .await
        .stop()
        .await;
}

#[tokio::test]
async fn a_backup_replaces_only_what_it_is_told_to() {
    if servers::given() {
        return;
    }
    let (folder, elsewhere, file) = backed_up().await;
    let first = std::fs::read(&file).unwrap();
    run(&folder.0, &["tenant", "create", "--name", "Sol", "--slug", "sol"]).await.json();
    let refused = backup(&folder.0, &file).await;
    assert!(refused.failure().contains("--force"), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), first);
    let forced = run(&folder.0, &["backup", file.to_str().unwrap(), "--force"]).await;
    assert!(done(&forced).contains("3 tenants"), "{forced:?}");

    for own in ["smartermcp.db", "smartermcp.db-wal", "master.key", "serve.lock"] {
        let refused = run(&folder.0, &["backup", folder.0.join(own).to_str().unwrap(), "--force"]).await;
        assert!(refused.failure().contains("itself uses"), "{own}: {refused:?}");
    }
    let nowhere = backup(&folder.0, &elsewhere.0.join("missing/backup.db")).await;
    assert!(nowhere.failure().contains("missing/backup.db"), "{nowhere:?}");
    let folder_itself = backup(&folder.0, &elsewhere.0).await;
    assert!(folder_itself.failure().contains("is a folder"), "{folder_itself:?}");
    let fresh = Folder::new();
    let nothing = backup(&fresh.0, &elsewhere.0.join("nothing.db")).await;
    assert!(nothing.failure().contains("nothing to back up"), "{nothing:?}");
    assert_eq!(named(&elsewhere.0, ""), ["backup.db"], "no part of a file is left");
    assert!(named(&fresh.0, "").is_empty(), "a backup makes no database");
}

#[tokio::test]
async fn a_restore_that_is_killed_leaves_the_old_database_or_the_restored_one() {
    if servers::given() {
        return;
    }
    let (folder, _elsewhere, file) = backed_up().await;
    let (mut old, mut restored) = (0, 0);
    for round in 0..8 {
        // Not in the backup: it tells the two apart. Its journal is left as a crash leaves it.
        let server = Process::serve(&folder.0).await;
        let sol = json!({ "name": "Sol", "slug": "sol" });
        server.operator().post("/api/v1/tenants", sol).await;
        server.kill().await;
        let mut killed = command(&folder.0, &["restore", file.to_str().unwrap()], &[]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(round * 12)).await;
        killed.kill().await.unwrap();

        let slugs = run(&folder.0, &["tenant", "list"]).await.out;
        assert!(slugs.contains("\"luna\""), "round {round}: {slugs}");
        match slugs.contains("\"sol\"") {
            true => old += 1,
            false => restored += 1,
        }
        let well = run(&folder.0, &["doctor"]).await;
        assert_eq!(well.code, Some(0), "round {round}: {well:?}");
    }
    println!("killed in the middle: {old} times the old one, {restored} times the restored one");
    done(&restore(&folder.0, &file).await);
    assert!(!named(&folder.0, "").contains(&"smartermcp.db.restoring".to_owned()));
}

#[tokio::test]
async fn with_postgresql_its_own_tools_are_named() {
    let folder = Folder::new();
    for arguments in [["backup", "backup.db"], ["restore", "backup.db"]] {
        let settings = [("DATABASE_URL", "postgres://smartermcp:s3cret@127.0.0.1:1/smartermcp")];
        let refused = run_with(&folder.0, &arguments, &settings, "").await;
        let said = refused.failure();
        assert!(
            said.contains("pg_dump") && said.contains("pg_restore") && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_broken_database_is_replaced_and_its_journal_does_not_reach_the_restored_one() {
    if servers::given() {
        return;
    }
    let (folder, _elsewhere, file) = backed_up().await;
    let server = Process::serve(&folder.0).await;
    server
        .operator()
        .post("/api/v1/tenants", json!({ "name": "Sol", "slug": "sol" }))
        .await
        .assert_status(201);
    // The machine goes, and the database with it; its journal is whole.
    server.kill().await;
    assert!(named(&folder.0, "smartermcp.db").contains(&"smartermcp.db-wal".to_owned()));
    std::fs::write(folder.0.join("smartermcp.db"), b"what a failing disk gives back".repeat(500)).unwrap();

    done(&restore(&folder.0, &file).await);
    let names = named(&folder.0, "smartermcp.db");
    assert!(!names.contains(&"smartermcp.db-wal".to_owned()), "{names:?}");
    assert!(
        names.iter().any(|name| name.contains(".replaced-") && name.ends_with("-wal")),
        "{names:?}"
    );
    let server = Process::serve(&folder.0).await;
    let tenants = server.operator().get("/api/v1/tenants").await.text;
    assert!(tenants.contains("\"luna\"") && !tenants.contains("\"sol\""), "{tenants}");
}
