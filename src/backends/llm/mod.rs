//! A language model: what a tenant lets write for it, over Anthropic's Messages or any endpoint that speaks the chat completions of `OpenAI`.

use serde_json::Value;

use super::{Backend, Session};
use crate::error::{Error, Kind, Result};

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

/// One tenant's language model, for one call.
#[derive(Debug)]
pub struct Llm(());

impl Backend for Llm {
    const KIND: Option<&'static str> = Some("llm");

    async fn open(_: Session) -> Result<Self> {
        Err(Error::new(Kind::NotConnected, "This tenant has not connected llm."))
    }
}

impl Llm {
    /// What the model wrote, as text.
    ///
    /// # Errors
    /// When it is away, refuses, or was cut off by `answer_max`.
    pub async fn write(&self, _: Prompt<'_>) -> Result<String> {
        std::future::ready(()).await;
        Err(Error::new(Kind::NotConnected, "This tenant has not connected llm."))
    }
}
