//! Dispatch: the one path of every call, whichever door it came in by.
//!
//! find the tool → authorise → check the input → admit → open the backend → call → answer; the audit entry, the metrics and
//! the line in the log go out at the side.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use serde_json::{Map, Value};

use crate::{
    auth::{Agent, Authorised, Caller, authorise},
    backends::{Notifier, Session},
    error::{Error, Kind, Result},
    idempotency::{self, Claimed, Key},
    limits::{Admitted, Spent, Standing},
    state::State,
    store::audit::{Entry, Outcome},
    telemetry::{NONE, Span, Trace},
    tool::{
        Category, Definition, Rendered,
        input::{CONTAINERS_MAX, InputSchema, containers},
    },
};

/// A call as a door hands it in.
#[derive(Debug)]
pub struct Call {
    pub caller: Caller,
    pub tool: String,
    pub input: Input,
    pub key: Result<Option<Key>>,
    pub door: Door,
    pub trace: Option<Trace>,
    pub request_id: Arc<str>,
    pub notifier: Notifier,
}

/// Arguments, as far as a door has read them.
#[derive(Debug)]
pub enum Input {
    /// MCP's `arguments`: JSON, unread; empty for none.
    Json(Bytes),
    /// REST: a body, unread, with path and query beside it.
    Parts {
        body: Bytes,
        path: Vec<(String, String)>,
        query: Vec<(String, String)>,
    },
}

/// Where a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Mcp,
    Rest,
    Console,
}

impl Door {
    pub const fn name(self) -> &'static str {
        match self {
            Door::Mcp => "mcp",
            Door::Rest => "rest",
            Door::Console => "console",
        }
    }
}

/// What a door renders.
#[derive(Debug)]
pub struct Answer {
    pub outcome: Result<Rendered>,
    pub standing: Standing,
    pub replayed: bool,
    /// The tool, where there is one of that name.
    pub tool: Option<Arc<Definition>>,
}

/// Conducts a call from a caller's request to the answer.
pub async fn call(state: &Arc<State>, mut call: Call) -> Answer {
    let Some(tool) = state.catalogue.find(&call.tool).cloned() else {
        let quoted: String = call.tool.chars().take(64).collect();
        let unknown = Error::not_found(format!(
            "Unknown tool '{quoted}'; tools/list and GET /api/v1/tools name those of this token"
        ))
        .coded("unknown_tool");
        let (outcome, standing) = refused(state, &call.caller, Category::Account, unknown).await;
        note_unknown(state, &mut call, &outcome);
        return Answer {
            outcome,
            standing,
            replayed: false,
            tool: None,
        };
    };
    let span = call.begin_span(state, tool.name);
    let record = Record::new(state, &call, &tool, span);
    let (authorised, arguments) = match prepare(state, &call, &tool) {
        Ok(prepared) => prepared,
        Err(error) => {
            let (outcome, standing) = refused(state, &call.caller, tool.category, error).await;
            record.settle(&outcome).await;
            return Answer {
                outcome,
                standing,
                replayed: false,
                tool: Some(tool),
            };
        }
    };
    let record = record.of_arguments(&arguments);
    let (admitted, standing) = state.limits.admit(authorised).await;
    let (outcome, replayed) = match admitted {
        Err(error) => {
            let outcome = Err(error);
            record.settle(&outcome).await;
            (outcome, false)
        }
        Ok(admitted) if tool.route.effect().writes() => write(state, admitted, arguments, call, record).await,
        Ok(admitted) => (read(state, admitted, arguments, call, record).await, false),
    };
    Answer {
        outcome,
        standing,
        replayed,
        tool: Some(tool),
    }
}

/// A call to no tool is counted and logged; an audit entry would need a tool to be about.
fn note_unknown(state: &State, call: &mut Call, outcome: &Result<Rendered>) {
    let Err(error) = outcome else { return };
    let span = call.begin_span(state, NONE);
    let agent = call.caller.agent();
    let status = error.kind().status().as_u16();
    if error.kind() == Kind::RateLimited {
        state.metrics.limited(agent);
    }
    state.metrics.called(NONE, agent, status, 0.0);
    state.metrics.failed(NONE, error.label());
    tracing::info!(
        target: "smartermcp::call",
        tenant_id = call.caller.audit_tenant(),
        agent = agent.map_or(NONE, Agent::name),
        tool = NONE,
        parameters_hash = "",
        response_status = status,
        duration_ms = 0,
        request_id = &*call.request_id,
        token_id = call.caller.audit_name(),
        door = call.door.name(),
        error = error.label(),
    );
    if let Some(span) = span {
        span.end(Some(status), Some(error.label()), false);
    }
}

impl Call {
    /// The span of this call, where spans are wanted. What the call does next lies below it.
    fn begin_span(&mut self, state: &State, tool: &'static str) -> Option<Span> {
        let mut span = state.spans.as_ref()?.call(tool, self.trace.as_ref());
        span.set("smartermcp.tool", tool);
        span.set("smartermcp.tenant_id", self.caller.audit_tenant());
        span.set("smartermcp.agent", self.caller.agent().map_or(NONE, Agent::name));
        span.set("smartermcp.door", self.door.name());
        span.set("smartermcp.request_id", self.request_id.to_string());
        self.trace = Some(span.trace(self.trace.as_ref()));
        Some(span)
    }
}

/// What must hold before a call may be admitted: the caller may, the gateway can, and the input is right.
fn prepare(state: &State, call: &Call, tool: &Arc<Definition>) -> Result<(Authorised, Value)> {
    if state.audit.is_full() {
        return Err(
            Error::unavailable("The gateway's database takes nothing right now; nothing was done. Try again shortly.")
                .coded(AUDIT_FULL)
                .retry_after(1),
        );
    }
    let authorised = authorise(&call.caller, tool, &state.limits)?;
    state.freshness.check(tool.route.effect())?;
    if let Err(error) = &call.key {
        return Err(Error::invalid(error.message().to_owned()));
    }
    let arguments = call.input.read(&tool.input)?;
    tool.input.check(&arguments)?;
    Ok((authorised, arguments))
}

/// A call that was denied or is invalid charges general and hour; when those are spent too, that is the answer.
async fn refused(state: &State, caller: &Caller, category: Category, error: Error) -> (Result<Rendered>, Standing) {
    let (charged, standing) = state.limits.charge_refused(caller, category).await;
    (Err(charged.err().unwrap_or(error)), standing)
}

/// A read: dropped with its client, recorded in a batch.
async fn read(state: &Arc<State>, admitted: Admitted, arguments: Value, call: Call, record: Record) -> Result<Rendered> {
    let session = session(state, &admitted, &call);
    let outcome = match state.limits.spend(&state.store, admitted).await {
        Ok(spent) => {
            let outcome = run(&spent, arguments, session.clone(), &call.request_id).await;
            if outcome.is_err() && !session.has_reached() {
                spent.give_back(state.clock.micros());
            }
            outcome
        }
        Err(error) => Err(error),
    };
    record.settle(&outcome).await;
    outcome
}

/// A write: recorded before it begins, and carried to its end even when its client goes away, so that what came of it is known.
async fn write(state: &Arc<State>, admitted: Admitted, arguments: Value, call: Call, record: Record) -> (Result<Rendered>, bool) {
    let task = {
        let state = Arc::clone(state);
        async move {
            let session = session(&state, &admitted, &call);
            let key = call.key.unwrap_or_default();
            // What an administrator is answered (a new token) depends on what he may: it is not replayed to another.
            let rights = match (admitted.call.tool().category, admitted.call.caller().is_operator()) {
                (Category::Account, true) => " operator".to_owned(),
                (Category::Account, false) => format!(" {}", admitted.call.caller().scopes().stored()),
                _ => String::new(),
            };
            let begun = match idempotency::begin(&state, record.entry(Outcome::Open), key, &rights, session.deadline).await {
                Ok(Claimed::Begun(begun)) => begun,
                Ok(Claimed::Replay(outcome)) => {
                    record.settle(&outcome).await;
                    return (outcome, true);
                }
                Err(error) => {
                    let outcome = Err(error);
                    record.settle(&outcome).await;
                    return (outcome, false);
                }
            };
            let (outcome, spent) = match state.limits.spend(&state.store, admitted).await {
                Ok(spent) => (run(&spent, arguments, session.clone(), &call.request_id).await, Some(spent)),
                Err(error) => (Err(error), None),
            };
            let reached = session.has_reached();
            // It may have acted: the same call again could do it twice.
            let outcome = outcome.map_err(|error| match error.kind() {
                Kind::Timeout if reached && error.retryable() => Error::new(
                    Kind::Timeout,
                    format!("{}; whether it acted is not known, so look before you try again", error.message()),
                )
                .once(),
                _ => error,
            });
            if let Some(spent) = &spent
                && outcome.is_err()
                && !reached
            {
                spent.give_back(state.clock.micros());
            }
            let done = record.settle_begun(&outcome);
            idempotency::finish(&state, &begun, &done, &outcome, reached).await;
            (outcome, false)
        }
    };
    match state.calls.spawn(task).await {
        Ok(answered) => answered,
        Err(error) => (Err(Error::internal(error)), false),
    }
}

fn session(state: &Arc<State>, admitted: &Admitted, call: &Call) -> Session {
    Session::new(
        Arc::clone(state),
        admitted.call.caller().clone(),
        Arc::clone(admitted.call.tool()),
        call.trace.clone(),
        Arc::clone(&call.request_id),
        call.notifier.clone(),
    )
}

/// The tool itself, within its time limit. A panic costs this call alone.
async fn run(spent: &Spent, arguments: Value, session: Session, request_id: &str) -> Result<Rendered> {
    let tool = spent.call.tool();
    let deadline = session.deadline;
    let running = AssertUnwindSafe(async { tool.run(arguments, session).await }).catch_unwind();
    match tokio::time::timeout_at(deadline, running).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => {
            let what = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Error::internal(format!(
                "the tool {} panicked at request {request_id}: {what}",
                tool.name
            )))
        }
        Err(_) => Err(Error::new(
            Kind::Timeout,
            format!(
                "'{}' was not done within its time limit of {} s",
                tool.name,
                tool.time_limit.as_secs()
            ),
        )),
    }
}

impl Input {
    fn read(&self, schema: &InputSchema) -> Result<Value> {
        match self {
            Input::Json(raw) => object(raw).map(Value::Object),
            Input::Parts { body, path, query } => {
                let mut arguments = object(body)?;
                let beside = schema.read_query(path.iter().chain(query).cloned());
                for (name, value) in beside {
                    match arguments.get(&name) {
                        Some(given) if *given != value => {
                            return Err(Error::invalid(format!(
                                "{name}: the path or query and the body say different things; say it once"
                            )));
                        }
                        _ => {
                            arguments.insert(name, value);
                        }
                    }
                }
                Ok(Value::Object(arguments))
            }
        }
    }
}

/// JSON arguments as an object; absent ones are none.
fn object(raw: &[u8]) -> Result<Map<String, Value>> {
    if raw.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    if containers(raw) > CONTAINERS_MAX {
        return Err(Error::invalid(format!(
            "arguments: hold more than {CONTAINERS_MAX} objects and lists; send less at once"
        )));
    }
    match serde_json::from_slice(raw) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(Error::invalid("arguments: must be an object")),
        Err(error) if error.to_string().starts_with("recursion limit") => Err(Error::invalid("arguments: nested deeper than 128 levels")),
        Err(error) => Err(Error::new(Kind::Malformed, format!("The body is no JSON: {error}"))),
    }
}

/// What is recorded of a call: one audit entry, its metrics, one line in the log. Dropped unsettled, its client has gone.
struct Record {
    state: Arc<State>,
    tool: Arc<Definition>,
    tenant: String,
    token: String,
    agent: Option<Agent>,
    door: Door,
    trace: Option<Trace>,
    span: Option<Span>,
    request_id: Arc<str>,
    arguments_hash: String,
    at: i64,
    started: Instant,
    settled: bool,
}

/// Refused because no audit entry could be taken: then there is none of the refusal either.
const AUDIT_FULL: &str = "audit_full";
/// The status of a call whose client closed the connection before the answer, as nginx logs it.
const CLIENT_GONE: u16 = 499;

impl Record {
    fn new(state: &Arc<State>, call: &Call, tool: &Arc<Definition>, mut span: Option<Span>) -> Self {
        if let Some(span) = &mut span {
            span.set("smartermcp.category", tool.category.name());
        }
        Self {
            tenant: call.caller.audit_tenant(),
            token: call.caller.audit_name(),
            agent: call.caller.agent(),
            door: call.door,
            trace: call.trace.clone(),
            span,
            request_id: Arc::clone(&call.request_id),
            arguments_hash: String::new(),
            at: state.clock.millis(),
            started: Instant::now(),
            settled: false,
            state: Arc::clone(state),
            tool: Arc::clone(tool),
        }
    }

    /// Canonical, because `serde_json`'s maps are sorted: the same arguments hash the same on both doors.
    fn of_arguments(mut self, arguments: &Value) -> Self {
        let text = arguments.to_string();
        self.arguments_hash = crate::config::hex(&self.state.secrets.hash("arguments", text.as_bytes())[..16]).to_string();
        self
    }

    fn entry(&self, outcome: Outcome) -> Entry {
        Entry {
            tenant: self.tenant.clone(),
            id: self.request_id.to_string(),
            at: self.at,
            token: self.token.clone(),
            agent: self.agent.map(Agent::name),
            tool: self.tool.name,
            door: self.door.name(),
            arguments_hash: self.arguments_hash.clone(),
            outcome,
        }
    }

    /// Records an outcome whose audit entry was not opened before.
    async fn settle(mut self, outcome: &Result<Rendered>) {
        let done = self.note(outcome);
        // Refusals by a limit are counted, not audited: a caller in a loop must not fill the database.
        if !matches!(outcome, Err(error) if error.kind() == Kind::RateLimited || error.code() == AUDIT_FULL) {
            let entry = self.entry(done);
            let audit = Arc::clone(&self.state.audit);
            if let Some(entry) = audit.try_record(entry) {
                // Not in this future: a client that goes away would take the entry with it.
                let _ = tokio::spawn(async move { audit.record(entry).await }).await;
            }
        }
    }

    /// Records an outcome whose audit entry is open: the caller completes that.
    fn settle_begun(mut self, outcome: &Result<Rendered>) -> Outcome {
        self.note(outcome)
    }

    fn note(&mut self, outcome: &Result<Rendered>) -> Outcome {
        self.settled = true;
        let (status, error) = match outcome {
            Ok(_) => (self.tool.route.status().as_u16(), None),
            Err(error) => (error.kind().status().as_u16(), Some(error)),
        };
        if let Some(error) = error {
            if error.kind() == Kind::RateLimited {
                self.state.metrics.limited(self.agent);
            }
            error.log(&self.request_id);
        }
        if let Some(backend) = self.tool.backend {
            self.state.health.called(backend, error.map(Error::kind));
        }
        self.publish(status, error.map(Error::label))
    }

    fn publish(&mut self, status: u16, error: Option<&'static str>) -> Outcome {
        let took = self.started.elapsed();
        let duration_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        self.state.metrics.called(self.tool.name, self.agent, status, took.as_secs_f64());
        if let Some(code) = error {
            self.state.metrics.failed(self.tool.name, code);
        }
        tracing::info!(
            target: "smartermcp::call",
            tenant_id = self.tenant,
            agent = self.agent.map_or(NONE, Agent::name),
            tool = self.tool.name,
            parameters_hash = self.arguments_hash,
            response_status = status,
            duration_ms,
            request_id = &*self.request_id,
            token_id = self.token,
            door = self.door.name(),
            error = error.unwrap_or_default(),
            trace_id = self.trace.as_ref().map(Trace::trace_id),
        );
        if let Some(span) = self.span.take() {
            // A caller's mistake is no fault of this side (OpenTelemetry, semantic conventions for HTTP spans).
            span.end(Some(status), error, status >= 500);
        }
        Outcome::Done {
            status,
            error,
            duration_ms,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.settled {
            let outcome = self.publish(CLIENT_GONE, Some("client_gone"));
            self.state.audit.record_abandoned(self.entry(outcome));
        }
    }
}
