//! The gateway under test: started with everything on, and filled with tenants, connections and tokens through its own API.

use std::{
    cell::Cell,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use serde_json::{Value, json};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::{
    Result,
    doors::Door,
    load::{Answer, Connection, Template, ask},
    options::Servers as ServerOptions,
    process::{Process, free_address, until},
};

/// How many tokens each tenant gets.
const TOKENS_PER_TENANT: usize = 10;
/// How many requests are under way at once while the gateway is filled.
const FILLING: usize = 16;
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running gateway, beside its process.
pub struct Gateway {
    pub address: SocketAddr,
    /// From the start of the process to the first 200 of `/health/live`.
    pub first_answer: Duration,
    log: File,
    /// The operator's token.
    admin: String,
}

/// The program: what `SMARTERMCP_BIN` names, else the one that cargo built beside this benchmark.
fn program() -> Result<PathBuf> {
    let path = std::env::var_os("SMARTERMCP_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_smartermcp")), PathBuf::from);
    let missing = || format!("{} is no file: build the gateway, or name it by SMARTERMCP_BIN", path.display());
    Ok(path.canonicalize().map_err(|_| missing())?)
}

/// PostgreSQL and Redis in place of the embedded parts, as `scripts/with-servers.sh` gives them.
#[derive(Clone)]
pub struct Servers {
    pub database: String,
    pub redis: String,
    /// Of all replicas.
    pub master_key: String,
    pub admin: String,
}

impl Servers {
    /// With a database of its own on these servers.
    pub async fn of(options: &ServerOptions, name: &str) -> Result<Self> {
        let mut connection = sqlx::PgConnection::connect(&format!("{}/postgres", options.admin_url)).await?;
        let make = format!("create database \"{name}\" owner smartermcp template template0");
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await?;
        Ok(Self {
            database: format!("{}/{name}", options.role_url),
            redis: options.redis_url.clone(),
            master_key: digits(),
            admin: digits(),
        })
    }
}

/// 64 random hexadecimal digits.
fn digits() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

impl Gateway {
    /// Starts the program on a new directory and waits until it is ready.
    pub async fn start(directory: &Path) -> Result<(Self, Process)> {
        Self::open(directory, digits(), |_| {}).await
    }

    /// Starts it on a directory that it has used before.
    pub async fn start_again(self, directory: &Path) -> Result<(Self, Process)> {
        Self::open(directory, self.admin, |_| {}).await
    }

    /// Starts a replica; `threads`: of its runtime, as many as there are cores unless said.
    pub async fn start_replica(directory: &Path, servers: &Servers, threads: Option<usize>) -> Result<(Self, Process)> {
        Self::open(directory, servers.admin.clone(), |command| {
            command
                .env("DATABASE_URL", &servers.database)
                .env("REDIS_URL", &servers.redis)
                .env("SMARTERMCP_MASTER_KEY", &servers.master_key)
                .env("SMARTERMCP_DRAIN_SECS", "0");
            if let Some(threads) = threads {
                command.env("TOKIO_WORKER_THREADS", threads.to_string());
            }
        })
        .await
    }

    async fn open(directory: &Path, admin: String, set: impl FnOnce(&mut Command)) -> Result<(Self, Process)> {
        std::fs::create_dir_all(directory)?;
        // Appended to, so that it can be cut short while the gateway writes.
        let log = OpenOptions::new().create(true).append(true).open(directory.join("bench.log"))?;
        let address = free_address()?;
        let mut command = Command::new(program()?);
        // Nothing else of our environment: a DATABASE_URL or REDIS_URL would make it another gateway.
        command
            .arg("serve")
            .env_clear()
            .envs(
                ["PATH", "HOME", "TMPDIR", "LANG"]
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("SMARTERMCP_LISTEN", address.to_string())
            .env("SMARTERMCP_DATA_DIR", directory.join("data"))
            .env("SMARTERMCP_ADMIN_TOKEN", &admin)
            .env("SMARTERMCP_BACKEND_ALLOW", "127.0.0.0/8")
            .env("RUST_LOG", "info")
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        set(&mut command);
        let started = Instant::now();
        let mut process = Process::start(command)?;
        let explained = |error| format!("{error}\n{}", tail(directory));
        until(START_LIMIT, &mut process, "the gateway", || is_ok(address, "/health/live"))
            .await
            .map_err(explained)?;
        let first_answer = started.elapsed();
        until(START_LIMIT, &mut process, "the gateway", || is_ok(address, "/health/ready"))
            .await
            .map_err(explained)?;
        Ok((
            Self {
                address,
                first_answer,
                log,
                admin,
            },
            process,
        ))
    }

    /// Empties its log: one line per call would come to hundreds of megabytes.
    pub fn cut_log(&self) -> Result<()> {
        Ok(self.log.set_len(0)?)
    }

    /// Makes tenants with a connection to the backend and tokens; makes one call with each token.
    pub async fn fill(&self, tenants: usize, backend: SocketAddr) -> Result<Arc<[String]>> {
        let ids = self
            .spread(
                tenants,
                |index| {
                    let body = json!({ "name": format!("Bench {index}"), "slug": format!("bench-{index}"), "plan": "enterprise" });
                    self.request("POST", "/api/v1/tenants", None, &body)
                },
                |answer| field(answer, 201, "id"),
            )
            .await?;
        let connection = json!({ "url": format!("http://{backend}"), "credential": { "api_key": "k" } });
        self.spread(
            tenants,
            |index| self.request("PUT", "/api/v1/connections/n8n", Some(&ids[index]), &connection),
            |answer| match answer.status {
                200..300 => Ok(()),
                _ => Err(answer.summary().into()),
            },
        )
        .await?;
        // Tenant after tenant in turn, so that neighbours in the list share no tenant's limit.
        let tokens: Arc<[String]> = self
            .spread(
                tenants * TOKENS_PER_TENANT,
                |index| {
                    let tenant = &ids[index % tenants];
                    let body = json!({ "name": format!("bench {index}"), "scopes": ["write:workflows"], "tenant_id": tenant });
                    self.request("POST", "/auth/token", None, &body)
                },
                |answer| field(answer, 201, "api_token"),
            )
            .await?
            .into();
        let call = Door::Legacy.template(self.address);
        self.spread(
            tokens.len(),
            |index| {
                let mut request = Vec::new();
                call.render(&tokens[index], &mut request);
                request
            },
            |answer| if answer.is_right() { Ok(()) } else { Err(answer.summary().into()) },
        )
        .await?;
        Ok(tokens)
    }

    /// Makes a tenant of no limited plan, and answers its id.
    pub async fn tenant(&self, slug: &str) -> Result<String> {
        let body = json!({ "name": slug, "slug": slug, "plan": "enterprise" });
        self.one(&self.request("POST", "/api/v1/tenants", None, &body), |answer| {
            field(answer, 201, "id")
        })
        .await
    }

    /// Issues a token of a tenant, with more said of it.
    pub async fn token(&self, tenant: &str, scopes: &[&str], more: &Value) -> Result<String> {
        let mut body = json!({ "name": "bench", "scopes": scopes, "tenant_id": tenant });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.one(&self.request("POST", "/auth/token", None, &body), |answer| {
            field(answer, 201, "api_token")
        })
        .await
    }

    /// Stores a tenant's connection.
    pub async fn connect(&self, tenant: &str, backend: &str, connection: &Value) -> Result<()> {
        let request = self.request("PUT", &format!("/api/v1/connections/{backend}"), Some(tenant), connection);
        self.one(&request, |answer| match answer.status {
            200..300 => Ok(()),
            _ => Err(answer.summary().into()),
        })
        .await
    }

    async fn one<T>(&self, request: &[u8], read: impl FnOnce(&Answer<'_>) -> Result<T>) -> Result<T> {
        ask(self.address, request, read).await?
    }

    /// A request of the operator's.
    fn request(&self, method: &str, path: &str, tenant: Option<&str>, body: &Value) -> Vec<u8> {
        let tenant = tenant.map(|id| format!("X-Tenant-ID: {id}"));
        let lines: Vec<&str> = tenant.as_deref().into_iter().collect();
        let mut request = Vec::new();
        Template::new(method, path, self.address, &lines, &body.to_string()).render(&self.admin, &mut request);
        request
    }

    /// Makes `count` requests over a few connections, and reads each answer; in order of the requests.
    async fn spread<T>(&self, count: usize, request: impl Fn(usize) -> Vec<u8>, read: impl Fn(&Answer<'_>) -> Result<T>) -> Result<Vec<T>> {
        let next = Cell::new(0);
        let lanes = (0..FILLING).map(|_| async {
            let mut connection = Connection::open(self.address).await?;
            let mut done = Vec::new();
            loop {
                let index = next.replace(next.get() + 1);
                if index >= count {
                    return Ok::<_, crate::Error>(done);
                }
                let request = request(index);
                let answer = connection.exchange(&request).await.and_then(|answer| read(&answer));
                let answer = answer.map_err(|error| {
                    let line = String::from_utf8_lossy(&request);
                    format!("filling the gateway: {}: {error}", line.lines().next().unwrap_or_default())
                })?;
                done.push((index, answer));
            }
        });
        let mut done: Vec<_> = try_join_all(lanes).await?.into_iter().flatten().collect();
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, answer)| answer).collect())
    }
}

/// Whether a path answers 200.
async fn is_ok(address: SocketAddr, path: &'static str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    ask(address, request.as_bytes(), |answer| answer.status == 200)
        .await
        .unwrap_or(false)
}

/// A text in a JSON answer of the wanted status.
fn field(answer: &Answer<'_>, status: u16, name: &str) -> Result<String> {
    let value: Option<Value> = serde_json::from_slice(answer.body).ok();
    match value.as_ref().and_then(|value| value.get(name)?.as_str()) {
        Some(text) if answer.status == status => Ok(text.to_owned()),
        _ => Err(answer.summary().into()),
    }
}

/// The end of the gateway's log, for a complaint.
fn tail(directory: &Path) -> String {
    let log = std::fs::read_to_string(directory.join("bench.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
