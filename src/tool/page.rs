//! Pages: how long a list's page is, and the cursor to the next one.
//!
//! A cursor holds all that the next page needs, so that any replica can serve it, and is signed for one tenant and one list,
//! so that it can be neither altered nor used elsewhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

use crate::{
    error::{Error, Result},
    secrets::Secrets,
};

/// The longest page.
pub const LIMIT_MAX: u32 = 200;
/// The page of a list whose contract names no other.
pub const LIMIT_DEFAULT: u32 = 100;
/// The longest cursor that is looked at.
pub const CURSOR_MAX: usize = 4096;
const TAG_BYTES: usize = 16;

/// Makes a cursor to what comes after `position`.
pub fn seal(secrets: &Secrets, tenant: &str, list: &str, position: &str) -> String {
    let mut bytes = tag(secrets, tenant, list, position).to_vec();
    bytes.extend_from_slice(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor that this tenant was given for this list.
///
/// # Errors
/// When it was given to somebody else, for another list, or by nobody.
pub fn open(secrets: &Secrets, tenant: &str, list: &str, cursor: &str) -> Result<String> {
    let wrong = || {
        Error::invalid("cursor: this is not a cursor of this list; pass next_cursor as it was given, or leave it out for the first page")
    };
    if cursor.len() > CURSOR_MAX {
        return Err(wrong());
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let (given, position) = bytes.split_at_checked(TAG_BYTES).ok_or_else(wrong)?;
    let position = std::str::from_utf8(position).map_err(|_| wrong())?;
    if bool::from(tag(secrets, tenant, list, position).ct_eq(given)) {
        Ok(position.to_owned())
    } else {
        Err(wrong())
    }
}

fn tag(secrets: &Secrets, tenant: &str, list: &str, position: &str) -> [u8; TAG_BYTES] {
    let full = secrets.hash("cursor", format!("{tenant}\0{list}\0{position}").as_bytes());
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&full[..TAG_BYTES]);
    tag
}
