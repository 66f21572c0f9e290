//! All tenants' credentials from one form to the other, while the gateway runs, and the key of the database with them.
//!
//! Each connection is a transaction of its own, that stores the new form only where the row is as it was read. So the move may stop
//! anywhere and be run again; replicas hear of each row as of any other change. What it moves is in memory alone.

use super::{Kept, MasterKeySource, Rotated, Secrets, connection_place, path, rotate::move_key};
use crate::{
    error::{Error, Kind, Result},
    store::{self, Reach, Store, changes, connections::Row},
};

/// Where credentials can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    Vault,
    Sealed,
}

/// What a move did.
pub struct Moved {
    pub moved: usize,
    pub there_already: usize,
    /// Connections whose credential is in neither place any more: tenant and backend, and why.
    pub left: Vec<(String, String)>,
    /// The key of the database, unless it was there already.
    pub key: Option<Rotated>,
}

/// What came of one connection.
enum Step {
    Moved,
    There,
    /// Somebody replaced or removed it meanwhile.
    Changed,
}

/// Moves every connection's credential, and then the key of the database.
///
/// # Errors
/// When Vault or the database goes away in the middle. What was moved is moved; run it again.
pub async fn move_to(home: Home, source: &MasterKeySource, secrets: &Secrets, store: &Store, now: i64) -> Result<Moved> {
    let mut tx = store.list(Reach::Operator).await?;
    let rows = store::connections::list_all(&mut tx).await?;
    drop(tx);
    let (mut moved, mut there_already, mut left) = (0, 0, Vec::new());
    for row in rows {
        loop {
            match one(home, secrets, store, &row, now).await {
                Ok(Step::Moved) => moved += 1,
                Ok(Step::There) => there_already += 1,
                Ok(Step::Changed) => continue,
                // Of one credential alone; the others can be moved.
                Err(error) if matches!(error.kind(), Kind::NotConnected | Kind::Internal) => {
                    left.push((
                        format!("{}/{}", row.tenant_id, row.backend),
                        format!("{} ({})", error.message(), error.cause()),
                    ));
                }
                Err(error) => {
                    return Err(Error::unavailable(format!(
                        "Stopped after {moved} of the credentials: {} Run it again to move the rest",
                        error.message()
                    ))
                    .because(error.cause()));
                }
            }
            break;
        }
    }
    // Of a move that was stopped before, too.
    secrets.sweep().await?;
    let key = match left.is_empty() {
        true => move_key(source, secrets.in_vault().map(AsRef::as_ref), store, home == Home::Vault).await?,
        false => None,
    };
    Ok(Moved {
        moved,
        there_already,
        left,
        key,
    })
}

async fn one(home: Home, secrets: &Secrets, store: &Store, known: &Row, now: i64) -> Result<Step> {
    let mut tx = store.read(Reach::Operator).await?;
    let row = store::connections::find(&mut tx, known.tenant_id, &known.backend).await?;
    let tenant = store::tenants::find(&mut tx, known.tenant_id).await?;
    drop(tx);
    let (Some(row), Some(tenant)) = (row, tenant) else {
        // Removed meanwhile: there is nothing to move any more.
        return Ok(Step::There);
    };
    let content = match (home, secrets.kept(&row).await?) {
        (Home::Vault, Kept::InVault(_)) | (Home::Sealed, Kept::Here(_)) => return Ok(Step::There),
        (Home::Vault, Kept::Here(json)) => secrets.keep(&path(&tenant.slug, &row.backend), &row.id, &json).await?,
        (Home::Sealed, Kept::InVault(_)) => secrets.credential(&row).await?.json,
    };
    let mut tx = store.write(Reach::Operator).await?;
    store::meta::lock(&mut tx).await?;
    let current = store::connections::find(&mut tx, row.tenant_id, &row.backend).await?;
    if current.is_none_or(|current| current.id != row.id || current.credential != row.credential) {
        tx.undo().await?;
        return Ok(Step::Changed);
    }
    let gone = match home {
        Home::Sealed => secrets.let_go(&mut tx, &row).await?,
        Home::Vault => None,
    };
    let sealed = secrets
        .seal(&mut tx, &connection_place(row.tenant_id, &row.backend, &row.id), &content)
        .await?;
    store::connections::reseal(&mut tx, row.tenant_id, &row.backend, sealed).await?;
    changes::record(
        &mut tx,
        changes::Kind::Connection,
        &format!("{}/{}", row.tenant_id, row.backend),
        now,
    )
    .await?;
    tx.commit().await?;
    if let Some(path) = gone {
        secrets.destroy(&path).await?;
    }
    Ok(Step::Moved)
}
