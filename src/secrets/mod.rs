//! Secrets: what is sealed under the master key, the rotation of that key, and what is kept in Vault instead.
//!
//! The master key is the operator's (a file, or a setting), or a data key that Vault's Transit engine has wrapped and that the
//! database holds in that form: then it is opened once, at start, and no call waits for Vault to seal or open.
//!
//! A sealed value is bound to where it stands (tenant and connection, or tenant and idempotency key), so that a row moved to
//! another tenant does not open. The master key seals; a second, random key that is itself sealed makes the keyed hashes, so
//! that hashes and cursors outlive a rotation.

mod credential;
mod moving;
mod rotate;
mod seal;
pub mod vault;

use std::sync::{Arc, RwLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::{
    credential::{Kept, Opened, Reference, path},
    moving::{Home, Moved, move_to},
    rotate::{KeyKept, Rotated, rewrap, rotate_key},
    vault::Vault,
};
use self::{seal::Sealer, vault::DataKey};
use crate::{
    config::{self, KEY_BYTES, MasterKeySource},
    error::{Error, Result},
    store::{Reach, Store, Tx, meta},
};

/// Names in `meta`: the id of the key that everything is sealed under, that key as Transit has wrapped it, where it has, and the
/// sealed key of the keyed hashes.
pub const META_KEY_ID: &str = "master_key_id";
pub const META_WRAPPED_KEY: &str = "wrapped_key";
pub const META_HASH_KEY: &str = "hash_key";
const HASH_KEY_PLACE: &str = "meta/hash_key";

/// The keys of this installation, opened.
pub struct Secrets {
    source: MasterKeySource,
    /// Where new credentials go, if there is one.
    vault: Option<Arc<Vault>>,
    store: Store,
    sealer: RwLock<Sealer>,
    hash_key: Hmac<Sha256>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("source", &self.source)
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

impl Secrets {
    /// Opens the keys, making them at the first start: wrapped by Vault's Transit where there is a Vault, unless the operator has
    /// given a key himself.
    ///
    /// # Errors
    /// When the key is missing although there are secrets, or cannot open them, or Vault is needed for it and is away.
    pub async fn open(source: MasterKeySource, vault: Option<Arc<Vault>>, store: &Store) -> Result<Self> {
        let (sealer, hash_key) = loop {
            // Before the transaction: nobody shall wait for it while it waits for Vault.
            let unwrapped = Unwrapped::of(vault.as_deref(), store).await?;
            let mut fresh = None;
            if let (Unwrapped::None { first: true }, Some(vault), MasterKeySource::File(_)) = (&unwrapped, &vault, &source) {
                fresh = Some(vault.new_key().await.map_err(|failure| no_transit(&failure))?);
            }
            let mut tx = store.write(Reach::Operator).await?;
            meta::lock(&mut tx).await?;
            let stored = meta::get(&mut tx, META_HASH_KEY).await?;
            if !unwrapped.still_holds(&mut tx, stored.is_none()).await? {
                tx.undo().await?;
                continue;
            }
            let opened = match stored {
                Some(text) => {
                    let sealer = unwrapped.sealer_for(&source, &mut tx).await?;
                    let hash_key = sealer.open(HASH_KEY_PLACE, &unhex(&text)?)?;
                    (sealer, hash_key)
                }
                None => {
                    let sealer = match &fresh {
                        Some(DataKey { key, wrapped }) => {
                            meta::set(&mut tx, META_WRAPPED_KEY, wrapped).await?;
                            Sealer::new(key)
                        }
                        None => Sealer::new(&*first_key(&source)?),
                    };
                    let hash_key = Zeroizing::new(seal::random::<KEY_BYTES>()?.to_vec());
                    meta::set(&mut tx, META_KEY_ID, &config::hex(&sealer.id())).await?;
                    meta::set(&mut tx, META_HASH_KEY, &config::hex(&sealer.seal(HASH_KEY_PLACE, &hash_key)?)).await?;
                    (sealer, hash_key)
                }
            };
            tx.commit().await?;
            break opened;
        };
        Ok(Self {
            source,
            vault,
            store: store.clone(),
            sealer: RwLock::new(sealer),
            hash_key: Hmac::new_from_slice(&hash_key).map_err(Error::internal)?,
        })
    }

    /// The Vault where new credentials go.
    pub fn in_vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    /// Seals a value to its place, inside the transaction that will store it: a rotation of the master key that went on
    /// meanwhile is seen here, so that nothing is ever sealed under a key that has been replaced.
    pub async fn seal(&self, tx: &mut Tx, place: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let current = meta::get_held(tx, META_KEY_ID).await?.unwrap_or_default();
        if config::hex(&self.read().id()).as_str() != current {
            let wrapped = meta::get(tx, META_WRAPPED_KEY).await?;
            self.reload(&current, wrapped).await?;
        }
        self.read().seal(place, secret)
    }

    /// Opens what was sealed to this place.
    pub async fn open_sealed(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let id = Sealer::id_of(sealed)?;
        if id != self.read().id() {
            let mut tx = self.store.read(Reach::Operator).await?;
            let wrapped = meta::get(&mut tx, META_WRAPPED_KEY).await?;
            drop(tx);
            self.reload(&config::hex(&id), wrapped).await?;
        }
        self.read().open(place, sealed)
    }

    /// A keyed hash: the same for the same text, and of no use to somebody who guesses texts without the key.
    pub fn hash(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        let mut mac = self.hash_key.clone();
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Sealer> {
        self.sealer.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// After a rotation by another process: reads the key file again, or lets Vault open the key that the database now holds.
    async fn reload(&self, wanted: &str, wrapped: Option<String>) -> Result<()> {
        let found = match (&wrapped, &self.vault, &self.source) {
            (Some(wrapped), Some(vault), _) => {
                let key = vault.unwrap_key(wrapped).await.map_err(|failure| {
                    credential::away(
                        &failure,
                        "The gateway's Vault cannot be asked for the key of its secrets right now; nothing was done. Try again shortly",
                    )
                })?;
                Some(Sealer::new(&key))
            }
            (None, _, MasterKeySource::File(path)) => rotate::candidates(path)
                .into_iter()
                .map(|key| Sealer::new(&key))
                .find(|sealer| config::hex(&sealer.id()).as_str() == wanted),
            (None, _, MasterKeySource::Given(key)) => Some(Sealer::new(key)),
            (Some(_), None, _) => None,
        };
        match found.filter(|sealer| config::hex(&sealer.id()).as_str() == wanted) {
            Some(sealer) => {
                *self.sealer.write().unwrap_or_else(std::sync::PoisonError::into_inner) = sealer;
                Ok(())
            }
            None => Err(Error::unavailable(
                "The gateway cannot open its secrets; its operator is asked to start it again with the current master key",
            )
            .coded("master_key_rotated")
            .because(format!(
                "secrets are sealed under the master key {wanted}, which this process does not have"
            ))),
        }
    }
}

/// The key that the database holds, wrapped by Transit, and opened outside of any transaction.
enum Unwrapped {
    None {
        /// There are no secrets yet at all.
        first: bool,
    },
    Key {
        wrapped: String,
        sealer: Sealer,
    },
}

impl Unwrapped {
    async fn of(vault: Option<&Vault>, store: &Store) -> Result<Self> {
        let mut tx = store.read(Reach::Operator).await?;
        let wrapped = meta::get(&mut tx, META_WRAPPED_KEY).await?;
        let first = meta::get(&mut tx, META_HASH_KEY).await?.is_none();
        let wanted = meta::get(&mut tx, META_KEY_ID).await?.unwrap_or_default();
        drop(tx);
        match wrapped {
            None => Ok(Self::None { first }),
            Some(wrapped) => {
                let sealer = unwrap(vault, &wrapped, &wanted).await?;
                Ok(Self::Key { wrapped, sealer })
            }
        }
    }

    /// Whether the database still is as it was looked at.
    async fn still_holds(&self, tx: &mut Tx, first_now: bool) -> Result<bool> {
        let now = meta::get(tx, META_WRAPPED_KEY).await?;
        Ok(match self {
            Self::None { first } => now.is_none() && *first == first_now,
            Self::Key { wrapped, .. } => now.as_ref() == Some(wrapped),
        })
    }

    async fn sealer_for(self, source: &MasterKeySource, tx: &mut Tx) -> Result<Sealer> {
        match self {
            Self::Key { sealer, .. } => Ok(sealer),
            Self::None { .. } => sealer_for(source, tx).await,
        }
    }
}

/// Lets Transit open the key of the database.
async fn unwrap(vault: Option<&Vault>, wrapped: &str, wanted: &str) -> Result<Sealer> {
    let Some(vault) = vault else {
        return Err(Error::unavailable(format!(
            "The key {wanted} of the database is wrapped by Vault's Transit engine, and VAULT_ADDR is not set. Set it as it was, with a login"
        )));
    };
    let key = vault.unwrap_key(wrapped).await.map_err(|failure| {
        Error::unavailable(format!(
            "The key {wanted} of the database is wrapped by Vault's Transit engine, which does not open it ({failure}). Unseal or reach that Vault, let the policy allow update on transit/decrypt, and set SMARTERMCP_VAULT_TRANSIT_MOUNT and …_KEY as they were"
        ))
    })?;
    let sealer = Sealer::new(&key);
    match config::hex(&sealer.id()).as_str() == wanted {
        true => Ok(sealer),
        false => Err(Error::unavailable(format!(
            "The key that Vault opens is not {wanted}, under which the database's secrets are sealed: its row in meta was altered. Restore a backup"
        ))),
    }
}

fn no_transit(failure: &vault::Failure) -> Error {
    Error::unavailable(format!(
        "Vault's Transit engine makes no key for the database ({failure}). Run deploy/vault/bootstrap-mcp-vault.sh, reach or unseal that Vault, or set SMARTERMCP_MASTER_KEY to keep the key yourself"
    ))
}

/// The key that opens what is stored, or a refusal to start.
async fn sealer_for(source: &MasterKeySource, tx: &mut Tx) -> Result<Sealer> {
    let wanted = meta::get(tx, META_KEY_ID).await?.unwrap_or_default();
    let sealer = find(source, &wanted)?;
    if let MasterKeySource::File(path) = source {
        rotate::settle(path, |key| Sealer::new(key).id() == sealer.id())?;
    }
    Ok(sealer)
}

/// The key of this id, where the operator keeps his keys. Changes nothing.
fn find(source: &MasterKeySource, wanted: &str) -> Result<Sealer> {
    let keys = match source {
        MasterKeySource::Given(key) => vec![key.clone()],
        MasterKeySource::File(path) => rotate::candidates(path),
    };
    let whence = match source {
        MasterKeySource::Given(_) => "SMARTERMCP_MASTER_KEY".to_owned(),
        MasterKeySource::File(path) => format!("The key file {}", path.display()),
    };
    if keys.is_empty() {
        return Err(Error::unavailable(format!(
            "{whence} is missing or holds no key, and the database has secrets sealed under the key {wanted}. Put that key back: the file from a backup, or SMARTERMCP_MASTER_KEY"
        )));
    }
    keys.iter()
        .map(|key| Sealer::new(key))
        .find(|sealer| config::hex(&sealer.id()).as_str() == wanted)
        .ok_or_else(|| {
            Error::unavailable(format!(
                "{whence} cannot open the existing secrets, which are sealed under the key {wanted}. Start with that key"
            ))
        })
}

/// What a database holds that only its master key opens, as it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Of the key that everything is sealed under.
    pub key_id: String,
    /// That key as Transit has wrapped it, where it has.
    pub wrapped_key: Option<String>,
    pub hash_key: String,
    /// Credentials, each with the place that it is sealed to.
    pub sealed: Vec<(String, Vec<u8>)>,
    /// The keys of access tokens, likewise.
    pub signing_keys: Vec<(String, Vec<u8>)>,
}

/// Tries whether the master key in use opens all of it. Changes nothing, neither the database nor the key file.
///
/// # Errors
/// With a sentence that names the key which is wanted, or what does not open.
pub async fn try_open(source: &MasterKeySource, vault: Option<&Vault>, stored: &Stored) -> Result<()> {
    let sealer = match &stored.wrapped_key {
        Some(wrapped) => unwrap(vault, wrapped, &stored.key_id).await?,
        None => find(source, &stored.key_id)?,
    };
    let says = |error: Error| {
        Error::unavailable("A stored secret does not open with the right master key: the database was altered").because(error.cause())
    };
    sealer.open(HASH_KEY_PLACE, &unhex(&stored.hash_key)?).map_err(says)?;
    for (place, value) in stored.sealed.iter().chain(&stored.signing_keys) {
        sealer.open(place, value).map_err(says)?;
    }
    Ok(())
}

fn first_key(source: &MasterKeySource) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
    match source {
        MasterKeySource::Given(key) => Ok(key.clone()),
        MasterKeySource::File(path) => match rotate::candidates(path).into_iter().next() {
            Some(key) => Ok(key),
            None => {
                let key = Zeroizing::new(seal::random()?);
                rotate::write_key(path, &key)?;
                Ok(key)
            }
        },
    }
}

/// Where a connection's credential is sealed to.
pub fn connection_place(tenant: crate::id::TenantId, backend: &str, id: &str) -> String {
    format!("connection/{tenant}/{backend}/{id}")
}

/// Where the outcome of an idempotent call is sealed to.
pub fn outcome_place(tenant: &str, key: &str) -> String {
    format!("outcome/{tenant}/{key}")
}

/// Where the private half of a signing key is sealed to.
pub fn signing_key_place(id: &str) -> String {
    format!("signing_key/{id}")
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Error::internal("a stored secret is no hexadecimal text"))
}
