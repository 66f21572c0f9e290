//! The two protocols: how a call comes in, and how its result or failure goes out.

use axum::{
    body::Bytes,
    extract::{Path, State as Shared},
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{ASKED_KEPT, Asked, DATABASE, Failure, Release, Sandbox, User, methods};

/// A method's signature.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Whether it is called on records, whose numbers come first.
    pub(super) on_records: bool,
    pub(super) parameters: &'static [&'static str],
    /// The first release with it, and the last.
    releases: (u64, u64),
}

const fn signature(name: &'static str, on_records: bool, parameters: &'static [&'static str], releases: (u64, u64)) -> Signature {
    Signature {
        name,
        on_records,
        parameters,
        releases,
    }
}

pub(super) const SIGNATURES: [Signature; 12] = [
    signature("search", false, &["domain", "offset", "limit", "order"], (8, 99)),
    signature("search_read", false, &["domain", "fields", "offset", "limit", "order"], (8, 99)),
    signature("search_count", false, &["domain", "limit"], (8, 99)),
    signature("read", true, &["fields", "load"], (8, 99)),
    signature("fields_get", false, &["allfields", "attributes"], (8, 99)),
    signature(
        "read_group",
        false,
        &["domain", "fields", "groupby", "offset", "limit", "orderby", "lazy"],
        (8, 19),
    ),
    signature(
        "formatted_read_group",
        false,
        &["domain", "groupby", "aggregates", "having", "offset", "limit", "order"],
        (19, 99),
    ),
    signature("create", false, &["vals_list"], (8, 99)),
    signature("write", true, &["vals"], (8, 99)),
    signature("context_get", false, &[], (8, 99)),
    signature("has_access", true, &["operation"], (18, 99)),
    signature("check_access_rights", false, &["operation", "raise_exception"], (8, 19)),
];

/// `GET /web/version`, for anybody.
pub(super) async fn version() -> Response {
    json_of(
        StatusCode::OK,
        &json!({ "version_info": [19, 0, 0, "final", 0, ""], "version": "19.0" }),
    )
}

/// What no route is for.
pub(super) async fn no_page() -> Response {
    let page = "<!DOCTYPE html>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n";
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}

/// `POST /json/2/{model}/{method}` of Odoo 19.
pub(super) async fn json_2(
    Shared(sandbox): Shared<Sandbox>,
    Path((model, method)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(database) = headers.get("x-odoo-database")
        && database.as_bytes() != DATABASE.as_bytes()
    {
        return no_page().await;
    }
    match json_2_called(&sandbox, &model, &method, &headers, &body) {
        Ok(result) => {
            pause(&sandbox, &method).await;
            json_of(StatusCode::OK, &result)
        }
        Err((status, failure)) => json_of(status, &failure.told()),
    }
}

type Refused = (StatusCode, Failure);

fn json_2_called(sandbox: &Sandbox, model: &str, method: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refused> {
    let user = of_key(sandbox, headers).ok_or_else(|| {
        let failure = Failure::new("werkzeug.exceptions.Unauthorized", "Invalid apikey");
        (StatusCode::UNAUTHORIZED, failure)
    })?;
    let Ok(Value::Object(mut arguments)) = serde_json::from_slice(body) else {
        let failure = Failure::new("werkzeug.exceptions.BadRequest", "could not parse the body as json");
        return Err((StatusCode::BAD_REQUEST, failure));
    };
    let not_found = |message: String| (StatusCode::NOT_FOUND, Failure::new("werkzeug.exceptions.NotFound", message));
    if sandbox.state().schema.fields(model).is_none() {
        return Err(not_found(format!("the model '{model}' does not exist")));
    }
    let signature = sandbox
        .signature(method)
        .ok_or_else(|| not_found(format!("The method '{model}.{method}' does not exist")))?;
    let ids: Vec<u64> = arguments
        .remove("ids")
        .and_then(|ids| serde_json::from_value(ids).ok())
        .unwrap_or_default();
    let context = arguments.remove("context").unwrap_or_else(|| json!({}));
    let unprocessable = |message: String| {
        let failure = Failure::new("werkzeug.exceptions.UnprocessableEntity", message);
        (StatusCode::UNPROCESSABLE_ENTITY, failure)
    };
    if !signature.on_records && !ids.is_empty() {
        return Err(unprocessable(format!("cannot call {model}.{method} with ids")));
    }
    if let Some(unknown) = arguments.keys().find(|name| !signature.parameters.contains(&name.as_str())) {
        return Err(unprocessable(format!("got an unexpected keyword argument '{unknown}'")));
    }
    let asked = Asked {
        model: model.to_owned(),
        method: method.to_owned(),
        ids,
        arguments: Value::Object(arguments),
        context,
        user: user.id,
    };
    sandbox.run(&user, asked).map_err(|failure| (failure.status(), failure))
}

/// `GET /doc-bearer/{model}.json`: the signatures, by which Odoo's own client names what it was given by position.
pub(super) async fn document(Shared(sandbox): Shared<Sandbox>, Path(document): Path<String>, headers: HeaderMap) -> Response {
    if of_key(&sandbox, &headers).is_none() {
        let failure = Failure::new("werkzeug.exceptions.Unauthorized", "Invalid apikey");
        return json_of(StatusCode::UNAUTHORIZED, &failure.told());
    }
    let model = document.trim_end_matches(".json");
    if sandbox.state().schema.fields(model).is_none() {
        return no_page().await;
    }
    let mut methods = Map::new();
    for signature in SIGNATURES.iter().filter(|signature| sandbox.signature(signature.name).is_some()) {
        let parameters: Map<_, _> = signature.parameters.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        let api = if signature.on_records { json!([]) } else { json!(["model"]) };
        methods.insert(signature.name.to_owned(), json!({ "parameters": parameters, "api": api }));
    }
    json_of(StatusCode::OK, &json!({ "model": model, "methods": methods }))
}

/// `POST /jsonrpc`: 200 whatever comes of it.
pub(super) async fn json_rpc(Shared(sandbox): Shared<Sandbox>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "Invalid JSON data").into_response();
    };
    let mut answer = json!({ "jsonrpc": "2.0", "id": request["id"] });
    let parameters = &request["params"];
    match json_rpc_called(&sandbox, parameters) {
        // None of Python is left out.
        Ok(Value::Null) => {}
        Ok(result) => answer["result"] = result,
        Err(failure) => {
            let code = if sandbox.0.release == Release::Nineteen { 0 } else { 200 };
            answer["error"] = json!({ "code": code, "message": "Odoo Server Error", "data": failure.told() });
        }
    }
    if parameters["service"] == "object" {
        pause(&sandbox, parameters["args"][4].as_str().unwrap_or_default()).await;
    }
    json_of(StatusCode::OK, &answer)
}

fn json_rpc_called(sandbox: &Sandbox, parameters: &Value) -> Result<Value, Failure> {
    let arguments = parameters["args"].as_array().map_or(&[][..], Vec::as_slice);
    let at = |index: usize| arguments.get(index).cloned().unwrap_or_default();
    let database_there = || match at(0) == DATABASE {
        true => Ok(()),
        false => Err(Failure::new(
            "psycopg2.OperationalError",
            format!(
                "connection to server at \"10.0.0.7\", port 5432 failed: FATAL:  database {} does not exist\n",
                at(0)
            ),
        )),
    };
    match (parameters["service"].as_str(), parameters["method"].as_str()) {
        (Some("common"), Some("version")) => {
            let major = sandbox.0.release.major();
            Ok(json!({
                "server_version": format!("{major}.0"),
                "server_version_info": [major, 0, 0, "final", 0, ""],
                "server_serie": format!("{major}.0"),
                "protocol_version": 1,
            }))
        }
        (Some("common"), Some("authenticate" | "login")) => {
            database_there()?;
            let state = sandbox.state();
            let found = state
                .users
                .iter()
                .find(|user| at(1) == user.login.as_str() && at(2) == user.api_key.as_str());
            Ok(found.map_or(Value::Bool(false), |user| json!(user.id)))
        }
        (Some("object"), Some("execute_kw")) => {
            database_there()?;
            let denied = || Failure::new("odoo.exceptions.AccessDenied", "Access Denied");
            let user = {
                let state = sandbox.state();
                let found = state.users.iter().find(|user| at(1) == user.id && at(2) == user.api_key.as_str());
                found.cloned().ok_or_else(denied)?
            };
            let (model, method) = (at(3), at(4));
            let (model, method) = (model.as_str().unwrap_or_default(), method.as_str().unwrap_or_default());
            if sandbox.state().schema.fields(model).is_none() {
                let message = format!("Object {model} doesn't exist");
                return Err(Failure::new("odoo.exceptions.UserError", message));
            }
            let signature = sandbox.signature(method).ok_or_else(|| {
                let message = format!("The method '{model}.{method}' does not exist");
                Failure::new("builtins.AttributeError", message)
            })?;
            let asked = signature.positioned(model, &at(5), at(6), user.id)?;
            sandbox.run(&user, asked)
        }
        _ => Err(Failure::new("builtins.KeyError", "no such service")),
    }
}

impl Signature {
    /// Names what came by position.
    fn positioned(&self, model: &str, positional: &Value, named: Value, user: u64) -> Result<Asked, Failure> {
        let mut positional = positional.as_array().cloned().unwrap_or_default().into_iter();
        let wrong = |message: String| Failure::new("builtins.TypeError", message);
        let ids = match self.on_records {
            false => Vec::new(),
            true => match positional.next() {
                Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_u64).collect(),
                Some(Value::Number(id)) => id.as_u64().into_iter().collect(),
                // A method of records may be called on none at all.
                None => Vec::new(),
                Some(other) => return Err(wrong(format!("{other} are no records"))),
            },
        };
        let mut arguments = match named {
            Value::Object(named) => named,
            _ => Map::new(),
        };
        let context = arguments.remove("context").unwrap_or_else(|| json!({}));
        if self.name == "create" && positional.len() == 0 {
            // `args[0]` of a list that is empty.
            return Err(Failure::new("builtins.IndexError", "list index out of range"));
        }
        for (parameter, value) in self.parameters.iter().zip(positional.by_ref()) {
            arguments.insert((*parameter).to_owned(), value);
        }
        if positional.next().is_some() {
            return Err(wrong(format!("{} takes fewer positional arguments", self.name)));
        }
        if let Some(unknown) = arguments.keys().find(|name| !self.parameters.contains(&name.as_str())) {
            return Err(wrong(format!("{} got an unexpected keyword argument '{unknown}'", self.name)));
        }
        Ok(Asked {
            model: model.to_owned(),
            method: self.name.to_owned(),
            ids,
            arguments: Value::Object(arguments),
            context,
            user,
        })
    }
}

impl Sandbox {
    fn signature(&self, method: &str) -> Option<&'static Signature> {
        let major = self.0.release.major();
        SIGNATURES
            .iter()
            .find(|signature| signature.name == method && (signature.releases.0..=signature.releases.1).contains(&major))
    }

    fn run(&self, user: &User, asked: Asked) -> Result<Value, Failure> {
        let mut state = self.state();
        if state.asked.len() == ASKED_KEPT {
            state.asked.remove(0);
        }
        state.asked.push(asked.clone());
        let before = state.writes;
        let result = methods::run(&mut state, user, &asked);
        if state.writes > before
            && let Some(fault) = state.after_next_write.take()
        {
            self.0.faults.set(fault);
        }
        result
    }
}

impl Failure {
    /// As Odoo serialises an exception; the trace tells more than anybody should hear.
    fn told(&self) -> Value {
        json!({
            "name": self.name,
            "message": self.message,
            "arguments": [self.message],
            "context": {},
            "debug": format!("Traceback (most recent call last):\n  File \"/opt/odoo/secret-path/http.py\", line 2273\n{}", self.message),
        })
    }

    fn status(&self) -> StatusCode {
        match self.name {
            "odoo.exceptions.AccessError" | "odoo.exceptions.AccessDenied" => StatusCode::FORBIDDEN,
            "odoo.exceptions.MissingError" => StatusCode::NOT_FOUND,
            "odoo.exceptions.UserError" | "odoo.exceptions.ValidationError" => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The user whose key is the bearer.
fn of_key(sandbox: &Sandbox, headers: &HeaderMap) -> Option<User> {
    let bearer = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = bearer.split_once(' ')?;
    let state = sandbox.state();
    let found = state.users.iter().find(|user| user.api_key == key);
    found.filter(|_| scheme.eq_ignore_ascii_case("bearer")).cloned()
}

/// Where what was written is to be told late.
async fn pause(sandbox: &Sandbox, method: &str) {
    if matches!(method, "create" | "write")
        && let Some(pause) = sandbox.0.faults.slow_after_run()
    {
        tokio::time::sleep(pause).await;
    }
}

fn json_of(status: StatusCode, body: &Value) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
}
