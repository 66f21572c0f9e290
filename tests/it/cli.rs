//! The command line, run as the binary that ships: what the operator does at the console, and what a wrong setting says.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use smartermcp::sandbox::n8n::Sandbox;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    app::{App, OPERATOR, User},
    daemons,
};

/// A folder of this test's own, removed at its end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("smartermcp-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary, over a folder, with no settings but these.
pub fn command(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartermcp"));
    command
        .args(arguments)
        .env_clear()
        .env("SMARTERMCP_DATA_DIR", folder)
        .env("SMARTERMCP_LISTEN", "127.0.0.1:0")
        .env("SMARTERMCP_BACKEND_ALLOW", "127.0.0.1/32")
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.envs(crate::servers::settings_of(folder));
    for (name, value) in settings {
        command.env(name, value);
    }
    command
}

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The JSON that a command which succeeded printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What a command that failed said, in its last line.
    #[track_caller]
    pub fn failure(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        let last = self.err.trim_end().lines().last().unwrap_or_default();
        last.strip_prefix("smartermcp: ").unwrap_or_else(|| panic!("no sentence: {self:?}"))
    }
}

/// Runs a command to its end; one that goes on for 20 s is no command.
pub async fn run_with(folder: &Path, arguments: &[&str], settings: &[(&str, &str)], input: &str) -> Done {
    let mut child = command(folder, arguments, settings).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .unwrap();
    Done {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub async fn run(folder: &Path, arguments: &[&str]) -> Done {
    run_with(folder, arguments, &[], "").await
}

/// `smartermcp serve` as a process.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    pub async fn serve(folder: &Path) -> Self {
        Self::serve_with(folder, &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR)]).await
    }

    pub async fn serve_with(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = command(folder, &["serve"], settings).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let address = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the server says that it serves");
                log.lock().unwrap().push_str(&format!("{line}\n"));
                let parsed: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the log: {line}"));
                if parsed["message"] == "serving" {
                    return parsed["address"].as_str().unwrap().parse().unwrap();
                }
            }
        })
        .await
        .expect("the server starts within 20 s");
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, address, log }
    }

    pub fn user(&self, token: &str) -> User {
        User::at(&format!("http://{}", self.address), token)
    }

    pub fn operator(&self) -> User {
        self.user(OPERATOR)
    }

    /// As SIGKILL does it, in the middle of whatever goes on.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// As an operator stops it; answers all that it logged.
    pub async fn stop(mut self) -> String {
        let pid = self.child.id().unwrap();
        let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.unwrap();
        assert!(told.success());
        let status = tokio::time::timeout(Duration::from_secs(20), self.child.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        // The reader of the log ends with the process; give it the moment that it needs.
        for _ in 0..100 {
            if self.log().contains("\"stopped\"") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.log()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The operator's token, which the first start tells on standard output.
    async fn first_token(&mut self) -> String {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the first start tells a token");
                if line.starts_with("smcp_") {
                    return line;
                }
            }
        })
        .await
        .expect("the first start tells a token")
    }
}

/// An n8n at a loopback address, which a process can reach without our name table.
pub async fn n8n_at_an_address(api_key: &str) -> (String, Sandbox) {
    let sandbox = Sandbox::new(api_key);
    sandbox.demo_workflows();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, sandbox)
}

// At the console.

#[tokio::test]
async fn tokens_are_issued_listed_rotated_and_revoked_at_the_console() {
    let folder = Folder::new();
    let server = Process::serve(&folder.0).await;
    run(&folder.0, &["tenant", "create", "--name", "Luna", "--slug", "luna"])
        .await
        .json();
    let issued = run(
        &folder.0,
        &[
            "token",
            "create",
            "--name",
            "ops",
            "--scopes",
            "read:workflows,write:crm",
            "--tenant",
            "luna",
            "--agent",
            "codex",
        ],
    )
    .await
    .json();
    assert_eq!(issued["scopes"], json!(["read:workflows", "write:crm"]));
    assert_eq!(issued["agent"], "codex");
    let user = server.user(issued["api_token"].as_str().unwrap());
    let who = user.get("/api/v1/whoami").await;
    assert_eq!(who.json["tenant"]["slug"], "luna");

    let listed = run(&folder.0, &["token", "list", "--tenant", "luna"]).await;
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(listed.json()["tokens"][0]["created_by"], "operator:console");
    assert!(!listed.out.contains("smcp_"), "{}", listed.out);

    let id = issued["id"].as_str().unwrap();
    let rotated = run(&folder.0, &["token", "rotate", id, "--overlap-secs", "0"]).await.json();
    let new = server.user(rotated["api_token"].as_str().unwrap());
    new.get("/api/v1/whoami").await.assert_status(200);
    refused_within_a_second(&user).await;

    assert_eq!(
        run(&folder.0, &["token", "revoke", rotated["id"].as_str().unwrap()]).await.code,
        Some(0)
    );
    refused_within_a_second(&new).await;
    assert!(run(&folder.0, &["token", "revoke", id]).await.code.is_some());
    let unknown = run(&folder.0, &["token", "revoke", "nothing"]).await;
    assert!(unknown.failure().contains("nothing"), "{unknown:?}");
}

async fn refused_within_a_second(user: &User) {
    let since = tokio::time::Instant::now();
    while user.get("/api/v1/whoami").await.status != 401 {
        assert!(since.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_of_the_console_falls_to_the_default_tenant_and_wrong_scopes_are_refused() {
    let folder = Folder::new();
    let issued = run(&folder.0, &["token", "create", "--scopes", "read:crm"]).await.json();
    let tenants = run(&folder.0, &["tenant", "list"]).await.json();
    assert_eq!(tenants["tenants"][0]["slug"], "default");
    assert_eq!(issued["tenant_id"], tenants["tenants"][0]["id"]);
    let wrong = run(&folder.0, &["token", "create", "--scopes", "read:moon"]).await;
    assert!(wrong.failure().contains("scopes"), "{wrong:?}");
    let none = run(&folder.0, &["token", "create"]).await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.err.contains("--scopes"), "{none:?}");
}

#[tokio::test]
async fn tenants_are_made_listed_suspended_and_resumed_at_the_console() {
    let folder = Folder::new();
    let made = run(
        &folder.0,
        &[
            "tenant",
            "create",
            "--name",
            "Panadería Luna",
            "--slug",
            "luna",
            "--plan",
            "demo",
            "--rut",
            "76.192.083-9",
            "--time-zone",
            "America/Punta_Arenas",
            "--backend-allow",
            "10.8.0.0/24,10.9.0.0/24",
        ],
    )
    .await
    .json();
    assert_eq!((&made["plan"], &made["rut"]), (&json!("demo"), &json!("76192083-9")));
    assert_eq!(made["backend_allow"], json!(["10.8.0.0/24", "10.9.0.0/24"]));
    let listed = run(&folder.0, &["tenant", "list"]).await.json();
    let slugs: Vec<_> = listed["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tenant| tenant["slug"].clone())
        .collect();
    assert!(
        slugs.len() == 2 && slugs.contains(&json!("luna")) && slugs.contains(&json!("default")),
        "{slugs:?}"
    );
    assert_eq!(run(&folder.0, &["tenant", "suspend", "luna"]).await.json()["status"], "suspended");
    assert_eq!(run(&folder.0, &["tenant", "resume", "luna"]).await.json()["status"], "active");
    let taken = run(&folder.0, &["tenant", "create", "--name", "x", "--slug", "luna"]).await;
    assert!(taken.failure().contains("'luna' is taken"), "{taken:?}");
    let unknown = run(&folder.0, &["tenant", "suspend", "nobody"]).await;
    assert_eq!(unknown.failure(), "Tenant 'nobody' not found or access denied");
}

#[tokio::test]
async fn a_connection_is_set_from_standard_input_tested_and_listed_at_the_console() {
    let folder = Folder::new();
    let (url, n8n) = n8n_at_an_address("key-of-luna").await;
    run(&folder.0, &["tenant", "create", "--name", "Luna", "--slug", "luna"])
        .await
        .json();
    let of_luna = ["--tenant", "luna", "--backend", "n8n"];
    let set = |credential: &'static str| {
        let arguments = [&["connection", "set"][..], &of_luna, &["--url", &url, "--credential", "-"]].concat();
        let (folder, arguments) = (folder.0.clone(), arguments.into_iter().map(str::to_owned).collect::<Vec<_>>());
        async move {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            run_with(&folder, &arguments, &[], credential).await
        }
    };
    let wrong = set(r#"{"api_key": "wrong-key"}"#).await;
    assert_eq!(wrong.json()["backend"], "n8n");
    assert!(n8n.last_request_headers().is_empty(), "storing calls nobody");
    let test = [&["connection", "test"][..], &of_luna].concat();
    let refused = run(&folder.0, &test).await;
    assert!(!refused.failure().contains("wrong-key"), "{refused:?}");

    let done = set(r#"{"api_key": "key-of-luna"}"#).await;
    assert!(!format!("{done:?}").contains("key-of-luna"), "{done:?}");
    assert_eq!(run(&folder.0, &test).await.json()["ok"], true);
    let listed = run(&folder.0, &["connection", "list", "--tenant", "luna"]).await;
    assert_eq!(listed.json()["connections"][0]["url"], url);
    assert!(!listed.out.contains("key-of-luna"), "{}", listed.out);

    for (credential, said) in [("not json", "--credential"), (r#"{"apikey": "key-of-luna"}"#, "credential.apikey")] {
        let refused = set(credential).await;
        assert!(refused.failure().contains(said), "{refused:?}");
        assert!(!refused.err.contains("key-of-luna"), "{refused:?}");
    }
    let remove = [&["connection", "remove"][..], &of_luna].concat();
    assert_eq!(run(&folder.0, &remove).await.code, Some(0));
    assert_eq!(run(&folder.0, &remove).await.code, Some(1));
}

#[tokio::test]
async fn a_lost_operators_token_is_replaced_at_the_console() {
    let folder = Folder::new();
    let mut server = Process::serve_with(&folder.0, &[]).await;
    let told = server.first_token().await;
    let first = server.user(&told);
    assert_eq!(first.get("/api/v1/whoami").await.json["operator"], true);

    let replaced = run(&folder.0, &["token", "create", "--operator"]).await;
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    let second = server.user(replaced.out.trim());
    assert_eq!(second.get("/api/v1/whoami").await.json["operator"], true);
    refused_within_a_second(&first).await;

    // It is told once: the next start makes none.
    server.stop().await;
    let again = Process::serve_with(&folder.0, &[]).await;
    assert_eq!(again.user(&second.token).get("/api/v1/whoami").await.json["operator"], true);
}

#[tokio::test]
async fn a_switch_at_the_console_is_seen_by_the_server_within_a_second() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    let off = run(
        app.folder(),
        &["switch", "off", "--backend", "n8n", "--reason", "n8n is being upgraded"],
    )
    .await
    .json();
    let since = tokio::time::Instant::now();
    while user.get("/api/v1/workflows").await.status != 503 {
        assert!(since.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(run(app.folder(), &["switch", "list"]).await.json()["switches"][0]["id"], off["id"]);
    assert_eq!(
        run(app.folder(), &["switch", "on", off["id"].as_str().unwrap()]).await.code,
        Some(0)
    );
}

#[tokio::test]
async fn what_is_done_at_the_console_is_in_the_audit() {
    let app = App::start().await;
    run(app.folder(), &["tenant", "create", "--name", "Luna", "--slug", "luna"])
        .await
        .json();
    let entries = app.operator().get("/api/v1/audit?tool=tenants_create").await;
    let entry = &entries.json["entries"][0];
    assert_eq!(
        (&entry["door"], &entry["token"]),
        (&json!("console"), &json!("operator:console")),
        "{}",
        entries.text
    );
    assert_eq!((&entry["outcome"], &entry["status"]), (&json!("ok"), &json!(201)));
}

// Wrong settings.

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_remedy() {
    let folder = Folder::new();
    for (name, value, remedy) in [
        ("SMARTERMCP_LISTEN", "here", "127.0.0.1:8080"),
        ("SMARTERMCP_LISTEN", "127.0.0.1", "127.0.0.1:8080"),
        ("SMARTERMCP_ADMIN_TOKEN", "short", "32"),
        ("SMARTERMCP_ADMIN_TOKEN", "a secret with blanks in it, long as it may be", "32"),
        ("SMARTERMCP_MASTER_KEY", "abcdef", "64 hex digits"),
        ("SMARTERMCP_PUBLIC_URL", "mcp.smarterbot.cl", "https://mcp.smarterbot.cl"),
        ("SMARTERMCP_BACKEND_ALLOW", "10.0.0.0/33", "CIDR"),
        ("SMARTERMCP_TRUSTED_PROXIES", "proxy", "CIDR"),
        ("SMARTERMCP_ALLOWED_ORIGINS", "app", "https://app.example.cl"),
        ("SMARTERMCP_AUDIT_DAYS", "many", "365"),
        ("SMARTERMCP_SHUTDOWN_SECS", "soon", "30"),
        ("SMARTERMCP_DRAIN_SECS", "a while", "5"),
        ("SMARTERMCP_DATABASE_CONNECTIONS", "1000", "2 to 200"),
        ("DATABASE_URL", "mysql://user:hidden-password@db/x", "postgres://"),
        ("DATABASE_URL", "hidden-password", "postgres://"),
        ("REDIS_URL", "http://user:hidden-password@redis", "rediss://"),
        ("REDIS_URL", "redis+something://:hidden-password@redis", "redis+sentinel://"),
        ("REDIS_URL", "redis+sentinel://:hidden-password@redis", "redis+sentinel://"),
        ("SMARTERMCP_LISTNE", "127.0.0.1:8080", "SMARTERMCP_LISTEN"),
        ("SMARTERMCP_X", "1", "SMARTERMCP_DATA_DIR"),
    ] {
        let done = run_with(&folder.0, &["serve"], &[(name, value)], "").await;
        let said = done.failure();
        assert!(said.starts_with(name) && said.contains(remedy), "{name}={value}: {said}");
        if name.ends_with("TOKEN") || name.ends_with("KEY") {
            assert!(!said.contains(value), "a secret setting is not quoted: {said}");
        }
        assert!(!said.contains("hidden-password"), "a password is not quoted: {said}");
        assert!(!said.contains("panicked") && said.lines().count() == 1, "{said}");
    }
    assert!(
        std::fs::read_dir(&folder.0).unwrap().next().is_none(),
        "nothing was made before the settings were right"
    );
}

#[tokio::test]
async fn a_settings_file_is_read_and_the_environment_wins() {
    let folder = Folder::new();
    let file = folder.0.join("smartermcp.toml");
    std::fs::write(&file, format!("admin_token = \"{OPERATOR}\"\nSMARTERMCP_LISTEN = \"nowhere\"\n")).unwrap();
    let mut child = command(&folder.0, &["serve", "--config", file.to_str().unwrap()], &[])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it serves");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == "serving" {
            break line["address"].as_str().unwrap().to_owned();
        }
    };
    let operator = User::at(&format!("http://{address}"), OPERATOR);
    assert_eq!(operator.get("/api/v1/whoami").await.json["operator"], true);
    child.kill().await.unwrap();

    std::fs::write(&file, "colour = \"red\"\n").unwrap();
    let wrong = run(&folder.0, &["serve", "--config", file.to_str().unwrap()]).await;
    assert!(wrong.failure().starts_with("colour"), "{wrong:?}");
    let missing = run(&folder.0, &["serve", "--config", "/nowhere.toml"]).await;
    assert!(missing.failure().contains("/nowhere.toml"), "{missing:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = run_with(&folder.0, &["serve"], &[("SMARTERMCP_LISTEN", &address)], "").await;
    let said = done.failure();
    assert!(
        said.contains("SMARTERMCP_LISTEN") && said.contains(&address) && said.contains("Choose another"),
        "{said}"
    );
}

#[tokio::test]
async fn a_second_server_on_one_folder_is_refused() {
    if crate::servers::given() {
        // On PostgreSQL, several are replicas.
        return;
    }
    let folder = Folder::new();
    let first = Process::serve(&folder.0).await;
    let second = run_with(&folder.0, &["serve"], &[("SMARTERMCP_ADMIN_TOKEN", OPERATOR)], "").await;
    let said = second.failure();
    assert!(
        said.contains("SMARTERMCP_DATA_DIR") && said.contains("Another smartermcp"),
        "{said}"
    );
    assert_eq!(first.operator().get("/api/v1/whoami").await.json["operator"], true);
    first.kill().await;
    // The lock goes with its process.
    Process::serve(&folder.0).await.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let done = run_with(&PathBuf::from("/proc/nowhere"), &["serve"], &[], "").await;
    let said = done.failure();
    assert!(said.contains("SMARTERMCP_DATA_DIR") && said.contains("/proc/nowhere"), "{said}");
}

#[tokio::test]
async fn the_first_start_makes_an_operators_token_unless_one_is_configured() {
    let folder = Folder::new();
    let mut server = Process::serve_with(&folder.0, &[]).await;
    let token = server.first_token().await;
    assert!(smartermcp::auth::token::is_well_formed(&token));
    assert!(!server.log().contains(&token), "the log does not hold it");
    assert_eq!(server.user(&token).get("/api/v1/whoami").await.json["operator"], true);
}

#[tokio::test]
async fn a_stop_right_after_the_start_is_orderly() {
    let folder = Folder::new();
    for _ in 0..5 {
        let log = Process::serve(&folder.0).await.stop().await;
        assert!(log.contains("\"stopped\""), "{log}");
    }
}

#[tokio::test]
async fn a_stored_operators_token_is_shown_and_revoked_over_http_and_rotated_at_the_console_only() {
    let folder = Folder::new();
    let made = run(&folder.0, &["token", "create", "--operator"]).await;
    let stored = made.out.trim().to_owned();
    let server = Process::serve(&folder.0).await;
    let tenants = server.user(&stored).get("/api/v1/whoami").await;
    let id = tenants.json["token_id"].as_str().unwrap().to_owned();
    let path = format!("/auth/token/{id}");
    assert_eq!(server.operator().get(&path).await.json["tenant_id"], Value::Null);
    server
        .operator()
        .post(&format!("{path}/rotate"), json!({}))
        .await
        .assert_problem(409, "operator_token");
    // No tenant's administrator knows of it.
    let issued = server
        .operator()
        .post("/auth/token", json!({ "name": "x", "scopes": ["admin:tenants"] }))
        .await;
    let admin = server.user(issued.json["api_token"].as_str().unwrap());
    admin.get(&path).await.assert_problem(404, "not_found");
    admin.delete(&path).await.assert_problem(404, "not_found");
    assert!(!admin.get("/auth/token").await.text.contains(&id));
    server.operator().delete(&path).await.assert_status(204);
    server.user(&stored).get("/api/v1/whoami").await.assert_status(401);
}

#[tokio::test]
async fn health_says_by_its_exit_code_whether_the_gateway_takes_calls() {
    let folder = Folder::new();
    // Listened on everywhere, it is asked on loopback, as in a container.
    let listen = format!("0.0.0.0:{}", daemons::free_port());
    let at = listen.replace("0.0.0.0", "127.0.0.1");
    let settings = [
        ("SMARTERMCP_LISTEN", listen.as_str()),
        ("SMARTERMCP_ADMIN_TOKEN", OPERATOR),
        ("SMARTERMCP_DRAIN_SECS", "5"),
        // A slim machine without authorities' certificates is no reason to be ill.
        ("SSL_CERT_FILE", "/nowhere"),
        ("SSL_CERT_DIR", "/nowhere"),
    ];
    let asked = async || run_with(&folder.0, &["health"], &settings, "").await;

    let nobody = asked().await;
    assert!(nobody.failure().starts_with(&format!("No gateway answers on {at}")), "{nobody:?}");
    let server = Process::serve_with(&folder.0, &settings).await;
    let well = asked().await;
    assert_eq!((well.code, well.out), (Some(0), format!("The gateway on {at} takes calls.\n")));
    let stopping = tokio::spawn(server.stop());
    daemons::until("one that is stopping takes no calls", Duration::from_secs(4))
        .holds(async || {
            let going = asked().await;
            going.code == Some(1) && going.failure().contains("answers 503")
        })
        .await;
    stopping.await.unwrap();

    let free = run_with(&folder.0, &["health"], &[("SMARTERMCP_LISTEN", "127.0.0.1:0")], "").await;
    assert!(free.failure().contains("SMARTERMCP_LISTEN"), "{free:?}");
}
