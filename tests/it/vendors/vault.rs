//! A played Vault, after the documents of its HTTP API (developer.hashicorp.com/vault/api-docs): KV version 2 with versions and
//! check-and-set, Transit that really encrypts, tokens with leases, `AppRole`, and policies that are read as HCL and enforced.
//! It is no Vault: nothing here was compared with a real one. What differs knowingly: Transit's cipher (`XChaCha20-Poly1305`, by a key
//! of random bytes), one share unseals, and of the policy language there are `path`, `capabilities`, `*` at the end and `+`.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce, aead::Aead as _};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use smartermcp::clock::{self, Clock};

pub const ROOT: &str = "hvs.root-of-the-tests";

/// What it does instead of answering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// 503, as a sealed one.
    Sealed,
    /// Nothing comes.
    Silent,
    /// 200 with a page of a proxy.
    Html,
    /// An answer without end.
    Endless,
    /// 500.
    Broken,
}

#[derive(Clone)]
pub struct Vault {
    inner: Arc<Mutex<Inner>>,
    pub clock: Clock,
    address: SocketAddr,
    _serving: Arc<Serving>,
}

struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One request, as it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub namespace: Option<String>,
}

pub struct Inner {
    pub fault: Fault,
    pub asked: Vec<Asked>,
    /// A path that answers 500, where the others are well.
    pub broken_at: Option<String>,
    /// Where it is there, what is written to a KV is answered only when it gives a permit.
    pub written: Option<Arc<tokio::sync::Semaphore>>,
    /// The only namespace that there is; without one the header is passed over, as the community's edition does.
    pub namespace: Option<String>,
    /// Engines by mount, `smarteros/`: `kv` of version 2 or `transit`.
    mounts: BTreeMap<String, &'static str>,
    auths: BTreeMap<String, String>,
    tokens: HashMap<String, Token>,
    policies: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    keys: HashMap<String, Vec<[u8; 32]>>,
    /// Versions below it do not decrypt.
    pub least_decryption: usize,
    roles: HashMap<String, Role>,
}

#[derive(Clone)]
struct Token {
    policies: Vec<String>,
    /// Seconds; 0 never ends.
    period: i64,
    ends_at: i64,
    renewable: bool,
}

#[derive(Default)]
struct Secret {
    /// From version 1; `None` is destroyed.
    versions: Vec<Option<Value>>,
    deleted: Vec<bool>,
}

#[derive(Clone, Default)]
struct Role {
    settings: Value,
    id: String,
    secret_ids: Vec<String>,
}

type Answer = (StatusCode, Value);

impl Vault {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let root = Token {
            policies: vec!["root".to_owned()],
            period: 0,
            ends_at: i64::MAX,
            renewable: false,
        };
        let clock = Clock::default();
        let inner = Arc::new(Mutex::new(Inner {
            fault: Fault::None,
            asked: Vec::new(),
            broken_at: None,
            written: None,
            namespace: None,
            mounts: BTreeMap::new(),
            auths: BTreeMap::from([("token/".to_owned(), "token".to_owned())]),
            tokens: HashMap::from([(ROOT.to_owned(), root)]),
            policies: BTreeMap::new(),
            secrets: BTreeMap::new(),
            keys: HashMap::new(),
            least_decryption: 1,
            roles: HashMap::new(),
        }));
        let (shared, time) = (Arc::clone(&inner), clock.clone());
        let router = Router::new().fallback(move |request: Request| answer(Arc::clone(&shared), time.clone(), request));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            inner,
            clock,
            address,
            _serving: Arc::new(Serving(serving)),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn play(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn set_fault(&self, fault: Fault) {
        self.play().fault = fault;
    }

    /// What was asked since the last look, as `METHOD path`.
    pub fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.play().asked);
        asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// Ends every token but root's, as an operator who revokes them.
    pub fn revoke_tokens(&self) {
        self.play().tokens.retain(|token, _| token == ROOT);
    }

    /// Takes every secret id of every role back.
    pub fn revoke_secret_ids(&self) {
        self.play().roles.values_mut().for_each(|role| role.secret_ids.clear());
    }

    pub fn tokens(&self) -> usize {
        self.play().tokens.len()
    }
}

async fn answer(inner: Arc<Mutex<Inner>>, clock: Clock, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let head = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = parts.uri.path().strip_prefix("/v1/").unwrap_or_default().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let (fault, namespace, written) = {
        let mut inner = inner.lock().unwrap();
        inner.asked.push(Asked {
            method: parts.method.clone(),
            path: path.clone(),
            namespace: head("x-vault-namespace"),
        });
        let fault = match inner.broken_at.as_ref() == Some(&path) {
            true => Fault::Broken,
            false => inner.fault,
        };
        (fault, inner.namespace.clone(), inner.written.clone())
    };
    match fault {
        Fault::None => {}
        Fault::Sealed if path == "sys/health" => {
            let status = if query.contains("sealedcode=200") { 200 } else { 503 };
            return respond(StatusCode::from_u16(status).unwrap(), health(true, &clock));
        }
        Fault::Sealed if path == "sys/seal-status" => return respond(StatusCode::OK, seal_status(true)),
        Fault::Sealed => return respond(StatusCode::SERVICE_UNAVAILABLE, json!({ "errors": ["Vault is sealed"] })),
        Fault::Silent => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        Fault::Html => return axum::response::Html("<html><body>the proxy's own page</body></html>").into_response(),
        Fault::Broken => return respond(StatusCode::INTERNAL_SERVER_ERROR, json!({ "errors": ["internal error"] })),
        Fault::Endless => {
            let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 4096])));
            return axum::body::Body::from_stream(endless).into_response();
        }
    }
    if let Some(only) = namespace
        && head("x-vault-namespace").as_deref().map(|name| name.trim_matches('/')) != Some(only.as_str())
        && !path.starts_with("sys/health")
    {
        return respond(StatusCode::FORBIDDEN, denied());
    }
    let input: Value = match body.is_empty() {
        true => json!({}),
        false => match serde_json::from_slice(&body) {
            Ok(input) => input,
            Err(_) => return respond(StatusCode::BAD_REQUEST, json!({ "errors": ["failed to parse JSON input"] })),
        },
    };
    let token = head("x-vault-token");
    let (status, body) = inner
        .lock()
        .unwrap()
        .route(&clock, token.as_deref(), &parts.method, &path, &query, &input);
    if let Some(written) = written
        && parts.method == Method::POST
        && path.contains("/data/")
    {
        written.acquire().await.unwrap().forget();
    }
    respond(status, body)
}

fn respond(status: StatusCode, body: Value) -> Response {
    match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => {
            // As Go writes it (pkg.go.dev/encoding/json#HTMLEscape); these stand in texts alone.
            let text = body
                .to_string()
                .replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026");
            (status, [(http::header::CONTENT_TYPE, "application/json")], text).into_response()
        }
    }
}

fn denied() -> Value {
    json!({ "errors": ["1 error occurred:\n\t* permission denied\n\n"] })
}

fn health(sealed: bool, clock: &Clock) -> Value {
    json!({
        "initialized": true, "sealed": sealed, "standby": false, "performance_standby": false, "replication_performance_mode": "disabled",
        "replication_dr_mode": "disabled", "server_time_utc": clock.millis() / 1000, "version": "1.18.0-played", "cluster_name": "played", "cluster_id": "0",
    })
}

fn seal_status(sealed: bool) -> Value {
    json!({ "type": "shamir", "initialized": true, "sealed": sealed, "t": 1, "n": 1, "progress": 0, "nonce": "", "version": "1.18.0-played", "migration": false, "recovery_seal": false, "storage_type": "inmem" })
}

/// What every answer with data stands in.
fn data(data: Value) -> Answer {
    (StatusCode::OK, envelope(data, Value::Null))
}

fn envelope(data: Value, auth: Value) -> Value {
    json!({
        "request_id": uuid::Uuid::new_v4().to_string(), "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": data, "wrap_info": null, "warnings": null, "auth": auth, "mount_type": "",
    })
}

fn nothing() -> Answer {
    (StatusCode::NO_CONTENT, Value::Null)
}

fn not_found() -> Answer {
    (StatusCode::NOT_FOUND, json!({ "errors": [] }))
}

fn refused(words: &str) -> Answer {
    (StatusCode::BAD_REQUEST, json!({ "errors": [words] }))
}

impl Inner {
    fn route(&mut self, clock: &Clock, token: Option<&str>, method: &Method, path: &str, query: &str, input: &Value) -> Answer {
        match path {
            "sys/health" => return (StatusCode::OK, health(false, clock)),
            "sys/seal-status" => return (StatusCode::OK, seal_status(false)),
            "sys/init" => return (StatusCode::OK, json!({ "initialized": true })),
            _ => {}
        }
        if let Some(mount) = path.strip_prefix("auth/").and_then(|rest| rest.strip_suffix("/login")) {
            return self.log_in(clock, mount, input);
        }
        let known = token.and_then(|token| Some((token.to_owned(), self.tokens.get(token)?.clone())));
        let Some((token, caller)) = known.filter(|(_, known)| clock.millis() < known.ends_at) else {
            return (
                StatusCode::FORBIDDEN,
                json!({ "errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"] }),
            );
        };
        let lists = method.as_str() == "LIST" || (*method == Method::GET && query.contains("list=true"));
        let needed = match (method.as_str(), lists) {
            (_, true) => "list",
            ("GET", _) => "read",
            ("DELETE", _) => "delete",
            ("PATCH", _) => "patch",
            _ if self.exists(path) => "update",
            _ => "create",
        };
        if !self.may(&caller, path, needed) {
            return (StatusCode::FORBIDDEN, denied());
        }
        if let Some(rest) = path.strip_prefix("sys/") {
            return self.system(&caller, method, rest, input);
        }
        if let Some(rest) = path.strip_prefix("auth/token/") {
            return self.token(clock, &token, &caller, rest, input);
        }
        if let Some(rest) = path.strip_prefix("auth/") {
            return self.approle(method, rest, input);
        }
        let mount = self.mounts.iter().find(|(mount, _)| path.starts_with(mount.as_str()));
        match mount.map(|(mount, engine)| (mount.clone(), *engine)) {
            Some((mount, "kv")) => self.kv(clock, method, lists, &mount, &path[mount.len()..], query, input),
            Some((mount, "transit")) => self.transit(method, &path[mount.len()..], input),
            _ => (
                StatusCode::NOT_FOUND,
                json!({ "errors": [format!("no handler for route {path:?}. route entry not found.")] }),
            ),
        }
    }

    // Policies.

    fn may(&self, caller: &Token, path: &str, needed: &str) -> bool {
        let held = self.held(caller, path);
        held.iter().any(|held| held == needed || held == "root")
    }

    /// The capabilities on a path: those of the most specific pattern, over all policies; `deny` wins.
    fn held(&self, caller: &Token, path: &str) -> Vec<String> {
        const DEFAULT: &str = r#"
            path "auth/token/lookup-self" { capabilities = ["read"] }
            path "auth/token/renew-self" { capabilities = ["update"] }
            path "auth/token/revoke-self" { capabilities = ["update"] }
            path "sys/capabilities-self" { capabilities = ["update"] }
        "#;
        if caller.policies.iter().any(|policy| policy == "root") {
            return vec!["root".to_owned()];
        }
        let mut found: Vec<(String, Vec<String>)> = rules(DEFAULT);
        for policy in &caller.policies {
            found.extend(self.policies.get(policy).map(|text| rules(text)).unwrap_or_default());
        }
        found.retain(|(pattern, _)| matches(pattern, path));
        let Some(best) = found.iter().map(|(pattern, _)| specificity(pattern)).max() else {
            return vec!["deny".to_owned()];
        };
        let held: Vec<String> = found
            .into_iter()
            .filter(|(pattern, _)| specificity(pattern) == best)
            .flat_map(|(_, capabilities)| capabilities)
            .collect();
        match held.iter().any(|held| held == "deny") {
            true => vec!["deny".to_owned()],
            false => held,
        }
    }

    /// Whether a write to it is an update. Only a KV's data and what Transit encrypts can be created.
    fn exists(&self, path: &str) -> bool {
        let mut parts = path.splitn(3, '/');
        let (Some(mount), Some("data"), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return true;
        };
        self.mounts.get(&format!("{mount}/")) != Some(&"kv") || self.secrets.contains_key(&format!("{mount}/{name}"))
    }

    // The system.

    fn system(&mut self, caller: &Token, method: &Method, path: &str, input: &Value) -> Answer {
        let engine = |input: &Value| input["type"].as_str().unwrap_or_default().to_owned();
        match (method.as_str(), path) {
            ("GET", "mounts") => data(
                self.mounts
                    .iter()
                    .map(|(mount, engine)| (mount.clone(), json!({ "type": engine, "options": { "version": "2" } })))
                    .collect::<Map<_, _>>()
                    .into(),
            ),
            ("GET", "auth") => data(
                self.auths
                    .iter()
                    .map(|(mount, kind)| (mount.clone(), json!({ "type": kind })))
                    .collect::<Map<_, _>>()
                    .into(),
            ),
            ("POST", "capabilities-self") => {
                let held = input["paths"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(|path| {
                        let held = self.held(caller, path);
                        (path.to_owned(), json!(held))
                    });
                data(held.collect::<Map<_, _>>().into())
            }
            _ => {
                if let (Some(mount), "POST") = (path.strip_prefix("mounts/"), method.as_str()) {
                    let engine = match (engine(input).as_str(), input["options"]["version"].as_str()) {
                        ("kv", Some("2")) | ("kv-v2", _) => "kv",
                        ("transit", _) => "transit",
                        (other, _) => return refused(&format!("the played Vault has no engine {other:?}")),
                    };
                    let mount = format!("{mount}/");
                    if self.mounts.contains_key(&mount) {
                        return refused(&format!("path is already in use at {mount}"));
                    }
                    self.mounts.insert(mount, engine);
                    return nothing();
                }
                if let (Some(mount), "POST") = (path.strip_prefix("auth/"), method.as_str()) {
                    self.auths.insert(format!("{mount}/"), engine(input));
                    return nothing();
                }
                if let Some(name) = path.strip_prefix("policies/acl/") {
                    return match method.as_str() {
                        "PUT" | "POST" => {
                            let text = input["policy"].as_str().unwrap_or_default().to_owned();
                            if rules(&text).is_empty() {
                                return refused("failed to parse policy");
                            }
                            self.policies.insert(name.to_owned(), text);
                            nothing()
                        }
                        "GET" => match self.policies.get(name) {
                            Some(text) => data(json!({ "name": name, "policy": text })),
                            None => not_found(),
                        },
                        _ => not_found(),
                    };
                }
                not_found()
            }
        }
    }

    // Tokens and AppRole.

    fn token(&mut self, clock: &Clock, token: &str, caller: &Token, path: &str, input: &Value) -> Answer {
        let now = clock.millis();
        match path {
            "lookup-self" => {
                let ttl = if caller.period == 0 { 0 } else { (caller.ends_at - now) / 1000 };
                data(json!({
                    "accessor": "a", "creation_time": now / 1000, "creation_ttl": caller.period, "display_name": "token", "entity_id": "",
                    "expire_time": (caller.period > 0).then(|| clock::rfc3339(caller.ends_at)), "explicit_max_ttl": 0, "id": token, "meta": null,
                    "num_uses": 0, "orphan": true, "path": "auth/token/create", "policies": caller.policies, "renewable": caller.renewable,
                    "ttl": ttl, "type": "service",
                }))
            }
            "renew-self" => {
                if !caller.renewable {
                    return refused("lease is not renewable");
                }
                let renewed = Token {
                    ends_at: now + caller.period * 1000,
                    ..caller.clone()
                };
                let auth = granted(token, &renewed);
                self.tokens.insert(token.to_owned(), renewed);
                (StatusCode::OK, envelope(Value::Null, auth))
            }
            "create" => {
                let texts = |name: &str| -> Vec<String> {
                    let found = input[name].as_array().into_iter().flatten();
                    found.filter_map(|text| text.as_str().map(str::to_owned)).collect()
                };
                self.issue(clock, texts("policies"), seconds(&input["ttl"]), input["renewable"] != false)
            }
            "revoke-self" => {
                self.tokens.remove(token);
                nothing()
            }
            _ => not_found(),
        }
    }

    fn issue(&mut self, clock: &Clock, mut policies: Vec<String>, period: i64, renewable: bool) -> Answer {
        policies.insert(0, "default".to_owned());
        let token = format!("hvs.{}", uuid::Uuid::new_v4().simple());
        let made = Token {
            policies,
            period,
            ends_at: if period == 0 { i64::MAX } else { clock.millis() + period * 1000 },
            renewable: renewable && period > 0,
        };
        let auth = granted(&token, &made);
        self.tokens.insert(token, made);
        (StatusCode::OK, envelope(Value::Null, auth))
    }

    fn log_in(&mut self, clock: &Clock, mount: &str, input: &Value) -> Answer {
        if self.auths.get(&format!("{mount}/")).map(String::as_str) != Some("approle") {
            return (StatusCode::FORBIDDEN, denied());
        }
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        let role = self.roles.values().find(|role| role.id == text("role_id")).cloned();
        match role.filter(|role| role.secret_ids.iter().any(|id| id == text("secret_id"))) {
            Some(Role { settings, .. }) => {
                let policies = settings["token_policies"].as_array().into_iter().flatten();
                let policies = policies.filter_map(|text| text.as_str().map(str::to_owned)).collect();
                self.issue(clock, policies, seconds(&settings["token_period"]), true)
            }
            None => refused("invalid role or secret ID"),
        }
    }

    fn approle(&mut self, method: &Method, path: &str, input: &Value) -> Answer {
        let Some(rest) = path.strip_prefix("approle/role/").filter(|_| self.auths.contains_key("approle/")) else {
            return not_found();
        };
        let (name, what) = rest.split_once('/').unwrap_or((rest, ""));
        if let ("", "POST") = (what, method.as_str()) {
            let role = self.roles.entry(name.to_owned()).or_default();
            if role.id.is_empty() {
                role.id = uuid::Uuid::new_v4().to_string();
            }
            role.settings = input.clone();
            return nothing();
        }
        let Some(role) = self.roles.get_mut(name) else { return not_found() };
        match (what, method.as_str()) {
            ("", "GET") => data(role.settings.clone()),
            ("role-id", "GET") => data(json!({ "role_id": role.id })),
            ("secret-id", "POST" | "PUT") => {
                let id = uuid::Uuid::new_v4().to_string();
                role.secret_ids.push(id.clone());
                data(
                    json!({ "secret_id": id, "secret_id_accessor": uuid::Uuid::new_v4().to_string(), "secret_id_num_uses": 0, "secret_id_ttl": 0 }),
                )
            }
            ("secret-id/lookup", "POST" | "PUT") => match role.secret_ids.iter().any(|id| input["secret_id"] == **id) {
                true => data(json!({ "secret_id_num_uses": 0, "secret_id_ttl": 0 })),
                false => nothing(),
            },
            _ => not_found(),
        }
    }

    // KV, version 2.

    #[allow(clippy::too_many_arguments, reason = "what a request is made of")]
    fn kv(&mut self, clock: &Clock, method: &Method, lists: bool, mount: &str, path: &str, query: &str, input: &Value) -> Answer {
        if path == "config" {
            return data(json!({ "max_versions": 0, "cas_required": false, "delete_version_after": "0s" }));
        }
        let Some((what, name)) = path.split_once('/') else {
            return not_found();
        };
        let key = format!("{mount}{name}");
        let about = |version: usize, secret: &Secret| {
            json!({
                "version": version, "created_time": clock::rfc3339(clock.millis()), "custom_metadata": null,
                "deletion_time": if secret.deleted[version - 1] { clock::rfc3339(clock.millis()) } else { String::new() },
                "destroyed": secret.versions[version - 1].is_none(),
            })
        };
        match (what, method.as_str()) {
            ("metadata", _) if lists => {
                let under = format!("{}/", key.trim_end_matches('/'));
                let mut names: Vec<String> = self
                    .secrets
                    .keys()
                    .filter_map(|key| key.strip_prefix(&under))
                    .map(|rest| match rest.split_once('/') {
                        Some((folder, _)) => format!("{folder}/"),
                        None => rest.to_owned(),
                    })
                    .collect();
                names.dedup();
                if names.is_empty() {
                    return not_found();
                }
                data(json!({ "keys": names }))
            }
            ("data", "POST" | "PUT") => {
                let secret = self.secrets.entry(key).or_default();
                let newest = secret.versions.len();
                if let Some(cas) = input["options"]["cas"].as_u64()
                    && cas != newest as u64
                {
                    return refused("check-and-set parameter did not match the current version");
                }
                if !input["data"].is_object() {
                    return refused("no data provided");
                }
                secret.versions.push(Some(input["data"].clone()));
                secret.deleted.push(false);
                data(about(newest + 1, secret))
            }
            ("data", "GET") => {
                let Some(secret) = self.secrets.get(&key).filter(|secret| !secret.versions.is_empty()) else {
                    return not_found();
                };
                let asked = query.split('&').find_map(|pair| pair.strip_prefix("version="));
                let version = match asked.map(str::parse::<usize>) {
                    None | Some(Ok(0)) => secret.versions.len(),
                    Some(Ok(version)) if version <= secret.versions.len() => version,
                    _ => return not_found(),
                };
                let held = secret.versions[version - 1].clone().filter(|_| !secret.deleted[version - 1]);
                let status = if held.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                (
                    status,
                    envelope(json!({ "data": held, "metadata": about(version, secret) }), Value::Null),
                )
            }
            ("data", "DELETE") => {
                if let Some(secret) = self.secrets.get_mut(&key)
                    && let Some(newest) = secret.deleted.last_mut()
                {
                    *newest = true;
                }
                nothing()
            }
            ("delete" | "undelete" | "destroy", "POST" | "PUT") => {
                let Some(secret) = self.secrets.get_mut(&key) else {
                    return nothing();
                };
                for version in input["versions"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
                    let Some(index) = (version as usize).checked_sub(1).filter(|index| *index < secret.versions.len()) else {
                        continue;
                    };
                    match what {
                        "destroy" => secret.versions[index] = None,
                        _ => secret.deleted[index] = what == "delete",
                    }
                }
                nothing()
            }
            ("metadata", "GET") => match self.secrets.get(&key) {
                Some(secret) => {
                    let versions: Map<_, _> = (1..=secret.versions.len())
                        .map(|version| (version.to_string(), about(version, secret)))
                        .collect();
                    data(json!({
                        "cas_required": false, "created_time": "", "current_version": secret.versions.len(), "custom_metadata": null,
                        "delete_version_after": "0s", "max_versions": 0, "oldest_version": 0, "updated_time": "", "versions": versions,
                    }))
                }
                None => not_found(),
            },
            ("metadata", "DELETE") => {
                self.secrets.remove(&key);
                nothing()
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, json!({ "errors": ["unsupported operation"] })),
        }
    }

    // Transit.

    fn transit(&mut self, method: &Method, path: &str, input: &Value) -> Answer {
        let parts: Vec<&str> = path.split('/').collect();
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        match (parts.as_slice(), method.as_str()) {
            (["keys", name], "POST" | "PUT") => {
                self.keys.entry((*name).to_owned()).or_insert_with(|| vec![random()]);
                nothing()
            }
            (["keys", name], "GET") => match self.keys.get(*name) {
                Some(versions) => {
                    let shown: Map<_, _> = (1..=versions.len()).map(|version| (version.to_string(), json!(0))).collect();
                    data(json!({
                        "type": "aes256-gcm96", "name": name, "keys": shown, "latest_version": versions.len(),
                        "min_decryption_version": self.least_decryption, "min_encryption_version": 0, "deletion_allowed": false, "exportable": false,
                    }))
                }
                None => not_found(),
            },
            (["keys", name, "rotate"], "POST" | "PUT") => match self.keys.get_mut(*name) {
                Some(versions) => {
                    versions.push(random());
                    nothing()
                }
                None => refused("no existing key to rotate"),
            },
            (["encrypt", name], "POST" | "PUT") => match BASE64.decode(text("plaintext")) {
                Ok(plain) => self.encrypted(name, &plain).map_or_else(
                    || refused("encryption key not found"),
                    |made| data(json!({ "ciphertext": made, "key_version": 1 })),
                ),
                Err(_) => refused("failed to base64-decode plaintext"),
            },
            (["datakey", "plaintext", name], "POST" | "PUT") => {
                let key = random();
                match self.encrypted(name, &key) {
                    Some(made) => data(json!({ "ciphertext": made, "plaintext": BASE64.encode(key), "key_version": 1 })),
                    None => refused("encryption key not found"),
                }
            }
            (["decrypt", name], "POST" | "PUT") => match self.decrypted(name, text("ciphertext")) {
                Ok(plain) => data(json!({ "plaintext": BASE64.encode(plain) })),
                Err(words) => refused(words),
            },
            (["rewrap", name], "POST" | "PUT") => match self.decrypted(name, text("ciphertext")) {
                Ok(plain) => data(json!({ "ciphertext": self.encrypted(name, &plain), "key_version": 1 })),
                Err(words) => refused(words),
            },
            _ => not_found(),
        }
    }

    fn encrypted(&self, name: &str, plain: &[u8]) -> Option<String> {
        let versions = self.keys.get(name)?;
        let nonce: [u8; 32] = random();
        let nonce: [u8; 24] = nonce[..24].try_into().unwrap();
        let cipher = XChaCha20Poly1305::new(versions.last()?.into());
        let text = cipher.encrypt(&XNonce::from(nonce), plain).unwrap();
        Some(format!("vault:v{}:{}", versions.len(), BASE64.encode([&nonce[..], &text].concat())))
    }

    fn decrypted(&self, name: &str, text: &str) -> Result<Vec<u8>, &'static str> {
        let versions = self.keys.get(name).ok_or("encryption key not found")?;
        let rest = text.strip_prefix("vault:v").ok_or("invalid ciphertext: no prefix")?;
        let (version, text) = rest.split_once(':').ok_or("invalid ciphertext: wrong number of fields")?;
        let version: usize = version
            .parse()
            .map_err(|_| "invalid ciphertext: version number could not be decoded")?;
        if version < self.least_decryption {
            return Err("ciphertext or signature version is disallowed by policy (too old)");
        }
        let key = version
            .checked_sub(1)
            .and_then(|index| versions.get(index))
            .ok_or("invalid ciphertext: version is too new")?;
        let bytes = BASE64.decode(text).map_err(|_| "invalid ciphertext: could not decode base64")?;
        let (nonce, text) = bytes.split_at_checked(24).ok_or("invalid ciphertext: could not decrypt")?;
        let nonce: [u8; 24] = nonce.try_into().unwrap();
        let cipher = XChaCha20Poly1305::new(key.into());
        cipher
            .decrypt(&XNonce::from(nonce), text)
            .map_err(|_| "cipher: message authentication failed")
    }
}

fn granted(token: &str, made: &Token) -> Value {
    json!({
        "client_token": token, "accessor": "a", "policies": made.policies, "token_policies": made.policies, "metadata": null,
        "lease_duration": made.period, "renewable": made.renewable, "entity_id": "", "token_type": "service", "orphan": true, "mfa_requirement": null, "num_uses": 0,
    })
}

/// A duration as the API takes it: `"1h"`, `"30s"`, `3600`.
fn seconds(value: &Value) -> i64 {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.chars().last()),
        None => (text.as_str(), None),
    };
    let number: i64 = number.parse().unwrap_or_default();
    number
        * match unit {
            Some('h') => 3600,
            Some('m') => 60,
            _ => 1,
        }
}

fn random() -> [u8; 32] {
    let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    [*one.as_bytes(), *two.as_bytes()].concat().try_into().unwrap()
}

/// The rules of a policy in HCL: each pattern with its capabilities. What is no rule makes it none at all.
fn rules(text: &str) -> Vec<(String, Vec<String>)> {
    let text: String = text
        .lines()
        .map(|line| line.split_once('#').map_or(line, |(before, _)| before))
        .collect::<Vec<_>>()
        .join(" ");
    let mut rules = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let quoted = |text: &str| Some(text.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let rule = rest
            .strip_prefix("path")
            .and_then(|rest| rest.split_once('{'))
            .and_then(|(path, rest)| {
                let (body, rest) = rest.split_once('}')?;
                let list = body.trim().strip_prefix("capabilities")?.trim().strip_prefix('=')?.trim();
                let list = list.strip_prefix('[')?.strip_suffix(']')?;
                let capabilities = list.split(',').map(quoted).collect::<Option<Vec<_>>>()?;
                Some((quoted(path)?, capabilities, rest.trim()))
            });
        let Some((path, capabilities, left)) = rule else {
            return Vec::new();
        };
        rules.push((path, capabilities));
        rest = left;
    }
    rules
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, open) = pattern.strip_suffix('*').map_or((pattern, false), |begin| (begin, true));
    let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    let last = wanted.len() - 1;
    if given.len() < wanted.len() || (!open && given.len() != wanted.len()) {
        return false;
    }
    wanted
        .iter()
        .zip(&given)
        .enumerate()
        .all(|(index, (part, given))| *part == "+" || part == given || (open && index == last && given.starts_with(part)))
}

/// Which pattern goes before another (developer.hashicorp.com/vault/docs/concepts/policies#priority-matching): the one whose first
/// wildcard comes later, that does not end with one, that has fewer `+`, that is longer.
fn specificity(pattern: &str) -> (usize, bool, isize, usize) {
    let first = pattern.find(['+', '*']).unwrap_or(usize::MAX);
    let pluses = pattern.split('/').filter(|part| *part == "+").count();
    (first, !pattern.ends_with('*'), -(pluses as isize), pattern.len())
}
