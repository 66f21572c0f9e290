//! The `smcp_` token, and what else is made like it: 32 random bytes in base62, and a CRC-32 over what stands before it.
//!
//! The check sum lets a scanner tell a leaked token from a look-alike, and lets the gateway refuse a typo without a look-up.
//! Only the SHA-256 is stored: 256 random bits need no salt and no slow hash.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What an API token begins with. All prefixes are as long.
pub const PREFIX: &str = "smcp_";
/// What a refresh token begins with.
pub const REFRESH_PREFIX: &str = "smcr_";
/// What an authorization code begins with.
pub const CODE_PREFIX: &str = "smcc_";
/// ⌈256 ÷ log₂ 62⌉ digits hold 32 bytes.
const SECRET_DIGITS: usize = 43;
/// ⌈32 ÷ log₂ 62⌉ digits hold a CRC-32.
const CHECK_DIGITS: usize = 6;
/// How long every token is.
pub const LENGTH: usize = PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS;
/// The longest bearer that is looked at; a longer one is refused unread.
pub const BEARER_MAX: usize = 16 * 1024;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What is stored of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(bearer: &str) -> Self {
        Self(Sha256::digest(bearer.as_bytes()).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The form it has in the database: 64 hex digits.
    pub fn hex(&self) -> String {
        crate::config::hex(&self.0).to_string()
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

/// Makes a new API token from the operating system's randomness.
pub fn generate() -> Zeroizing<String> {
    random(PREFIX)
}

/// Makes a new token of this prefix from the operating system's randomness.
pub fn random(prefix: &str) -> Zeroizing<String> {
    let mut secret = Zeroizing::new([0u8; 32]);
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, secret.as_mut_slice()).expect("the operating system has randomness");
    of(prefix, &secret)
}

/// The token of this prefix that holds these bytes.
pub fn of(prefix: &str, secret: &[u8; 32]) -> Zeroizing<String> {
    let mut token = Zeroizing::new(String::with_capacity(LENGTH));
    token.push_str(prefix);
    push_base62(&mut token, secret.as_slice(), SECRET_DIGITS);
    let check = crc32fast::hash(token.as_bytes());
    push_base62(&mut token, &check.to_be_bytes(), CHECK_DIGITS);
    token
}

/// Whether this could be one of our API tokens: prefix, length, alphabet and check sum.
pub fn is_well_formed(bearer: &str) -> bool {
    is_of(PREFIX, bearer)
}

/// Whether this could be one of our tokens of this prefix.
pub fn is_of(prefix: &str, bearer: &str) -> bool {
    if bearer.len() != LENGTH || !bearer.starts_with(prefix) || !bearer.is_ascii() {
        return false;
    }
    let (body, check) = bearer.split_at(LENGTH - CHECK_DIGITS);
    let mut expected = String::with_capacity(CHECK_DIGITS);
    push_base62(&mut expected, &crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECK_DIGITS);
    body[prefix.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()) && expected == check
}

/// Appends a big-endian number in base62, padded with zeros to a fixed width.
fn push_base62(out: &mut String, number: &[u8], width: usize) {
    let mut rest = Zeroizing::new(number.to_vec());
    let mut digits = Zeroizing::new(vec![b'0'; width]);
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in rest.iter_mut() {
            let value = remainder << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("the quotient of a byte with carry below 62 fits a byte");
            remainder = value % 62;
        }
        *digit = ALPHABET[remainder as usize];
    }
    out.extend(digits.iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_well_formed_and_unlike_the_next() {
        let (one, two) = (generate(), generate());
        assert_eq!(one.len(), LENGTH);
        assert!(is_well_formed(&one), "{}", *one);
        assert_ne!(*one, *two);
    }

    #[test]
    fn one_changed_or_missing_character_is_refused_without_a_look_up() {
        let token = generate();
        for index in 0..token.len() {
            let mut typo = token.as_bytes().to_vec();
            typo[index] = if typo[index] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(std::str::from_utf8(&typo).unwrap()), "position {index}");
        }
        assert!(!is_well_formed(&token[..LENGTH - 1]));
        assert!(!is_well_formed(&format!("{}0", *token)));
        assert!(!is_well_formed("smcp_ñ"));
    }

    #[test]
    fn base62_is_padded_and_exact() {
        let mut text = String::new();
        push_base62(&mut text, &[0, 61], 4);
        push_base62(&mut text, &62u32.to_be_bytes(), 3);
        push_base62(&mut text, &[0xff; 4], 6);
        assert_eq!(text, "000z0104gfFC3");
    }
}
