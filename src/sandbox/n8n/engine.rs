//! Executions: a whole course is laid down at the start, and its state at any later moment is read off against the clock.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    EXECUTIONS_KEPT, State,
    nodes::{self, enabled, text},
    workflows::{Version, Workflow},
};

/// An execution that nobody waits for takes at least this long, as starting one does.
const SHORTEST: Duration = Duration::from_millis(60);
/// At the end of one that was seen running, for this long no list has it; asked for by id it is still running.
const GAP: Duration = Duration::from_millis(120);
/// The `waitTill` of a wait without end.
const FOR_EVER: Timestamp = Timestamp::constant(32_503_680_000, 0);

/// What an execution begins with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) workflow: &'a Arc<Workflow>,
    pub(super) version: &'a Arc<Version>,
    /// The trigger's place among the nodes.
    pub(super) trigger: usize,
    pub(super) output: usize,
    pub(super) item: Value,
    pub(super) mode: &'static str,
    /// n8n's MCP server pins the trigger's item.
    pub(super) pinned: bool,
    /// Whether somebody waits for the end.
    pub(super) awaited: bool,
    /// Why it fails before it begins.
    pub(super) broken: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct Execution {
    pub(super) id: u64,
    pub(super) workflow: Arc<Workflow>,
    pub(super) version: Arc<Version>,
    pub(super) mode: &'static str,
    pub(super) started: Timestamp,
    pub(super) takes: Duration,
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    pub(super) pinned: bool,
    pub(super) resume_token: Uuid,
    begun: Instant,
    gap: Duration,
}

/// One run of one node.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) source: Option<String>,
    pub(super) begins: Duration,
    pub(super) takes: Duration,
    pub(super) input: Vec<Value>,
    pub(super) outcome: Outcome,
    node: usize,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Items { output: usize, items: Vec<Value> },
    Failed(Value),
    Paused(Timestamp),
}

#[derive(Debug)]
pub(super) enum Ending {
    Success,
    Failed(Value),
    Paused(Timestamp),
    Canceled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Over, though only the database knows it yet.
    Settling,
    Over,
}

impl State {
    /// Gives the execution its id, and counts it.
    pub(super) fn record(&mut self, mut execution: Execution) -> Arc<Execution> {
        self.last_execution += 1;
        execution.id = self.last_execution;
        *self.runs.entry(execution.workflow.id.clone()).or_default() += 1;
        let execution = Arc::new(execution);
        self.executions.push_back(Arc::clone(&execution));
        if self.executions.len() > EXECUTIONS_KEPT {
            self.executions.pop_front();
        }
        execution
    }
}

impl Execution {
    pub(super) fn plan(start: &Start<'_>) -> Self {
        let started = Timestamp::now();
        let (mut steps, mut ending) = match start.broken {
            Some(why) => broken(start, why),
            None => walk(start, started),
        };
        let mut takes = steps.last().map(Step::ends).unwrap_or_default();
        let limit = start.workflow.settings["executionTimeout"].as_u64().filter(|seconds| *seconds > 0);
        if let Some(limit) = limit.map(Duration::from_secs).filter(|limit| takes > *limit) {
            takes = limit;
            steps.retain(|step| step.source.is_none() || step.ends() <= limit);
            ending = Ending::Canceled;
        }
        if !start.awaited {
            takes = takes.max(SHORTEST);
        }
        Self {
            id: 0,
            workflow: Arc::clone(start.workflow),
            version: Arc::clone(start.version),
            mode: start.mode,
            started,
            takes,
            steps,
            ending,
            pinned: start.pinned,
            resume_token: Uuid::new_v4(),
            begun: Instant::now(),
            gap: if takes.is_zero() { Duration::ZERO } else { GAP },
        }
    }

    /// How far it has come.
    pub(super) fn now(&self) -> (Phase, Duration) {
        let elapsed = self.begun.elapsed();
        let phase = match elapsed {
            elapsed if elapsed < self.takes => Phase::Running,
            elapsed if elapsed < self.takes + self.gap => Phase::Settling,
            _ => Phase::Over,
        };
        (phase, elapsed)
    }

    /// When a caller who waits for the end has it.
    pub(super) fn over_at(&self) -> Instant {
        self.begun + self.takes + self.gap
    }

    /// When the node that answers the caller has run, with its parameters and what it was given.
    pub(super) fn responds(&self) -> Option<(Instant, &Value, &[Value])> {
        let step = self.steps.iter().find(|step| nodes::is_responder(self.node(step)))?;
        let items = step.outcome.items().map(|_| step.input.as_slice())?;
        Some((self.begun + step.ends(), &self.node(step)["parameters"], items))
    }

    /// The items of the last node that came to its end.
    pub(super) fn last_items(&self) -> &[Value] {
        self.steps.iter().rev().find_map(|step| step.outcome.items()).unwrap_or_default()
    }

    /// Whether it is kept when it is over.
    pub(super) fn kept(&self) -> bool {
        match self.ending {
            Ending::Success => self.workflow.keeps("saveDataSuccessExecution"),
            Ending::Failed(_) | Ending::Canceled => self.workflow.keeps("saveDataErrorExecution"),
            Ending::Paused(_) => true,
        }
    }

    pub(super) fn node(&self, step: &Step) -> &Value {
        self.version.nodes.get(step.node).unwrap_or(&Value::Null)
    }

    pub(super) fn name(&self, step: &Step) -> &str {
        text(self.node(step), "name")
    }

    /// The time of day this long after its start.
    pub(super) fn after(&self, duration: Duration) -> Timestamp {
        later(self.started, duration)
    }
}

impl Step {
    pub(super) fn ends(&self) -> Duration {
        self.begins + self.takes
    }
}

impl Outcome {
    fn items(&self) -> Option<&[Value]> {
        match self {
            Self::Items { items, .. } => Some(items),
            Self::Failed(_) | Self::Paused(_) => None,
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The course from the trigger on: branch after branch, each node once, up to a failure or a wait.
fn walk(start: &Start<'_>, started: Timestamp) -> (Vec<Step>, Ending) {
    let Start { version, .. } = start;
    let mut steps: Vec<Step> = Vec::new();
    let mut reached = HashSet::from([start.trigger]);
    let mut ahead = vec![(start.trigger, None::<String>, vec![start.item.clone()])];
    let mut clock = Duration::ZERO;
    while let Some((index, source, input)) = ahead.pop() {
        let Some(node) = version.nodes.get(index) else { break };
        let skipped = !enabled(node);
        let outcome = if skipped {
            passed_on(&input)
        } else {
            outcome_of(node, start, &input, later(started, clock))
        };
        let takes = if skipped { Duration::ZERO } else { nodes::delay(node) };
        let name = text(node, "name");
        let found = match &outcome {
            Outcome::Items { output, items } => Ok((*output, items.clone())),
            Outcome::Failed(error) => Err(Ending::Failed(error.clone())),
            Outcome::Paused(till) => Err(Ending::Paused(*till)),
        };
        if !skipped {
            steps.push(Step {
                node: index,
                source,
                begins: clock,
                takes,
                input,
                outcome,
            });
        }
        clock += takes;
        let (output, items) = match found {
            Ok(found) => found,
            Err(ending) => return (steps, ending),
        };
        if items.is_empty() {
            continue;
        }
        for next in nodes::next(&version.connections, name, output).rev() {
            let place = version.nodes.iter().position(|node| text(node, "name") == next);
            if let Some(place) = place.filter(|place| reached.insert(*place)) {
                ahead.push((place, Some(name.to_owned()), items.clone()));
            }
        }
    }
    (steps, Ending::Success)
}

fn passed_on(items: &[Value]) -> Outcome {
    Outcome::Items {
        output: 0,
        items: items.to_vec(),
    }
}

fn outcome_of(node: &Value, start: &Start<'_>, input: &[Value], now: Timestamp) -> Outcome {
    if let Some(why) = nodes::failure(node) {
        let output = match text(node, "onError") {
            "continueRegularOutput" => 0,
            "continueErrorOutput" => 1,
            _ => return Outcome::Failed(error(node, &why)),
        };
        return Outcome::Items {
            output,
            items: vec![json!({"error": why})],
        };
    }
    let parameters = &node["parameters"];
    if nodes::is_trigger(node) {
        Outcome::Items {
            output: start.output,
            items: input.to_vec(),
        }
    } else if nodes::is_wait(node) {
        Outcome::Paused(wait_till(parameters, now))
    } else if nodes::is_responder(node) {
        passed_on(input)
    } else {
        let items = match &parameters["output"] {
            Value::Null => vec![json!({"result": "done", "input": start.item["body"], "headers_seen": false})],
            Value::Array(items) => items.clone(),
            item => vec![item.clone()],
        };
        Outcome::Items { output: 0, items }
    }
}

fn wait_till(parameters: &Value, now: Timestamp) -> Timestamp {
    let Some(amount) = parameters["amount"].as_u64().filter(|_| parameters["resume"].is_null()) else {
        return FOR_EVER;
    };
    let seconds = match text(parameters, "unit") {
        "seconds" => 1,
        "minutes" => 60,
        "days" => 86_400,
        _ => 3600,
    };
    later(now, Duration::from_secs(amount.saturating_mul(seconds))).min(FOR_EVER)
}

fn broken(start: &Start<'_>, why: &str) -> (Vec<Step>, Ending) {
    let error = json!({"message": why, "stack": stack_trace("Error", why)});
    let step = Step {
        node: start.trigger,
        source: None,
        begins: Duration::ZERO,
        takes: Duration::ZERO,
        input: vec![start.item.clone()],
        outcome: Outcome::Failed(error.clone()),
    };
    (vec![step], Ending::Failed(error))
}

fn error(node: &Value, why: &str) -> Value {
    json!({
        "name": "NodeOperationError", "message": why, "description": null, "level": "warning", "timestamp": 0,
        "context": {}, "node": node, "stack": stack_trace("NodeOperationError", why),
    })
}

/// The error of an execution that ran into its time limit.
pub(super) fn cancelled() -> Value {
    let why = "The execution was cancelled manually";
    json!({"name": "ManualExecutionCancelledError", "message": why, "stack": stack_trace("Error", why)})
}

/// With the server's paths in it, like the real ones: nobody else may see it.
fn stack_trace(name: &str, why: &str) -> String {
    format!("{name}: {why}\n    at run (/usr/local/lib/node_modules/n8n/sandbox/engine.js:1:1)")
}
