//! Deploying: another version of a service's image in containers that are otherwise as they were, with the way back kept open.
//!
//! Docker has no such call; these are the steps. Pull the image; create `<name>-new` from the inspected old one; stop the old,
//! rename it to `<name>-old`, rename the new to `<name>`, start it; wait until it is well. Then the old one is removed; or, where
//! anything failed, all is turned back and the new one is removed. What a container's configuration has only from its old
//! image is left out of the new one's, so that the new image's own defaults (command, health check, environment) hold.
//!
//! The new container's labels say which one it replaces, under which name, and until when somebody works on it. By them a
//! deployment that died in the middle is recognised, and the next one settles it first. The name `<name>-new`, which Docker gives
//! to one only, is the lock between two deployments, on whichever replicas they run.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use http::{HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    client::{Condition, Docker, Inspected, Listed, refused},
    registry::{is_repository, repository},
    services::{CHANGE, GRACE, Service, Services, no_containers, settled},
};
use crate::{
    auth::Scope,
    backends::client::{Piece, shortened},
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<DeployService>()]
}

/// What the labels of a container that was deployed say: the deployment, the version, the container that it replaces, the name
/// that is its own in the end, whether that one ran, and until when (epoch milliseconds) somebody works on it.
const DEPLOYMENT: &str = "smarteros.deployment";
const VERSION: &str = "smarteros.version";
const REPLACES: &str = "smarteros.replaces";
const NAME: &str = "smarteros.name";
const WAS: &str = "smarteros.was";
const UNTIL: &str = "smarteros.until";

const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");
const TIME_LIMIT: Duration = Duration::from_mins(2);
/// How long the image may take to come, of the whole time.
const PULL: Duration = Duration::from_mins(1);
/// How long a new container may take to be well.
const WELL: Duration = Duration::from_mins(1);
/// What must be left of the time to begin with a container, and what is kept to turn back.
const LEAST: Duration = Duration::from_secs(45);
const WAY_BACK: Duration = Duration::from_secs(25);
/// How long a container without a health check must run to count as well.
const STEADY: Duration = Duration::from_secs(3);
/// How long a container that was put back is looked at: whether it runs, not whether its health check has said so yet.
const BACK: Duration = Duration::from_secs(1);
/// The longest report of a pull that is read, and its longest line.
const REPORT_MAX: usize = 64 * 1024 * 1024;
const REPORT_LINE_MAX: usize = 256 * 1024;
/// How many containers of one service are deployed.
const CONTAINERS_MAX: usize = 20;
/// Replicas' clocks may differ by this much.
const CLOCKS: i64 = 30_000;

/// Deploy a version of a service: pull its image, put new containers in the place of the old ones, and go back where the new ones do not get well within a minute.
///
/// The image is the service's own; only its version (the tag) is chosen. Waits for the outcome, up to two minutes: `status` is `deployed`, or `failed` with the reason in `error`; the old containers run again then.
/// Example: `{"service_id": "tienda", "version": "1.4.2"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployService {
    /// The service, as `services_list` names it, e.g. `tienda`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
    /// The tag of the image, e.g. `1.4.2`; `latest` unless said.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$"))]
    version: Option<String>,
    /// Replace the containers also where they run this image already; false unless said.
    #[serde(default)]
    force: bool,
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// The new containers run and are well, or nothing had to be done.
    Deployed,
    /// The service runs as before; see `error`.
    Failed,
}

/// A deployment that came to its end.
#[derive(Serialize, JsonSchema)]
struct Deployment {
    /// The id of its audit entry too.
    deployment_id: String,
    service_id: String,
    version: String,
    status: Status,
    /// Where the service's lines are.
    logs_url: String,
    /// True where the containers ran this very image already, and nothing was done.
    unchanged: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What should be known though it went well, e.g. that the registry could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Tool for DeployService {
    const NAME: &'static str = "services_deploy";
    const TITLE: &'static str = "Deploy a service";
    const ROUTE: Route = Route::post("/services/{service_id}/deploy").destroys();
    const SCOPE: Scope = Scope::WriteServices;
    const CATEGORY: Category = Category::Services;
    const TIME_LIMIT: Duration = TIME_LIMIT;
    type Backend = Services;
    type Output = Deployment;

    async fn call(self, services: &Services) -> Result<Deployment> {
        let docker = services.docker().await?;
        let session = services.session();
        let note = |step: f64, what: &str| session.notifier.progress(step, Some(4.0), what);
        let version = self.version.unwrap_or_else(|| "latest".to_owned());
        let mut service = services.find(&self.service_id).await?;
        if settle(docker, &service, services.now()).await? {
            service = services.find(&self.service_id).await?;
        }
        let old = replaceable(docker, &service).await?;
        let repository = repository_of(&service, &old)?;
        let logs_url = format!(
            "{}/api/v1/services/{}/logs",
            session.state.base_url,
            percent_encoding::utf8_percent_encode(&service.id, percent_encoding::NON_ALPHANUMERIC)
        );
        let answer = |status, unchanged, error, note| Deployment {
            deployment_id: session.request_id.to_string(),
            service_id: service.id.clone(),
            version: version.clone(),
            status,
            logs_url: logs_url.clone(),
            unchanged,
            error,
            note,
        };
        note(1.0, "pulling the image");
        let (image, local) = match pull(docker, &repository, &version).await? {
            Pulled::Image { image, note } => (image, note),
            Pulled::No(why) => return Ok(answer(Status::Failed, false, Some(why), None)),
        };
        let replaced: Vec<_> = old
            .into_iter()
            .filter(|container| self.force || container.image != image.id)
            .collect();
        if replaced.is_empty() {
            return Ok(answer(Status::Deployed, true, None, local));
        }
        note(2.0, "replacing the containers");
        let work = Work {
            docker,
            deployment: &session.request_id,
            reference: format!("{repository}:{version}"),
            version: &version,
            until: services.now() + millis(TIME_LIMIT) + CLOCKS,
        };
        let mut begun = Vec::new();
        let outcome = work.replace_all(&replaced, &mut begun).await;
        note(3.0, "finishing");
        match outcome {
            Ok(()) => {
                let mut notes: Vec<_> = local.into_iter().collect();
                for swap in &begun {
                    if let Err(error) = remove(docker, &swap.old).await {
                        notes.push(format!(
                            "the replaced container '{}-old' could not be removed: {}",
                            swap.name,
                            error.message()
                        ));
                    }
                }
                note(4.0, "deployed");
                Ok(answer(Status::Deployed, false, None, (!notes.is_empty()).then(|| notes.join("; "))))
            }
            // Two at once: the other one goes on.
            Err(error) if error.code() == RUNNING && begun.is_empty() => Err(error),
            Err(error) => {
                for swap in begun.iter().rev() {
                    turn_back(docker, swap).await.map_err(|back| stuck(swap, &error, &back))?;
                }
                note(4.0, "turned back");
                Ok(answer(Status::Failed, false, Some(error.message().to_owned()), local))
            }
        }
    }
}

const RUNNING: &str = "deployment_running";

fn running() -> Error {
    Error::conflict("service_id: a deployment of this service is under way; wait until it has ended").coded(RUNNING)
}

/// Neither forward nor back.
fn stuck(swap: &Swap, why: &Error, back: &Error) -> Error {
    Error::new(
        Kind::BackendRefused,
        format!(
            "The deployment failed ({}), and the old container could not be brought back ({}). Look at '{name}', '{name}-old' and '{name}-new'; the next services_deploy of this service tries again",
            why.message(),
            back.message(),
            name = swap.name,
        ),
    )
    .coded("deployment_stuck")
    .once()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The service's containers, as far as they can be replaced and put back.
async fn replaceable(docker: &Docker, service: &Service) -> Result<Vec<Inspected>> {
    if service.containers.is_empty() {
        return Err(no_containers(&service.id));
    }
    if service.containers.len() > CONTAINERS_MAX {
        return Err(Error::conflict(format!(
            "The service '{}' has {} containers; up to {CONTAINERS_MAX} are deployed at once",
            service.id,
            service.containers.len()
        )));
    }
    let mut old = Vec::new();
    for listed in &service.containers {
        let container = docker.inspect(&listed.id).await?;
        if container.host_config.get("AutoRemove") == Some(&Value::Bool(true)) {
            return Err(Error::conflict(format!(
                "The container '{}' vanishes when it is stopped (--rm), so that nothing could be put back; run it without",
                container.name()
            ))
            .coded("not_deployable"));
        }
        old.push(container);
    }
    Ok(old)
}

/// Where the image comes from: the registry by hand, else what the containers run. Never the caller.
fn repository_of(service: &Service, old: &[Inspected]) -> Result<String> {
    if let Some(image) = &service.image {
        return Ok(image.clone());
    }
    let mut found: Vec<_> = old
        .iter()
        .filter_map(|container| repository(container.config.get("Image")?.as_str()?))
        .collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(Error::conflict(format!(
            "The containers of '{}' do not say which image they run; register one with services_set (`image`)",
            service.id
        ))
        .coded("not_deployable")),
        _ => Err(Error::conflict(format!(
            "The containers of '{}' run different images ({}); register one with services_set (`image`)",
            service.id,
            found.join(", ")
        ))
        .coded("not_deployable")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    #[serde(default)]
    config: Option<Map<String, Value>>,
}

enum Pulled {
    Image {
        image: Image,
        note: Option<String>,
    },
    /// There is no such image, neither in the registry nor here.
    No(String),
}

/// A line of a pull's report.
#[derive(Deserialize)]
struct Reported {
    #[serde(default)]
    error: Option<String>,
    /// The same, by its newer name.
    #[serde(default, rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    message: Option<String>,
}

/// Pulls an image. Where that fails and the Docker has it already, that one is taken, and it is said.
async fn pull(docker: &Docker, repository: &str, version: &str) -> Result<Pulled> {
    // It may come from a label or from an older version's registry: it goes into a path.
    if !is_repository(repository) {
        return Err(
            Error::conflict("The service's image is no repository that could be pulled; register one with services_set (`image`)")
                .coded("not_deployable"),
        );
    }
    let failure = ask_registry(docker, repository, version).await?;
    let found = docker.read::<Image>(&format!("/images/{repository}:{version}/json"), &[]).await;
    match (found, failure) {
        (Ok(image), None) => Ok(Pulled::Image { image, note: None }),
        (Ok(image), Some(why)) => Ok(Pulled::Image {
            image,
            note: Some(format!("the image was not pulled ({why}); the one that is here was taken")),
        }),
        (Err(error), Some(why)) if error.kind() == Kind::NotFound => {
            Ok(Pulled::No(format!("{repository}:{version} cannot be pulled: {why}")))
        }
        (Err(error), _) => Err(error),
    }
}

/// Has Docker pull, and reads its report to the end: why it failed, or nothing.
async fn ask_registry(docker: &Docker, repository: &str, version: &str) -> Result<Option<String>> {
    let session = docker.session();
    let had_reached = session.has_reached();
    let late = || {
        // Nothing was changed but the store of images, and pulling again goes on where this ended.
        if !had_reached {
            session.unreach();
        }
        Error::new(
            Kind::Timeout,
            format!(
                "{repository}:{version} was not pulled within {} s; nothing was changed. Docker keeps the layers that it has: call again",
                PULL.as_secs()
            ),
        )
    };
    let query = [("fromImage", repository), ("tag", version)];
    let header = authentication(docker, repository)?.map(|value| (REGISTRY_AUTH, value));
    let until = Instant::now() + PULL;
    let begun = docker.begin("/images/create", &query, header, PULL).await;
    let mut arriving = begun.map_err(|error| match error.kind() {
        Kind::Timeout => late(),
        _ => error,
    })?;
    if !arriving.status().is_success() {
        let reply = arriving.whole().await?;
        let error = refused(&reply);
        // Docker's own refusals and the registry's come alike, as 404 or 500: only a Docker that is away is no answer.
        return match error.kind() {
            Kind::BackendDown => Err(error),
            _ => Ok(Some(error.message().to_owned())),
        };
    }
    let (mut line, mut read, mut failure) = (Vec::new(), 0, None);
    loop {
        match arriving.piece(until).await? {
            Piece::Bytes(bytes) => {
                read += bytes.len();
                for byte in bytes {
                    if byte == b'\n' {
                        failure = failure.or_else(|| failure_in(&line));
                        line.clear();
                    } else if line.len() < REPORT_LINE_MAX {
                        line.push(byte);
                    }
                }
                if read > REPORT_MAX {
                    return Ok(Some("Docker's report of it has no end".to_owned()));
                }
            }
            Piece::End => return Ok(failure.or_else(|| failure_in(&line))),
            Piece::Late => return Err(late()),
        }
    }
}

fn failure_in(line: &[u8]) -> Option<String> {
    let reported: Reported = serde_json::from_slice(line).ok()?;
    let words = reported.error_detail.and_then(|detail| detail.message).or(reported.error);
    words.map(|words| shortened(&words))
}

/// The login, where one is stored and the image is of that registry: no other registry is shown it.
fn authentication(docker: &Docker, repository: &str) -> Result<Option<HeaderValue>> {
    let Some(login) = &docker.credential.registry_auth else {
        return Ok(None);
    };
    if registry_host(&login.server) != image_host(repository) {
        return Ok(None);
    }
    let text = zeroize::Zeroizing::new(
        json!({ "username": login.username, "password": login.password, "serveraddress": login.server }).to_string(),
    );
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(text.as_bytes())).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The host of a registry as people write it; Docker Hub has several names.
fn registry_host(server: &str) -> &str {
    let host = server.trim_start_matches("https://").trim_start_matches("http://");
    match host.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" | "docker.io" => "docker.io",
        host => host,
    }
}

/// The host that an image is pulled from: its first part where that is a host, else Docker Hub.
fn image_host(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => registry_host(host),
        _ => "docker.io",
    }
}

/// One container in the place of another.
struct Swap {
    name: String,
    old: String,
    new: String,
    /// Whether the old one ran, and is to run again when all is turned back.
    ran: bool,
}

/// What all containers of one deployment share.
struct Work<'a> {
    docker: &'a Docker,
    deployment: &'a str,
    reference: String,
    version: &'a str,
    until: i64,
}

impl Work<'_> {
    /// Replaces containers one after the other. What was begun is in `begun`, whatever comes of it.
    async fn replace_all(&self, replaced: &[Inspected], begun: &mut Vec<Swap>) -> Result<()> {
        for old in replaced {
            let left = self.docker.session().deadline.saturating_duration_since(Instant::now());
            if left < LEAST {
                return Err(Error::new(
                    Kind::Timeout,
                    "there was not enough time left for all containers of the service",
                ));
            }
            begun.push(self.create(old).await?);
            if let Some(swap) = begun.last() {
                self.take_over(swap).await?;
            }
        }
        Ok(())
    }

    /// Creates the new container beside the old one. Its name is the lock.
    async fn create(&self, old: &Inspected) -> Result<Swap> {
        let docker = self.docker;
        let name = old.name().to_owned();
        let defaults = match docker.read::<Image>(&format!("/images/{}/json", old.image), &[]).await {
            Ok(image) => image.config.unwrap_or_default(),
            // The old image is gone: nobody knows any more what was its own.
            Err(error) if error.kind() == Kind::NotFound => Map::new(),
            Err(error) => return Err(error),
        };
        let labels = [
            (DEPLOYMENT, self.deployment.to_owned()),
            (VERSION, self.version.to_owned()),
            (REPLACES, old.id.clone()),
            (NAME, name.clone()),
            (WAS, if old.is_running() { "running" } else { "stopped" }.to_owned()),
            (UNTIL, self.until.to_string()),
        ];
        let (body, others) = successor(old, &defaults, &self.reference, labels);
        let created = docker
            .write(
                Method::POST,
                "/containers/create",
                &[("name", &format!("{name}-new"))],
                Some(&body),
                CHANGE,
            )
            .await
            .map_err(|error| match error.kind() {
                Kind::Conflict => running(),
                _ => error,
            })?;
        let created: Map<String, Value> = created.json(super::client::said)?;
        let new = created.get("Id").and_then(Value::as_str).unwrap_or_default();
        // Its label is looked at before anything is done to it, as of any other.
        let new = docker.inspect_new(new).await?;
        let swap = Swap {
            name,
            old: old.id.clone(),
            new: new.id,
            ran: old.is_running(),
        };
        let ready = async {
            // Another deployment may have ended between our first look and now.
            if docker.inspect(&old.id).await?.name() != swap.name {
                return Err(running());
            }
            for (network, endpoint) in others {
                let path = format!(
                    "/networks/{}/connect",
                    percent_encoding::utf8_percent_encode(&network, percent_encoding::NON_ALPHANUMERIC)
                );
                let body = json!({ "Container": swap.new, "EndpointConfig": endpoint });
                docker.write(Method::POST, &path, &[], Some(&body), CHANGE).await?;
            }
            Ok(())
        };
        match ready.await {
            Ok(()) => Ok(swap),
            Err(error) => {
                remove(docker, &swap.new).await.map_err(|back| stuck(&swap, &error, &back))?;
                Err(match error.kind() {
                    Kind::NotFound => running(),
                    _ => error,
                })
            }
        }
    }

    async fn take_over(&self, swap: &Swap) -> Result<()> {
        let docker = self.docker;
        stop(docker, &swap.old, GRACE).await?;
        rename(docker, &swap.old, &format!("{}-old", swap.name)).await?;
        rename(docker, &swap.new, &swap.name).await?;
        start(docker, &swap.new).await?;
        let until = (Instant::now() + WELL).min(docker.session().deadline - WAY_BACK);
        let (condition, container) = settled(docker, &swap.new, until, STEADY).await?;
        match condition {
            Condition::Well => Ok(()),
            Condition::Starting => Err(Error::new(
                Kind::BackendRefused,
                format!("{}: it was not well within the time that a deployment has", swap.name),
            )),
            Condition::Unwell => Err(Error::new(Kind::BackendRefused, format!("{}: {}", swap.name, container.trouble()))),
        }
    }
}

/// Turns a replacement back, from wherever it came to: done again, it goes on. The new container is removed last, because its
/// labels say what is to be done.
async fn turn_back(docker: &Docker, swap: &Swap) -> Result<()> {
    let new = docker.inspect(&swap.new).await?;
    if new.name() == swap.name {
        stop(docker, &swap.new, "2").await?;
        rename(docker, &swap.new, &format!("{}-new", swap.name)).await?;
    }
    let old = docker.inspect(&swap.old).await?;
    if old.name() != swap.name {
        rename(docker, &swap.old, &swap.name).await?;
    }
    if swap.ran {
        start(docker, &swap.old).await?;
    }
    remove(docker, &swap.new).await?;
    if swap.ran {
        let (condition, old) = settled(docker, &swap.old, Instant::now() + BACK, Duration::from_millis(500)).await?;
        if condition == Condition::Unwell {
            return Err(Error::new(Kind::BackendRefused, old.trouble()));
        }
    }
    Ok(())
}

async fn stop(docker: &Docker, id: &str, grace: &str) -> Result<()> {
    let path = format!("/containers/{id}/stop");
    docker.write(Method::POST, &path, &[("t", grace)], None, CHANGE).await.map(drop)
}

async fn start(docker: &Docker, id: &str) -> Result<()> {
    let path = format!("/containers/{id}/start");
    docker.write(Method::POST, &path, &[], None, CHANGE).await.map(drop)
}

async fn rename(docker: &Docker, id: &str, name: &str) -> Result<()> {
    let path = format!("/containers/{id}/rename");
    docker.write(Method::POST, &path, &[("name", name)], None, CHANGE).await.map(drop)
}

/// Removes a container and keeps its volumes.
async fn remove(docker: &Docker, id: &str) -> Result<()> {
    let path = format!("/containers/{id}");
    match docker
        .write(Method::DELETE, &path, &[("force", "1"), ("v", "0")], None, CHANGE)
        .await
    {
        Err(error) if error.kind() != Kind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A container of a deployment that did not come to its end, or has not yet.
pub(super) struct Part {
    /// The name that the service's container has in the end.
    pub(super) name: String,
    /// Whether it is the one of the two that is not the service's now.
    pub(super) leftover: bool,
}

/// The containers of deployments that did not come to their end, by id.
pub(super) fn parts(containers: &[Listed]) -> HashMap<String, Part> {
    let mut parts = HashMap::new();
    for (new, old) in unfinished(containers) {
        let name = new.label(NAME).unwrap_or_default();
        let in_place = new.name() == name;
        for (container, leftover) in [(new, !in_place), (old, in_place)] {
            let name = name.to_owned();
            parts.insert(container.id.clone(), Part { name, leftover });
        }
    }
    parts
}

/// New containers whose replaced ones are still there.
fn unfinished(containers: &[Listed]) -> impl Iterator<Item = (&Listed, &Listed)> {
    containers.iter().filter_map(|new| {
        let old = new.label(REPLACES)?;
        new.label(NAME)?;
        Some((new, containers.iter().find(|container| container.id == old)?))
    })
}

/// Brings a service's deployments that died in the middle to their end: forward where the new container is well, else back.
/// Says whether there were any.
///
/// # Errors
/// 409 while one may still be worked on.
async fn settle(docker: &Docker, service: &Service, now: i64) -> Result<bool> {
    let containers = docker.containers().await?;
    let own = |container: &Listed| service.containers.iter().any(|one| one.id == container.id);
    let mut settled_any = false;
    for (new, old) in unfinished(&containers).filter(|(new, old)| own(new) || own(old)) {
        let until = new.label(UNTIL).and_then(|text| text.parse().ok()).unwrap_or(0);
        if now < until {
            return Err(running());
        }
        let swap = Swap {
            name: new.label(NAME).unwrap_or_default().to_owned(),
            old: old.id.clone(),
            new: new.id.clone(),
            ran: new.label(WAS) != Some("stopped"),
        };
        let in_place = new.name() == swap.name;
        if in_place && docker.inspect(&new.id).await?.condition() == Condition::Well {
            // As for every other: the label is looked at before it is removed.
            let old = docker.inspect(&old.id).await?;
            remove(docker, &old.id).await?;
        } else {
            turn_back(docker, &swap).await?;
        }
        settled_any = true;
    }
    Ok(settled_any)
}

/// The body that creates the new container, and the networks that it must be connected to besides: a Docker before API 1.44 takes
/// one at creation.
fn successor(
    old: &Inspected,
    defaults: &Map<String, Value>,
    reference: &str,
    labels: impl IntoIterator<Item = (&'static str, String)>,
) -> (Value, Vec<(String, Value)>) {
    let mut config = without_defaults(&old.config, defaults);
    let mut host = old.host_config.clone();
    let short = &old.id[..12];
    let mode = host.get("NetworkMode").and_then(Value::as_str).unwrap_or_default().to_owned();
    config.insert("Image".to_owned(), reference.into());
    if config.get("Hostname").and_then(Value::as_str) == Some(short) {
        config.remove("Hostname");
    }
    config.remove("MacAddress");
    if mode.starts_with("container:") {
        for name in ["Hostname", "Domainname", "ExposedPorts"] {
            config.remove(name);
        }
    }
    if let Value::Object(all) = config.entry("Labels").or_insert_with(|| json!({})) {
        for (name, value) in labels {
            all.insert(name.to_owned(), value.into());
        }
    }
    keep_volumes(old, &mut host);
    repair_links(&mut host);

    let mut networks: Vec<_> = old.network_settings.networks.iter().flatten().collect();
    // The container's first network may be named by its id.
    networks.sort_by_key(|(name, endpoint)| **name != mode && endpoint.get("NetworkID").and_then(Value::as_str) != Some(&mode));
    let mut networks: Vec<_> = networks
        .into_iter()
        .map(|(name, endpoint)| (name.clone(), endpoint_of(endpoint, short)))
        .collect();
    let mut body = Value::Object(config);
    body["HostConfig"] = Value::Object(host);
    // These three are no networks that one connects to; the default bridge takes no settings.
    let plain = mode.starts_with("container:") || matches!(mode.as_str(), "host" | "none");
    if plain || networks.is_empty() {
        return (body, Vec::new());
    }
    let others = networks.split_off(1);
    if let Some((name, endpoint)) = networks.pop().filter(|(name, _)| name != "bridge") {
        let mut one = Map::new();
        one.insert(name, endpoint);
        body["NetworkingConfig"] = json!({ "EndpointsConfig": one });
    }
    (body, others)
}

/// A container's configuration without what it has only because its image says so.
fn without_defaults(config: &Map<String, Value>, defaults: &Map<String, Value>) -> Map<String, Value> {
    let mut own = config.clone();
    // The entrypoint and its arguments belong together: arguments of our own keep the entrypoint's as they are.
    let same = |name: &str| config.get(name) == defaults.get(name);
    if same("Entrypoint") {
        own.remove("Entrypoint");
        if same("Cmd") {
            own.remove("Cmd");
        }
    }
    for name in ["User", "WorkingDir", "StopSignal", "Healthcheck", "Shell", "OnBuild", "ArgsEscaped"] {
        if same(name) {
            own.remove(name);
        }
    }
    if let (Some(Value::Array(env)), Some(Value::Array(given))) = (own.get_mut("Env"), defaults.get("Env")) {
        env.retain(|entry| !given.contains(entry));
    }
    for name in ["Labels", "Volumes", "ExposedPorts"] {
        if let (Some(Value::Object(all)), Some(Value::Object(given))) = (own.get_mut(name), defaults.get(name)) {
            all.retain(|key, value| given.get(key) != Some(value));
        }
    }
    own
}

/// Volumes without a name that anybody gave: made for the old container, and the data in them is the service's.
fn keep_volumes(old: &Inspected, host: &mut Map<String, Value>) {
    let bound = |host: &Map<String, Value>, destination: &str| {
        let binds = host.get("Binds").and_then(Value::as_array).into_iter().flatten();
        let by_bind = binds
            .filter_map(Value::as_str)
            .any(|bind| bind.split(':').nth(1) == Some(destination));
        let mounts = host.get("Mounts").and_then(Value::as_array).into_iter().flatten();
        by_bind || mounts.filter_map(|mount| mount.get("Target")).any(|target| target == destination)
    };
    for mount in old.mounts.iter().flatten() {
        let Some(name) = mount.name.as_ref().filter(|_| mount.r#type == "volume") else {
            continue;
        };
        if bound(host, &mount.destination) {
            continue;
        }
        let mut bind = format!("{name}:{}", mount.destination);
        if !mount.writable {
            // Writing to a String does not fail.
            let _ = bind.write_str(":ro");
        }
        match host.get_mut("Binds") {
            Some(Value::Array(binds)) => binds.push(bind.into()),
            _ => {
                host.insert("Binds".to_owned(), json!([bind]));
            }
        }
    }
}

/// Links are told as `/other:/this/alias` and taken as `other:alias`.
fn repair_links(host: &mut Map<String, Value>) {
    let Some(Value::Array(links)) = host.get_mut("Links") else { return };
    for link in links {
        let repaired = link.as_str().and_then(|text| {
            let (other, alias) = text.split_once(':')?;
            Some(format!("{}:{}", other.trim_start_matches('/'), alias.rsplit('/').next()?))
        });
        if let Some(repaired) = repaired {
            *link = repaired.into();
        }
    }
}

/// A network as it was asked for, without what Docker gave.
fn endpoint_of(endpoint: &Value, short: &str) -> Value {
    let mut kept = Map::new();
    for name in ["IPAMConfig", "Links", "DriverOpts", "GwPriority"] {
        if let Some(value) = endpoint.get(name).filter(|value| !value.is_null()) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(Value::Array(aliases)) = endpoint.get("Aliases") {
        let own: Vec<_> = aliases.iter().filter(|alias| *alias != short).cloned().collect();
        kept.insert("Aliases".to_owned(), own.into());
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(value: Value) -> Inspected {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_successor_keeps_what_is_the_containers_own_and_leaves_what_was_the_images() {
        let old = inspected(json!({
            "Id": "0123456789ab".repeat(5), "Name": "/shop", "Image": "sha256:old", "State": {},
            "Config": {
                "Hostname": "0123456789ab", "Image": "shop:1", "Env": ["PATH=/bin", "KEY=mine"], "Cmd": ["/run"], "Entrypoint": null,
                "User": "app", "Healthcheck": { "Test": ["CMD", "old"] }, "Labels": { "smarteros.tenant": "t", "made-by": "image" },
                "Volumes": { "/data": {} },
            },
            "HostConfig": { "NetworkMode": "front", "Memory": 1024, "Binds": ["/etc/x:/x:ro"], "Links": ["/db:/shop/store"] },
            "Mounts": [
                { "Type": "bind", "Destination": "/x", "RW": false },
                { "Type": "volume", "Name": "anonymous", "Destination": "/data", "RW": true },
            ],
            "NetworkSettings": { "Networks": {
                "back": { "Aliases": ["shop", "0123456789ab"], "IPAddress": "10.0.0.2", "EndpointID": "e" },
                "front": { "Aliases": null, "IPAMConfig": { "IPv4Address": "10.1.0.9" } },
            } },
        }));
        let defaults = json!({
            "Env": ["PATH=/bin"], "Cmd": ["/run"], "Entrypoint": null, "Healthcheck": { "Test": ["CMD", "old"] },
            "Labels": { "made-by": "image" }, "Volumes": { "/data": {} }, "User": "",
        });
        let (body, others) = successor(&old, defaults.as_object().unwrap(), "shop:2", [(VERSION, "2".to_owned())]);
        assert_eq!(
            body,
            json!({
                "Image": "shop:2", "Env": ["KEY=mine"], "User": "app", "Labels": { "smarteros.tenant": "t", "smarteros.version": "2" },
                "Volumes": {},
                "HostConfig": {
                    "NetworkMode": "front", "Memory": 1024, "Binds": ["/etc/x:/x:ro", "anonymous:/data"], "Links": ["db:store"],
                },
                "NetworkingConfig": { "EndpointsConfig": { "front": { "IPAMConfig": { "IPv4Address": "10.1.0.9" } } } },
            })
        );
        assert_eq!(others, [("back".to_owned(), json!({ "Aliases": ["shop"] }))]);
    }

    #[test]
    fn a_login_is_shown_to_its_own_registry_only() {
        for (server, image, same) in [
            ("ghcr.io", "ghcr.io/smarteros/shop", true),
            ("https://index.docker.io/v1/", "smarteros/shop", true),
            ("docker.io", "shop", true),
            ("ghcr.io", "shop", false),
            ("ghcr.io", "ghcr.io.evil.example/shop", false),
            ("localhost:5000", "localhost:5000/shop", true),
        ] {
            assert_eq!(registry_host(server) == image_host(image), same, "{server} {image}");
        }
    }
}
