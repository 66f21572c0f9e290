//! The gateway itself as a backend: tenants, tokens, connections, kill switches, usage and audit, as tools like all others.
//!
//! On a token of the operator, `admin:tenants` manages every tenant; on a token of a tenant, that tenant alone.

mod applications;
mod audit;
mod connections;
mod kpis;
mod members;
mod services;
mod switches;
mod tenants;
pub mod tokens;
mod usage;

pub use self::usage::Usage;

use std::sync::Arc;

use serde::Serialize;

use super::{Backend, Session};
use crate::{
    auth::{self, KnownTenant},
    clock,
    error::{Error, Kind, Result},
    freshness,
    id::TenantId,
    state::State,
    store::{self, Reach, Tx, changes},
    tool::Definition,
};

pub(super) fn tools() -> Vec<Definition> {
    [
        tenants::tools(),
        tokens::tools(),
        members::tools(),
        applications::tools(),
        connections::tools(),
        services::tools(),
        kpis::tools(),
        switches::tools(),
        usage::tools(),
        audit::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The gateway's own state, as far as this caller may manage it.
pub struct Account {
    session: Session,
}

impl Backend for Account {
    const KIND: Option<&'static str> = None;

    async fn open(session: Session) -> Result<Self> {
        Ok(Self { session })
    }
}

impl Account {
    fn state(&self) -> &Arc<State> {
        &self.session.state
    }

    fn now(&self) -> i64 {
        self.state().clock.millis()
    }

    /// The tenant that a call is about: the parameter, else the header, else the caller's own.
    async fn tenant(&self, named: Option<&str>) -> Result<Arc<KnownTenant>> {
        match named {
            None => self.session.tenant().cloned(),
            Some(name) if self.session.caller.is_operator() => auth::named_tenant(self.state(), name).await,
            Some(name) => {
                let own = self.session.tenant()?;
                if own.tenant.slug == name || name.parse() == Ok(own.tenant.id) {
                    Ok(Arc::clone(own))
                } else {
                    Err(auth::no_tenant(name))
                }
            }
        }
    }

    /// Whose rows a look-up by id may find: the caller's tenant's; everybody's for the operator who has named none.
    fn owner(&self) -> Option<TenantId> {
        self.session.caller.tenant_id()
    }

    fn need_operator(&self, what: &str) -> Result<()> {
        if self.session.caller.is_operator() {
            Ok(())
        } else {
            Err(Error::new(Kind::Forbidden, format!("Only the operator may {what}")).coded("operator_only"))
        }
    }

    fn made_by(&self) -> String {
        self.session.caller.audit_name()
    }

    /// What the database itself lets this caller touch: his tenant's rows, or the operator's all.
    fn reach(&self) -> Result<Reach> {
        if self.session.caller.is_operator() {
            Ok(Reach::Operator)
        } else {
            Ok(Reach::Tenant(self.session.tenant()?.tenant.id))
        }
    }

    async fn read(&self) -> Result<Tx> {
        self.state().store.read(self.reach()?).await
    }

    /// One at a time over all replicas, so that what is read here is still so when it is written.
    async fn write(&self) -> Result<Tx> {
        let mut tx = self.state().store.write(self.reach()?).await?;
        store::meta::lock(&mut tx).await?;
        Ok(tx)
    }

    /// Destroys what Vault has of connections that have gone. What cannot be destroyed now is, by a job, when Vault is back.
    async fn destroy(&self, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            if let Err(error) = self.state().secrets.destroy(&path).await {
                tracing::warn!(source = error.cause(), "{}", error.message());
            }
        }
    }

    /// Commits, with a record of what changed, which this process forgets at once and its replicas within a second.
    async fn commit(&self, mut tx: Tx, kind: changes::Kind, subject: String) -> Result<()> {
        let revision = changes::record(&mut tx, kind, &subject, self.now()).await?;
        self.store(tx).await?;
        if self.forget(kind, subject).await {
            self.state().freshness.knows(revision);
        }
        Ok(())
    }

    /// Commits what nobody keeps warm, or what was recorded already.
    async fn store(&self, tx: Tx) -> Result<()> {
        self.session.reach();
        tx.commit().await.map_err(|error| match error.kind() {
            // Its answer may be all that was lost.
            Kind::Unavailable => Error::unavailable(
                "The gateway's database went away while this was being stored; whether it was is not known, so look before you try again",
            )
            .coded("database_away")
            .once()
            .because(error.cause()),
            _ => error,
        })
    }

    /// Forgets what has changed and is stored. What could not be forgotten now is when this process looks for changes.
    async fn forget(&self, kind: changes::Kind, subject: String) -> bool {
        let change = changes::Change { kind: Some(kind), subject };
        let forgotten = freshness::forget(self.state(), &change).await;
        if let Err(error) = &forgotten {
            tracing::warn!(source = error.cause(), "what has changed is forgotten a moment later");
        }
        forgotten.is_ok()
    }
}

/// A moment as results have it: RFC 3339, UTC.
fn moment<S: serde::Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    clock::rfc3339(*millis).serialize(serializer)
}

fn optional_moment<S: serde::Serializer>(millis: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    millis.map(clock::rfc3339).serialize(serializer)
}

/// Cuts a list that was read one longer than the page, and says where the next page begins.
fn page<T>(mut rows: Vec<T>, limit: u32, position: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let limit = limit as usize;
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let next = rows.last().map(position);
    (rows, next)
}
