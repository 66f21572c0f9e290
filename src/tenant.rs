//! A tenant: one business on the platform, with its plan, time zone and status.

use std::fmt;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    id::TenantId,
};

/// The tenant that the operator's tokens fall to when none is named; made at the first start.
pub const DEFAULT_SLUG: &str = "default";
pub const DEFAULT_PLAN: &str = "business";
pub const DEFAULT_REGION: &str = "cl";
pub const DEFAULT_TIME_ZONE: &str = "America/Santiago";
pub const DEFAULT_LOCALE: &str = "es-CL";

#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
    /// Chilean tax id, as [`normal_rut`] writes it.
    pub rut: Option<String>,
    pub plan: String,
    pub region: String,
    pub status: Status,
    /// IANA name; quotas count by this zone's months.
    pub time_zone: String,
    pub locale: String,
    /// Networks where this tenant's backends may live although the SSRF guard would refuse them. The operator's to set.
    pub backend_allow: Vec<IpNet>,
    /// Epoch milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Provisioning,
    Active,
    Suspended,
    Deleted,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Status::Provisioning => "provisioning",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Deleted => "deleted",
        }
    }

    pub(crate) fn stored(text: &str) -> Result<Self> {
        [Status::Provisioning, Status::Active, Status::Suspended, Status::Deleted]
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| Error::internal(format!("stored tenant status {text:?} is unknown")))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Checks a RUT's digit and writes it as the tax office does: `76192083-9`.
///
/// # Errors
/// When it has no seven or eight digits, or its check digit is wrong.
pub fn normal_rut(text: &str) -> Result<String> {
    let plain: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'.' | b'-' | b' ')).collect();
    let wrong = || {
        Error::invalid(format!(
            "rut: '{text}' is no valid RUT; write it like 76.192.083-9, with its check digit"
        ))
    };
    let (check, digits) = plain.split_last().ok_or_else(wrong)?;
    if !(7..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    // Modulo 11 with the factors 2 to 7 from the right (Servicio de Impuestos Internos).
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7].into_iter().cycle())
        .map(|(digit, factor)| u32::from(digit - b'0') * factor)
        .sum();
    let expected = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        digit => b'0' + u8::try_from(digit).unwrap_or_default(),
    };
    if check.to_ascii_uppercase() != expected {
        return Err(wrong());
    }
    Ok(format!("{}-{}", String::from_utf8_lossy(digits), char::from(expected)))
}

/// Checks a slug: what stands in URLs, labels and paths.
///
/// # Errors
/// Unless it is 2 to 63 of `a-z 0-9 -`, beginning with a letter and ending with none of `-`.
pub fn checked_slug(text: &str) -> Result<()> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && (2..=63).contains(&text.len()) && text.as_bytes()[0].is_ascii_lowercase() && !text.ends_with('-') {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "slug: '{text}' cannot be one; use 2 to 63 lower-case letters, digits and hyphens, beginning with a letter, e.g. panaderia-luna"
        )))
    }
}

/// Checks that a time zone is in the IANA database.
///
/// # Errors
/// When it is not.
pub fn checked_time_zone(name: &str) -> Result<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::get(name).map_err(|_| {
        Error::invalid(format!(
            "time_zone: '{name}' is not in the IANA database; write it like {DEFAULT_TIME_ZONE}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rut_is_checked_by_its_digit_and_written_one_way() {
        for (given, normal) in [
            ("76.192.083-9", "76192083-9"),
            ("761920839", "76192083-9"),
            ("10.000.013-k", "10000013-K"),
            ("5126663-3", "5126663-3"),
        ] {
            assert_eq!(normal_rut(given).unwrap(), normal);
        }
        for wrong in ["76.192.083-8", "", "-", "abc", "1-9", "ñ"] {
            assert!(normal_rut(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slug_is_plain() {
        assert!(checked_slug("panaderia-luna").is_ok());
        for wrong in ["", "a", "Luna", "1luna", "luna-", "lu na", "../etc"] {
            assert!(checked_slug(wrong).is_err(), "{wrong}");
        }
    }
}
