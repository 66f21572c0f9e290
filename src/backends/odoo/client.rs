//! The client of one tenant's Odoo: which Odoo it is, as whom we work there, the tenant's company, and the test of a connection.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Credential,
    domain::Domain,
    protocol::{self, Call, Failure, Protocol, Version, not_odoo, unsaid},
    row::Row,
};
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{ANSWER_MAX, Client, Request},
    },
    error::{Error, Kind, Result},
};

const DATABASE: HeaderName = HeaderName::from_static("x-odoo-database");
/// How long it is remembered which Odoo it is and as whom we work there.
const REMEMBERED: Duration = Duration::from_hours(1);
/// How long the fields of a model are: an app that is installed may bring some.
const FIELDS_REMEMBERED: Duration = Duration::from_mins(10);

pub(super) const PARTNER: &str = "res.partner";
pub(super) const LEAD: &str = "crm.lead";
pub(super) const STAGE: &str = "crm.stage";
pub(super) const TAG: &str = "res.partner.category";

/// What we ask for of a model, where it has it: `mobile` is gone in 19, ranks come with the app Invoicing, opportunities with CRM.
const WANTED: [(&str, &[&str]); 3] = [
    (
        PARTNER,
        &[
            "name",
            "email",
            "phone",
            "mobile",
            "vat",
            "is_company",
            "parent_id",
            "company_name",
            "category_id",
            "customer_rank",
            "supplier_rank",
            "opportunity_ids",
        ],
    ),
    (
        LEAD,
        &["name", "partner_id", "stage_id", "expected_revenue", "probability", "active"],
    ),
    (STAGE, &["name", "is_won", "team_id", "team_ids"]),
];

/// One tenant's Odoo, for one call.
pub struct Odoo {
    pub(super) http: Client,
    credential: Arc<Credential>,
    /// How many bytes of an answer are taken.
    answer_max: usize,
}

/// Which fields a model has, of those that we want.
#[derive(Debug)]
pub(super) struct Fields(HashSet<String>);

impl Fields {
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.contains(field)
    }

    /// Those of these that there are.
    pub(super) fn of<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().copied().filter(|field| self.has(field)).collect()
    }
}

/// As whom we work.
#[derive(Debug)]
struct User {
    id: u64,
    /// The language in which Odoo tells names, e.g. `es_CL`.
    language: Option<String>,
}

impl Backend for Odoo {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
            answer_max: ANSWER_MAX,
        })
    }
}

impl Connected for Odoo {
    const NAME: &'static str = "odoo";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        if credential.api_key.is_empty() || !credential.api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "credential.api_key: must be visible ASCII characters, without spaces",
            ));
        }
        let taken = |name: &str| (1..=200).contains(&name.len()) && !name.chars().any(char::is_control);
        if let Some(database) = &credential.database
            && !(taken(database) && database.is_ascii())
        {
            return Err(Error::invalid(
                "credential.database: must be 1 to 200 ASCII characters, as Odoo has it",
            ));
        }
        if credential.login.as_ref().is_some_and(|login| !taken(login)) {
            return Err(Error::invalid(
                "credential.login: must be 1 to 200 bytes, without control characters",
            ));
        }
        if credential.company_id == Some(0) {
            return Err(Error::invalid("credential.company_id: must be at least 1"));
        }
        Ok(())
    }

    /// In the order in which things can be wrong: address, key, company, apps, permissions.
    async fn test(&self) -> Result<Tested> {
        // What a call before may have learned from another state of things.
        for learned in ["version", "user", PARTNER, LEAD, STAGE] {
            self.http.connection().unlearn(learned);
        }
        let version = self.version().await?;
        self.user().await?;
        let company = match self.credential.company_id {
            None => "every company of its user".to_owned(),
            Some(company) => {
                let domain = Domain::of("id", "=", company);
                let arguments = json!({ "domain": domain, "fields": ["name"], "limit": 1 });
                let found: Vec<Row> = self.read("res.company", "search_read", arguments).await.map_err(|error| {
                    match error.code() == "credential_refused" {
                        true => no_company(company).because(error.message().to_owned()),
                        false => error,
                    }
                })?;
                let name = found.first().and_then(|row| row.text("name")).ok_or_else(|| no_company(company))?;
                format!("the company '{name}'")
            }
        };
        let mut not_written = Vec::new();
        for (model, things) in [(PARTNER, "contacts"), (LEAD, "opportunities")] {
            let arguments = json!({ "domain": self.bound(), "fields": ["name"], "limit": 1 });
            let _: Vec<Row> = self.read(model, "search_read", arguments).await?;
            if !self.may_write(version.protocol, model).await? {
                not_written.push(things);
            }
        }
        let may = match not_written.as_slice() {
            [] => "reads and writes contacts and opportunities".to_owned(),
            things => format!("reads contacts and opportunities, and may not write {}", things.join(" and ")),
        };
        let by = match version.protocol {
            Protocol::Json2 => "JSON-2",
            Protocol::JsonRpc => "JSON-RPC",
        };
        Ok(Tested {
            ok: true,
            version: Some(version.text.clone()),
            detail: format!("The API key works through {by} for {company}: it {may}."),
        })
    }
}

impl Odoo {
    /// The code of the failure where a model is none of this Odoo's: its app is not installed.
    pub(in crate::backends) const NO_SUCH_MODEL: &'static str = "app_missing";

    /// Takes no more of any answer, where several are asked for at once.
    #[must_use]
    pub(in crate::backends) fn at_most(mut self, bytes: usize) -> Self {
        self.answer_max = bytes;
        self
    }

    /// Calls a method that changes nothing, and is asked again where an attempt fails.
    pub(in crate::backends) async fn read<T: DeserializeOwned>(&self, model: &str, method: &str, arguments: Value) -> Result<T> {
        let answered = self.run(Sends::Read, model, method, &[], arguments).await;
        if answered.as_ref().is_err_and(|error| error.kind() == Kind::BackendRefused) {
            // An update may have taken a field away: the next call looks anew.
            self.http.connection().unlearn(model);
        }
        read_as(answered?)
    }

    /// Creates one record, and answers its number.
    pub(super) async fn create(&self, model: &str, values: Map<String, Value>) -> Result<u64> {
        let arguments = json!({ "vals_list": [values] });
        let made: Vec<u64> = read_as(self.run(Sends::Write, model, "create", &[], arguments).await?)?;
        made.first().copied().ok_or_else(|| unsaid("create answered no id"))
    }

    /// Changes one record.
    pub(super) async fn write(&self, model: &str, id: u64, values: Map<String, Value>) -> Result<()> {
        let done = self.run(Sends::Write, model, "write", &[id], json!({ "vals": values })).await?;
        match done {
            Value::Bool(true) => Ok(()),
            _ => Err(unsaid("write did not answer true")),
        }
    }

    /// What is the tenant's of a model: nothing of another company.
    pub(super) fn bound(&self) -> Domain {
        let Some(company) = self.credential.company_id else {
            return Domain::default();
        };
        // Odoo shows what has no company to all of them. Here each company is a tenant: that would be everybody's, to see and to change.
        Domain::of("company_id", "=", company)
    }

    /// The tenant's company, where the connection names one.
    pub(super) fn company(&self) -> Option<u64> {
        self.credential.company_id
    }

    pub(super) async fn version(&self) -> Result<Arc<Version>> {
        const NAME: &str = "version";
        let connection = self.http.connection();
        if let Some(version) = connection.recall::<Version>(NAME, REMEMBERED) {
            return Ok(version);
        }
        let version = Arc::new(match self.announced().await? {
            Some(version) => version,
            None => self.asked().await?,
        });
        connection.learn(NAME, Arc::clone(&version));
        Ok(version)
    }

    /// Which of the fields that we want a model has.
    pub(super) async fn fields(&self, model: &'static str) -> Result<Arc<Fields>> {
        if let Some(fields) = self.http.connection().recall::<Fields>(model, FIELDS_REMEMBERED) {
            return Ok(fields);
        }
        let wanted = WANTED.iter().find(|(name, _)| *name == model).map_or(&[][..], |(_, fields)| fields);
        let arguments = json!({ "allfields": wanted, "attributes": ["type"] });
        let known: Map<String, Value> = self.read(model, "fields_get", arguments).await?;
        let fields = Arc::new(Fields(known.into_iter().map(|(name, _)| name).collect()));
        self.http.connection().learn(model, Arc::clone(&fields));
        Ok(fields)
    }

    /// `GET /web/version`, from Odoo 19 on. Before, and behind some proxies, there is no such page.
    async fn announced(&self) -> Result<Option<Version>> {
        let reply = self.addressed(self.http.get("/web/version"))?.send().await?;
        match reply.status.as_u16() {
            200..=499 if !matches!(reply.status.as_u16(), 401 | 403 | 429) => {
                let told: Option<Value> = serde_json::from_slice(&reply.body).ok();
                Ok(told.and_then(|told| Version::read(&told["version_info"], &told["version"])))
            }
            _ => Err(reply.refusal(|_| None)),
        }
    }

    /// The same by JSON-RPC, which every Odoo has that we speak to.
    async fn asked(&self) -> Result<Version> {
        let told = self.json_rpc(Sends::Read, "common", "version", &json!([])).await?;
        let told = told.map_err(|failure| failure.meant())?;
        Version::read(&told["server_version_info"], &told["server_version"]).ok_or_else(|| not_odoo("no version"))
    }

    async fn may_write(&self, protocol: Protocol, model: &str) -> Result<bool> {
        match protocol {
            Protocol::Json2 => self.read(model, "has_access", json!({ "operation": "write" })).await,
            Protocol::JsonRpc => {
                let arguments = json!({ "operation": "write", "raise_exception": false });
                self.read(model, "check_access_rights", arguments).await
            }
        }
    }

    async fn run(&self, sends: Sends, model: &str, method: &str, ids: &[u64], arguments: Value) -> Result<Value> {
        let Value::Object(mut arguments) = arguments else {
            return Err(Error::internal("arguments that are no object"));
        };
        let mut context = self.company_context();
        if let Some(language) = &self.user().await?.language {
            context.insert("lang".to_owned(), language.as_str().into());
        }
        // What this one call asks for besides.
        if let Some(Value::Object(more)) = arguments.remove("context") {
            context.extend(more);
        }
        let call = Call {
            model,
            method,
            ids,
            arguments,
        };
        self.send(sends, &call, &Value::Object(context)).await
    }

    async fn user(&self) -> Result<Arc<User>> {
        const NAME: &str = "user";
        let connection = self.http.connection();
        if let Some(user) = connection.recall::<User>(NAME, REMEMBERED) {
            return Ok(user);
        }
        let call = Call {
            model: "res.users",
            method: "context_get",
            ids: &[],
            arguments: Map::new(),
        };
        let told: Value = self.send(Sends::Read, &call, &json!({})).await?;
        let user = Arc::new(User {
            id: told["uid"].as_u64().unwrap_or_default(),
            language: told["lang"].as_str().map(str::to_owned),
        });
        connection.learn(NAME, Arc::clone(&user));
        tracing::debug!(uid = user.id, "Odoo knows the key");
        Ok(user)
    }

    fn company_context(&self) -> Map<String, Value> {
        let mut context = Map::new();
        if let Some(company) = self.credential.company_id {
            context.insert("allowed_company_ids".to_owned(), json!([company]));
        }
        context
    }

    async fn send(&self, sends: Sends, call: &Call<'_>, context: &Value) -> Result<Value> {
        match self.version().await?.protocol {
            Protocol::Json2 => {
                let path = call.json_2_path();
                let request = match sends {
                    Sends::Read => self.http.ask(Method::POST, &path),
                    Sends::Write => self.http.write(Method::POST, &path),
                };
                let key = secret_header(&format!("Bearer {}", self.credential.api_key))?;
                let request = self.addressed(request)?.header(header::AUTHORIZATION, key);
                let request = request.json(&call.json_2_body(context))?.at_most(self.answer_max);
                protocol::plain(request.send().await?)
            }
            Protocol::JsonRpc => {
                let (database, _) = self.named()?;
                for last in [false, true] {
                    let (uid, remembered) = self.uid().await?;
                    let mut arguments = vec![json!(database), json!(uid), json!(self.credential.api_key)];
                    arguments.extend(call.execute_kw(context));
                    match self.json_rpc(sends, "object", "execute_kw", &Value::Array(arguments)).await? {
                        Ok(result) => return Ok(result),
                        // The user that we remember may be another's number by now. Nothing was done.
                        Err(failure) if failure.denies_access() && remembered && !last => self.http.connection().unlearn("uid"),
                        Err(failure) => return Err(failure.meant()),
                    }
                }
                unreachable!("the second turn answers")
            }
        }
    }

    /// The number of the credential's user, which JSON-RPC takes in place of its login, and whether it was known before.
    async fn uid(&self) -> Result<(u64, bool)> {
        const NAME: &str = "uid";
        let connection = self.http.connection();
        if let Some(uid) = connection.recall::<u64>(NAME, REMEMBERED) {
            return Ok((*uid, true));
        }
        let (database, login) = self.named()?;
        let arguments = json!([database, login, self.credential.api_key, {}]);
        let told = self.json_rpc(Sends::Read, "common", "authenticate", &arguments).await?;
        let told = told.map_err(|failure| failure.meant())?;
        let uid = told.as_u64().ok_or_else(|| {
            Error::new(
                Kind::BackendRefused,
                "'odoo' knows no such pair of login and API key; check credential.login and credential.api_key",
            )
            .coded("credential_refused")
        })?;
        connection.learn(NAME, Arc::new(uid));
        Ok((uid, false))
    }

    /// What JSON-RPC needs besides the key.
    fn named(&self) -> Result<(&str, &str)> {
        match (&self.credential.database, &self.credential.login) {
            (Some(database), Some(login)) => Ok((database, login)),
            _ => Err(Error::new(
                Kind::BackendRefused,
                "This Odoo is older than 19, and needs database and login beside the API key; set the connection again with both",
            )
            .coded("credential_refused")),
        }
    }

    async fn json_rpc(&self, sends: Sends, service: &str, method: &str, arguments: &Value) -> Result<Result<Value, Failure>> {
        const PATH: &str = "/jsonrpc";
        let request = match sends {
            Sends::Read => self.http.ask(Method::POST, PATH),
            Sends::Write => self.http.write(Method::POST, PATH),
        };
        let request = request
            .json(&protocol::json_rpc(service, method, arguments))?
            .at_most(self.answer_max);
        protocol::opened(request.send().await?)
    }

    fn addressed<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        Ok(match &self.credential.database {
            None => request,
            Some(database) => request.header(DATABASE, secret_header(database)?),
        })
    }
}

/// Whether a call may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Read,
    Write,
}

fn no_company(company: u64) -> Error {
    Error::new(
        Kind::BackendRefused,
        format!(
            "The API key works, and its user has no company of the number {company}; check credential.company_id, and the companies that the user may work for"
        ),
    )
    .coded("permission_missing")
}

fn read_as<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| not_odoo(error.to_string()))
}

fn secret_header(secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).map_err(|_| {
        Error::new(
            Kind::BackendRefused,
            "The stored credential holds characters that no HTTP header takes; set it again",
        )
        .coded("credential_refused")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
