//! Secrets: the master key, its rotation, and what a row that was moved is worth.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::json;

use crate::{
    app::{App, OPERATOR, User, folder_holds},
    cli::{self, Folder, Process, n8n_at_an_address},
};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn connect(operator: &User, tenant: &str, url: &str, api_key: &str) {
    operator
        .for_tenant(tenant)
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": url, "credential": { "api_key": api_key } }),
        )
        .await
        .assert_status(200);
}

#[tokio::test]
async fn key_and_database_are_for_their_owner_alone() {
    let app = App::start().await;
    app.tenant("luna").await;
    assert_eq!(mode(app.folder()), 0o700);
    for file in std::fs::read_dir(app.folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "serve.lock" {
            assert_eq!(mode(&path), 0o600, "{name}");
        }
    }
    assert_eq!(mode(&app.folder().join("master.key")), 0o600);
    if !crate::servers::given() {
        assert_eq!(mode(&app.folder().join("smartermcp.db")), 0o600);
    }
}

#[tokio::test]
async fn the_master_key_is_rotated_under_a_running_server() {
    let app = App::start().await;
    let (url, n8n) = n8n_at_an_address("key-of-luna").await;
    for slug in ["luna", "sol", "mar"] {
        app.tenant(slug).await;
    }
    connect(&app.operator(), "luna", &url, "key-of-luna").await;
    connect(&app.operator(), "sol", &url, "key-of-luna").await;
    let user = async |slug: &str| {
        let tenant = crate::app::Tenant {
            id: slug.to_owned(),
            slug: slug.to_owned(),
        };
        app.user(&tenant, &["write:workflows"]).await
    };
    let (luna, sol, mar) = (user("luna").await, user("sol").await, user("mar").await);
    let once = luna
        .with_key("once")
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await;
    once.assert_status(200);
    let old = std::fs::read_to_string(app.folder().join("master.key")).unwrap();

    let rotated = cli::run(app.folder(), &["secrets", "rotate-key"]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    let new = std::fs::read_to_string(app.folder().join("master.key")).unwrap();
    assert_ne!(old, new);
    assert!(!rotated.out.contains(new.trim()), "the key is in its file alone");
    assert_eq!(mode(&app.folder().join("master.key")), 0o600);
    assert!(!folder_holds(app.folder(), old.trim()).await, "the old key is gone");

    // Warm, cold, new, and what was kept.
    luna.get("/api/v1/workflows").await.assert_status(200);
    sol.get("/api/v1/workflows").await.assert_status(200);
    connect(&app.operator(), "mar", &url, "key-of-luna").await;
    mar.get("/api/v1/workflows").await.assert_status(200);
    let again = luna
        .with_key("once")
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await;
    assert_eq!(again.text, once.text);
    assert_eq!(n8n.runs(), 1);

    let folder = app.stop().await;
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    for token in [&luna.token, &sol.token, &mar.token] {
        app.user_of(token).get("/api/v1/workflows").await.assert_status(200);
    }
    // A second rotation, and none that is left half done.
    assert_eq!(cli::run(app.folder(), &["secrets", "rotate-key"]).await.code, Some(0));
    app.user_of(&luna.token).get("/api/v1/workflows").await.assert_status(200);
    let left: Vec<_> = std::fs::read_dir(app.folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("master"))
        .collect();
    assert_eq!(left, ["master.key"]);
}

#[tokio::test]
async fn a_rotation_that_stopped_half_way_opens_with_either_key() {
    let app = App::start().await;
    let (url, _) = n8n_at_an_address("k").await;
    let tenant = app.tenant("luna").await;
    connect(&app.operator(), "luna", &url, "k").await;
    let token = app.user(&tenant, &["read:workflows"]).await.token;
    let folder = app.stop().await;
    let key = folder.join("master.key");
    // Stopped after the database's commit and before the new key took its place: the key waits beside a stale one.
    std::fs::rename(&key, folder.join("master.key.new")).unwrap();
    std::fs::write(&key, OTHER_KEY).unwrap();
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    app.user_of(&token).get("/api/v1/workflows").await.assert_status(200);
    let folder = app.stop().await;
    assert_ne!(std::fs::read_to_string(&key).unwrap().trim(), OTHER_KEY);
    // Stopped before the commit: a new key waits that nothing was sealed under.
    std::fs::write(folder.join("master.key.new"), OTHER_KEY).unwrap();
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    app.user_of(&token).get("/api/v1/workflows").await.assert_status(200);
}

#[tokio::test]
async fn a_key_that_cannot_open_the_secrets_refuses_to_start() {
    let folder = Folder::new();
    run_ok(&folder.0, &["tenant", "list"], &[]).await;
    let wrong = cli::run_with(&folder.0, &["serve"], &[("SMARTERMCP_MASTER_KEY", OTHER_KEY)], "").await;
    let said = wrong.failure();
    assert!(
        said.contains("SMARTERMCP_MASTER_KEY") && said.contains("cannot open the existing secrets"),
        "{said}"
    );
    assert!(!said.contains(OTHER_KEY), "{said}");

    let key = folder.0.join("master.key");
    let kept = std::fs::read_to_string(&key).unwrap();
    for replaced in [Some(OTHER_KEY), Some("no key at all"), Some(""), None] {
        match replaced {
            Some(text) => std::fs::write(&key, text).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let refused = cli::run(&folder.0, &["serve"]).await;
        assert!(refused.failure().contains("master.key"), "{refused:?}");
    }
    assert!(!key.exists(), "a missing key is not made anew over secrets that it cannot open");
    // The right one, from a backup or given.
    let given = Process::serve_with(
        &folder.0,
        &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("SMARTERMCP_MASTER_KEY", kept.trim())],
    )
    .await;
    given.operator().get("/api/v1/tenants").await.assert_status(200);
    given.stop().await;
    std::fs::write(&key, kept).unwrap();
    Process::serve(&folder.0).await.stop().await;
}

async fn run_ok(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> cli::Done {
    let done = cli::run_with(folder, arguments, settings, "").await;
    assert_eq!(done.code, Some(0), "{done:?}");
    done
}

#[tokio::test]
async fn a_given_key_is_in_no_file_and_its_rotation_tells_the_new_one_once() {
    let folder = Folder::new();
    let (url, _) = n8n_at_an_address("k").await;
    let first = [("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("SMARTERMCP_MASTER_KEY", KEY)];
    let server = Process::serve_with(&folder.0, &first).await;
    connect(&server.operator(), "default", &url, "k").await;
    let issued = server
        .operator()
        .post("/auth/token", json!({ "name": "x", "scopes": ["read:workflows"] }))
        .await;
    let token = issued.json["api_token"].as_str().unwrap().to_owned();
    server.stop().await;
    assert!(!folder.0.join("master.key").exists());
    assert!(!folder_holds(&folder.0, KEY).await);

    let rotated = run_ok(&folder.0, &["secrets", "rotate-key"], &[("SMARTERMCP_MASTER_KEY", KEY)]).await;
    let new = rotated
        .out
        .lines()
        .find_map(|line| line.strip_prefix("SMARTERMCP_MASTER_KEY="))
        .expect("it is told")
        .to_owned();
    assert_eq!(new.len(), 64);
    let refused = cli::run_with(&folder.0, &["serve"], &first, "").await;
    assert!(refused.failure().contains("SMARTERMCP_MASTER_KEY"), "{refused:?}");
    let server = Process::serve_with(&folder.0, &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("SMARTERMCP_MASTER_KEY", &new)]).await;
    server.user(&token).get("/api/v1/workflows").await.assert_status(200);
}

#[tokio::test]
async fn a_server_with_a_replaced_key_refuses_to_seal_and_says_what_to_do() {
    let folder = Folder::new();
    let settings = [("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("SMARTERMCP_MASTER_KEY", KEY)];
    let server = Process::serve_with(&folder.0, &settings).await;
    run_ok(&folder.0, &["secrets", "rotate-key"], &settings).await;
    let refused = server
        .operator()
        .for_tenant("default")
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": "http://127.0.0.1:1", "credential": { "api_key": "k" } }),
        )
        .await;
    refused.assert_problem(503, "master_key_rotated");
    assert!(
        refused.json["detail"].as_str().unwrap().contains("start it again"),
        "{}",
        refused.text
    );
    assert_eq!(
        server.operator().for_tenant("default").get("/api/v1/connections").await.json["connections"],
        json!([])
    );
}

#[tokio::test]
async fn a_connection_moved_to_another_tenant_does_not_open() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let sol = app.tenant("sol").await;
    let (url, n8n) = app.vendors.n8n("luna", "key-of-luna");
    app.connect_n8n(&luna, &url, "key-of-luna").await;
    let thief = app.user(&sol, &["write:workflows", "admin:tenants"]).await;
    let moved = app
        .sql("update connections set tenant_id = (select id from tenants where slug = 'sol')")
        .await;
    assert_eq!(moved, 1);
    for reply in [
        thief.get("/api/v1/workflows").await,
        thief.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await,
        thief.post("/api/v1/connections/n8n/test", json!({})).await,
    ] {
        assert!([500, 503].contains(&reply.status.as_u16()), "{}", reply.text);
        assert!(
            !reply.text.contains("wf_backup_db") && !reply.text.contains("key-of-luna"),
            "{}",
            reply.text
        );
    }
    let mcp = thief.call("workflows_list", json!({})).await;
    mcp.tool_error();
    assert!(n8n.last_request_headers().is_empty(), "luna's n8n was asked");
    // A new connection of the thief's own works again.
    let (own, _) = app.vendors.n8n("sol", "key-of-sol");
    app.connect_n8n(&sol, &own, "key-of-sol").await;
    thief.get("/api/v1/workflows").await.assert_status(200);
}

#[tokio::test]
async fn a_credential_swapped_between_rows_does_not_open() {
    let app = App::start().await;
    let (luna, sol) = (app.tenant("luna").await, app.tenant("sol").await);
    let (url, _) = app.vendors.n8n("luna", "key-of-luna");
    let (thieves, n8n) = app.vendors.n8n("sol", "key-of-sol");
    app.connect_n8n(&luna, &url, "key-of-luna").await;
    app.connect_n8n(&sol, &thieves, "key-of-sol").await;
    // Luna's credential would be sent to an address of the thief's.
    app.sql(
        "update connections set credential = (select credential from connections where tenant_id = (select id from tenants where slug = 'luna'))",
    )
    .await;
    let thief = app.user(&sol, &["read:workflows"]).await;
    assert!([500, 503].contains(&thief.get("/api/v1/workflows").await.status.as_u16()));
    assert!(n8n.last_request_headers().is_empty(), "the credential was sent");
    app.user(&luna, &["read:workflows"])
        .await
        .get("/api/v1/workflows")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn a_kept_outcome_moved_to_another_tenant_does_not_open() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let (_, thief, n8n) = app.business("sol").await;
    user.with_key("k")
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    app.sql("update idempotency set tenant_id = (select id from tenants where slug = 'sol')")
        .await;
    let told = thief.with_key("k").post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    told.assert_problem(500, "internal");
    assert!(!told.text.contains("execution_id"));
    assert_eq!(n8n.runs(), 0);
}
