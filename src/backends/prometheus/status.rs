//! How the tenant's infrastructure stands now: hosts from Prometheus, containers and services from Docker, each where it is connected.

use std::time::Duration;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Unavailable,
    catalogue::Figure,
    client::{Prometheus, no_series},
    rounded,
};
use crate::{
    auth::Scope,
    backends::{
        Connected as _, Session,
        client::shortened,
        docker::{self, Docker, Share},
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
/// It takes no parameters. What cannot be told is null, and `unavailable` says why.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InfraStatus {}

/// How the infrastructure stands.
#[derive(Default, Serialize, JsonSchema)]
struct Status {
    /// `down` when one of the tenant's hosts does not answer Prometheus.
    vps_status: Option<VpsStatus>,
    /// Percent of all processors of all hosts, over five minutes.
    cpu_usage: Option<f64>,
    /// Percent of the memory of all hosts.
    memory_usage: Option<f64>,
    /// Percent of all disks together; `infra_metrics` shows each.
    disk_usage: Option<f64>,
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
        let (hosts, containers, services) = tokio::join!(
            part(Prometheus::NAME, hosts(prometheus)),
            part(Docker::NAME, docker::containers_running(session.clone())),
            part(Docker::NAME, docker::services_healthy(session.clone())),
        );
        session.note_health(Docker::NAME, containers.as_ref().err().map(Error::kind));
        let mut status = Status::default();
        let mut failures = Vec::new();
        match hosts {
            Ok(hosts) => status.take_hosts(hosts),
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
                .extend(names.iter().map(|name| Unavailable::new(name, reason.clone())));
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
        Ok(None) => return Err(Error::new(Kind::NotConnected, "This tenant has not connected prometheus")),
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
                    self.unavailable.push(Unavailable::no_data(figure.name()));
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
    }

    fn says_something(&self) -> bool {
        self.vps_status.is_some()
            || [self.cpu_usage, self.memory_usage, self.disk_usage].iter().any(Option::is_some)
            || self.containers.is_some()
            || self.services.is_some()
    }
}
