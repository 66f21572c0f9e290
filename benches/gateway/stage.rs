//! The stage: the processes that run beside each other, the rows that they make, and the rounds over them.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Result, agentgateway,
    doors::Door,
    gateway::Gateway,
    load::{Load, Template, ask},
    options::Options,
    peers,
    process::{Process, cpu_seconds, machine_cpu_seconds},
    report::{GatewayFacts, Role, Row},
};

/// How often the gateway is started on an empty directory.
const STARTS: usize = 3;

/// The rows of one process that were asked for: a name, its role, its door.
type Chosen = Vec<(String, Role, Door)>;

fn chosen(options: &Options, name: &str, role: Role, doors: &[Door]) -> Chosen {
    let rows = doors.iter().map(|door| (format!("{name} ({})", door.name()), role, *door));
    rows.filter(|(name, ..)| options.takes(name)).collect()
}

/// The gateway, beside its process, which the stage has.
pub struct Tested {
    gateway: Gateway,
    /// In [`Stage::processes`].
    process: usize,
    starts: Vec<Duration>,
    tenants: usize,
    tokens: Arc<[String]>,
}

/// What is to be measured: a row of the report, the process behind it and the call.
struct Subject {
    row: Row,
    /// In [`Stage::processes`].
    process: usize,
    to: SocketAddr,
    template: Template,
}

/// Everything that runs.
pub struct Stage {
    /// Where the JSON backend listens.
    backend: SocketAddr,
    processes: Vec<Process>,
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

    /// Adds a process with a row for each of these doors.
    fn add(&mut self, (process, to): (Process, SocketAddr), rows: Chosen, reaches_backend: bool) {
        for (name, role, door) in rows {
            let row = Row {
                name,
                role,
                door,
                cells: Vec::new(),
                reached: reaches_backend.then_some((0, 0)),
            };
            self.subjects.push(Subject {
                row,
                process: self.processes.len(),
                to,
                template: door.template(to),
            });
        }
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
                self.add(Process::peer(arguments)?, rows, arguments.contains(&backend.as_str()));
            }
        }
        let rows = chosen(options, "agentgateway → rmcp server", Role::Peer, &[Door::Modern]);
        if let Some(program) = options.agentgateway.as_deref().filter(|_| !rows.is_empty()) {
            let (upstream, address) = Process::peer(&["rmcp"])?;
            self.behind.push(upstream);
            self.add(agentgateway::start(program, scratch, address).await?, rows, false);
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
        let began = Instant::now();
        let tokens = gateway.fill(options.tenants, self.backend).await?;
        eprintln!(
            "{} tenants and {} tokens in {:.1} s",
            options.tenants,
            tokens.len(),
            began.elapsed().as_secs_f64()
        );
        let tested = Tested {
            process: self.processes.len(),
            starts,
            tenants: options.tenants,
            tokens,
            gateway,
        };
        self.add((process, tested.gateway.address), rows, true);
        Ok(Some(tested))
    }

    /// Measures every row at every number of connections, round after round. Gives back what share of the machine's CPU time
    /// went to programs that are none of ours.
    pub async fn measure(&mut self, options: &Options, tested: Option<&Tested>) -> Result<f64> {
        // Peers get the same bytes, and ignore the token.
        let tokens = tested.map_or_else(
            || (0..1000).map(|index| format!("smcp_{index:049}")).collect(),
            |tested| Arc::clone(&tested.tokens),
        );
        let mut first_token = 0;
        let (began, before) = (Instant::now(), self.strangers()?);
        for round in 1..=options.rounds {
            for &connections in &options.connections {
                eprintln!("round {round} of {}, {connections} connections", options.rounds);
                for subject in &mut self.subjects {
                    let load = Load {
                        to: subject.to,
                        template: &subject.template,
                        tokens: &tokens,
                        connections,
                        first_token,
                        warm_up: options.warm_up,
                        measured: options.measured,
                    };
                    let before = hits(self.backend).await?;
                    let process = &mut self.processes[subject.process];
                    let measured = load.run(process).await.map_err(|error| format!("{}: {error}", subject.row.name))?;
                    // The next cell goes on where this one ended, so that all tokens are used alike.
                    first_token += measured.sent;
                    if let Some((reached, made)) = &mut subject.row.reached {
                        *reached += hits(self.backend).await? - before;
                        *made += measured.sent as u64;
                    }
                    subject.row.push(connections, measured);
                    if let Some(tested) = tested {
                        tested.gateway.cut_log()?;
                    }
                }
            }
        }
        Ok((self.strangers()? - before).max(0.0) / (began.elapsed().as_secs_f64() * crate::cores()))
    }

    /// CPU time so far of all programs but ours, in seconds.
    fn strangers(&self) -> Result<f64> {
        let ours = self
            .processes
            .iter()
            .chain(&self.behind)
            .map(Process::cpu_seconds)
            .sum::<Result<f64>>()?;
        Ok(machine_cpu_seconds()? - ours - cpu_seconds("self")?)
    }

    /// Reads what the gateway came to, and starts it once more on what it has stored.
    pub async fn close_gateway(&mut self, tested: Tested, scratch: &Path) -> Result<GatewayFacts> {
        let process = &mut self.processes[tested.process];
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

/// How often the backend was asked for an execution.
async fn hits(backend: SocketAddr) -> Result<u64> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {backend}\r\n\r\n", peers::HITS);
    let body = ask(backend, request.as_bytes(), |answer| answer.body.to_vec()).await?;
    Ok(String::from_utf8(body)?.parse()?)
}
