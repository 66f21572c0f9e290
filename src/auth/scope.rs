//! Scopes: what a token may do, and which scope includes which.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the eleven scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Scope {
    #[serde(rename = "read:services")]
    ReadServices,
    #[serde(rename = "write:services")]
    WriteServices,
    #[serde(rename = "read:workflows")]
    ReadWorkflows,
    #[serde(rename = "write:workflows")]
    WriteWorkflows,
    #[serde(rename = "read:analytics")]
    ReadAnalytics,
    #[serde(rename = "read:crm")]
    ReadCrm,
    #[serde(rename = "write:crm")]
    WriteCrm,
    #[serde(rename = "read:support")]
    ReadSupport,
    #[serde(rename = "read:bots")]
    ReadBots,
    #[serde(rename = "write:bots")]
    WriteBots,
    #[serde(rename = "admin:tenants")]
    AdminTenants,
}

impl Scope {
    pub const ALL: [Scope; 11] = [
        Scope::ReadServices,
        Scope::WriteServices,
        Scope::ReadWorkflows,
        Scope::WriteWorkflows,
        Scope::ReadAnalytics,
        Scope::ReadCrm,
        Scope::WriteCrm,
        Scope::ReadSupport,
        Scope::ReadBots,
        Scope::WriteBots,
        Scope::AdminTenants,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Scope::ReadServices => "read:services",
            Scope::WriteServices => "write:services",
            Scope::ReadWorkflows => "read:workflows",
            Scope::WriteWorkflows => "write:workflows",
            Scope::ReadAnalytics => "read:analytics",
            Scope::ReadCrm => "read:crm",
            Scope::WriteCrm => "write:crm",
            Scope::ReadSupport => "read:support",
            Scope::ReadBots => "read:bots",
            Scope::WriteBots => "write:bots",
            Scope::AdminTenants => "admin:tenants",
        }
    }

    /// What this scope grants besides itself: a `write:` scope includes its `read:` twin.
    const fn includes(self) -> Option<Scope> {
        match self {
            Scope::WriteServices => Some(Scope::ReadServices),
            Scope::WriteWorkflows => Some(Scope::ReadWorkflows),
            Scope::WriteCrm => Some(Scope::ReadCrm),
            Scope::WriteBots => Some(Scope::ReadBots),
            Scope::ReadServices
            | Scope::ReadWorkflows
            | Scope::ReadAnalytics
            | Scope::ReadCrm
            | Scope::ReadSupport
            | Scope::ReadBots
            | Scope::AdminTenants => None,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Scope::ALL.into_iter().find(|scope| scope.name() == text).ok_or(())
    }
}

/// The scopes of a token, as they were given. [`Scopes::grant`] answers what they allow.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// The scopes of a tenant's business: all but [`Scope::AdminTenants`].
    pub fn business() -> Self {
        Scope::ALL.into_iter().filter(|scope| *scope != Scope::AdminTenants).collect()
    }

    /// Whether a tool of this scope may be called.
    pub fn grant(self, scope: Scope) -> bool {
        self.given().any(|given| given == scope || given.includes() == Some(scope))
    }

    /// The scopes that were given, in the order of [`Scope::ALL`].
    pub fn given(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// How they are stored: names, separated by blanks.
    pub fn stored(self) -> String {
        self.given().map(Scope::name).collect::<Vec<_>>().join(" ")
    }

    /// Reads what [`Scopes::stored`] wrote. A scope that a later version wrote grants nothing here.
    pub fn from_stored(text: &str) -> Self {
        text.split(' ').filter_map(|name| name.parse().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stored())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_scope_includes_its_read_twin_and_nothing_else() {
        let scopes: Scopes = [Scope::WriteCrm].into_iter().collect();
        let granted: Vec<_> = Scope::ALL.into_iter().filter(|scope| scopes.grant(*scope)).collect();
        assert_eq!(granted, [Scope::ReadCrm, Scope::WriteCrm]);
    }

    #[test]
    fn stored_scopes_are_read_again() {
        let scopes: Scopes = Scope::ALL.into_iter().collect();
        assert_eq!(Scopes::from_stored(&scopes.stored()), scopes);
        assert_eq!(Scopes::from_stored("read:moon"), Scopes::default());
    }
}
