//! The client of one tenant's Docker: how it is reached, the version that both speak, and the tenant's own containers.

use std::{collections::HashMap, fmt::Write as _, sync::Arc, time::Duration};

use http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::Url;

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested, Transport,
        client::{Arriving, Client, Reply, shortened},
    },
    error::{Error, Kind, Result},
    id::TenantId,
};

/// The label that says whose a container is: the tenant's id.
pub(super) const TENANT: &str = "smarteros.tenant";
/// The newest version of the API whose documents were read, and the oldest that has all that is used.
const NEWEST: Api = Api(1, 47);
const OLDEST: Api = Api(1, 30);
/// The longest answer about one thing; lists may be as long as any. A container's own is some ten KiB.
const ONE_MAX: usize = 256 * 1024;
/// How long the version is remembered: a Docker may be upgraded under us.
const REMEMBERED: Duration = Duration::from_mins(5);

/// One tenant's Docker, for one call.
pub struct Docker {
    http: Client,
    pub(super) credential: Arc<Credential>,
    tenant: TenantId,
}

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Api(u32, u32);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: Option<String>,
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

/// A container as a list has it: only what is needed is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    pub(super) image: String,
    /// created, running, paused, restarting, removing, exited or dead.
    #[serde(default)]
    pub(super) state: String,
    /// In words: `Up 5 minutes (unhealthy)`, `Exited (1) 2 hours ago`.
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
    #[serde(default)]
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Port {
    #[serde(default, rename = "IP")]
    ip: Option<String>,
    #[serde(rename = "PrivatePort")]
    private: u16,
    #[serde(default, rename = "PublicPort")]
    public: Option<u16>,
    #[serde(default, rename = "Type")]
    protocol: Option<String>,
}

/// A container as an inspect has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    #[serde(default)]
    name: String,
    /// The id of its image, `sha256:…`.
    #[serde(default)]
    pub(super) image: String,
    pub(super) state: State,
    pub(super) config: Map<String, Value>,
    #[serde(default)]
    pub(super) host_config: Map<String, Value>,
    #[serde(default)]
    pub(super) network_settings: NetworkSettings,
    #[serde(default)]
    pub(super) mounts: Option<Vec<Mount>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    /// created, running, paused, restarting, removing, exited or dead.
    #[serde(default)]
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default, rename = "OOMKilled")]
    out_of_memory: bool,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    health: Option<RawHealth>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawHealth {
    #[serde(default)]
    status: String,
    #[serde(default)]
    log: Option<Vec<HealthLog>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthLog {
    #[serde(default)]
    output: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    #[serde(default)]
    pub(super) networks: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(default)]
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) destination: String,
    #[serde(default = "yes", rename = "RW")]
    pub(super) writable: bool,
}

const fn yes() -> bool {
    true
}

/// How a container does, by its own health check where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Well,
    /// It runs, and its health check has not said yet.
    Starting,
    Unwell,
}

impl Backend for Docker {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            tenant: connection.tenant_id,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Docker {
    const NAME: &'static str = "docker";
    type Credential = Credential;

    fn transport(url: &Url, credential: &Credential) -> Result<Transport> {
        let has_tls = credential.ca.is_some() || credential.client_cert.is_some() || credential.client_key.is_some();
        match url.scheme() {
            "unix" => {
                let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned();
                if url.has_host() || path.len() < 2 || url.query().is_some() || url.fragment().is_some() {
                    return Err(Error::invalid(
                        "url: a Unix socket is written with three slashes, e.g. unix:///var/run/docker.sock",
                    ));
                }
                if has_tls {
                    return Err(Error::invalid("credential: a Unix socket takes no certificates; leave them out"));
                }
                Ok(Transport::socket(path))
            }
            "https" | "tcp" => {
                let (_, rest) = url.as_str().split_once(':').unwrap_or_default();
                let url = Url::parse(&format!("https:{rest}")).map_err(|_| Error::invalid("url: write it like https://10.8.0.4:2376"))?;
                let mut transport = Transport::to(url);
                if let Some(ca) = &credential.ca {
                    transport = transport.trusting("credential.ca", ca)?;
                }
                match (&credential.client_cert, &credential.client_key) {
                    (Some(certificate), Some(key)) => transport.as_client(certificate, key),
                    (None, None) => Ok(transport),
                    _ => Err(Error::invalid(
                        "credential: client_cert and client_key belong together; give both or neither",
                    )),
                }
            }
            "http" if has_tls => Err(Error::invalid("url: certificates need https; write it like https://10.8.0.4:2376")),
            // Whoever reads along could take the machine over: in the clear only to this machine itself.
            "http" => Ok(Transport::to(url.clone()).loopback_only()),
            _ => Err(Error::invalid(
                "url: must be like https://10.8.0.4:2376, or, set by the operator, unix:///var/run/docker.sock",
            )),
        }
    }

    async fn test(&self) -> Result<Tested> {
        let version = self.version().await?;
        let api = negotiate(&version)?;
        let count = self.containers().await?.len();
        Ok(Tested {
            ok: true,
            version: version.version,
            detail: format!(
                "Docker answers (API {}.{}); containers with the label {TENANT}={}: {count}.",
                api.0, api.1, self.tenant
            ),
        })
    }
}

impl Docker {
    pub(super) fn session(&self) -> &Session {
        self.http.session()
    }

    /// The tenant's containers, stopped ones too, by name.
    pub(super) async fn containers(&self) -> Result<Vec<Listed>> {
        let filters = json!({ "label": [format!("{TENANT}={}", self.tenant)] }).to_string();
        let path = self.path("/containers/json").await?;
        let query = [("all", "1"), ("filters", filters.as_str())];
        let listed: Vec<Listed> = self.http.get(&path).query(&query).send().await?.json(said)?;
        let tenant = self.tenant.to_string();
        let mut own: Vec<_> = listed
            .into_iter()
            // The filter is Docker's word; here it is looked at. An id goes into paths.
            .filter(|container| container.label(TENANT) == Some(&tenant) && is_id(&container.id))
            .collect();
        own.sort_by(|one, other| (one.name(), &one.id).cmp(&(other.name(), &other.id)));
        Ok(own)
    }

    /// The tenant's container of an id, the beginning of one (12 digits or more) or a name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for what is not there and for what is another tenant's: nobody is told which.
    pub(super) async fn find(&self, named: &str) -> Result<Listed> {
        let begins = named.len() >= 12;
        let mut own = self.containers().await?;
        own.retain(|container| container.name() == named || container.id == named || (begins && container.id.starts_with(named)));
        match own.pop() {
            Some(container) if own.is_empty() => Ok(container),
            Some(_) => Err(Error::conflict("container_id: several containers begin with this; give the whole id").coded("ambiguous_name")),
            None => Err(not_found(named)),
        }
    }

    /// A container of the tenant as it is now, its label looked at again.
    pub(super) async fn inspect(&self, id: &str) -> Result<Inspected> {
        if !is_id(id) {
            return Err(Error::internal("a container was to be inspected by something that is no id"));
        }
        let found: Inspected = self
            .read(&format!("/containers/{id}/json"), &[])
            .await
            .map_err(|error| match error.kind() {
                Kind::NotFound => not_found(id),
                _ => error,
            })?;
        if found.id == id && found.label(TENANT) == Some(&self.tenant.to_string()) {
            Ok(found)
        } else {
            Err(not_found(id))
        }
    }

    /// A container that Docker has just made for us.
    pub(super) async fn inspect_new(&self, id: &str) -> Result<Inspected> {
        if !is_id(id) {
            return Err(Error::new(Kind::BackendRefused, "'docker' did not say which container it made").once());
        }
        self.inspect(id).await
    }

    /// Reads about one thing.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let path = self.path(path).await?;
        self.http.get(&path).query(query).at_most(ONE_MAX).send().await?.json(said)
    }

    /// A read whose body is taken piece by piece.
    ///
    /// # Errors
    /// For any status that is no success, with Docker's own words.
    pub(super) async fn read_on(&self, path: &str, query: &[(&str, &str)]) -> Result<Arriving<'_>> {
        let path = self.path(path).await?;
        let arriving = self.http.get(&path).query(query).begin().await?;
        if arriving.status().is_success() {
            Ok(arriving)
        } else {
            Err(refused(&arriving.whole().await?))
        }
    }

    /// A write, done when this answers: 304 says that it was so already.
    ///
    /// # Errors
    /// With Docker's own words where it refuses.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Reply> {
        let path = self.path(path).await?;
        let mut request = self.http.write(method, &path).query(query).within(within);
        if let Some(body) = body {
            request = request.json(body)?;
        }
        let reply = request.send().await?;
        match reply.status.as_u16() {
            200..=299 | 304 => Ok(reply),
            _ => Err(refused(&reply)),
        }
    }

    /// A request that may write, whose answer is taken piece by piece whatever its status.
    pub(super) async fn begin(
        &self,
        path: &str,
        query: &[(&str, &str)],
        header: Option<(http::HeaderName, http::HeaderValue)>,
        within: Duration,
    ) -> Result<Arriving<'_>> {
        let path = self.path(path).await?;
        let mut request = self.http.write(Method::POST, &path).query(query).within(within);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.begin().await
    }

    async fn path(&self, path: &str) -> Result<String> {
        let connection = self.http.connection();
        let api = match connection.recall::<Api>("api", REMEMBERED) {
            Some(known) => *known,
            None => {
                let api = negotiate(&self.version().await?)?;
                connection.learn("api", Arc::new(api));
                api
            }
        };
        Ok(format!("/v{}.{}{path}", api.0, api.1))
    }

    async fn version(&self) -> Result<Version> {
        self.http.get("/version").at_most(ONE_MAX).send().await?.json(said)
    }
}

/// The version that both speak: the newest of theirs that we know.
fn negotiate(version: &Version) -> Result<Api> {
    let nonsense = || {
        Error::new(
            Kind::BackendRefused,
            "The address answers, and not as Docker does; check that the url is the Docker itself",
        )
    };
    let theirs = Api::read(&version.api_version).ok_or_else(nonsense)?;
    let least = match &version.min_api_version {
        Some(text) if !text.is_empty() => Api::read(text).ok_or_else(nonsense)?,
        _ => Api(0, 0),
    };
    let chosen = theirs.min(NEWEST);
    if chosen < least {
        return Err(Error::new(
            Kind::BackendRefused,
            format!(
                "This Docker speaks API {}.{} and newer, and this gateway knows them up to {}.{}; upgrade the gateway",
                least.0, least.1, NEWEST.0, NEWEST.1
            ),
        )
        .coded("version_unsupported"));
    }
    if chosen < OLDEST {
        return Err(Error::new(
            Kind::BackendRefused,
            format!(
                "This Docker speaks API {}.{}, and {}.{} or newer is needed; upgrade Docker",
                theirs.0, theirs.1, OLDEST.0, OLDEST.1
            ),
        )
        .coded("version_unsupported"));
    }
    Ok(chosen)
}

impl Api {
    fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl Listed {
    /// The name, without the slash that Docker puts before it; the short id where there is none.
    pub(super) fn name(&self) -> &str {
        let names = self.names.iter().flatten().map(|name| name.trim_start_matches('/'));
        // Names with a slash within are links of other containers to this one.
        names.into_iter().find(|name| !name.contains('/')).unwrap_or(&self.id[..12])
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// What its health check says; `None` where it has none, or does not run.
    pub(super) fn health(&self) -> Option<&'static str> {
        let said = |word: &str| self.is_running() && self.status.contains(word);
        match () {
            () if said("(healthy)") => Some("healthy"),
            () if said("(unhealthy)") => Some("unhealthy"),
            () if said("(health: starting)") => Some("starting"),
            () => None,
        }
    }

    /// Whether it is in a state that somebody should look at: it failed, dies again and again, or is unhealthy.
    pub(super) fn is_error(&self) -> bool {
        match self.state.as_str() {
            "dead" | "restarting" => true,
            "running" => self.health() == Some("unhealthy"),
            "exited" => !self.status.starts_with("Exited (0)"),
            _ => false,
        }
    }

    pub(super) fn condition(&self) -> Condition {
        match (self.is_running(), self.health()) {
            (true, None | Some("healthy")) => Condition::Well,
            (true, Some("starting")) => Condition::Starting,
            _ => Condition::Unwell,
        }
    }

    /// Its ports as Docker's own command writes them: `0.0.0.0:8080->80/tcp`.
    pub(super) fn ports(&self) -> Vec<String> {
        self.ports.iter().flatten().map(Port::written).collect()
    }
}

impl Port {
    fn written(&self) -> String {
        let mut text = String::new();
        if let Some(public) = self.public {
            let ip = self.ip.as_deref().unwrap_or_default();
            // Writing to a String does not fail.
            let _ = match ip.contains(':') {
                true => write!(text, "[{ip}]:{public}->"),
                false if ip.is_empty() => write!(text, "{public}->"),
                false => write!(text, "{ip}:{public}->"),
            };
        }
        let _ = write!(text, "{}/{}", self.private, self.protocol.as_deref().unwrap_or("tcp"));
        text
    }
}

impl Inspected {
    pub(super) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.config.get("Labels")?.get(name)?.as_str()
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.config.get("Tty") == Some(&Value::Bool(true))
    }

    pub(super) fn has_health_check(&self) -> bool {
        self.state
            .health
            .as_ref()
            .is_some_and(|health| health.status != "none" && !health.status.is_empty())
    }

    pub(super) fn is_running(&self) -> bool {
        self.state.status == "running"
    }

    pub(super) fn condition(&self) -> Condition {
        if !self.is_running() {
            return Condition::Unwell;
        }
        match self.state.health.as_ref().map(|health| health.status.as_str()) {
            None | Some("healthy" | "none" | "") => Condition::Well,
            Some("starting") => Condition::Starting,
            Some(_) => Condition::Unwell,
        }
    }

    /// For how many seconds it has run, at a moment in epoch milliseconds; `None` while it does not.
    pub(super) fn uptime(&self, now: i64) -> Option<u64> {
        if !matches!(self.state.status.as_str(), "running" | "paused") {
            return None;
        }
        let started: jiff::Timestamp = self.state.started_at.parse().ok()?;
        u64::try_from((now - started.as_millisecond()).max(0) / 1000).ok()
    }

    /// Why it is not well, in a few words.
    pub(super) fn trouble(&self) -> String {
        match self.state.status.as_str() {
            "running" => {}
            "paused" => return "it is paused".to_owned(),
            "restarting" => return format!("it dies and is restarted again and again (exit code {})", self.state.exit_code),
            status => {
                let mut text = format!("it is {status} (exit code {})", self.state.exit_code);
                if self.state.out_of_memory {
                    text.push_str(", killed for want of memory");
                }
                if !self.state.error.is_empty() {
                    let _ = write!(text, ": {}", shortened(&self.state.error));
                }
                return text;
            }
        }
        match &self.state.health {
            Some(health) if health.status == "unhealthy" => {
                let last = health.log.iter().flatten().next_back().map(|log| log.output.trim());
                match last.filter(|output| !output.is_empty()) {
                    Some(output) => format!("its health check fails: {}", shortened(output)),
                    None => "its health check fails".to_owned(),
                }
            }
            Some(health) if health.status == "starting" => "its health check has not said yet that it is well".to_owned(),
            _ => "it is well".to_owned(),
        }
    }
}

/// Docker's own words about a failure: `{"message": …}`.
pub(super) fn said(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str).map(str::to_owned)
}

/// A refusal in Docker's words. Its 500 is the failure of one request (a port is taken), not of Docker.
pub(super) fn refused(reply: &Reply) -> Error {
    let words = serde_json::from_slice::<Value>(&reply.body).ok().and_then(|body| said(&body));
    match words {
        Some(words) if matches!(reply.status.as_u16(), 400 | 500 | 501) => {
            Error::new(Kind::BackendRefused, format!("Docker refuses: {}", shortened(&words)))
        }
        _ => reply.refusal(said),
    }
}

pub(super) fn not_found(named: &str) -> Error {
    let quoted: String = named.chars().take(64).collect();
    Error::not_found(format!(
        "container_id: this tenant has no container '{quoted}'; containers_list names them"
    ))
}

/// Whether it is an id as Docker makes them, which may stand in a path.
fn is_id(text: &str) -> bool {
    (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(api: &str, least: Option<&str>) -> Version {
        Version {
            version: None,
            api_version: api.to_owned(),
            min_api_version: least.map(str::to_owned),
        }
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        assert_eq!(negotiate(&version("1.41", Some("1.12"))).unwrap(), Api(1, 41));
        assert_eq!(negotiate(&version("1.99", Some("1.44"))).unwrap(), NEWEST);
        assert_eq!(negotiate(&version("1.40", None)).unwrap(), Api(1, 40));
        for (api, least) in [("1.99", Some("1.60")), ("1.24", None), ("1.24", Some("1.12"))] {
            assert_eq!(negotiate(&version(api, least)).unwrap_err().code(), "version_unsupported", "{api}");
        }
        assert_eq!(negotiate(&version("new", None)).unwrap_err().kind(), Kind::BackendRefused);
    }

    #[test]
    fn ports_are_written_as_docker_writes_them() {
        let port = |json| serde_json::from_value::<Port>(json).unwrap().written();
        assert_eq!(
            port(json!({ "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" })),
            "0.0.0.0:8080->80/tcp"
        );
        assert_eq!(
            port(json!({ "IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" })),
            "[::]:8080->80/tcp"
        );
        assert_eq!(port(json!({ "PrivatePort": 53, "Type": "udp" })), "53/udp");
    }

    #[test]
    fn what_is_no_id_never_stands_in_a_path() {
        for bad in ["", "abc", "../../version", "0123456789ABCDEF", "0123456789ab/json", &"a".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
        assert!(is_id(&"0a".repeat(32)));
    }
}
