//! A language model: what a tenant lets write for it, over Anthropic's Messages or any endpoint that speaks the chat completions of `OpenAI`.
//!
//! Surprising about both: an answer that was cut off, refused or left empty is a 200. And a generation costs money, although it
//! changes nothing: it is sent again only where it was refused before any work (429, 503, 529). What backends told goes to the model
//! as data (`speech.rs`); neither a prompt nor an answer is ever logged.

mod client;
mod speech;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use self::client::Llm;

/// What a model is to write.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// Ours: what it is and how its answer must look.
    pub system: &'a str,
    /// The caller's own words.
    pub task: &'a str,
    /// What comes from backends: handed over as data, marked as such, never as an instruction.
    pub data: Option<&'a Value>,
    /// The longest answer, in tokens.
    pub answer_max: u32,
}

/// What a tenant gives us to reach its language model. The connection's url is the API's base: `https://api.anthropic.com`, or what
/// stands before `/chat/completions`, e.g. `https://api.openai.com/v1`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// What the endpoint speaks.
    pub(super) provider: Provider,
    /// The API key (Anthropic: Console → API keys; `OpenAI`: Dashboard → API keys). A server of one's own may need none.
    pub(super) api_key: Option<String>,
    /// Which model is to write, as the endpoint names it, e.g. `claude-sonnet-5-5`.
    pub(super) model: String,
    /// Anthropic alone: the version of the API, sent as anthropic-version; `2023-06-01` unless said.
    pub(super) version: Option<String>,
    /// `openai` alone: which parameter limits the answer. Unless said, `max_completion_tokens` at api.openai.com, and `max_tokens`, which most others take, elsewhere.
    pub(super) answer_limit: Option<AnswerLimit>,
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Messages of Anthropic: `POST {url}/v1/messages`, the key as x-api-key; from version 2026-10-21 on as a bearer token.
    Anthropic,
    /// Chat completions as `OpenAI` has them, which most others speak too: `POST {url}/chat/completions`, the key as a bearer token.
    #[serde(rename = "openai")]
    OpenAi,
}

/// The parameter of chat completions that limits the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerLimit {
    /// The older name, which most servers take.
    MaxTokens,
    /// The newer name, which `OpenAI`'s own models ask for.
    MaxCompletionTokens,
}
