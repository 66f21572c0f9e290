//! Kill switches: what the operator has turned off, kept in memory and looked at on every call.

use arc_swap::ArcSwap;

use crate::{
    error::{Error, Kind, Result},
    id::TenantId,
    store::{Reach, Store, switches},
    tool::Definition,
};

#[derive(Debug, Default)]
pub struct Switches {
    off: ArcSwap<Vec<switches::Switch>>,
    /// Held from reading to storing: of two reloads, the later read is stored later.
    reloading: tokio::sync::Mutex<()>,
}

impl Switches {
    pub async fn reload(&self, store: &Store) -> Result<()> {
        let _reloading = self.reloading.lock().await;
        let mut tx = store.read(Reach::Operator).await?;
        self.off.store(std::sync::Arc::new(switches::list_all(&mut tx).await?));
        Ok(())
    }

    /// Whether a tool may be called, over a backend where one is named.
    ///
    /// # Errors
    /// [`Kind::Unavailable`], code `switched_off`, with the operator's reason.
    pub fn check(&self, tenant: Option<TenantId>, tool: &Definition, backend: Option<&str>) -> Result<()> {
        let switches = self.off.load();
        let hit = switches.iter().find(|switch| {
            switch.tenant_id.is_none_or(|id| Some(id) == tenant)
                && switch.backend.as_deref().is_none_or(|named| Some(named) == backend)
                && switch.tool.as_deref().is_none_or(|name| name == tool.name)
        });
        match hit {
            None => Ok(()),
            Some(switch) => {
                // A tool of several backends goes on without the one that is off: that is then named.
                let what = switch.tool.as_deref().or(switch.backend.as_deref()).unwrap_or(tool.name);
                Err(Error::new(
                    Kind::Unavailable,
                    format!("The operator has switched '{what}' off: {}", switch.reason),
                )
                .coded("switched_off")
                .retry_after(60))
            }
        }
    }
}
