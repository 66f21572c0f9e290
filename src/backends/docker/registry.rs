//! The tenant's registry of services: by hand where somebody registered any, else what the containers' labels say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    store::services::Row,
};

/// The part of a business that a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Frontend,
    Backend,
    Infrastructure,
}

impl Type {
    pub const fn name(self) -> &'static str {
        match self {
            Type::Frontend => "frontend",
            Type::Backend => "backend",
            Type::Infrastructure => "infrastructure",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Type::Frontend, Type::Backend, Type::Infrastructure]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A service that was registered by hand.
#[derive(Clone, Debug)]
pub struct Registered {
    pub id: String,
    pub name: String,
    pub kind: Type,
    pub url: Option<String>,
    pub settings: Settings,
}

/// What is stored of a service besides.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What is asked whether it is well.
    pub health_url: Option<String>,
    /// The name of its container, or the value of its containers' label `smarteros.service`; its own id unless said.
    pub container: Option<String>,
    /// The repository of its image, without a tag.
    pub image: Option<String>,
}

impl Registered {
    pub fn stored(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.id.clone(),
            name: row.name.clone(),
            kind: Type::of(&row.kind).ok_or_else(|| Error::internal(format!("the stored service {} has no type", row.id)))?,
            url: row.url.clone(),
            settings: serde_json::from_str(&row.settings).map_err(Error::internal)?,
        })
    }

    /// What its containers are known by.
    pub fn container(&self) -> &str {
        self.settings.container.as_deref().unwrap_or(&self.id)
    }
}

/// Whether a text may be the repository of an image, with a registry's host before it or none, and no tag (the grammar of
/// `distribution/reference`, a little narrower).
pub fn is_repository(text: &str) -> bool {
    let mut parts = text.split('/').peekable();
    if text.len() > 255 || text.is_empty() {
        return false;
    }
    let mut first = true;
    while let Some(part) = parts.next() {
        // Only a host, which is never the last part, has a port.
        let may_hold = |byte: u8| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => true,
            b'A'..=b'Z' | b':' => first && parts.peek().is_some(),
            _ => false,
        };
        let sound = part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && part.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && part.bytes().all(may_hold)
            && !part.contains("..");
        if !sound {
            return false;
        }
        first = false;
    }
    true
}

/// The repository of an image's reference: without its tag and digest. `None` for a bare id.
pub fn repository(reference: &str) -> Option<&str> {
    let (name, _) = reference.split_once('@').unwrap_or((reference, ""));
    let name = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    (is_repository(name) && name != "sha256").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_what_stands_before_tag_and_digest() {
        for (reference, expected) in [
            ("shop", Some("shop")),
            ("shop:1.2", Some("shop")),
            ("localhost:5000/team/shop:1.2", Some("localhost:5000/team/shop")),
            ("localhost:5000/shop", Some("localhost:5000/shop")),
            ("ghcr.io/smarteros/shop@sha256:abcd", Some("ghcr.io/smarteros/shop")),
            ("shop:1@sha256:abcd", Some("shop")),
            ("sha256:0123456789abcdef", None),
            ("", None),
        ] {
            assert_eq!(repository(reference), expected, "{reference}");
        }
        for bad in ["../etc", "a/../b", "a b", "shop?x", "Shop/", "shop:1", "-shop", "a//b", "a..b"] {
            assert!(!is_repository(bad), "{bad}");
        }
    }
}
