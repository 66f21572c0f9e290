//! Executions as they are seen from outside: in lists, by id, with their data or without.

use std::{sync::Arc, time::Duration};

use axum::extract::{Path, Query, State as Shared};
use base64::Engine as _;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    BASE64, Sandbox, State, answer,
    api::{Answer, Asked, PAGE_MAX, Refusal, bad_cursor, whole},
    engine::{Ending, Execution, Outcome, Phase, Step, cancelled},
    workflows::PROJECT,
    written,
};

const STATUSES: [&str; 8] = ["canceled", "crashed", "error", "new", "running", "success", "unknown", "waiting"];

/// An execution at one moment, so that all that is said of it agrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    execution: &'a Execution,
    phase: Phase,
    elapsed: Duration,
}

/// `GET /executions`: newest first. Without a status it hides those that run, and for a moment at their end none has them.
pub(super) async fn list(Shared(sandbox): Shared<Sandbox>, query: Query<Vec<(String, String)>>) -> Answer {
    let asked = Asked::of(query);
    let status = asked.one_of("status", &STATUSES)?;
    let with_data = asked.flag("includeData")? == Some(true);
    let workflow = asked.one("workflowId")?;
    let (after, before) = (moment(&asked, "startedAfter")?, moment(&asked, "startedBefore")?);
    let project = asked.one("projectId")?.unwrap_or(PROJECT);
    let (last, limit) = page(&asked)?;

    let fits = |seen: &Seen<'_>| {
        let id = seen.execution.id;
        let started = seen.execution.started.as_millisecond();
        let in_list = match (seen.phase, status) {
            (Phase::Settling, _) | (Phase::Running, None) => false,
            (Phase::Over, None) => true,
            (Phase::Running | Phase::Over, Some(status)) => seen.status() == status,
        };
        in_list
            && seen.is_kept()
            && last.is_none_or(|last| id < last)
            && workflow.is_none_or(|workflow| seen.is_of(workflow))
            && after.is_none_or(|after| started >= after)
            && before.is_none_or(|before| started <= before)
            && project == PROJECT
    };
    let state = sandbox.state();
    let mut fitting = state.executions.iter().rev().map(Seen::now).filter(fits);
    let page: Vec<_> = fitting.by_ref().take(if limit == 0 { usize::MAX } else { limit }).collect();
    let last = page.last().filter(|_| fitting.next().is_some()).map(|seen| seen.execution.id);
    let cursor = last.map(|id| BASE64.encode(format!(r#"{{"lastId":"{id}","limit":{limit}}}"#)));
    let data: Vec<_> = page
        .iter()
        .map(|seen| if with_data { seen.listed_with_data() } else { seen.listed() })
        .collect();
    Ok(answer(StatusCode::OK, &json!({"data": data, "nextCursor": cursor})))
}

/// `GET /executions/{id}`, running ones too.
pub(super) async fn show(Shared(sandbox): Shared<Sandbox>, Path(id): Path<String>, query: Query<Vec<(String, String)>>) -> Answer {
    let id = id.parse().ok().filter(|id| *id > 0);
    let id = id.ok_or_else(|| Refusal::bad_request("request/params/executionId must be a positive integer"))?;
    let with_data = Asked::of(query).flag("includeData")? == Some(true);
    let state = sandbox.state();
    let seen = state.execution(id).ok_or_else(|| Refusal::not_found("Not Found"))?;
    Ok(answer(StatusCode::OK, &seen.shown(with_data)))
}

impl State {
    /// The execution of this id, if anything is left of it.
    pub(super) fn execution(&self, id: u64) -> Option<Seen<'_>> {
        let place = self.executions.binary_search_by_key(&id, |execution| execution.id).ok()?;
        self.executions.get(place).map(Seen::now).filter(Seen::is_kept)
    }
}

impl<'a> Seen<'a> {
    fn now(execution: &'a Arc<Execution>) -> Self {
        let (phase, elapsed) = execution.now();
        Self { execution, phase, elapsed }
    }

    pub(super) fn is_of(&self, workflow_id: &str) -> bool {
        self.execution.workflow.id == workflow_id
    }

    /// Some vanish when they are over.
    fn is_kept(&self) -> bool {
        self.execution.kept() || self.phase != Phase::Over
    }

    fn status(&self) -> &'static str {
        match (self.phase, &self.execution.ending) {
            (Phase::Running | Phase::Settling, _) => "running",
            (Phase::Over, Ending::Success) => "success",
            (Phase::Over, Ending::Failed(_)) => "error",
            (Phase::Over, Ending::Paused(_)) => "waiting",
            (Phase::Over, Ending::Canceled) => "canceled",
        }
    }

    /// The fields that lists have.
    pub(super) fn listed(&self) -> Value {
        let execution = self.execution;
        let over = self.phase == Phase::Over;
        json!({
            "id": execution.id.to_string(),
            "finished": self.status() == "success",
            "mode": execution.mode,
            "retryOf": null,
            "retrySuccessId": null,
            "status": self.status(),
            "startedAt": written(execution.started),
            "stoppedAt": over.then(|| written(execution.after(execution.takes))),
            "workflowId": execution.workflow.id,
            "waitTill": self.wait_till(),
        })
    }

    fn listed_with_data(&self) -> Value {
        let mut listed = self.listed();
        listed["storedAt"] = json!("db");
        listed["workflowVersionId"] = json!(self.execution.version.id);
        self.add_data(&mut listed, true);
        listed
    }

    fn shown(&self, with_data: bool) -> Value {
        let mut shown = self.listed();
        shown["createdAt"] = json!(written(self.execution.started));
        shown["storedAt"] = json!("db");
        shown["binaryDataSizeBytes"] = json!(0);
        shown["workflowVersionId"] = json!(self.execution.version.id);
        shown["usedPrivateCredentials"] = json!(false);
        for absent in ["deletedAt", "tracingContext", "deduplicationKey"] {
            shown[absent] = Value::Null;
        }
        self.add_data(&mut shown, with_data);
        shown
    }

    /// Its data where it is asked for, and in any case its size.
    fn add_data(&self, shown: &mut Value, in_whole: bool) {
        let data = self.data();
        shown["jsonSizeBytes"] = json!(data.to_string().len());
        if in_whole {
            shown["data"] = data;
            shown["customData"] = json!({});
            shown["workflowData"] = self.execution.workflow.snapshot(&self.execution.version);
        }
    }

    fn wait_till(&self) -> Option<String> {
        match self.execution.ending {
            Ending::Paused(till) if self.phase == Phase::Over => Some(written(till)),
            Ending::Paused(_) | Ending::Success | Ending::Failed(_) | Ending::Canceled => None,
        }
    }

    /// The items of every node that has run, and what is still to be run.
    pub(super) fn data(&self) -> Value {
        let execution = self.execution;
        let over = self.phase == Phase::Over;
        let keeps_progress = execution.workflow.settings["saveExecutionProgress"] == true;
        let done = |step: &&Step| over || (keeps_progress && step.ends() <= self.elapsed);
        let done: Vec<&Step> = execution.steps.iter().filter(done).collect();
        let runs = done.iter().enumerate();
        let runs = runs.map(|(index, step)| (execution.name(step).to_owned(), json!([self.run(index, step)])));
        let mut result = json!({"runData": runs.collect::<Map<_, _>>()});
        if let Some(step) = done.last() {
            result["lastNodeExecuted"] = json!(execution.name(step));
        }
        match &execution.ending {
            Ending::Failed(error) if over => result["error"] = error.clone(),
            Ending::Canceled if over => result["error"] = cancelled(),
            Ending::Failed(_) | Ending::Canceled | Ending::Success | Ending::Paused(_) => {}
        }
        if let Some(trigger) = execution.steps.first().filter(|_| execution.pinned) {
            result["pinData"] = json!({execution.name(trigger): wrapped(&trigger.input)});
        }
        let mut data = json!({
            "version": 1,
            "startData": {},
            "resultData": result,
            "executionData": {
                "contextData": {},
                "metadata": {},
                "nodeExecutionStack": self.stack(done.len()),
                "waitingExecution": {},
                "waitingExecutionSource": {},
                "runtimeData": self.runtime(),
            },
            "resumeToken": execution.resume_token.simple().to_string(),
        });
        if let Some(till) = self.wait_till() {
            data["waitTill"] = json!(till);
        }
        data
    }

    /// The next node and its items: of a running execution, unless its progress is kept, the trigger's.
    fn stack(&self, done: usize) -> Value {
        let steps = &self.execution.steps;
        let next = match self.phase {
            Phase::Running | Phase::Settling => steps.get(done).or(steps.last()),
            Phase::Over => steps.last().filter(|step| matches!(step.outcome, Outcome::Paused(_))),
        };
        let frame = |step: &Step| json!({"node": self.execution.node(step), "data": {"main": [wrapped(&step.input)]}, "source": null});
        next.map(frame).into_iter().collect()
    }

    fn runtime(&self) -> Value {
        let trigger = self.execution.steps.first().map(|step| self.execution.node(step));
        json!({
            "version": 1,
            "establishedAt": self.execution.started.as_millisecond(),
            "source": self.execution.mode,
            "triggerNode": trigger.map(|node| json!({"name": node["name"], "type": node["type"]})),
        })
    }

    fn run(&self, index: usize, step: &Step) -> Value {
        let source = step.source.as_ref();
        let source = source.map(|name| json!({"previousNode": name, "previousNodeOutput": 0, "previousNodeRun": 0}));
        let mut run = json!({
            "startTime": self.execution.after(step.begins).as_millisecond(),
            "executionIndex": index,
            "source": source.into_iter().collect::<Value>(),
            "hints": [],
            "executionTime": u64::try_from(step.takes.as_millis()).unwrap_or(u64::MAX),
        });
        let status = match &step.outcome {
            Outcome::Items { output, items } => {
                let mut outputs = vec![json!([]); *output];
                outputs.push(wrapped(items));
                run["data"] = json!({"main": outputs});
                "success"
            }
            Outcome::Failed(error) => {
                run["error"] = error.clone();
                "error"
            }
            Outcome::Paused(_) => {
                run["data"] = json!({"main": [wrapped(&step.input)]});
                "waiting"
            }
        };
        run["executionStatus"] = json!(status);
        run
    }
}

/// Each item as the execution data wraps it.
fn wrapped(items: &[Value]) -> Value {
    items.iter().map(|item| json!({"json": item, "pairedItem": {"item": 0}})).collect()
}

/// Before which id the page begins, and its length.
fn page(asked: &Asked) -> Result<(Option<u64>, usize), Refusal> {
    let Some(cursor) = asked.cursor()? else {
        return Ok((None, asked.limit()?));
    };
    let last = cursor["lastId"].as_str().and_then(|id| id.parse().ok()).ok_or_else(bad_cursor)?;
    Ok((Some(last), whole(cursor["limit"].as_u64()).min(PAGE_MAX)))
}

/// A time of day with its zone, in milliseconds; a date alone is none.
fn moment(asked: &Asked, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = asked.one(name)? else { return Ok(None) };
    let parsed = value.parse::<Timestamp>().ok().filter(|_| value.as_bytes().get(10) == Some(&b'T'));
    let time = parsed.ok_or_else(|| Refusal::bad_request(format!("request/query/{name} Invalid datetime")))?;
    Ok(Some(time.as_millisecond()))
}
