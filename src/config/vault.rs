//! Where secrets are kept beside the database: a Vault, and how the gateway logs in there.
//!
//! Names that Vault's own command line knows are the same here (developer.hashicorp.com/vault/docs/commands#environment-variables).

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::{Problem, Secret, Settings};

/// `VAULT_ADDR` and what belongs to it.
#[derive(Clone, Debug)]
pub struct VaultServer {
    pub address: Url,
    pub login: VaultLogin,
    /// `VAULT_NAMESPACE`: of editions that have them; sent with every request.
    pub namespace: Option<String>,
    /// `VAULT_CACERT`: a file with the authority in PEM that its certificate is by, beside those of the system.
    pub ca: Option<PathBuf>,
    /// `SMARTERMCP_VAULT_KV_MOUNT`: where a KV engine of version 2 is mounted.
    pub kv_mount: String,
    /// `SMARTERMCP_VAULT_TRANSIT_MOUNT` and `…_KEY`: the Transit engine, and its key that wraps the key of the database.
    pub transit_mount: String,
    pub transit_key: String,
    /// `SMARTERMCP_VAULT_CACHE_SECS`: how long a credential that was read is used before it is read again.
    pub cache: Duration,
}

/// How the gateway logs in.
#[derive(Clone, Debug)]
pub enum VaultLogin {
    /// `VAULT_TOKEN`.
    Token(Secret),
    /// `VAULT_ROLE_ID` with `VAULT_SECRET_ID` or `VAULT_SECRET_ID_FILE`, at the auth method of this mount.
    AppRole {
        mount: String,
        role_id: Secret,
        secret_id: SecretId,
    },
}

/// The half of an `AppRole` that is a secret.
#[derive(Clone, Debug)]
pub enum SecretId {
    Given(Secret),
    /// Read at each login, so that a file which was replaced is taken without a restart.
    File(PathBuf),
}

/// One field of a secret of the operator's, written `mcp/smartermcp-gateway#admin_token`.
#[derive(Clone, Debug)]
pub struct VaultField {
    /// Below the KV engine's mount.
    pub path: String,
    pub field: String,
}

impl VaultField {
    pub(super) fn read(name: &str, text: &str) -> Result<Self, Problem> {
        match text.split_once('#') {
            Some((path, field)) if is_path(path) && is_path(field) => Ok(Self {
                path: path.to_owned(),
                field: field.to_owned(),
            }),
            _ => Err(Problem::new(
                name,
                "names no field of a secret in Vault",
                "vault:PATH#FIELD with the path below the mount, e.g. vault:mcp/smartermcp-gateway#admin_token",
            )),
        }
    }
}

const ADDRESS: &str = "the http or https URL of a Vault without a user or a query, e.g. https://vault.example.cl:8200";
const LOGIN: &str = "either VAULT_TOKEN, or VAULT_ROLE_ID with VAULT_SECRET_ID or VAULT_SECRET_ID_FILE";
const DEFAULT_CACHE_SECS: u64 = 300;
/// Longer than a day, a credential that was revoked in Vault would go on for too long.
const CACHE_MAX_SECS: u64 = 86_400;

impl VaultServer {
    /// Reads the settings. `None`: `VAULT_ADDR` is not set.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, Problem> {
        let Some(address) = settings.url("VAULT_ADDR", ADDRESS)? else {
            for alone in ["VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_SECRET_ID_FILE"] {
                if settings.text(alone).is_some() {
                    return Err(Problem::new(
                        alone,
                        "is set and VAULT_ADDR is not",
                        "both, or neither: without VAULT_ADDR, secrets are sealed in the database",
                    ));
                }
            }
            return Ok(None);
        };
        // Addresses are logged; what is secret goes into the login.
        if !address.username().is_empty() || address.password().is_some() || address.query().is_some() {
            return Err(Problem::new("VAULT_ADDR", "holds a user or a query", ADDRESS));
        }
        let cache = settings
            .parsed("SMARTERMCP_VAULT_CACHE_SECS", "a number of seconds, e.g. 300")?
            .unwrap_or(DEFAULT_CACHE_SECS);
        if !(1..=CACHE_MAX_SECS).contains(&cache) {
            return Err(Problem::new(
                "SMARTERMCP_VAULT_CACHE_SECS",
                format!("is {cache}"),
                format!("1 to {CACHE_MAX_SECS} seconds, e.g. {DEFAULT_CACHE_SECS}"),
            ));
        }
        let namespace = settings.text("VAULT_NAMESPACE").map(|text| text.trim_matches('/').to_owned());
        if let Some(namespace) = &namespace
            && !is_path(namespace)
        {
            return Err(Problem::new(
                "VAULT_NAMESPACE",
                "is no namespace",
                "its path, e.g. smarteros or admin/smarteros",
            ));
        }
        let ca = settings.text("VAULT_CACERT").map(PathBuf::from);
        if let Some(path) = &ca
            && let Err(error) = std::fs::File::open(path)
        {
            return Err(Problem::new(
                "VAULT_CACERT",
                format!("names {}, which cannot be read ({error})", path.display()),
                "a readable file with certificates in PEM",
            ));
        }
        Ok(Some(Self {
            address,
            login: VaultLogin::read(settings)?,
            namespace,
            ca,
            kv_mount: mount(settings, "SMARTERMCP_VAULT_KV_MOUNT", "smarteros")?,
            transit_mount: mount(settings, "SMARTERMCP_VAULT_TRANSIT_MOUNT", "transit")?,
            transit_key: mount(settings, "SMARTERMCP_VAULT_TRANSIT_KEY", "smarteros-secrets")?,
            cache: Duration::from_secs(cache),
        }))
    }
}

impl VaultLogin {
    fn read(settings: &Settings) -> Result<Self, Problem> {
        let secret = |name: &str| -> Result<Option<Secret>, Problem> {
            match settings.text(name) {
                // It goes into a header or JSON as it is. What is wrong is not quoted: it may be the secret.
                Some(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(Problem::new(
                    name,
                    "holds blanks or characters beyond ASCII",
                    "what Vault gave out, as it is",
                )),
                found => Ok(found.map(Secret::new)),
            }
        };
        let (token, role_id) = (secret("VAULT_TOKEN")?, secret("VAULT_ROLE_ID")?);
        let secret_id = match (secret("VAULT_SECRET_ID")?, settings.text("VAULT_SECRET_ID_FILE")) {
            (Some(_), Some(_)) => {
                return Err(Problem::new(
                    "VAULT_SECRET_ID",
                    "is set beside VAULT_SECRET_ID_FILE",
                    "one of the two",
                ));
            }
            (Some(given), None) => Some(SecretId::Given(given)),
            (None, Some(file)) => Some(SecretId::File(PathBuf::from(file))),
            (None, None) => None,
        };
        match (token, role_id, secret_id) {
            (Some(token), None, None) => Ok(Self::Token(token)),
            (None, Some(role_id), Some(secret_id)) => Ok(Self::AppRole {
                mount: mount(settings, "SMARTERMCP_VAULT_APPROLE_MOUNT", "approle")?,
                role_id,
                secret_id,
            }),
            (Some(_), ..) => Err(Problem::new("VAULT_TOKEN", "is set beside an AppRole", LOGIN)),
            (None, Some(_), None) => Err(Problem::new("VAULT_ROLE_ID", "is set without its secret id", LOGIN)),
            (None, None, Some(_)) => Err(Problem::new("VAULT_ROLE_ID", "is not set, and a secret id is", LOGIN)),
            (None, None, None) => Err(Problem::new("VAULT_ADDR", "is set, and nothing says how to log in there", LOGIN)),
        }
    }
}

fn mount(settings: &Settings, name: &str, default: &str) -> Result<String, Problem> {
    let text = settings.text(name).unwrap_or(default).trim_matches('/');
    match is_path(text) {
        true => Ok(text.to_owned()),
        false => Err(Problem::new(name, format!("is {text:?}"), format!("a path such as {default}"))),
    }
}

/// Letters, digits and `-_.`, parted by slashes, and no step up.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    })
}
