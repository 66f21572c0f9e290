//! Sealing: XChaCha20-Poly1305, with the place of a value as associated data.
//!
//! A sealed value is one byte of version, eight of key id, twenty-four of random nonce, then the cipher text and its tag.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    config::KEY_BYTES,
    error::{Error, Result},
};

const VERSION: u8 = 1;
const ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + ID_BYTES + NONCE_BYTES;

pub struct Sealer {
    cipher: XChaCha20Poly1305,
    id: [u8; ID_BYTES],
}

impl Sealer {
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let digest = Sha256::new()
            .chain_update(b"smartermcp master key id\0")
            .chain_update(key)
            .finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            id,
        }
    }

    /// Names the key without giving it away.
    pub fn id(&self) -> [u8; ID_BYTES] {
        self.id
    }

    /// The id of the key that a value is sealed under.
    pub fn id_of(sealed: &[u8]) -> Result<[u8; ID_BYTES]> {
        match sealed.first_chunk::<{ 1 + ID_BYTES }>() {
            Some([VERSION, id @ ..]) => Ok(*id),
            _ => Err(Error::internal("a stored secret is not in the form that this version seals")),
        }
    }

    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload {
            msg: secret,
            aad: place.as_bytes(),
        };
        let text = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("sealing a secret failed"))?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let broken = || {
            Error::internal(format!(
                "the secret at {place} does not open: moved, altered, or sealed under another key"
            ))
        };
        if Self::id_of(sealed)? != self.id {
            return Err(broken());
        }
        let (head, text) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(broken)?;
        let nonce: [u8; NONCE_BYTES] = head[1 + ID_BYTES..].try_into().map_err(|_| broken())?;
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        self.cipher
            .decrypt(&XNonce::from(nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| broken())
    }
}

/// Bytes from the operating system's randomness.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_was_sealed_to() {
        let sealer = Sealer::new(&[7; KEY_BYTES]);
        let sealed = sealer.seal("connection/a/n8n/1", b"secret").unwrap();
        assert_eq!(**sealer.open("connection/a/n8n/1", &sealed).unwrap(), *b"secret");
        assert!(sealer.open("connection/b/n8n/1", &sealed).is_err());
        assert!(Sealer::new(&[8; KEY_BYTES]).open("connection/a/n8n/1", &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(sealer.open("connection/a/n8n/1", &sealed[..length]).is_err());
        }
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(sealer.open("connection/a/n8n/1", &altered).is_err(), "byte {index}");
        }
    }
}
