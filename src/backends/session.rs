//! A session: one tenant's call in progress, and what a backend may know of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use super::Connection;
use crate::{
    auth::{Caller, KnownTenant},
    error::{Error, Kind, Result},
    state::State,
    telemetry::Trace,
    tool::{Category, Definition, page},
};

/// One tenant's call in progress.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) state: Arc<State>,
    pub(crate) caller: Caller,
    tenant: Option<Arc<KnownTenant>>,
    tool: Arc<Definition>,
    pub deadline: Instant,
    pub trace: Option<Trace>,
    pub request_id: Arc<str>,
    pub notifier: Notifier,
    reached: Arc<AtomicBool>,
}

impl Session {
    pub(crate) fn new(
        state: Arc<State>,
        caller: Caller,
        tool: Arc<Definition>,
        trace: Option<Trace>,
        request_id: Arc<str>,
        notifier: Notifier,
    ) -> Self {
        Self {
            state,
            tenant: caller.tenant().cloned(),
            caller,
            deadline: Instant::now() + tool.time_limit,
            tool,
            trace,
            request_id,
            notifier,
            reached: Arc::default(),
        }
    }

    /// The same call for another tenant: the operator testing a tenant's connection.
    pub(crate) fn on_behalf_of(mut self, tenant: Arc<KnownTenant>) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The tenant that the call is for.
    ///
    /// # Errors
    /// When the operator has not said which.
    pub fn tenant(&self) -> Result<&Arc<KnownTenant>> {
        self.tenant
            .as_ref()
            .ok_or_else(|| Error::invalid("tenant_id: say which tenant, by the header X-Tenant-ID or the parameter tenant_id"))
    }

    /// The tenant's connection to a backend.
    ///
    /// # Errors
    /// [`Kind::NotConnected`], or [`Kind::Unavailable`] where the operator has switched it off: a tool may have backends that it
    /// does without, at which nobody has looked before. Managing a connection is never switched off with it.
    pub async fn connection(&self, backend: &'static str) -> Result<Arc<Connection>> {
        let tenant = self.tenant()?;
        if self.tool.category != Category::Account {
            let switches = &self.state.limits.switches;
            switches.check(Some(tenant.tenant.id), &self.tool, Some(backend))?;
        }
        let found = self
            .state
            .connections
            .find(&self.state.store, &self.state.secrets, tenant.tenant.id, backend)
            .await?;
        found.ok_or_else(|| {
            Error::new(
                Kind::NotConnected,
                format!("This tenant has not connected {backend}. An administrator connects it with PUT /api/v1/connections/{backend}, or the tool connections_set."),
            )
        })
    }

    /// Notes that the backend may have acted: from here on, the outcome of a write is what came of it.
    pub fn reach(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    /// Notes for `/health` how a backend did that the tool can do without; `None` is well. For the one it needs, dispatch does it.
    pub fn note_health(&self, backend: &'static str, failure: Option<Kind>) {
        self.state.health.called(backend, failure);
    }

    /// Takes the note back: nothing was sent after all.
    pub fn unreach(&self) {
        self.reached.store(false, Ordering::Relaxed);
    }

    pub fn has_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// A cursor to what comes after a position of this tool's list.
    pub fn seal_cursor(&self, position: &str) -> String {
        page::seal(&self.state.secrets, &self.caller.audit_tenant(), self.tool.name, position)
    }

    /// # Errors
    /// When it is no cursor of this tenant and tool.
    pub fn open_cursor(&self, cursor: Option<&str>) -> Result<Option<String>> {
        cursor
            .map(|cursor| page::open(&self.state.secrets, &self.caller.audit_tenant(), self.tool.name, cursor))
            .transpose()
    }
}

/// What a tool may say while it works.
#[derive(Debug)]
pub enum Note {
    Progress {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        level: &'static str,
        data: Value,
    },
    /// From here on the answer comes in lines.
    Opened,
    /// One line of it, counted from 1.
    Line {
        number: u64,
        text: String,
    },
}

/// Where a tool says how far it is. Nobody listens unless the client asked.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<mpsc::UnboundedSender<Note>>);

impl Notifier {
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// How far the work is, of how much; each call with more than the last.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: impl Into<String>) {
        self.send(|| Note::Progress {
            progress,
            total,
            message: Some(message.into()),
        });
    }

    /// Says that the answer will come line by line: REST begins its stream of events.
    pub fn open(&self) {
        self.send(|| Note::Opened);
    }

    /// A line of an answer that was opened. Whoever sends them bounds how many and how long.
    pub fn line(&self, number: u64, text: &str) {
        self.send(|| Note::Line {
            number,
            text: text.to_owned(),
        });
    }

    pub fn log(&self, level: &'static str, data: Value) {
        self.send(|| Note::Log { level, data });
    }

    fn send(&self, note: impl FnOnce() -> Note) {
        if let Some(sender) = &self.0 {
            // The client has gone: nobody is left to tell.
            let _ = sender.send(note());
        }
    }
}
