//! Where a connection's credential is: in its row, sealed, or in Vault, and the row names path and version.
//!
//! What a row seals is the credential itself or that reference, so that neither opens in another tenant's row. A version in Vault also
//! says which connection it is of ([`MARK`]): a version that was written and whose row was never stored, because the process died in
//! between, is nobody's. A newer version without the mark is the operator's own (`vault kv put`), and is taken.
//!
//! When a connection goes, the same transaction notes its path; what the path holds is destroyed right after, or by a job when Vault
//! is back. A path is written again only when that is done ([`Secrets::keep`]). Who is about to write says so first
//! ([`Secrets::announce`]), and a connection that goes takes that back, for his version may be destroyed with the others.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    Secrets, connection_place,
    vault::{Failure, Vault, Version},
};
use crate::{
    error::{Error, Kind, Result},
    store::{Reach, Tx, connections::Row, meta},
};

/// The field beside a credential's own in Vault: the id of the connection that it was written for.
const MARK: &str = "smartermcp_connection";
/// What a sealed reference begins with; a credential is a JSON object.
const REFERENCE: &[u8] = b"vault:";
/// Names in `meta`: a path in Vault that is to be destroyed.
const GONE: &str = "vault_gone/";
/// A path that is being written: the id of the connection that will name what is written.
const COMING: &str = "vault_coming/";

/// A version of a secret in Vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Below the KV engine's mount: `tenants/{slug}/{backend}`.
    pub path: String,
    pub version: u64,
}

/// What a row seals, opened.
pub enum Kept {
    /// The credential, as JSON.
    Here(Zeroizing<Vec<u8>>),
    InVault(Reference),
}

/// An open credential.
pub struct Opened {
    /// JSON.
    pub json: Zeroizing<Vec<u8>>,
    /// Where it is from, and the version that was read, which may be newer than the reference.
    pub from: Option<(Reference, u64)>,
}

impl Kept {
    fn read(opened: Zeroizing<Vec<u8>>) -> Result<Self> {
        match opened.strip_prefix(REFERENCE) {
            Some(json) => serde_json::from_slice(json).map(Self::InVault).map_err(Error::internal),
            None => Ok(Self::Here(opened)),
        }
    }
}

impl Reference {
    fn sealable(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(REFERENCE.to_vec());
        serde_json::to_writer(&mut *text, self).map_err(Error::internal)?;
        Ok(text)
    }
}

/// Where in Vault a tenant's credential to a backend is.
pub fn path(slug: &str, backend: &str) -> String {
    format!("tenants/{slug}/{backend}")
}

impl Secrets {
    /// Notes that a connection's credential is about to be put at this path, in a transaction of its own: a database that stores
    /// nothing is found before Vault is written, where each new version may push an older one out.
    pub async fn announce(tx: &mut Tx, path: &str, connection: &str) -> Result<()> {
        meta::set(tx, &coming(path), connection).await
    }

    /// Takes that note away, in the transaction that stores the row.
    ///
    /// # Errors
    /// 409 when the path was let go, or announced by another, since.
    pub async fn arrive(tx: &mut Tx, path: &str, connection: &str) -> Result<()> {
        if meta::get(tx, &coming(path)).await?.as_deref() != Some(connection) {
            return Err(Error::conflict(
                "This connection was removed, or set by somebody else, meanwhile; nothing was stored. Try again",
            ));
        }
        meta::remove(tx, &coming(path)).await
    }

    /// Puts a new credential (a JSON object) where new credentials go, before its row is stored, and answers what the row is to
    /// seal. With a Vault that is a new version of the tenant's path. If the row is never stored, nobody looks at that version.
    ///
    /// # Errors
    /// 503 when Vault is away or refuses.
    pub async fn keep(&self, path: &str, connection: &str, credential: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let Some(vault) = &self.vault else {
            return Ok(Zeroizing::new(credential.to_vec()));
        };
        // What an earlier connection left there goes first: nobody shall destroy this one for it.
        let mut tx = self.store.read(Reach::Operator).await?;
        let left = meta::get(&mut tx, &gone(path)).await?.is_some();
        drop(tx);
        if left {
            self.destroy(path).await?;
        }
        let mut data: Map<String, Value> = serde_json::from_slice(credential).map_err(Error::internal)?;
        if data.insert(MARK.to_owned(), Value::String(connection.to_owned())).is_some() {
            return Err(Error::invalid(format!("credential.{MARK}: is the gateway's own field")));
        }
        let version = vault.write(path, &data).await.map_err(|failure| {
            away(
                &failure,
                "The gateway's Vault cannot take the credential right now; nothing was stored. Try again shortly",
            )
        })?;
        Reference {
            path: path.to_owned(),
            version,
        }
        .sealable()
    }

    /// What a connection's row seals.
    pub async fn kept(&self, row: &Row) -> Result<Kept> {
        let place = connection_place(row.tenant_id, &row.backend, &row.id);
        Kept::read(self.open_sealed(&place, &row.credential).await?)
    }

    /// A connection's credential, from wherever it is.
    ///
    /// # Errors
    /// 503 while Vault is away; `credential_missing` when it was deleted there.
    pub async fn credential(&self, row: &Row) -> Result<Opened> {
        match self.kept(row).await? {
            Kept::Here(json) => Ok(Opened { json, from: None }),
            Kept::InVault(reference) => {
                let found = self.look(&reference, &row.id, &row.backend).await?;
                Ok(Opened {
                    json: Zeroizing::new(serde_json::to_vec(&found.data).map_err(Error::internal)?),
                    from: Some((reference, found.version)),
                })
            }
        }
    }

    /// The version that a reference means now, without its mark.
    pub(crate) async fn look(&self, reference: &Reference, connection: &str, backend: &str) -> Result<Version> {
        let vault = self.vault()?;
        match applicable(vault, reference, connection).await {
            Ok(found) => Ok(found),
            Err(Failure::Missing) => Err(Error::new(
                Kind::NotConnected,
                format!(
                    "The credential of this tenant's {backend} was deleted in Vault. An administrator connects it again with PUT /api/v1/connections/{backend}, or the tool connections_set."
                ),
            )
            .coded("credential_missing")
            .because(format!("{} has no version {} any more", reference.path, reference.version))),
            Err(failure) => Err(away(
                &failure,
                "The gateway's Vault cannot be asked for this connection's credential right now; nothing was done. Try again shortly",
            )),
        }
    }

    /// The Vault that a reference needs.
    fn vault(&self) -> Result<&Vault> {
        self.vault.as_deref().ok_or_else(|| {
            Error::unavailable("This connection's credential is in Vault, and this gateway was started without one")
                .coded("vault_away")
                .because("a credential is in Vault, and VAULT_ADDR is not set")
        })
    }

    /// Notes, in the transaction that takes a connection away or seals it, that what Vault has of it must go. Answers the path, for
    /// [`Secrets::destroy`] after the commit.
    pub async fn let_go(&self, tx: &mut Tx, row: &Row) -> Result<Option<String>> {
        match self.kept(row).await {
            Ok(Kept::InVault(reference)) => {
                meta::set(tx, &gone(&reference.path), "").await?;
                meta::remove(tx, &coming(&reference.path)).await?;
                Ok(Some(reference.path))
            }
            Err(error) if error.kind() == Kind::Unavailable => Err(error),
            // What does not open has nothing in Vault that we could name.
            Ok(Kept::Here(_)) | Err(_) => Ok(None),
        }
    }

    /// Destroys what was let go at a path, unless somebody else has. Versions that are written from now on are not touched.
    pub async fn destroy(&self, path: &str) -> Result<()> {
        let away = |failure: Failure| {
            away(
                &failure,
                "The gateway's Vault cannot destroy a credential that was let go; it is tried again",
            )
        };
        let vault = self.vault()?;
        // In this order: as long as the note is there, nobody has written anew, so that all that was there is to go.
        let newest = vault.newest(path).await.map_err(away)?;
        let mut tx = self.store.read(Reach::Operator).await?;
        let still = meta::get(&mut tx, &gone(path)).await?.is_some();
        drop(tx);
        if !still {
            return Ok(());
        }
        vault.destroy(path, newest).await.map_err(away)?;
        let mut tx = self.store.write(Reach::Operator).await?;
        meta::remove(&mut tx, &gone(path)).await?;
        tx.commit().await
    }

    /// Destroys all that was let go while Vault was away. For the job.
    pub async fn sweep(&self) -> Result<()> {
        let mut tx = self.store.read(Reach::Operator).await?;
        let left = meta::names(&mut tx, GONE).await?;
        drop(tx);
        if self.vault.as_ref().is_some_and(|vault| vault.is_here()) {
            for name in left {
                self.destroy(name.strip_prefix(GONE).unwrap_or(&name)).await?;
            }
        }
        Ok(())
    }
}

/// The newest version, where it is this connection's or the operator's; else the one that the row names.
async fn applicable(vault: &Vault, reference: &Reference, connection: &str) -> Result<Version, Failure> {
    let mut found = vault.read(&reference.path, None).await?;
    let is_ours = |found: &Version| found.data.get(MARK).is_none_or(|mark| mark == connection);
    if found.version < reference.version || !is_ours(&found) {
        found = vault.read(&reference.path, Some(reference.version)).await?;
        if !is_ours(&found) {
            return Err(Failure::Missing);
        }
    }
    found.data.remove(MARK);
    Ok(found)
}

/// A failure of Vault as callers are told it.
pub(super) fn away(failure: &Failure, message: &'static str) -> Error {
    let error = Error::unavailable(message).coded("vault_away").because(format!("Vault: {failure}"));
    match failure {
        Failure::Away(_) | Failure::Sealed => error.retry_after(1),
        Failure::Broken(_) | Failure::Denied | Failure::Missing | Failure::Refused(..) => error.retry_after(30),
    }
}

fn gone(path: &str) -> String {
    format!("{GONE}{path}")
}

fn coming(path: &str) -> String {
    format!("{COMING}{path}")
}
