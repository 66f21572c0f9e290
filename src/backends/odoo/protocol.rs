//! The two protocols of Odoo's external API, behind one call of a method, and what their failures mean.
//!
//! JSON-2 (`addons/rpc/controllers/json2.py` of Odoo 19) names every argument and answers with HTTP's statuses; JSON-RPC
//! (`object.execute_kw`) takes the records first and answers 200 to everything, with an `error` where it failed. Both tell failures in
//! the same form: `{name, message, arguments, context, debug}`, of which `debug` is a stack trace and is left there. A call is one
//! transaction: one that failed in Odoo has changed nothing.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Odoo;
use crate::{
    backends::client::{Reply, shortened},
    error::{Error, Kind, Result},
};

/// The first version with JSON-2.
const JSON_2_SINCE: u64 = 19;

/// How an Odoo is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Json2,
    JsonRpc,
}

/// Which Odoo it is.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) text: String,
    pub(super) protocol: Protocol,
}

impl Version {
    /// Reads `version_info`: `[19, 0, 0, "final", 0, ""]`, or of a release between, `["saas~18", 3, …]`.
    pub(super) fn read(info: &Value, text: &Value) -> Option<Self> {
        let first = info.get(0)?;
        let major = match first.as_str() {
            Some(name) => name.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().ok()?,
            None => first.as_u64()?,
        };
        Some(Self {
            text: text.as_str().map_or_else(|| major.to_string(), shortened),
            protocol: if major >= JSON_2_SINCE {
                Protocol::Json2
            } else {
                Protocol::JsonRpc
            },
        })
    }
}

/// A method of a model, and what it is called with.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) model: &'a str,
    pub(super) method: &'a str,
    /// The records that it is called on; none for a method of the model itself.
    pub(super) ids: &'a [u64],
    /// Its arguments by name.
    pub(super) arguments: Map<String, Value>,
}

impl Call<'_> {
    pub(super) fn json_2_path(&self) -> String {
        format!("/json/2/{}/{}", self.model, self.method)
    }

    pub(super) fn json_2_body(&self, context: &Value) -> Value {
        let mut body = self.arguments.clone();
        if !self.ids.is_empty() {
            body.insert("ids".to_owned(), json!(self.ids));
        }
        body.insert("context".to_owned(), context.clone());
        Value::Object(body)
    }

    /// The arguments of `execute_kw` after the password.
    pub(super) fn execute_kw(&self, context: &Value) -> [Value; 4] {
        let mut named = self.arguments.clone();
        let positional = match (self.method, self.ids) {
            // Odoo looks at the first position for what is to be created, whatever its name.
            ("create", _) => json!([named.remove("vals_list").unwrap_or_default()]),
            (_, []) => json!([]),
            (_, ids) => json!([ids]),
        };
        named.insert("context".to_owned(), context.clone());
        [self.model.into(), self.method.into(), positional, Value::Object(named)]
    }
}

/// A request of JSON-RPC.
pub(super) fn json_rpc(service: &str, method: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "call",
        "id": 1,
        "params": { "service": service, "method": method, "args": arguments },
    })
}

/// What Odoo says of its own failure.
#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    name: String,
    #[serde(default)]
    message: String,
}

/// The answer of JSON-RPC: a result, which is left out where it is null, or a failure.
pub(super) fn opened(reply: Reply) -> Result<Result<Value, Failure>> {
    #[derive(Deserialize)]
    struct Envelope {
        jsonrpc: Option<String>,
        #[serde(default)]
        result: Value,
        error: Option<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        data: Failure,
    }
    if matches!(reply.status.as_u16(), 400 | 404 | 405 | 410) {
        return Err(not_odoo(format!("HTTP {}", reply.status.as_u16())));
    }
    let envelope: Envelope = reply.json(said)?;
    if envelope.jsonrpc.is_none() {
        return Err(not_odoo("an answer without jsonrpc"));
    }
    Ok(match envelope.error {
        Some(fault) => Err(fault.data),
        None => Ok(envelope.result),
    })
}

/// The answer of JSON-2: the result itself, or a failure under its status.
pub(super) fn plain(reply: Reply) -> Result<Value> {
    if reply.status.is_success() {
        return reply.json(said);
    }
    if let Ok(failure) = serde_json::from_slice::<Failure>(&reply.body) {
        return Err(failure.meant());
    }
    if reply.status == http::StatusCode::NOT_FOUND {
        return Err(Error::new(
            Kind::BackendRefused,
            "'odoo' does not know its API or the database there; check that the connection's url is the Odoo itself, and credential.database",
        ));
    }
    Err(reply.refusal(said))
}

impl Failure {
    /// The user, the key or the session is not known any more.
    pub(super) fn denies_access(&self) -> bool {
        self.name == "odoo.exceptions.AccessDenied"
    }

    /// What it means for the caller.
    pub(super) fn meant(&self) -> Error {
        let said = shortened(&self.message);
        match self.name.as_str() {
            "odoo.exceptions.AccessDenied" | "werkzeug.exceptions.Unauthorized" => {
                Error::new(Kind::BackendRefused, format!("'odoo' refuses the stored credential: {said}")).coded("credential_refused")
            }
            "odoo.exceptions.AccessError" => Error::new(
                Kind::BackendRefused,
                format!("'odoo' refuses that to the user of the stored credential: {said}"),
            )
            .coded("credential_refused"),
            "odoo.exceptions.MissingError" => Error::not_found(format!("'odoo' does not have that: {said}")),
            "odoo.exceptions.LockError" => Error::conflict(format!("'odoo' reports a conflict: {said}")),
            // JSON-2 and JSON-RPC each say in their own way that there is no such model.
            "werkzeug.exceptions.NotFound" => no_such_model(&said),
            "odoo.exceptions.UserError" if said.starts_with("Object ") && said.ends_with(" doesn't exist") => no_such_model(&said),
            "odoo.exceptions.UserError" | "odoo.exceptions.ValidationError" | "odoo.exceptions.RedirectWarning" => {
                Error::invalid(format!("'odoo' does not take that: {said}"))
            }
            // Its words hold the address of its database.
            "psycopg2.OperationalError" if self.message.contains("does not exist") => Error::new(
                Kind::BackendRefused,
                "'odoo' has no database of that name; check credential.database",
            )
            .coded("credential_refused"),
            name if name.starts_with("psycopg2.") => Error::new(Kind::BackendDown, "'odoo' cannot use its database now")
                .retry_after(1)
                .because(said),
            _ => Error::new(Kind::BackendRefused, format!("'odoo' failed at that: {said}")),
        }
    }
}

/// A write that was answered by something else than its outcome.
pub(super) fn unsaid(why: &str) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'odoo' did not answer as its API does; whether it acted is not known, so look before you try again",
    )
    .once()
    .because(why.to_owned())
}

/// An address that answers, and not as Odoo does.
pub(super) fn not_odoo(why: impl Into<String>) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'odoo' did not answer as its API does; check that the connection's url is the Odoo itself, without /odoo, /web or /jsonrpc",
    )
    .because(why.into())
}

fn no_such_model(said: &str) -> Error {
    Error::new(
        Kind::BackendRefused,
        format!("'odoo' lacks an app that this needs, CRM or Contacts: {said}"),
    )
    .coded(Odoo::NO_SUCH_MODEL)
}

/// Words of what stands before Odoo; its own failures are read as such.
fn said(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_2_is_spoken_from_19_on() {
        for (info, protocol) in [
            (json!([19, 0, 0, "final", 0, ""]), Protocol::Json2),
            (json!([17, 0, 0, "final", 0, ""]), Protocol::JsonRpc),
            (json!(["saas~18", 3, 0, "final", 0, ""]), Protocol::JsonRpc),
            (json!(["saas~19", 1, 0, "final", 0, ""]), Protocol::Json2),
        ] {
            assert_eq!(Version::read(&info, &json!("x")).unwrap().protocol, protocol, "{info}");
        }
        assert!(Version::read(&json!([]), &json!("x")).is_none());
        assert!(Version::read(&json!(["final"]), &json!("x")).is_none());
    }
}
