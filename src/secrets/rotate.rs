//! The rotation of the master key, and its file.
//!
//! The new key is written beside the old one before anything is sealed under it, and takes its place after the database has
//! committed. Whatever moment the machine stops at, one of the two files opens what is stored.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{HASH_KEY_PLACE, META_HASH_KEY, META_KEY_ID, Sealer, connection_place, outcome_place, seal, sealer_for, unhex};
use crate::{
    config::{self, KEY_BYTES, MasterKeySource},
    error::{Error, Result},
    store::{Reach, Store, connections, idempotency, meta},
};

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What a rotation did.
pub struct Rotated {
    pub connections: usize,
    pub outcomes: usize,
    /// The new key as hex, where the operator keeps it himself (`SMARTERMCP_MASTER_KEY`).
    pub key: Option<Zeroizing<String>>,
}

const BATCH: i64 = 500;

/// Seals everything anew under a fresh key, in one transaction.
pub async fn rotate_key(source: &MasterKeySource, store: &Store) -> Result<Rotated> {
    let key: Key = Zeroizing::new(seal::random()?);
    let new = Sealer::new(&key);
    let mut tx = store.write(Reach::Operator).await?;
    meta::lock(&mut tx).await?;
    let Some(hash_key) = meta::get(&mut tx, META_HASH_KEY).await? else {
        return Err(Error::not_found("There is no database with secrets here yet: nothing to rotate"));
    };
    let old = sealer_for(source, &mut tx).await?;
    if let MasterKeySource::File(path) = source {
        write_key(&successor(path), &key)?;
    }

    let hash_key = old.open(HASH_KEY_PLACE, &unhex(&hash_key)?)?;
    meta::set(&mut tx, META_HASH_KEY, &config::hex(&new.seal(HASH_KEY_PLACE, &hash_key)?)).await?;
    meta::set(&mut tx, META_KEY_ID, &config::hex(&new.id())).await?;
    let rows = connections::list_all(&mut tx).await?;
    for row in &rows {
        let place = connection_place(row.tenant_id, &row.backend, &row.id);
        let sealed = new.seal(&place, &old.open(&place, &row.credential)?)?;
        connections::reseal(&mut tx, row.tenant_id, &row.backend, sealed).await?;
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

    let key = match source {
        MasterKeySource::File(path) => {
            settle(path, |candidate| *candidate == key)?;
            None
        }
        MasterKeySource::Given(_) => Some(config::hex(key.as_slice())),
    };
    Ok(Rotated {
        connections: rows.len(),
        outcomes,
        key,
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
