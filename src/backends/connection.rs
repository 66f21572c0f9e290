//! Connections: a tenant's way to a backend, opened once and kept warm.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use url::Url;

use super::{Credential, Guard, Kind, breaker::Breaker, transport::Transport};
use crate::{
    config::Network,
    error::{Error, Kind as ErrorKind, Result, chain},
    id::TenantId,
    limits::IN_FLIGHT_PER_CONNECTION,
    secrets::{Opened, Reference, Secrets},
    store::{self, Reach, Store},
    tenant::Tenant,
    warm::Warm,
};

const WARM_CONNECTIONS: usize = 20_000;
const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_mins(1);
const IDLE_PER_HOST: usize = 64;

/// What a tenant says of a connection besides its address and credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the tenant calls things of this backend: a name, and the id that it stands for, e.g. `{"main": "bot_abc123"}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
}

impl Settings {
    /// How many names a tenant may give in one connection, and the longest name or id, in bytes.
    const ALIASES_MAX: usize = 200;
    const NAME_MAX: usize = 200;

    /// What is stored: earlier versions took anything, of which only what is known counts.
    pub fn stored(text: &str) -> Result<Self> {
        let all: serde_json::Value = serde_json::from_str(text).map_err(Error::internal)?;
        let aliases = all.get("aliases").cloned().unwrap_or_default();
        Ok(Self {
            aliases: serde_json::from_value(aliases).unwrap_or_default(),
        })
    }

    /// # Errors
    /// When there are too many names, or one is empty or long.
    pub fn check(&self) -> Result<()> {
        if self.aliases.len() > Self::ALIASES_MAX {
            return Err(Error::invalid(format!("settings.aliases: must be at most {}", Self::ALIASES_MAX)));
        }
        let fits = |text: &String| (1..=Self::NAME_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if self.aliases.iter().all(|(name, id)| fits(name) && fits(id)) {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "settings.aliases: names and ids must be 1 to {} bytes, without control characters",
                Self::NAME_MAX
            )))
        }
    }
}

/// A tenant's way to a backend. Its credential is open, and is in no `Debug`.
pub struct Connection {
    pub tenant_id: TenantId,
    pub backend: &'static str,
    /// Where requests go, without a trailing slash. For a Unix socket it names no real host.
    pub url: Url,
    settings: Settings,
    credential: Credential,
    /// Where it is from, if that is Vault.
    from: Option<InVault>,
    pub(super) http: reqwest::Client,
    pub(super) guard: Guard,
    pub(super) breaker: Breaker,
    pub(super) places: Arc<Semaphore>,
    /// What a backend learned about itself and may ask again, e.g. which webhook triggers which workflow.
    learned: DashMap<String, (tokio::time::Instant, Arc<dyn Any + Send + Sync>)>,
}

/// A credential that was read from Vault, and is good for a while.
struct InVault {
    reference: Reference,
    /// The version that was read.
    version: u64,
    /// The connection's id, by which Vault's versions are told apart.
    id: String,
    /// Epoch milliseconds.
    until: AtomicI64,
    /// One looks again, the others wait for what he finds.
    looking: tokio::sync::Mutex<()>,
    /// He found another version.
    replaced: AtomicBool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("tenant_id", &self.tenant_id)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The credential, in the form of the backend that it was stored for.
    pub fn credential<C: Send + Sync + 'static>(&self) -> Result<Arc<C>> {
        Arc::clone(&self.credential)
            .downcast()
            .map_err(|_| Error::internal(format!("the credential of {} is of another backend", self.backend)))
    }

    /// The id that this name stands for, where the tenant has given it one; else the name itself.
    pub fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        self.settings.aliases.get(name).map_or(name, String::as_str)
    }

    /// Whether the credential still is what it was. One of Vault's is looked at again when its time is over.
    ///
    /// # Errors
    /// When Vault is away then, or has it no more.
    async fn holds(&self, secrets: &Secrets) -> Result<bool> {
        let (Some(from), Some(vault)) = (&self.from, secrets.in_vault()) else {
            return Ok(true);
        };
        let is_fresh = || {
            let until = from.until.load(Ordering::Relaxed);
            // Not before it began either: the clock may have been set back.
            (until - vault.cache_ms()..until).contains(&vault.now())
        };
        if is_fresh() {
            return Ok(true);
        }
        let _one = from.looking.lock().await;
        if from.replaced.load(Ordering::Relaxed) {
            return Ok(false);
        }
        if is_fresh() {
            return Ok(true);
        }
        let began = vault.now();
        let found = secrets.look(&from.reference, &from.id, self.backend).await?;
        let same = found.version == from.version;
        if same {
            from.until.store(began + vault.cache_ms(), Ordering::Relaxed);
        } else {
            from.replaced.store(true, Ordering::Relaxed);
        }
        Ok(same)
    }

    /// Something that was learned less than `fresh` ago.
    pub fn recall<T: Send + Sync + 'static>(&self, name: &str, fresh: Duration) -> Option<Arc<T>> {
        let known = self.learned.get(name)?;
        let (at, value) = known.value();
        if at.elapsed() > fresh {
            return None;
        }
        Arc::clone(value).downcast().ok()
    }

    pub fn learn<T: Send + Sync + 'static>(&self, name: &str, value: Arc<T>) {
        const MOST: usize = 1000;
        if self.learned.len() >= MOST {
            self.learned.clear();
        }
        self.learned.insert(name.to_owned(), (tokio::time::Instant::now(), value));
    }

    pub fn unlearn(&self, name: &str) {
        self.learned.remove(name);
    }
}

/// The connections that are warm, and the HTTP clients that they share.
#[derive(Debug)]
pub struct Connections {
    kinds: Vec<Kind>,
    network: Network,
    warm: Warm<(TenantId, &'static str), Arc<Connection>>,
    clients: DashMap<Vec<IpNet>, reqwest::Client>,
}

impl Connections {
    pub fn new(kinds: Vec<Kind>, network: Network) -> Self {
        Self {
            kinds,
            network,
            warm: Warm::new(WARM_CONNECTIONS),
            clients: DashMap::new(),
        }
    }

    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// # Errors
    /// 404 when there is no such kind of backend.
    pub fn kind(&self, name: &str) -> Result<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name).ok_or_else(|| {
            let names: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
            let quoted: String = name.chars().take(64).collect();
            Error::not_found(format!(
                "backend: '{quoted}' is no backend of this gateway; there are {}",
                names.join(", ")
            ))
        })
    }

    pub fn guard(&self, tenant: &Tenant) -> Guard {
        Guard::new(&self.network.allow, &tenant.backend_allow, self.network.dns.clone())
    }

    /// The tenant's connection to a backend, if it has one.
    pub async fn find(&self, store: &Store, secrets: &Secrets, id: TenantId, backend: &'static str) -> Result<Option<Arc<Connection>>> {
        if let Some(warm) = self.warm.get(&(id, backend)) {
            match warm.holds(secrets).await {
                Ok(true) => return Ok(Some(warm)),
                Ok(false) => self.forget_this(&warm),
                Err(error) => {
                    if error.kind() == ErrorKind::NotConnected {
                        self.forget_this(&warm);
                    }
                    return Err(error);
                }
            }
        }
        self.warm.get_or_load((id, backend), self.load(store, secrets, id, backend)).await
    }

    async fn load(&self, store: &Store, secrets: &Secrets, id: TenantId, backend: &'static str) -> Result<Option<Arc<Connection>>> {
        let look = async || -> Result<Option<(store::connections::Row, Tenant)>> {
            let mut tx = store.read(Reach::Tenant(id)).await?;
            let Some(row) = store::connections::find(&mut tx, id, backend).await? else {
                return Ok(None);
            };
            // As it is now: the caller's own copy may be from before a change, and this one is kept.
            let tenant = store::tenants::find(&mut tx, id).await?;
            Ok(tenant.map(|tenant| (row, tenant)))
        };
        let Some((mut row, tenant)) = look().await? else { return Ok(None) };
        let began = secrets.in_vault().map(|vault| vault.now()).unwrap_or_default();
        let opened = match secrets.credential(&row).await {
            Err(missing) if missing.kind() == ErrorKind::NotConnected => {
                // Vault's copy goes after the row: it may have been sealed, replaced or removed since it was read.
                let Some((now, _)) = look().await? else { return Ok(None) };
                if now.credential == row.credential {
                    return Err(missing);
                }
                row = now;
                secrets.credential(&row).await?
            }
            other => other?,
        };
        let Opened { json, from } = opened;
        let kind = self.kind(backend)?;
        let credential = kind.read_credential(&json).map_err(|error| match from {
            // The operator may have put it there by hand.
            Some(_) => Error::new(
                ErrorKind::NotConnected,
                format!(
                    "What Vault has as this tenant's credential is none of {backend}: {}",
                    error.message()
                ),
            )
            .coded("credential_missing"),
            None => error,
        })?;
        let url = row.url.parse().map_err(|error| Error::internal(format!("stored URL: {error}")))?;
        let transport = kind.transport(&url, &credential)?;
        let guard = transport.narrowed(self.guard(&tenant));
        Ok(Some(Arc::new(Connection {
            tenant_id: id,
            backend,
            settings: Settings::stored(&row.settings)?,
            credential,
            from: from.map(|(reference, version)| InVault {
                reference,
                version,
                id: row.id,
                until: AtomicI64::new(began + secrets.in_vault().map(|vault| vault.cache_ms()).unwrap_or_default()),
                looking: tokio::sync::Mutex::new(()),
                replaced: AtomicBool::new(false),
            }),
            http: self.client(&transport, &guard)?,
            url: transport.url,
            guard,
            breaker: Breaker::default(),
            places: Arc::new(Semaphore::new(IN_FLIGHT_PER_CONNECTION)),
            learned: DashMap::new(),
        })))
    }

    /// A way to one address of the tenant's that is no backend's, e.g. a page that says whether a service is well.
    pub fn address(&self, tenant: &Tenant, backend: &'static str, url: Url) -> Result<Arc<Connection>> {
        let guard = self.guard(tenant);
        let transport = Transport::to(url);
        Ok(Arc::new(Connection {
            tenant_id: tenant.id,
            backend,
            settings: Settings::default(),
            credential: Arc::new(()),
            from: None,
            http: self.client(&transport, &guard)?,
            url: transport.url,
            guard,
            breaker: Breaker::default(),
            places: Arc::new(Semaphore::new(IN_FLIGHT_PER_CONNECTION)),
            learned: DashMap::new(),
        }))
    }

    /// Forgets a connection, and not the one that another call has loaded in its place.
    fn forget_this(&self, known: &Arc<Connection>) {
        let key = (known.tenant_id, known.backend);
        if self.warm.get(&key).is_some_and(|now| Arc::ptr_eq(&now, known)) {
            self.warm.forget(&key);
        }
    }

    pub fn forget(&self, tenant: TenantId, backend: &str) {
        if let Ok(kind) = self.kind(backend) {
            self.warm.forget(&(tenant, kind.name));
        }
    }

    pub fn forget_tenant(&self, tenant: TenantId) {
        self.warm.forget_where(|(id, _), _| *id == tenant);
    }

    pub fn forget_all(&self) {
        self.warm.clear();
    }

    /// Tenants that may go to the same places share a client and its pool of connections; others must not. A transport of
    /// its own (a certificate, a socket) is its connection's alone.
    ///
    /// # Errors
    /// When the certificates of the transport do not fit together.
    pub fn client(&self, transport: &Transport, guard: &Guard) -> Result<reqwest::Client> {
        if !transport.is_shared() {
            return transport
                .equip(Self::builder(guard))
                .build()
                .map_err(|error| Error::invalid("credential: certificate and key do not fit together").because(chain(&error)));
        }
        if let Some(client) = self.clients.get(guard.key()) {
            return Ok(client.clone());
        }
        let client = Self::builder(guard).build().map_err(Error::no_client)?;
        self.clients.insert(guard.key().to_vec(), client.clone());
        Ok(client)
    }

    /// A client for addresses that strangers name: its connections are no tenant's.
    pub fn stranger(guard: &Guard) -> Result<reqwest::Client> {
        Self::builder(guard).build().map_err(Error::no_client)
    }

    fn builder(guard: &Guard) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .user_agent(concat!("smartermcp/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(guard.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
    }
}
