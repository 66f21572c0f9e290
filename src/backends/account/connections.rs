//! Connections: where a tenant's backends are, and the credentials to them, which go in and never come out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Account, moment};
use crate::{
    auth::Scope,
    backends::{Settings, Tested, read_url},
    error::{Error, Kind, Result},
    id::{self, TenantId},
    secrets::{self, Secrets},
    store::{self, changes},
    tool::{Category, Definition, Route, Tool, output::Done, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        tool::<SetConnection>(),
        tool::<GetConnection>(),
        tool::<ListConnections>(),
        tool::<RemoveConnection>(),
        tool::<TestConnection>(),
    ]
}

/// The longest credential that is stored.
const CREDENTIAL_MAX: usize = 64 * 1024;

/// A connection, without its credential.
#[derive(Serialize, JsonSchema)]
struct Shown {
    backend: String,
    tenant_id: TenantId,
    url: String,
    settings: Settings,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    updated_at: i64,
}

impl Shown {
    fn new(row: store::connections::Row) -> Result<Self> {
        Ok(Self {
            backend: row.backend,
            tenant_id: row.tenant_id,
            url: row.url,
            settings: Settings::stored(&row.settings)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Connect a tenant to one of its backends: the address and the credential. Replaces the connection that may be there.
///
/// Nothing is sent to the backend; `connections_test` does that. `connections_list` shows what each backend's credential holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetConnection {
    /// Which backend, e.g. `n8n`.
    backend: String,
    /// Its address, e.g. `https://n8n.panaderia-luna.cl`.
    #[schemars(length(min = 1, max = 2000))]
    url: String,
    /// The secret part, in the form of the backend, e.g. `{"api_key": "…"}` for n8n. It is sealed and never shown again.
    #[schemars(extend("writeOnly" = true))]
    credential: Map<String, Value>,
    /// What the tenant calls things of this backend, e.g. `{"aliases": {"main": "bot_abc123"}}`; as they were unless said.
    settings: Option<Settings>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for SetConnection {
    const NAME: &'static str = "connections_set";
    const TITLE: &'static str = "Connect a backend";
    const ROUTE: Route = Route::put("/connections/{backend}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let state = account.state();
        let tenant = account.tenant(self.tenant_id.as_deref()).await?;
        let kind = state.connections.kind(&self.backend)?;
        let credential = Zeroizing::new(serde_json::to_vec(&self.credential).map_err(Error::internal)?);
        if credential.len() > CREDENTIAL_MAX {
            return Err(Error::invalid(format!("credential: must be at most {CREDENTIAL_MAX} bytes")));
        }
        let url = read_url("url", &self.url)?;
        let transport = kind.transport(&url, &kind.read_credential(&credential)?)?;
        let guard = transport.narrowed(state.connections.guard(&tenant.tenant));
        let url = if transport.is_local() {
            account.need_operator("connect a backend by a Unix socket, which may be root on this machine")?;
            url
        } else {
            guard.check_url(&transport.url).await?;
            transport.url.clone()
        };
        state.connections.client(&transport, &guard)?;
        if let Some(settings) = &self.settings {
            settings.check()?;
        }

        let (tenant_id, now) = (tenant.tenant.id, account.now());
        let id = id::ordered().to_string();
        let path = secrets::path(&tenant.tenant.slug, kind.name);
        if state.secrets.in_vault().is_some() {
            let mut tx = account.write().await?;
            Secrets::announce(&mut tx, &path, &id).await?;
            tx.commit().await?;
        }
        // Before the row, which names it: what is never named is nobody's.
        let kept = state.secrets.keep(&path, &id, &credential).await?;
        let mut tx = account.write().await?;
        if state.secrets.in_vault().is_some() {
            Secrets::arrive(&mut tx, &path, &id).await?;
        }
        let before = store::connections::find(&mut tx, tenant_id, kind.name).await?;
        if let (Some(row), None) = (&before, state.secrets.in_vault()) {
            // This gateway seals, and the one before it did not: whichever has a Vault again destroys what is there.
            state.secrets.let_go(&mut tx, row).await?;
        }
        // Who sets a new credential says nothing of aliases, and keeps them.
        let settings = match (self.settings, &before) {
            (Some(settings), _) => settings,
            (None, Some(row)) => Settings::stored(&row.settings)?,
            (None, None) => Settings::default(),
        };
        let created_at = before.map_or(now, |row| row.created_at);
        let place = secrets::connection_place(tenant_id, kind.name, &id);
        let row = store::connections::Row {
            tenant_id,
            backend: kind.name.to_owned(),
            credential: state.secrets.seal(&mut tx, &place, &kept).await?,
            id,
            url: url.as_str().trim_end_matches('/').to_owned(),
            settings: serde_json::to_string(&settings).map_err(Error::internal)?,
            created_at,
            updated_at: now,
        };
        store::connections::put(&mut tx, &row).await?;
        account
            .commit(tx, changes::Kind::Connection, format!("{tenant_id}/{}", kind.name))
            .await?;
        Shown::new(row)
    }
}

/// Show a connection, without its credential.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetConnection {
    /// Which backend, e.g. `n8n`.
    backend: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for GetConnection {
    const NAME: &'static str = "connections_get";
    const TITLE: &'static str = "Show a connection";
    const ROUTE: Route = Route::get("/connections/{backend}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?;
        let kind = account.state().connections.kind(&self.backend)?;
        let mut tx = account.read().await?;
        match store::connections::find(&mut tx, tenant.tenant.id, kind.name).await? {
            Some(row) => Shown::new(row),
            None => Err(none(kind.name)),
        }
    }
}

/// List a tenant's connections, and what each backend's credential holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListConnections {
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

/// A tenant's connections; there are no more than there are backends.
#[derive(Serialize, JsonSchema)]
struct Connections {
    connections: Vec<Shown>,
    /// Every backend that can be connected.
    backends: Vec<Connectable>,
}

/// A backend that can be connected.
#[derive(Serialize, JsonSchema)]
struct Connectable {
    backend: &'static str,
    connected: bool,
    /// JSON Schema of its credential, to draw a form from.
    credential_schema: Value,
}

impl Tool for ListConnections {
    const NAME: &'static str = "connections_list";
    const TITLE: &'static str = "List connections";
    const ROUTE: Route = Route::get("/connections");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Connections;

    async fn call(self, account: &Account) -> Result<Connections> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?;
        let mut tx = account.read().await?;
        let rows = store::connections::list(&mut tx, tenant.tenant.id).await?;
        let backends = account.state().connections.kinds().iter().map(|kind| Connectable {
            backend: kind.name,
            connected: rows.iter().any(|row| row.backend == kind.name),
            credential_schema: kind.credential_schema.clone(),
        });
        Ok(Connections {
            backends: backends.collect(),
            connections: rows.into_iter().map(Shown::new).collect::<Result<_>>()?,
        })
    }
}

/// Remove a connection and its credential.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveConnection {
    /// Which backend, e.g. `n8n`.
    backend: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for RemoveConnection {
    const NAME: &'static str = "connections_remove";
    const TITLE: &'static str = "Remove a connection";
    const ROUTE: Route = Route::delete("/connections/{backend}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let kind = account.state().connections.kind(&self.backend)?;
        let mut tx = account.write().await?;
        let Some(row) = store::connections::find(&mut tx, tenant, kind.name).await? else {
            return Err(none(kind.name));
        };
        let gone = account.state().secrets.let_go(&mut tx, &row).await?;
        store::connections::remove(&mut tx, tenant, kind.name).await?;
        account
            .commit(tx, changes::Kind::Connection, format!("{tenant}/{}", kind.name))
            .await?;
        account.destroy(gone).await;
        Ok(Done::YES)
    }
}

/// Ask a connected backend whether address and credential work. Changes nothing there.
///
/// When it does not work, the error says which part is wrong: address, certificate, credential or a permission.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestConnection {
    /// Which backend, e.g. `n8n`.
    backend: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for TestConnection {
    const NAME: &'static str = "connections_test";
    const TITLE: &'static str = "Test a connection";
    const ROUTE: Route = Route::post("/connections/{backend}/test").reads();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Tested;

    async fn call(self, account: &Account) -> Result<Tested> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?;
        let kind = account.state().connections.kind(&self.backend)?;
        kind.test(account.session.clone().on_behalf_of(tenant))
            .await
            .map_err(|error| explained(kind.name, error))
    }
}

const OURS: &str = "it wants a client certificate that it knows; set one in the credential";

/// A failed connection attempt in words: the caller set the address, and may know what is wrong with it.
fn explained(backend: &str, error: Error) -> Error {
    if error.kind() != Kind::BackendDown {
        return error;
    }
    let cause = error.cause().to_ascii_lowercase();
    let part = [
        // What it said to ours, before what we said to its own.
        ("fatal alert: certificaterequired", OURS),
        ("fatal alert: badcertificate", OURS),
        ("fatal alert: unknownca", OURS),
        ("certificate", "its TLS certificate is not accepted"),
        ("tls", "the TLS handshake failed; is the port an https one?"),
        ("corrupt message", "the TLS handshake failed; is the port an https one?"),
        ("handshake", "the TLS handshake failed; is the port an https one?"),
        ("refused", "the address refuses connections; is the port right, and is it running?"),
        ("dns", "its name does not resolve"),
        ("lookup", "its name does not resolve"),
        ("timed out", "the address does not answer"),
        ("deadline", "the address does not answer"),
    ]
    .into_iter()
    .find_map(|(word, part)| cause.contains(word).then_some(part));
    match part {
        Some(part) => Error::new(Kind::BackendDown, format!("'{backend}' cannot be reached: {part}")).because(cause),
        None => error,
    }
}

fn none(backend: &str) -> Error {
    Error::not_found(format!("This tenant has not connected {backend}")).coded("not_connected")
}
