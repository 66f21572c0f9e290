//! The report: a table per number of connections, and what came of each target.

use std::time::Duration;

use crate::{access::AccessTokens, beside::Beside, doors::Door, load::Measured};

/// The targets of the project's issue.
const MOST_TIMES_CPU: f64 = 1.8;
/// With Redis and PostgreSQL.
const MOST_TIMES_CPU_PRODUCTION: f64 = 2.3;
const MOST_ADDED_US: f64 = 80.0;
const MOST_MB: f64 = 60.0;
const MOST_LIST_US: f64 = 100.0;
const MOST_TIMES_P99: f64 = 1.5;
const MOST_UNSEEN_US: f64 = 60.0;
const MOST_START: Duration = Duration::from_millis(200);
/// Where the CPU target and the latency target are read.
const AT_CPU: usize = 16;
const AT_LATENCY: usize = 1;
/// From here on the generator's one thread is the limit, and the row says so.
const GENERATOR_FULL: f64 = 0.95;

/// What a row's process is, as far as the report has to know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Peer,
    /// What the gateway is measured by. The cheaper era, the older one, is that of the targets.
    Reference,
    /// The same without reading the answer: what the reference could cost at the least.
    Unread,
    Gateway,
    /// The gateway on PostgreSQL and Redis.
    Production,
    /// Replicas of that.
    Replicas,
}

/// One row, with what each round measured at each number of connections.
pub struct Row {
    pub name: String,
    pub role: Role,
    pub door: Door,
    pub cells: Vec<(usize, Vec<Measured>)>,
    /// Calls that reached the JSON backend, and calls made, where each should reach it.
    pub reached: Option<(u64, u64)>,
    /// Of each cell: scripts that Redis ran meanwhile, and calls made, where limits are there.
    pub scripts: Option<Vec<(u64, u64)>>,
}

/// The median of a row's rounds at one number of connections.
struct Median {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_per_1000: f64,
    peak_mb: f64,
    noise: f64,
    generator_busy: f64,
}

impl Row {
    fn rounds(&self, connections: usize) -> &[Measured] {
        let cell = self.cells.iter().find(|(count, _)| *count == connections);
        cell.map_or(&[], |(_, rounds)| rounds)
    }

    /// Nothing where an answer was wrong: a refusal is cheaper than a call.
    fn at(&self, connections: usize) -> Option<Median> {
        let rounds = self.rounds(connections);
        if rounds.is_empty() || rounds.iter().any(|round| round.wrong > 0) {
            return None;
        }
        let of = |read: fn(&Measured) -> f64| median(rounds.iter().map(read).collect());
        let rates = || rounds.iter().map(|round| round.per_second);
        let per_second = of(|round| round.per_second);
        Some(Median {
            per_second,
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            cpu_per_1000: of(|round| round.cpu_per_1000),
            peak_mb: rounds.iter().map(|round| megabytes(round.peak_kib)).fold(0.0, f64::max),
            noise: (rates().fold(0.0, f64::max) - rates().fold(f64::MAX, f64::min)) / per_second * 100.0,
            generator_busy: of(|round| round.generator_busy),
        })
    }

    /// Adds what a round measured.
    pub fn push(&mut self, connections: usize, measured: Measured) {
        match self.cells.iter_mut().find(|(count, _)| *count == connections) {
            Some((_, rounds)) => rounds.push(measured),
            None => self.cells.push((connections, vec![measured])),
        }
    }

    fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.cells.iter().flat_map(|(_, rounds)| rounds)
    }

    /// How many answers were not what they should be.
    pub fn wrong(&self) -> usize {
        self.measured().map(|round| round.wrong).sum()
    }
}

/// What was measured of the gateway beside its calls.
pub struct GatewayFacts {
    /// Starts on an empty directory.
    pub starts: Vec<Duration>,
    /// A start on the directory that the run has filled.
    pub start_full: Duration,
    pub tenants: usize,
    pub tokens: usize,
    /// The most resident memory in its whole life, the filling included.
    pub highest_kib: u64,
    /// Resident memory when the calls were over.
    pub resident_kib: u64,
}

/// Prints the tables.
pub fn tables(rows: &[Row], connections: &[usize]) {
    let mut noises = Vec::new();
    for count in connections {
        println!("\n### {count} connection{}\n", if *count == 1 { "" } else { "s" });
        println!("| what | req/s | p50 ms | p99 ms | CPU-s per 1 000 | × of rmcp → reqwest (CPU) | peak MB | noise % |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let reference = reference(rows, *count).map(|median| median.cpu_per_1000);
        for row in rows {
            let mut name = row.name.clone();
            let Some(median) = row.at(*count) else {
                let wrong: usize = row.rounds(*count).iter().map(|round| round.wrong).sum();
                println!("| {name}: **{wrong} wrong answers** | – | – | – | – | – | – | – |");
                continue;
            };
            noises.push(median.noise);
            if median.generator_busy >= GENERATOR_FULL {
                name.push_str(" (held back by the load generator)");
            }
            println!(
                "| {name} | {} | {:.3} | {:.2} | {:.4} | {} | {:.1} | {:.1} |",
                thousands(median.per_second),
                median.p50_ms,
                median.p99_ms,
                median.cpu_per_1000,
                reference.map_or("–".to_owned(), |reference| format!("{:.2}", median.cpu_per_1000 / reference)),
                median.peak_mb,
                median.noise,
            );
        }
    }
    let worst = noises.iter().copied().fold(0.0, f64::max);
    println!(
        "\nNoise is (highest − lowest) ÷ median of req/s over the rounds: {:.1} % in the middle, {worst:.1} % at worst.",
        median(noises)
    );
    let sizes: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(format!("{} {}", row.name, row.measured().map(|round| round.answer_bytes).max()?)))
        .collect();
    println!("Bytes of an answer's body: {}.", sizes.join("; "));
}

/// Prints what came of the targets.
pub fn verdicts(rows: &[Row], facts: Option<&GatewayFacts>) {
    let doors = || rows.iter().filter(|row| matches!(row.role, Role::Gateway | Role::Production));
    if doors().next().is_none() {
        return;
    }
    println!("\n### Targets\n");
    for row in doors().filter(|row| row.wrong() > 0) {
        println!("- {}: **MISSED**, its answers were wrong", row.door.name());
    }
    for row in doors() {
        if let (Some(ours), Some(theirs)) = (row.at(AT_CPU), reference(rows, AT_CPU)) {
            let times = ours.cpu_per_1000 / theirs.cpu_per_1000;
            let production = row.role == Role::Production;
            let most = if production { MOST_TIMES_CPU_PRODUCTION } else { MOST_TIMES_CPU };
            let beside = |role, door, what: &str| {
                let peer = find(rows, role, door, AT_CPU)?;
                Some(format!("{:.2} × {what}", ours.cpu_per_1000 / peer.cpu_per_1000))
            };
            let own_era = (row.door == Door::Modern).then(|| beside(Role::Reference, Door::Modern, "it in its own era"));
            let unread = beside(Role::Unread, Door::Legacy, "it without parsing");
            let beside: Vec<_> = own_era.flatten().into_iter().chain(unread).collect();
            let beside = if beside.is_empty() {
                String::new()
            } else {
                format!(" ({})", beside.join(", "))
            };
            println!(
                "- CPU per call at {AT_CPU} connections, {}{}: {times:.2} × rmcp → reqwest{beside}, at most {most}: {}",
                row.door.name(),
                if production { ", with Redis and PostgreSQL" } else { "" },
                met(times <= most)
            );
        }
    }
    for row in rows {
        if let Some(scripts) = &row.scripts {
            let (run, made) = scripts.iter().fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
            println!("- {}: {run} scripts run by Redis for {made} calls", row.name);
        }
    }
    for row in doors().filter(|row| row.role == Role::Gateway) {
        if let (Some(ours), Some(theirs)) = (row.at(AT_LATENCY), reference(rows, AT_LATENCY)) {
            let added = (ours.p50_ms - theirs.p50_ms) * 1000.0;
            println!(
                "- added to the p50 of rmcp → reqwest at {AT_LATENCY} connection, {}: {added:.0} µs, at most {MOST_ADDED_US:.0}: {}",
                row.door.name(),
                met(added <= MOST_ADDED_US)
            );
        }
    }
    let Some(facts) = facts else { return };
    let peak = megabytes(facts.highest_kib);
    println!(
        "- memory with {} tenants and {} tokens in use: {peak:.1} MB at its peak, {:.1} MB at the end, under {MOST_MB:.0}: {}",
        facts.tenants,
        facts.tokens,
        megabytes(facts.resident_kib),
        met(peak < MOST_MB)
    );
    let start = median(facts.starts.iter().map(Duration::as_secs_f64).collect());
    let full = facts.start_full;
    println!(
        "- start to first answer: {:.0} ms on an empty directory (median of {}), {} ms on that of this run, under {}: {}",
        start * 1000.0,
        facts.starts.len(),
        full.as_millis(),
        MOST_START.as_millis(),
        met(start < MOST_START.as_secs_f64() && full < MOST_START)
    );
}

/// Prints what was measured beside the rows.
pub fn beside(beside: &Beside) {
    for (door, cost) in &beside.lists {
        println!(
            "- CPU of one list of {} tools, {door}: {cost:.0} µs, under {MOST_LIST_US:.0}: {}",
            beside.tools,
            met(*cost < MOST_LIST_US)
        );
    }
    let times = beside.beside_ms / beside.alone_ms;
    println!(
        "- p99 of a fast backend: {:.2} ms alone, {:.2} ms beside 200 calls that wait for three slow ones ({} answered): {times:.2} ×, at most {MOST_TIMES_P99}: {}",
        beside.alone_ms,
        beside.beside_ms,
        beside.slow_calls,
        met(times <= MOST_TIMES_P99)
    );
}

/// Prints what access tokens cost.
pub fn access(access: &AccessTokens) {
    println!(
        "- CPU to authenticate an access token that was never seen: {:.0} µs ({:.0} of it the signature), under {MOST_UNSEEN_US:.0}: {}; one that is warm {:.1} µs, a warm API token {:.1} µs ({} of each)",
        access.unseen_us,
        access.signature_us,
        met(access.unseen_us < MOST_UNSEEN_US),
        access.warm_us,
        access.api_token_us,
        thousands(access.tokens as f64)
    );
    println!(
        "- CPU of one call, {}: {:.0} µs with access tokens, {:.0} µs with API tokens",
        Door::Legacy.name(),
        access.call_us,
        access.api_token_call_us
    );
}

/// Prints what makes the run worthless, and whether anything does.
pub fn faults(rows: &[Row]) -> bool {
    let mut any = false;
    for row in rows {
        if row.wrong() > 0 {
            any = true;
            let first = row.measured().find_map(|round| round.first_wrong.as_deref()).unwrap_or_default();
            println!("\n{}: {} wrong answers. The first: `{first}`", row.name, row.wrong());
            if first.starts_with("429") || first.contains("Rate limit exceeded") {
                println!("Its limits were reached: more BENCH_TENANTS give more tokens to take turns.");
            }
        }
        if let Some((reached, made)) = row.reached
            && reached < made.saturating_mul(99) / 100
        {
            any = true;
            println!("\n{}: only {reached} of {made} calls reached the JSON backend.", row.name);
        }
    }
    any
}

fn find(rows: &[Row], role: Role, door: Door, connections: usize) -> Option<Median> {
    rows.iter().find(|row| row.role == role && row.door == door)?.at(connections)
}

/// What the targets are read by.
fn reference(rows: &[Row], connections: usize) -> Option<Median> {
    find(rows, Role::Reference, Door::Legacy, connections)
}

fn met(is: bool) -> &'static str {
    if is { "met" } else { "**MISSED**" }
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Zero for nothing at all.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// `12 345`
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}
