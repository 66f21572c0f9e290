//! Options: what the environment says of a run.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::Result;

/// The connection counts that the targets are about, and the most that anybody may ask for.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const MOST_CONNECTIONS: usize = 256;

pub struct Options {
    /// How many tenants the gateway holds, each with ten tokens (`BENCH_TENANTS`).
    pub tenants: usize,
    /// How long each cell is measured, in each round (`BENCH_SECONDS`).
    pub measured: Duration,
    /// How long it runs before that.
    pub warm_up: Duration,
    /// How often everything is measured (`BENCH_ROUNDS`); the table has the medians.
    pub rounds: usize,
    /// `BENCH_CONNECTIONS`, e.g. `1,16`.
    pub connections: Vec<usize>,
    /// Only rows whose name holds one of these (`BENCH_ONLY`, e.g. `reqwest,REST`).
    only: Vec<String>,
    /// agentgateway's program (`AG_BIN`).
    pub agentgateway: Option<PathBuf>,
    /// The PostgreSQL and Redis of the production rows.
    pub servers: Option<Servers>,
}

/// What `scripts/with-servers.sh` says in the environment (`TEST_DATABASE_URL`, `TEST_ROLE_URL`, `TEST_REDIS_URL`).
pub struct Servers {
    /// A superuser's, without a database.
    pub admin_url: String,
    /// The gateway's role's, without a database.
    pub role_url: String,
    pub redis_url: String,
}

impl Servers {
    fn from_env() -> Option<Self> {
        Some(Self {
            admin_url: text("TEST_DATABASE_URL")?,
            role_url: text("TEST_ROLE_URL")?,
            redis_url: text("TEST_REDIS_URL")?,
        })
    }
}

impl Options {
    pub fn from_env() -> Result<Self> {
        let measured = Duration::from_secs_f64(number("BENCH_SECONDS", 4.0, 0.1, 60.0)?);
        let connections = match list("BENCH_CONNECTIONS") {
            counts if counts.is_empty() => CONNECTIONS.to_vec(),
            counts => counts
                .iter()
                .map(|count| match count.parse() {
                    Ok(count) if (1..=MOST_CONNECTIONS).contains(&count) => Ok(count),
                    _ => Err(format!(
                        "BENCH_CONNECTIONS holds {count:?}, which is not from 1 to {MOST_CONNECTIONS}"
                    )),
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            tenants: number("BENCH_TENANTS", 1000, 1, 10_000)?,
            measured,
            warm_up: measured.min(Duration::from_secs(1)),
            rounds: number("BENCH_ROUNDS", 3, 1, 20)?,
            connections,
            only: list("BENCH_ONLY"),
            agentgateway: std::env::var_os("AG_BIN").filter(|path| !path.is_empty()).map(PathBuf::from),
            servers: Servers::from_env(),
        })
    }

    /// Whether a row of this name is to be measured.
    pub fn takes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(name: &str, default: T, least: T, most: T) -> Result<T> {
    let Some(text) = text(name) else { return Ok(default) };
    match text.trim().parse() {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => Err(format!("{name} is {text:?}, which is not from {least} to {most}").into()),
    }
}

fn text(name: &str) -> Option<String> {
    Some(std::env::var_os(name)?.to_string_lossy().into_owned())
}

fn list(name: &str) -> Vec<String> {
    let text = text(name).unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}
