//! The benchmark behind `make bench`: the gateway with everything on, beside its peers, on one machine and in one run.
//!
//! This program is the load generator. Every peer is this program again in a process of its own (`peer …`), so that CPU time
//! and memory are each one's alone; the gateway is the program `smartermcp`, or what `SMARTERMCP_BIN` names. All listen on
//! loopback, and all end with this process. Three rounds go over all rows in turn, so that a drift of the machine hits all
//! alike; the tables have the medians. [`options`] lists what the environment may change.
//!
//! It ends with 1 when an answer was wrong or did not come from the JSON backend; a missed target is printed, and does not
//! fail the run, because it may be the machine's doing.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is what this program prints")]
#![expect(clippy::cast_precision_loss, reason = "counts of calls and kilobytes stay far below 2^52")]

mod access;
mod agentgateway;
mod beside;
mod doors;
mod gateway;
mod load;
mod options;
mod peers;
mod process;
mod report;
mod stage;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::{options::Options, process::Scratch, stage::Stage};

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.split_first() {
        Some((first, rest)) if first == "peer" => peers::serve(rest).map(|()| false),
        // Cargo hands in `--bench`.
        _ => run(),
    };
    match ended {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark; whether anything was wrong.
fn run() -> Result<bool> {
    // One thread makes the load, and leaves the other cores to the rest; where it is the limit, the row says so.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            ended = bench() => ended,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            _ = terminated.recv() => Err("terminated".into()),
        }
    })
}

/// Whether anything was wrong.
async fn bench() -> Result<bool> {
    let options = Options::from_env()?;
    let scratch = Scratch::new()?;
    let mut stage = Stage::open()?;
    stage.add_peers(&options, scratch.path()).await?;
    let gateway = stage.add_gateway(&options, scratch.path()).await?;
    let production = stage.add_production(&options, scratch.path()).await?;
    if stage.is_empty() {
        return Err("BENCH_ONLY names no row".into());
    }
    println!("{}", conditions(&options));
    let strangers = stage.measure(&options, gateway.as_ref(), production.as_ref()).await?;
    let beside = match &gateway {
        Some(gateway) => Some(stage.measure_beside(&options, gateway).await?),
        None => None,
    };
    let access = match &gateway {
        Some(gateway) => Some(stage.measure_access(&options, gateway, scratch.path()).await?),
        None => None,
    };
    let facts = match gateway {
        Some(gateway) => Some(stage.close_gateway(gateway, scratch.path()).await?),
        None => None,
    };
    let rows = stage.into_rows();
    report::tables(&rows, &options.connections);
    if options.agentgateway.is_none() {
        println!("The row of agentgateway is left out: AG_BIN names no program.");
    }
    if options.servers.is_none() {
        println!("The rows on Redis and PostgreSQL are left out: start this by scripts/with-servers.sh.");
    }
    println!("Other programs had {:.0} % of the machine's CPU time meanwhile.", strangers * 100.0);
    report::verdicts(&rows, facts.as_ref());
    if let Some(beside) = &beside {
        report::beside(beside);
    }
    if let Some(access) = &access {
        report::access(access);
    }
    Ok(report::faults(&rows))
}

/// As many as this program may use.
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// What was measured, on what, in one line.
fn conditions(options: &Options) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, name)| name.trim());
    format!(
        "{} cores ({model}), shared by load generator, peer and backend; medians of {} rounds of {:.1} s; closed loop; answers checked.",
        cores(),
        options.rounds,
        options.measured.as_secs_f64()
    )
}
