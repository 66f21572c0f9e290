//! Where the master key is: in the environment, or in a file that the gateway makes at its first start.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::Problem;

/// The length of the key that seals everything else.
pub const KEY_BYTES: usize = 32;

#[derive(Clone)]
pub enum MasterKeySource {
    /// `SMARTERMCP_MASTER_KEY`.
    Given(Zeroizing<[u8; KEY_BYTES]>),
    /// The file, 64 hex digits, mode 0600.
    File(PathBuf),
}

impl MasterKeySource {
    pub(super) fn hex(text: &str) -> Result<Self, Problem> {
        decode(text).map(Self::Given).ok_or_else(|| {
            Problem::new(
                "SMARTERMCP_MASTER_KEY",
                format!("is {} characters and not a key", text.len()),
                "32 bytes as 64 hex digits, e.g. from `openssl rand -hex 32`",
            )
        })
    }
}

impl std::fmt::Debug for MasterKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// 64 hex digits as 32 bytes.
pub fn decode(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = text.trim().as_bytes();
    if digits.len() != KEY_BYTES * 2 {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(key)
}

/// 32 bytes as 64 hex digits.
pub fn encode(key: &[u8]) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut text = Zeroizing::new(String::with_capacity(key.len() * 2));
    for byte in key {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}
