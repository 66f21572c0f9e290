//! What a tool answers: a typed object with a published schema, or, where a protocol test wants it, free content.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::schema;
use crate::error::{Error, Result};

/// An answer as both doors send it.
#[derive(Debug)]
pub enum Rendered {
    /// MCP's `structuredContent`, and REST's body.
    Object(Box<RawValue>),
    Content(Content),
}

/// Content blocks as MCP has them (2026-07-28, Tools, Tool Result), for answers that are no object.
#[derive(Debug)]
pub struct Content {
    pub blocks: Vec<Value>,
    pub is_error: bool,
}

/// What a tool may answer.
pub trait Output: Send {
    /// The schema of the object; `None` for free content.
    fn schema() -> Option<Value>;
    fn render(self) -> Result<Rendered>;
}

impl<T: Serialize + JsonSchema + Send> Output for T {
    fn schema() -> Option<Value> {
        Some(schema::written::<T>())
    }

    fn render(self) -> Result<Rendered> {
        serde_json::value::to_raw_value(&self)
            .map(Rendered::Object)
            .map_err(Error::internal)
    }
}

impl Output for Content {
    fn schema() -> Option<Value> {
        None
    }

    fn render(self) -> Result<Rendered> {
        Ok(Rendered::Content(self))
    }
}

/// The answer of a tool that has nothing to say but that it was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    /// Always true: a failure is an error.
    pub done: bool,
}

impl Done {
    pub const YES: Done = Done { done: true };
}
