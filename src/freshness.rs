//! Freshness: how long ago this replica last heard from the database that what it keeps warm still holds.
//!
//! Every 400 ms the revision row is read; what changed since is forgotten. While the database is away, warm tokens may read
//! for 30 seconds, and writes are refused.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use crate::{
    auth,
    clock::Clock,
    error::{Error, Result},
    id::{TenantId, TokenId},
    state::State,
    store::{Reach, changes},
    tool::Effect,
};

pub const POLL: Duration = Duration::from_millis(400);
const POLL_TIME_LIMIT: Duration = Duration::from_secs(2);
/// How long warm tokens may read without the database, in milliseconds.
const READS_MS: i64 = 30_000;

#[derive(Debug)]
pub struct Freshness {
    clock: Clock,
    revision: AtomicI64,
    heard_at: AtomicI64,
    away: AtomicBool,
    /// Since when every look has succeeded, epoch milliseconds.
    steady_since: AtomicI64,
}

impl Freshness {
    /// `others`: whether there may be replicas, whose heartbeats an outage before this start may have kept away.
    pub fn new(revision: i64, others: bool, clock: Clock) -> Self {
        Self {
            heard_at: AtomicI64::new(clock.millis()),
            revision: AtomicI64::new(revision),
            away: AtomicBool::new(false),
            steady_since: AtomicI64::new(if others { clock.millis() } else { 0 }),
            clock,
        }
    }

    /// Notes a change of this process's own, which it has forgotten already, unless others came between.
    pub fn knows(&self, revision: i64) {
        let before = revision - 1;
        let _ = self
            .revision
            .compare_exchange(before, revision, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the last look at the database failed.
    pub fn database_is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Whether the database has answered all the time for as long: only then does the silence of another replica mean its death.
    pub fn is_steady_for(&self, millis: i64) -> bool {
        !self.database_is_away() && self.clock.millis() - self.steady_since.load(Ordering::Relaxed) >= millis
    }

    /// # Errors
    /// 503 for a write while the database is away, and for everything after 30 seconds of that.
    pub fn check(&self, effect: Effect) -> Result<()> {
        if !self.database_is_away() {
            return Ok(());
        }
        let silent = self.clock.millis() - self.heard_at.load(Ordering::Relaxed);
        if !effect.writes() && silent <= READS_MS {
            return Ok(());
        }
        Err(
            Error::unavailable("The gateway's database cannot be reached right now; nothing was done. Try again shortly.")
                .coded("database_away")
                .retry_after(1),
        )
    }
}

/// Reads the revision row and forgets what changed.
pub async fn poll(state: &State) {
    let looked = tokio::time::timeout(POLL_TIME_LIMIT, catch_up(state)).await;
    let freshness = &state.freshness;
    match looked {
        Ok(Ok(())) => {
            freshness.heard_at.store(state.clock.millis(), Ordering::Relaxed);
            if freshness.away.swap(false, Ordering::Relaxed) {
                freshness.steady_since.store(state.clock.millis(), Ordering::Relaxed);
                tracing::info!("the database is back");
            }
        }
        Ok(Err(error)) => went_away(freshness, error.cause()),
        Err(_) => went_away(freshness, "no answer in time".to_owned()),
    }
}

fn went_away(freshness: &Freshness, source: String) {
    if !freshness.away.swap(true, Ordering::Relaxed) {
        tracing::error!(
            source,
            "the database is away: reads go on for 30 s from what is warm, writes are refused"
        );
    }
}

async fn catch_up(state: &State) -> Result<()> {
    let mut tx = state.store.read(Reach::Operator).await?;
    let now = changes::revision(&mut tx).await?;
    let known = state.freshness.revision.load(Ordering::Relaxed);
    if now == known {
        return Ok(());
    }
    let changed = changes::since(&mut tx, known, now).await?;
    drop(tx);
    match changed {
        None => state.forget_all().await?,
        Some(changed) => {
            for change in changed {
                forget(state, &change).await?;
            }
        }
    }
    state.freshness.revision.store(now, Ordering::Relaxed);
    Ok(())
}

/// Forgets one thing that changed, at once in the process that changed it.
pub async fn forget(state: &State, change: &changes::Change) -> Result<()> {
    let subject = change.subject.as_str();
    match change.kind {
        Some(changes::Kind::Token) => match subject.parse::<TokenId>() {
            Ok(id) => auth::forget_token(state, id).await?,
            Err(_) => state.forget_all().await?,
        },
        Some(changes::Kind::Tenant) => match subject.parse::<TenantId>() {
            Ok(id) => {
                state.known.forget_tenant(id);
                state.connections.forget_tenant(id);
            }
            Err(_) => state.forget_all().await?,
        },
        Some(changes::Kind::Connection) => match subject
            .split_once('/')
            .map(|(tenant, backend)| (tenant.parse::<TenantId>(), backend))
        {
            Some((Ok(tenant), backend)) => state.connections.forget(tenant, backend),
            _ => state.connections.forget_all(),
        },
        Some(changes::Kind::Switch) => state.limits.switches.reload(&state.store).await?,
        // What changes of a grant is its end.
        Some(changes::Kind::Grant) => match subject.parse::<TokenId>() {
            Ok(id) => state.known.revoke(id, state.clock.millis()),
            Err(_) => state.forget_all().await?,
        },
        Some(changes::Kind::SigningKey) => state.keys.reload(&state.store, &state.secrets).await?,
        // A newer version's change: better to read too much again than to go on with something old.
        None => state.forget_all().await?,
    }
    Ok(())
}
