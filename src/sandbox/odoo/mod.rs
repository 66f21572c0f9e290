//! A small Odoo that runs inside this process: contacts and CRM of the shop, for `smartermcp demo` and as the vendor that tests play
//! against.
//!
//! It speaks JSON-2 (`/json/2/{model}/{method}`) as Odoo 19 does and JSON-RPC (`/jsonrpc`) as all do, and answers as a real 19.0 was
//! seen to answer, oddities included. Models have their fields by release; domains, record rules of companies, translated names and
//! archived records work like the real ones. What it cannot do, a real one can: it knows the models and methods of a CRM's clients
//! alone, and its probabilities are fixed by stage.

mod api;
mod domain;
mod methods;
mod models;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use http::HeaderMap;
use serde_json::{Map, Value};

pub use crate::sandbox::faults::Fault;
use crate::sandbox::faults::Faults;

/// The database's name.
pub const DATABASE: &str = "luna";
/// The login of the user to whom the first key belongs.
pub const LOGIN: &str = "agente@panaderialuna.cl";
/// The shop's company.
pub const COMPANY: u64 = 1;
/// The largest body of a request.
const BODY_MAX: usize = 4 * 1024 * 1024;
/// How many calls are remembered for tests.
const ASKED_KEPT: usize = 1000;

/// Which Odoo is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 17.0: JSON-RPC alone; contacts have a `mobile`, stages one team.
    Seventeen,
    /// 19.0: JSON-2 too; no `mobile`, stages with several teams.
    Nineteen,
}

impl Release {
    const fn major(self) -> u64 {
        match self {
            Release::Seventeen => 17,
            Release::Nineteen => 19,
        }
    }
}

/// An Odoo in memory. Clones share everything.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    release: Release,
    faults: Faults,
    state: Mutex<State>,
}

type Record = Map<String, Value>;

#[derive(Debug)]
struct State {
    schema: models::Schema,
    users: Vec<User>,
    tables: BTreeMap<&'static str, BTreeMap<u64, Record>>,
    asked: Vec<Asked>,
    writes: usize,
    after_next_write: Option<Fault>,
}

#[derive(Clone, Debug)]
struct User {
    id: u64,
    login: String,
    api_key: String,
    companies: Vec<u64>,
    /// What models it may change nothing of.
    read_only: bool,
}

/// A call that was made of a model's method.
#[derive(Clone, Debug)]
pub struct Asked {
    pub model: String,
    pub method: String,
    pub ids: Vec<u64>,
    pub arguments: Value,
    pub context: Value,
    /// The number of the user who made it.
    pub user: u64,
}

impl Sandbox {
    /// The shop's Odoo, whose user [`LOGIN`] has this key and works for the shop's company.
    pub fn new(release: Release, api_key: &str) -> Self {
        let gone = Vec::new();
        let mut state = State {
            schema: models::Schema { release, gone },
            users: Vec::new(),
            tables: BTreeMap::new(),
            asked: Vec::new(),
            writes: 0,
            after_next_write: None,
        };
        models::furnish(&mut state);
        let sandbox = Self(Arc::new(Inner {
            release,
            faults: Faults::default(),
            state: Mutex::new(state),
        }));
        sandbox.add_user(LOGIN, api_key, &[COMPANY]);
        sandbox
    }

    /// Everything below the base URL.
    pub fn router(&self) -> Router {
        let mut whole = Router::new().route("/jsonrpc", post(api::json_rpc));
        if self.0.release == Release::Nineteen {
            whole = whole
                .route("/web/version", get(api::version))
                .route("/json/2/{model}/{method}", post(api::json_2))
                .route("/doc-bearer/{document}", get(api::document));
        }
        let whole = whole
            .fallback(api::no_page)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(self.clone());
        self.0.faults.before(whole)
    }

    /// One more company in the database; answers its number. As in a real one, its own contact is there too, and has no company.
    pub fn add_company(&self, name: &str) -> u64 {
        let partner = self.add(
            "res.partner",
            &serde_json::json!({ "name": name, "is_company": true, "company_id": false }),
        );
        self.add("res.company", &serde_json::json!({ "name": name, "partner_id": partner }))
    }

    /// One more user, with a key, who works for these companies; answers its number.
    pub fn add_user(&self, login: &str, api_key: &str, companies: &[u64]) -> u64 {
        let values = serde_json::json!({ "name": login, "partner_share": false, "company_id": false });
        self.add("res.partner", &values);
        let mut state = self.state();
        let id = state.users.last().map_or(5, |user| user.id + 1);
        state.users.push(User {
            id,
            login: login.to_owned(),
            api_key: api_key.to_owned(),
            companies: companies.to_vec(),
            read_only: false,
        });
        id
    }

    /// Lets users change nothing from now on.
    pub fn set_read_only(&self) {
        self.state().users.iter_mut().for_each(|user| user.read_only = true);
    }

    /// Gives every user another number, as a database that was restored from elsewhere has it.
    pub fn renumber_users(&self) {
        self.state().users.iter_mut().for_each(|user| user.id += 100);
    }

    /// Takes every user's key away.
    pub fn revoke_keys(&self) {
        self.state()
            .users
            .iter_mut()
            .for_each(|user| "revoked".clone_into(&mut user.api_key));
    }

    /// Takes a field away from every model, as an update may.
    pub fn drop_field(&self, field: &str) {
        self.state().schema.gone.push(field.to_owned());
    }

    /// Lets something go wrong right after the next thing that is written.
    pub fn after_next_write(&self, fault: Fault) {
        self.state().after_next_write = Some(fault);
    }

    /// Puts a record there, past all checks; answers its number, which `id` may say.
    ///
    /// # Panics
    /// When there is no such model.
    pub fn add(&self, model: &str, values: &Value) -> u64 {
        self.state().add(model, values)
    }

    /// A record as it is stored.
    pub fn record(&self, model: &str, id: u64) -> Option<Value> {
        let state = self.state();
        state.tables.get(model)?.get(&id).cloned().map(Value::Object)
    }

    /// How many records of a model there are.
    pub fn count(&self, model: &str) -> usize {
        self.state().tables.get(model).map_or(0, BTreeMap::len)
    }

    /// How many calls created or changed something.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// The calls of models' methods since the start, the last 1000.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Lets something go wrong, from the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.0.faults.set(fault);
    }

    /// The headers of the last request of any kind, one that met a fault included.
    pub fn last_request_headers(&self) -> HeaderMap {
        self.0.faults.last_request_headers()
    }

    /// How many requests came, those that met a fault included.
    pub fn requests(&self) -> usize {
        self.0.faults.requests()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an Odoo fails: the name of a Python exception, and what it says.
#[derive(Debug)]
struct Failure {
    name: &'static str,
    message: String,
}

impl Failure {
    fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
        }
    }

    fn value(message: impl Into<String>) -> Self {
        Self::new("builtins.ValueError", message)
    }

    fn access(message: impl Into<String>) -> Self {
        Self::new("odoo.exceptions.AccessError", message)
    }
}
