//! Health: what Docker says of a service's containers, and what the service says when it is asked.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::{
    client::{Condition, Docker},
    services::{Service, Services, page_of},
};
use crate::{
    auth::Scope,
    backends::client::Client,
    clock,
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ServicesHealth>()]
}

/// How long a service may take to answer when it is asked how it does.
const PROBE: Duration = Duration::from_secs(3);
/// How many services are looked at at once: the most that are looked at in one call are done in 20 s then.
const AT_ONCE: usize = 32;

/// How a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Healthy,
    /// It runs in part, is still starting, or does not answer as it should.
    Degraded,
    Down,
}

impl Health {
    /// What several containers' conditions come to; `None` for none.
    pub(super) fn of(conditions: &[Condition]) -> Option<Self> {
        if conditions.is_empty() {
            return None;
        }
        let all = |wanted: Condition| conditions.iter().all(|condition| *condition == wanted);
        Some(match () {
            () if all(Condition::Well) => Health::Healthy,
            () if all(Condition::Unwell) => Health::Down,
            () => Health::Degraded,
        })
    }
}

/// Ask how the services of the tenant do, now: Docker about their containers, and the services themselves where a `health_url` was registered.
///
/// Example: `{"service_id": "tienda"}`, or `{}` for all.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServicesHealth {
    /// Only this service, as `services_list` names it, e.g. `tienda`; all unless said.
    #[schemars(length(min = 1, max = 128))]
    service_id: Option<String>,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// How the services do, by id.
#[derive(Serialize, JsonSchema)]
struct Healths {
    services: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// How a service does.
#[derive(Serialize, JsonSchema)]
struct Shown {
    service_id: String,
    /// Null where it has neither a container nor a `health_url`: then nobody can tell.
    status: Option<Health>,
    /// For how many seconds all of it has run: the least of its containers.
    uptime: Option<u64>,
    /// When this was asked.
    last_check: String,
    /// How long its `health_url` took to answer, in milliseconds.
    response_time: Option<u64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What nobody says: these fields are null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

impl Tool for ServicesHealth {
    const NAME: &'static str = "services_health";
    const TITLE: &'static str = "Health of services";
    const ROUTE: Route = Route::get("/services/health");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Services;
    type Backend = Services;
    type Output = Healths;

    async fn call(self, services: &Services) -> Result<Healths> {
        let asked = match &self.service_id {
            Some(id) => vec![services.find(id).await?],
            None => services.all().await?,
        };
        let (asked, next_cursor) = page_of(services.session(), asked, self.limit, self.cursor.as_deref(), |service| &service.id)?;
        let looks = stream::iter(asked).map(|service| async move { look(services, &service).await });
        let looks: Vec<Result<Shown>> = looks.buffered(AT_ONCE).collect().await;
        Ok(Healths {
            services: looks.into_iter().collect::<Result<_>>()?,
            next_cursor,
        })
    }
}

/// Looks at a service: its containers and its own answer, at the same time.
async fn look(services: &Services, service: &Service) -> Result<Shown> {
    let (containers, answer) = tokio::join!(
        look_at_containers(services.docker_if_any(), service, services.now()),
        probe_if_any(services, service)
    );
    let containers = containers?;
    let own = Health::of(&containers.conditions);
    let status = match (own, &answer) {
        (None, Some(answer)) => Some(answer.health()),
        (Some(Health::Healthy), Some(answer)) if answer.trouble.is_some() => Some(Health::Degraded),
        (own, _) => own,
    };
    let response_time = answer.as_ref().and_then(|answer| answer.millis);
    let unavailable = [
        ("status", status.is_none()),
        ("uptime", containers.uptime.is_none()),
        ("response_time", response_time.is_none()),
    ];
    Ok(Shown {
        service_id: service.id.clone(),
        status,
        uptime: containers.uptime,
        last_check: clock::rfc3339(services.now()),
        response_time,
        error: containers.trouble.or_else(|| answer.and_then(|answer| answer.trouble)),
        unavailable: unavailable
            .into_iter()
            .filter_map(|(name, missing)| missing.then_some(name))
            .collect(),
    })
}

#[derive(Default)]
struct Containers {
    conditions: Vec<Condition>,
    uptime: Option<u64>,
    trouble: Option<String>,
}

async fn look_at_containers(docker: Option<&Docker>, service: &Service, now: i64) -> Result<Containers> {
    let mut seen = Containers::default();
    let Some(docker) = docker else { return Ok(seen) };
    for listed in &service.containers {
        let container = match docker.inspect(&listed.id).await {
            Ok(container) => container,
            // Gone between the list and the look.
            Err(error) if error.kind() == Kind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let condition = container.condition();
        seen.uptime = match (seen.uptime, container.uptime(now)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if condition != Condition::Well && seen.trouble.is_none() {
            seen.trouble = Some(format!("{}: {}", container.name(), container.trouble()));
        }
        seen.conditions.push(condition);
    }
    Ok(seen)
}

/// What a service answered when it was asked.
struct Answered {
    /// How long it took; `None` where no answer came.
    millis: Option<u64>,
    trouble: Option<String>,
}

impl Answered {
    fn health(&self) -> Health {
        match self.trouble {
            None => Health::Healthy,
            Some(_) => Health::Down,
        }
    }
}

async fn probe_if_any(services: &Services, service: &Service) -> Option<Answered> {
    match &service.health_url {
        Some(url) => Some(probe(services, url).await),
        None => None,
    }
}

/// Asks a service once, through the guard of its tenant.
async fn probe(services: &Services, url: &Url) -> Answered {
    let begun = Instant::now();
    let asked = async {
        let session = services.session();
        let tenant = &session.tenant()?.tenant;
        let connection = session.state.connections.address(tenant, "health_url", url.clone())?;
        let client = Client::open(connection, session.clone()).await?;
        Ok::<_, Error>(client.get("").within(PROBE).begin().await?.status())
    };
    let outcome = asked.await;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(status) => Answered {
            millis: Some(millis),
            trouble: (status.is_client_error() || status.is_server_error())
                .then(|| format!("its health_url answers HTTP {}", status.as_u16())),
        },
        Err(error) => Answered {
            millis: None,
            trouble: Some(match error.kind() {
                Kind::Timeout => format!("its health_url does not answer within {} s", PROBE.as_secs()),
                Kind::BackendDown => "its health_url cannot be reached".to_owned(),
                _ => format!("its health_url cannot be asked: {}", error.message()),
            }),
        },
    }
}

/// Asks the services that have no container and a `health_url`: nothing else can tell how they do.
pub(super) async fn probe_bare(services: &Services, all: &[Service]) -> HashMap<String, Health> {
    let bare = all
        .iter()
        .filter(|service| service.containers.is_empty())
        .filter_map(|service| Some((service.id.clone(), service.health_url.clone()?)));
    let probes = stream::iter(bare.collect::<Vec<_>>()).map(|(id, url)| async move { (id, probe(services, &url).await.health()) });
    probes.buffer_unordered(AT_ONCE).collect().await
}
