//! Documentation: what a service is and how it is called, its API's document, and the tables of a database.
//!
//! What is said of the backends themselves is kept in the repository (`docs/backends/`, a page for each) and part of the binary.
//! Documents and tables are asked of the tenant's own backends where they serve them (`live`), and kept copies stand in where they
//! do not (`kept`); every answer says which. A backend is opened by name when the call says which, so that its kill switch, its
//! breaker and its health note are those of any other call to it.

mod apis;
mod document;
mod pages;
mod schemas;
mod services;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::apis::openapi_of;
use crate::{
    backends::{Backend, Session},
    error::{Error, Result},
    tool::Definition,
};

pub(super) fn tools() -> Vec<Definition> {
    pages::read();
    [services::tools(), apis::tools(), schemas::tools()].into_iter().flatten().collect()
}

/// The tenant's documentation, for one call. Nothing is opened before the call has said what it is about.
pub struct Docs {
    session: Session,
}

impl Backend for Docs {
    const KIND: Option<&'static str> = None;
    const OUTSIDE: bool = true;

    async fn open(session: Session) -> Result<Self> {
        Ok(Self { session })
    }
}

/// Where what is told comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// The backend itself, asked now or in the last minutes.
    Live,
    /// A page or copy that the gateway keeps.
    Kept,
    /// What the tenant registered, and its containers' labels.
    Registry,
}

/// Notes for `/health` how a backend did that this call asked.
fn noted<T>(session: &Session, backend: &'static str, outcome: Result<T>) -> Result<T> {
    session.note_health(backend, outcome.as_ref().err().map(Error::kind));
    outcome
}
