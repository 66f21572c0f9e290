//! Where settings come from: the environment, over a TOML file with the same names.

use std::{collections::BTreeMap, fmt, path::Path};

use url::Url;

/// Every name that is understood. A file may write them in lower case, and without the prefix.
const NAMES: &[&str] = &[
    "SMARTERMCP_LISTEN",
    "SMARTERMCP_DATA_DIR",
    "SMARTERMCP_PUBLIC_URL",
    "SMARTERMCP_ADMIN_TOKEN",
    "SMARTERMCP_MASTER_KEY",
    "SMARTERMCP_BACKEND_ALLOW",
    "SMARTERMCP_ALLOWED_ORIGINS",
    "SMARTERMCP_TRUSTED_PROXIES",
    "SMARTERMCP_AUDIT_DAYS",
    "SMARTERMCP_SHUTDOWN_SECS",
    "SMARTERMCP_DRAIN_SECS",
    "SMARTERMCP_DATABASE_CONNECTIONS",
    "SMARTERMCP_OPENID_ISSUER",
    "SMARTERMCP_OPENID_CLIENT_ID",
    "SMARTERMCP_OPENID_CLIENT_SECRET",
    "SMARTERMCP_OPENID_NAME",
    "SMARTERMCP_SIGN_IN",
    "SMARTERMCP_ISSUER",
    "SMARTERMCP_ISSUER_JWKS",
    "SMARTERMCP_ISSUER_AUDIENCE",
    "SMARTERMCP_ISSUER_TENANT_CLAIM",
    "SMARTERMCP_ISSUER_SCOPES_CLAIM",
    "DATABASE_URL",
    "REDIS_URL",
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "VAULT_ROLE_ID",
    "VAULT_SECRET_ID",
    "VAULT_SECRET_ID_FILE",
    "VAULT_NAMESPACE",
    "VAULT_CACERT",
    "SMARTERMCP_VAULT_KV_MOUNT",
    "SMARTERMCP_VAULT_TRANSIT_MOUNT",
    "SMARTERMCP_VAULT_TRANSIT_KEY",
    "SMARTERMCP_VAULT_APPROLE_MOUNT",
    "SMARTERMCP_VAULT_CACHE_SECS",
    "KAFKA_BROKERS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SDK_DISABLED",
];
const PREFIX: &str = "SMARTERMCP_";
/// Names of this prefix that clients of the gateway read, and the gateway itself does not.
const FOREIGN: &[&str] = &[
    "SMARTERMCP_API_TOKEN",
    "SMARTERMCP_TENANT_ID",
    "SMARTERMCP_ENDPOINT",
    "SMARTERMCP_URL",
    "SMARTERMCP_RELEASES",
];

/// A setting that is wrong, in one sentence for the operator.
#[derive(Debug)]
pub struct Problem(String);

impl Problem {
    pub fn new(name: &str, wrong: impl fmt::Display, right: impl fmt::Display) -> Self {
        Self(format!("{name} {wrong}. What would be right: {right}."))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// The settings as they were written, by their full names.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
    issuers: BTreeMap<String, BTreeMap<String, String>>,
    unknown: Option<String>,
}

impl Settings {
    /// Reads the file, if one is named, and then the environment over it.
    ///
    /// # Errors
    /// When the file cannot be read or is no TOML.
    pub fn read(file: Option<&Path>) -> Result<Self, Problem> {
        let mut settings = Self::default();
        if let Some(path) = file {
            let shown = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| {
                Problem::new(
                    "--config",
                    format!("names {shown}, which cannot be read ({error})"),
                    "a readable TOML file",
                )
            })?;
            let table: toml::Table = text
                .parse()
                .map_err(|error| Problem::new("--config", format!("names {shown}, which is no TOML ({error})"), "a TOML file"))?;
            settings.take_file(&table);
        }
        for (name, value) in std::env::vars_os() {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            if NAMES.contains(&name) {
                settings.values.insert(name.to_owned(), value.to_owned());
            } else if name.starts_with(PREFIX) && !FOREIGN.contains(&name) {
                settings.unknown.get_or_insert_with(|| name.to_owned());
            }
        }
        Ok(settings)
    }

    fn take_file(&mut self, table: &toml::Table) {
        for (key, value) in table {
            if key == "services" {
                for (kind, url) in value.as_table().into_iter().flatten() {
                    self.services.insert(kind.clone(), plain(url));
                }
                continue;
            }
            if key == "issuers" {
                for (name, table) in value.as_table().into_iter().flatten() {
                    let fields = table.as_table().into_iter().flatten();
                    self.issuers
                        .insert(name.clone(), fields.map(|(field, value)| (field.clone(), plain(value))).collect());
                }
                continue;
            }
            let upper = key.to_ascii_uppercase();
            let name = NAMES
                .iter()
                .find(|name| **name == upper || name.strip_prefix(PREFIX) == Some(&upper));
            match name {
                Some(name) => {
                    self.values.insert((*name).to_owned(), plain(value));
                }
                None => {
                    self.unknown.get_or_insert_with(|| key.clone());
                }
            }
        }
    }

    pub(super) fn refuse_unknown(&self) -> Result<(), Problem> {
        match &self.unknown {
            Some(name) => Err(Problem::new(
                name,
                "is no setting of this gateway",
                format!("one of {}", NAMES.join(", ")),
            )),
            None => Ok(()),
        }
    }

    /// The value, unless it is absent or blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str, right: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| text.parse().map_err(|_| Problem::new(name, format!("is {text:?}"), right)))
            .transpose()
    }

    pub(super) fn url(&self, name: &str, right: &str) -> Result<Option<Url>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
            _ => Err(Problem::new(name, format!("is {text:?}"), right)),
        }
    }

    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text(name)
            .unwrap_or_default()
            .split([',', ' '])
            .map(str::trim)
            .filter(|item| !item.is_empty())
    }

    pub(super) fn networks(&self, name: &str) -> Result<Vec<ipnet::IpNet>, Problem> {
        self.list(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Problem::new(
                        name,
                        format!("holds {text:?}"),
                        "networks in CIDR notation, e.g. 10.0.0.0/8, separated by commas",
                    )
                })
            })
            .collect()
    }

    /// `[issuers.NAME]` of the file, by name: what is written there, by field.
    pub(super) fn issuers(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.issuers
    }

    pub(super) fn services(&self) -> Result<Vec<(String, Url)>, Problem> {
        self.services
            .iter()
            .map(|(kind, text)| {
                let url = Url::parse(text).map_err(|error| {
                    Problem::new(
                        &format!("[services] {kind}"),
                        format!("is {text:?} ({error})"),
                        "an http or https URL",
                    )
                })?;
                Ok((kind.clone(), url))
            })
            .collect()
    }
}

/// A TOML value as the environment would write it; a list joined by commas.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
