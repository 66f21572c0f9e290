//! The cells of all replicas, in Redis: one script and one round trip for a call, by Redis' own clock.
//!
//! A call waits for Redis at most [`WAIT`]. When it is silent, replicas count by themselves until it answers again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use futures::FutureExt as _;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, RedisError, RedisResult, ServerErrorKind, TlsMode, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    cells::{Cell, Charged},
    gcra::Rate,
};
use crate::config::RedisServers;

/// How long a call waits for Redis.
pub const WAIT: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(500);
/// How long nothing may have been asked before Redis is asked whether it is there.
const IDLE: Duration = Duration::from_secs(5);
const SCRIPT: &str = include_str!("gcra.lua");

/// A cell to charge: where it is, and how wide.
pub type Charge = (String, Rate);

pub struct Redis {
    servers: RedisServers,
    script: redis::Script,
    /// `None` while it is silent.
    link: ArcSwapOption<Link>,
    lost: Notify,
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl Redis {
    pub fn new(servers: RedisServers) -> Self {
        Self {
            servers,
            script: redis::Script::new(SCRIPT),
            link: ArcSwapOption::empty(),
            lost: Notify::new(),
        }
    }

    /// Whether it answered last.
    pub fn is_here(&self) -> bool {
        self.link.load().is_some()
    }

    /// Charges cells in their order: Redis' now, and what charging each came to, until one refused. `None`: it is silent, or
    /// has been for a while.
    pub async fn charge(&self, cells: &[Charge], ahead_us: i64) -> Option<(i64, Vec<Charged>)> {
        let link = self.link.load_full()?;
        let until = tokio::time::Instant::now() + WAIT;
        let mut charge = redis::cmd("EVALSHA");
        charge.arg(self.script.get_hash());
        Self::arguments(&mut charge, cells, ahead_us);
        let answered = async {
            match link.ask(&charge).await {
                // Redis was started again, or a master of a cluster has not seen the script yet.
                Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                    let mut whole = redis::cmd("EVAL");
                    whole.arg(SCRIPT);
                    Self::arguments(&mut whole, cells, ahead_us);
                    link.ask(&whole).await
                }
                other => other,
            }
        };
        let mut answered = std::pin::pin!(answered);
        let mut outcome = tokio::time::timeout_at(until, &mut answered).await;
        if outcome.is_err() {
            // Where this process itself was kept from running, the answer may be here and unread.
            tokio::task::yield_now().await;
            if let Some(late) = answered.now_or_never() {
                outcome = Ok(late);
            }
        }
        match outcome {
            Ok(Ok(numbers)) => match Vec::<i64>::as_slice(&numbers).split_first_chunk() {
                Some(([now, wait], tats)) => Some((*now, charges(*wait, tats))),
                None => self.lose(&link, "an answer without numbers"),
            },
            Ok(Err(error)) => self.lose(&link, &described(&error)),
            Err(_) => self.lose(&link, "no answer in time"),
        }
    }

    fn arguments(command: &mut Cmd, cells: &[Charge], ahead_us: i64) {
        command.arg(cells.len());
        for (key, _) in cells {
            command.arg(key);
        }
        command.arg(ahead_us);
        for (_, rate) in cells {
            command.arg(rate.tolerance_us()).arg(rate.interval_us());
        }
    }

    /// Notes that this link failed; whoever notes it first says so.
    fn lose<T>(&self, link: &Arc<Link>, why: &str) -> Option<T> {
        let seen = self.link.compare_and_swap(&Some(Arc::clone(link)), None);
        if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, link)) {
            tracing::error!(source = why, "Redis is silent: limits are counted in this process until it answers");
            self.lost.notify_one();
        }
        None
    }

    /// Connects once. A gateway starts without its Redis too, and counts alone until it is there.
    pub async fn open(&self) {
        let mut said = None;
        self.try_open(&mut said).await;
    }

    async fn try_open(&self, said: &mut Option<String>) {
        match self.connect().await {
            Ok(link) => {
                self.link.store(Some(Arc::new(link)));
                *said = None;
                tracing::info!("Redis answers: limits are counted there");
            }
            Err(why) => {
                if said.as_ref() != Some(&why) {
                    tracing::error!(
                        source = why,
                        "REDIS_URL: Redis cannot be reached; limits are counted in this process, trying again"
                    );
                    *said = Some(why);
                }
            }
        }
    }

    /// Connects again whenever the link is lost, until `stop`.
    pub async fn keep(&self, stop: CancellationToken) {
        let keeping = async {
            let mut said = None;
            loop {
                if self.is_here() {
                    self.watch().await;
                }
                tokio::time::sleep(AGAIN).await;
                if !self.is_here() {
                    self.try_open(&mut said).await;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            never = keeping => match never {},
        }
    }

    /// Returns when the link is lost. A link that nobody uses is asked now and then.
    async fn watch(&self) {
        loop {
            if tokio::time::timeout(IDLE, self.lost.notified()).await.is_ok() {
                return;
            }
            let Some(link) = self.link.load_full() else { return };
            let lost: Option<()> = match tokio::time::timeout(CONNECT, link.ask::<Value>(&redis::cmd("PING"))).await {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => self.lose(&link, &described(&error)),
                Err(_) => self.lose(&link, "no answer in time"),
            };
            debug_assert!(lost.is_none());
        }
    }

    /// Connects and tries the script, so that a server that cannot run it is found before a call finds it.
    ///
    /// # Errors
    /// Why not, without an address or a password.
    async fn connect(&self) -> Result<Link, String> {
        let connecting = async {
            let link = Link::open(&self.servers).await?;
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(SCRIPT);
            if let Link::One(_) = link {
                link.ask::<Value>(&load).await?;
            }
            let mut charge = redis::cmd("EVAL");
            charge.arg(SCRIPT);
            Self::arguments(&mut charge, &[("smcp:{probe}".to_owned(), Rate::new(1_000_000, 1, 1_000_000))], 0);
            link.ask::<Value>(&charge).await?;
            RedisResult::Ok(link)
        };
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(done) => done.map_err(|error| described(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// For `doctor`: connects, and answers how long the script took and what `INFO` and the policy of eviction say.
    ///
    /// # Errors
    /// Why not, without an address or a password.
    pub async fn examine(&self) -> Result<Examined, String> {
        let link = self.connect().await?;
        let ask = async |command: &Cmd| -> Result<String, String> {
            match tokio::time::timeout(CONNECT, link.ask::<Value>(command)).await {
                Ok(Ok(value)) => Ok(texts(value).join("\n")),
                Ok(Err(error)) => Err(described(&error)),
                Err(_) => Err("no answer in time".to_owned()),
            }
        };
        let began = Instant::now();
        self.link.store(Some(Arc::new(link.clone())));
        let charged = self
            .charge(&[("smcp:{probe}".to_owned(), Rate::new(1_000_000, 1, 1_000_000))], 0)
            .await;
        let took = began.elapsed();
        if charged.is_none() {
            return Err(format!("the script was not answered within {} ms", WAIT.as_millis()));
        }
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let mut policy = redis::cmd("CONFIG");
        policy.arg("GET").arg("maxmemory-policy");
        let version = ask(&info).await.ok().and_then(|text| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix("redis_version:").map(str::to_owned))
        });
        // Managed servers refuse CONFIG: then nobody knows.
        let eviction = ask(&policy).await.ok().and_then(|text| text.lines().nth(1).map(str::to_owned));
        Ok(Examined { took, version, eviction })
    }
}

/// What `doctor` is told of a Redis.
#[derive(Debug)]
pub struct Examined {
    /// How long the script took.
    pub took: Duration,
    pub version: Option<String>,
    /// Its `maxmemory-policy`.
    pub eviction: Option<String>,
}

impl Link {
    async fn open(servers: &RedisServers) -> RedisResult<Self> {
        // The time of each command is bounded here, not by the library.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None);
        match servers {
            RedisServers::Single(url) => {
                let client = Client::open(url.expose())?;
                Ok(Link::One(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            RedisServers::Sentinel {
                sentinels,
                master,
                tls,
                username,
                password,
                db,
            } => {
                let address = |(host, port): &(String, u16)| match tls {
                    true => ConnectionAddr::TcpTls {
                        host: host.clone(),
                        port: *port,
                        insecure: false,
                        tls_params: None,
                    },
                    false => ConnectionAddr::Tcp(host.clone(), *port),
                };
                let mut builder = SentinelClientBuilder::new(sentinels.iter().map(address), master, SentinelServerType::Master)?
                    .set_client_to_redis_db(*db);
                if *tls {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure);
                }
                if let Some(username) = username {
                    builder = builder.set_client_to_redis_username(username);
                }
                if let Some(password) = password {
                    builder = builder.set_client_to_redis_password(password.expose());
                }
                Ok(Link::One(builder.build()?.get_async_connection_with_config(&config).await?))
            }
            RedisServers::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.iter().map(crate::config::Secret::expose))
                    .connection_timeout(CONNECT)
                    .retries(1)
                    .build()?;
                Ok(Link::Cluster(client.get_async_connection().await?))
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Link::One(mut connection) => command.query_async(&mut connection).await,
            Link::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }
}

/// Where a cell is kept: `smcp:{tenant}:token:cell`. All keys of a tenant lie in one slot of a cluster.
pub fn key(tenant: &str, token: &str, cell: Cell) -> String {
    let mut key = String::with_capacity(104);
    let token = if cell == Cell::Tenant { "" } else { token };
    for part in ["smcp:{", tenant, "}:", token, ":", cell.name()] {
        key.push_str(part);
    }
    if let Cell::CategoryHour(_) = cell {
        key.push_str(":hour");
    }
    key
}

fn charges(wait: i64, tats: &[i64]) -> Vec<Charged> {
    let last = tats.len().saturating_sub(1);
    tats.iter()
        .enumerate()
        .map(|(index, tat)| Charged {
            tat: *tat,
            wait_us: (index == last && wait >= 0).then_some(wait),
        })
        .collect()
}

/// What Redis or the network says, without the address, which may hold a password.
fn described(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => error.category().to_owned(),
    }
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::BulkString(bytes) => vec![String::from_utf8_lossy(&bytes).into_owned()],
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![text],
        Value::Array(items) => items.into_iter().flat_map(texts).collect(),
        Value::Map(pairs) => pairs
            .into_iter()
            .flat_map(|(name, value)| [texts(name), texts(value)].concat())
            .collect(),
        _ => Vec::new(),
    }
}
