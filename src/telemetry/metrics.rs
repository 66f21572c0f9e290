//! Metrics: the five families that are a contract, and a few of the gateway's own. Labels are bounded by construction: tools
//! of the catalogue, the three agents, HTTP statuses, error codes.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::{auth::Agent, tool::Catalogue};

const REQUESTS: &str = "mcp_requests_total";
const DURATION: &str = "mcp_request_duration_seconds";
const ERRORS: &str = "mcp_errors_total";
const LIMITED: &str = "mcp_rate_limit_exceeded";
const CONNECTIONS: &str = "mcp_active_connections";
const AUDIT_WAITING: &str = "smartermcp_audit_entries_waiting";
const SPANS_DROPPED: &str = "smartermcp_spans_dropped_total";
const DATABASE_UP: &str = "smartermcp_database_up";
const REDIS_UP: &str = "smartermcp_redis_up";
const VAULT_UP: &str = "smartermcp_vault_up";

/// From a millisecond to a minute, in seconds.
const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// The `agent` of a token that names none, and the `tool` of a call to none.
pub const NONE: &str = "none";

static METADATA: Metadata<'static> = Metadata::new("smartermcp", Level::INFO, None);

pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    requests: RwLock<HashMap<(&'static str, &'static str, u16), Counter>>,
    errors: RwLock<HashMap<(&'static str, &'static str), Counter>>,
    durations: HashMap<&'static str, Histogram>,
    limited: HashMap<&'static str, Counter>,
    pub connections: Gauge,
    pub audit_waiting: Gauge,
    pub spans_dropped: Counter,
    pub database_up: Gauge,
    /// 1 also where none is configured.
    pub redis_up: Gauge,
    /// The same.
    pub vault_up: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers every family and touches each, so that all are there from the start.
    ///
    /// # Panics
    /// Never: the buckets are not empty.
    pub fn new(catalogue: &Catalogue) -> Arc<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), BUCKETS)
            .expect("there are buckets")
            .build_recorder();
        let describe = |name: &'static str, text: &'static str, unit: Option<Unit>, counter: bool| {
            let (name, text) = (KeyName::from_const_str(name), SharedString::const_str(text));
            match (counter, unit) {
                (true, unit) => recorder.describe_counter(name, unit, text),
                (false, Some(unit)) => recorder.describe_histogram(name, Some(unit), text),
                (false, None) => recorder.describe_gauge(name, None, text),
            }
        };
        describe(REQUESTS, "Tool calls by tool, agent and HTTP status.", None, true);
        describe(DURATION, "How long tool calls took.", Some(Unit::Seconds), false);
        describe(ERRORS, "Tool calls that failed, by the kind of error.", None, true);
        describe(LIMITED, "Calls refused by a rate limit.", None, true);
        describe(CONNECTIONS, "Client connections that are open.", None, false);
        describe(AUDIT_WAITING, "Audit entries that wait to be written.", None, false);
        describe(SPANS_DROPPED, "Spans that the collector did not take, or not in time.", None, true);
        describe(DATABASE_UP, "1 while the database answers and takes audit entries.", None, false);
        describe(REDIS_UP, "1 while Redis answers, or none is configured.", None, false);
        describe(VAULT_UP, "1 while Vault answers, or none is configured.", None, false);
        let tools = || catalogue.all().iter().map(|tool| tool.name).chain([NONE]);
        let agents = || Agent::ALL.into_iter().map(Agent::name).chain([NONE]);
        let metrics = Self {
            durations: tools()
                .map(|tool| (tool, recorder.register_histogram(&key(DURATION, &[("tool", tool)]), &METADATA)))
                .collect(),
            limited: agents()
                .map(|agent| (agent, recorder.register_counter(&key(LIMITED, &[("agent", agent)]), &METADATA)))
                .collect(),
            connections: recorder.register_gauge(&key(CONNECTIONS, &[]), &METADATA),
            audit_waiting: recorder.register_gauge(&key(AUDIT_WAITING, &[]), &METADATA),
            spans_dropped: recorder.register_counter(&key(SPANS_DROPPED, &[]), &METADATA),
            database_up: recorder.register_gauge(&key(DATABASE_UP, &[]), &METADATA),
            redis_up: recorder.register_gauge(&key(REDIS_UP, &[]), &METADATA),
            vault_up: recorder.register_gauge(&key(VAULT_UP, &[]), &METADATA),
            requests: RwLock::default(),
            errors: RwLock::default(),
            handle: recorder.handle(),
            recorder,
        };
        metrics.limited.values().for_each(|counter| counter.increment(0));
        metrics.connections.set(0.0);
        metrics.audit_waiting.set(0.0);
        metrics.spans_dropped.increment(0);
        metrics.database_up.set(1.0);
        metrics.redis_up.set(1.0);
        metrics.vault_up.set(1.0);
        for tool in tools() {
            metrics.request(tool, NONE, 200).increment(0);
            metrics.error(tool, "internal").increment(0);
        }
        Arc::new(metrics)
    }

    /// Counts a tool call.
    pub fn called(&self, tool: &'static str, agent: Option<Agent>, status: u16, seconds: f64) {
        self.request(tool, agent.map_or(NONE, Agent::name), status).increment(1);
        if let Some(histogram) = self.durations.get(tool) {
            histogram.record(seconds);
        }
    }

    pub fn failed(&self, tool: &'static str, code: &'static str) {
        self.error(tool, code).increment(1);
    }

    pub fn limited(&self, agent: Option<Agent>) {
        if let Some(counter) = self.limited.get(agent.map_or(NONE, Agent::name)) {
            counter.increment(1);
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded durations into their buckets, so that they do not pile up between two readings.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn request(&self, tool: &'static str, agent: &'static str, status: u16) -> Counter {
        kept(&self.requests, (tool, agent, status), || {
            let labels = [
                ("tool", tool.to_owned()),
                ("agent", agent.to_owned()),
                ("status", status.to_string()),
            ];
            let labels: Vec<_> = labels.into_iter().map(|(name, value)| Label::new(name, value)).collect();
            self.recorder.register_counter(&Key::from_parts(REQUESTS, labels), &METADATA)
        })
    }

    fn error(&self, tool: &'static str, code: &'static str) -> Counter {
        kept(&self.errors, (tool, code), || {
            self.recorder
                .register_counter(&key(ERRORS, &[("tool", tool), ("error_type", code)]), &METADATA)
        })
    }
}

fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect();
    Key::from_parts(name, labels)
}

/// A counter that was registered once: registering costs more than counting.
fn kept<K: std::hash::Hash + Eq>(counters: &RwLock<HashMap<K, Counter>>, key: K, register: impl FnOnce() -> Counter) -> Counter {
    let read = counters.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(counter) = read.get(&key) {
        return counter.clone();
    }
    drop(read);
    let mut write = counters.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    write.entry(key).or_insert_with(register).clone()
}
