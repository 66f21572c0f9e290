//! Played language models: Messages of Anthropic (`/v1/messages`, `/v1/models`) and chat completions of `OpenAI` (`/v1/chat/completions`,
//! `/v1/models`), as their documents and the types of their own clients (`@anthropic-ai/sdk` 1.11, `openai` 7.55) have them.
//!
//! Nothing here writes: what it says is scripted, one answer after the other, and it keeps what it was asked. Both speak at one
//! address; whoever sends `anthropic-version` is answered as Anthropic does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::Faults;

/// How many questions are remembered.
const ASKED_MAX: usize = 1000;

/// A language model that says what it was told to say. Clones share it.
#[derive(Clone, Debug)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api_key: Option<String>,
    models: Vec<String>,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<Says>,
    otherwise: String,
    asked: Vec<Asked>,
}

/// What it says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// A whole answer.
    Text(String),
    /// This, and then there were no tokens left.
    CutOff(String),
    /// It does not want to.
    Refusal,
    /// Nothing at all, with success.
    Empty,
    /// A refusal of the API, of this status, asking to come back after so many seconds.
    Status(u16, Option<u64>),
    /// 429, because the account is spent (`OpenAI`: `insufficient_quota`).
    Spent,
}

/// A question that it was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub model: String,
    pub system: String,
    /// What stands in the messages of the user, one after the other.
    pub user: String,
    /// The longest answer, in tokens, and the parameter that said so.
    pub answer_max: u64,
    pub limited_by: &'static str,
    /// The body as it was sent.
    pub body: Value,
}

/// Whose form a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Anthropic,
    OpenAi,
}

impl Model {
    /// One that takes this key, or any where there is none, and has models of these names.
    pub fn new(api_key: Option<&str>, models: &[&str]) -> Self {
        Self(Arc::new(Inner {
            api_key: api_key.map(str::to_owned),
            models: models.iter().map(|name| (*name).to_owned()).collect(),
            faults: Faults::default(),
            state: Mutex::new(State {
                otherwise: "Listo.".to_owned(),
                ..State::default()
            }),
        }))
    }

    /// What it says next, after all that it was told to say before.
    pub fn say(&self, says: Says) {
        self.state().script.push_back(says);
    }

    /// What it says when the script is at its end; `Listo.` unless said.
    pub fn say_otherwise(&self, text: &str) {
        text.clone_into(&mut self.state().otherwise);
    }

    /// What it was asked, oldest first: only what was let in.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// What goes wrong before it is asked at all.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// `/v1/…` of both.
    pub fn router(&self) -> Router {
        let router = Router::new()
            .route("/v1/messages", post(messages))
            .route("/v1/chat/completions", post(completions))
            .route("/v1/models", get(models))
            .route("/v1/models/{id}", get(model))
            .fallback(async || (StatusCode::NOT_FOUND, "404 page not found"))
            .with_state(self.clone());
        self.0.faults.before(router)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a caller is not let in.
    fn refused(&self, form: Form, headers: &HeaderMap) -> Option<Response> {
        let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = || sent("authorization").and_then(|sent| sent.strip_prefix("Bearer "));
        let given = match form {
            Form::Anthropic => sent("x-api-key").or_else(&bearer),
            Form::OpenAi => bearer(),
        };
        let wanted = self.0.api_key.as_deref()?;
        if given == Some(wanted) {
            return None;
        }
        Some(match form {
            Form::Anthropic => failure(form, 401, "authentication_error", "invalid x-api-key"),
            // Like the real one, it repeats what it was given, in part.
            Form::OpenAi => failure(
                form,
                401,
                "invalid_api_key",
                &format!("Incorrect API key provided: {}.", given.unwrap_or_default()),
            ),
        })
    }

    /// What it says to a question, which it keeps.
    fn answered(&self, form: Form, body: &Value) -> Response {
        let name = body["model"].as_str().unwrap_or_default();
        if !self.0.models.iter().any(|model| model == name) {
            return no_model(form, name);
        }
        let limits: &[&'static str] = match form {
            Form::Anthropic => &["max_tokens"],
            Form::OpenAi => &["max_completion_tokens", "max_tokens"],
        };
        let limited_by = limits.iter().copied().find(|limit| body[*limit].is_u64());
        let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let said_by = |role: &str| {
            let texts: Vec<_> = messages
                .iter()
                .filter(|message| message["role"] == role)
                .filter_map(|message| message["content"].as_str())
                .collect();
            texts.join("\n")
        };
        if form == Form::Anthropic && limited_by.is_none() {
            return failure(form, 400, "invalid_request_error", "max_tokens: Field required");
        }
        if messages.is_empty() {
            return failure(form, 400, "invalid_request_error", "messages: at least one message is required");
        }
        let asked = Asked {
            model: name.to_owned(),
            system: match form {
                Form::Anthropic => body["system"].as_str().unwrap_or_default().to_owned(),
                Form::OpenAi => said_by("system"),
            },
            user: said_by("user"),
            answer_max: limited_by.and_then(|limit| body[limit].as_u64()).unwrap_or_default(),
            limited_by: limited_by.unwrap_or_default(),
            body: body.clone(),
        };
        let single_token = asked.answer_max == 1;
        let mut state = self.state();
        if state.asked.len() < ASKED_MAX {
            state.asked.push(asked);
        }
        let says = match state.script.pop_front() {
            Some(says) => says,
            None if single_token => Says::CutOff("L".to_owned()),
            None => Says::Text(state.otherwise.clone()),
        };
        drop(state);
        said(form, name, &says)
    }
}

/// `POST /v1/messages`
async fn messages(Shared(model): Shared<Model>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = model.refused(Form::Anthropic, &headers) {
        return refused;
    }
    if !headers.contains_key("anthropic-version") {
        return failure(
            Form::Anthropic,
            400,
            "invalid_request_error",
            "anthropic-version: header is required",
        );
    }
    match serde_json::from_slice(&body) {
        Ok(body) => model.answered(Form::Anthropic, &body),
        Err(_) => failure(Form::Anthropic, 400, "invalid_request_error", "The request body is not valid JSON"),
    }
}

/// `POST /v1/chat/completions`
async fn completions(Shared(model): Shared<Model>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = model.refused(Form::OpenAi, &headers) {
        return refused;
    }
    match serde_json::from_slice(&body) {
        Ok(body) => model.answered(Form::OpenAi, &body),
        Err(_) => failure(
            Form::OpenAi,
            400,
            "invalid_request_error",
            "We could not parse the JSON body of your request.",
        ),
    }
}

/// `GET /v1/models`
async fn models(Shared(model): Shared<Model>, headers: HeaderMap) -> Response {
    let form = form(&headers);
    if let Some(refused) = model.refused(form, &headers) {
        return refused;
    }
    let listed: Vec<_> = model.0.models.iter().map(|name| shown(form, name)).collect();
    Json(match form {
        Form::Anthropic => json!({
            "data": listed, "has_more": false, "first_id": model.0.models.first(), "last_id": model.0.models.last(),
        }),
        Form::OpenAi => json!({ "object": "list", "data": listed }),
    })
    .into_response()
}

/// `GET /v1/models/{id}`
async fn model(Shared(model): Shared<Model>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let form = form(&headers);
    if let Some(refused) = model.refused(form, &headers) {
        return refused;
    }
    if model.0.models.contains(&id) {
        Json(shown(form, &id)).into_response()
    } else {
        no_model(form, &id)
    }
}

fn form(headers: &HeaderMap) -> Form {
    if headers.contains_key("anthropic-version") {
        Form::Anthropic
    } else {
        Form::OpenAi
    }
}

fn shown(form: Form, name: &str) -> Value {
    match form {
        Form::Anthropic => json!({ "type": "model", "id": name, "display_name": name, "created_at": "2026-02-19T00:00:00Z" }),
        Form::OpenAi => json!({ "id": name, "object": "model", "created": 1_771_459_200, "owned_by": "sandbox" }),
    }
}

fn said(form: Form, model: &str, says: &Says) -> Response {
    let (text, ending) = match says {
        Says::Text(text) => (Some(text.as_str()), ("end_turn", "stop")),
        Says::CutOff(text) => (Some(text.as_str()), ("max_tokens", "length")),
        Says::Refusal => (None, ("refusal", "stop")),
        Says::Empty => (Some(""), ("end_turn", "stop")),
        Says::Status(status, retry_after) => return refusal_of(form, *status, *retry_after),
        Says::Spent => {
            return failure(
                form,
                429,
                "insufficient_quota",
                "You exceeded your current quota, please check your plan and billing details.",
            );
        }
    };
    let id = Uuid::new_v4().simple();
    Json(match form {
        Form::Anthropic => json!({
            "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model,
            "content": text.filter(|text| !text.is_empty()).map(|text| json!({ "type": "text", "text": text })).into_iter().collect::<Vec<_>>(),
            "stop_reason": ending.0, "stop_sequence": null, "usage": { "input_tokens": 10, "output_tokens": 10 },
        }),
        Form::OpenAi => json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": 1_771_459_200, "model": model,
            "choices": [{
                "index": 0, "finish_reason": ending.1, "logprobs": null,
                "message": {
                    "role": "assistant", "content": text,
                    "refusal": text.is_none().then_some("I'm sorry, I can't help with that."),
                },
            }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 },
        }),
    })
    .into_response()
}

fn refusal_of(form: Form, status: u16, retry_after: Option<u64>) -> Response {
    let kind = match (form, status) {
        (Form::Anthropic, 429) => "rate_limit_error",
        (Form::Anthropic, 529) => "overloaded_error",
        (Form::Anthropic, 500..) => "api_error",
        (Form::OpenAi, 429) => "rate_limit_exceeded",
        (Form::OpenAi, 500..) => "server_error",
        (Form::Anthropic | Form::OpenAi, _) => "invalid_request_error",
    };
    let mut response = failure(form, status, kind, "Played: it was told to say this");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn no_model(form: Form, name: &str) -> Response {
    match form {
        Form::Anthropic => failure(form, 404, "not_found_error", &format!("model: {name}")),
        Form::OpenAi => failure(
            form,
            404,
            "model_not_found",
            &format!("The model `{name}` does not exist or you do not have access to it."),
        ),
    }
}

fn failure(form: Form, status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match form {
        Form::Anthropic => json!({
            "type": "error", "error": { "type": kind, "message": message }, "request_id": format!("req_{}", Uuid::new_v4().simple()),
        }),
        Form::OpenAi => json!({ "error": { "message": message, "type": kind, "param": null, "code": kind } }),
    };
    (status, Json(body)).into_response()
}
