//! What an operator may set: one name for each setting, in the environment or in a TOML file, checked once at start.
//!
//! The environment wins over the file, the file over the defaults. A wrong value refuses the start with a sentence that names
//! the variable, what is wrong with it and what would be right.

mod database;
mod endpoint;
mod issuers;
mod master_key;
mod network;
mod openid;
mod otlp;
mod redis;
mod source;
mod vault;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use url::Url;

pub use self::{
    database::Database,
    endpoint::Endpoint,
    issuers::Issuer,
    master_key::{KEY_BYTES, MasterKeySource, decode as decode_key, encode as hex},
    network::{Dns, Network, Origins, loopback},
    openid::{OpenId, is_endpoint},
    otlp::Otlp,
    redis::RedisServers,
    source::{Problem, Settings},
    vault::{SecretId, VaultField, VaultLogin, VaultServer},
};

/// Everything that was set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SMARTERMCP_LISTEN`: where the one port is opened.
    pub listen: SocketAddr,
    /// `SMARTERMCP_DATA_DIR`: the SQLite file and `master.key`.
    pub data_dir: PathBuf,
    /// `DATABASE_URL` and `SMARTERMCP_DATABASE_CONNECTIONS`: PostgreSQL; without it, the SQLite file.
    pub database: Database,
    /// `REDIS_URL`: where limits are counted for all replicas; without it, in this process.
    pub redis: Option<RedisServers>,
    /// `VAULT_ADDR` and what belongs to it: where credentials are kept; without it, sealed in the database.
    pub vault: Option<VaultServer>,
    /// `SMARTERMCP_PUBLIC_URL`: what clients connect to; without it, the address that was listened on.
    pub public_url: Option<Url>,
    /// `SMARTERMCP_ADMIN_TOKEN`: the operator's token; without it one is made at the first start.
    pub admin_token: Option<Secret>,
    /// `SMARTERMCP_ADMIN_TOKEN=vault:…`: where in Vault the operator's token is. It is read once, at start.
    pub admin_token_at: Option<VaultField>,
    /// `SMARTERMCP_MASTER_KEY`, or `master.key` in the data directory.
    pub master_key: MasterKeySource,
    /// `SMARTERMCP_BACKEND_ALLOW` and how names are resolved.
    pub network: Network,
    /// `SMARTERMCP_ALLOWED_ORIGINS`, beside the public URL's own and loopback ones.
    pub origins: Origins,
    /// `SMARTERMCP_TRUSTED_PROXIES`: the networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// `[services]` of the file: the platform's own services, by kind, probed for `/health`.
    pub services: Vec<(String, Url)>,
    /// `SMARTERMCP_AUDIT_DAYS`: how long audit entries are kept.
    pub audit_days: u32,
    /// `SMARTERMCP_SHUTDOWN_SECS`: how long calls in flight may go on after a stop was asked for.
    pub shutdown: Duration,
    /// `SMARTERMCP_OPENID_…`: the provider by which members may sign in; without it, they paste tokens.
    pub openid: Option<OpenId>,
    /// `SMARTERMCP_SIGN_IN`: whether the gateway is an authorization server itself.
    pub sign_in: bool,
    /// `SMARTERMCP_ISSUER` and what belongs to it, and `[issuers.NAME]` of the file: others whose access tokens are taken.
    pub issuers: Vec<Issuer>,
    /// `OTEL_…`: the collector that spans are sent to.
    pub otlp: Option<Otlp>,
    /// `SMARTERMCP_DRAIN_SECS`: how long readiness says 503 before the port is closed, so that a load balancer looks elsewhere first.
    pub drain: Duration,
}

/// A secret setting: it does not print.
#[derive(Clone)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(zeroize::Zeroizing::new(text.into()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// The shortest operator's token that is taken.
pub const ADMIN_TOKEN_MIN: usize = 32;
const DEFAULT_AUDIT_DAYS: u32 = 365;
const DEFAULT_SHUTDOWN_SECS: u64 = 30;
/// Of a gateway that may have replicas; one that stands alone has nobody to hand its callers to.
const DEFAULT_DRAIN_SECS: u64 = 5;

impl Config {
    /// The defaults over a data directory: what a test or the demo starts from.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            master_key: MasterKeySource::File(data_dir.join("master.key")),
            data_dir,
            database: Database::Embedded,
            redis: None,
            vault: None,
            public_url: None,
            admin_token: None,
            admin_token_at: None,
            network: Network::default(),
            origins: Origins::default(),
            trusted_proxies: Vec::new(),
            services: Vec::new(),
            audit_days: DEFAULT_AUDIT_DAYS,
            shutdown: Duration::from_secs(DEFAULT_SHUTDOWN_SECS),
            openid: None,
            sign_in: true,
            issuers: Vec::new(),
            otlp: None,
            drain: Duration::ZERO,
        }
    }

    /// Reads and checks every setting.
    ///
    /// # Errors
    /// The first [`Problem`]: which setting, what is wrong, what would be right.
    pub fn load(settings: &Settings) -> Result<Self, Problem> {
        settings.refuse_unknown()?;
        let data_dir = settings
            .text("SMARTERMCP_DATA_DIR")
            .map_or_else(|| PathBuf::from("./data"), PathBuf::from);
        let mut config = Self::embedded(data_dir);
        if let Some(listen) = settings.parsed("SMARTERMCP_LISTEN", "an address and port such as 127.0.0.1:8080")? {
            config.listen = listen;
        }
        config.public_url = settings.url(
            "SMARTERMCP_PUBLIC_URL",
            "the URL that clients connect to, e.g. https://mcp.smarterbot.cl",
        )?;
        if let Some(token) = settings.text("SMARTERMCP_ADMIN_TOKEN") {
            match token.strip_prefix("vault:") {
                Some(place) => config.admin_token_at = Some(VaultField::read("SMARTERMCP_ADMIN_TOKEN", place)?),
                None => config.admin_token = Some(checked_admin_token(token)?),
            }
        }
        if let Some(key) = settings.text("SMARTERMCP_MASTER_KEY") {
            config.master_key = MasterKeySource::hex(key)?;
        }
        config.network.allow = settings.networks("SMARTERMCP_BACKEND_ALLOW")?;
        config.trusted_proxies = settings.networks("SMARTERMCP_TRUSTED_PROXIES")?;
        config.origins = Origins::parse(settings.list("SMARTERMCP_ALLOWED_ORIGINS"))?;
        if let Some(days) = settings.parsed("SMARTERMCP_AUDIT_DAYS", "a number of days, e.g. 365")? {
            config.audit_days = days;
        }
        if let Some(seconds) = settings.parsed("SMARTERMCP_SHUTDOWN_SECS", "a number of seconds, e.g. 30")? {
            config.shutdown = Duration::from_secs(seconds);
        }
        config.database = Database::read(settings)?;
        config.redis = RedisServers::read(settings)?;
        config.vault = VaultServer::read(settings)?;
        if config.admin_token_at.is_some() && config.vault.is_none() {
            return Err(Problem::new(
                "SMARTERMCP_ADMIN_TOKEN",
                "names a secret in Vault, and VAULT_ADDR is not set",
                "VAULT_ADDR with a login, or the token itself",
            ));
        }
        if matches!(config.database, Database::Postgres { .. }) {
            config.drain = Duration::from_secs(DEFAULT_DRAIN_SECS);
        }
        if let Some(seconds) = settings.parsed("SMARTERMCP_DRAIN_SECS", "a number of seconds, e.g. 5")? {
            config.drain = Duration::from_secs(seconds);
        }
        config.services = settings.services()?;
        config.openid = OpenId::read(settings)?;
        config.sign_in = issuers::sign_in(settings)?;
        config.issuers = Issuer::read_all(settings)?;
        config.otlp = Otlp::read(settings)?;
        if settings.text("KAFKA_BROKERS").is_some() {
            return Err(Problem::new(
                "KAFKA_BROKERS",
                "is set, and this version has no events that could go there".to_owned(),
                "leave it unset, so that nobody waits for events that do not come",
            ));
        }
        Ok(config)
    }

    /// The URL that clients are told, without a trailing slash.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            // Of all addresses of this machine clients can be told one: that of this machine itself.
            None => format!("http://{}", reached_at(bound)),
        }
    }
}

/// The address at which this machine reaches what it listens on.
pub(crate) fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The operator's token as it may be: one that nobody guesses, and that fits into a header.
///
/// # Errors
/// Says what is wrong, without the token.
pub fn checked_admin_token(token: &str) -> Result<Secret, Problem> {
    if token.len() < ADMIN_TOKEN_MIN || token.len() > 512 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(
            "SMARTERMCP_ADMIN_TOKEN",
            format!("is {} characters long or holds blanks", token.len()),
            "a secret of 32 to 512 visible ASCII characters, e.g. from `openssl rand -hex 32`",
        ));
    }
    Ok(Secret::new(token))
}
