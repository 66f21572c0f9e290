//! Health: the database, the platform services that the operator named, and how calls to each backend went of late.
//!
//! A request never waits for a probe: probes run on a timer, and a request reads what they found.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use url::Url;

use crate::{backends, clock::Clock, error::Kind};

/// How often a configured service is probed, and how long it has.
pub const PROBE_EVERY: Duration = Duration::from_secs(30);
const PROBE_TIME_LIMIT: Duration = Duration::from_secs(5);
/// Calls of the last five minutes count, in slices of ten seconds.
const SLICE_MS: i64 = 10_000;
const SLICES: usize = 30;

/// How a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Healthy,
    /// More than a tenth of the calls failed.
    Degraded,
    Down,
    /// Nobody has asked lately.
    Unknown,
}

#[derive(Debug)]
pub struct Health {
    clock: Clock,
    started_at: i64,
    configured: Vec<Configured>,
    calls: BTreeMap<&'static str, Mutex<Calls>>,
    /// Readiness goes first when the process is asked to stop.
    draining: AtomicBool,
}

#[derive(Debug)]
struct Configured {
    kind: String,
    url: Url,
    condition: AtomicU8,
}

/// Calls to a backend, by slice of time.
#[derive(Debug)]
struct Calls {
    slices: [(i64, u32, u32); SLICES],
}

/// `/health`, with the owner's fields.
#[derive(Debug, Serialize)]
pub struct Report {
    pub status: &'static str,
    pub version: &'static str,
    /// Seconds.
    pub uptime: i64,
    pub services: BTreeMap<String, Condition>,
    pub database: &'static str,
    /// Where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<&'static str>,
    /// Where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<&'static str>,
    pub timestamp: String,
}

impl Health {
    pub fn new(services: &[(String, Url)], clock: Clock) -> Self {
        Self {
            started_at: clock.millis(),
            clock,
            configured: services
                .iter()
                .map(|(kind, url)| Configured {
                    kind: kind.clone(),
                    url: url.clone(),
                    condition: AtomicU8::new(Condition::Unknown as u8),
                })
                .collect(),
            calls: backends::kinds()
                .into_iter()
                .map(|kind| {
                    (
                        kind.name,
                        Mutex::new(Calls {
                            slices: [(0, 0, 0); SLICES],
                        }),
                    )
                })
                .collect(),
            draining: AtomicBool::new(false),
        }
    }

    /// Notes how a call to a backend ended; `None` is success. Refusals of our own say nothing about the backend.
    pub fn called(&self, backend: &str, failure: Option<Kind>) {
        let failed = match failure {
            None | Some(Kind::InvalidInput | Kind::NotFound | Kind::Conflict) => false,
            Some(Kind::BackendDown | Kind::BackendRefused | Kind::Timeout) => true,
            Some(_) => return,
        };
        if let Some(calls) = self.calls.get(backend) {
            let now = self.clock.millis() / SLICE_MS;
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            let slice = &mut calls.slices[usize::try_from(now).unwrap_or_default() % SLICES];
            if slice.0 != now {
                *slice = (now, 0, 0);
            }
            slice.1 += 1;
            slice.2 += u32::from(failed);
        }
    }

    /// Asks every configured service, at once.
    pub async fn probe(&self, http: &reqwest::Client) {
        let probes = self.configured.iter().map(|service| async {
            let answered = tokio::time::timeout(PROBE_TIME_LIMIT, http.get(service.url.clone()).send()).await;
            let condition = match answered {
                Ok(Ok(response)) if !response.status().is_server_error() => Condition::Healthy,
                _ => Condition::Down,
            };
            let before = service.condition.swap(condition as u8, Ordering::Relaxed);
            if before != condition as u8 {
                tracing::info!(service = service.kind, condition = ?condition, "a platform service changed");
            }
        });
        futures::future::join_all(probes).await;
    }

    pub fn has_probes(&self) -> bool {
        !self.configured.is_empty()
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn services(&self) -> BTreeMap<String, Condition> {
        let now = self.clock.millis() / SLICE_MS;
        let by_calls = self.calls.iter().map(|(kind, calls)| {
            let calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = now - i64::try_from(SLICES).unwrap_or_default();
            let lately = calls.slices.iter().filter(|(at, ..)| *at > oldest);
            let (all, failed) = lately.fold((0, 0), |(all, failed), slice| (all + slice.1, failed + slice.2));
            let condition = match (all, failed) {
                (0, _) => Condition::Unknown,
                (all, failed) if failed == all => Condition::Down,
                (all, failed) if failed * 10 > all => Condition::Degraded,
                _ => Condition::Healthy,
            };
            ((*kind).to_owned(), condition)
        });
        let mut services: BTreeMap<_, _> = by_calls.collect();
        services.extend(self.configured.iter().map(|service| (service.kind.clone(), service.condition())));
        services
    }

    /// The whole report. Only the database, Redis, Vault and the configured services move `status`. `redis_is_away` and
    /// `vault_is_away`: `None` where there is none.
    pub fn report(&self, database_is_away: bool, redis_is_away: Option<bool>, vault_is_away: Option<bool>) -> Report {
        let word = |away| if away { "disconnected" } else { "connected" };
        let down = redis_is_away == Some(true)
            || vault_is_away == Some(true)
            || self.configured.iter().any(|service| service.condition() == Condition::Down);
        Report {
            status: match (database_is_away, down) {
                (true, _) => "unhealthy",
                (false, true) => "degraded",
                (false, false) => "healthy",
            },
            version: env!("CARGO_PKG_VERSION"),
            uptime: (self.clock.millis() - self.started_at) / 1000,
            services: self.services(),
            database: word(database_is_away),
            redis: redis_is_away.map(word),
            vault: vault_is_away.map(word),
            timestamp: crate::clock::rfc3339(self.clock.millis()),
        }
    }
}

impl Configured {
    fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Relaxed) {
            0 => Condition::Healthy,
            1 => Condition::Degraded,
            2 => Condition::Down,
            _ => Condition::Unknown,
        }
    }
}

/// A client for probes: the operator's own addresses, which need no guard.
pub fn probe_client() -> Option<Arc<reqwest::Client>> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .inspect_err(|error| tracing::error!(%error, "platform services cannot be probed"))
        .ok()
        .map(Arc::new)
}
