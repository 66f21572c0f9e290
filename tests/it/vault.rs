//! Secrets in Vault: a played one for each test, set up by the scripts of `deploy/vault`, or the real one of `make test-vault`.
//! What a real one cannot be told to do (seal itself, fall silent, let an hour pass) is tested against the played one alone.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use smartermcp::{
    backends,
    config::{Config, MasterKeySource, Secret, SecretId, VaultField, VaultLogin, VaultServer, decode_key},
};
use tokio::process::Command;
use vaultrs::client::Client as _;

use crate::{
    app::{App, OPERATOR, Tenant, User, folder_holds},
    cli::{self, Done, Folder, Process, n8n_at_an_address},
    daemons::until,
    vendors::vault::{Fault, ROOT, Vault},
};

const LIST: &str = "/api/v1/workflows";
const MINUTES: Duration = Duration::from_mins(1);

/// A Vault that the scripts have set up, and what its operator has in hand.
struct Server {
    address: String,
    root: String,
    played: Option<Vault>,
    role_id: String,
    folder: Folder,
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the real one is stands in the environment of the tests"
)]
fn real() -> Option<(String, String)> {
    Some((std::env::var("TEST_VAULT_ADDR").ok()?, std::env::var("TEST_VAULT_TOKEN").ok()?))
}

impl Server {
    async fn start() -> Self {
        smartermcp::serve::install_crypto();
        let (address, root, played) = match real() {
            Some((address, root)) => (address, root, None),
            None => {
                let played = Vault::start().await;
                (played.url(), ROOT.to_owned(), Some(played))
            }
        };
        let mut server = Self {
            address,
            root,
            played,
            role_id: String::new(),
            folder: Folder::new(),
        };
        let done = server.bootstrap(&[], &[]).await;
        server.role_id = line(&done.out, "VAULT_ROLE_ID=").to_owned();
        server
    }

    /// The played one, for what a real one cannot be told to do.
    async fn played() -> Option<(Self, Vault)> {
        if real().is_some() {
            println!("skipped: a real Vault cannot be told to do this");
            return None;
        }
        let server = Self::start().await;
        let played = server.played.clone()?;
        Some((server, played))
    }

    async fn script(&self, name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Done {
        let output = Command::new("bash")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/vault").join(name))
            .args(arguments)
            .env("VAULT_ADDR", &self.address)
            .env("VAULT_TOKEN", &self.root)
            .envs(settings.iter().copied())
            .output()
            .await
            .unwrap();
        Done {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    async fn bootstrap(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Done {
        let file = self.secret_id_file();
        let arguments = [&["--secret-id-file", &file], arguments].concat();
        let done = self.script("bootstrap-mcp-vault.sh", &arguments, settings).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        done
    }

    fn secret_id_file(&self) -> String {
        self.folder.0.join("secret-id").to_str().unwrap().to_owned()
    }

    /// The gateway's settings, by its `AppRole`.
    fn config(&self) -> VaultServer {
        VaultServer {
            address: self.address.parse().unwrap(),
            login: VaultLogin::AppRole {
                mount: "approle".to_owned(),
                role_id: Secret::new(self.role_id.as_str()),
                secret_id: SecretId::File(self.secret_id_file().into()),
            },
            namespace: None,
            ca: None,
            kv_mount: "smarteros".to_owned(),
            transit_mount: "transit".to_owned(),
            transit_key: "smarteros-secrets".to_owned(),
            cache: 5 * MINUTES,
        }
    }

    fn put_on(&self, config: &mut Config) {
        config.vault = Some(self.config());
    }

    /// The same for the program.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VAULT_ADDR", self.address.clone()),
            ("VAULT_ROLE_ID", self.role_id.clone()),
            ("VAULT_SECRET_ID_FILE", self.secret_id_file()),
        ]
    }

    async fn app(&self) -> App {
        App::with(|config| self.put_on(config)).await
    }

    /// A request past the gateway, with a token.
    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http
            .request(method.parse().unwrap(), format!("{}/v1/{path}", self.address))
            .header("x-vault-token", token);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// What stands at a path, as root reads it.
    async fn read(&self, path: &str) -> (u16, Value) {
        self.ask(&self.root, "GET", &format!("smarteros/data/{path}"), Value::Null).await
    }

    async fn write(&self, path: &str, data: Value) {
        let (status, said) = self
            .ask(&self.root, "POST", &format!("smarteros/data/{path}"), json!({ "data": data }))
            .await;
        assert_eq!(status, 200, "{said}");
    }

    /// A token with one policy.
    async fn token_of(&self, policy: &str) -> String {
        let wanted = json!({ "policies": [policy], "ttl": "10m" });
        let (status, made) = self.ask(&self.root, "POST", "auth/token/create", wanted).await;
        assert_eq!(status, 200, "{made}");
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }
}

/// What a command that failed said. The log, which has a thread of its own, may come after it.
#[track_caller]
fn refusal(done: &Done) -> &str {
    assert_eq!(done.code, Some(1), "{done:?}");
    line(&done.err, "smartermcp: ")
}

#[track_caller]
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(begin))
        .unwrap_or_else(|| panic!("no {begin} in {text}"))
}

/// A real Vault keeps what earlier runs wrote: each test has tenants of its own.
fn slug(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..10])
}

fn n8n_of(slug: &str) -> String {
    format!("tenants/{slug}/n8n")
}

async fn vault_is(app: &App, word: &str) {
    until("/health tells how Vault does", Duration::from_secs(20))
        .holds(|| async { app.nobody().get("/health").await.json["vault"] == word })
        .await;
}

fn as_strings<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

// Where credentials are.

#[tokio::test]
async fn a_credential_is_in_vault_and_the_database_names_its_path_and_version() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, user, n8n) = app.business(&luna).await;
    user.get(LIST).await.assert_status(200);
    let key = format!("key-of-{luna}");
    let (status, held) = server.read(&n8n_of(&luna)).await;
    assert_eq!(status, 200, "{held}");
    assert_eq!(held["data"]["data"]["api_key"], json!(key));
    assert_eq!(held["data"]["metadata"]["version"], 1);
    assert!(!folder_holds(app.folder(), &key).await, "the database holds no secret");
    assert!(!app.folder().join("master.key").exists(), "the database's key is in Vault");
    let health = app.nobody().get("/health").await;
    assert_eq!(
        (&health.json["vault"], &health.json["status"]),
        (&json!("connected"), &json!("healthy"))
    );
    assert!(app.nobody().get("/metrics").await.text.contains("smartermcp_vault_up 1"));

    // Replaced: a new version, which is used at once.
    let (url, other) = app.vendors.n8n(&format!("{luna}-two"), "another-key");
    app.connect_n8n(&tenant, &url, "another-key").await;
    user.get(LIST).await.assert_status(200);
    assert!(!other.last_request_headers().is_empty());
    assert_eq!(server.read(&n8n_of(&luna)).await.1["data"]["metadata"]["version"], 2);

    // An outcome that is kept, and a restart.
    let trigger = "/api/v1/workflows/wf_backup_db/trigger";
    let once = user.with_key("once").post(trigger, json!({})).await;
    once.assert_status(200);
    let folder = app.stop().await;
    let app = App::in_folder(folder, |config| server.put_on(config), backends::catalogue()).await;
    // The played n8n ended with the gateway that was stopped; a new one has the same name.
    let (url, _) = app.vendors.n8n(&format!("{luna}-three"), "another-key");
    let user = app.user_of(&user.token);
    let again = user.with_key("once").post(trigger, json!({})).await;
    assert_eq!(again.text, once.text, "the outcome opens after the restart");
    app.connect_n8n(&tenant, &url, "another-key").await;
    user.get(LIST).await.assert_status(200);
    drop(n8n);

    // Removed: gone for good, in each version.
    app.operator()
        .for_tenant(&tenant.id)
        .delete("/api/v1/connections/n8n")
        .await
        .assert_status(204);
    user.get(LIST).await.assert_problem(409, "not_connected");
    for version in ["", "?version=1", "?version=2", "?version=3"] {
        let (status, held) = server.read(&format!("{}{version}", n8n_of(&luna))).await;
        assert_eq!(status, 404, "{version}: {held}");
        assert_eq!(held["data"]["data"], Value::Null);
    }
    // And connected again.
    app.connect_n8n(&tenant, &url, "another-key").await;
    user.get(LIST).await.assert_status(200);
    assert_eq!(
        server.read(&n8n_of(&luna)).await.1["data"]["metadata"]["version"],
        4,
        "numbers are never given out twice"
    );
}

#[tokio::test]
async fn a_deleted_tenants_credentials_are_destroyed() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, ..) = app.business(&luna).await;
    app.operator()
        .delete(&format!("/api/v1/tenants/{}", tenant.id))
        .await
        .assert_status(204);
    assert_eq!(server.read(&n8n_of(&luna)).await.0, 404);
}

#[tokio::test]
async fn each_tenant_has_its_own_path_and_its_policy_opens_no_other() {
    let server = Server::start().await;
    let app = server.app().await;
    let (luna, sol) = (slug("luna"), slug("sol"));
    for slug in [&luna, &sol] {
        let (_, user, _) = app.business(slug).await;
        user.get(LIST).await.assert_status(200);
    }
    let applied = server
        .script("apply-vault-policies.sh", &["--tenant", &luna, "--tenant", &sol], &[])
        .await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    let token = server.token_of(&format!("tenant-{luna}")).await;
    let own = format!("smarteros/data/{}", n8n_of(&luna));
    let other = format!("smarteros/data/{}", n8n_of(&sol));
    let (status, held) = server.ask(&token, "GET", &own, Value::Null).await;
    assert_eq!((status, &held["data"]["data"]["api_key"]), (200, &json!(format!("key-of-{luna}"))));
    for (method, path) in [
        ("GET", other.as_str()),
        ("POST", &other),
        ("GET", &format!("smarteros/metadata/{}", n8n_of(&sol))),
        ("GET", "smarteros/data/mcp/hostinger"),
        ("POST", "transit/decrypt/smarteros-secrets"),
        ("POST", &format!("smarteros/destroy/{}", n8n_of(&luna))),
    ] {
        let body = if method == "GET" { Value::Null } else { json!({ "data": {} }) };
        let (status, said) = server.ask(&token, method, path, body).await;
        assert_eq!(status, 403, "{method} {path}: {said}");
        assert!(said["errors"][0].as_str().unwrap().contains("permission denied"), "{said}");
    }
    // Where its server is, it reads.
    let server_of = format!("smarteros/data/tenants/{luna}/vps_id");
    server.write(&format!("tenants/{luna}/vps_id"), json!({ "id": "1" })).await;
    assert_eq!(server.ask(&token, "GET", &server_of, Value::Null).await.0, 200);
    let another = json!({ "data": { "id": "2" } });
    assert_eq!(server.ask(&token, "POST", &server_of, another).await.0, 403);
    // Another tenant whose slug begins alike is another.
    let near = server
        .ask(&token, "GET", &format!("smarteros/data/tenants/{luna}x/n8n"), Value::Null)
        .await;
    assert_eq!(near.0, 403);
}

#[tokio::test]
async fn a_policy_opens_what_its_owner_needs_and_nothing_else() {
    let server = Server::start().await;
    let names = [
        "mcp/smartermcp",
        "mcp/hostinger",
        "mcp/odoo",
        "mcp/github",
        "ssh/deploy",
        "tenants/luna/n8n",
        "mcp/smartermcp-gateway",
    ];
    for name in names {
        server.write(name, json!({ "api_token": "x" })).await;
    }
    let opened = [
        ("mcp-smartermcp-read", &["mcp/smartermcp"][..]),
        ("mcp-hostinger-read", &["mcp/hostinger"]),
        (
            "agent-codex-mcp-access",
            &["mcp/smartermcp", "mcp/hostinger", "mcp/github", "ssh/deploy"],
        ),
        ("agent-gemini-mcp-access", &["mcp/smartermcp", "mcp/hostinger", "mcp/odoo"]),
        ("agent-copilot-mcp-access", &["mcp/smartermcp", "mcp/github"]),
        ("smartermcp-gateway", &["tenants/luna/n8n", "mcp/smartermcp-gateway"]),
    ];
    for (policy, opens) in opened {
        let token = server.token_of(policy).await;
        for name in names {
            let (status, said) = server.ask(&token, "GET", &format!("smarteros/data/{name}"), Value::Null).await;
            assert_eq!(status, if opens.contains(&name) { 200 } else { 403 }, "{policy} at {name}: {said}");
            let (status, _) = server
                .ask(
                    &token,
                    "POST",
                    &format!("smarteros/data/{name}"),
                    json!({ "data": { "api_token": "x" } }),
                )
                .await;
            let writes = matches!(
                (policy, name),
                ("agent-codex-mcp-access", "ssh/deploy") | ("smartermcp-gateway", "tenants/luna/n8n")
            );
            assert_eq!(status, if writes { 200 } else { 403 }, "{policy} writes {name}");
        }
        for path in [
            "smarteros/metadata/mcp?list=true",
            "smarteros/metadata/tenants?list=true",
            "sys/mounts",
            "sys/policies/acl/root",
        ] {
            assert_eq!(server.ask(&token, "GET", path, Value::Null).await.0, 403, "{policy} at {path}");
        }
    }
}

// What the operator does in Vault.

#[tokio::test]
async fn a_credential_that_the_operator_changed_or_deleted_is_seen_when_the_cache_is_over() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, user, _) = app.business(&luna).await;
    user.get(LIST).await.assert_status(200);
    server.write(&n8n_of(&luna), json!({ "api_key": "a-wrong-one" })).await;
    user.get(LIST).await.assert_status(200);
    app.clock.advance(6 * MINUTES);
    user.get(LIST).await.assert_problem(502, "credential_refused");
    server.write(&n8n_of(&luna), json!({ "api_key": format!("key-of-{luna}") })).await;
    app.clock.advance(6 * MINUTES);
    user.get(LIST).await.assert_status(200);

    // No credential of n8n at all.
    server.write(&n8n_of(&luna), json!({ "password": "hunter2-hunter2" })).await;
    app.clock.advance(6 * MINUTES);
    let wrong = user.get(LIST).await;
    wrong.assert_problem(409, "credential_missing");
    assert!(!wrong.text.contains("hunter2"), "{}", wrong.text);
    server
        .ask(&server.root, "DELETE", &format!("smarteros/data/{}", n8n_of(&luna)), Value::Null)
        .await;
    let gone = user.get(LIST).await;
    gone.assert_problem(409, "credential_missing");
    assert!(gone.json["detail"].as_str().unwrap().contains("deleted in Vault"), "{}", gone.text);
    user.call("workflows_list", json!({})).await.tool_error();
    app.connect_n8n(&tenant, &app.vendors.n8n(&luna, "new").0, "new").await;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_version_whose_row_was_never_stored_is_nobodys() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, user, _) = app.business(&luna).await;
    // As a gateway that died between Vault and the database leaves it.
    let left = json!({ "api_key": "of-another-n8n", "smartermcp_connection": uuid::Uuid::now_v7().to_string() });
    server.write(&n8n_of(&luna), left).await;
    user.get(LIST).await.assert_status(200);
    app.clock.advance(6 * MINUTES);
    user.get(LIST).await.assert_status(200);
    app.connect_n8n(&tenant, &app.vendors.n8n(&luna, "new").0, "new").await;
    user.get(LIST).await.assert_status(200);
    assert_eq!(server.read(&n8n_of(&luna)).await.1["data"]["metadata"]["version"], 3);
}

#[tokio::test]
async fn of_two_who_connect_at_once_one_credential_stays_with_its_address() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let tenant = app.tenant(&luna).await;
    let user = app.user(&tenant, &["read:workflows"]).await;
    let made: Vec<_> = (0..8)
        .map(|number| {
            let key = format!("key-{number}");
            (app.vendors.n8n(&format!("{luna}-{number}"), &key).0, key)
        })
        .collect();
    let replies = futures::future::join_all(made.iter().map(|(url, key)| {
        let operator = app.operator().for_tenant(&tenant.id);
        async move {
            operator
                .put("/api/v1/connections/n8n", json!({ "url": url, "credential": { "api_key": key } }))
                .await
        }
    }))
    .await;
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_connection_that_is_removed_while_it_is_set_anew_is_not_stored_without_its_credential() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, user, _) = app.business(&luna).await;
    let (url, _) = app.vendors.n8n(&luna, "new");
    let operator = app.operator().for_tenant(&tenant.id);
    let answers = Arc::new(tokio::sync::Semaphore::new(0));
    played.play().written = Some(Arc::clone(&answers));
    let (set, ()) = tokio::join!(
        operator.put("/api/v1/connections/n8n", json!({ "url": url, "credential": { "api_key": "new" } })),
        async {
            until("Vault has the new one", Duration::from_secs(2))
                .holds(|| async { server.read(&n8n_of(&luna)).await.1["data"]["metadata"]["version"] == 2 })
                .await;
            operator.delete("/api/v1/connections/n8n").await.assert_status(204);
            answers.add_permits(1);
        }
    );
    played.play().written = None;
    set.assert_problem(409, "conflict");
    assert!(set.json["detail"].as_str().unwrap().contains("nothing was stored"), "{}", set.text);
    user.get(LIST).await.assert_problem(409, "not_connected");
    app.connect_n8n(&tenant, &url, "new").await;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_wrong_mount_is_no_deleted_credential_and_what_is_to_be_destroyed_stays_noted() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (tenant, user, _) = app.business(&luna).await;
    let folder = app.stop().await;
    let elsewhere = |config: &mut Config| {
        config.vault = Some(VaultServer {
            login: VaultLogin::Token(Secret::new(server.root.as_str())),
            kv_mount: "nowhere".to_owned(),
            ..server.config()
        });
    };
    let app = App::in_folder(folder, elsewhere, backends::catalogue()).await;
    app.user_of(&user.token).get(LIST).await.assert_problem(503, "vault_away");
    app.operator()
        .for_tenant(&tenant.id)
        .delete("/api/v1/connections/n8n")
        .await
        .assert_status(204);
    let folder = app.stop().await;
    assert_eq!(server.read(&n8n_of(&luna)).await.0, 200, "it is there still");
    let _app = App::in_folder(folder, |config| server.put_on(config), backends::catalogue()).await;
    until("the job destroys it", Duration::from_secs(30))
        .holds(|| async { server.read(&n8n_of(&luna)).await.0 == 404 })
        .await;
}

#[tokio::test]
async fn what_vault_holds_of_another_tenants_row_is_not_opened() {
    let server = Server::start().await;
    let app = server.app().await;
    let (luna, sol) = (slug("luna"), slug("sol"));
    let tenants = [app.tenant(&luna).await, app.tenant(&sol).await];
    for tenant in &tenants {
        let key = format!("key-of-{}", tenant.slug);
        app.connect_n8n(tenant, &app.vendors.n8n(&tenant.slug, &key).0, &key).await;
    }
    // Luna's credential would be sent to an address of sol's.
    app.sql(
        "update connections set credential = (select credential from connections where tenant_id = (select id from tenants where slug like 'luna-%'))",
    )
    .await;
    let [luna, sol] = &tenants;
    app.user(sol, &["read:workflows"])
        .await
        .get(LIST)
        .await
        .assert_problem(500, "internal");
    app.user(luna, &["read:workflows"]).await.get(LIST).await.assert_status(200);
}

// Vault away.

#[tokio::test]
async fn while_vault_is_sealed_cached_credentials_go_on_until_they_expire_and_it_comes_back_by_itself() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (warm, cold) = (slug("warm"), slug("cold"));
    let (tenant, user, _) = app.business(&warm).await;
    let (_, stranger, _) = app.business(&cold).await;
    user.get(LIST).await.assert_status(200);
    played.set_fault(Fault::Sealed);

    let refused = stranger.get(LIST).await;
    refused.assert_problem(503, "vault_away");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.json["detail"].as_str().unwrap().contains("Vault"), "{}", refused.text);
    assert!(stranger.call("workflows_list", json!({})).await.tool_error().contains("Vault"));
    vault_is(&app, "disconnected").await;
    let health = app.nobody().get("/health").await;
    health.assert_status(200);
    assert_eq!(health.json["status"], "degraded");
    assert!(app.nobody().get("/metrics").await.text.contains("smartermcp_vault_up 0"));
    app.nobody().get("/health/ready").await.assert_status(200);

    user.get(LIST).await.assert_status(200);
    app.clock.advance(4 * MINUTES);
    user.get(LIST).await.assert_status(200);
    // An outcome is sealed without Vault.
    user.with_key("k")
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    app.clock.advance(2 * MINUTES);
    user.get(LIST).await.assert_problem(503, "vault_away");

    // Nothing is stored that Vault cannot take.
    let put = app
        .operator()
        .for_tenant(&tenant.id)
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": app.vendors.n8n(&warm, "new").0, "credential": { "api_key": "never-in-the-clear" } }),
        )
        .await;
    put.assert_problem(503, "vault_away");
    assert!(put.json["detail"].as_str().unwrap().contains("nothing was stored"), "{}", put.text);
    assert!(!folder_holds(app.folder(), "never-in-the-clear").await);

    played.set_fault(Fault::None);
    vault_is(&app, "connected").await;
    assert_eq!(app.nobody().get("/health").await.json["status"], "healthy");
    stranger.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_vault_that_is_not_well_costs_one_call_two_seconds_and_others_nothing() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (_, user, _) = app.business(&slug("luna")).await;
    for fault in [Fault::Silent, Fault::Html, Fault::Endless, Fault::Broken] {
        played.set_fault(fault);
        let began = std::time::Instant::now();
        app.state.connections.forget_all();
        user.get(LIST).await.assert_problem(503, "vault_away");
        let first = began.elapsed();
        assert!(first < Duration::from_secs(8), "{fault:?}: {first:?}");
        vault_is(&app, "disconnected").await;
        let began = std::time::Instant::now();
        for _ in 0..5 {
            user.get(LIST).await.assert_problem(503, "vault_away");
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{fault:?}: nobody waits for a Vault that is away"
        );
        played.set_fault(Fault::None);
        vault_is(&app, "connected").await;
        user.get(LIST).await.assert_status(200);
    }
}

#[tokio::test]
async fn one_tenants_credential_that_cannot_be_read_takes_vault_from_nobody_else() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (luna, sol) = (slug("luna"), slug("sol"));
    let (_, user, _) = app.business(&luna).await;
    let (_, other, _) = app.business(&sol).await;
    let odd = async |status: u16, code: &str| {
        app.state.connections.forget_all();
        played.asked();
        user.get(LIST).await.assert_problem(status, code);
        other.get(LIST).await.assert_status(200);
        assert!(!played.asked().iter().any(|asked| asked.ends_with("login")), "the session stays");
        assert_eq!(app.nobody().get("/health").await.json["vault"], "connected");
    };
    // Six times as long on the way: as long as a credential may be, and longer than one is read.
    let angles = |length: usize| json!({ "none_of_n8n": "<".repeat(length) });
    server.write(&n8n_of(&luna), angles(64_000)).await;
    odd(409, "credential_missing").await;
    server.write(&n8n_of(&luna), angles(128_000)).await;
    odd(503, "vault_away").await;
    server.write(&n8n_of(&luna), json!({ "api_key": format!("key-of-{luna}") })).await;
    played.play().broken_at = Some(format!("smarteros/data/{}", n8n_of(&luna)));
    odd(503, "vault_away").await;
    played.play().broken_at = None;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn of_many_calls_that_find_the_token_gone_one_logs_in() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (_, user, _) = app.business(&slug("luna")).await;
    user.get(LIST).await.assert_status(200);
    played.revoke_secret_ids();
    played.revoke_tokens();
    app.state.connections.forget_all();
    played.asked();
    let replies = futures::future::join_all((0..8).map(|_| user.get(LIST))).await;
    let logins = played
        .asked()
        .into_iter()
        .filter(|asked| asked == "POST auth/approle/login")
        .count();
    for reply in replies {
        reply.assert_problem(503, "vault_away");
    }
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn what_a_connection_left_in_a_vault_that_was_away_is_destroyed_when_it_is_back() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (luna, sol) = (slug("luna"), slug("sol"));
    let (tenant, ..) = app.business(&luna).await;
    let (other, user, _) = app.business(&sol).await;
    played.set_fault(Fault::Sealed);
    for tenant in [&tenant, &other] {
        app.operator()
            .for_tenant(&tenant.id)
            .delete("/api/v1/connections/n8n")
            .await
            .assert_status(204);
    }
    user.get(LIST).await.assert_problem(409, "not_connected");
    played.set_fault(Fault::None);
    vault_is(&app, "connected").await;
    // Connected anew before the job came to it: what was there goes first, and the new one stays.
    app.connect_n8n(&other, &app.vendors.n8n(&sol, "new").0, "new").await;
    assert_eq!(server.read(&format!("{}?version=1", n8n_of(&sol))).await.0, 404);
    until("the job destroys it", Duration::from_secs(30))
        .holds(|| async { server.read(&n8n_of(&luna)).await.0 == 404 })
        .await;
    user.get(LIST).await.assert_status(200);
    app.clock.advance(6 * MINUTES);
    user.get(LIST).await.assert_status(200);
}

// Logging in.

#[tokio::test]
async fn the_token_is_renewed_before_it_ends_and_a_lost_one_costs_no_call() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let (_, user, _) = app.business(&slug("luna")).await;
    let later = |by: Duration| {
        played.clock.advance(by);
        app.clock.advance(by);
    };
    played.asked();
    // Two thirds of an hour.
    later(41 * MINUTES);
    until("it is renewed", Duration::from_secs(10))
        .holds(|| async { played.asked().contains(&"POST auth/token/renew-self".to_owned()) })
        .await;
    later(41 * MINUTES);
    until("it is renewed again", Duration::from_secs(10))
        .holds(|| async { played.asked().contains(&"POST auth/token/renew-self".to_owned()) })
        .await;
    user.get(LIST).await.assert_status(200);
    assert_eq!(played.tokens(), 2, "root's and the gateway's, from its first login on");

    // Revoked: the call that finds it logs in anew, and nobody notices.
    played.revoke_tokens();
    app.state.connections.forget_all();
    user.get(LIST).await.assert_status(200);
    assert!(played.asked().contains(&"POST auth/approle/login".to_owned()));

    // With its secret id revoked as well it is out, until the file holds a new one.
    played.revoke_secret_ids();
    played.revoke_tokens();
    app.state.connections.forget_all();
    user.get(LIST).await.assert_problem(503, "vault_away");
    vault_is(&app, "disconnected").await;
    std::fs::remove_file(server.secret_id_file()).unwrap();
    server.bootstrap(&[], &[]).await;
    app.clock.advance(Duration::from_secs(6));
    vault_is(&app, "connected").await;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_gateway_with_a_token_renews_that_token() {
    let Some((server, played)) = Server::played().await else { return };
    let token = server.token_of("smartermcp-gateway").await;
    let app = App::with(|config| {
        config.vault = Some(VaultServer {
            login: VaultLogin::Token(Secret::new(token.as_str())),
            ..server.config()
        });
    })
    .await;
    let (_, user, _) = app.business(&slug("luna")).await;
    // Ten minutes.
    for by in [7, 7] {
        played.asked();
        played.clock.advance(by * MINUTES);
        app.clock.advance(by * MINUTES);
        until("it is renewed", Duration::from_secs(10))
            .holds(|| async { played.asked().contains(&"POST auth/token/renew-self".to_owned()) })
            .await;
    }
    user.get(LIST).await.assert_status(200);
    played.revoke_tokens();
    app.clock.advance(6 * MINUTES);
    user.get(LIST).await.assert_problem(503, "vault_away");
    assert_eq!(app.nobody().get("/health").await.json["vault"], "disconnected");
}

#[tokio::test]
async fn every_request_names_the_namespace() {
    let Some((server, played)) = Server::played().await else { return };
    played.play().namespace = Some("admin/smarteros".to_owned());
    let app = App::with(|config| {
        config.vault = Some(VaultServer {
            namespace: Some("admin/smarteros".to_owned()),
            ..server.config()
        });
    })
    .await;
    played.asked();
    let (_, user, _) = app.business(&slug("luna")).await;
    user.get(LIST).await.assert_status(200);
    let asked = played.play().asked.clone();
    assert!(asked.len() >= 3);
    assert!(
        asked.iter().all(|asked| asked.namespace.as_deref() == Some("admin/smarteros")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_login_that_vault_refuses_refuses_the_start() {
    let server = Server::start().await;
    let folder = Folder::new();
    let file = folder.0.join("wrong-id");
    std::fs::write(&file, "3c36fa1c-0000-4000-8000-000000000000\n").unwrap();
    let file = file.to_str().unwrap();
    let missing = folder.0.join("none");
    for (settings, says) in [
        (
            &[("VAULT_TOKEN", "hvs.wrong-token-of-nobody")][..],
            "Set VAULT_TOKEN to one that is valid",
        ),
        (
            &[("VAULT_ROLE_ID", server.role_id.as_str()), ("VAULT_SECRET_ID_FILE", file)],
            "VAULT_ROLE_ID and a secret id that is valid",
        ),
        (
            &[
                ("VAULT_ROLE_ID", server.role_id.as_str()),
                ("VAULT_SECRET_ID_FILE", missing.to_str().unwrap()),
            ],
            "cannot be read",
        ),
    ] {
        let settings = [settings, &[("VAULT_ADDR", server.address.as_str())]].concat();
        let done = cli::run_with(&folder.0, &["serve"], &settings, "").await;
        let said = refusal(&done);
        assert!(said.contains(says) && said.contains("VAULT_ADDR"), "{said}");
        assert!(!done.err.contains("hvs.wrong") && !done.err.contains("3c36fa1c"), "{done:?}");
    }
}

#[tokio::test]
async fn a_wrong_setting_of_vault_says_what_would_be_right() {
    let folder = Folder::new();
    let at = ("VAULT_ADDR", "http://127.0.0.1:1");
    let token = ("VAULT_TOKEN", "hvs.x");
    for (settings, says) in [
        (
            &[("VAULT_ADDR", "vault:8200")][..],
            "VAULT_ADDR is \"vault:8200\". What would be right: the http or https URL",
        ),
        (&[("VAULT_ADDR", "http://root:hidden@vault")], "VAULT_ADDR holds a user or a query"),
        (&[at], "nothing says how to log in there"),
        (&[token], "VAULT_TOKEN is set and VAULT_ADDR is not"),
        (&[at, token, ("VAULT_ROLE_ID", "r")], "VAULT_TOKEN is set beside an AppRole"),
        (&[at, ("VAULT_ROLE_ID", "r")], "VAULT_ROLE_ID is set without its secret id"),
        (&[at, ("VAULT_SECRET_ID", "hidden")], "VAULT_ROLE_ID is not set"),
        (&[at, ("VAULT_TOKEN", "hid den")], "VAULT_TOKEN holds blanks"),
        (
            &[at, token, ("SMARTERMCP_VAULT_CACHE_SECS", "0")],
            "SMARTERMCP_VAULT_CACHE_SECS is 0",
        ),
        (
            &[at, token, ("SMARTERMCP_VAULT_KV_MOUNT", "../sys")],
            "SMARTERMCP_VAULT_KV_MOUNT is \"../sys\"",
        ),
        (
            &[at, token, ("VAULT_CACERT", "/nowhere/ca.pem")],
            "VAULT_CACERT names /nowhere/ca.pem",
        ),
        (&[("SMARTERMCP_ADMIN_TOKEN", "vault:mcp/x#y")], "VAULT_ADDR is not set"),
        (&[at, token, ("SMARTERMCP_ADMIN_TOKEN", "vault:mcp/x")], "vault:PATH#FIELD"),
    ] {
        let done = cli::run_with(&folder.0, &["serve"], settings, "").await;
        let said = refusal(&done);
        assert!(said.contains(says) && !said.contains("hid"), "{settings:?}: {said}");
    }
}

#[tokio::test]
async fn a_gateway_whose_key_is_its_own_starts_without_its_vault_and_one_whose_key_is_there_does_not() {
    let Some((server, played)) = Server::played().await else { return };
    let app = server.app().await;
    let folder = app.stop().await;
    played.set_fault(Fault::Sealed);
    let settings = server.settings();
    let refused = cli::run_with(&folder, &["serve"], &as_strings(&settings), "").await;
    let said = refusal(&refused);
    assert!(
        said.contains("wrapped by Vault's Transit engine") && said.contains("Unseal"),
        "{said}"
    );
    let alone = cli::run_with(&folder, &["serve"], &[], "").await;
    assert!(refusal(&alone).contains("VAULT_ADDR is not set"), "{alone:?}");
    std::fs::remove_dir_all(&folder).unwrap();

    let app = App::with(|config| {
        server.put_on(config);
        config.master_key = MasterKeySource::Given(decode_key(&"5a".repeat(32)).unwrap());
    })
    .await;
    assert_eq!(app.nobody().get("/health").await.json["status"], "degraded");
    played.set_fault(Fault::None);
    vault_is(&app, "connected").await;
    let (_, user, _) = app.business(&slug("luna")).await;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn without_its_vault_a_gateway_says_so_and_connecting_anew_seals() {
    let server = Server::start().await;
    let own_key = |config: &mut Config| config.master_key = MasterKeySource::Given(decode_key(&"5a".repeat(32)).unwrap());
    let both = |config: &mut Config| {
        server.put_on(config);
        own_key(config);
    };
    let app = App::with(both).await;
    let luna = slug("luna");
    let (tenant, user, _) = app.business(&luna).await;
    let folder = app.stop().await;
    let app = App::in_folder(folder, own_key, backends::catalogue()).await;
    let user = app.user_of(&user.token);
    let refused = user.get(LIST).await;
    refused.assert_problem(503, "vault_away");
    assert!(
        refused.json["detail"].as_str().unwrap().contains("started without one"),
        "{}",
        refused.text
    );
    app.connect_n8n(&tenant, &app.vendors.n8n(&luna, "sealed-now").0, "sealed-now")
        .await;
    user.get(LIST).await.assert_status(200);
    assert_eq!(server.read(&n8n_of(&luna)).await.0, 200, "nobody here can destroy it");
    let folder = app.stop().await;
    let app = App::in_folder(folder, both, backends::catalogue()).await;
    until("the job destroys what was left", Duration::from_secs(30))
        .holds(|| async { server.read(&n8n_of(&luna)).await.0 == 404 })
        .await;
    app.connect_n8n(&tenant, &app.vendors.n8n(&luna, "new").0, "new").await;
    app.user_of(&user.token).get(LIST).await.assert_status(200);
}

// Moving, and the key.

#[tokio::test]
async fn credentials_and_key_are_moved_both_ways_while_the_gateway_runs() {
    let server = Server::start().await;
    // A gateway from before: everything sealed under its key file.
    let app = App::start().await;
    let (luna, sol) = (slug("luna"), slug("sol"));
    let (_, user, _) = app.business(&luna).await;
    let (_, other, _) = app.business(&sol).await;
    let trigger = "/api/v1/workflows/wf_backup_db/trigger";
    let once = user.with_key("once").post(trigger, json!({})).await;
    once.assert_status(200);
    let (token, url) = (user.token.clone(), app.vendors.clone());
    let folder = app.stop().await;
    let mut app = App::in_folder(folder, |config| server.put_on(config), backends::catalogue()).await;
    app.vendors = url;
    let reconnect = async |app: &App, slug: &str| {
        let tenant = Tenant {
            id: slug.to_owned(),
            slug: slug.to_owned(),
        };
        let (url, _) = n8n_at_an_address(&format!("key-of-{slug}")).await;
        app.operator()
            .for_tenant(&tenant.id)
            .put(
                "/api/v1/connections/n8n",
                json!({ "url": url, "credential": { "api_key": format!("key-of-{slug}") } }),
            )
            .await
            .assert_status(200);
    };
    let (user, other) = (app.user_of(&token), app.user_of(&other.token));
    // One goes to Vault by itself; the other is sealed still.
    reconnect(&app, &luna).await;
    assert_eq!(server.read(&n8n_of(&sol)).await.0, 404);
    let settings = server.settings();
    let settings = as_strings(&settings);
    let moved = cli::run_with(app.folder(), &["secrets", "move", "--to", "vault"], &settings, "").await;
    assert_eq!(moved.code, Some(0), "{moved:?}");
    assert!(
        moved
            .out
            .contains("1 credentials were moved and are in Vault; 1 were there already"),
        "{moved:?}"
    );
    assert!(!moved.out.contains("key-of") && !moved.err.contains("key-of"), "{moved:?}");
    assert_eq!(
        server.read(&n8n_of(&sol)).await.1["data"]["data"]["api_key"],
        json!(format!("key-of-{sol}"))
    );
    user.get(LIST).await.assert_status(200);
    let again = user.with_key("once").post(trigger, json!({})).await;
    assert_eq!(again.text, once.text, "the outcome was sealed anew");
    // The gateway that ran through it seals under the new key.
    user.with_key("twice").post(trigger, json!({})).await.assert_status(200);
    let repeated = cli::run_with(app.folder(), &["secrets", "move", "--to", "vault"], &settings, "").await;
    assert!(
        repeated.out.contains("0 credentials were moved") && repeated.out.contains("2 were there already"),
        "{repeated:?}"
    );
    assert!(repeated.out.contains("key was there already"), "{repeated:?}");

    // A gateway that knows no Vault says so.
    let alone = cli::run(app.folder(), &["tenant", "list"]).await;
    assert!(refusal(&alone).contains("VAULT_ADDR is not set"), "{alone:?}");

    let back = cli::run_with(app.folder(), &["secrets", "move", "--to", "sealed"], &settings, "").await;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert!(
        back.out.contains("2 credentials were moved and are sealed in the database"),
        "{back:?}"
    );
    for slug in [&luna, &sol] {
        assert_eq!(server.read(&n8n_of(slug)).await.0, 404, "Vault's copy is destroyed");
        assert!(!folder_holds(app.folder(), &format!("key-of-{slug}")).await);
    }
    user.get(LIST).await.assert_status(200);
    assert_eq!(user.with_key("once").post(trigger, json!({})).await.text, once.text);
    drop(other);
    let folder = app.stop().await;
    let app = App::in_folder(folder, |_| {}, backends::catalogue()).await;
    app.user_of(&token).get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_move_that_vault_stops_is_run_again() {
    let Some((server, played)) = Server::played().await else { return };
    let app = App::start().await;
    for name in ["luna", "sol", "mar"] {
        app.business(&slug(name)).await;
    }
    let folder = app.stop().await;
    let settings = server.settings();
    let settings = as_strings(&settings);
    let to_vault = ["secrets", "move", "--to", "vault"];
    played.set_fault(Fault::Sealed);
    let stopped = cli::run_with(&folder, &to_vault, &settings, "").await;
    assert!(refusal(&stopped).contains("nothing was moved"), "{stopped:?}");
    // Stopped in the middle: the policy has gone when the key is to follow.
    let policy = json!({ "policy": "path \"smarteros/+/tenants/+/+\" { capabilities = [\"create\", \"read\", \"update\"] }" });
    played.set_fault(Fault::None);
    server.ask(&server.root, "PUT", "sys/policies/acl/smartermcp-gateway", policy).await;
    let half = cli::run_with(&folder, &to_vault, &settings, "").await;
    assert!(refusal(&half).contains("makes no key for the database"), "{half:?}");
    server.script("apply-vault-policies.sh", &[], &[]).await;
    let done = cli::run_with(&folder, &to_vault, &settings, "").await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.out.contains("0 credentials were moved and are in Vault; 3 were there already"),
        "{done:?}"
    );
    assert!(
        done.out
            .contains("3 credentials and 0 kept outcomes are sealed under a new master key"),
        "{done:?}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_databases_key_and_transits_are_rotated_under_a_running_gateway() {
    let server = Server::start().await;
    let app = server.app().await;
    let luna = slug("luna");
    let (_, user, _) = app.business(&luna).await;
    let trigger = "/api/v1/workflows/wf_backup_db/trigger";
    let once = user.with_key("once").post(trigger, json!({})).await;
    once.assert_status(200);
    let settings = server.settings();
    let settings = as_strings(&settings);
    let rotated = cli::run_with(app.folder(), &["secrets", "rotate-key"], &settings, "").await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    assert!(rotated.out.contains("wrapped by Vault's Transit key"), "{rotated:?}");
    assert_eq!(user.with_key("once").post(trigger, json!({})).await.text, once.text);
    user.with_key("twice").post(trigger, json!({})).await.assert_status(200);
    app.state.connections.forget_all();
    user.get(LIST).await.assert_status(200);

    let (status, _) = server
        .ask(&server.root, "POST", "transit/keys/smarteros-secrets/rotate", json!({}))
        .await;
    assert!([200, 204].contains(&status));
    let doctor = cli::run_with(app.folder(), &["doctor"], &settings, "").await;
    assert!(doctor.out.contains("smartermcp secrets rewrap"), "{doctor:?}");
    let rewrapped = cli::run_with(app.folder(), &["secrets", "rewrap"], &settings, "").await;
    assert_eq!(rewrapped.code, Some(0), "{rewrapped:?}");
    assert!(rewrapped.out.contains("The key itself is the same"), "{rewrapped:?}");
    if let Some(played) = &server.played {
        // What was wrapped by the first version does not open any more; ours is by the second.
        played.play().least_decryption = 2;
    }
    let folder = app.stop().await;
    let app = App::in_folder(folder, |config| server.put_on(config), backends::catalogue()).await;
    let user = app.user_of(&user.token);
    assert_eq!(user.with_key("once").post(trigger, json!({})).await.text, once.text);
    let local = cli::run(app.folder(), &["secrets", "rewrap"]).await;
    assert!(refusal(&local).contains("VAULT_ADDR is not set"), "{local:?}");
}

#[tokio::test]
async fn a_replica_follows_a_rotation_and_a_removal() {
    let server = Server::start().await;
    if !crate::servers::given() {
        return;
    }
    let app = server.app().await;
    let (tenant, user, _) = app.business(&slug("luna")).await;
    let replica = app.replica().await;
    let there = replica.user_of(&user.token);
    there.get(LIST).await.assert_status(200);
    let settings = server.settings();
    let rotated = cli::run_with(app.folder(), &["secrets", "rotate-key"], &as_strings(&settings), "").await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    replica.state.connections.forget_all();
    there.get(LIST).await.assert_status(200);
    app.connect_n8n(&tenant, &app.vendors.n8n("elsewhere", "new").0, "new").await;
    until("the replica takes the new one", Duration::from_secs(5))
        .holds(|| async { there.get(LIST).await.status == 200 })
        .await;
    app.operator()
        .for_tenant(&tenant.id)
        .delete("/api/v1/connections/n8n")
        .await
        .assert_status(204);
    until("the replica forgets it", Duration::from_secs(5))
        .holds(|| async { there.get(LIST).await.status == 409 })
        .await;
}

#[tokio::test]
async fn a_backup_opens_with_the_vault_of_its_time() {
    if crate::servers::given() {
        return;
    }
    let server = Server::start().await;
    let app = server.app().await;
    let (_, user, _) = app.business(&slug("luna")).await;
    let settings = server.settings();
    let settings = as_strings(&settings);
    let kept = Folder::new();
    let file = kept.0.join("backup.db");
    let file = file.to_str().unwrap();
    let written = cli::run_with(app.folder(), &["backup", file], &settings, "").await;
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(written.out.contains("wrapped by Vault's Transit key"), "{written:?}");
    let vendors = app.vendors.clone();
    let folder = app.stop().await;
    let without = cli::run(&folder, &["restore", file]).await;
    assert!(refusal(&without).contains("VAULT_ADDR is not set"), "{without:?}");
    let restored = cli::run_with(&folder, &["restore", file], &settings, "").await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let app = App::in_folder(folder, |config| server.put_on(config), backends::catalogue()).await;
    app.user_of(&user.token).get(LIST).await.assert_status(200);
    drop(vendors);
}

// The operator's side.

#[tokio::test]
async fn the_scripts_set_up_a_fresh_vault_and_can_be_repeated() {
    let server = Server::start().await;
    let state = async || {
        let mut all = Vec::new();
        for path in [
            "sys/mounts",
            "sys/auth",
            "transit/keys/smarteros-secrets",
            "auth/approle/role/smartermcp-gateway",
            "auth/approle/role/smartermcp-gateway/role-id",
            "sys/policies/acl/smartermcp-gateway",
            "sys/policies/acl/mcp-smartermcp-read",
            "sys/policies/acl/mcp-hostinger-read",
            "sys/policies/acl/agent-codex-mcp-access",
            "sys/policies/acl/agent-gemini-mcp-access",
            "sys/policies/acl/agent-copilot-mcp-access",
            "smarteros/data/mcp/hostinger",
            "smarteros/data/mcp/smartermcp",
            "smarteros/data/mcp/smartermcp-gateway",
        ] {
            let (status, mut said) = server.ask(&server.root, "GET", path, Value::Null).await;
            assert_eq!(status, 200, "{path}: {said}");
            said["data"]["metadata"]["created_time"] = Value::Null;
            all.push(said["data"].clone());
        }
        all
    };
    let secrets = [
        ("MCP_HOSTINGER_API_TOKEN", "hostinger-token-of-the-tests"),
        ("MCP_SMARTERMCP_API_TOKEN", "smcp_of-the-tests"),
        ("SMARTERMCP_ADMIN_TOKEN", OPERATOR),
    ];
    let first = server.bootstrap(&[], &secrets).await;
    let before = state().await;
    let second = server.bootstrap(&[], &secrets).await;
    assert_eq!(before, state().await, "nothing changed the second time");
    assert!(second.out.contains("smarteros/mcp/hostinger is there"), "{second:?}");
    for done in [&first, &second] {
        for secret in ["hostinger-token-of-the-tests", "smcp_of", OPERATOR, server.root.as_str()] {
            assert!(!done.out.contains(secret) && !done.err.contains(secret), "{done:?}");
        }
    }
    // Any field that differs is written, and what is not said stays.
    let mut changed = secrets.to_vec();
    changed.push(("MCP_SMARTERMCP_TENANT_ID", "panaderia-luna"));
    server.bootstrap(&[], &changed).await;
    let third = server.bootstrap(&[], &secrets).await;
    assert!(third.out.contains("smarteros/mcp/smartermcp is there"), "{third:?}");
    let held = server.read("mcp/smartermcp").await.1["data"]["data"].clone();
    assert_eq!(
        held,
        json!({ "api_token": "smcp_of-the-tests", "tenant_id": "panaderia-luna", "endpoint": "https://mcp.smarterbot.cl" })
    );
    // A file that holds nothing is filled, and one of another Vault is not taken for ours.
    std::fs::write(server.secret_id_file(), "").unwrap();
    server.bootstrap(&[], &[]).await;
    let foreign = server.folder.0.join("of-another-vault");
    std::fs::write(&foreign, "3c36fa1c-0000-4000-8000-000000000000\n").unwrap();
    let refused = server
        .script("bootstrap-mcp-vault.sh", &["--secret-id-file", foreign.to_str().unwrap()], &[])
        .await;
    assert!(refused.code == Some(1) && refused.err.contains("move the file away"), "{refused:?}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(server.secret_id_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (arguments, says) in [(&["--tenant", "../etc"][..], "is no slug"), (&["--frobnicate"], "is unknown")] {
        let wrong = server.script("apply-vault-policies.sh", arguments, &[]).await;
        assert!(wrong.code == Some(1) && wrong.err.contains(says), "{wrong:?}");
    }
    let nobody = server.script("bootstrap-mcp-vault.sh", &[], &[("VAULT_TOKEN", "hvs.wrong")]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("HTTP 403"), "{nobody:?}");
}

#[tokio::test]
async fn the_operators_token_may_be_in_vault() {
    let server = Server::start().await;
    server.bootstrap(&[], &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR)]).await;
    let at = |field: &str| {
        let field = VaultField {
            path: "mcp/smartermcp-gateway".to_owned(),
            field: field.to_owned(),
        };
        move |config: &mut Config| {
            config.admin_token = None;
            config.admin_token_at = Some(field);
        }
    };
    let app = App::with(|config| {
        server.put_on(config);
        at("admin_token")(config);
    })
    .await;
    app.operator().get("/api/v1/tenants").await.assert_status(200);
    let folder = Folder::new();
    let mut settings = server.settings();
    settings.push(("SMARTERMCP_ADMIN_TOKEN", "vault:mcp/smartermcp-gateway#nothing".to_owned()));
    let done = cli::run_with(&folder.0, &["serve"], &as_strings(&settings), "").await;
    assert!(refusal(&done).contains("has no such field"), "{done:?}");
}

#[tokio::test]
async fn the_doctor_says_which_part_of_vault_is_wrong() {
    let server = Server::start().await;
    let folder = Folder::new();
    let settings = server.settings();
    let settings = as_strings(&settings);
    cli::run_with(&folder.0, &["tenant", "list"], &settings, "").await.json();
    let doctor = async |settings: &[(&str, &str)]| cli::run_with(&folder.0, &["doctor"], settings, "").await;
    let well = doctor(&settings).await;
    for says in [
        "ok    vault: Vault",
        "ok    vault policy: allows all",
        "ok    vault transit: the key smarteros-secrets",
        "wrapped by Vault, opens all 0",
    ] {
        assert!(well.out.contains(says), "{says}: {well:?}");
    }
    let root = doctor(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", &server.root)]).await;
    assert!(root.out.contains("warn  vault: VAULT_TOKEN is root's"), "{root:?}");
    assert!(!root.out.contains(&server.root), "{root:?}");
    let little = server.token_of("mcp-smartermcp-read").await;
    let weak = doctor(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", &little)]).await;
    assert!(
        weak.out
            .contains("FAIL  vault policy: does not allow create, read, update on smarteros/data/tenants/doctor/probe"),
        "{weak:?}"
    );
    assert!(
        weak.out
            .contains("FAIL  vault transit: the key smarteros-secrets in the Transit engine at transit/ cannot be looked at"),
        "{weak:?}"
    );
    let wrong = doctor(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "hvs.wrong")]).await;
    assert!(
        wrong.out.contains("FAIL  vault: VAULT_ADDR: it does not let this gateway in"),
        "{wrong:?}"
    );
    let nowhere = doctor(&[("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_TOKEN", "hvs.x")]).await;
    assert!(nowhere.out.contains("http://127.0.0.1:1/ cannot be asked"), "{nowhere:?}");
    if let Some(played) = &server.played {
        played.set_fault(Fault::Sealed);
        let sealed = doctor(&settings).await;
        assert!(
            sealed.out.contains("FAIL  vault: VAULT_ADDR: it is sealed: unseal it"),
            "{sealed:?}"
        );
        assert!(sealed.out.contains("FAIL  master key"), "{sealed:?}");
    }
}

#[tokio::test]
async fn no_log_line_and_no_answer_holds_a_secret_whatever_is_logged() {
    let server = Server::start().await;
    let folder = Folder::new();
    let mut settings = server.settings();
    settings.push(("SMARTERMCP_ADMIN_TOKEN", OPERATOR.to_owned()));
    settings.push(("RUST_LOG", "trace".to_owned()));
    let gateway = Process::serve_with(&folder.0, &as_strings(&settings)).await;
    let luna = slug("luna");
    let operator = gateway.operator();
    operator
        .post("/api/v1/tenants", json!({ "name": "L", "slug": luna }))
        .await
        .assert_status(201);
    let (url, _) = n8n_at_an_address("the-key-of-the-backend").await;
    let connected = operator
        .for_tenant(&luna)
        .put(
            "/api/v1/connections/n8n",
            json!({ "url": url, "credential": { "api_key": "the-key-of-the-backend" } }),
        )
        .await;
    connected.assert_status(200);
    let issued = operator
        .post(
            "/auth/token",
            json!({ "name": "x", "tenant_id": luna, "scopes": ["read:workflows"] }),
        )
        .await;
    let user: User = gateway.user(issued.json["api_token"].as_str().unwrap());
    user.get(LIST).await.assert_status(200);
    if let Some(played) = &server.played {
        played.revoke_tokens();
    }
    operator
        .for_tenant(&luna)
        .post("/api/v1/connections/n8n/test", json!({}))
        .await
        .assert_status(200);
    let log = gateway.stop().await;
    let secret_id = std::fs::read_to_string(server.secret_id_file()).unwrap();
    for secret in ["the-key-of-the-backend", secret_id.trim(), "hvs.", server.root.as_str()] {
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{secret}: {found:?}");
        assert!(!folder_holds(&folder.0, secret).await, "{secret} is in the data directory");
    }
    assert!(!connected.text.contains("the-key-of-the-backend"));
}

// The played one, as others see it.

#[tokio::test]
async fn vaultrs_own_client_agrees_with_the_played_vault() {
    use vaultrs::{
        api::kv2::requests::SetSecretRequestOptions,
        auth::approle,
        client::{VaultClient, VaultClientSettingsBuilder},
        error::ClientError,
        kv2, sys, token, transit,
    };
    let server = Server::start().await;
    let client_of = |token: &str| {
        let settings = VaultClientSettingsBuilder::default()
            .address(&server.address)
            .token(token)
            .build()
            .unwrap();
        VaultClient::new(settings).unwrap()
    };
    let root = client_of(&server.root);
    assert!(matches!(root.status().await.unwrap(), sys::ServerStatus::OK));
    let path = n8n_of(&slug("client"));
    let secret = json!({ "api_key": "k", "nested": { "one": 1 } });
    assert_eq!(kv2::set(&root, "smarteros", &path, &secret).await.unwrap().version, 1);
    let written = kv2::set_with_options(&root, "smarteros", &path, &secret, SetSecretRequestOptions { cas: 1 }).await;
    assert_eq!(written.unwrap().version, 2);
    let stale = kv2::set_with_options(&root, "smarteros", &path, &secret, SetSecretRequestOptions { cas: 1 }).await;
    assert!(matches!(stale, Err(ClientError::APIError { code: 400, .. })), "{stale:?}");
    assert_eq!(kv2::read::<Value>(&root, "smarteros", &path).await.unwrap(), secret);
    assert_eq!(kv2::read_version::<Value>(&root, "smarteros", &path, 1).await.unwrap(), secret);
    assert_eq!(kv2::read_metadata(&root, "smarteros", &path).await.unwrap().current_version, 2);
    kv2::destroy_versions(&root, "smarteros", &path, vec![1]).await.unwrap();
    assert!(kv2::read_version::<Value>(&root, "smarteros", &path, 1).await.is_err());
    kv2::delete_latest(&root, "smarteros", &path).await.unwrap();
    let gone = kv2::read::<Value>(&root, "smarteros", &path).await;
    assert!(gone.is_err(), "{gone:?}");
    kv2::undelete_versions(&root, "smarteros", &path, vec![2]).await.unwrap();
    assert_eq!(kv2::read::<Value>(&root, "smarteros", &path).await.unwrap(), secret);
    let folder = path.rsplit_once('/').unwrap().0;
    assert_eq!(kv2::list(&root, "smarteros", folder).await.unwrap(), ["n8n"]);

    let secret_id = std::fs::read_to_string(server.secret_id_file()).unwrap();
    let auth = approle::login(&root, "approle", &server.role_id, secret_id.trim()).await.unwrap();
    assert!(auth.renewable && auth.lease_duration == 3600, "{} s", auth.lease_duration);
    let gateway = client_of(&auth.client_token);
    assert!(gateway.lookup().await.unwrap().policies.contains(&"smartermcp-gateway".to_owned()));
    assert_eq!(gateway.renew(None).await.unwrap().lease_duration, 3600);
    assert_eq!(kv2::read::<Value>(&gateway, "smarteros", &path).await.unwrap(), secret);
    let denied = kv2::list(&gateway, "smarteros", "tenants").await;
    assert!(matches!(denied, Err(ClientError::APIError { code: 403, .. })), "{denied:?}");

    let made = transit::data::encrypt(&root, "transit", "smarteros-secrets", "aGVsbG8=", None)
        .await
        .unwrap();
    assert!(made.ciphertext.starts_with("vault:v"));
    let anew = transit::data::rewrap(&root, "transit", "smarteros-secrets", &made.ciphertext, None)
        .await
        .unwrap();
    let opened = transit::data::decrypt(&root, "transit", "smarteros-secrets", &anew.ciphertext, None)
        .await
        .unwrap();
    assert_eq!(opened.plaintext, "aGVsbG8=");
    token::revoke_self(&gateway).await.unwrap();
    assert!(kv2::read::<Value>(&gateway, "smarteros", &path).await.is_err());
}

/// The client that Python programs use, which is not ours and knows real ones.
#[tokio::test]
async fn hvac_agrees_with_the_played_vault() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let python = clients.join(".venv/bin/python");
    assert!(
        python.is_file(),
        "the packages of tests/clients are not installed; `make test` installs them, and so does `make clients`"
    );
    let server = Server::start().await;
    let secret_id = std::fs::read_to_string(server.secret_id_file()).unwrap();
    let said = Command::new(python)
        .arg(clients.join("vault_client.py"))
        .env("VAULT_ADDR", &server.address)
        .env("VAULT_ROOT", &server.root)
        .env("VAULT_PATH", n8n_of(&slug("hvac")))
        .env("VAULT_ROLE_ID", &server.role_id)
        .env("VAULT_SECRET_ID", secret_id.trim())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    println!("{out}");
    assert!(said.status.success(), "{out}\n{err}");
    let said: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(said["done"], json!(["system", "kv", "approle", "transit", "revoked"]));
}
