//! Transports: how the HTTP of a kind's connections travels, where it is not plain TCP with the public roots.

use std::path::PathBuf;

use reqwest::{Certificate, ClientBuilder, Identity};
use url::Url;

use super::Guard;
use crate::error::{Error, Result, chain};

/// How a connection's requests reach its backend. What is secret of it (the identity) is in no `Debug`.
pub struct Transport {
    /// What requests are made against, without a trailing slash.
    pub url: Url,
    socket: Option<PathBuf>,
    /// The only certificates that a server is known by, where there are any.
    roots: Vec<Certificate>,
    identity: Option<Identity>,
    loopback_only: bool,
}

impl Transport {
    /// HTTP to this address, with the roots of the public internet.
    pub fn to(url: Url) -> Self {
        Self {
            url,
            socket: None,
            roots: Vec::new(),
            identity: None,
            loopback_only: false,
        }
    }

    /// HTTP over a Unix socket of this machine, which only the operator may connect.
    ///
    /// # Panics
    /// Never: the address is written here.
    pub fn socket(path: impl Into<PathBuf>) -> Self {
        Self {
            socket: Some(path.into()),
            ..Self::to("http://localhost".parse().expect("a URL"))
        }
    }

    /// Only to this machine's own addresses, whatever else the guard allows.
    #[must_use]
    pub fn loopback_only(mut self) -> Self {
        self.loopback_only = true;
        self
    }

    /// Knows the server by these certificates (PEM) alone.
    ///
    /// # Errors
    /// When there is none in the text.
    pub fn trusting(mut self, field: &str, pem: &str) -> Result<Self> {
        self.roots = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| Error::invalid(format!("{field}: holds no certificate in PEM")).because(chain(&error)))?;
        if self.roots.is_empty() {
            return Err(Error::invalid(format!(
                "{field}: holds no certificate in PEM; it begins with -----BEGIN CERTIFICATE-----"
            )));
        }
        Ok(self)
    }

    /// Shows the server this certificate (PEM), with its key.
    ///
    /// # Errors
    /// When either is missing from the texts.
    pub fn as_client(mut self, certificate: &str, key: &str) -> Result<Self> {
        let both = zeroize::Zeroizing::new(format!("{}\n{}\n", certificate.trim(), key.trim()));
        let identity = Identity::from_pem(both.as_bytes())
            .map_err(|_| Error::invalid("credential: client_cert and client_key must be a certificate and its private key, both in PEM"))?;
        self.identity = Some(identity);
        Ok(self)
    }

    /// Whether it leads past the guard, to a socket of this machine.
    pub fn is_local(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether its connections may be pooled with others'.
    pub(super) fn is_shared(&self) -> bool {
        self.socket.is_none() && self.roots.is_empty() && self.identity.is_none() && !self.loopback_only
    }

    /// The guard that its connections go by.
    pub fn narrowed(&self, guard: Guard) -> Guard {
        match self.loopback_only {
            true => guard.loopback_only(),
            false => guard,
        }
    }

    pub(super) fn equip(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if let Some(path) = &self.socket {
            builder = builder.unix_socket(path.clone());
        }
        if !self.roots.is_empty() {
            builder = builder.tls_certs_only(self.roots.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }
}
