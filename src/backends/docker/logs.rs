//! Logs: the last lines of a service's containers, and, for up to half a minute, those that follow.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    client::{Docker, Listed},
    lines::Reader,
    services::{Services, no_containers},
};
use crate::{
    auth::Scope,
    backends::{
        Notifier,
        client::{Arriving, Piece},
    },
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ServiceLogs>()]
}

const LINES_DEFAULT: u32 = 100;
const LINES_MAX: usize = 5000;
/// The most text of all lines together.
const TEXT_MAX: usize = 1024 * 1024;
/// The most that is read of one container's log, whatever comes of it.
const READ_MAX: usize = 32 * 1024 * 1024;
/// How long a log is followed.
const FOLLOWED: Duration = Duration::from_secs(30);
/// How many containers of one service are read.
const CONTAINERS_MAX: usize = 20;

/// Read the last lines that a service wrote, oldest first, and, with `follow`, what it writes during the next half minute.
///
/// Lines of several containers are in the order of time, each after the container's name and ` | `. With `follow`, REST answers a stream of events (`line`, then `end`), and MCP sends each line as progress where the client asked for progress. Example: `{"service_id": "tienda", "lines": 50}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceLogs {
    /// The service, as `services_list` names it, e.g. `tienda`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
    /// How many of the last lines; 100 unless said.
    #[schemars(range(min = 1, max = 5000))]
    lines: Option<u32>,
    /// Wait for new lines too, for up to 30 s; false unless said.
    #[serde(default)]
    follow: bool,
}

/// What a service wrote.
#[derive(Serialize, JsonSchema)]
struct Lines {
    service_id: String,
    lines: Vec<String>,
    /// True where older lines were left out, or lines were cut or left out because of their size.
    truncated: bool,
}

impl Tool for ServiceLogs {
    const NAME: &'static str = "services_logs";
    const TITLE: &'static str = "Logs of a service";
    const ROUTE: Route = Route::get("/services/{service_id}/logs");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Services;
    const TIME_LIMIT: Duration = Duration::from_secs(45);
    const STREAMS: bool = true;
    type Backend = Services;
    type Output = Lines;

    async fn call(self, services: &Services) -> Result<Lines> {
        let docker = services.docker().await?;
        let service = services.find(&self.service_id).await?;
        if service.containers.is_empty() {
            return Err(no_containers(&service.id));
        }
        let wanted = self.lines.unwrap_or(LINES_DEFAULT) as usize;
        let left_out = service.containers.len() > CONTAINERS_MAX;
        let containers = &service.containers[..service.containers.len().min(CONTAINERS_MAX)];
        let tail = match self.follow {
            true => follow(docker, containers, wanted, &services.session().notifier).await?,
            false => last(docker, containers, wanted).await?,
        };
        Ok(Lines {
            service_id: service.id,
            truncated: tail.truncated || left_out,
            lines: tail.lines.into(),
        })
    }
}

/// The newest lines, up to a number and a size.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    text: usize,
    truncated: bool,
}

impl Tail {
    /// Takes a line, and lets go of the oldest ones where there are too many.
    fn push(&mut self, line: String, most: usize) {
        self.text += line.len();
        self.lines.push_back(line);
        while self.lines.len() > most || self.text > TEXT_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.text -= oldest.len();
            self.truncated = true;
        }
    }
}

/// One container's log, open.
struct Open<'a> {
    /// What stands before its lines.
    prefix: String,
    reader: Reader,
    arriving: Arriving<'a>,
    read: usize,
}

impl Open<'_> {
    /// Counts what came, and says whether it is too much.
    fn is_over(&mut self, bytes: &[u8]) -> bool {
        self.read += bytes.len();
        self.read > READ_MAX
    }
}

async fn open<'a>(docker: &'a Docker, container: &Listed, several: bool, query: &[(&str, &str)]) -> Result<Open<'a>> {
    let inspected = docker.inspect(&container.id).await?;
    let query: Vec<_> = [("stdout", "1"), ("stderr", "1")].iter().chain(query).copied().collect();
    Ok(Open {
        prefix: match several {
            true => format!("{} | ", inspected.name()),
            false => String::new(),
        },
        reader: Reader::new(inspected.has_terminal()),
        arriving: docker.read_on(&format!("/containers/{}/logs", inspected.id), &query).await?,
        read: 0,
    })
}

/// The last lines of all containers, in the order of time.
async fn last(docker: &Docker, containers: &[Listed], wanted: usize) -> Result<Tail> {
    let several = containers.len() > 1;
    // One more than wanted: whether there is an older one is to be told.
    let tail = (wanted + 1).to_string();
    let timestamps = if several { "1" } else { "0" };
    let mut all: Vec<(String, String)> = Vec::new();
    let mut whole = Tail::default();
    for container in containers {
        let query = [("tail", tail.as_str()), ("timestamps", timestamps)];
        let mut log = open(docker, container, several, &query).await?;
        let mut own = Tail::default();
        loop {
            match log.arriving.piece(docker.session().deadline).await? {
                Piece::Bytes(bytes) => {
                    log.reader.feed(&bytes, |line| own.push(line, wanted + 1))?;
                    if log.is_over(&bytes) {
                        own.truncated = true;
                        break;
                    }
                }
                Piece::End => {
                    own.truncated |= log.reader.end(|line| own.push(line, wanted + 1))?;
                    break;
                }
                Piece::Late => {
                    return Err(Error::new(
                        Kind::Timeout,
                        "'docker' did not send the log in time; ask for fewer lines",
                    ));
                }
            }
        }
        let prefix = log.prefix;
        whole.truncated |= own.truncated;
        all.extend(own.lines.into_iter().map(|line| match line.split_once(' ') {
            Some((at, text)) if several => (at.to_owned(), format!("{prefix}{text}")),
            _ => (String::new(), format!("{prefix}{line}")),
        }));
    }
    // Docker's timestamps have one length and one zone: as text they are in the order of time.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (_, line) in all {
        whole.push(line, wanted);
    }
    Ok(whole)
}

/// The last lines and what follows, each told as it comes, until the time or what may be said is over, or the containers end.
async fn follow(docker: &Docker, containers: &[Listed], wanted: usize, notifier: &Notifier) -> Result<Tail> {
    let several = containers.len() > 1;
    let until = Instant::now() + FOLLOWED;
    let tail = wanted.to_string();
    let waiting = FuturesUnordered::new();
    for container in containers {
        let log = open(docker, container, several, &[("tail", &tail), ("follow", "1")]).await?;
        waiting.push(next(log, until));
    }
    let mut waiting = waiting;
    notifier.open();
    let mut told = Told {
        notifier,
        tail: Tail::default(),
    };
    while let Some((mut log, piece)) = waiting.next().await {
        let prefix = &log.prefix;
        match piece? {
            Piece::Bytes(bytes) => {
                log.reader.feed(&bytes, |line| told.tell(prefix, &line))?;
                told.tail.truncated |= log.reader.cut;
                if log.is_over(&bytes) {
                    told.tail.truncated = true;
                    continue;
                }
            }
            Piece::End => {
                told.tail.truncated |= log.reader.end(|line| told.tell(prefix, &line))?;
                continue;
            }
            Piece::Late => break,
        }
        if told.is_full() {
            break;
        }
        waiting.push(next(log, until));
    }
    Ok(told.tail)
}

async fn next(mut log: Open<'_>, until: Instant) -> (Open<'_>, Result<Piece>) {
    let piece = log.arriving.piece(until).await;
    (log, piece)
}

/// Lines that were told while they came.
struct Told<'a> {
    notifier: &'a Notifier,
    tail: Tail,
}

impl Told<'_> {
    fn is_full(&self) -> bool {
        self.tail.lines.len() >= LINES_MAX || self.tail.text >= TEXT_MAX
    }

    fn tell(&mut self, prefix: &str, line: &str) {
        // Nobody can take back what was told: what goes beyond is left out.
        if self.is_full() {
            self.tail.truncated = true;
            return;
        }
        let line = format!("{prefix}{line}");
        self.notifier.line(self.tail.lines.len() as u64 + 1, &line);
        self.tail.text += line.len();
        self.tail.lines.push_back(line);
    }
}
