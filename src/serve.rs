//! A running gateway: opened, served, and stopped so that nothing in flight is lost.

use std::{
    fs::{DirBuilder, File, TryLockError},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::Arc,
};

use tokio::{net::TcpListener, signal::unix::SignalKind, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    backends::account::tokens::issue_operators,
    clock::Clock,
    config::{Config, Database},
    error::{Error, Result},
    http,
    id::TenantId,
    state::{LAST_WRITES, State},
    store::{self, Reach},
    tenant::{self, Status, Tenant},
    tool::Catalogue,
};

/// A gateway that serves.
pub struct Server {
    pub state: Arc<State>,
    pub address: SocketAddr,
    /// The operator's token, where this was the first start and none was configured. It is told once.
    pub new_operator_token: Option<Zeroizing<String>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _lock: Option<File>,
}

impl Server {
    /// Opens the state, takes the port, and serves.
    ///
    /// # Errors
    /// With a sentence for the operator that names the setting.
    pub async fn start(config: Config, catalogue: Catalogue, clock: Clock) -> Result<Self> {
        install_crypto();
        make_folder(&config.data_dir)?;
        let lock = match config.database {
            Database::Embedded => Some(lock(&config.data_dir)?),
            Database::Postgres { .. } => None,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Error::unavailable(format!(
                "SMARTERMCP_LISTEN is {}, and that address cannot be listened on ({error}). Choose another, e.g. 127.0.0.1:8081",
                config.listen
            ))
        })?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let state = State::open(config, catalogue, clock, address).await?;
        let new_operator_token = first_start(&state).await?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(http::serve::serve(listener, Arc::clone(&state), stop.clone()));
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), tools = state.catalogue.all().len(), "serving");
        Ok(Self {
            state,
            address,
            new_operator_token,
            stop,
            serving,
            _lock: lock,
        })
    }

    /// Says that it is going and waits until load balancers have seen it; then stops accepting, finishes the calls in flight,
    /// writes what is left: all within the configured time.
    pub async fn stop(self) {
        self.state.health.drain();
        let drain = self.state.config.drain;
        let until = Instant::now() + self.state.config.shutdown.max(drain + LAST_WRITES);
        if !drain.is_zero() {
            tracing::info!(seconds = drain.as_secs(), "going: readiness says 503, calls are still taken");
            tokio::time::sleep(drain).await;
        }
        self.stop.cancel();
        if tokio::time::timeout_at(until - LAST_WRITES, self.serving).await.is_err() {
            tracing::warn!("connections were still open when the time to stop was over");
        }
        self.state.close(until).await;
        tracing::info!("stopped");
    }
}

/// SIGTERM and SIGINT, listened to from now on; the future ends when one comes.
pub fn asked_to_stop() -> impl Future<Output = ()> {
    let signals = (
        tokio::signal::unix::signal(SignalKind::terminate()),
        tokio::signal::unix::signal(SignalKind::interrupt()),
    );
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::error!("signals cannot be listened to; stop the process by force");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// The TLS of outgoing connections. Installed once for the process; a second time changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes the data directory, for its owner alone.
pub fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Error::unavailable(format!(
            "SMARTERMCP_DATA_DIR is {}, and that folder cannot be made or used ({error}). Name one that this user may write to",
            path.display()
        ))
    })
}

/// One server for one embedded database: two would each believe to know all that changed.
pub fn lock(data_dir: &Path) -> Result<File> {
    let path = data_dir.join("serve.lock");
    let file = File::create(&path).map_err(|error| Error::unavailable(format!("{} cannot be written ({error})", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::unavailable(format!(
            "Another smartermcp already serves from SMARTERMCP_DATA_DIR ({}). Stop it, or give this one a folder of its own",
            data_dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::unavailable(format!("{} cannot be locked ({error})", path.display()))),
    }
}

/// Makes what a new installation needs: the tenant `default`, and the operator's token where none is configured.
async fn first_start(state: &State) -> Result<Option<Zeroizing<String>>> {
    first_start_tenant(state).await?;
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    store::meta::lock(&mut tx).await?;
    let needs_token = state.config.admin_token.is_none() && !store::tokens::operator_has_one(&mut tx, now).await?;
    let token = match needs_token {
        true => Some(issue_operators(&mut tx, now, "first start").await?),
        false => None,
    };
    tx.commit().await?;
    Ok(token)
}

/// Makes the tenant `default`, unless it is there.
pub async fn first_start_tenant(state: &State) -> Result<()> {
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    store::meta::lock(&mut tx).await?;
    if store::tenants::find_by_slug(&mut tx, tenant::DEFAULT_SLUG).await?.is_none() {
        let default = Tenant {
            id: TenantId::random(),
            slug: tenant::DEFAULT_SLUG.to_owned(),
            name: "Default".to_owned(),
            rut: None,
            plan: tenant::DEFAULT_PLAN.to_owned(),
            region: tenant::DEFAULT_REGION.to_owned(),
            status: Status::Active,
            time_zone: tenant::DEFAULT_TIME_ZONE.to_owned(),
            locale: tenant::DEFAULT_LOCALE.to_owned(),
            backend_allow: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        store::tenants::insert(&mut tx, &default).await?;
    }
    tx.commit().await
}
