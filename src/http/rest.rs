//! REST: a route for each tool, made from its declaration, and the few beside them. Parses and renders; decides nothing.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts as _, RawPathParams, Request, State as Shared},
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, get, on, post},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use serde_json::Value;

use super::{
    RequestId, accepts, address, body, json, listing, problem,
    stream::{self, Teller},
};
use crate::{
    auth::{Caller, authenticate},
    backends::{Note, Notifier},
    dispatch::{self, Answer, Call, Door, Input},
    error::{Error, Result},
    idempotency::Key,
    limits::Standing,
    state::State,
    telemetry::Trace,
    tool::{Catalogue, Content, PREFIX, Rendered},
};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const EVENT_STREAM: &str = "text/event-stream";

pub fn routes(catalogue: &Catalogue) -> Router<Arc<State>> {
    let mut router = Router::new()
        .route(&format!("{PREFIX}/tools"), get(tools))
        .route(&format!("{PREFIX}/tools/{{name}}"), post(by_name))
        .route(&format!("{PREFIX}/whoami"), get(whoami));
    for tool in catalogue.all() {
        let name = tool.name;
        let handler =
            move |Shared(state): Shared<Arc<State>>, request: Request| async move { call(state, name.to_owned(), request, true).await };
        router = router.route(&tool.route.full_path(), on(filter(&tool.route.method), handler));
    }
    router
}

/// # Panics
/// At start, for a method that no tool should have.
fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or_else(|_| panic!("a tool's route has the method {method}"))
}

/// `POST /api/v1/tools/{name}`: any tool, its arguments as the body.
async fn by_name(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let name = path_parameters(&mut parts, &state)
        .await
        .into_iter()
        .next()
        .map(|(_, name)| name)
        .unwrap_or_default();
    call(state, name, Request::from_parts(parts, body), false).await
}

async fn call(state: Arc<State>, tool: String, request: Request, with_path: bool) -> Response {
    let (mut parts, sent) = request.into_parts();
    let RequestId(request_id) = own_id(&parts);
    let call = async {
        let client = address::client(&state, &parts.extensions, &parts.headers);
        let caller = authenticate(&state, &parts.headers, client).await?;
        // A GET's body means nothing (RFC 9110 §9.3.1).
        let (caller, body) = match parts.method {
            Method::GET | Method::HEAD => (caller, Bytes::new()),
            _ => body::read_from(&state, caller, client, &parts.headers, sent).await?,
        };
        let input = if with_path {
            Input::Parts {
                body,
                path: path_parameters(&mut parts, &state).await,
                query: query(&parts),
            }
        } else {
            Input::Json(body)
        };
        // Some answers come line by line, if the client takes such.
        let may_stream = state.catalogue.find(&tool).is_some_and(|tool| tool.streams) && accepts(&parts.headers, EVENT_STREAM);
        let (notifier, notes) = match may_stream {
            true => {
                let (notifier, notes) = Notifier::channel();
                (notifier, Some(notes))
            }
            false => (Notifier::default(), None),
        };
        let call = Call {
            caller,
            tool,
            input,
            key: Key::from_headers(&parts.headers),
            door: Door::Rest,
            trace: Trace::from_headers(&parts.headers),
            request_id: Arc::clone(&request_id),
            notifier,
        };
        Ok::<_, Error>((call, notes))
    };
    let telling = Telling {
        request_id: Arc::clone(&request_id),
    };
    match call.await {
        Ok((call, notes @ Some(_))) => stream::answer(&state, call, notes, telling).await,
        Ok((call, None)) => telling.whole(dispatch::call(&state, call).await),
        Err(error) => refuse(&error, &request_id),
    }
}

/// A call as REST tells it: as a whole; or, where the tool opened its answer, each line as an event and the whole at the end.
struct Telling {
    request_id: Arc<str>,
}

impl Teller for Telling {
    const PATIENCE: Option<Duration> = None;

    fn note(&self, note: Note) -> Option<Bytes> {
        match note {
            Note::Opened => Some(stream::comment()),
            Note::Line { text, .. } => Some(stream::event("line", text.as_bytes())),
            Note::Progress { .. } | Note::Log { .. } => None,
        }
    }

    fn end(&self, answer: &Answer) -> Bytes {
        match &answer.outcome {
            Ok(Rendered::Object(object)) => stream::event("end", object.get().as_bytes()),
            Ok(Rendered::Content(content)) => stream::event("end", blocks(content).as_bytes()),
            // The status has long been sent: the failure is an event of its own, before the end that every client waits for.
            Err(error) => {
                let mut events = stream::event("error", &problem::body(error, Some(&self.request_id))).to_vec();
                events.extend_from_slice(&stream::event("end", b"{}"));
                events.into()
            }
        }
    }

    fn whole(&self, answer: Answer) -> Response {
        let status = answer.tool.as_ref().map_or(StatusCode::OK, |tool| tool.route.status());
        let mut response = match answer.outcome {
            Ok(_) if status == StatusCode::NO_CONTENT => status.into_response(),
            Ok(Rendered::Object(object)) => json(status, Box::<str>::from(object).into_string()),
            Ok(Rendered::Content(content)) => json(status, blocks(&content)),
            // Logged by dispatch.
            Err(error) => problem::response(&error, Some(&self.request_id)),
        };
        answer.standing.write(response.headers_mut());
        if answer.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn blocks(content: &Content) -> String {
    serde_json::json!({ "content": content.blocks, "is_error": content.is_error }).to_string()
}

async fn tools(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    shown(&state, &request.into_parts().0, async |state, caller| listing::rest(state, caller)).await
}

async fn whoami(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    shown(&state, &request.into_parts().0, async |state, caller| {
        if let Some(known) = caller.tenant()
            && let Err(error) = known.usage.refresh(&state.store, state.clock.millis()).await
        {
            // What this replica knows is shown; the watch on the database has said that it is away.
            tracing::debug!(source = error.cause(), "usage could not be read");
        }
        listing::whoami(state, caller)
    })
    .await
}

/// What is told to any valid token, against the cell of protocol methods.
async fn shown(state: &Arc<State>, parts: &Parts, show: impl AsyncFn(&State, &Caller) -> Value) -> Response {
    let RequestId(request_id) = own_id(parts);
    let admitted = async {
        let caller = caller(state, parts).await?;
        let (admitted, standing) = state.limits.admit_protocol(&caller).await;
        Ok::<(Caller, Result<()>, Standing), Error>((caller, admitted, standing))
    };
    match admitted.await {
        Err(error) => refuse(&error, &request_id),
        Ok((caller, admitted, standing)) => {
            let mut response = match admitted {
                Ok(()) => json(StatusCode::OK, show(state, &caller).await.to_string()),
                Err(error) => {
                    state.metrics.limited(caller.agent());
                    problem::response(&error, Some(&request_id))
                }
            };
            standing.write(response.headers_mut());
            response
        }
    }
}

fn refuse(error: &Error, request_id: &Arc<str>) -> Response {
    error.log(request_id);
    problem::response(error, Some(request_id))
}

async fn caller(state: &State, parts: &Parts) -> Result<Caller> {
    authenticate(state, &parts.headers, address::client(state, &parts.extensions, &parts.headers)).await
}

fn own_id(parts: &Parts) -> RequestId {
    parts
        .extensions
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(|| RequestId(Arc::from("")))
}

/// The path's parameters, decoded. A path that is no UTF-8 names nothing.
async fn path_parameters(parts: &mut Parts, state: &Arc<State>) -> Vec<(String, String)> {
    match RawPathParams::from_request_parts(parts, state).await {
        Ok(parameters) => parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => Vec::new(),
    }
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    let query = parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
