//! Services: what the tenant registered by hand, joined with its containers; or, where nobody registered any, the containers
//! that one label `smarteros.service` holds together.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::{
    client::{Condition, Docker, Inspected, Listed},
    deploy,
    health::{self, Health},
    registry::{Registered, Type},
};
use crate::{
    auth::Scope,
    backends::{Backend, Connected as _, Session},
    clock,
    error::{Error, Kind, Result},
    store::{self, Reach},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListServices>(), tool::<RestartService>()]
}

/// The label that says which service a container belongs to, and the ones that say more of that service.
const SERVICE: &str = "smarteros.service";
const TYPE: &str = "smarteros.type";
const URL: &str = "smarteros.url";

/// How long Docker lets a container end by itself before it kills it, in seconds.
pub(super) const GRACE: &str = "10";
/// One stop, start or restart.
pub(super) const CHANGE: Duration = Duration::from_secs(25);
/// Between two looks at a container that starts.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// How long a container without a health check must have run to count as started.
const STEADY: Duration = Duration::from_secs(1);
/// How long a restarted service may take to be well before it is reported as starting.
const RESTARTING: Duration = Duration::from_secs(30);

/// One tenant's services, for one call.
pub struct Services {
    session: Session,
    docker: Option<Docker>,
    registered: Arc<Vec<Registered>>,
}

/// A service and the containers that it runs in.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) id: String,
    name: String,
    kind: Option<Type>,
    url: Option<String>,
    pub(super) health_url: Option<Url>,
    /// The repository of its image, where it was registered.
    pub(super) image: Option<String>,
    pub(super) containers: Vec<Listed>,
    /// Whether a deployment of it was begun and never came to its end.
    unfinished: bool,
}

impl Backend for Services {
    const KIND: Option<&'static str> = Some(Docker::NAME);

    async fn open(session: Session) -> Result<Self> {
        match session.connection(Docker::NAME).await {
            Ok(connection) => {
                let registered = match connection.recall("registry", Duration::MAX) {
                    Some(known) => known,
                    // Forgotten with the connection, and so whenever the registry changes.
                    None => {
                        let registered = Arc::new(registered(&session).await?);
                        connection.learn("registry", Arc::clone(&registered));
                        registered
                    }
                };
                Ok(Self {
                    docker: Some(Docker::open(session.clone()).await?),
                    session,
                    registered,
                })
            }
            // What was registered by hand can be listed and asked without any Docker.
            Err(error) if error.kind() == Kind::NotConnected => {
                let registered = registered(&session).await?;
                if registered.is_empty() {
                    return Err(error);
                }
                Ok(Self {
                    docker: None,
                    session,
                    registered: Arc::new(registered),
                })
            }
            Err(error) => Err(error),
        }
    }
}

async fn registered(session: &Session) -> Result<Vec<Registered>> {
    let tenant = session.tenant()?.tenant.id;
    let mut tx = session.state.store.read(Reach::Tenant(tenant)).await?;
    let rows = store::services::list(&mut tx, tenant).await?;
    rows.iter().map(Registered::stored).collect()
}

impl Services {
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn now(&self) -> i64 {
        self.session.state.clock.millis()
    }

    /// The Docker that the services run in.
    ///
    /// # Errors
    /// [`Kind::NotConnected`].
    pub(super) async fn docker(&self) -> Result<&Docker> {
        match &self.docker {
            Some(docker) => Ok(docker),
            None => Err(self
                .session
                .connection(Docker::NAME)
                .await
                .err()
                .unwrap_or_else(|| Error::conflict("Docker was connected just now; call again"))),
        }
    }

    /// The Docker, where there is one.
    pub(super) fn docker_if_any(&self) -> Option<&Docker> {
        self.docker.as_ref()
    }

    /// All services, by id.
    pub(super) async fn all(&self) -> Result<Vec<Service>> {
        let mut containers = match &self.docker {
            Some(docker) => docker.containers().await?,
            None => Vec::new(),
        };
        let parts = deploy::parts(&containers);
        let touched: HashSet<String> = containers
            .iter()
            .filter_map(|container| Some((container, parts.get(&container.id)?)))
            .flat_map(|(container, part)| [Some(part.name.clone()), container.label(SERVICE).map(str::to_owned)])
            .flatten()
            .collect();
        containers.retain(|container| parts.get(&container.id).is_none_or(|part| !part.leftover));
        // In the middle of a deployment a container may have another name than its own.
        let is_called = |container: &Listed, name: &str| match parts.get(&container.id) {
            Some(part) => part.name == name,
            None => container.name() == name,
        };
        if self.registered.is_empty() {
            return Ok(labelled(containers, &touched));
        }
        Ok(self
            .registered
            .iter()
            .map(|registered| {
                let known_by = registered.container();
                Service {
                    id: registered.id.clone(),
                    name: registered.name.clone(),
                    kind: Some(registered.kind),
                    url: registered.url.clone(),
                    health_url: registered.settings.health_url.as_deref().and_then(|url| url.parse().ok()),
                    image: registered.settings.image.clone(),
                    unfinished: touched.contains(known_by),
                    containers: containers
                        .iter()
                        .filter(|container| container.label(SERVICE) == Some(known_by) || is_called(container, known_by))
                        .cloned()
                        .collect(),
                }
            })
            .collect())
    }

    /// # Errors
    /// [`Kind::NotFound`].
    pub(super) async fn find(&self, id: &str) -> Result<Service> {
        let found = self.all().await?.into_iter().find(|service| service.id == id);
        found.ok_or_else(|| {
            let quoted: String = id.chars().take(64).collect();
            Error::not_found(format!(
                "service_id: this tenant has no service '{quoted}'; services_list names them"
            ))
        })
    }
}

/// Services as the containers' labels have them.
fn labelled(containers: Vec<Listed>, touched: &HashSet<String>) -> Vec<Service> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for container in containers {
        let Some(id) = container.label(SERVICE).filter(|id| !id.is_empty() && id.len() <= 128) else {
            continue;
        };
        let service = services.entry(id.to_owned()).or_insert_with(|| Service {
            id: id.to_owned(),
            name: id.to_owned(),
            kind: None,
            url: None,
            health_url: None,
            image: None,
            containers: Vec::new(),
            unfinished: touched.contains(id),
        });
        service.kind = service.kind.or_else(|| container.label(TYPE).and_then(Type::of));
        service.url = service.url.take().or_else(|| container.label(URL).map(str::to_owned));
        service.containers.push(container);
    }
    services.into_values().collect()
}

/// Whether a service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// A container of it runs, and none is in trouble.
    Active,
    /// Its containers were stopped, or never started.
    Inactive,
    /// A container of it failed, dies again and again, or is unhealthy.
    Error,
}

impl Service {
    fn status(&self, probed: Option<Health>) -> Option<Status> {
        if self.containers.iter().any(Listed::is_error) {
            return Some(Status::Error);
        }
        if self.containers.iter().any(Listed::is_running) {
            return Some(Status::Active);
        }
        if !self.containers.is_empty() {
            return Some(Status::Inactive);
        }
        probed.map(|health| match health {
            Health::Healthy | Health::Degraded => Status::Active,
            Health::Down => Status::Error,
        })
    }

    /// How its containers do, as a list shows them; `None` where there are none.
    fn health(&self) -> Option<Health> {
        let conditions: Vec<_> = self.containers.iter().map(Listed::condition).collect();
        Health::of(&conditions)
    }
}

/// How many are as they should be, of how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub count: u64,
    pub total: u64,
}

/// How many of the tenant's containers run.
///
/// # Errors
/// [`Kind::NotConnected`] where the tenant has no Docker, and what [`Docker`] says.
pub async fn containers_running(session: Session) -> Result<Share> {
    let containers = Docker::open(session).await?.containers().await?;
    Ok(share(containers.iter().map(Listed::is_running)))
}

/// How many of the tenant's services are healthy, by their containers; those that have none are asked themselves.
///
/// # Errors
/// [`Kind::NotConnected`] where the tenant has neither a Docker nor registered services.
pub async fn services_healthy(session: Session) -> Result<Share> {
    let services = Services::open(session).await?;
    let all = services.all().await?;
    let probed = health::probe_bare(&services, &all).await;
    Ok(share(all.iter().map(|service| {
        service.health().or_else(|| probed.get(&service.id).copied()) == Some(Health::Healthy)
    })))
}

fn share(each: impl Iterator<Item = bool>) -> Share {
    each.fold(Share { count: 0, total: 0 }, |share, well| Share {
        count: share.count + u64::from(well),
        total: share.total + 1,
    })
}

/// What is registered of a service, and what its containers' labels say of it.
#[derive(Clone, Debug)]
pub struct Described {
    pub id: String,
    pub name: String,
    pub kind: Option<Type>,
    pub url: Option<String>,
    pub health_url: Option<String>,
    pub description: Option<String>,
    /// Where its documentation and its source are.
    pub documentation: Option<String>,
    pub source: Option<String>,
    /// The images that it runs, or is registered with.
    pub stack: Vec<String>,
}

/// What is known of one service, for its documentation. Labels are those of the OCI's image specification (annotations), which
/// containers have from their images, and our own, which go before them.
///
/// # Errors
/// [`Kind::NotFound`] when the tenant has no such service, and as [`services_healthy`].
pub async fn described(session: Session, id: &str) -> Result<Described> {
    const IMAGES_MAX: usize = 20;
    let service = Services::open(session).await?.find(id).await?;
    let said = |names: &[&str], longest: usize| {
        let labels = names
            .iter()
            .flat_map(|name| service.containers.iter().filter_map(|container| container.label(name)));
        labels.into_iter().find_map(|text| text_of(text, longest))
    };
    let (title, description) = (
        said(&["org.opencontainers.image.title"], TITLE_MAX),
        said(&["smarteros.description", "org.opencontainers.image.description"], DESCRIPTION_MAX),
    );
    let documentation = said(&["org.opencontainers.image.documentation"], TITLE_MAX);
    let source = said(&["org.opencontainers.image.source", "org.opencontainers.image.url"], TITLE_MAX);
    let mut stack: Vec<String> = service.image.iter().cloned().collect();
    for image in service
        .containers
        .iter()
        .filter_map(|container| text_of(&container.image, TITLE_MAX))
    {
        if stack.len() < IMAGES_MAX && !stack.contains(&image) {
            stack.push(image);
        }
    }
    Ok(Described {
        name: if service.name == service.id {
            title.unwrap_or(service.name)
        } else {
            service.name
        },
        id: service.id,
        kind: service.kind,
        url: service.url.and_then(|url| text_of(&url, URL_MAX)),
        health_url: service.health_url.map(String::from),
        description,
        documentation,
        source,
        stack,
    })
}

/// The longest title, address and description, in characters, that a label may give.
const TITLE_MAX: usize = 300;
const URL_MAX: usize = 2000;
const DESCRIPTION_MAX: usize = 2000;

/// A label's text on one line, cut where it is long; `None` where it is empty.
fn text_of(label: &str, longest: usize) -> Option<String> {
    let line: String = label.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|letter| !letter.is_control()).take(longest).collect();
    (!line.is_empty()).then_some(line)
}

/// List the services of the tenant: what is deployed for it, whether it runs, and how it does.
///
/// Without a registry by hand (`services_set`), these are the containers with the tenant's label, grouped by the label `smarteros.service`.
/// Example: `{"filter": "backend", "status": "active"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListServices {
    /// Only services of this type: `frontend`, `backend` or `infrastructure`; `all` unless said.
    #[serde(default)]
    filter: Filter,
    /// Only services of this status: `active`, `inactive` or `error`; `all` unless said.
    #[serde(default)]
    status: StatusFilter,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Filter {
    #[default]
    All,
    Frontend,
    Backend,
    Infrastructure,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StatusFilter {
    #[default]
    All,
    Active,
    Inactive,
    Error,
}

/// The tenant's services, by id.
#[derive(Serialize, JsonSchema)]
struct Listing {
    services: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A service.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: String,
    name: String,
    /// Null where no container's label `smarteros.type` says it.
    r#type: Option<Type>,
    status: Option<Status>,
    /// Where it is found, if that is known.
    url: Option<String>,
    /// As Docker sees it; `services_health` asks the service itself too.
    health: Option<Health>,
    /// True where a deployment never came to its end (the gateway died in the middle): the next `services_deploy` settles it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished_deployment: bool,
    /// What nobody says: these fields are null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

impl Tool for ListServices {
    const NAME: &'static str = "services_list";
    const TITLE: &'static str = "List services";
    const ROUTE: Route = Route::get("/services");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Services;
    type Backend = Services;
    type Output = Listing;

    async fn call(self, services: &Services) -> Result<Listing> {
        let all = services.all().await?;
        let probed = health::probe_bare(services, &all).await;
        let shown = all.into_iter().map(|service| show(&service, &probed)).filter(|shown| {
            let of_type = match self.filter {
                Filter::All => true,
                Filter::Frontend => shown.r#type == Some(Type::Frontend),
                Filter::Backend => shown.r#type == Some(Type::Backend),
                Filter::Infrastructure => shown.r#type == Some(Type::Infrastructure),
            };
            let of_status = match self.status {
                StatusFilter::All => true,
                StatusFilter::Active => shown.status == Some(Status::Active),
                StatusFilter::Inactive => shown.status == Some(Status::Inactive),
                StatusFilter::Error => shown.status == Some(Status::Error),
            };
            of_type && of_status
        });
        let (services, next_cursor) = page_of(services.session(), shown.collect(), self.limit, self.cursor.as_deref(), |shown| {
            &shown.id
        })?;
        Ok(Listing { services, next_cursor })
    }
}

fn show(service: &Service, probed: &HashMap<String, Health>) -> Shown {
    let bare = probed.get(&service.id).copied();
    let (status, health) = (service.status(bare), service.health().or(bare));
    let unavailable = [
        ("type", service.kind.is_none()),
        ("status", status.is_none()),
        ("url", service.url.is_none()),
        ("health", health.is_none()),
    ];
    Shown {
        id: service.id.clone(),
        name: service.name.clone(),
        r#type: service.kind,
        status,
        url: service.url.clone(),
        health,
        unfinished_deployment: service.unfinished,
        unavailable: unavailable
            .into_iter()
            .filter_map(|(name, missing)| missing.then_some(name))
            .collect(),
    }
}

/// The page of a sorted list that a cursor asks for, and the cursor to the next.
pub(super) fn page_of<T>(
    session: &Session,
    sorted: Vec<T>,
    limit: Option<u32>,
    cursor: Option<&str>,
    key: impl Fn(&T) -> &str,
) -> Result<(Vec<T>, Option<String>)> {
    let limit = limit.unwrap_or(page::LIMIT_DEFAULT) as usize;
    let after = session.open_cursor(cursor)?;
    let mut rest: Vec<T> = sorted
        .into_iter()
        .filter(|item| after.as_deref().is_none_or(|after| key(item) > after))
        .collect();
    if rest.len() <= limit {
        return Ok((rest, None));
    }
    rest.truncate(limit);
    let next = rest.last().map(|last| session.seal_cursor(key(last)));
    Ok((rest, next))
}

/// Restart a service: each of its containers in turn. Waits up to half a minute until it is well again.
///
/// Example: `{"service_id": "tienda"}`. Where the answer says `starting`, ask `services_health` a little later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestartService {
    /// The service, as `services_list` names it, e.g. `tienda`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
}

/// How a service stands after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NewStatus {
    /// It runs, and its health check has not said yet that it is well.
    Starting,
    Running,
    Failed,
}

/// A restart that was done.
#[derive(Serialize, JsonSchema)]
struct Restarted {
    service_id: String,
    /// For how many seconds it had run before; the least of its containers. Null where none ran.
    previous_uptime: Option<u64>,
    /// When the restart began.
    restart_time: String,
    new_status: NewStatus,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What Docker does not know: these fields are null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

impl Tool for RestartService {
    const NAME: &'static str = "services_restart";
    const TITLE: &'static str = "Restart a service";
    const ROUTE: Route = Route::post("/services/{service_id}/restart").destroys();
    const SCOPE: Scope = Scope::WriteServices;
    const CATEGORY: Category = Category::Services;
    const TIME_LIMIT: Duration = Duration::from_secs(100);
    type Backend = Services;
    type Output = Restarted;

    async fn call(self, services: &Services) -> Result<Restarted> {
        let docker = services.docker().await?;
        let service = services.find(&self.service_id).await?;
        if service.containers.is_empty() {
            return Err(no_containers(&service.id));
        }
        let now = services.now();
        let mut before = Vec::new();
        for container in &service.containers {
            before.push(docker.inspect(&container.id).await?);
        }
        let previous_uptime = before.iter().filter_map(|container| container.uptime(now)).min();
        let (new_status, error) = restart(docker, &before).await?;
        Ok(Restarted {
            service_id: service.id,
            unavailable: previous_uptime.is_none().then_some("previous_uptime").into_iter().collect(),
            previous_uptime,
            restart_time: clock::rfc3339(now),
            new_status,
            error,
        })
    }
}

/// Restarts containers one after the other, so that of several most go on, and says how they stand then.
async fn restart(docker: &Docker, containers: &[Inspected]) -> Result<(NewStatus, Option<String>)> {
    let total = containers.len();
    for (done, container) in containers.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 containers")]
        docker
            .session()
            .notifier
            .progress(done as f64, Some(total as f64), format!("restarting {}", container.name()));
        match bounce(docker, &container.id).await {
            Ok(()) => {}
            // Docker said no to this one: that is the outcome. Where it did not answer, nobody knows the outcome.
            Err(error) if matches!(error.kind(), Kind::BackendRefused | Kind::Conflict | Kind::NotFound) => {
                return Ok((NewStatus::Failed, Some(format!("{}: {}", container.name(), error.message()))));
            }
            Err(error) => return Err(error),
        }
    }
    let until = Instant::now() + RESTARTING;
    let mut status = NewStatus::Running;
    for container in containers {
        let (condition, now) = settled(docker, &container.id, until, STEADY).await?;
        match condition {
            Condition::Well => {}
            Condition::Starting => status = NewStatus::Starting,
            Condition::Unwell => return Ok((NewStatus::Failed, Some(format!("{}: {}", now.name(), now.trouble())))),
        }
    }
    Ok((status, None))
}

/// Restarts one container. Docker answers when it has started again.
pub(super) async fn bounce(docker: &Docker, id: &str) -> Result<()> {
    docker
        .write(Method::POST, &format!("/containers/{id}/restart"), &[("t", GRACE)], None, CHANGE)
        .await
        .map(drop)
}

/// Looks at a container until it is well or is lost, or the time is over: how it does then, and as it is. One without a health
/// check must have run for `steady`.
pub(super) async fn settled(docker: &Docker, id: &str, until: Instant, steady: Duration) -> Result<(Condition, Inspected)> {
    let begun = Instant::now();
    loop {
        let container = docker.inspect(id).await?;
        let condition = container.condition();
        let done = match condition {
            Condition::Well => container.has_health_check() || begun.elapsed() >= steady,
            Condition::Starting => false,
            Condition::Unwell => true,
        };
        if done || Instant::now() >= until {
            return Ok((condition, container));
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) fn no_containers(service: &str) -> Error {
    Error::conflict(format!(
        "The service '{service}' has no container in the tenant's Docker; look at `container` of its registry (services_set)"
    ))
    .coded("no_containers")
}
