//! A running gateway and its users: the real server on a free port, its own database, and callers who are the clients.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use smartermcp::{
    backends,
    clock::Clock,
    config::{Config, Dns, Secret},
    serve::Server,
    state::State,
    tool::Catalogue,
};
use sqlx::Connection as _;

use crate::{servers, vendors::Vendors};

/// The operator's token of every test server.
pub const OPERATOR: &str = "operator-token-of-the-tests-0123456789";
/// All scopes of a tenant's business.
pub const BUSINESS: &[&str] = &[
    "write:services",
    "write:workflows",
    "read:analytics",
    "write:crm",
    "read:support",
    "write:bots",
];

/// A running gateway. Dropped, it is aborted; [`App::stop`] stops it as an operator would.
pub struct App {
    pub server: Option<Server>,
    pub state: Arc<State>,
    pub address: SocketAddr,
    pub vendors: Vendors,
    pub clock: Clock,
    folder: PathBuf,
    http: reqwest::Client,
    keep_folder: bool,
}

impl App {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings of the test's own.
    pub async fn with(set: impl FnOnce(&mut Config)) -> Self {
        Self::with_catalogue(set, backends::catalogue()).await
    }

    pub async fn with_catalogue(set: impl FnOnce(&mut Config), catalogue: Catalogue) -> Self {
        let folder = std::env::temp_dir().join(format!("smartermcp-test-{}", uuid::Uuid::new_v4()));
        Self::in_folder(folder, set, catalogue).await
    }

    /// Over a folder that may have been used before: a restart.
    pub async fn in_folder(folder: PathBuf, set: impl FnOnce(&mut Config), catalogue: Catalogue) -> Self {
        let vendors = Vendors::start().await;
        let mut config = Config::embedded(&folder);
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.admin_token = Some(Secret::new(OPERATOR));
        config.shutdown = Duration::from_secs(5);
        // Every name of a test leads to the server that plays the vendors; addresses of this machine are allowed for that.
        config.network.allow = vec!["127.0.0.1/32".parse().unwrap()];
        config.network.dns = Dns::Table(Arc::new(|_| vec![[127, 0, 0, 1].into()]));
        servers::put_on(&mut config, &folder).await;
        set(&mut config);
        let clock = Clock::default();
        let server = Server::start(config, catalogue, clock.clone())
            .await
            .expect("the test server starts");
        Self {
            state: Arc::clone(&server.state),
            address: server.address,
            server: Some(server),
            vendors,
            clock,
            folder,
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            keep_folder: false,
        }
    }

    /// One more gateway over the same database, Redis, key and clock.
    pub async fn replica(&self) -> Self {
        let mut config = self.state.config.clone();
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(config, backends::catalogue(), self.clock.clone())
            .await
            .expect("a replica starts");
        Self {
            state: Arc::clone(&server.state),
            address: server.address,
            server: Some(server),
            vendors: self.vendors.clone(),
            clock: self.clock.clone(),
            folder: self.folder.clone(),
            http: self.http.clone(),
            keep_folder: true,
        }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Stops as SIGTERM does, and leaves the folder for the next start.
    pub async fn stop(mut self) -> PathBuf {
        self.keep_folder = true;
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        self.folder.clone()
    }

    /// Nobody: no token.
    pub fn nobody(&self) -> User {
        self.user_of("")
    }

    pub fn operator(&self) -> User {
        self.user_of(OPERATOR)
    }

    pub fn user_of(&self, token: &str) -> User {
        User {
            base: self.base(),
            token: token.to_owned(),
            http: self.http.clone(),
            headers: HeaderMap::new(),
        }
    }

    /// A tenant of this slug, made by the operator.
    pub async fn tenant(&self, slug: &str) -> Tenant {
        let made = self.operator().post("/api/v1/tenants", json!({ "name": slug, "slug": slug })).await;
        made.assert_status(201);
        Tenant {
            id: made.json["id"].as_str().unwrap().to_owned(),
            slug: slug.to_owned(),
        }
    }

    /// A user with a token of this tenant and these scopes.
    pub async fn user(&self, tenant: &Tenant, scopes: &[&str]) -> User {
        self.user_with(tenant, scopes, json!({})).await
    }

    /// The same, with more said at issuance: `agent`, `limits`, `expires_in`.
    pub async fn user_with(&self, tenant: &Tenant, scopes: &[&str], more: Value) -> User {
        let issued = self.issue(tenant, scopes, more).await;
        self.user_of(issued["api_token"].as_str().unwrap())
    }

    /// What the issuance of a token answered.
    pub async fn issue(&self, tenant: &Tenant, scopes: &[&str], more: Value) -> Value {
        let mut body = json!({ "name": "test", "scopes": scopes, "tenant_id": tenant.id });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let issued = self.operator().post("/auth/token", body).await;
        issued.assert_status(201);
        issued.json
    }

    /// Connects the tenant to an address as its n8n.
    pub async fn connect_n8n(&self, tenant: &Tenant, url: &str, api_key: &str) {
        self.connect(tenant, url, json!({ "api_key": api_key })).await;
    }

    pub async fn connect(&self, tenant: &Tenant, url: &str, credential: Value) {
        self.operator()
            .for_tenant(&tenant.id)
            .put("/api/v1/connections/n8n", json!({ "url": url, "credential": credential }))
            .await
            .assert_status(200);
    }

    /// A tenant that is connected to a played n8n of its own, and a user with the scopes of its business.
    pub async fn business(&self, slug: &str) -> (Tenant, User, smartermcp::sandbox::n8n::Sandbox) {
        let tenant = self.tenant(slug).await;
        let key = format!("key-of-{slug}");
        let (url, sandbox) = self.vendors.n8n(slug, &key);
        self.connect_n8n(&tenant, &url, &key).await;
        let user = self.user(&tenant, BUSINESS).await;
        (tenant, user, sandbox)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if !self.keep_folder {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: String,
    pub slug: String,
}

/// Somebody with a token, who is the client.
#[derive(Clone)]
pub struct User {
    pub base: String,
    pub token: String,
    http: reqwest::Client,
    headers: HeaderMap,
}

impl User {
    /// The same user, naming a tenant by `X-Tenant-ID`.
    pub fn for_tenant(&self, tenant: &str) -> Self {
        self.with_header("x-tenant-id", tenant)
    }

    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut user = self.clone();
        user.headers.insert(name, value.parse().unwrap());
        user
    }

    /// The same user, sending an idempotency key.
    pub fn with_key(&self, key: &str) -> Self {
        self.with_header("idempotency-key", key)
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// Any request, with the user's token; a body goes as JSON.
    pub async fn send(&self, method: Method, path: &str, body: Option<String>) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.headers(self.headers.clone());
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        Reply::read(request.send().await.expect("the gateway answers")).await
    }

    /// A JSON-RPC request of a 2025-11-25 client.
    pub async fn mcp(&self, method: &str, params: Value) -> Reply {
        self.with_header("mcp-protocol-version", "2025-11-25")
            .mcp_raw(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string())
            .await
    }

    /// The same of a 2026-07-28 client.
    pub async fn mcp_modern(&self, method: &str, mut params: Value) -> Reply {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let mut user = self
            .with_header("mcp-protocol-version", "2026-07-28")
            .with_header("mcp-method", method);
        if let Some(name) = params["name"].as_str() {
            user = user.with_header("mcp-name", name);
        }
        user.mcp_raw(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string())
            .await
    }

    /// Any body to `/mcp`.
    pub async fn mcp_raw(&self, body: &str) -> Reply {
        let user = self.with_header("accept", "application/json, text/event-stream");
        user.send(Method::POST, "/mcp", Some(body.to_owned())).await
    }

    /// `tools/call` of a 2025-11-25 client.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        self.mcp("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// `tools/call` of a 2026-07-28 client.
    pub async fn call_modern(&self, tool: &str, arguments: Value) -> Reply {
        self.mcp_modern("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }
}

/// What the gateway answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// Null where the body is no JSON.
    pub json: Value,
}

impl Reply {
    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the whole answer arrives");
        Self {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// A problem of this status and code (RFC 9457).
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) -> &Self {
        self.assert_status(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(self.json["code"], code, "{}", self.text);
        assert_eq!(self.json["status"], status, "{}", self.text);
        self
    }

    /// A JSON-RPC error of this code, and nothing else.
    #[track_caller]
    pub fn assert_rpc_error(&self, code: i64) -> &Self {
        assert_eq!(self.json["error"]["code"], code, "{}", self.text);
        assert!(self.json.get("result").is_none(), "{}", self.text);
        self
    }

    /// The structured content of a tool result that is no error.
    #[track_caller]
    pub fn content(&self) -> &Value {
        self.assert_status(200);
        assert_eq!(self.json["result"]["isError"], false, "{}", self.text);
        &self.json["result"]["structuredContent"]
    }

    /// The text of a tool result that is an error.
    #[track_caller]
    pub fn tool_error(&self) -> &str {
        self.assert_status(200);
        assert_eq!(self.json["result"]["isError"], true, "{}", self.text);
        self.json["result"]["content"][0]["text"].as_str().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the tests of tokens, limits and secrets need besides.
impl User {
    /// A user of a gateway at any address, e.g. one that runs as a process of its own.
    pub fn at(base: &str, token: &str) -> Self {
        // No server of this process may have done it yet.
        smartermcp::serve::install_crypto();
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            headers: HeaderMap::new(),
        }
    }

    /// POST with a body and no Content-Type, as the owner's curl sends it.
    pub async fn post_untyped(&self, path: &str, body: &str) -> Reply {
        let request = self.http.post(format!("{}{path}", self.base)).headers(self.headers.clone());
        let request = request.bearer_auth(&self.token).body(body.to_owned());
        Reply::read(request.send().await.expect("the gateway answers")).await
    }

    /// The names of the tools that this user sees through MCP.
    pub async fn tools(&self) -> Vec<String> {
        let listed = self.mcp("tools/list", json!({})).await;
        listed.assert_status(200);
        let tools = listed.json["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl App {
    /// A tenant made with more than a slug: `plan`, `time_zone`, …
    pub async fn tenant_with(&self, slug: &str, more: Value) -> Tenant {
        let mut body = json!({ "name": slug, "slug": slug });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.operator().post("/api/v1/tenants", body).await;
        made.assert_status(201);
        Tenant {
            id: made.json["id"].as_str().unwrap().to_owned(),
            slug: slug.to_owned(),
        }
    }

    /// A tenant with its own n8n, made with more than a slug.
    pub async fn business_with(&self, slug: &str, more: Value) -> (Tenant, User, smartermcp::sandbox::n8n::Sandbox) {
        let tenant = self.tenant_with(slug, more).await;
        let key = format!("key-of-{slug}");
        let (url, sandbox) = self.vendors.n8n(slug, &key);
        self.connect_n8n(&tenant, &url, &key).await;
        let user = self.user(&tenant, BUSINESS).await;
        (tenant, user, sandbox)
    }

    /// SQL over the database, past the gateway. Answers how many rows it touched.
    pub async fn sql(&self, statement: &'static str) -> u64 {
        sql(&self.folder, statement).await
    }
}

/// SQL over the database of a folder.
pub async fn sql(folder: &std::path::Path, statement: &'static str) -> u64 {
    let mut connection = servers::past_the_gateway(folder).await;
    let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

// What the tests of the doors and of the backends need besides.

impl App {
    /// A user whose token's own limits stand in no test's way. The tenant's remain.
    pub async fn tireless(&self, tenant: &Tenant, scopes: &[&str]) -> User {
        let wide = json!({ "general": { "per_minute": 100_000, "per_hour": 1_000_000, "burst": 100_000 }, "categories": { "workflows": { "per_minute": 6_000 } } });
        self.user_with(tenant, scopes, json!({ "limits": wide })).await
    }

    /// The newest audit entries of a tenant's tool, as the operator sees them.
    pub async fn audited(&self, tenant: &Tenant, tool: &str) -> Vec<Value> {
        let listed = self
            .operator()
            .for_tenant(&tenant.id)
            .get(&format!("/api/v1/audit?tool={tool}"))
            .await;
        listed.assert_status(200);
        listed.json["entries"].as_array().unwrap().clone()
    }
}

impl User {
    /// A request with the token and exactly these headers beside it, and any bytes as its body.
    pub async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Reply {
        let response = self.begin(method, path, headers, body).await;
        Reply::read(response.expect("the gateway answers")).await
    }

    /// The same up to the head of the answer, whose body is then read by the test.
    pub async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        request.send().await
    }
}

impl Reply {
    /// The JSON-RPC messages of an answer: one for each event of a stream, or the body itself.
    pub fn messages(&self) -> Vec<Value> {
        if self.header("content-type").starts_with("text/event-stream") {
            let data = self.text.lines().filter_map(|line| line.strip_prefix("data:"));
            data.map(|data| serde_json::from_str(data).expect("each event is JSON")).collect()
        } else {
            vec![self.json.clone()]
        }
    }
}

/// One number that SQL over the database of a folder answers.
pub async fn sql_number(folder: &std::path::Path, query: &'static str) -> i64 {
    let mut connection = servers::past_the_gateway(folder).await;
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

/// Whether a text stands in any file of a folder (the database, its journal, the key) or in its database elsewhere.
pub async fn folder_holds(folder: &std::path::Path, text: &str) -> bool {
    if servers::given() && servers::database_holds(folder, text).await {
        return true;
    }
    std::fs::read_dir(folder).unwrap().any(|file| {
        let path = file.unwrap().path();
        path.is_file()
            && std::fs::read(&path)
                .unwrap()
                .windows(text.len())
                .any(|window| window == text.as_bytes())
    })
}
