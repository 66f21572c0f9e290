//! The rotation of the master key, its file, and its way under Vault's Transit and back.
//!
//! The new key is written beside the old one before anything is sealed under it, and takes its place after the database has
//! committed. Whatever moment the machine stops at, one of the two files opens what is stored.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    DataKey, HASH_KEY_PLACE, META_HASH_KEY, META_KEY_ID, META_WRAPPED_KEY, Sealer, Unwrapped, Vault, connection_place, no_transit,
    outcome_place, seal, signing_key_place, unhex, vault,
};
use crate::{
    config::{self, KEY_BYTES, MasterKeySource},
    error::{Error, Result},
    store::{Reach, Store, connections, idempotency, meta, signing_keys},
};

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What a rotation did.
pub struct Rotated {
    pub connections: usize,
    pub outcomes: usize,
    pub kept: KeyKept,
}

/// Where the new key is.
pub enum KeyKept {
    /// In the key file.
    File,
    /// Where the operator keeps it himself (`SMARTERMCP_MASTER_KEY`): as hex, where it is a new one.
    Given(Option<Zeroizing<String>>),
    /// In the database, wrapped by Transit.
    Transit,
}

const BATCH: i64 = 500;

/// Which key is to be the next.
struct Next {
    key: Key,
    wrapped: Option<String>,
    /// The key file that it goes into.
    file: Option<PathBuf>,
    kept: KeyKept,
}

impl Next {
    async fn in_transit(vault: Option<&Vault>) -> Result<Self> {
        let vault = vault.ok_or_else(|| Error::invalid("VAULT_ADDR is not set: there is no Vault to keep the key"))?;
        let DataKey { key, wrapped } = vault.new_key().await.map_err(|failure| no_transit(&failure))?;
        Ok(Self {
            key,
            wrapped: Some(wrapped),
            file: None,
            kept: KeyKept::Transit,
        })
    }

    fn fresh(source: &MasterKeySource) -> Result<Self> {
        let key: Key = Zeroizing::new(seal::random()?);
        let (file, kept) = match source {
            MasterKeySource::File(path) => (Some(path.clone()), KeyKept::File),
            MasterKeySource::Given(_) => (None, KeyKept::Given(Some(config::hex(key.as_slice())))),
        };
        Ok(Self {
            key,
            wrapped: None,
            file,
            kept,
        })
    }
}

/// Seals everything anew under a fresh key, kept as the one before, in one transaction.
pub async fn rotate_key(source: &MasterKeySource, vault: Option<&Vault>, store: &Store) -> Result<Rotated> {
    let old = Unwrapped::of(vault, store).await?;
    let next = match &old {
        Unwrapped::Key { .. } => Next::in_transit(vault).await?,
        Unwrapped::None { .. } => Next::fresh(source)?,
    };
    replace(source, store, old, next).await
}

/// Seals everything anew under a key that Transit has wrapped, or back under one of the operator's. `None`: it is there already.
pub(super) async fn move_key(source: &MasterKeySource, vault: Option<&Vault>, store: &Store, to_transit: bool) -> Result<Option<Rotated>> {
    let old = Unwrapped::of(vault, store).await?;
    let next = match (&old, to_transit, source) {
        (Unwrapped::Key { .. }, true, _) | (Unwrapped::None { .. }, false, _) => return Ok(None),
        (Unwrapped::None { .. }, true, _) => Next::in_transit(vault).await?,
        (Unwrapped::Key { .. }, false, MasterKeySource::File(_)) => Next::fresh(source)?,
        // The other replicas have it too.
        (Unwrapped::Key { .. }, false, MasterKeySource::Given(key)) => Next {
            key: key.clone(),
            wrapped: None,
            file: None,
            kept: KeyKept::Given(None),
        },
    };
    replace(source, store, old, next).await.map(Some)
}

/// Wraps the database's key by the newest version of Transit's key; the key itself stays. Answers the version that it was wrapped
/// by, and the one that it is.
///
/// # Errors
/// When the key is not in Transit, or Vault does not do it.
pub async fn rewrap(vault: Option<&Vault>, store: &Store) -> Result<(Option<u64>, Option<u64>)> {
    let Unwrapped::Key { wrapped, .. } = Unwrapped::of(vault, store).await? else {
        return Err(Error::invalid(
            "The key of this database is not wrapped by Vault's Transit engine: nothing to rewrap",
        ));
    };
    let Some(vault) = vault else {
        return Err(Error::internal("a wrapped key was opened without a Vault"));
    };
    let anew = vault.rewrap(&wrapped).await.map_err(|failure| no_transit(&failure))?;
    let mut tx = store.write(Reach::Operator).await?;
    meta::lock(&mut tx).await?;
    if meta::get(&mut tx, META_WRAPPED_KEY).await?.as_ref() != Some(&wrapped) {
        return Err(changed());
    }
    meta::set(&mut tx, META_WRAPPED_KEY, &anew).await?;
    tx.commit().await?;
    Ok((vault::wrapped_by(&wrapped), vault::wrapped_by(&anew)))
}

fn changed() -> Error {
    Error::conflict("Another command changed the key meanwhile; nothing was done. Run this one again")
}

async fn replace(source: &MasterKeySource, store: &Store, old: Unwrapped, next: Next) -> Result<Rotated> {
    let new = Sealer::new(&next.key);
    let mut tx = store.write(Reach::Operator).await?;
    meta::lock(&mut tx).await?;
    let Some(hash_key) = meta::get(&mut tx, META_HASH_KEY).await? else {
        return Err(Error::not_found("There is no database with secrets here yet: nothing to rotate"));
    };
    if !old.still_holds(&mut tx, false).await? {
        return Err(changed());
    }
    let old = old.sealer_for(source, &mut tx).await?;
    if let Some(path) = &next.file {
        write_key(&successor(path), &next.key)?;
    }

    let hash_key = old.open(HASH_KEY_PLACE, &unhex(&hash_key)?)?;
    meta::set(&mut tx, META_HASH_KEY, &config::hex(&new.seal(HASH_KEY_PLACE, &hash_key)?)).await?;
    meta::set(&mut tx, META_KEY_ID, &config::hex(&new.id())).await?;
    match &next.wrapped {
        Some(wrapped) => meta::set(&mut tx, META_WRAPPED_KEY, wrapped).await?,
        None => meta::remove(&mut tx, META_WRAPPED_KEY).await?,
    }
    let rows = connections::list_all(&mut tx).await?;
    for row in &rows {
        let place = connection_place(row.tenant_id, &row.backend, &row.id);
        let sealed = new.seal(&place, &old.open(&place, &row.credential)?)?;
        connections::reseal(&mut tx, row.tenant_id, &row.backend, sealed).await?;
    }
    for key in signing_keys::list(&mut tx).await? {
        let place = signing_key_place(&key.id);
        let sealed = new.seal(&place, &old.open(&place, &key.sealed)?)?;
        signing_keys::reseal(&mut tx, &key.id, sealed).await?;
    }
    let (mut outcomes, mut after) = (0, (String::new(), String::new()));
    loop {
        let claims = idempotency::finished_after(&mut tx, (&after.0, &after.1), BATCH).await?;
        let Some(last) = claims.last() else { break };
        after = (last.tenant.clone(), last.key.clone());
        for claim in claims {
            let place = outcome_place(&claim.tenant, &claim.key);
            let sealed = new.seal(&place, &old.open(&place, &claim.outcome.unwrap_or_default())?)?;
            idempotency::reseal(&mut tx, &claim.tenant, &claim.key, sealed).await?;
            outcomes += 1;
        }
    }
    tx.commit().await?;

    if let Some(path) = &next.file {
        settle(path, |candidate| *candidate == next.key)?;
    }
    Ok(Rotated {
        connections: rows.len(),
        outcomes,
        kept: next.kept,
    })
}

/// Where the next key waits until the database has committed.
fn successor(path: &Path) -> PathBuf {
    path.with_extension("key.new")
}

/// The keys that are on disk: the current one, and one that a rotation left waiting.
pub(super) fn candidates(path: &Path) -> Vec<Key> {
    [path.to_owned(), successor(path)]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok().map(Zeroizing::new))
        .filter_map(|text| config::decode_key(&text))
        .collect()
}

/// Puts the key that opens the database into its place, if it waits beside it.
pub(super) fn settle(path: &Path, opens: impl Fn(&Key) -> bool) -> Result<()> {
    let waiting = fs::read_to_string(successor(path))
        .ok()
        .map(Zeroizing::new)
        .and_then(|text| config::decode_key(&text));
    if waiting.is_some_and(|key| opens(&key)) {
        fs::rename(successor(path), path)
            .and_then(|()| sync_folder(path))
            .map_err(|error| Error::unavailable(format!("The key file {} cannot be replaced", path.display())).because(error))?;
    }
    Ok(())
}

/// Writes a key so that it is whole on disk, or not there.
pub(super) fn write_key(path: &Path, key: &Key) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || {
        let part = path.with_extension("key.part");
        let _ = fs::remove_file(&part);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(config::hex(key.as_slice()).as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        sync_folder(path)
    };
    write().map_err(|error: std::io::Error| Error::unavailable(format!("The key file {} cannot be written", path.display())).because(error))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
