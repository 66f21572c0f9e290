//! A played Docker, from the documents of the Engine API 1.41: containers, images and pulls in memory, and what can go wrong.
//! It is no Docker: what a real one was seen to do is in `docs/real-runs.md`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::Request,
    response::{Html, IntoResponse as _, Response},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Of the played host, in bytes.
const MEMORY: u64 = 8_000_000_000;

/// A Docker in memory. Clones share everything.
#[derive(Clone)]
pub struct Docker(Arc<Mutex<Engine>>);

pub struct Engine {
    pub containers: Vec<Container>,
    /// What is here, by `repository:tag`.
    pub images: HashMap<String, Image>,
    /// What the registry has.
    pub registry: HashMap<String, Image>,
    pub api: (&'static str, &'static str),
    /// What every request meets.
    pub fault: Fault,
    /// Each request, as `METHOD /path?query`, without the version.
    pub calls: Vec<String>,
    /// The version that each path began with.
    pub versions: HashSet<String>,
    /// `X-Registry-Auth` of each pull, empty where there was none.
    pub logins: Vec<String>,
    made: u64,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    Status(u16),
    Html,
    /// The filter of a list is passed over: everybody's containers come.
    NoFilter,
    /// Pulls answer 200 and fail in their last line.
    PullErrorLine,
    /// A frame of a log promises more than comes.
    LyingFrame,
    /// What is no frame.
    NoFrames,
    /// Starting a container of this name fails with 500, once, as when its port is taken.
    StartFails(&'static str),
    /// Removing the container of this name fails.
    RemoveFails(&'static str),
    /// From this path on, every request fails with 503: the gateway cannot turn back.
    DownFrom(&'static str),
}

#[derive(Clone, Default)]
pub struct Image {
    pub id: String,
    /// Whether the health check of its containers says that they are well; `None` for no check.
    pub gets_well: Option<bool>,
    /// Its containers end at once, with exit code 1.
    pub exits: bool,
    pub config: Value,
}

impl Image {
    pub fn new(id: &str) -> Self {
        Self {
            id: format!("sha256:{id}"),
            config: json!({ "Env": ["PATH=/bin"], "Cmd": ["/run"] }),
            ..Self::default()
        }
    }

    pub fn well(mut self, well: bool) -> Self {
        self.gets_well = Some(well);
        self.config["Healthcheck"] = json!({ "Test": ["CMD", "/check", self.id] });
        self
    }

    pub fn exits(mut self) -> Self {
        self.exits = true;
        self
    }
}

#[derive(Clone)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub image: Image,
    pub config: Map<String, Value>,
    pub host_config: Value,
    pub networks: Value,
    pub mounts: Value,
    pub state: &'static str,
    pub exit_code: i64,
    pub health: Option<&'static str>,
    pub started: jiff::Timestamp,
    pub ports: Value,
    /// The stream, the moment and the text of each line.
    pub log: Vec<(u8, String, String)>,
    /// What is written while a log is followed.
    pub log_later: Vec<String>,
    pub restarts: u32,
}

impl Container {
    pub fn label(&mut self, name: &str, value: &str) {
        self.config["Labels"][name] = value.into();
    }

    pub fn labelled(&self, name: &str) -> &str {
        self.config["Labels"][name].as_str().unwrap_or_default()
    }

    pub fn says(&mut self, second: u32, text: &str) {
        let at = format!("2026-11-21T03:00:{second:02}.000000000Z");
        self.log.push((1, at, text.to_owned()));
    }

    fn start(&mut self) {
        self.state = if self.image.exits { "exited" } else { "running" };
        self.exit_code = i64::from(self.image.exits);
        self.started = jiff::Timestamp::now();
        self.health = self
            .image
            .gets_well
            .map(|well| if well { "healthy" } else { "unhealthy" })
            .filter(|_| self.state == "running");
    }

    fn stop(&mut self) {
        if self.state == "running" {
            (self.state, self.exit_code, self.health) = ("exited", 0, None);
        }
    }

    fn status(&self) -> String {
        match (self.state, self.health) {
            ("running", None) => "Up 5 minutes".to_owned(),
            ("running", Some("starting")) => "Up 1 second (health: starting)".to_owned(),
            ("running", Some(health)) => format!("Up 5 minutes ({health})"),
            ("exited", _) => format!("Exited ({}) 2 minutes ago", self.exit_code),
            (state, _) => state.to_owned(),
        }
    }

    fn listed(&self) -> Value {
        json!({
            "Id": self.id, "Names": [format!("/{}", self.name)], "Image": self.config["Image"], "ImageID": self.image.id,
            "State": self.state, "Status": self.status(), "Labels": self.config["Labels"], "Ports": self.ports, "Created": 1_790_000_000,
        })
    }

    fn inspected(&self) -> Value {
        let health = self
            .health
            .map(|status| json!({ "Status": status, "FailingStreak": 1, "Log": [{ "ExitCode": 1, "Output": "cannot connect\n" }] }));
        let mut state = json!({
            "Status": self.state, "Running": self.state == "running", "Paused": false, "Restarting": self.state == "restarting",
            "OOMKilled": false, "Dead": false, "ExitCode": self.exit_code, "Error": "",
            "StartedAt": self.started.to_string(), "FinishedAt": "0001-01-01T00:00:00Z",
        });
        if let Some(health) = health {
            state["Health"] = health;
        }
        json!({
            "Id": self.id, "Name": format!("/{}", self.name), "Image": self.image.id, "State": state, "Config": self.config,
            "HostConfig": self.host_config, "NetworkSettings": { "Networks": self.networks }, "Mounts": self.mounts, "RestartCount": 0,
        })
    }
}

impl Default for Docker {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Engine {
            containers: Vec::new(),
            images: HashMap::new(),
            registry: HashMap::new(),
            api: ("1.41", "1.12"),
            fault: Fault::None,
            calls: Vec::new(),
            versions: HashSet::new(),
            logins: Vec::new(),
            made: 0,
        })))
    }
}

impl Docker {
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes and starts a container of a tenant, and answers its id.
    pub fn run(&self, tenant: &str, name: &str, image: (&str, Image), set: impl FnOnce(&mut Container)) -> String {
        let mut engine = self.engine();
        engine.images.insert(image.0.to_owned(), image.1);
        let labels = json!({ "smarteros.tenant": tenant });
        let id = engine.create(name, &json!({ "Image": image.0, "Labels": labels, "HostConfig": {} }));
        if let Some(container) = engine.container_mut(&id) {
            container.start();
            set(container);
        }
        id
    }

    /// One of a service that is a backend.
    pub fn run_service(&self, tenant: &str, service: &str, name: &str, image: (&str, Image)) -> String {
        self.run(tenant, name, image, |container| {
            container.label("smarteros.service", service);
            container.label("smarteros.type", "backend");
        })
    }

    pub fn fails(&self, fault: Fault) {
        self.engine().fault = fault;
    }

    /// The names of the containers and what they are of.
    pub fn names(&self) -> Vec<(String, String, &'static str)> {
        let engine = self.engine();
        let mut names: Vec<_> = engine
            .containers
            .iter()
            .map(|container| (container.name.clone(), container.image.id.clone(), container.state))
            .collect();
        names.sort();
        names
    }

    /// Calls that change something, in their order.
    pub fn writes(&self) -> Vec<String> {
        let engine = self.engine();
        engine.calls.iter().filter(|call| !call.starts_with("GET")).cloned().collect()
    }

    pub fn router(&self) -> Router {
        let docker = self.clone();
        Router::new().fallback(move |request: Request| {
            let docker = docker.clone();
            async move { docker.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, 1024 * 1024).await else {
            return refuse(413, "the body is too large");
        };
        let query: HashMap<String, String> = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        let full = parts.uri.path();
        let (version, path) = match full.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
            Some((minor, path)) => (format!("1.{minor}"), format!("/{path}")),
            None => (String::new(), full.to_owned()),
        };
        let mut engine = self.engine();
        if !version.is_empty() {
            engine.versions.insert(version);
        }
        engine
            .calls
            .push(format!("{} {path}?{}", parts.method, parts.uri.query().unwrap_or_default()));
        match &engine.fault {
            Fault::Status(status) => return refuse(*status, "it is not well"),
            Fault::Html => return Html("<html>sign in</html>").into_response(),
            Fault::DownFrom(from) if path.contains(from) => engine.fault = Fault::Status(503),
            _ => {}
        }
        if engine.fault == Fault::Status(503) {
            return refuse(503, "it is away");
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match (&parts.method, &segments[..]) {
            (&Method::GET, ["version"]) => {
                Json(json!({ "Version": "20.10.24", "ApiVersion": engine.api.0, "MinAPIVersion": engine.api.1 })).into_response()
            }
            (&Method::GET, ["containers", "json"]) => Json(engine.list(&query)).into_response(),
            (&Method::GET, ["images", name @ .., "json"]) => engine.image(&name.join("/")),
            (&Method::POST, ["images", "create"]) => {
                let login = parts
                    .headers
                    .get("x-registry-auth")
                    .map_or("", |value| value.to_str().unwrap_or_default());
                engine.logins.push(login.to_owned());
                engine.pull(&format!("{}:{}", query["fromImage"], query["tag"]))
            }
            (&Method::POST, ["containers", "create"]) => {
                let name = &query["name"];
                if engine.containers.iter().any(|container| container.name == *name) {
                    return refuse(409, "Conflict. The container name is already in use");
                }
                if !engine.images.contains_key(text(&body["Image"])) {
                    return refuse(404, "No such image");
                }
                let id = engine.create(name, &body);
                (StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": [] }))).into_response()
            }
            (&Method::GET, ["info"]) => Json(json!({ "NCPU": 4, "MemTotal": MEMORY, "ServerVersion": "20.10.24" })).into_response(),
            (&Method::POST, ["networks", _, "connect"]) => StatusCode::OK.into_response(),
            (method, ["containers", id, rest @ ..]) => engine.of_container(method, id, rest, &query),
            _ => refuse(404, "page not found"),
        }
    }
}

impl Engine {
    pub fn container_mut(&mut self, id: &str) -> Option<&mut Container> {
        self.containers
            .iter_mut()
            .find(|container| container.id.starts_with(id) || container.name == id)
    }

    pub fn named(&mut self, name: &str) -> &mut Container {
        self.container_mut(name).expect("a container of this name")
    }

    fn create(&mut self, name: &str, body: &Value) -> String {
        self.made += 1;
        let id = format!("{:064x}", u128::from(self.made) * 0x1_0000_0001_0000_0001_0000_0001);
        let mut config = body.as_object().cloned().unwrap_or_default();
        let host_config = config.remove("HostConfig").unwrap_or_default();
        config.remove("NetworkingConfig");
        let image = self.images.get(text(&body["Image"])).cloned().unwrap_or_default();
        // Docker fills in what the image says.
        for (field, value) in image.config.as_object().into_iter().flatten() {
            match config.get_mut(field) {
                None => {
                    config.insert(field.clone(), value.clone());
                }
                Some(Value::Array(own)) if field == "Env" => own.extend(value.as_array().into_iter().flatten().cloned()),
                Some(_) => {}
            }
        }
        config.insert("Hostname".to_owned(), id[..12].into());
        self.containers.push(Container {
            id: id.clone(),
            name: name.to_owned(),
            image,
            config,
            host_config,
            networks: json!({ "bridge": { "Aliases": null } }),
            mounts: json!([]),
            state: "created",
            exit_code: 0,
            health: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            ports: json!([]),
            log: Vec::new(),
            log_later: Vec::new(),
            restarts: 0,
        });
        id
    }

    fn list(&self, query: &HashMap<String, String>) -> Vec<Value> {
        let filters: Value = serde_json::from_str(query.get("filters").map_or("{}", String::as_str)).unwrap_or_default();
        let labels: Vec<_> = filters["label"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let takes = |container: &&Container| {
            self.fault == Fault::NoFilter
                || labels.iter().all(|label| {
                    let (name, value) = label.split_once('=').unwrap_or((label, ""));
                    container.labelled(name) == value
                })
        };
        self.containers.iter().filter(takes).map(Container::listed).collect()
    }

    fn image(&self, name: &str) -> Response {
        let found = self
            .images
            .get(name)
            .or_else(|| self.images.values().find(|image| image.id == name));
        match found {
            Some(image) => Json(json!({ "Id": image.id, "Config": image.config, "Size": 1 })).into_response(),
            None => refuse(404, &format!("No such image: {name}")),
        }
    }

    fn pull(&mut self, reference: &str) -> Response {
        let missing = format!("manifest for {reference} not found: manifest unknown");
        if self.fault == Fault::PullErrorLine {
            let report = format!(
                "{}\n{}\n",
                json!({ "status": format!("Pulling from {reference}") }),
                json!({ "errorDetail": { "message": missing }, "error": missing })
            );
            return report.into_response();
        }
        match self.registry.get(reference).cloned() {
            Some(image) => {
                self.images.insert(reference.to_owned(), image);
                "{\"status\":\"Pulling\"}\r\n{\"status\":\"Status: Downloaded newer image\"}\r\n".into_response()
            }
            None => refuse(404, &missing),
        }
    }

    fn of_container(&mut self, method: &Method, id: &str, rest: &[&str], query: &HashMap<String, String>) -> Response {
        let fault = self.fault.clone();
        if let (&Method::POST, ["rename"]) = (method, rest)
            && self.containers.iter().any(|container| container.name == query["name"])
        {
            return refuse(409, "Conflict. The container name is already in use");
        }
        let Some(container) = self.container_mut(id) else {
            return refuse(404, &format!("No such container: {id}"));
        };
        match (method, rest) {
            (&Method::GET, ["json"]) => Json(container.inspected()).into_response(),
            (&Method::GET, ["logs"]) => logs(container, query, &fault),
            (&Method::POST, ["start" | "restart"]) if matches!(&fault, Fault::StartFails(name) if *name == container.name) => {
                self.fault = Fault::None;
                refuse(500, "driver failed programming external connectivity: port is already allocated")
            }
            (&Method::POST, ["start"]) if container.state == "running" => StatusCode::NOT_MODIFIED.into_response(),
            (&Method::POST, ["start"]) => {
                container.start();
                StatusCode::NO_CONTENT.into_response()
            }
            // A running container takes 2 % of the processors and 3 % of the memory.
            (&Method::GET, ["stats"]) => {
                let cpu =
                    |used: u64, passed: u64| json!({ "cpu_usage": { "total_usage": used }, "system_cpu_usage": passed, "online_cpus": 4 });
                let memory = json!({ "usage": MEMORY / 25, "limit": MEMORY, "stats": { "inactive_file": MEMORY / 100 } });
                let stats = match container.state {
                    "running" => json!({ "cpu_stats": cpu(180, 5000), "precpu_stats": cpu(100, 1000), "memory_stats": memory }),
                    _ => json!({ "cpu_stats": {}, "precpu_stats": {}, "memory_stats": {} }),
                };
                Json(stats).into_response()
            }
            (&Method::POST, ["stop"]) => {
                container.stop();
                StatusCode::NO_CONTENT.into_response()
            }
            (&Method::POST, ["restart"]) => {
                container.restarts += 1;
                container.start();
                StatusCode::NO_CONTENT.into_response()
            }
            (&Method::POST, ["rename"]) => {
                container.name.clone_from(&query["name"]);
                StatusCode::NO_CONTENT.into_response()
            }
            (&Method::DELETE, []) => {
                if matches!(&fault, Fault::RemoveFails(name) if *name == container.name) {
                    return refuse(500, "device or resource busy");
                }
                assert_eq!(query.get("v").map(String::as_str), Some("0"), "volumes are kept");
                let id = container.id.clone();
                self.containers.retain(|container| container.id != id);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => refuse(404, "page not found"),
        }
    }
}

fn logs(container: &Container, query: &HashMap<String, String>, fault: &Fault) -> Response {
    let tail: usize = query.get("tail").and_then(|tail| tail.parse().ok()).unwrap_or(100);
    let with_time = query.get("timestamps").is_some_and(|value| value == "1");
    let terminal = container.config.get("Tty") == Some(&Value::Bool(true));
    let written = |stream: u8, at: &str, text: &str| {
        let line = match with_time {
            true => format!("{at} {text}\n"),
            false => format!("{text}\n"),
        };
        if terminal {
            return line.replace('\n', "\r\n").into_bytes();
        }
        let mut length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        if *fault == Fault::LyingFrame {
            length += 1000;
        }
        [&[stream, 0, 0, 0][..], &length.to_be_bytes(), line.as_bytes()].concat()
    };
    if *fault == Fault::NoFrames {
        return "plain text without any frame\n".into_response();
    }
    let lines = &container.log[container.log.len().saturating_sub(tail)..];
    let mut chunks: Vec<Vec<u8>> = lines.iter().map(|(stream, at, text)| written(*stream, at, text)).collect();
    if query.get("follow").is_some_and(|value| value == "1") {
        chunks.extend(container.log_later.iter().map(|text| written(1, "", text)));
    }
    let chunks = futures::stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>));
    Body::from_stream(chunks).into_response()
}

fn refuse(status: u16, message: &str) -> Response {
    (
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Json(json!({ "message": message })),
    )
        .into_response()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
