//! Everything that is opened once and shared by all calls.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::Audit,
    auth::{Known, issuers::Issuers},
    backends::{self, Connections},
    clock::Clock,
    config::{Config, Database, checked_admin_token},
    error::{Error, Result},
    freshness::Freshness,
    health::Health,
    http::Pages,
    id,
    idempotency::{DEAD_AFTER_MS, Running},
    jobs,
    limits::Limits,
    oauth::{client::Clients, keys::Keys, openid, refresh},
    secrets::{Secrets, Vault},
    store::{self, Reach, Store},
    telemetry::{Metrics, Spans},
    tool::Catalogue,
};

#[derive(Debug)]
pub struct State {
    pub config: Config,
    pub clock: Clock,
    pub store: Store,
    pub secrets: Secrets,
    pub catalogue: Catalogue,
    pub known: Arc<Known>,
    /// What access tokens are signed with.
    pub keys: Keys,
    /// Others whose access tokens are taken.
    pub issuers: Issuers,
    pub limits: Arc<Limits>,
    pub connections: Connections,
    /// The applications that ask for access, and what guards them.
    pub oauth_clients: Clients,
    pub refreshes: refresh::Pace,
    /// By whom members may sign in, where the operator has set one.
    pub openid: Option<openid::Provider>,
    pub audit: Arc<Audit>,
    pub metrics: Arc<Metrics>,
    /// Where a collector is set.
    pub spans: Option<Spans>,
    pub freshness: Freshness,
    pub health: Health,
    pub running: Running,
    /// What is rendered once: the OpenAPI document, the page at `/`.
    pub pages: Pages,
    /// The URL that clients are told, without a trailing slash.
    pub base_url: String,
    /// This process, among its replicas.
    pub instance: String,
    /// Calls that must end before the process does.
    pub calls: TaskTracker,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl State {
    /// Opens the state, and starts the tasks that keep it.
    pub async fn open(mut config: Config, catalogue: Catalogue, clock: Clock, bound: SocketAddr) -> Result<Arc<Self>> {
        let store = Store::open(&config.database, &config.data_dir).await?;
        let vault = match &config.vault {
            Some(server) => Some(Arc::new(Vault::new(server.clone(), clock.clone())?)),
            None => None,
        };
        if let Some(vault) = &vault {
            vault.open().await?;
            if let Some(at) = &config.admin_token_at {
                let token = vault.field("SMARTERMCP_ADMIN_TOKEN", at).await?;
                let checked = checked_admin_token(token.expose()).map_err(|problem| Error::invalid(problem.to_string()))?;
                config.admin_token = Some(checked);
            }
        }
        let secrets = Secrets::open(config.master_key.clone(), vault, &store).await?;
        let keys = Keys::open(&store, &secrets, clock.millis()).await?;
        let metrics = Metrics::new(&catalogue);
        let (audit, writer) = Audit::new(Arc::clone(&metrics));
        let instance = id::ordered().to_string();
        let (spans, export) = match &config.otlp {
            Some(otlp) => Spans::open(otlp, &instance, &metrics).map(|(spans, export)| (Some(spans), Some(export)))?,
            None => (None, None),
        };
        let now = clock.millis();
        let mut tx = store.write(Reach::Operator).await?;
        store::changes::beat(&mut tx, &instance, now).await?;
        // From the first call on: a share of a limit depends on it while Redis is silent.
        let replicas = store::changes::count_living(&mut tx, now - DEAD_AFTER_MS).await?;
        let revision = store::changes::revision(&mut tx).await?;
        tx.commit().await?;
        let limits = Arc::new(Limits::new(config.redis.clone(), clock.clone()));
        limits.note_replicas(replicas);
        limits.switches.reload(&store).await?;
        if let Some(redis) = limits.redis() {
            redis.open().await;
        }
        let known = Known::new(config.admin_token.as_ref().map(crate::config::Secret::expose));
        known.reload_revoked(&store, now).await?;
        let base_url = config.base_url(bound);
        let pages = Pages::render(&catalogue, &base_url, config.sign_in);
        let state = Arc::new(Self {
            known: Arc::new(known),
            issuers: Issuers::new(&config.issuers)?,
            connections: Connections::new(backends::kinds(), config.network.clone()),
            oauth_clients: Clients::new(&config, &base_url),
            refreshes: refresh::Pace::default(),
            openid: config.openid.as_ref().map(openid::Provider::new).transpose()?,
            health: Health::new(&config.services, clock.clone()),
            freshness: Freshness::new(revision, matches!(config.database, Database::Postgres { .. }), clock.clone()),
            running: Running::default(),
            audit: Arc::new(audit),
            calls: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            pages,
            base_url,
            clock,
            store,
            secrets,
            keys,
            catalogue,
            limits,
            metrics,
            spans,
            instance,
            config,
        });
        state.tasks.spawn(writer.run(
            state.store.clone(),
            state.clock.clone(),
            Arc::clone(&state.limits),
            Arc::clone(&state.known),
            state.stop.clone(),
        ));
        if let Some(export) = export {
            state.tasks.spawn(export.run(state.stop.clone()));
        }
        if state.limits.redis().is_some() {
            let (limits, stop) = (Arc::clone(&state.limits), state.stop.clone());
            state.tasks.spawn(async move {
                if let Some(redis) = limits.redis() {
                    redis.keep(stop).await;
                }
            });
        }
        jobs::start(&state, &state.tasks, &state.stop);
        Ok(state)
    }

    /// Forgets all that is warm.
    pub async fn forget_all(&self) -> Result<()> {
        self.known.forget_all();
        self.connections.forget_all();
        self.known.reload_revoked(&self.store, self.clock.millis()).await?;
        self.keys.reload(&self.store, &self.secrets).await?;
        self.limits.switches.reload(&self.store).await
    }

    /// Waits for the calls in flight, then writes what is left and closes, all before `until`. To be called when no request
    /// comes in any more.
    pub async fn close(&self, until: Instant) {
        self.calls.close();
        if tokio::time::timeout_at(until, self.calls.wait()).await.is_err() {
            tracing::warn!(
                calls = self.calls.len(),
                "calls were still in flight when the time to stop was over; their audit entries stay open"
            );
        }
        self.stop.cancel();
        self.tasks.close();
        // What is left to write gets a moment even when the calls have used the time up; a database that takes nothing does not.
        if tokio::time::timeout_at(until.max(Instant::now() + LAST_WRITES), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!("audit entries and usage could not be written before the stop: the database takes nothing");
        }
        // Nothing of this process runs any more: nobody needs to wait until its silence means its death.
        let left = async {
            let mut tx = self.store.write(Reach::Operator).await?;
            store::changes::leave(&mut tx, &self.instance).await?;
            tx.commit().await
        };
        if let Err(error) = tokio::time::timeout(LAST_WRITES, left)
            .await
            .unwrap_or_else(|_| Err(Error::internal("no answer in time")))
        {
            tracing::debug!(
                source = error.cause(),
                "this process could not be taken off the list of those that live"
            );
        }
        self.store.close().await;
    }
}

/// The least time for the last writes.
pub const LAST_WRITES: Duration = Duration::from_secs(3);
