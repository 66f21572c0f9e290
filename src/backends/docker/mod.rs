//! Docker: the tenant's containers and the services that they make up, over the Engine API (`/v1.NN`, negotiated).
//!
//! A Docker may be shared: a tenant sees the containers whose label `smarteros.tenant` is its id, and nothing else. The label is
//! asked for in every list, looked at again on what comes back, and once more by an inspect before anything is changed. What a
//! caller writes never enters a path: names and ids are looked up among the tenant's own containers. Surprising: a pull answers
//! 200 and may fail in its last line; a log is framed unless the container has a terminal; ids are global, so that asking Docker
//! for one tells whether another tenant has it.

mod client;
mod containers;
mod deploy;
mod health;
mod lines;
mod logs;
mod registry;
mod services;
mod stats;

use schemars::JsonSchema;
use serde::Deserialize;

pub use self::{
    client::Docker,
    registry::{Registered, Settings as ServiceSettings, Type, is_repository},
    services::{Described, Share, containers_running, described, services_healthy},
    stats::{Load, load},
};
use crate::tool::Definition;

pub(super) fn tools() -> Vec<Definition> {
    [
        containers::tools(),
        services::tools(),
        health::tools(),
        deploy::tools(),
        logs::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How a Docker is reached: what lies in its client's `~/.docker`, as texts in PEM. A Unix socket needs none of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The certificate of the authority that signed the Docker's own (`ca.pem`); the public ones unless said.
    pub(super) ca: Option<String>,
    /// The certificate that we show to the Docker (`cert.pem`).
    pub(super) client_cert: Option<String>,
    /// Its private key (`key.pem`).
    pub(super) client_key: Option<String>,
    /// Whom the registry of the images knows, where it asks.
    pub(super) registry_auth: Option<RegistryAuth>,
}

/// A login at a registry of images.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryAuth {
    /// The user's name.
    pub(super) username: String,
    /// The password, or an access token.
    pub(super) password: String,
    /// The registry's host, e.g. `ghcr.io`. Images of other registries are pulled without the login.
    pub(super) server: String,
}
