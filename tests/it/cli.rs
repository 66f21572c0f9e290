//! The command line, run as the binary that ships: what the operator does at the console, and what a wrong setting says.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use smartermcp::backends::n8n::sandbox::Sandbox;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::app::{App, OPERATOR, User};

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
fn command(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
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

    /// All that it wrote to standard output, once it has ended.
    async fn said(&mut self) -> String {
        let mut text = String::new();
        let mut out = self.child.stdout.take().unwrap();
        out.read_to_string(&mut text).await.unwrap();
        text
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
