//! What runs on a timer in every replica: watching for changes, the heartbeat, retention, probes, sweeping.
//!
//! A job takes no input and may run twice. One that fails says so in the log and runs again at its next time.

mod retention;

pub use self::retention::run as retain;

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{auth::issuers, error::Result, freshness, health, idempotency, oauth::keys, secrets::vault, state::State, store};

const BEAT: Duration = Duration::from_secs(3);
const UPKEEP: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_mins(1);
const RETENTION: Duration = Duration::from_hours(1);
/// How often it is looked whether a signing key is due.
const SIGNING_KEYS: Duration = Duration::from_hours(1);
/// Of connections that were removed while Vault was away.
const DESTROY: Duration = Duration::from_secs(5);

/// Starts every job, until `stop`.
pub fn start(state: &Arc<State>, tasks: &TaskTracker, stop: &CancellationToken) {
    every("watch for changes", freshness::POLL, state, tasks, stop, |state| async move {
        freshness::poll(&state).await;
        Ok(())
    });
    every("heartbeat", BEAT, state, tasks, stop, |state| async move {
        // While the database is away the watch has said so already.
        if state.freshness.database_is_away() {
            Ok(())
        } else {
            store::in_time(idempotency::beat(&state)).await
        }
    });
    every("metrics upkeep", UPKEEP, state, tasks, stop, |state| async move {
        state.metrics.upkeep();
        Ok(())
    });
    every("sweep", SWEEP, state, tasks, stop, |state| async move {
        state.limits.sweep(state.clock.micros());
        state.known.sweep(state.clock.millis());
        state.refreshes.sweep();
        Ok(())
    });
    every("retention", RETENTION, state, tasks, stop, |state| async move {
        retention::run(&state).await
    });
    every("signing keys", SIGNING_KEYS, state, tasks, stop, |state| async move {
        keys::tend(&state).await
    });
    if !state.issuers.is_empty() {
        every("issuers", issuers::REFRESH, state, tasks, stop, |state| async move {
            state.issuers.refresh(&state).await;
            Ok(())
        });
    }
    if state.secrets.in_vault().is_some() {
        every("vault", vault::TICK, state, tasks, stop, |state| async move {
            if let Some(vault) = state.secrets.in_vault() {
                vault.tend().await;
            }
            Ok(())
        });
        every("destroy credentials", DESTROY, state, tasks, stop, |state| async move {
            state.secrets.sweep().await
        });
    }
    if state.health.has_probes()
        && let Some(http) = health::probe_client()
    {
        every("probe services", health::PROBE_EVERY, state, tasks, stop, move |state| {
            let http = Arc::clone(&http);
            async move {
                state.health.probe(&http).await;
                Ok(())
            }
        });
    }
}

fn every<F>(
    name: &'static str,
    period: Duration,
    state: &Arc<State>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    job: impl Fn(Arc<State>) -> F + Send + 'static,
) where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (state, stop) = (Arc::clone(state), stop.clone());
    tasks.spawn(async move {
        let mut timer = tokio::time::interval(period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timer.tick() => {}
            }
            if let Err(error) = job(Arc::clone(&state)).await {
                tracing::warn!(job = name, source = error.cause(), "{}", error.message());
            }
        }
    });
}
