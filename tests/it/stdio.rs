//! `smartermcp stdio`, run as the process that a host starts: over the real gateway, over one that is played where it must misbehave,
//! and by the official TypeScript client.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use smartermcp::{
    backends,
    sandbox::docker::{Docker, Image},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    app::{App, BUSINESS, Tenant, User},
    conformance::script,
    vendors::tools,
};

const MODERN: &str = "2026-07-28";
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary as a host starts it: with these variables and no other.
fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartermcp"));
    command
        .arg("stdio")
        .env_clear()
        .envs(settings.iter().copied())
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A host's end of a bridge.
struct Bridge {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: Arc<Mutex<String>>,
    token: String,
}

impl Bridge {
    fn start(base: &str, token: &str, more: &[(&str, &str)]) -> Self {
        let mut settings = vec![("SMARTERMCP_ENDPOINT", base), ("SMARTERMCP_API_TOKEN", token)];
        settings.extend(more);
        let mut child = command(&settings).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = err.next_line().await {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self {
            input: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            log,
            token: token.to_owned(),
        }
    }

    fn of(user: &User) -> Self {
        Self::start(&user.base, &user.token, &[])
    }

    async fn write(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn send(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let message = json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params });
        self.write(&message.to_string()).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string())
            .await;
    }

    /// The next line, which is a message and holds no secret.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap_or_else(|_| panic!("nothing is said within {PATIENCE:?}: {}", self.log.lock().unwrap()))
            .unwrap()
            .unwrap_or_else(|| panic!("the bridge has ended: {}", self.log.lock().unwrap()));
        assert!(!line.contains(&self.token), "{line}");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// One request and its answer, before which nothing else is said.
    async fn request(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let id = id.into();
        self.send(id.clone(), method, params).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    async fn modern(&mut self, id: impl Into<Value>, method: &str, mut params: Value) -> Value {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        self.request(id, method, params).await
    }

    async fn hello(&mut self, version: &str) -> Value {
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = self.request("hello", "initialize", params).await;
        self.notify("notifications/initialized", json!({})).await;
        answer
    }

    async fn call(&mut self, id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
        self.request(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
            .await
    }

    /// Ends as a host ends it; answers the log, when nothing more was said.
    async fn close(self) -> String {
        let Self {
            mut child,
            input,
            mut lines,
            log,
            token,
        } = self;
        drop(input);
        let rest = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it ends").unwrap();
        assert_eq!(rest, None, "nothing was asked");
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        let log = log.lock().unwrap().clone();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains(&token), "{log}");
        log
    }
}

async fn reader(app: &App) -> (Tenant, User) {
    let tenant = app.tenant("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    (tenant, user)
}

fn names(listed: &Value) -> Vec<&str> {
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_host_lists_and_calls_in_every_revision() {
    let app = App::start().await;
    let (tenant, user, n8n) = app.business("luna").await;
    let expected = user.tools().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut bridge = Bridge::start(&app.base(), &user.token, &[("SMARTERMCP_TENANT_ID", &tenant.slug)]);
        let hello = bridge.hello(version).await;
        assert_eq!(hello["result"]["protocolVersion"], version, "{hello}");
        assert_eq!(hello["result"]["serverInfo"]["name"], "smartermcp");
        assert_eq!(bridge.request(1, "ping", json!({})).await["result"], json!({}));
        assert_eq!(names(&bridge.request(2, "tools/list", json!({})).await), expected);
        let called = bridge.call("three", "workflows_list", json!({})).await;
        assert_eq!(called["result"]["structuredContent"]["workflows"].as_array().unwrap().len(), 4);
        bridge.close().await;
    }
    let mut bridge = Bridge::start(&format!("{}/mcp", app.base()), &user.token, &[]);
    let discovered = bridge.modern(1, "server/discover", json!({})).await;
    assert!(
        discovered["result"]["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&json!(MODERN))
    );
    assert_eq!(names(&bridge.modern(2, "tools/list", json!({})).await), expected);
    let arguments = json!({ "workflow_id": "wf_backup_db", "input_data": { "database": "smarteros" } });
    let params = json!({ "name": "workflows_trigger", "arguments": arguments });
    let called = bridge.modern(3, "tools/call", params).await;
    assert_eq!(called["result"]["structuredContent"]["status"], "completed", "{called}");
    assert_eq!(called["result"]["resultType"], "complete", "it is served as what it says it is");
    assert_eq!(n8n.executions_of("wf_backup_db"), 1);
    bridge.close().await;
}

#[tokio::test]
async fn a_servers_settings_do_not_confuse_it_and_it_leaves_no_file() {
    let app = App::start().await;
    let (_, user) = reader(&app).await;
    let folder = crate::cli::Folder::new();
    let data = folder.0.join("data");
    let mut bridge = Bridge::start(
        &app.base(),
        &user.token,
        &[
            ("SMARTERMCP_DATA_DIR", data.to_str().unwrap()),
            ("SMARTERMCP_LISTEN", "nonsense"),
            ("SMARTERMCP_MASTER_KEY", "short"),
            ("SMARTERMCP_PUBLIC_URL", "nonsense"),
            ("SMARTERMCP_NO_SUCH_SETTING", "1"),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("VAULT_ADDR", "nonsense"),
            ("HTTP_PROXY", "http://127.0.0.1:1"),
            ("ALL_PROXY", "http://127.0.0.1:1"),
            ("RUST_LOG", "trace"),
        ],
    );
    assert_eq!(bridge.request(1, "ping", json!({})).await["result"], json!({}));
    bridge.close().await;
    assert!(!data.exists());
}

#[tokio::test]
async fn a_setting_that_is_wrong_or_missing_is_said_at_once() {
    let token = ("SMARTERMCP_API_TOKEN", "smcp_hush");
    for (settings, said) in [
        (vec![], "SMARTERMCP_API_TOKEN is not set"),
        (vec![("SMARTERMCP_API_TOKEN", "  ")], "SMARTERMCP_API_TOKEN is not set"),
        (vec![("SMARTERMCP_API_TOKEN", "Bearer smcp_hush")], "SMARTERMCP_API_TOKEN holds"),
        (
            vec![token, ("SMARTERMCP_ENDPOINT", "http://mcp.smarterbot.cl")],
            "SMARTERMCP_ENDPOINT would send the token in the clear",
        ),
        (
            vec![token, ("SMARTERMCP_ENDPOINT", "https://me:hush@mcp.smarterbot.cl")],
            "SMARTERMCP_ENDPOINT has more in it",
        ),
        (vec![token, ("SMARTERMCP_ENDPOINT", "gateway")], "SMARTERMCP_ENDPOINT is no URL"),
        (vec![token, ("SMARTERMCP_TENANT_ID", "a\u{1}b")], "SMARTERMCP_TENANT_ID is none"),
    ] {
        let output = command(&settings).stdin(Stdio::null()).output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains(said) && err.contains("What would be right: "), "{err}");
        assert!(output.stdout.is_empty() && !err.contains("hush"), "{err}");
    }
    let given = command(&[token])
        .args(["--endpoint", "http://10.0.0.1"])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        String::from_utf8_lossy(&given.stderr).contains("--endpoint would send"),
        "{given:?}"
    );
}

#[tokio::test]
async fn a_machine_without_certificate_authorities_is_told_what_to_install() {
    let settings = [
        ("SMARTERMCP_API_TOKEN", "smcp_hush"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("SSL_CERT_DIR", "/nonexistent/certs"),
    ];
    let output = command(&settings).stdin(Stdio::null()).output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("install the package ca-certificates") && !err.contains("hush"),
        "{err}"
    );
}

#[tokio::test]
async fn what_the_gateway_refuses_says_what_to_do() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    app.tenant("sol").await;
    let user = app.user(&tenant, &["read:workflows"]).await;

    let mut wrong = Bridge::start(&app.base(), "smcp_no-token-of-ours", &[]);
    let refused = wrong.hello("2025-11-25").await;
    assert_eq!(refused["error"]["code"], 401);
    let remedy =
        "Unauthorized - Invalid or expired API token. Set SMARTERMCP_API_TOKEN to a token that is valid, and start this server again.";
    assert_eq!(refused["error"]["message"], remedy);
    let refused = wrong.modern(1, "server/discover", json!({})).await;
    assert_eq!(refused["error"]["message"], remedy);
    assert!(wrong.close().await.contains("Unauthorized"), "in the log too");

    let mut elsewhere = Bridge::start(&app.base(), &user.token, &[("SMARTERMCP_TENANT_ID", "sol")]);
    let refused = elsewhere.request("x", "tools/list", json!({})).await;
    assert_eq!(refused["error"]["code"], 404);
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(
        said.starts_with("Tenant 'sol' not found or access denied. Set SMARTERMCP_TENANT_ID"),
        "{said}"
    );
    elsewhere.close().await;

    let mut bridge = Bridge::of(&user);
    let refused = bridge.call(1, "workflows_trigger", json!({ "workflow_id": "wf_backup_db" })).await;
    assert_eq!(refused["error"]["data"]["code"], "insufficient_scope");
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(
        said.contains("write:workflows") && said.ends_with("Set SMARTERMCP_API_TOKEN to a token that has it."),
        "{said}"
    );
    // What is the protocol's own goes through as it is.
    let unknown = bridge.call(2, "no_such_tool", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    let unknown = bridge.modern(3, "ping", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);
    let unknown = bridge
        .request(
            4,
            "tools/list",
            json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2030-01-01" } }),
        )
        .await;
    assert_eq!(unknown["error"]["code"], -32022);
    assert_eq!(unknown["error"]["data"]["requested"], "2030-01-01");
    bridge.close().await;
}

#[tokio::test]
async fn a_line_that_is_no_request_is_answered_and_the_next_is_read() {
    let app = App::start().await;
    let (_, user) = reader(&app).await;
    let mut bridge = Bridge::of(&user);
    for (line, code) in [
        ("{", -32700),
        ("hello", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} trailing"#, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("17", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, -32600),
    ] {
        bridge.write(line).await;
        let answer = bridge.next().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(code)),
            "{line}: {answer}"
        );
    }
    bridge
        .write(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":"{}"}}"#,
            "x".repeat(4 * 1024 * 1024)
        ))
        .await;
    let answer = bridge.next().await;
    assert_eq!(answer["error"]["code"], 413, "{answer}");
    // Neither blanks nor notifications are answered, and what is odd about a request is the gateway's to say.
    bridge.write("\n \r").await;
    bridge.notify("notifications/cancelled", json!({ "requestId": "none" })).await;
    bridge.notify("notifications/roots/list_changed", json!({})).await;
    let answer = bridge.request(5, "tools/call", json!({ "name": 5 })).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    bridge.close().await;
}

#[tokio::test]
async fn a_call_holds_up_no_other_and_once_cancelled_says_nothing_more() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (_, user) = reader(&app).await;
    let mut bridge = Bridge::of(&user);
    let counting = json!({ "name": "test_count_up", "arguments": { "to": 100_000 }, "_meta": { "progressToken": "p" } });
    bridge.send("slow", "tools/call", counting).await;
    let told = bridge.next().await;
    assert_eq!(
        (&told["method"], &told["params"]["progress"]),
        (&json!("notifications/progress"), &json!(1.0))
    );
    // Whatever progress is told meanwhile, the ping is answered.
    let answer_to = async |bridge: &mut Bridge, id: u64| {
        bridge.send(id, "ping", json!({})).await;
        let mut told = 0;
        loop {
            let message = bridge.next().await;
            if message["id"] == id {
                return told;
            }
            assert_eq!(message["method"], "notifications/progress", "{message}");
            told += 1;
        }
    };
    answer_to(&mut bridge, 1).await;
    bridge
        .notify("notifications/cancelled", json!({ "requestId": "slow", "reason": "enough" }))
        .await;
    answer_to(&mut bridge, 2).await;
    assert_eq!(answer_to(&mut bridge, 3).await, 0, "it is cancelled");
    // More than may be at the gateway at once: those that wait can be cancelled too, and make room.
    let dawdling = json!({ "name": "test_dawdle", "arguments": { "millis": 60_000 } });
    for id in 100..120 {
        bridge.send(id, "tools/call", dawdling.clone()).await;
    }
    for id in 100..120 {
        bridge.notify("notifications/cancelled", json!({ "requestId": id })).await;
    }
    assert_eq!(bridge.request(4, "ping", json!({})).await["result"], json!({}));
    let begun = Instant::now();
    bridge.close().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "nothing is left to wait for");
}

#[tokio::test]
async fn lines_of_a_followed_log_come_as_progress() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.tireless(&tenant, BUSINESS).await;
    let docker = Docker::default();
    let url = app.vendors.play("docker", docker.router());
    let connection = json!({ "url": url, "credential": {} });
    let operator = app.operator().for_tenant(&tenant.id);
    operator.put("/api/v1/connections/docker", connection).await.assert_status(200);
    docker.run_service(
        &tenant.id,
        "tienda",
        "tienda-1",
        ("registry.test/tienda:1", Image::new("one").well(true)),
    );
    {
        let mut engine = docker.engine();
        let container = engine.named("tienda-1");
        container.says(1, "before");
        container.log_later = vec!["after".to_owned(), "later".to_owned()];
    }
    let mut bridge = Bridge::of(&user);
    let params = json!({
        "name": "services_logs", "arguments": { "service_id": "tienda", "follow": true }, "_meta": { "progressToken": "t" },
    });
    bridge.send(1, "tools/call", params).await;
    for (number, text) in [(1, "before"), (2, "after"), (3, "later")] {
        let told = bridge.next().await;
        assert_eq!(told["params"], json!({ "progressToken": "t", "progress": number, "message": text }));
    }
    let answer = bridge.next().await;
    assert_eq!(
        answer["result"]["structuredContent"]["lines"],
        json!(["before", "after", "later"]),
        "{answer}"
    );
    bridge.close().await;
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_said_to_be_and_the_same_bridge_goes_on_when_it_is_back() {
    let app = App::start().await;
    let (_, user) = reader(&app).await;
    let address = app.address;
    let mut bridge = Bridge::of(&user);
    bridge.hello("2025-11-25").await;
    assert_eq!(bridge.request(1, "ping", json!({})).await["result"], json!({}));
    let folder = app.stop().await;
    let away = bridge.call("two", "workflows_list", json!({})).await;
    assert_eq!(
        (&away["error"]["code"], &away["error"]["data"]["code"]),
        (&json!(503), &json!("gateway_away"))
    );
    assert_eq!(away["error"]["data"]["retryable"], true, "nothing was sent");
    let said = away["error"]["message"].as_str().unwrap();
    assert!(said.contains("cannot be reached") && said.contains("SMARTERMCP_ENDPOINT"), "{said}");
    let app = App::in_folder(folder, |config| config.listen = address, backends::catalogue()).await;
    assert_eq!(names(&bridge.request(3, "tools/list", json!({})).await), user.tools().await);
    bridge.close().await;
    drop(app);
}

/// A way to the gateway that loses the answer of the first connection, after the gateway gave it.
async fn losing_the_first_answer(app: &App) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = app.address;
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let request = read_request(&mut first).await;
        let mut there = TcpStream::connect(gateway).await.unwrap();
        there.write_all(&request).await.unwrap();
        there.read_u8().await.unwrap();
        drop(first);
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut there = TcpStream::connect(gateway).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    url
}

/// One request, whole.
async fn read_request(connection: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return read;
            }
        }
        assert_ne!(connection.read_buf(&mut read).await.unwrap(), 0, "cut off: {text}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_done_once_and_its_answer_comes_all_the_same() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let mut bridge = Bridge::start(&losing_the_first_answer(&app).await, &user.token, &[]);
    let arguments = json!({ "workflow_id": "wf_backup_db", "input_data": { "database": "smarteros" } });
    let called = bridge.call(1, "workflows_trigger", arguments.clone()).await;
    assert_eq!(called["result"]["structuredContent"]["status"], "completed", "{called}");
    assert_eq!(called["result"]["_meta"]["cl.smarterbot/replayed"], true, "{called}");
    assert_eq!(n8n.executions_of("wf_backup_db"), 1);
    // The same again is another call.
    let called = bridge.call(2, "workflows_trigger", arguments).await;
    assert_eq!(called["result"]["_meta"]["cl.smarterbot/replayed"], Value::Null);
    assert_eq!(n8n.executions_of("wf_backup_db"), 2);
    bridge.close().await;
}

/// A played gateway: what it was asked, heads in lower case, and answers given by number. An empty one closes the connection.
struct Played {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let request = String::from_utf8(read_request(&mut connection).await).unwrap();
                let (head, _) = request.split_once("\r\n\r\n").unwrap();
                kept.lock().unwrap().push(head.to_ascii_lowercase());
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    /// The values of a header in each request.
    fn asked_with(&self, header: &str) -> Vec<Option<String>> {
        let of = |head: &String| {
            head.lines()
                .find_map(|line| Some(line.strip_prefix(header)?.strip_prefix(": ")?.to_owned()))
        };
        self.asked.lock().unwrap().iter().map(of).collect()
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A stream, cut off unless its last chunk is there.
fn stream(events: &str, whole: bool) -> String {
    let end = if whole { "0\r\n\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{events}\r\n{end}",
        events.len()
    )
}

#[tokio::test]
async fn what_is_no_mcp_is_told_apart() {
    let html = "<html><title>502 Bad Gateway</title></html>";
    let page = "Content-Type: text/html\r\n";
    for (answer, code, kind, said) in [
        (
            http("502 Bad Gateway", page, html),
            503,
            "gateway_not_well",
            "not well. Try again shortly.",
        ),
        (
            http("503 Service Unavailable", "Retry-After: 9\r\n", ""),
            503,
            "gateway_not_well",
            "Try again in 9 s.",
        ),
        (
            http("429 Too Many Requests", "Retry-After: 7\r\n", html),
            429,
            "rate_limited",
            "Try again in 7 s.",
        ),
        (http("200 OK", page, html), 502, "no_mcp", "There is no MCP at"),
        (http("404 Not Found", page, html), 502, "no_mcp", "Set SMARTERMCP_ENDPOINT"),
        (
            http("302 Found", "Location: https://elsewhere.test/\r\n", ""),
            502,
            "no_mcp",
            "leads elsewhere",
        ),
        (
            http("401 Unauthorized", page, html),
            401,
            "unauthenticated",
            "Unauthorized - Invalid or expired API token.",
        ),
        (http("403 Forbidden", page, html), 502, "no_mcp", "403"),
        (http("202 Accepted", "", ""), 502, "no_mcp", "202"),
        (stream("data: <html>\n\n", true), 502, "no_mcp", "There is no MCP at"),
    ] {
        let played = Played::start(vec![answer]).await;
        let mut bridge = Bridge::start(&played.url, "smcp_hush", &[]);
        let refused = bridge.request("q", "tools/list", json!({})).await;
        let error = &refused["error"];
        assert_eq!((&error["code"], &error["data"]["code"]), (&json!(code), &json!(kind)), "{refused}");
        assert!(error["message"].as_str().unwrap().contains(said), "{refused}");
        bridge.close().await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more_and_then_said() {
    let result = |id: u64| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"is\":\"there\"}}}}");
    let progress = |progress: u64| {
        format!(
            "event: message\r\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\r\ndata: \"params\":{{\"progress\":{progress}}}}}\r\n\r\n"
        )
    };
    let whole = format!("{}: still working\r\n\r\nretry: 5\r\ndata: {}\r\n\r\n", progress(1), result(1));
    let played = Played::start(vec![
        // A call that breaks off after it was told of, and is answered the second time.
        stream(&progress(1), false),
        stream(&whole, true),
        // A read that is answered the second time, under no id.
        String::new(),
        http(
            "200 OK",
            "Content-Type: application/json\r\n",
            "{\r\n \"jsonrpc\": \"2.0\",\n \"id\": 9, \"result\": {}\n}",
        ),
        // A call that breaks twice, and one whose stream ends without an answer.
        String::new(),
        String::new(),
        stream(&progress(1), true),
        stream(&progress(1), true),
    ])
    .await;
    let mut bridge = Bridge::start(&played.url, "smcp_hush", &[("SMARTERMCP_TENANT_ID", "luna")]);
    bridge.send(1, "tools/call", json!({ "name": "a", "arguments": {} })).await;
    assert_eq!(bridge.next().await["params"]["progress"], 1);
    assert_eq!(bridge.next().await["result"]["is"], "there", "what was told is not told again");
    assert_eq!(bridge.request(2, "tools/list", json!({})).await["result"], json!({}));
    for id in [3, 4] {
        bridge.send(id, "tools/call", json!({ "name": "a", "arguments": {} })).await;
        let mut answer = bridge.next().await;
        if id == 4 {
            answer = bridge.next().await;
        }
        assert_eq!(
            answer["error"]["data"],
            json!({ "code": "gateway_away", "retryable": false, "retry_after": null }),
            "{answer}"
        );
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("Whether the call was carried out is not known"), "{said}");
    }
    bridge.close().await;
    let keys = played.asked_with("idempotency-key");
    assert!(keys[0].is_some() && keys[0] == keys[1] && keys[0] != keys[4], "{keys:?}");
    assert_eq!((&keys[2], &keys[4]), (&None, &keys[5]));
    assert_eq!(played.asked_with("x-tenant-id")[0].as_deref(), Some("luna"));
    assert_eq!(played.asked_with("authorization")[0].as_deref(), Some("bearer smcp_hush"));
}

#[tokio::test]
async fn the_end_of_input_is_waited_for_by_calls_in_flight_but_not_for_long() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (_, user) = reader(&app).await;
    let dawdle = |id: &str, millis: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "test_dawdle", "arguments": { "millis": millis } } });
    let mut bridge = Bridge::of(&user);
    bridge.write(&dawdle("long", 60_000).to_string()).await;
    // The last line may lack its end.
    bridge.input.write_all(dawdle("short", 300).to_string().as_bytes()).await.unwrap();
    let begun = Instant::now();
    let Bridge {
        mut child,
        input,
        mut lines,
        ..
    } = bridge;
    drop(input);
    let answer = lines.next_line().await.unwrap().expect("the short one is answered");
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["id"], "short");
    assert_eq!(lines.next_line().await.unwrap(), None, "the long one is given up");
    assert!(child.wait().await.unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_host_that_no_longer_reads_ends_the_bridge() {
    let app = App::start().await;
    let (_, user) = reader(&app).await;
    let mut bridge = Bridge::of(&user);
    assert_eq!(bridge.request(1, "ping", json!({})).await["result"], json!({}));
    let Bridge {
        mut child,
        mut input,
        lines,
        ..
    } = bridge;
    drop(lines);
    input
        .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n")
        .await
        .unwrap();
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn client_typescript_over_stdio_in_both_eras() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let (tenant, user) = reader(&app).await;
    let tools = user.tools().await;
    for mode in ["legacy", "modern", "auto"] {
        let said = script(
            "node",
            &["stdio.mjs", mode],
            &[
                ("MCP_COMMAND", env!("CARGO_BIN_EXE_smartermcp")),
                ("SMARTERMCP_ENDPOINT", &app.base()),
                ("SMARTERMCP_API_TOKEN", &user.token),
                ("SMARTERMCP_TENANT_ID", &tenant.id),
            ],
        )
        .await;
        assert_eq!(said["era"], if mode == "legacy" { "legacy" } else { "modern" });
        assert_eq!(said["tools"], json!(tools));
        assert_eq!(said["progress"], json!([1, 2, 3]));
        assert_eq!(said["at_once"], json!(["at last", "at last"]));
        assert_eq!(said["cancelled"], true, "{said}");
        // The client's own words stand in for ours where it was told to speak the newest revision alone.
        let refused = said["refused"].as_str().unwrap();
        let remedy = "Unauthorized - Invalid or expired API token. Set SMARTERMCP_API_TOKEN";
        assert!(refused.contains(remedy) || mode == "modern", "{mode}: {refused}");
    }
}
