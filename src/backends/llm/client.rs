//! The client of one tenant's language model: authentication, its errors, and the test of a connection.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{AnswerLimit, Credential, Prompt, Provider, speech};
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, LONGEST_PAUSE, Reply, Request, shortened},
    },
    error::{Error, Kind, Result},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const VERSION_DEFAULT: &str = "2023-06-01";
/// From this version of the API on, Anthropic's own clients send the key as a bearer token (`@anthropic-ai/sdk` 1.11).
const BEARER_SINCE: &str = "2026-10-21";
/// How long a model may write.
const ATTEMPT: Duration = Duration::from_secs(90);
/// How often it is asked, where it refuses before any work.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest answer that is read: text of the most tokens that are asked for, with what lies about it.
const ANSWER_BYTES: usize = 1024 * 1024;
/// A list of models may be longer.
const MODELS_BYTES: usize = 4 * 1024 * 1024;
/// How many models are named to one who asked for another.
const NAMED: usize = 5;

/// One tenant's language model, for one call.
pub struct Llm {
    http: Client,
    credential: Arc<Credential>,
}

impl Backend for Llm {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Llm {
    const NAME: &'static str = "llm";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        let visible = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if credential.api_key.as_deref().is_some_and(|key| !visible(key, 1000)) {
            return Err(Error::invalid(
                "credential.api_key: must be visible ASCII characters, without spaces",
            ));
        }
        if credential.model.is_empty() || credential.model.len() > 200 || credential.model.chars().any(char::is_control) {
            return Err(Error::invalid(
                "credential.model: must be the name of a model, e.g. claude-sonnet-5-5",
            ));
        }
        let version = credential.version.as_deref();
        if version.is_some_and(|version| !visible(version, 50)) || (version.is_some() && credential.provider != Provider::Anthropic) {
            return Err(Error::invalid(
                "credential.version: is a date like 2023-06-01, for the provider anthropic alone",
            ));
        }
        if credential.answer_limit.is_some() && credential.provider != Provider::OpenAi {
            return Err(Error::invalid("credential.answer_limit: is for the provider openai alone"));
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        let model = &self.credential.model;
        let listed = self.models().await?;
        if !listed.iter().any(|listed| listed == model) {
            // Not every endpoint lists all that it has, or lists at all: the model itself is asked for a single token.
            self.taste(&listed).await?;
        }
        Ok(Tested {
            ok: true,
            version: match self.credential.provider {
                Provider::Anthropic => Some(self.version().to_owned()),
                Provider::OpenAi => None,
            },
            detail: format!("The endpoint answers, and has the model {}.", shortened(model)),
        })
    }
}

impl Llm {
    /// What the model wrote, as text.
    ///
    /// # Errors
    /// When it is away, refuses, or was cut off by `answer_max`. None of them may be charged twice: nothing that was begun is repeated.
    pub async fn write(&self, prompt: Prompt<'_>) -> Result<String> {
        let body = speech::request(self.credential.provider, &self.credential.model, self.answer_limit(), prompt)?;
        let reply = self.ask(&body).await?;
        if !reply.status.is_success() {
            return Err(self.refusal(&reply));
        }
        let body: Value = serde_json::from_slice(&reply.body).map_err(|_| speech::nonsense())?;
        speech::answer(self.credential.provider, &body)
    }

    /// Asks it to write; again only where it refused before any work, and not for longer than a caller waits.
    async fn ask(&self, body: &Value) -> Result<Reply> {
        let path = match self.credential.provider {
            Provider::Anthropic => "/v1/messages",
            Provider::OpenAi => "/chat/completions",
        };
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let request = self.authorised(self.http.write(Method::POST, path))?.json(body)?;
            let reply = request.within(ATTEMPT).at_most(ANSWER_BYTES).send().await.map_err(in_our_words)?;
            let refused = matches!(reply.status.as_u16(), 429 | 503 | 529) && !is_spent(&reply);
            let wait = reply.retry_after().unwrap_or(pause);
            if !refused || attempt >= ATTEMPTS || wait > LONGEST_PAUSE || Instant::now() + wait >= self.http.session().deadline {
                return Ok(reply);
            }
            sleep(wait + wait.mul_f64(rand::random::<f64>() / 2.0)).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// The models that the endpoint names; none where it has no list.
    async fn models(&self) -> Result<Vec<String>> {
        let (path, query): (_, &[_]) = match self.credential.provider {
            Provider::Anthropic => ("/v1/models", &[("limit", "1000")]),
            Provider::OpenAi => ("/models", &[]),
        };
        let request = self.authorised(self.http.get(path))?.query(query);
        let reply = request.at_most(MODELS_BYTES).send().await?;
        match reply.status.as_u16() {
            200..=299 => {
                let body: Value = serde_json::from_slice(&reply.body).map_err(|_| speech::nonsense())?;
                let listed = body["data"].as_array().ok_or_else(speech::nonsense)?;
                Ok(listed.iter().filter_map(|model| model["id"].as_str()).map(str::to_owned).collect())
            }
            // An endpoint without a list.
            404 | 405 | 501 => Ok(Vec::new()),
            _ => Err(self.refusal(&reply)),
        }
    }

    /// The smallest question that there is; what it answers is no matter.
    async fn taste(&self, listed: &[String]) -> Result<()> {
        let prompt = Prompt {
            system: "Answer with one letter.",
            task: "a",
            data: None,
            answer_max: 1,
        };
        let body = speech::request(self.credential.provider, &self.credential.model, self.answer_limit(), prompt)?;
        let reply = self.ask(&body).await?;
        if reply.status.is_success() {
            let body: Value = serde_json::from_slice(&reply.body).map_err(|_| speech::nonsense())?;
            return match speech::answer(self.credential.provider, &body) {
                Err(error) if error.code() == Kind::BackendRefused.code() => Err(error),
                // One token is no answer, but it shows that there is a model to give one.
                Ok(_) | Err(_) => Ok(()),
            };
        }
        let error = self.refusal(&reply);
        if error.code() == "model_unknown" && !listed.is_empty() {
            let named: Vec<_> = listed.iter().take(NAMED).map(|name| shortened(name)).collect();
            return Err(Error::new(
                Kind::BackendRefused,
                format!("{}; it has, among others, {}", error.message(), named.join(", ")),
            )
            .coded("model_unknown"));
        }
        Err(error)
    }

    fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let key = self.credential.api_key.as_deref();
        Ok(match self.credential.provider {
            Provider::Anthropic => {
                let version = HeaderValue::from_str(self.version()).map_err(Error::internal)?;
                let request = request.header(VERSION, version);
                match key {
                    // Dates in this form are ordered as texts are.
                    Some(key) if self.version() >= BEARER_SINCE => bearer(request, key)?,
                    Some(key) => request.header(API_KEY, secret_header(key)?),
                    None => request,
                }
            }
            Provider::OpenAi => match key {
                Some(key) => bearer(request, key)?,
                None => request,
            },
        })
    }

    fn version(&self) -> &str {
        self.credential.version.as_deref().unwrap_or(VERSION_DEFAULT)
    }

    fn answer_limit(&self) -> AnswerLimit {
        self.credential
            .answer_limit
            .unwrap_or_else(|| match self.http.connection().url.host_str() {
                Some("api.openai.com") => AnswerLimit::MaxCompletionTokens,
                _ => AnswerLimit::MaxTokens,
            })
    }

    /// What a status that is no success means. A caller of a tool cannot mend the request: it is ours.
    fn refusal(&self, reply: &Reply) -> Error {
        let words = said(reply);
        // Some endpoints repeat the key that they refuse.
        let words = words.map(|words| match &self.credential.api_key {
            Some(key) => words.replace(key.as_str(), "…"),
            None => words,
        });
        let with = |sentence: String| match &words {
            Some(words) => format!("{sentence}: {}", shortened(words)),
            None => sentence,
        };
        match reply.status.as_u16() {
            401 | 403 => Error::new(
                Kind::BackendRefused,
                format!(
                    "'llm' refuses the stored API key, or the key may not use the model '{}' (HTTP {}); an administrator sets the connection again",
                    shortened(&self.credential.model),
                    reply.status.as_u16()
                ),
            )
            .coded("credential_refused"),
            // The words of an API, or of whatever else is at that address.
            404 if words.is_some() => Error::new(
                Kind::BackendRefused,
                with(format!("'llm' has no model '{}'", shortened(&self.credential.model))),
            )
            .coded("model_unknown"),
            404 | 405 => speech::nonsense().because(format!("HTTP {}", reply.status.as_u16())),
            429 if is_spent(reply) => Error::new(Kind::BackendRefused, with("The account of 'llm' is spent".to_owned())),
            429 | 529 => Error::new(Kind::BackendDown, "'llm' is asked too often, or overloaded").retry_after(seconds(reply)),
            503 => reply.refusal(|_| None),
            500..=599 => reply.refusal(|_| None).once(),
            300..=399 => reply.refusal(|_| None),
            status => Error::new(Kind::BackendRefused, with(format!("'llm' does not take the request (HTTP {status})"))),
        }
    }
}

/// Whether a 429 says that there is no money left, so that waiting is no use.
fn is_spent(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    body["error"]["code"] == "insufficient_quota"
}

/// Its own words about a failure: `{"error": {"message": …}}` in both forms, `{"error": "…"}` in some servers.
fn said(reply: &Reply) -> Option<String> {
    const WORDS_MAX: usize = 64 * 1024;
    if reply.body.len() > WORDS_MAX {
        return None;
    }
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    body["error"]["message"]
        .as_str()
        .or_else(|| body["error"].as_str())
        .map(str::to_owned)
}

fn seconds(reply: &Reply) -> u64 {
    reply.retry_after().map_or(5, |wait| wait.as_secs().max(1))
}

/// A generation that was begun and lost has changed nothing, and may have cost something.
fn in_our_words(error: Error) -> Error {
    let sentence = match error.kind() {
        Kind::Timeout => "'llm' did not answer in time; the generation may have been charged all the same",
        Kind::BackendDown if !error.retryable() => {
            "'llm' broke off before its answer was whole; the generation may have been charged all the same"
        }
        _ => return error,
    };
    Error::new(error.kind(), sentence).because(error.cause()).once()
}

fn bearer<'a>(request: Request<'a>, key: &str) -> Result<Request<'a>> {
    Ok(request.header(header::AUTHORIZATION, secret_header(&format!("Bearer {key}"))?))
}

fn secret_header(secret: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).map_err(|_| {
        Error::new(
            Kind::BackendRefused,
            "The stored credential holds characters that no HTTP header takes; set it again",
        )
        .coded("credential_refused")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
