//! Secrets: what is sealed under the master key, and the rotation of that key.
//!
//! A sealed value is bound to where it stands (tenant and connection, or tenant and idempotency key), so that a row moved to
//! another tenant does not open. The master key seals; a second, random key that is itself sealed makes the keyed hashes, so
//! that hashes and cursors outlive a rotation.

mod rotate;
mod seal;

use std::sync::RwLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::rotate::{Rotated, rotate_key};
use self::seal::Sealer;
use crate::{
    config::{self, KEY_BYTES, MasterKeySource},
    error::{Error, Result},
    store::{Reach, Store, Tx, meta},
};

/// Names in `meta`: the id of the key that everything is sealed under, and the sealed key of the keyed hashes.
pub const META_KEY_ID: &str = "master_key_id";
pub const META_HASH_KEY: &str = "hash_key";
const HASH_KEY_PLACE: &str = "meta/hash_key";

/// The keys of this installation, opened.
pub struct Secrets {
    source: MasterKeySource,
    sealer: RwLock<Sealer>,
    hash_key: Hmac<Sha256>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Opens the keys, making them at the first start.
    ///
    /// # Errors
    /// When the key is missing although there are secrets, or cannot open them.
    pub async fn open(source: MasterKeySource, store: &Store) -> Result<Self> {
        let mut tx = store.write(Reach::Operator).await?;
        meta::lock(&mut tx).await?;
        let stored = meta::get(&mut tx, META_HASH_KEY).await?;
        let (sealer, hash_key) = match stored {
            Some(text) => {
                let sealer = sealer_for(&source, &mut tx).await?;
                let hash_key = sealer.open(HASH_KEY_PLACE, &unhex(&text)?)?;
                (sealer, hash_key)
            }
            None => {
                let sealer = Sealer::new(&*first_key(&source)?);
                let hash_key = Zeroizing::new(seal::random::<KEY_BYTES>()?.to_vec());
                meta::set(&mut tx, META_KEY_ID, &config::hex(&sealer.id())).await?;
                meta::set(&mut tx, META_HASH_KEY, &config::hex(&sealer.seal(HASH_KEY_PLACE, &hash_key)?)).await?;
                (sealer, hash_key)
            }
        };
        tx.commit().await?;
        Ok(Self {
            source,
            sealer: RwLock::new(sealer),
            hash_key: Hmac::new_from_slice(&hash_key).map_err(Error::internal)?,
        })
    }

    /// Seals a value to its place, inside the transaction that will store it: a rotation of the master key that went on
    /// meanwhile is seen here, so that nothing is ever sealed under a key that has been replaced.
    pub async fn seal(&self, tx: &mut Tx, place: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let current = meta::get_held(tx, META_KEY_ID).await?.unwrap_or_default();
        if config::hex(&self.read().id()).as_str() != current {
            self.reload(&current)?;
        }
        self.read().seal(place, secret)
    }

    /// Opens what was sealed to this place.
    pub fn open_sealed(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let id = Sealer::id_of(sealed)?;
        if id != self.read().id() {
            self.reload(&config::hex(&id))?;
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

    /// After a rotation by another process: reads the key file again.
    fn reload(&self, wanted: &str) -> Result<()> {
        let found = match &self.source {
            MasterKeySource::File(path) => rotate::candidates(path)
                .into_iter()
                .map(|key| Sealer::new(&key))
                .find(|sealer| config::hex(&sealer.id()).as_str() == wanted),
            MasterKeySource::Given(_) => None,
        };
        match found {
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
    pub hash_key: String,
    /// Credentials, each with the place that it is sealed to.
    pub sealed: Vec<(String, Vec<u8>)>,
}

/// Tries whether the master key in use opens all of it. Changes nothing, neither the database nor the key file.
///
/// # Errors
/// With a sentence that names the key which is wanted, or what does not open.
pub fn try_open(source: &MasterKeySource, stored: &Stored) -> Result<()> {
    let sealer = find(source, &stored.key_id)?;
    let says = |error: Error| {
        Error::unavailable("A stored secret does not open with the right master key: the database was altered").because(error.cause())
    };
    sealer.open(HASH_KEY_PLACE, &unhex(&stored.hash_key)?).map_err(says)?;
    for (place, value) in &stored.sealed {
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
