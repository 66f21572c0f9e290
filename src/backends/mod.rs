//! The services that we speak to: one folder each, and what they share.
//!
//! Adding a backend touches its folder and three words here: its module, its tools, its kind.

pub mod account;
pub mod botpress;
mod breaker;
pub mod chatwoot;
pub mod client;
mod connection;
pub mod docker;
pub mod docs;
pub mod generate;
mod guard;
pub mod llm;
pub mod metabase;
pub mod n8n;
pub mod odoo;
pub mod prometheus;
mod session;
pub mod supabase;
mod transport;

use std::{any::Any, pin::Pin, sync::Arc};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

pub use self::{
    connection::{Connection, Connections, Settings},
    guard::{Guard, Refused, read_url},
    session::{Note, Notifier, Session},
    transport::Transport,
};
use crate::{
    error::{self, Error, Result},
    tool::{Catalogue, Definition},
};

/// What a tenant has used of its plan, as `usage_get` answers it.
pub fn account_usage(tenant: &crate::auth::KnownTenant, now: i64) -> Value {
    serde_json::to_value(account::Usage::of(tenant, now)).unwrap_or_default()
}

/// Every tool of the gateway.
pub fn tools() -> Vec<Definition> {
    [
        account::tools(),
        botpress::tools(),
        chatwoot::tools(),
        docker::tools(),
        docs::tools(),
        generate::tools(),
        metabase::tools(),
        n8n::tools(),
        odoo::tools(),
        prometheus::tools(),
        supabase::tools(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every kind of backend that a tenant can connect.
pub fn kinds() -> Vec<Kind> {
    vec![
        kind::<docker::Docker>(),
        kind::<metabase::Metabase>(),
        kind::<n8n::N8n>(),
        kind::<odoo::Odoo>(),
        kind::<prometheus::Prometheus>(),
        kind::<supabase::Supabase>(),
    ]
}

/// The gateway's own catalogue.
pub fn catalogue() -> Catalogue {
    Catalogue::new(tools())
}

/// What a tool talks to, opened for one tenant's call.
pub trait Backend: Sized + Send + Sync + 'static {
    /// The kind of connection that it needs; `None` when it needs none.
    const KIND: Option<&'static str>;
    /// Whether it speaks to anything outside the gateway.
    const OUTSIDE: bool = Self::KIND.is_some();

    fn open(session: Session) -> impl Future<Output = Result<Self>> + Send;
}

/// Nothing at all: for tools that only compute.
impl Backend for () {
    const KIND: Option<&'static str> = None;

    async fn open(_: Session) -> Result<Self> {
        Ok(())
    }
}

/// The call itself: for tools that have to tell of what went wrong beside their answer.
impl Backend for Session {
    const KIND: Option<&'static str> = None;

    async fn open(session: Session) -> Result<Self> {
        Ok(session)
    }
}

/// A backend that a tool can do without: `None` when the tenant has not connected it. Any other failure to open it is one.
impl<B: Backend> Backend for Option<B> {
    const KIND: Option<&'static str> = None;
    const OUTSIDE: bool = B::OUTSIDE;

    async fn open(session: Session) -> Result<Self> {
        match B::open(session).await {
            Ok(backend) => Ok(Some(backend)),
            Err(error) if error.kind() == error::Kind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A backend whose failure to open is the tool's to tell: it has others, and answers in part.
impl<B: Backend> Backend for Result<B> {
    const KIND: Option<&'static str> = None;
    const OUTSIDE: bool = B::OUTSIDE;

    async fn open(session: Session) -> Result<Self> {
        Ok(B::open(session).await)
    }
}

/// Two backends, opened at the same time.
impl<A: Backend, B: Backend> Backend for (A, B) {
    /// The one that is needed. Where both are, a failure cannot be laid to either, so that none is named.
    const KIND: Option<&'static str> = match (A::KIND, B::KIND) {
        (Some(kind), None) | (None, Some(kind)) => Some(kind),
        (None, None) | (Some(_), Some(_)) => None,
    };
    const OUTSIDE: bool = A::OUTSIDE || B::OUTSIDE;

    async fn open(session: Session) -> Result<Self> {
        tokio::try_join!(A::open(session.clone()), B::open(session))
    }
}

/// A backend that a tenant connects, with a credential of its own form.
pub trait Connected: Backend {
    const NAME: &'static str;
    type Credential: DeserializeOwned + JsonSchema + Send + Sync;

    /// Looks at a credential of the right form, before it is stored: what in it can be seen to be wrong, by field.
    fn check(_: &Self::Credential) -> Result<()> {
        Ok(())
    }

    /// How an address and a credential of this kind are reached: over HTTP, with the public roots, unless it says otherwise.
    ///
    /// # Errors
    /// When the address or a certificate is of no form that this kind takes.
    fn transport(url: &Url, _: &Self::Credential) -> Result<Transport> {
        Ok(Transport::to(url.clone()))
    }

    /// Asks the backend whether address and credential work, without changing anything.
    fn test(&self) -> impl Future<Output = Result<Tested>> + Send;
}

/// What a test of a connection found. A test that fails says in its error which part is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tested {
    /// Always true: a failed test is an error that names what is wrong.
    pub ok: bool,
    /// The backend's version, where it tells.
    pub version: Option<String>,
    /// What was found, in a sentence.
    pub detail: String,
}

type Testing = Pin<Box<dyn Future<Output = Result<Tested>> + Send>>;
pub(crate) type Credential = Arc<dyn Any + Send + Sync>;

/// A kind of backend, with the type of its credential erased.
pub struct Kind {
    pub name: &'static str,
    pub credential_schema: Value,
    read: fn(&[u8]) -> Result<Credential>,
    transport: fn(&Url, &Credential) -> Result<Transport>,
    test: fn(Session) -> Testing,
}

impl Kind {
    /// Reads a credential in this kind's form.
    ///
    /// # Errors
    /// Names the field; never quotes a value.
    pub fn read_credential(&self, json: &[u8]) -> Result<Credential> {
        (self.read)(json)
    }

    /// How an address of this kind is reached with a credential that it has read.
    ///
    /// # Errors
    /// When the kind does not take the address or a certificate.
    pub fn transport(&self, url: &Url, credential: &Credential) -> Result<Transport> {
        (self.transport)(url, credential)
    }

    pub async fn test(&self, session: Session) -> Result<Tested> {
        (self.test)(session).await
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("name", &self.name).finish_non_exhaustive()
    }
}

fn kind<B: Connected>() -> Kind {
    Kind {
        name: B::NAME,
        credential_schema: crate::tool::schema_of::<B::Credential>(),
        read: |json| {
            let credential: B::Credential = serde_json::from_slice(json).map_err(|error| {
                // serde quotes the wrong value in some messages, and that value may be the secret: only its place is told.
                let unknown = error.to_string();
                let field = unknown
                    .split('`')
                    .nth(1)
                    .filter(|_| unknown.starts_with("missing field") || unknown.starts_with("unknown field"));
                match field {
                    Some(field) if unknown.starts_with("missing") => Error::invalid(format!("credential.{field}: is missing")),
                    Some(field) => Error::invalid(format!("credential.{field}: is no field of {} credentials", B::NAME)),
                    None => Error::invalid(format!(
                        "credential: is not in the form that {} takes; GET /api/v1/connections shows it",
                        B::NAME
                    )),
                }
            })?;
            B::check(&credential)?;
            Ok(Arc::new(credential))
        },
        transport: |url, credential| {
            let credential: &B::Credential = credential
                .downcast_ref()
                .ok_or_else(|| Error::internal(format!("the credential is not one of {}", B::NAME)))?;
            B::transport(url, credential)
        },
        test: |session| {
            Box::pin(async move {
                let backend = B::open(session).await?;
                backend.test().await
            })
        },
    }
}
