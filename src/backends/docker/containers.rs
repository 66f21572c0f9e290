//! Containers: all of the tenant's, whether they belong to a service or not.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    client::{Condition, Docker, Listed},
    services::{bounce, page_of, settled},
};
use crate::{
    auth::Scope,
    clock,
    error::{Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListContainers>(), tool::<RestartContainer>()]
}

/// How many containers are inspected at once.
const AT_ONCE: usize = 16;
/// How long a restarted container must run to count as restarted.
const STEADY: Duration = Duration::from_secs(1);

/// List the tenant's containers, with what they run, since when, and their ports.
///
/// These are the containers of its Docker that carry the tenant's label `smarteros.tenant`. Example: `{"filter": "error"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListContainers {
    /// `running`; `stopped` (created, paused, or ended with exit code 0); `error` (ended otherwise, dead, restarting or unhealthy); `all` unless said.
    #[serde(default)]
    filter: Filter,
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
    Running,
    Stopped,
    Error,
}

impl Filter {
    fn takes(self, container: &Listed) -> bool {
        match self {
            Filter::All => true,
            Filter::Running => container.is_running(),
            Filter::Stopped => !container.is_running() && !container.is_error(),
            Filter::Error => container.is_error(),
        }
    }
}

/// The tenant's containers, by name.
#[derive(Serialize, JsonSchema)]
struct Containers {
    containers: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A container.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: String,
    name: String,
    /// The image that it was made from, e.g. `tienda:1.2`.
    image: String,
    /// Docker's word: created, running, paused, restarting, removing, exited or dead.
    status: String,
    /// What its health check says (healthy, unhealthy, starting); null where it has none or does not run.
    health: Option<&'static str>,
    /// For how many seconds it has run; null while it does not.
    uptime: Option<u64>,
    /// e.g. `0.0.0.0:8080->80/tcp`.
    ports: Vec<String>,
    /// What Docker does not say: these fields are null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

impl Tool for ListContainers {
    const NAME: &'static str = "containers_list";
    const TITLE: &'static str = "List containers";
    const ROUTE: Route = Route::get("/containers");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Infrastructure;
    type Backend = Docker;
    type Output = Containers;

    async fn call(self, docker: &Docker) -> Result<Containers> {
        let mut all = docker.containers().await?;
        all.retain(|container| self.filter.takes(container));
        let (page, next_cursor) = page_of(docker.session(), all, self.limit, self.cursor.as_deref(), Listed::name)?;
        let now = docker.session().state.clock.millis();
        let shown = stream::iter(page).map(|container| async move { show(docker, container, now).await });
        let shown: Vec<Result<Shown>> = shown.buffered(AT_ONCE).collect().await;
        Ok(Containers {
            containers: shown.into_iter().collect::<Result<_>>()?,
            next_cursor,
        })
    }
}

/// A list says since when a container runs in words only: the moment is in its inspect.
async fn show(docker: &Docker, container: Listed, now: i64) -> Result<Shown> {
    let uptime = if container.is_running() {
        match docker.inspect(&container.id).await {
            Ok(inspected) => inspected.uptime(now),
            // Gone between the list and the look.
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    Ok(Shown {
        health: container.health(),
        ports: container.ports(),
        unavailable: uptime.is_none().then_some("uptime").into_iter().collect(),
        uptime,
        name: container.name().to_owned(),
        id: container.id,
        image: container.image,
        status: container.state,
    })
}

/// Restart one of the tenant's containers, by id or name.
///
/// Example: `{"container_id": "tienda-1"}`. To restart all that belongs to a service, use `services_restart`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestartContainer {
    /// The container's id, at least its first 12 digits, or its name, as `containers_list` shows them.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$"))]
    container_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Restarted,
    Failed,
}

/// A restart that was done.
#[derive(Serialize, JsonSchema)]
struct Restarted {
    container_id: String,
    status: Status,
    /// When the restart began.
    restart_time: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Tool for RestartContainer {
    const NAME: &'static str = "containers_restart";
    const TITLE: &'static str = "Restart a container";
    const ROUTE: Route = Route::post("/containers/{container_id}/restart").destroys();
    const SCOPE: Scope = Scope::WriteServices;
    const CATEGORY: Category = Category::Infrastructure;
    const TIME_LIMIT: Duration = Duration::from_secs(45);
    type Backend = Docker;
    type Output = Restarted;

    async fn call(self, docker: &Docker) -> Result<Restarted> {
        let listed = docker.find(&self.container_id).await?;
        let container = docker.inspect(&listed.id).await?;
        let now = docker.session().state.clock.millis();
        let error = match bounce(docker, &container.id).await {
            Ok(()) => {
                let (condition, after) = settled(docker, &container.id, Instant::now() + STEADY, STEADY).await?;
                // Whether it will be healthy is not waited for here: it was restarted.
                (condition == Condition::Unwell).then(|| after.trouble())
            }
            Err(error) if matches!(error.kind(), Kind::BackendRefused | Kind::Conflict | Kind::NotFound) => {
                Some(error.message().to_owned())
            }
            Err(error) => return Err(error),
        };
        Ok(Restarted {
            container_id: container.id,
            status: match error {
                None => Status::Restarted,
                Some(_) => Status::Failed,
            },
            restart_time: clock::rfc3339(now),
            error,
        })
    }
}
