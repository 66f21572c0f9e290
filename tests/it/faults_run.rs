//! The fault run: three replicas as processes of their own, a PostgreSQL, a Redis and a played n8n, all of them killed, stopped
//! short and started again at random under a steady load of writes with idempotency keys.
//!
//! `TEST_FAULTS_SECS` says how long (`make test-faults`: 300; `make test`: 60); without it nothing is run. `TEST_FAULTS_SEED`
//! repeats the faults of an earlier run; their moments against the calls are never quite the same.
//!
//! PostgreSQL runs as it ships (fsync on). Redis keeps an append-only file, synced every second: a kill may lose the last charges.
//! A limit is therefore held to N·t/P + B and one more B for each kill of Redis, and beside it to what replicas give while they
//! count alone: together N·t/P, and one B for each process.

#![expect(clippy::disallowed_methods, reason = "how long and with which seed is told by the environment")]

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{body::Body, extract::Request, middleware::Next};
use serde_json::{Value, json};
use smartermcp::sandbox::n8n::Sandbox;
use sqlx::{Connection as _, Row as _};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{OPERATOR, User},
    daemons::{Paused, Postgres, Redis, free_port, signal, until},
};

/// Tenants, and the plan of each. The last one's quota is spent in the middle.
const TENANTS: [(&str, &str); 3] = [("luna", "enterprise"), ("sol", "business"), ("nube", "starter")];
/// Executions of the plan `starter`.
const STARTER: usize = 100;
const WRITERS: usize = 3;
const REPLICAS: usize = 3;
/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long everything may take to come back when the last fault is over.
const RECOVERY: Duration = Duration::from_secs(60);
/// The general limit of the token that tries to exceed it.
const PER_MINUTE: f64 = 100.0;
const BURST: usize = 20;

/// What a call may be refused with while things break.
const REFUSALS: [&str; 10] = [
    "database_away",
    "backend_down",
    "backend_refused",
    "timeout",
    "rate_limited",
    "quota_spent",
    "outcome_unknown",
    "too_many_in_flight",
    "audit_full",
    "not_started",
];

/// Random numbers that a seed repeats (SplitMix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

// The played n8n, in a process of its own, so that it can be killed.

const BACKEND: &str = "TEST_FAULTS_BACKEND";

/// No test: the process that the fault run starts for its played n8n. One for each tenant, behind a path of his.
#[tokio::test]
async fn plays_the_backend() {
    let Ok(told) = std::env::var(BACKEND) else { return };
    let (port, book) = told.split_once(' ').unwrap();
    let mut router = axum::Router::new();
    for (tenant, _) in TENANTS {
        let sandbox = Sandbox::new(&format!("key-of-{tenant}"));
        sandbox.add_workflow(json!({
            "id": format!("wf_{tenant}"), "name": format!("only {tenant}"), "active": true,
            "nodes": [
                { "name": "Webhook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "run", "httpMethod": "POST", "responseMode": "lastNode" } },
                { "name": "Work", "type": "n8n-nodes-base.set", "parameters": {} },
            ],
            "connections": { "Webhook": { "main": [[{ "node": "Work", "type": "main", "index": 0 }]] } },
        }));
        let book = PathBuf::from(book);
        let noted = sandbox
            .router()
            .layer(axum::middleware::from_fn(move |request: Request, next: Next| {
                let book = book.clone();
                async move { next.run(note(&book, tenant, request).await).await }
            }));
        router = router.nest(&format!("/{tenant}"), noted);
    }
    let address = ("127.0.0.1", port.parse().unwrap());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}

/// Writes an execution into the book before it is answered: what is in there was done, whatever became of the answer.
async fn note(book: &Path, tenant: &str, request: Request) -> Request {
    use std::io::Write as _;
    if !request.uri().path().starts_with("/webhook/") {
        return request;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1024 * 1024).await.unwrap();
    let marker = serde_json::from_slice::<Value>(&body).unwrap()["marker"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut book = std::fs::OpenOptions::new().create(true).append(true).open(book).unwrap();
    book.write_all(format!("{tenant} {marker}\n").as_bytes()).unwrap();
    Request::from_parts(parts, Body::from(body))
}

// Processes that are started again whenever they end.

/// A process that somebody sees to, as systemd does.
struct Kept {
    pid: Arc<AtomicU32>,
    /// How long it stays away when it ends, in milliseconds.
    away_ms: Arc<AtomicU64>,
    starts: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Kept {
    fn new(start: impl Fn(usize) -> Child + Send + 'static) -> Self {
        let (pid, away_ms, starts) = <(Arc<AtomicU32>, Arc<AtomicU64>, Arc<AtomicUsize>)>::default();
        let stop = CancellationToken::new();
        let seen_to = {
            let (pid, away_ms, starts, stop) = (Arc::clone(&pid), Arc::clone(&away_ms), Arc::clone(&starts), stop.clone());
            async move {
                loop {
                    let mut child = start(starts.fetch_add(1, Ordering::Relaxed));
                    pid.store(child.id().unwrap(), Ordering::Relaxed);
                    tokio::select! {
                        ended = child.wait() => { ended.unwrap(); }
                        () = stop.cancelled() => {
                            child.kill().await.unwrap();
                            return;
                        }
                    }
                    pid.store(0, Ordering::Relaxed);
                    let away = Duration::from_millis(200 + away_ms.swap(0, Ordering::Relaxed));
                    tokio::time::sleep(away).await;
                }
            }
        };
        Self {
            pid,
            away_ms,
            starts,
            stop,
            task: tokio::spawn(seen_to),
        }
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn play_backend(port: u16, book: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults_run::plays_the_backend", "--nocapture"])
        .env(BACKEND, format!("{port} {}", book.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A replica, whose log goes into a file for each start.
fn serve(folder: &Path, port: u16, start: usize, settings: &[(&'static str, String)]) -> Child {
    let log = std::fs::File::create(folder.join(format!("log-{start}"))).unwrap();
    Command::new(env!("CARGO_BIN_EXE_smartermcp"))
        .arg("serve")
        .env_clear()
        .env("SMARTERMCP_LISTEN", format!("127.0.0.1:{port}"))
        .env("SMARTERMCP_DATA_DIR", folder)
        .envs(settings.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

// The clients.

/// A write that some client wants done.
#[derive(Clone, Debug)]
struct Wanted {
    tenant: usize,
    key: String,
    marker: String,
    began: Instant,
}

/// What came of a write in the end.
#[derive(Clone, Debug)]
enum Ended {
    /// With the execution that it began, where n8n still knew it.
    Accepted(Value),
    Refused(String),
}

/// What one attempt came to.
enum Answer {
    Ended(Ended),
    /// With the code, and how long to wait.
    Again(String, Duration),
    Broken,
}

/// What all clients have seen.
#[derive(Default)]
struct Seen {
    ended: Mutex<Vec<(Wanted, Ended, Instant)>>,
    unanswered: Mutex<Vec<Wanted>>,
    /// How often each code was answered, to writes and reads.
    codes: Mutex<BTreeMap<String, usize>>,
    /// What must not be, in words.
    wrong: Mutex<Vec<String>>,
    reads: AtomicUsize,
    attempts: AtomicUsize,
    broken: AtomicUsize,
    replays: AtomicUsize,
    hammered: AtomicUsize,
    passed: AtomicUsize,
}

impl Seen {
    fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 50 {
            wrong.push(what);
        }
    }

    /// A refusal must be a problem with a code that is known here, and a sentence.
    fn refusal(&self, status: u16, text: &str) -> (String, bool, Duration) {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        let code = json["code"].as_str().unwrap_or("none").to_owned();
        let sentence = json["detail"].as_str().unwrap_or_default();
        if !REFUSALS.contains(&code.as_str()) || sentence.len() < 20 || json["status"] != status {
            self.wrong(format!("a refusal that is none of those known: {status} {text}"));
        }
        *self.codes.lock().unwrap().entry(code.clone()).or_default() += 1;
        let wait = Duration::from_millis(200) * u32::try_from(json["retry_after"].as_u64().unwrap_or(1).min(5)).unwrap();
        (code, json["retryable"] == true, wait)
    }
}

struct Clients {
    seen: Arc<Seen>,
    bases: Vec<String>,
    tokens: Vec<String>,
    http: reqwest::Client,
    stop: CancellationToken,
}

impl Clients {
    async fn write(&self, replica: usize, wanted: &Wanted) -> Answer {
        let name = TENANTS[wanted.tenant].0;
        self.seen.attempts.fetch_add(1, Ordering::Relaxed);
        let sent = self
            .http
            .post(format!("{}/api/v1/workflows/wf_{name}/trigger", self.bases[replica % REPLICAS]))
            .bearer_auth(&self.tokens[wanted.tenant])
            .header("idempotency-key", &wanted.key)
            .header("content-type", "application/json")
            .body(json!({ "input_data": { "marker": wanted.marker } }).to_string())
            .timeout(PATIENCE)
            .send()
            .await;
        let Ok(response) = sent else { return self.broke() };
        let status = response.status().as_u16();
        let replayed = response.headers().get("idempotent-replayed").is_some();
        let Ok(text) = response.text().await else { return self.broke() };
        self.seen.replays.fetch_add(usize::from(replayed), Ordering::Relaxed);
        if status == 200 {
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            if json["workflow_id"] != format!("wf_{name}") {
                self.seen.wrong(format!("{name} was answered: {text}"));
            }
            return Answer::Ended(Ended::Accepted(json["execution_id"].clone()));
        }
        let (code, retryable, wait) = self.seen.refusal(status, &text);
        // What is replayed once is replayed for ever.
        match retryable && !replayed {
            true => Answer::Again(code, wait),
            false => Answer::Ended(Ended::Refused(code)),
        }
    }

    fn broke(&self) -> Answer {
        self.seen.broken.fetch_add(1, Ordering::Relaxed);
        Answer::Broken
    }

    /// Tries one write at one replica after the other until it has an outcome, or the run is over.
    async fn see_through(&self, wanted: &Wanted, mut replica: usize, stop: &CancellationToken) -> bool {
        loop {
            replica += 1;
            // Now and then at two of them at once.
            let answers = match replica % 5 {
                0 => {
                    let both = tokio::join!(self.write(replica, wanted), self.write(replica + 1, wanted));
                    vec![both.0, both.1]
                }
                _ => vec![self.write(replica, wanted).await],
            };
            let mut pause = Duration::from_millis(100);
            let mut ended = Vec::new();
            for answer in answers {
                match answer {
                    Answer::Ended(end) => ended.push(end),
                    Answer::Again(_, wait) => pause = pause.max(wait),
                    Answer::Broken => {}
                }
            }
            if let [Ended::Accepted(one), Ended::Accepted(other)] = ended.as_slice()
                && one != other
            {
                self.seen.wrong(format!("{wanted:?} was answered {one} and {other}"));
            }
            if let Some(end) = ended.into_iter().next() {
                self.seen.ended.lock().unwrap().push((wanted.clone(), end, Instant::now()));
                return true;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn writer(self: Arc<Self>, tenant: usize, index: usize) {
        for number in 0.. {
            if self.stop.is_cancelled() {
                return;
            }
            // The same keys for every tenant: they have nothing to do with each other.
            let wanted = Wanted {
                tenant,
                key: format!("{index}-{number}"),
                marker: format!("{}-{index}-{number}", TENANTS[tenant].0),
                began: Instant::now(),
            };
            if !self.see_through(&wanted, index + number, &self.stop).await {
                self.seen.unanswered.lock().unwrap().push(wanted);
            }
            // Nobody goes on at full speed when his plan is spent.
            if TENANTS[tenant].1 == "starter" {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn list(&self, replica: usize, token: &str) -> Option<(u16, String)> {
        let sent = self
            .http
            .get(format!("{}/api/v1/workflows", self.bases[replica % REPLICAS]))
            .bearer_auth(token)
            .timeout(PATIENCE)
            .send()
            .await
            .ok()?;
        Some((sent.status().as_u16(), sent.text().await.ok()?))
    }

    /// Reads, and looks whether anything of another tenant's is in the answer.
    async fn reader(self: Arc<Self>, tenant: usize) {
        let name = TENANTS[tenant].0;
        for turn in tenant.. {
            if self.stop.is_cancelled() {
                return;
            }
            if let Some((status, text)) = self.list(turn, &self.tokens[tenant]).await {
                self.seen.reads.fetch_add(1, Ordering::Relaxed);
                if status == 200 {
                    let others = TENANTS.iter().any(|(other, _)| *other != name && text.contains(other));
                    if others || !text.contains(&format!("only {name}")) {
                        self.seen.wrong(format!("{name} read: {text}"));
                    }
                } else {
                    self.seen.refusal(status, &text);
                }
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// Calls far above the limit of its token, at one replica.
    async fn hammer(self: Arc<Self>, replica: usize, token: String) {
        while !self.stop.is_cancelled() {
            if let Some((status, text)) = self.list(replica, &token).await {
                self.seen.hammered.fetch_add(1, Ordering::Relaxed);
                let passed = match status {
                    200 => true,
                    _ => self.seen.refusal(status, &text).0.starts_with("backend"),
                };
                self.seen.passed.fetch_add(usize::from(passed), Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    }
}

// The faults.

/// What was done to whom: from when to when.
struct Done {
    began: Instant,
    faults: Mutex<Vec<(String, Instant, Instant)>>,
}

impl Done {
    fn note(&self, what: &str, since: Instant) {
        let at = since.duration_since(self.began).as_secs_f64();
        println!("{at:>6.1} s  {what}, {:.1} s", since.elapsed().as_secs_f64());
        self.faults.lock().unwrap().push((what.to_owned(), since, Instant::now()));
    }

    fn count(&self, whom: &str) -> usize {
        self.faults
            .lock()
            .unwrap()
            .iter()
            .filter(|(what, ..)| what.starts_with(whom))
            .count()
    }

    /// Whether a replica was taken away while this went on: killed, stopped, or stopped short for long.
    fn replica_was_lost_between(&self, from: Instant, to: Instant) -> bool {
        let faults = self.faults.lock().unwrap();
        faults
            .iter()
            .any(|(what, begun, ended)| what.starts_with("replica") && *begun <= to && *ended >= from)
    }
}

async fn break_redis(mut redis: Redis, mut dice: Dice, done: Arc<Done>, stop: CancellationToken) -> Redis {
    while pause(&mut dice, &stop).await {
        let since = Instant::now();
        match dice.below(3) {
            0 => {
                redis.kill().await;
                tokio::time::sleep(dice.millis(100, 3000)).await;
                redis.start_again().await;
                done.note("redis: killed", since);
            }
            1 => {
                let paused = Paused::process(redis.pid());
                tokio::time::sleep(dice.millis(200, 4000)).await;
                drop(paused);
                done.note("redis: stopped short", since);
            }
            _ => {
                redis.kill().await;
                redis.start_again().await;
                done.note("redis: restarted", since);
            }
        }
    }
    redis
}

async fn break_postgres(mut postgres: Postgres, mut dice: Dice, done: Arc<Done>, stop: CancellationToken) -> Postgres {
    while pause(&mut dice, &stop).await {
        let since = Instant::now();
        match dice.below(3) {
            0 => {
                postgres.kill().await;
                tokio::time::sleep(dice.millis(100, 3000)).await;
                postgres.start_again().await;
                done.note("postgres: killed", since);
            }
            1 => {
                let paused = postgres.pause();
                tokio::time::sleep(dice.millis(200, 4000)).await;
                drop(paused);
                done.note("postgres: stopped short", since);
            }
            _ => {
                postgres.stop().await;
                postgres.start_again().await;
                done.note("postgres: restarted", since);
            }
        }
    }
    postgres
}

async fn break_replicas(replicas: Vec<Kept>, mut dice: Dice, done: Arc<Done>, stop: CancellationToken) -> Vec<Kept> {
    while pause(&mut dice, &stop).await {
        let number = usize::try_from(dice.below(REPLICAS as u64)).unwrap();
        let replica = &replicas[number];
        let Some(pid) = replica.pid() else { continue };
        let since = Instant::now();
        let starts = replica.starts.load(Ordering::Relaxed);
        let back = async || {
            until("the replica is started again", RECOVERY)
                .holds(|| async { replica.starts.load(Ordering::Relaxed) > starts })
                .await;
        };
        match dice.below(4) {
            0 | 1 => {
                replica.away_ms.store(dice.below(2000), Ordering::Relaxed);
                signal("-KILL", pid);
                back().await;
                done.note(&format!("replica {number}: killed"), since);
            }
            2 => {
                signal("-TERM", pid);
                back().await;
                done.note(&format!("replica {number}: told to stop"), since);
            }
            _ => {
                let paused = Paused::process(pid);
                tokio::time::sleep(dice.millis(200, 4000)).await;
                drop(paused);
                done.note(&format!("replica {number}: stopped short"), since);
            }
        }
    }
    replicas
}

async fn break_backend(backend: Kept, mut dice: Dice, done: Arc<Done>, stop: CancellationToken) -> Kept {
    while pause(&mut dice, &stop).await {
        let Some(pid) = backend.pid() else { continue };
        let since = Instant::now();
        match dice.below(2) {
            0 => {
                let away = dice.below(3000);
                backend.away_ms.store(away, Ordering::Relaxed);
                signal("-KILL", pid);
                tokio::time::sleep(Duration::from_millis(away + 300)).await;
                done.note("backend: killed", since);
            }
            _ => {
                let paused = Paused::process(pid);
                tokio::time::sleep(dice.millis(200, 3000)).await;
                drop(paused);
                done.note("backend: stopped short", since);
            }
        }
    }
    backend
}

/// Between two faults of one kind. False when the run is over.
async fn pause(dice: &mut Dice, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(dice.millis(3000, 12_000)) => true,
    }
}

// The run.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_faults_no_accepted_write_is_lost_or_done_twice_and_all_comes_back() {
    let Some(seconds) = std::env::var("TEST_FAULTS_SECS").ok().map(|text| text.parse::<u64>().unwrap()) else {
        println!("skipped: TEST_FAULTS_SECS does not say how long (make test-faults)");
        return;
    };
    let seed = std::env::var("TEST_FAULTS_SEED").ok().map_or_else(
        || u64::try_from(uuid::Uuid::new_v4().as_u128() & 0xffff_ffff).unwrap(),
        |text| text.parse().unwrap(),
    );
    println!("{seconds} s of faults, TEST_FAULTS_SEED={seed}");
    smartermcp::serve::install_crypto();
    // Left behind when something does not hold: the replicas' logs and PostgreSQL's are in it.
    let folder = std::env::temp_dir().join(format!("smartermcp-faults-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    println!("logs: {}", folder.display());
    Run::start(&folder).await.go(seconds, seed).await;
    println!("all of it held");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Everything that runs.
struct Run {
    folder: PathBuf,
    redis: Redis,
    postgres: Postgres,
    backend: Kept,
    book: PathBuf,
    replicas: Vec<Kept>,
    bases: Vec<String>,
    tokens: Vec<String>,
    hammer: String,
}

impl Run {
    async fn start(folder: &Path) -> Self {
        let postgres = Postgres::start(folder).await;
        let database = postgres.database("gateway").await;
        let synced = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];
        let redis = Redis::with(&folder.join("redis"), free_port(), &synced).await;
        let book = folder.join("book");
        std::fs::write(&book, "").unwrap();
        let backend_port = free_port();
        let backend = {
            let book = book.clone();
            Kept::new(move |_| play_backend(backend_port, &book))
        };
        let settings = vec![
            ("DATABASE_URL", database),
            ("REDIS_URL", redis.url()),
            ("SMARTERMCP_ADMIN_TOKEN", OPERATOR.to_owned()),
            ("SMARTERMCP_MASTER_KEY", "5a".repeat(32)),
            ("SMARTERMCP_BACKEND_ALLOW", "127.0.0.1/32".to_owned()),
            ("SMARTERMCP_DRAIN_SECS", "1".to_owned()),
            ("SMARTERMCP_SHUTDOWN_SECS", "10".to_owned()),
        ];
        let (mut replicas, mut bases) = (Vec::new(), Vec::new());
        for number in 0..REPLICAS {
            let own = folder.join(format!("replica-{number}"));
            std::fs::create_dir(&own).unwrap();
            let (port, settings) = (free_port(), settings.clone());
            replicas.push(Kept::new(move |start| serve(&own, port, start, &settings)));
            bases.push(format!("http://127.0.0.1:{port}"));
        }
        let mut run = Self {
            folder: folder.to_owned(),
            redis,
            postgres,
            backend,
            book,
            replicas,
            bases,
            tokens: Vec::new(),
            hammer: String::new(),
        };
        all_healthy(&run.bases).await;
        run.furnish(backend_port).await;
        run
    }

    /// Tenants with their connections, a token of each that no limit of its own holds, and one that the usual limits hold.
    async fn furnish(&mut self, backend_port: u16) {
        let operator = User::at(&self.bases[0], OPERATOR);
        let wide = json!({ "general": { "per_minute": 100_000, "per_hour": 1_000_000, "burst": 100_000 }, "categories": { "workflows": { "per_minute": 6_000 } } });
        for (name, plan) in TENANTS {
            let tenant = json!({ "name": name, "slug": name, "plan": plan });
            operator.post("/api/v1/tenants", tenant).await.assert_status(201);
            let of = operator.for_tenant(name);
            let n8n =
                json!({ "url": format!("http://127.0.0.1:{backend_port}/{name}"), "credential": { "api_key": format!("key-of-{name}") } });
            of.put("/api/v1/connections/n8n", n8n).await.assert_status(200);
            let token = json!({ "name": "fault run", "scopes": ["write:workflows"], "limits": wide });
            let issued = of.post("/auth/token", token).await;
            self.tokens
                .push(issued.assert_status(201).json["api_token"].as_str().unwrap().to_owned());
        }
        let of = operator.for_tenant(TENANTS[0].0);
        let issued = of
            .post("/auth/token", json!({ "name": "hammer", "scopes": ["read:workflows"] }))
            .await;
        self.hammer = issued.assert_status(201).json["api_token"].as_str().unwrap().to_owned();
    }

    async fn go(self, seconds: u64, seed: u64) {
        let began = Instant::now();
        let seen = Arc::<Seen>::default();
        let calling = CancellationToken::new();
        let clients = Arc::new(Clients {
            seen: Arc::clone(&seen),
            bases: self.bases.clone(),
            tokens: self.tokens.clone(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            stop: calling.clone(),
        });
        let mut calls = tokio::task::JoinSet::new();
        for tenant in 0..TENANTS.len() {
            for index in 0..WRITERS {
                calls.spawn(Arc::clone(&clients).writer(tenant, index));
            }
            calls.spawn(Arc::clone(&clients).reader(tenant));
        }
        for replica in 0..REPLICAS {
            calls.spawn(Arc::clone(&clients).hammer(replica, self.hammer.clone()));
        }

        let done = Arc::new(Done {
            began,
            faults: Mutex::default(),
        });
        let breaking = CancellationToken::new();
        let of = |whom: u64| (Dice(seed.wrapping_mul(31).wrapping_add(whom)), Arc::clone(&done), breaking.clone());
        let (dice, log, stop) = of(1);
        let redis = tokio::spawn(break_redis(self.redis, dice, log, stop));
        let (dice, log, stop) = of(2);
        let postgres = tokio::spawn(break_postgres(self.postgres, dice, log, stop));
        let (dice, log, stop) = of(3);
        let replicas = tokio::spawn(break_replicas(self.replicas, dice, log, stop));
        let (dice, log, stop) = of(4);
        let backend = tokio::spawn(break_backend(self.backend, dice, log, stop));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        breaking.cancel();
        let (redis, postgres) = (redis.await.unwrap(), postgres.await.unwrap());
        let (replicas, backend) = (replicas.await.unwrap(), backend.await.unwrap());
        calling.cancel();
        let hammered_for = began.elapsed();
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }

        let healing = Instant::now();
        all_healthy(&self.bases).await;
        println!("healthy by itself {:.1} s after the last fault", healing.elapsed().as_secs_f64());
        // What had no outcome when the run was over is asked for once more, all at once.
        let unanswered = std::mem::take(&mut *seen.unanswered.lock().unwrap());
        println!("{} writes were without an outcome, and are asked for once more", unanswered.len());
        let over = CancellationToken::new();
        let asking = unanswered.iter().map(|wanted| clients.see_through(wanted, 0, &over));
        let asked = tokio::time::timeout(RECOVERY, futures::future::join_all(asking)).await;
        assert!(asked.is_ok(), "some write has no outcome {RECOVERY:?} after everything was healthy");

        let checked = Checked {
            seen: &seen,
            done: &done,
            book: std::fs::read_to_string(&self.book).unwrap(),
            lines: log_lines(&self.folder),
        };
        checked.print();
        checked.writes();
        checked.limits(hammered_for);
        checked.replays(&clients).await;
        let executions = std::fs::read_to_string(&self.book).unwrap().lines().count();
        if executions != checked.book.lines().count() {
            seen.wrong("something that was accepted was executed again when it was asked for again".to_owned());
        }
        checked.records(&postgres).await;
        let wrong = seen.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for replica in replicas {
            replica.end().await;
        }
        backend.end().await;
        drop((redis, postgres));
    }
}

/// All replicas say that they are healthy, without anybody's help.
async fn all_healthy(bases: &[String]) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    for base in bases {
        until("every replica is healthy", RECOVERY)
            .holds(|| async {
                let Ok(answer) = http.get(format!("{base}/health")).send().await else {
                    return false;
                };
                let text = answer.text().await.unwrap_or_default();
                serde_json::from_str::<Value>(&text).is_ok_and(|report| report["status"] == "healthy")
            })
            .await;
    }
}

/// The log of each start of each replica.
fn log_lines(folder: &Path) -> Vec<Vec<Value>> {
    let mut logs = Vec::new();
    for replica in 0..REPLICAS {
        let own = folder.join(format!("replica-{replica}"));
        for file in std::fs::read_dir(own).unwrap().map(|file| file.unwrap().path()) {
            if file
                .file_name()
                .is_some_and(|name| name.to_str().is_some_and(|name| name.starts_with("log-")))
            {
                let text = std::fs::read_to_string(file).unwrap();
                logs.push(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect());
            }
        }
    }
    logs
}

struct Checked<'a> {
    seen: &'a Seen,
    done: &'a Done,
    book: String,
    lines: Vec<Vec<Value>>,
}

impl Checked<'_> {
    fn print(&self) {
        let ended = self.seen.ended.lock().unwrap();
        let accepted = ended.iter().filter(|(_, end, _)| matches!(end, Ended::Accepted(_))).count();
        println!(
            "faults: redis {}, postgres {}, replicas {}, backend {}",
            self.done.count("redis"),
            self.done.count("postgres"),
            self.done.count("replica"),
            self.done.count("backend")
        );
        println!(
            "writes: {} wanted, {accepted} accepted, {} refused for good, in {} attempts ({} replays, {} without an answer); {} executions in the backend's book",
            ended.len(),
            ended.len() - accepted,
            self.seen.attempts.load(Ordering::Relaxed),
            self.seen.replays.load(Ordering::Relaxed),
            self.seen.broken.load(Ordering::Relaxed),
            self.book.lines().count(),
        );
        println!("reads: {}", self.seen.reads.load(Ordering::Relaxed));
        println!("refusals: {:?}", self.seen.codes.lock().unwrap());
        let mut finals = BTreeMap::<&str, usize>::new();
        for (_, end, _) in ended.iter() {
            if let Ended::Refused(code) = end {
                *finals.entry(code).or_default() += 1;
            }
        }
        println!("refused for good: {finals:?}");
        let mut errors = BTreeMap::<String, usize>::new();
        for line in self
            .lines
            .iter()
            .flatten()
            .filter(|line| line["level"] == "ERROR" || line["level"] == "WARN")
        {
            *errors
                .entry(format!(
                    "{} {}",
                    line["level"].as_str().unwrap(),
                    line["message"].as_str().unwrap_or_default()
                ))
                .or_default() += 1;
        }
        println!("the replicas' logs: {errors:#?}");
    }

    /// Every accepted write stands in the backend's book once, and nothing stands there twice.
    fn writes(&self) {
        let mut book = HashMap::<&str, usize>::new();
        for line in self.book.lines() {
            let (tenant, marker) = line.split_once(' ').unwrap();
            if !marker.starts_with(&format!("{tenant}-")) {
                self.seen.wrong(format!("{tenant}'s n8n was sent {marker}"));
            }
            *book.entry(marker).or_default() += 1;
        }
        for (marker, times) in &book {
            if *times > 1 {
                self.seen.wrong(format!("{marker} was executed {times} times"));
            }
        }
        let spent = book.keys().filter(|marker| marker.starts_with(TENANTS[2].0)).count();
        if spent > STARTER {
            self.seen.wrong(format!("{spent} executions, and the plan allows {STARTER}"));
        }
        for (wanted, end, at) in self.seen.ended.lock().unwrap().iter() {
            let times = book.get(wanted.marker.as_str()).copied().unwrap_or(0);
            match end {
                Ended::Accepted(_) if times != 1 => self.seen.wrong(format!("{wanted:?} was accepted, and executed {times} times")),
                Ended::Refused(code) if code == "quota_spent" && times != 0 => self.seen.wrong(format!("{wanted:?}: {code}, and executed")),
                Ended::Refused(code) if code == "outcome_unknown" && !self.done.replica_was_lost_between(wanted.began, *at) => {
                    self.seen.wrong(format!("{wanted:?} is unknown, and no replica was lost meanwhile"));
                }
                _ => {}
            }
        }
    }

    /// The token that called too often got no more than its limit allows: what Redis gives (N·t/P + B, and B more for each kill,
    /// which may lose the last charges), and what replicas give alone (together N·t/P, and B for each process).
    fn limits(&self, time: Duration) {
        let silences = |log: &Vec<Value>| {
            log.iter()
                .filter(|line| line["message"].as_str().is_some_and(|text| text.starts_with("Redis is silent")))
                .count()
        };
        let alone: usize = self.lines.iter().map(silences).sum();
        let (processes, kills) = (
            self.lines.len(),
            self.done.count("redis: killed") + self.done.count("redis: restarted"),
        );
        let passed = self.seen.passed.load(Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
        let steady = (PER_MINUTE / 60.0 * time.as_secs_f64()).ceil() as usize;
        // Until the others have heard of one that was started, three may each take a half.
        let unheard = 3 * processes;
        let most = 2 * steady + BURST * (1 + kills + processes) + unheard;
        println!(
            "limit: {passed} of {} calls passed in {:.0} s, of which one replica or another was without Redis {alone} times; at most {most} may: 2·{steady} + {BURST}·(1 + {kills} kills of Redis + {processes} processes) + {unheard}",
            self.seen.hammered.load(Ordering::Relaxed),
            time.as_secs_f64(),
        );
        if passed > most {
            self.seen.wrong(format!("{passed} calls passed where {most} may"));
        }
    }

    /// A key that has an outcome answers it for ever, whichever replica is asked.
    async fn replays(&self, clients: &Clients) {
        let accepted: Vec<_> = {
            let ended = self.seen.ended.lock().unwrap();
            let accepted = ended.iter().filter_map(|(wanted, end, _)| match end {
                Ended::Accepted(execution) => Some((wanted.clone(), execution.clone())),
                Ended::Refused(_) => None,
            });
            accepted.step_by(1 + ended.len() / 500).collect()
        };
        println!("{} of the accepted writes are asked for again", accepted.len());
        for (index, (wanted, execution)) in accepted.into_iter().enumerate() {
            // The tenant's own limit may be spent by what was called before: a replay is a call too.
            let until = Instant::now() + RECOVERY;
            let mut answer = clients.write(index, &wanted).await;
            while matches!(&answer, Answer::Again(code, _) if code == "rate_limited") && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(500)).await;
                answer = clients.write(index, &wanted).await;
            }
            match answer {
                Answer::Ended(Ended::Accepted(again)) if again == execution => {}
                Answer::Ended(other) => self.seen.wrong(format!("{wanted:?} was answered {execution}, and then {other:?}")),
                Answer::Again(code, _) => self.seen.wrong(format!("{wanted:?} was answered {execution}, and then {code}")),
                Answer::Broken => self.seen.wrong(format!("{wanted:?} was answered, and then not")),
            }
        }
    }

    /// No audit entry of a write is open whose outcome is known, and none that was accepted is missing.
    async fn records(&self, postgres: &Postgres) {
        let mut connection = sqlx::PgConnection::connect(&postgres.admin_url("gateway")).await.unwrap();
        let row = sqlx::query(
            "select (select count(*) from audit a where outcome = 'open' and not exists \
               (select 1 from idempotency i where i.audit_id = a.id and i.outcome is null)) as open_without_reason, \
             (select count(*) from audit where outcome = 'open') as open, \
             (select count(*) from idempotency i where i.outcome is not null and not exists \
               (select 1 from audit a where a.id = i.audit_id and a.outcome <> 'open')) as lost",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        let number = |name: &str| row.get::<i64, _>(name);
        println!("audit: {} entries of writes stay open", number("open"));
        if number("open_without_reason") + number("lost") > 0 {
            self.seen.wrong(format!(
                "audit: {} entries are open though their outcome is known, {} of known outcomes are lost",
                number("open_without_reason"),
                number("lost")
            ));
        }
    }
}
