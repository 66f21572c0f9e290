//! The keys that access tokens are signed with: Ed25519, sealed in the database, published and rotated with overlap.
//!
//! All replicas have all keys. A new one is published at once and signs ten minutes later, when every replica and whoever keeps
//! our JWKS knows it; what the one before has signed is taken for twenty minutes more, longer than an access token lives.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    auth::jwt,
    error::{Error, Result},
    id,
    secrets::{Secrets, signing_key_place},
    state::State,
    store::{
        self, Reach, Store, Tx,
        changes::{self, Kind},
        meta,
        signing_keys::{self, Row},
    },
};

const MINUTE_MS: i64 = 60 * 1000;
/// How long a key is the newest.
const ROTATED_AFTER_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// How long a new key is published before it signs.
const PUBLISHED_BEFORE_MS: i64 = 10 * MINUTE_MS;
/// How long what the one before has signed is taken after that.
const TAKEN_AFTER_MS: i64 = 20 * MINUTE_MS;
/// The `typ` of an access token (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";

/// A private half is 32 bytes, and so is a public one.
const HALF: usize = 32;
/// What stands before the private half in PKCS #8 (RFC 8410 §7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The keys as this process has them, opened.
pub struct Keys {
    held: ArcSwap<Held>,
    /// Held from reading to storing: of two reloads, the later read is stored later.
    reloading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    keys: Vec<Key>,
    /// RFC 7517 §5, rendered.
    jwks: Bytes,
}

#[derive(Clone)]
struct Key {
    id: String,
    public: String,
    /// Read once: `jsonwebtoken` would read it for each signature, a tenth of what verifying costs.
    verifies: VerifyingKey,
    /// `None`: it is sealed under a master key that this process does not have.
    signs: Option<EncodingKey>,
    signs_from: i64,
    ends_at: Option<i64>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.held.load();
        let ids: Vec<_> = held.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("Keys").field("ids", &ids).finish_non_exhaustive()
    }
}

impl Keys {
    /// Opens the keys, making the first at the first start.
    pub async fn open(store: &Store, secrets: &Secrets, now: i64) -> Result<Self> {
        let mut tx = store.write(Reach::Operator).await?;
        meta::lock(&mut tx).await?;
        if signing_keys::list(&mut tx).await?.is_empty() {
            make(&mut tx, secrets, now, now).await?;
        }
        tx.commit().await?;
        let keys = Self {
            held: ArcSwap::default(),
            reloading: tokio::sync::Mutex::default(),
        };
        keys.reload(store, secrets).await?;
        Ok(keys)
    }

    /// Reads the keys again. A private half that was opened once stays open, whatever became of the master key.
    pub async fn reload(&self, store: &Store, secrets: &Secrets) -> Result<()> {
        let _reloading = self.reloading.lock().await;
        let mut tx = store.read(Reach::Operator).await?;
        let rows = signing_keys::list(&mut tx).await?;
        drop(tx);
        let before = self.held.load_full();
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            keys.push(match before.keys.iter().find(|key| key.id == row.id && key.signs.is_some()) {
                Some(key) => Key {
                    signs_from: row.signs_from,
                    ends_at: row.ends_at,
                    ..key.clone()
                },
                None => open(secrets, row).await?,
            });
        }
        let jwks = json!({ "keys": keys.iter().map(Key::shown).collect::<Vec<_>>() });
        self.held.store(Arc::new(Held {
            keys,
            jwks: jwks.to_string().into(),
        }));
        Ok(())
    }

    /// What is published: the public halves, as a JWK Set.
    pub fn jwks(&self) -> Bytes {
        self.held.load().jwks.clone()
    }

    /// A JWT of these claims.
    pub fn sign(&self, claims: &impl Serialize, now: i64) -> Result<String> {
        let held = self.held.load();
        // The newest that may sign; where this clock is behind that of the replica which made the only one, that one.
        // One that ends before the token does would make tokens that are refused.
        let lasts = |key: &&Key| key.ends_at.is_none_or(|end| now + jwt::LIFE_SECS * 1000 < end);
        let may = held.keys.iter().filter(lasts).filter_map(|key| Some((key, key.signs.as_ref()?)));
        let (key, signs) = may
            .max_by_key(|(key, _)| {
                (
                    key.signs_from <= now,
                    if key.signs_from <= now { key.signs_from } else { -key.signs_from },
                )
            })
            .ok_or_else(|| Error::internal("there is no key that signs access tokens"))?;
        let header = Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, claims, signs).map_err(Error::internal)
    }

    /// Whether there is a key of this id.
    pub fn has(&self, id: &str) -> bool {
        self.held.load().keys.iter().any(|key| key.id == id)
    }

    /// Whether the key of this id is ours, and has signed that: `None` where it is not ours, or has ended.
    pub fn verify(&self, id: &str, message: &str, signature: &str, now: i64) -> Option<bool> {
        let held = self.held.load();
        let key = held
            .keys
            .iter()
            .find(|key| key.id == id && key.ends_at.is_none_or(|end| now < end))?;
        Some(key.has_signed(message, signature))
    }
}

impl Key {
    fn has_signed(&self, message: &str, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).ok();
        let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| self.verifies.verify(message.as_bytes(), &signature).is_ok())
    }

    /// RFC 8037 §2.
    fn shown(&self) -> serde_json::Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": self.public, "kid": self.id, "use": "sig", "alg": "EdDSA" })
    }
}

/// Rotates the keys when it is time, and removes those that have ended.
pub async fn tend(state: &State) -> Result<()> {
    let now = state.clock.millis();
    let mut tx = state.store.read(Reach::Operator).await?;
    let nothing_to_do = Due::of(&signing_keys::list(&mut tx).await?, now).is_nothing();
    drop(tx);
    if nothing_to_do {
        return Ok(());
    }
    store::in_time(async {
        let mut tx = state.store.write(Reach::Operator).await?;
        meta::lock(&mut tx).await?;
        // Another replica may have done it meanwhile.
        let due = Due::of(&signing_keys::list(&mut tx).await?, now);
        if due.is_nothing() {
            return tx.undo().await;
        }
        signing_keys::remove_ended(&mut tx, now).await?;
        if due.rotation {
            let signs_from = now + PUBLISHED_BEFORE_MS;
            signing_keys::end_all(&mut tx, signs_from + TAKEN_AFTER_MS).await?;
            let id = make(&mut tx, &state.secrets, now, signs_from).await?;
            tracing::info!(key = id, "access tokens are signed with a new key ten minutes from now");
        }
        let revision = changes::record(&mut tx, Kind::SigningKey, "", now).await?;
        tx.commit().await?;
        state.keys.reload(&state.store, &state.secrets).await?;
        state.freshness.knows(revision);
        Ok(())
    })
    .await
}

/// What there is to do.
struct Due {
    rotation: bool,
    removal: bool,
}

impl Due {
    fn of(rows: &[Row], now: i64) -> Self {
        Self {
            rotation: rows.iter().all(|row| now - row.created_at >= ROTATED_AFTER_MS),
            removal: rows.iter().any(|row| row.ends_at.is_some_and(|end| end <= now)),
        }
    }

    const fn is_nothing(&self) -> bool {
        !self.rotation && !self.removal
    }
}

/// Makes a key pair and stores it; answers its id.
async fn make(tx: &mut Tx, secrets: &Secrets, now: i64, signs_from: i64) -> Result<String> {
    let mut private = Zeroizing::new([0_u8; HALF]);
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, private.as_mut_slice()).map_err(|error| Error::internal(error.to_string()))?;
    let id = id::ordered().to_string();
    let row = Row {
        sealed: secrets.seal(tx, &signing_key_place(&id), private.as_slice()).await?,
        public: public_half(&signer(private.as_slice()))?,
        id: id.clone(),
        created_at: now,
        signs_from,
        ends_at: None,
    };
    signing_keys::insert(tx, &row).await?;
    Ok(id)
}

async fn open(secrets: &Secrets, row: Row) -> Result<Key> {
    let public = URL_SAFE_NO_PAD.decode(&row.public).map_err(Error::internal)?;
    let verifies =
        VerifyingKey::try_from(public.as_slice()).map_err(|_| Error::internal(format!("the signing key {} is no key", row.id)))?;
    let signs = match secrets.open_sealed(&signing_key_place(&row.id), &row.sealed).await {
        Ok(private) => Some(signer(&private)),
        // It verifies all the same: a master key that was replaced under this process must not lock every application out.
        Err(error) => {
            tracing::error!(
                key = row.id,
                source = error.cause(),
                "a signing key cannot be opened; this process does not sign with it"
            );
            None
        }
    };
    Ok(Key {
        verifies,
        id: row.id,
        public: row.public,
        signs,
        signs_from: row.signs_from,
        ends_at: row.ends_at,
    })
}

fn signer(private: &[u8]) -> EncodingKey {
    let der = Zeroizing::new([PKCS8.as_slice(), private].concat());
    EncodingKey::from_ed_der(&der)
}

fn public_half(signer: &EncodingKey) -> Result<String> {
    match Jwk::from_encoding_key(signer, Algorithm::EdDSA).map_err(Error::internal)?.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) => Ok(pair.x),
        other => Err(Error::internal(format!("an Ed25519 key became {other:?}"))),
    }
}
