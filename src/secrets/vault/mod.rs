//! Vault: logged in by token or `AppRole`, credentials in KV version 2, the database's key wrapped by Transit.
//!
//! Nobody waits for a Vault that is away: whoever finds it silent or sealed drops the session, calls are refused at once, and a
//! job ([`Vault::tend`]) logs in again. The same job renews the token before its lease ends.

mod wire;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::Method;
use rustify::endpoint::Endpoint;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use vaultrs::api::{
    auth::approle::requests::LoginWithApproleRequest,
    kv2::requests::{
        DestroySecretVersionsRequest, ReadSecretMetadataRequest, ReadSecretRequest, SetSecretRequest, SetSecretRequestOptions,
    },
    sys::requests::ReadHealthRequest,
    token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest},
    transit::requests::{DataKeyType, DecryptDataRequest, GenerateDataKeyRequest, ReadKeyRequest, RewrapDataRequest},
};
use zeroize::Zeroizing;

pub use self::wire::Failure;
use self::wire::Wire;
use crate::{
    clock::Clock,
    config::{KEY_BYTES, Secret, SecretId, VaultField, VaultLogin, VaultServer},
    error::{Error, Result},
};

/// How long nothing may have been asked before Vault is asked whether it is there.
const IDLE_MS: i64 = 5_000;
/// When to try again: soon where it was silent, later where it refused.
const AGAIN_MS: i64 = 500;
const REFUSED_AGAIN_MS: i64 = 5_000;
/// How often a write is begun anew after somebody else wrote to the same path. Of several who connect at once only the last to say so
/// is stored, and each of the others may be in between once: this many of them leave one who is stored.
const WRITES_MAX: usize = 16;
/// The longest secret id file.
const SECRET_ID_MAX: u64 = 4096;

pub struct Vault {
    server: VaultServer,
    wire: Wire,
    clock: Clock,
    /// `None` while it is away.
    session: ArcSwapOption<Session>,
    /// One login at a time.
    logging_in: tokio::sync::Mutex<()>,
    heard_at: AtomicI64,
    again_at: AtomicI64,
    /// What was last said in the log of why it is away.
    said: Mutex<Option<String>>,
}

struct Session {
    token: Secret,
    /// `None`: the token never ends.
    lease: Option<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    renewable: bool,
    /// Epoch milliseconds, as the other two.
    began: i64,
    renew_at: i64,
    ends_at: i64,
}

/// A version of a secret.
pub struct Version {
    pub version: u64,
    pub data: Map<String, Value>,
}

/// A key for the database, and the same wrapped by Transit (`vault:v1:…`).
pub struct DataKey {
    pub key: Zeroizing<[u8; KEY_BYTES]>,
    pub wrapped: String,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Granted {
    auth: Grant,
}

#[derive(Deserialize)]
struct Grant {
    client_token: Secret,
    /// Seconds; 0: never ends.
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

#[derive(Deserialize)]
struct LookedUp {
    /// Seconds; 0: never ends.
    ttl: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    policies: Vec<String>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Vault {
    /// # Errors
    /// When the authority's file holds no certificate.
    pub fn new(server: VaultServer, clock: Clock) -> Result<Self> {
        Ok(Self {
            wire: Wire::new(&server)?,
            server,
            heard_at: AtomicI64::new(clock.millis()),
            again_at: AtomicI64::new(0),
            clock,
            session: ArcSwapOption::empty(),
            logging_in: tokio::sync::Mutex::new(()),
            said: Mutex::default(),
        })
    }

    /// Whether it answered last.
    pub fn is_here(&self) -> bool {
        self.session.load().is_some()
    }

    /// How long a credential may be used before it is read again, in milliseconds.
    pub fn cache_ms(&self) -> i64 {
        i64::try_from(self.server.cache.as_millis()).unwrap_or(i64::MAX)
    }

    pub fn now(&self) -> i64 {
        self.clock.millis()
    }

    /// Logs in. A gateway starts without its Vault too, and goes on trying, as long as it needs nothing from it.
    ///
    /// # Errors
    /// When Vault answers, and does not let us in: that is for the operator to put right.
    pub async fn open(&self) -> Result<()> {
        match self.log_in().await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is_passing() => {
                self.say(&failure);
                Ok(())
            }
            Err(refused) => Err(Error::unavailable(format!(
                "VAULT_ADDR is {}, and that Vault does not let this gateway in ({refused}). {}",
                self.server.address,
                self.login_advice()
            ))),
        }
    }

    fn login_advice(&self) -> &'static str {
        match &self.server.login {
            VaultLogin::Token(_) => "Set VAULT_TOKEN to one that is valid, and VAULT_NAMESPACE to the namespace that it is of",
            VaultLogin::AppRole { .. } => {
                "Set VAULT_ROLE_ID and a secret id that is valid, SMARTERMCP_VAULT_APPROLE_MOUNT and VAULT_NAMESPACE to where the role is"
            }
        }
    }

    /// What the job does on each tick: logs in where there is no session, renews one that ends soon, and asks after a Vault that
    /// nobody has heard of for a while. A clock that was set back makes nothing wait: what it put into the future counts as over.
    pub async fn tend(&self) {
        let now = self.now();
        let Some(session) = self.session.load_full() else {
            let again_at = self.again_at.load(Ordering::Relaxed);
            if !(again_at - REFUSED_AGAIN_MS..again_at).contains(&now)
                && let Err(failure) = self.log_in().await
            {
                self.say(&failure);
            }
            return;
        };
        let heard_at = self.heard_at.load(Ordering::Relaxed);
        if session.lease.is_some_and(|lease| !(lease.began..lease.renew_at).contains(&now)) {
            self.renew(&session).await;
        } else if !(heard_at..=heard_at + IDLE_MS).contains(&now)
            && let Err(failure) = self.look_up(&session.token).await
        {
            self.lose(&session, &failure);
        }
    }

    async fn renew(&self, session: &Arc<Session>) {
        let Some(lease) = session.lease else { return };
        // Before the question: a lease never ends later than we think.
        let began = self.now();
        let renewed = match lease.renewable {
            true => {
                let request = RenewTokenSelfRequest::builder().build().map_err(unbuilt);
                match request {
                    Ok(request) => self.wire.ask::<_, Granted>(Some(&session.token), &request).await,
                    Err(failure) => Err(failure),
                }
            }
            false => Err(Failure::Refused(0, "the token cannot be renewed".to_owned())),
        };
        match (renewed, &self.server.login) {
            (Ok(granted), _) => {
                self.hear();
                let next = Session {
                    token: session.token.clone(),
                    lease: Lease::granted(began, granted.auth.lease_duration, granted.auth.renewable),
                };
                self.session.compare_and_swap(session, Some(Arc::new(next)));
            }
            (Err(failure), _) if failure.is_passing() => self.lose(session, &failure),
            (Err(failure), VaultLogin::AppRole { .. }) => {
                tracing::info!(source = %failure, "the login at Vault ends; logging in again");
                if let Err(failure) = self.log_in_after(session).await {
                    self.say(&failure);
                }
            }
            (Err(failure), VaultLogin::Token(_)) => {
                tracing::error!(
                    source = %failure,
                    seconds = (lease.ends_at - self.now()) / 1000,
                    "VAULT_TOKEN cannot be renewed and ends soon: set another and start again"
                );
                let next = Session {
                    token: session.token.clone(),
                    lease: Some(Lease {
                        began,
                        renew_at: i64::MAX,
                        ..lease
                    }),
                };
                self.session.compare_and_swap(session, Some(Arc::new(next)));
            }
        }
    }

    async fn log_in(&self) -> Result<(), Failure> {
        let _one = self.logging_in.lock().await;
        match self.session.load().is_some() {
            true => Ok(()),
            false => self.take_session().await,
        }
    }

    /// Logs in anew, unless somebody has tried since this session was in use: who waited for a login that failed takes its failure, for
    /// Vault locks out whoever is refused often.
    async fn log_in_after(&self, session: &Arc<Session>) -> Result<(), Failure> {
        let _one = self.logging_in.lock().await;
        match self.session.load_full() {
            // Said before the next one looks.
            Some(now) if Arc::ptr_eq(&now, session) => self.take_session().await.inspect_err(|failure| self.say(failure)),
            Some(_) => Ok(()),
            None => self.here().map(drop),
        }
    }

    async fn take_session(&self) -> Result<(), Failure> {
        let was_here = self.is_here();
        match self.new_session().await {
            Ok(session) => {
                self.hear();
                self.session.store(Some(Arc::new(session)));
                *self.said() = None;
                if !was_here {
                    tracing::info!("Vault answers: credentials are kept there");
                }
                Ok(())
            }
            Err(failure) => {
                self.session.store(None);
                let pause = if failure.is_passing() { AGAIN_MS } else { REFUSED_AGAIN_MS };
                self.again_at.store(self.now() + pause, Ordering::Relaxed);
                Err(failure)
            }
        }
    }

    /// Says in the log why it cannot be used, once for each reason.
    fn say(&self, failure: &Failure) {
        let why = failure.to_string();
        let mut said = self.said();
        if said.as_ref() != Some(&why) {
            tracing::error!(
                source = why,
                "VAULT_ADDR: Vault cannot be used; credentials that are warm go on until their time is over, trying again"
            );
            *said = Some(why);
        }
    }

    async fn new_session(&self) -> Result<Session, Failure> {
        let began = self.now();
        match &self.server.login {
            VaultLogin::Token(token) => {
                let known = self.look_up(token).await?;
                Ok(Session {
                    token: token.clone(),
                    lease: Lease::granted(began, known.ttl, known.renewable),
                })
            }
            VaultLogin::AppRole { mount, role_id, secret_id } => {
                let secret_id = match secret_id {
                    SecretId::Given(secret) => secret.clone(),
                    SecretId::File(path) => read_secret_id(path).map_err(|why| Failure::Refused(0, why))?,
                };
                let request = LoginWithApproleRequest::builder()
                    .mount(mount.as_str())
                    .role_id(role_id.expose())
                    .secret_id(secret_id.expose())
                    .build()
                    .map_err(unbuilt)?;
                let Granted { auth } = self.wire.ask(None, &request).await?;
                Ok(Session {
                    token: auth.client_token,
                    lease: Lease::granted(began, auth.lease_duration, auth.renewable),
                })
            }
        }
    }

    async fn look_up(&self, token: &Secret) -> Result<LookedUp, Failure> {
        let request = LookupTokenSelfRequest::builder().build().map_err(unbuilt)?;
        let Data { data } = self.wire.ask(Some(token), &request).await?;
        self.hear();
        Ok(data)
    }

    /// Sends a request with the token in use. A refusal may be the token's end: then it is sent once more, after a new login. What is
    /// broken may be so at this path alone: the session, which is all tenants', goes only where the token cannot be looked up either.
    async fn tell<E: Endpoint>(&self, request: E) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let session = self.here()?;
        let failure = match self.wire.tell(Some(&session.token), &request).await {
            Ok(body) => {
                self.hear();
                return Ok(body);
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Denied | Failure::Broken(_) => match self.look_up(&session.token).await {
                // The token is good: its policies do not allow this, or it is this path that is broken.
                Ok(_) => Err(failure),
                Err(Failure::Denied) => {
                    self.log_in_after(&session).await?;
                    self.wire.tell(Some(&self.here()?.token), &request).await
                }
                Err(other) => {
                    self.lose(&session, &other);
                    Err(other)
                }
            },
            Failure::Away(_) | Failure::Sealed => {
                self.lose(&session, &failure);
                Err(failure)
            }
            other => Err(other),
        }
    }

    async fn ask<E: Endpoint, T: DeserializeOwned>(&self, request: E) -> Result<T, Failure> {
        wire::read::<Data<T>>(&self.tell(request).await?).map(|answer| answer.data)
    }

    fn here(&self) -> Result<Arc<Session>, Failure> {
        self.session.load_full().ok_or_else(|| {
            let why = self.said().clone();
            Failure::Away(why.unwrap_or_else(|| "it does not answer".to_owned()))
        })
    }

    /// Notes that this session failed; whoever notes it first says so.
    fn lose(&self, session: &Arc<Session>, failure: &Failure) {
        let seen = self.session.compare_and_swap(session, None);
        if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, session)) {
            let why = failure.to_string();
            tracing::error!(
                source = why,
                "Vault is away: credentials that are warm go on until their time is over, others answer 503"
            );
            *self.said() = Some(why);
            self.again_at.store(self.now() + AGAIN_MS, Ordering::Relaxed);
        }
    }

    fn hear(&self) {
        self.heard_at.store(self.now(), Ordering::Relaxed);
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // KV, version 2 (developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2). Paths stand below the mount.

    /// A version of a secret, the newest unless said.
    ///
    /// # Errors
    /// [`Failure::Missing`] where that version is deleted, too.
    pub async fn read(&self, path: &str, version: Option<u64>) -> Result<Version, Failure> {
        #[derive(Deserialize)]
        struct Stored {
            data: Option<Map<String, Value>>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
        }
        let request = ReadSecretRequest::builder()
            .mount(self.server.kv_mount.as_str())
            .path(path)
            .version(version)
            .build()
            .map_err(unbuilt)?;
        let stored: Stored = self.ask(request).await?;
        Ok(Version {
            version: stored.metadata.version,
            data: stored.data.ok_or(Failure::Missing)?,
        })
    }

    /// The number of the newest version; 0 where there never was one.
    pub async fn newest(&self, path: &str) -> Result<u64, Failure> {
        #[derive(Deserialize)]
        struct Metadata {
            current_version: u64,
        }
        let request = ReadSecretMetadataRequest::builder()
            .mount(self.server.kv_mount.as_str())
            .path(path)
            .build()
            .map_err(unbuilt)?;
        match self.ask::<_, Metadata>(request).await {
            Ok(metadata) => Ok(metadata.current_version),
            Err(Failure::Missing) => Ok(0),
            Err(failure) => Err(failure),
        }
    }

    /// Writes a new version over the one that is the newest, by check-and-set, and answers its number.
    pub async fn write(&self, path: &str, data: &Map<String, Value>) -> Result<u64, Failure> {
        #[derive(Deserialize)]
        struct Written {
            version: u64,
        }
        let mut tried = 0;
        loop {
            let newest = self.newest(path).await?;
            let cas = u32::try_from(newest).map_err(|_| Failure::Refused(0, "too many versions".to_owned()))?;
            let request = SetSecretRequest::builder()
                .mount(self.server.kv_mount.as_str())
                .path(path)
                .data(Value::Object(data.clone()))
                .options(SetSecretRequestOptions { cas })
                .build()
                .map_err(unbuilt)?;
            tried += 1;
            match self.ask::<_, Written>(request).await {
                Ok(written) => return Ok(written.version),
                Err(Failure::Refused(400, words)) if words.contains("check-and-set") && tried < WRITES_MAX => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Destroys every version up to this one, for good. The path itself stays, so that version numbers are never given out twice.
    pub async fn destroy(&self, path: &str, newest: u64) -> Result<(), Failure> {
        /// As many as one request should name; Vault keeps ten unless it is told otherwise, so that older ones are gone anyway.
        const MOST: u64 = 100;
        if newest == 0 {
            return Ok(());
        }
        let request = DestroySecretVersionsRequest::builder()
            .mount(self.server.kv_mount.as_str())
            .path(path)
            .versions((newest.saturating_sub(MOST) + 1..=newest).collect::<Vec<_>>())
            .build()
            .map_err(unbuilt)?;
        self.tell(request).await.map(drop)
    }

    /// One field of a secret of the operator's.
    ///
    /// # Errors
    /// With a sentence that names the setting.
    pub async fn field(&self, setting: &str, at: &VaultField) -> Result<Secret> {
        let VaultField { path, field } = at;
        let cannot = |why: String| Error::unavailable(format!("{setting} names {path}#{field} in Vault, which {why}"));
        let found = self
            .read(path, None)
            .await
            .map_err(|failure| cannot(format!("cannot be read ({failure})")))?;
        match found.data.get(field) {
            Some(Value::String(text)) => Ok(Secret::new(text.as_str())),
            Some(_) => Err(cannot("is no text".to_owned())),
            None => Err(cannot("has no such field".to_owned())),
        }
    }

    // Transit (developer.hashicorp.com/vault/api-docs/secret/transit).

    /// A fresh key that Transit has made and wrapped.
    pub async fn new_key(&self) -> Result<DataKey, Failure> {
        #[derive(Deserialize)]
        struct Made {
            plaintext: Secret,
            ciphertext: String,
        }
        let request = GenerateDataKeyRequest::builder()
            .mount(self.server.transit_mount.as_str())
            .name(self.server.transit_key.as_str())
            .key_type(DataKeyType::Plaintext)
            .build()
            .map_err(unbuilt)?;
        let made: Made = self.ask(request).await?;
        Ok(DataKey {
            key: key_in(made.plaintext.expose())?,
            wrapped: made.ciphertext,
        })
    }

    pub async fn unwrap_key(&self, wrapped: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, Failure> {
        #[derive(Deserialize)]
        struct Opened {
            plaintext: Secret,
        }
        let request = DecryptDataRequest::builder()
            .mount(self.server.transit_mount.as_str())
            .name(self.server.transit_key.as_str())
            .ciphertext(wrapped)
            .build()
            .map_err(unbuilt)?;
        let opened: Opened = self.ask(request).await?;
        key_in(opened.plaintext.expose())
    }

    /// The same key, wrapped by the newest version of Transit's key.
    pub async fn rewrap(&self, wrapped: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Rewrapped {
            ciphertext: String,
        }
        let request = RewrapDataRequest::builder()
            .mount(self.server.transit_mount.as_str())
            .name(self.server.transit_key.as_str())
            .ciphertext(wrapped)
            .build()
            .map_err(unbuilt)?;
        let answer: Rewrapped = self.ask(request).await?;
        Ok(answer.ciphertext)
    }

    /// For `doctor`: how Vault does, changing nothing there.
    ///
    /// # Errors
    /// Which part is wrong, in words without a secret.
    pub async fn examine(&self) -> Result<Examined, String> {
        #[derive(Deserialize)]
        struct Health {
            #[serde(default)]
            version: String,
        }
        #[derive(Deserialize)]
        struct Key {
            latest_version: u64,
        }
        let away = |failure: Failure| format!("{} cannot be asked ({failure})", self.server.address);
        // Whatever state it is in, it says so with 200: a Vault that is sealed is found by its login.
        let request = ReadHealthRequest::builder()
            .standbyok(true)
            .sealedcode(200_u16)
            .uninitcode(200_u16)
            .build()
            .map_err(|_| "the request cannot be written".to_owned())?;
        let Health { version } = self.wire.ask(None, &request).await.map_err(away)?;
        self.log_in().await.map_err(|failure| match failure {
            Failure::Sealed => "it is sealed: unseal it".to_owned(),
            Failure::Away(why) | Failure::Broken(why) => format!("{} does not answer to a login ({why})", self.server.address),
            refused => format!("it does not let this gateway in ({refused}). {}", self.login_advice()),
        })?;
        let session = self.here().map_err(away)?;
        let known = self.look_up(&session.token).await.map_err(away)?;
        let kv = &self.server.kv_mount;
        let transit = &self.server.transit_mount;
        let key = &self.server.transit_key;
        // A tenant that is none: the policy's path with its `+`, tried without touching anything.
        let wanted = [
            (format!("{kv}/data/tenants/doctor/probe"), &["create", "read", "update"][..]),
            (format!("{kv}/metadata/tenants/doctor/probe"), &["read"]),
            (format!("{kv}/destroy/tenants/doctor/probe"), &["update"]),
            (format!("{transit}/datakey/plaintext/{key}"), &["update"]),
            (format!("{transit}/decrypt/{key}"), &["update"]),
            (format!("{transit}/rewrap/{key}"), &["update"]),
        ];
        let paths: Vec<_> = wanted.iter().map(|(path, _)| path).collect();
        let asked = self
            .wire
            .send(
                Some(&session.token),
                Method::POST,
                "sys/capabilities-self",
                None,
                json!({ "paths": paths }).to_string().into_bytes(),
            )
            .await
            .map_err(away)?;
        let Data { data: held } = wire::read::<Data<Map<String, Value>>>(&asked).map_err(away)?;
        let lacking = wanted
            .iter()
            .filter(|(path, needs)| {
                let has = |needed: &str| {
                    let held = held.get(path).and_then(Value::as_array);
                    held.is_some_and(|held| held.iter().any(|held| held == needed || held == "root"))
                };
                !needs.iter().all(|needed| has(needed))
            })
            .map(|(path, needs)| format!("{} on {path}", needs.join(", ")))
            .collect();
        let request = ReadKeyRequest::builder()
            .mount(transit.as_str())
            .name(key.as_str())
            .build()
            .map_err(|_| "the request cannot be written".to_owned())?;
        let newest_key = match self.ask::<_, Key>(request).await {
            Ok(found) => Ok(found.latest_version),
            Err(Failure::Missing) => Err(format!("there is no key {key} in the Transit engine at {transit}/")),
            Err(failure) => Err(format!(
                "the key {key} in the Transit engine at {transit}/ cannot be looked at ({failure})"
            )),
        };
        Ok(Examined {
            version: version.chars().take(40).collect(),
            encrypted: self.server.address.scheme() == "https" || crate::config::loopback(&self.server.address),
            is_root: known.policies.iter().any(|policy| policy == "root"),
            ends: (known.ttl > 0 && !known.renewable && matches!(self.server.login, VaultLogin::Token(_))).then_some(known.ttl),
            lacking,
            newest_key,
        })
    }
}

/// What `doctor` is told of a Vault.
#[derive(Debug)]
pub struct Examined {
    pub version: String,
    /// Or on this machine.
    pub encrypted: bool,
    /// It is root's token, which may do everything.
    pub is_root: bool,
    /// Seconds after which the token ends, where nothing can be done about it.
    pub ends: Option<u64>,
    /// What the policies do not allow.
    pub lacking: Vec<String>,
    /// The newest version of Transit's key, or why it cannot be told.
    pub newest_key: Result<u64, String>,
}

/// Of a wrapped key, the version of Transit's key that it is wrapped by.
pub fn wrapped_by(wrapped: &str) -> Option<u64> {
    wrapped.strip_prefix("vault:v")?.split_once(':')?.0.parse().ok()
}

impl Lease {
    /// Renewed when two thirds are over.
    fn granted(now: i64, seconds: u64, renewable: bool) -> Option<Self> {
        let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
        (millis > 0).then(|| Self {
            renewable,
            began: now,
            renew_at: now + millis / 3 * 2,
            ends_at: now + millis,
        })
    }
}

/// As the job's ticks are apart.
pub const TICK: Duration = Duration::from_millis(500);

fn key_in(base64: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, Failure> {
    let bytes = BASE64.decode(base64).map(Zeroizing::new);
    let key = bytes.ok().and_then(|bytes| bytes.as_slice().try_into().ok());
    key.map(Zeroizing::new)
        .ok_or_else(|| Failure::Away("an answer of Transit that is no key of 32 bytes".to_owned()))
}

fn read_secret_id(path: &std::path::Path) -> Result<Secret, String> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_ID_MAX).read_to_string(&mut text))
        .map_err(|error| format!("VAULT_SECRET_ID_FILE names {}, which cannot be read ({error})", path.display()))?;
    match text.trim() {
        "" => Err(format!("VAULT_SECRET_ID_FILE names {}, which is empty", path.display())),
        id => Ok(Secret::new(id)),
    }
}

/// Every field was given: the builder's error cannot come.
fn unbuilt(error: impl std::fmt::Display) -> Failure {
    Failure::Refused(0, error.to_string())
}
