//! How the tenant's infrastructure stands now: hosts from Prometheus, containers and services from Docker, each where it is connected.

use std::time::Duration;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    catalogue::Figure,
    client::{Prometheus, no_series},
    no_data, rounded,
};
use crate::{
    auth::Scope,
    backends::{
        Connected as _, Session,
        client::shortened,
        docker::{self, Docker, Load, Share},
        figures::Unavailable,
    },
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<InfraStatus>()]
}

/// How long one backend may take, so that what the other told can still be answered within the tool's 30 s.
const PART: Duration = Duration::from_secs(27);

/// Show how the tenant's servers stand now: whether they are up, how full processor, memory and disks are, how many containers run
/// and how many services are healthy.
///
/// Without Prometheus, processor and memory are what the tenant's containers take of their host, as `usage_of` says.
/// It takes no parameters. What cannot be told is null, and `unavailable` says why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InfraStatus {}

/// How the infrastructure stands.
#[derive(Default, Serialize, JsonSchema)]
struct Status {
    /// `down` when one of the tenant's hosts does not answer Prometheus. Without Prometheus, `up` when Docker answers.
    vps_status: Option<VpsStatus>,
    /// Percent of all processors, as `usage_of` says: of all hosts over five minutes, or by the containers over a second.
    cpu_usage: Option<f64>,
    /// Percent of the memory, of the same.
    memory_usage: Option<f64>,
    /// Percent of all disks together; `infra_metrics` shows each.
    disk_usage: Option<f64>,
    /// Whose processors and memory: all use of the tenant's `hosts`, as Prometheus has it, or what its `containers` take of theirs,
    /// as Docker measures it; null where neither is told.
    usage_of: Option<UsageOf>,
    containers: Option<Containers>,
    services: Option<Services>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
    /// What Prometheus says against its own answer.
    warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum VpsStatus {
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum UsageOf {
    Hosts,
    Containers,
}

/// The tenant's containers.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct Containers {
    running: u64,
    total: u64,
}

/// The tenant's services.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct Services {
    healthy: u64,
    total: u64,
}

impl Tool for InfraStatus {
    const NAME: &'static str = "infra_status";
    const TITLE: &'static str = "Infrastructure status";
    const ROUTE: Route = Route::get("/infra/status");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Infrastructure;
    type Backend = (Session, Result<Option<Prometheus>>);
    type Output = Status;

    async fn call(self, (session, prometheus): &Self::Backend) -> Result<Status> {
        let (figures, containers, services) = tokio::join!(
            figures(prometheus, session),
            part(Docker::NAME, docker::containers_running(session.clone())),
            part(Docker::NAME, docker::services_healthy(session.clone())),
        );
        session.note_health(Docker::NAME, containers.as_ref().err().map(Error::kind));
        let mut status = Status::default();
        let mut failures = Vec::new();
        match figures {
            Ok(Figures::Hosts(hosts)) => status.take_hosts(hosts),
            Ok(Figures::Containers(load)) => status.take_load(load),
            Err(error) => failures.push((Prometheus::NAME, Figure::ALL.map(Figure::name).to_vec(), error)),
        }
        match containers {
            Ok(Share { count, total }) => status.containers = Some(Containers { running: count, total }),
            Err(error) => failures.push((Docker::NAME, vec!["containers"], error)),
        }
        match services {
            Ok(Share { count, total }) => status.services = Some(Services { healthy: count, total }),
            Err(error) => failures.push((Docker::NAME, vec!["services"], error)),
        }
        if !status.says_something() {
            return Err(whole(failures.into_iter().map(|(_, _, error)| error)));
        }
        for (backend, names, error) in failures {
            let reason = if error.kind() == Kind::NotConnected {
                format!("This tenant has not connected {backend}")
            } else {
                error.log(&session.request_id);
                shortened(error.message())
            };
            status
                .unavailable
                .extend(names.iter().map(|name| Unavailable::new(*name, reason.clone())));
        }
        Ok(status)
    }
}

/// A part within its own time limit, so that the others can still be told.
async fn part<T>(backend: &'static str, asking: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PART, asking)
        .await
        .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, format!("'{backend}' did not answer in time"))))
}

/// Why nothing at all could be told: what failed, before what is only not connected.
fn whole(errors: impl Iterator<Item = Error>) -> Error {
    errors.into_iter().find(|error| error.kind() != Kind::NotConnected).unwrap_or_else(|| {
        Error::new(
            Kind::NotConnected,
            "This tenant has connected neither prometheus nor docker, and this needs one of them. An administrator connects them with PUT /api/v1/connections/{backend}, or the tool connections_set.",
        )
    })
}

/// Where the figures come from.
enum Figures {
    Hosts(Hosts),
    Containers(Load),
}

/// From Prometheus where the tenant has connected it, else from its Docker.
async fn figures(prometheus: &Result<Option<Prometheus>>, session: &Session) -> Result<Figures> {
    if !matches!(prometheus, Ok(None)) {
        return part(Prometheus::NAME, hosts(prometheus)).await.map(Figures::Hosts);
    }
    let load = part(Docker::NAME, docker::load(session.clone())).await;
    load.map(Figures::Containers).map_err(|error| match error.kind() {
        Kind::NotConnected => not_connected(),
        _ => error,
    })
}

fn not_connected() -> Error {
    Error::new(Kind::NotConnected, "This tenant has not connected prometheus")
}

/// What Prometheus tells.
struct Hosts {
    /// In the order of [`Figure::ALL`]; null where there is no data, or a failure.
    figures: Vec<(Figure, Result<Option<f64>>)>,
    warnings: Vec<String>,
    request_id: std::sync::Arc<str>,
}

async fn hosts(prometheus: &Result<Option<Prometheus>>) -> Result<Hosts> {
    let prometheus = match prometheus {
        Ok(Some(prometheus)) => prometheus,
        Ok(None) => return Err(not_connected()),
        Err(error) => return Err(error.repeated()),
    };
    let session = prometheus.http.session();
    let asked = Figure::ALL.map(|figure| async move { (figure, prometheus.instant(&figure.now(&prometheus.credential.matcher)).await) });
    let mut hosts = Hosts {
        figures: Vec::new(),
        warnings: Vec::new(),
        request_id: std::sync::Arc::clone(&session.request_id),
    };
    for (figure, found) in join_all(asked).await {
        let value = found.map(|found| {
            for words in found.warnings {
                if !hosts.warnings.contains(&words) {
                    hosts.warnings.push(words);
                }
            }
            found
                .series
                .first()
                .and_then(|series| series.samples.first())
                .map(|(_, value)| *value)
        });
        hosts.figures.push((figure, value));
    }
    let failed = hosts.figures.iter().all(|(_, value)| value.is_err());
    let failure = hosts.figures.iter().find_map(|(_, value)| value.as_ref().err()).filter(|_| failed);
    session.note_health(Prometheus::NAME, failure.map(Error::kind));
    if failed && let (_, Err(error)) = hosts.figures.swap_remove(0) {
        return Err(error);
    }
    if hosts.figures.iter().all(|(_, value)| matches!(value, Ok(None))) {
        return Err(no_series());
    }
    Ok(hosts)
}

impl Status {
    fn take_hosts(&mut self, hosts: Hosts) {
        for (figure, value) in hosts.figures {
            let value = match value {
                Ok(Some(value)) => value,
                Ok(None) => {
                    self.unavailable.push(no_data(figure.name()));
                    continue;
                }
                Err(error) => {
                    self.unavailable.push(Unavailable::failed(figure.name(), &error, &hosts.request_id));
                    continue;
                }
            };
            let percent = Some(rounded(value, true));
            match figure {
                Figure::Up => self.vps_status = Some(if value >= 1.0 { VpsStatus::Up } else { VpsStatus::Down }),
                Figure::Cpu => self.cpu_usage = percent,
                Figure::Memory => self.memory_usage = percent,
                Figure::Disk => self.disk_usage = percent,
            }
        }
        self.warnings = hosts.warnings;
        self.usage_of = self.cpu_usage.or(self.memory_usage).map(|_| UsageOf::Hosts);
    }

    /// A Docker that answers is on a host that is up.
    fn take_load(&mut self, load: Load) {
        self.vps_status = Some(VpsStatus::Up);
        self.cpu_usage = load.cpu.map(|cpu| rounded(cpu, true));
        if load.cpu.is_none() {
            self.unavailable.push(Unavailable::new(
                Figure::Cpu.name(),
                "This Docker does not tell its containers' processor time",
            ));
        }
        self.memory_usage = load.memory.map(|memory| rounded(memory, true));
        self.usage_of = Some(UsageOf::Containers);
        if load.memory.is_none() {
            self.unavailable.push(Unavailable::new(
                Figure::Memory.name(),
                "This Docker's host does not count its containers' memory",
            ));
        }
        self.unavailable
            .push(Unavailable::new(Figure::Disk.name(), "Docker does not tell it; connect prometheus"));
    }

    fn says_something(&self) -> bool {
        self.vps_status.is_some()
            || [self.cpu_usage, self.memory_usage, self.disk_usage].iter().any(Option::is_some)
            || self.containers.is_some()
            || self.services.is_some()
    }
}
