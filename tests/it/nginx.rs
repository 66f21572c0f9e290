//! Three replicas as processes, behind a real nginx with the configuration that ships (`deploy/nginx`).
//!
//! Only where the run was given servers (`scripts/with-servers.sh`) and nginx is installed. `make test-real-replicas` prints
//! what was seen.

use std::{
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::json;
use smartermcp::sandbox::n8n::Sandbox;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{OPERATOR, User},
    cli::{Folder, Process, n8n_at_an_address},
    daemons::{self, free_port, signal, until},
    servers,
};

const LIST: &str = "/api/v1/workflows";
const TRIGGER: &str = "/api/v1/workflows/wf_backup_db/trigger";
/// How long readiness says 503 before a replica closes its port.
const DRAIN: Duration = Duration::from_secs(3);

/// nginx, and three replicas behind it.
struct Site {
    folder: Folder,
    replicas: Vec<(Folder, u16, Option<Process>)>,
    settings: Vec<(&'static str, String)>,
    port: u16,
    nginx: Nginx,
}

/// Its master.
struct Nginx(Child);

impl Drop for Nginx {
    /// A test that failed: killed alone, the master would leave its workers.
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            signal("-TERM", pid);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Site {
    /// `None`, in words, where something that it needs is missing.
    async fn start() -> Option<Self> {
        if !servers::needed() || !daemons::installed("nginx") {
            return None;
        }
        let folder = Folder::new();
        let settings = vec![
            ("DATABASE_URL", servers::database_of(&folder.0).await.unwrap()),
            ("SMARTERMCP_ADMIN_TOKEN", OPERATOR.to_owned()),
            ("SMARTERMCP_MASTER_KEY", "5a".repeat(32)),
            ("SMARTERMCP_TRUSTED_PROXIES", "127.0.0.1/32".to_owned()),
            ("SMARTERMCP_DRAIN_SECS", DRAIN.as_secs().to_string()),
        ];
        let mut replicas = Vec::new();
        for _ in 0..3 {
            let (own, port) = (Folder::new(), free_port());
            let process = serve(&own.0, port, &settings).await;
            replicas.push((own, port, Some(process)));
        }
        let port = free_port();
        let addresses: Vec<_> = replicas.iter().map(|(_, port, _)| format!("127.0.0.1:{port}")).collect();
        let conf = configure(&folder.0, port, &addresses);
        let nginx = Command::new(daemons::program("nginx").unwrap())
            .args(["-c", &conf, "-g", "daemon off;"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let site = Self {
            folder,
            replicas,
            settings,
            port,
            nginx: Nginx(nginx),
        };
        let connect = || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
        until("nginx answers", Duration::from_secs(10)).holds(connect).await;
        Some(site)
    }

    fn user(&self, token: &str) -> User {
        User::at(&format!("http://127.0.0.1:{}", self.port), token)
    }

    /// A tenant with an n8n of its own, and a token.
    async fn business(&self, name: &str, more: serde_json::Value) -> (serde_json::Value, User, Sandbox) {
        let (url, n8n) = n8n_at_an_address("k").await;
        let operator = self.user(OPERATOR);
        let made = operator.post("/api/v1/tenants", json!({ "name": name, "slug": name })).await;
        let tenant = made.assert_status(201).json["id"].as_str().unwrap().to_owned();
        let of = operator.for_tenant(&tenant);
        let connection = json!({ "url": url, "credential": { "api_key": "k" } });
        of.put("/api/v1/connections/n8n", connection).await.assert_status(200);
        let mut body = json!({ "name": "x", "scopes": ["write:workflows"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut issued = of.post("/auth/token", body).await.assert_status(201).json.clone();
        issued["tenant"] = tenant.into();
        let user = self.user(issued["api_token"].as_str().unwrap());
        (issued, user, n8n)
    }

    /// What all replicas have logged.
    fn logs(&self) -> String {
        self.replicas
            .iter()
            .filter_map(|(.., process)| Some(process.as_ref()?.log()))
            .collect()
    }

    async fn end(mut self) {
        for (_, _, process) in &mut self.replicas {
            process.take().unwrap().stop().await;
        }
        signal("-QUIT", self.nginx.0.id().unwrap());
        tokio::time::timeout(Duration::from_secs(20), self.nginx.0.wait())
            .await
            .expect("nginx stops")
            .unwrap();
        drop(self.folder);
    }
}

async fn serve(folder: &Path, port: u16, settings: &[(&'static str, String)]) -> Process {
    let listen = format!("127.0.0.1:{port}");
    let mut all: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.push(("SMARTERMCP_LISTEN", &listen));
    Process::serve_with(folder, &all).await
}

/// What ships, on a port of this machine and without TLS; answers the path of nginx's own configuration.
fn configure(folder: &Path, port: u16, addresses: &[String]) -> String {
    let shipped = include_str!("../../deploy/nginx/smartermcp.conf");
    let plain: Vec<_> = shipped.lines().filter(|line| !line.trim_start().starts_with("ssl_")).collect();
    let mut site = plain.join("\n").replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    for (index, address) in addresses.iter().enumerate() {
        let shipped = format!("10.0.0.{}:8080", index + 1);
        assert!(site.contains(&shipped));
        site = site.replace(&shipped, address);
    }
    std::fs::write(folder.join("site.conf"), site).unwrap();
    let shown = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {shown}/{what};\n"))
        .collect();
    // As root, nginx would give its workers to somebody who may not look into this folder.
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let user = if root { "user root;\n" } else { "" };
    let whole = format!(
        "{user}pid {shown}/nginx.pid;\nerror_log {shown}/error.log;\nworker_processes 2;\nevents {{ worker_connections 512; }}\n\
         http {{\naccess_log off;\n{temporary}include {shown}/site.conf;\n}}\n"
    );
    let conf = folder.join("nginx.conf");
    std::fs::write(&conf, whole).unwrap();
    conf.display().to_string()
}

fn wide() -> serde_json::Value {
    json!({ "limits": { "general": { "per_minute": 100_000, "per_hour": 1_000_000, "burst": 100_000 }, "categories": { "workflows": { "per_minute": 6_000 } } } })
}

/// Whether the next nine calls, which three replicas share, are all answered so.
async fn nine_are(user: &User, status: u16) -> bool {
    let replies = join_all((0..9).map(|_| user.get(LIST))).await;
    replies.iter().all(|reply| reply.status == status)
}

#[tokio::test]
async fn behind_nginx_three_replicas_are_one_gateway() {
    let Some(site) = Site::start().await else { return };
    // A limit: once more where a machine that was busy with something else let a replica believe that Redis had gone.
    let silences = || site.logs().matches("Redis is silent").count();
    for turn in 1.. {
        let (_, user, _) = site.business(&format!("luna-{turn}"), json!({})).await;
        let (began, before) = (Instant::now(), silences());
        let replies = join_all((0..40).map(|_| user.get(LIST))).await;
        let passed = replies.iter().filter(|reply| reply.status == 200).count();
        let earned = usize::try_from(began.elapsed().as_millis() / 600).unwrap();
        println!(
            "- 40 calls at once of one token, 100 a minute and 20 at once: {passed} passed in {} ms",
            began.elapsed().as_millis()
        );
        replies.iter().filter(|reply| reply.status != 200).for_each(|reply| {
            reply.assert_problem(429, "rate_limited");
        });
        if silences() == before || turn == 5 {
            assert!((20..=20 + earned).contains(&passed), "{passed} passed");
            break;
        }
    }

    // A key.
    let (issued, user, _) = site.business("sol", wide()).await;
    let (_, runner, runs) = site.business("mar", wide()).await;
    let keyed = runner.with_key("one");
    let replies = join_all((0..12).map(|_| keyed.post(TRIGGER, json!({})))).await;
    let replayed = replies.iter().filter(|reply| reply.header("idempotent-replayed") == "true").count();
    println!(
        "- 12 calls at once with one key: {} ran, {replayed} were answered the same again",
        runs.runs()
    );
    for reply in &replies {
        assert_eq!(reply.assert_status(200).text, replies[0].text);
    }
    assert_eq!((runs.runs(), replayed), (1, 11));

    // A revocation and a suspension.
    assert!(nine_are(&user, 200).await);
    let operator = site.user(OPERATOR);
    let token = issued["id"].as_str().unwrap();
    operator.delete(&format!("/auth/token/{token}")).await.assert_status(204);
    let began = Instant::now();
    until("every replica refuses it", Duration::from_secs(2))
        .holds(|| async { nine_are(&user, 401).await })
        .await;
    println!(
        "- a revoked token was refused by all of them after {} ms",
        began.elapsed().as_millis()
    );
    let (issued, user, _) = site.business("rio", wide()).await;
    assert!(nine_are(&user, 200).await);
    let path = format!("/api/v1/tenants/{}", issued["tenant"].as_str().unwrap());
    operator.patch(&path, json!({ "status": "suspended" })).await.assert_status(200);
    let began = Instant::now();
    until("every replica refuses it", Duration::from_secs(2))
        .holds(|| async { nine_are(&user, 404).await })
        .await;
    println!(
        "- a suspended tenant was refused by all of them after {} ms",
        began.elapsed().as_millis()
    );
    operator.get("/metrics").await.assert_status(404);
    site.end().await;
}

/// What a steady load has seen.
#[derive(Default)]
struct Load {
    reads: AtomicUsize,
    writes: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

async fn call_steadily(user: User, index: usize, load: Arc<Load>, stop: CancellationToken) {
    for number in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let reply = match number % 2 {
            0 => user.with_key(&format!("{index}-{number}")).post(TRIGGER, json!({})).await,
            _ => user.get(LIST).await,
        };
        let counted = if number % 2 == 0 { &load.writes } else { &load.reads };
        counted.fetch_add(1, Ordering::Relaxed);
        if reply.status != 200 {
            load.failed.lock().unwrap().push(format!("{} {}", reply.status, reply.text));
        }
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

#[tokio::test]
async fn a_rolling_restart_behind_nginx_loses_no_call() {
    let Some(mut site) = Site::start().await else { return };
    let (load, stop) = (Arc::<Load>::default(), CancellationToken::new());
    let (mut calls, mut played) = (tokio::task::JoinSet::new(), Vec::new());
    for name in ["luna", "sol", "mar"] {
        let (_, user, n8n) = site.business(name, wide()).await;
        played.push(n8n);
        for index in 0..2 {
            calls.spawn(call_steadily(user.clone(), index, Arc::clone(&load), stop.clone()));
        }
    }
    let began = Instant::now();
    for number in 0..3 {
        let port = site.replicas[number].1;
        let process = site.replicas[number].2.take().unwrap();
        let operator = process.operator();
        let asked = Instant::now();
        let stopping = tokio::spawn(process.stop());
        let going = || async { operator.get("/health/ready").await.status == 503 };
        until("readiness goes first", Duration::from_secs(3)).holds(going).await;
        let noticed = asked.elapsed();
        // Calls are still taken, from who has not heard of it yet.
        operator.get("/api/v1/tenants").await.assert_status(200);
        let log = stopping.await.unwrap();
        let stopped = asked.elapsed();
        assert!(stopped >= DRAIN && !log.contains("connections were still open"), "{log}");
        let process = serve(&site.replicas[number].0.0, port, &site.settings).await;
        site.replicas[number].2 = Some(process);
        println!(
            "- replica {number}: readiness said 503 after {} ms, the process ended after {} ms, the next one was ready after {} ms",
            noticed.as_millis(),
            stopped.as_millis(),
            asked.elapsed().as_millis()
        );
    }
    stop.cancel();
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    let (reads, writes) = (load.reads.load(Ordering::Relaxed), load.writes.load(Ordering::Relaxed));
    let failed = load.failed.lock().unwrap().clone();
    println!(
        "- meanwhile, in {:.0} s: {reads} reads and {writes} writes, {} failed",
        began.elapsed().as_secs_f64(),
        failed.len()
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let runs: usize = played.iter().map(Sandbox::runs).sum();
    assert_eq!(runs, writes, "each write ran once");
    site.end().await;
}
