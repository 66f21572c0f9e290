//! The stage: the processes that run beside each other, the rows that they make, and the rounds over them.

use std::{
    cell::RefCell,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Result,
    access::{self, AccessTokens},
    agentgateway,
    beside::{self, Beside},
    doors::Door,
    gateway::{Gateway, Servers},
    load::{Load, Template, ask},
    options::Options,
    peers,
    process::{Group, Process, cpu_seconds, machine_cpu_seconds},
    report::{GatewayFacts, Role, Row},
};

/// How often the gateway is started on an empty directory.
const STARTS: usize = 3;
const REPLICAS: usize = 3;

/// The rows of one process that were asked for: a name, its role, its door.
type Chosen = Vec<(String, Role, Door)>;

fn chosen(options: &Options, name: &str, role: Role, doors: &[Door]) -> Chosen {
    let rows = doors.iter().map(|door| (format!("{name} ({})", door.name()), role, *door));
    rows.filter(|(name, ..)| options.takes(name)).collect()
}

/// The gateway, beside its process, which the stage has.
pub struct Tested {
    gateway: Gateway,
    process: Group,
    starts: Vec<Duration>,
    tenants: usize,
    tokens: Arc<[String]>,
}

/// What is to be measured: a row of the report, the process behind it and the call.
struct Subject {
    row: Row,
    process: Group,
    to: Vec<SocketAddr>,
    template: Template,
    /// `None`: any tokens; it does not look at them.
    tokens: Option<Arc<[String]>>,
}

/// The gateways on PostgreSQL and Redis.
pub struct Production {
    gateways: Vec<Gateway>,
    redis: String,
}

/// Everything that runs.
pub struct Stage {
    /// Where the JSON backend listens.
    backend: SocketAddr,
    processes: Vec<Group>,
    /// What stands behind those, and is not measured.
    behind: Vec<Process>,
    subjects: Vec<Subject>,
}

impl Stage {
    /// The JSON backend alone.
    pub fn open() -> Result<Self> {
        let (process, backend) = Process::peer(&["backend"])?;
        Ok(Self {
            backend,
            processes: Vec::new(),
            behind: vec![process],
            subjects: Vec::new(),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Ends everything.
    pub fn into_rows(self) -> Vec<Row> {
        self.subjects.into_iter().map(|subject| subject.row).collect()
    }

    /// Adds rows: a process, or several, by each of these doors.
    fn add(&mut self, process: &Group, to: &[SocketAddr], rows: Chosen, reaches_backend: bool, tokens: Option<&Arc<[String]>>) {
        for (name, role, door) in rows {
            let row = Row {
                name,
                role,
                door,
                cells: Vec::new(),
                reached: reaches_backend.then_some((0, 0)),
                scripts: None,
            };
            self.subjects.push(Subject {
                row,
                process: process.clone(),
                template: door.template(to[0]),
                to: to.to_vec(),
                tokens: tokens.cloned(),
            });
        }
    }

    fn add_peer(&mut self, (process, to): (Process, SocketAddr), rows: Chosen, reaches_backend: bool) {
        let process = Group::of(process);
        self.add(&process, &[to], rows, reaches_backend, None);
        self.processes.push(process);
    }

    /// Starts the peers that were asked for.
    pub async fn add_peers(&mut self, options: &Options, scratch: &Path) -> Result<()> {
        let backend = format!("http://{}", self.backend);
        let old: &[Door] = &[Door::Legacy];
        let eras: &[Door] = &[Door::Legacy, Door::Modern];
        let peers: [(&str, Role, &[Door], &[&str]); 4] = [
            ("axum: JSON in and 1 KB out", Role::Peer, old, &["axum"]),
            ("rmcp server", Role::Peer, eras, &["rmcp"]),
            (
                "rmcp → reqwest → text as it came",
                Role::Unread,
                old,
                &["rmcp-reqwest-unread", &backend],
            ),
            ("rmcp → reqwest → JSON backend", Role::Reference, eras, &["rmcp-reqwest", &backend]),
        ];
        for (name, role, doors, arguments) in peers {
            let rows = chosen(options, name, role, doors);
            if !rows.is_empty() {
                self.add_peer(Process::peer(arguments)?, rows, arguments.contains(&backend.as_str()));
            }
        }
        let rows = chosen(options, "agentgateway → rmcp server", Role::Peer, &[Door::Modern]);
        if let Some(program) = options.agentgateway.as_deref().filter(|_| !rows.is_empty()) {
            let (upstream, address) = Process::peer(&["rmcp"])?;
            self.behind.push(upstream);
            self.add_peer(agentgateway::start(program, scratch, address).await?, rows, false);
        }
        Ok(())
    }

    /// Starts the gateway and fills it, if a row of it was asked for.
    pub async fn add_gateway(&mut self, options: &Options, scratch: &Path) -> Result<Option<Tested>> {
        let rows = chosen(options, "**SmarterMCP**", Role::Gateway, &Door::ALL);
        if rows.is_empty() {
            return Ok(None);
        }
        let mut starts = Vec::new();
        for start in 1..STARTS {
            let (gateway, process) = Gateway::start(&scratch.join(format!("start-{start}"))).await?;
            starts.push(gateway.first_answer);
            drop(process);
        }
        let (gateway, process) = Gateway::start(&scratch.join("gateway")).await?;
        starts.push(gateway.first_answer);
        let tokens = filled(&gateway, options, self.backend).await?;
        let process = Group::of(process);
        self.add(&process, &[gateway.address], rows, true, Some(&tokens));
        self.processes.push(process.clone());
        Ok(Some(Tested {
            process,
            starts,
            tenants: options.tenants,
            tokens,
            gateway,
        }))
    }

    /// Starts and fills the gateways on PostgreSQL and Redis, if rows of them were asked for and there are such servers.
    pub async fn add_production(&mut self, options: &Options, scratch: &Path) -> Result<Option<Production>> {
        let Some(servers) = &options.servers else { return Ok(None) };
        let alone = chosen(options, "**SmarterMCP** on Redis + PostgreSQL", Role::Production, &Door::ALL);
        let one = chosen(options, "the same, 1 replica of one thread", Role::Replicas, &[Door::Modern]);
        let three = chosen(options, "the same, 3 replicas of one thread", Role::Replicas, &[Door::Modern]);
        let mut gateways = Vec::new();
        if !alone.is_empty() {
            let servers = Servers::of(servers, "bench").await?;
            let (gateway, process) = Gateway::start_replica(&scratch.join("production"), &servers, None).await?;
            let tokens = filled(&gateway, options, self.backend).await?;
            let process = Group::of(process);
            self.add(&process, &[gateway.address], alone, true, Some(&tokens));
            self.processes.push(process);
            gateways.push(gateway);
        }
        if !(one.is_empty() && three.is_empty()) {
            let servers = Servers::of(servers, "bench_replicas").await?;
            let (mut all, mut addresses) = (Group(Vec::new()), Vec::new());
            for replica in 1..=REPLICAS {
                let (gateway, process) = Gateway::start_replica(&scratch.join(format!("replica-{replica}")), &servers, Some(1)).await?;
                all.0.push(Rc::new(RefCell::new(process)));
                addresses.push(gateway.address);
                gateways.push(gateway);
            }
            let first = &gateways[gateways.len() - REPLICAS];
            let tokens = filled(first, options, self.backend).await?;
            self.add(&Group(vec![Rc::clone(&all.0[0])]), &addresses[..1], one, true, Some(&tokens));
            self.add(&all, &addresses, three, true, Some(&tokens));
            self.processes.push(all);
        }
        Ok(Some(Production {
            gateways,
            redis: servers.redis_url.clone(),
        }))
    }

    /// Measures every row at every number of connections, round after round. Gives back what share of the machine's CPU time
    /// went to programs that are none of ours.
    pub async fn measure(&mut self, options: &Options, tested: Option<&Tested>, production: Option<&Production>) -> Result<f64> {
        // Peers get the same bytes, and ignore the token.
        let peers: Arc<[String]> = (0..1000).map(|index| format!("smcp_{index:049}")).collect();
        let mut first_token = 0;
        let (began, before) = (Instant::now(), self.strangers()?);
        for round in 1..=options.rounds {
            for &connections in &options.connections {
                eprintln!("round {round} of {}, {connections} connections", options.rounds);
                for subject in &mut self.subjects {
                    let load = Load {
                        to: &subject.to,
                        template: &subject.template,
                        tokens: subject.tokens.as_ref().unwrap_or(&peers),
                        connections,
                        first_token,
                        warm_up: options.warm_up,
                        measured: options.measured,
                    };
                    let before = hits(self.backend).await?;
                    let scripts = match (subject.row.role, production) {
                        (Role::Production | Role::Replicas, Some(production)) => Some((scripts_run(&production.redis).await?, production)),
                        _ => None,
                    };
                    let measured = load
                        .run(&subject.process)
                        .await
                        .map_err(|error| format!("{}: {error}", subject.row.name))?;
                    // The next cell goes on where this one ended, so that all tokens are used alike.
                    first_token += measured.sent;
                    if let Some((reached, made)) = &mut subject.row.reached {
                        *reached += hits(self.backend).await? - before;
                        *made += measured.sent as u64;
                    }
                    if let Some((before, production)) = scripts {
                        let run = scripts_run(&production.redis).await? - before;
                        subject.row.scripts.get_or_insert_default().push((run, measured.sent as u64));
                    }
                    subject.row.push(connections, measured);
                    let gateways = production.iter().flat_map(|production| &production.gateways);
                    for gateway in tested.iter().map(|tested| &tested.gateway).chain(gateways) {
                        gateway.cut_log()?;
                    }
                }
            }
        }
        Ok((self.strangers()? - before).max(0.0) / (began.elapsed().as_secs_f64() * crate::cores()))
    }

    /// CPU time so far of all programs but ours, in seconds.
    fn strangers(&self) -> Result<f64> {
        let ours = self.processes.iter().map(Group::cpu_seconds).sum::<Result<f64>>()?
            + self.behind.iter().map(Process::cpu_seconds).sum::<Result<f64>>()?;
        Ok(machine_cpu_seconds()? - ours - cpu_seconds("self")?)
    }

    /// Measures on the filled gateway what stands beside the rows.
    pub async fn measure_beside(&self, options: &Options, tested: &Tested) -> Result<Beside> {
        beside::measure(&tested.gateway, &tested.process, &tested.tokens, options.measured).await
    }

    /// Measures on the filled gateway what access tokens cost.
    pub async fn measure_access(&self, options: &Options, tested: &Tested, scratch: &Path) -> Result<AccessTokens> {
        access::measure(
            &tested.gateway,
            &tested.process,
            &scratch.join("gateway"),
            &tested.tokens,
            options.measured,
        )
        .await
    }

    /// Reads what the gateway came to, and starts it once more on what it has stored.
    pub async fn close_gateway(&mut self, tested: Tested, scratch: &Path) -> Result<GatewayFacts> {
        let process = tested.process;
        let (highest_kib, resident_kib) = (process.highest_kib()?, process.resident_kib()?);
        process.end().await?;
        let (again, _process) = tested.gateway.start_again(&scratch.join("gateway")).await?;
        Ok(GatewayFacts {
            starts: tested.starts,
            start_full: again.first_answer,
            tenants: tested.tenants,
            tokens: tested.tokens.len(),
            highest_kib,
            resident_kib,
        })
    }
}

/// Fills a gateway, and says how long it took.
async fn filled(gateway: &Gateway, options: &Options, backend: SocketAddr) -> Result<Arc<[String]>> {
    let began = Instant::now();
    let tokens = gateway.fill(options.tenants, backend).await?;
    eprintln!(
        "{} tenants and {} tokens in {:.1} s",
        options.tenants,
        tokens.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(tokens)
}

/// How many scripts Redis has run so far.
async fn scripts_run(redis: &str) -> Result<u64> {
    let client = redis::Client::open(redis)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await?;
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix("calls=")?.split(',').next()?.parse::<u64>().ok()
    };
    Ok(calls("cmdstat_evalsha:").unwrap_or(0) + calls("cmdstat_eval:").unwrap_or(0))
}

/// How often the backend was asked for an execution.
async fn hits(backend: SocketAddr) -> Result<u64> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {backend}\r\n\r\n", peers::HITS);
    let body = ask(backend, request.as_bytes(), |answer| answer.body.to_vec()).await?;
    Ok(String::from_utf8(body)?.parse()?)
}
