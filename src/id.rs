//! The ids of the house: a UUID each, told apart by type so that one cannot stand in for another.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh random id (UUID v4).
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id that belongs to these bytes (UUID v8), the same each time.
            pub fn of(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
            }

            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads an id that came from our own database.
            pub fn stored(text: &str) -> Result<Self> {
                text.parse().map_err(|_| Error::internal(format!("stored {} id {text:?} is no UUID", $noun)))
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

id!(
    /// A tenant: a UUID v4, as the platform has it.
    TenantId,
    "tenant"
);
id!(
    /// An `smcp_` token's public id; the token itself is never stored.
    TokenId,
    "token"
);

/// An id that sorts by the moment it was made (UUID v7): audit entries, requests.
pub fn ordered() -> Uuid {
    Uuid::now_v7()
}
