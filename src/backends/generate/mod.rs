//! Code generation: workflows of n8n, skills of Botpress, clients of APIs.
//!
//! Workflows and skills are written by the tenant's language model where one is connected, and what it writes is checked before it is
//! handed out, once sent back for repair, and else replaced by what the templates make; the templates need no model and know the
//! common cases. Nothing here changes anything: what is generated is created by other tools. A caller's description is the task; what
//! was read from elsewhere is only ever data.

mod client;
mod skill;
mod words;
mod workflow;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Session,
    llm::{Llm, Prompt},
};
use crate::{
    backends::client::shortened,
    error::{Error, Kind, Result},
    tool::Definition,
};

pub(super) fn tools() -> Vec<Definition> {
    [workflow::tools(), skill::tools(), client::tools()].into_iter().flatten().collect()
}

/// How long the language model may take, all in all; what is left of [`TIME_LIMIT`] is for the templates.
const MODEL_TIME: Duration = Duration::from_secs(100);
/// How long a tool may take whose answer a language model writes.
const TIME_LIMIT: Duration = Duration::from_mins(2);
/// The longest answer, in tokens.
const ANSWER_MAX: u32 = 12_000;
/// How much of an answer that was wrong is shown to the model again, in bytes.
const SHOWN_AGAIN: usize = 100_000;

/// What wrote an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// The tenant's language model; its answer was checked.
    Llm,
    /// The gateway's own templates.
    Template,
}

/// What the language model made of a task.
enum Draft<T> {
    Written(T),
    /// It was not to be had, and why, in a sentence for the caller.
    Unwritten(String),
}

/// Lets the tenant's language model write JSON, and checks it. What is wrong with it is told to the model once.
async fn draft<T>(
    (session, llm): &(Session, Result<Llm>),
    system: &str,
    task: &str,
    check: impl Fn(Value) -> Result<T, Vec<String>>,
) -> Draft<T> {
    let llm = match llm {
        Ok(llm) => llm,
        Err(error) if error.kind() == Kind::NotConnected => {
            return Draft::Unwritten("No language model is connected (PUT /api/v1/connections/llm), so the templates made it.".to_owned());
        }
        Err(error) => return missing(session, error),
    };
    let writing = async {
        let mut again = None;
        loop {
            let prompt = Prompt {
                system,
                task: if again.is_none() { task } else { REPAIR },
                data: again.as_ref(),
                answer_max: ANSWER_MAX,
            };
            let text = llm.write(prompt).await?;
            let complaints = match object(&text).map_or_else(|complaint| Err(vec![complaint]), &check) {
                Ok(written) => return Ok(Ok(written)),
                Err(complaints) => complaints,
            };
            if again.is_some() {
                return Ok(Err(complaints));
            }
            session
                .notifier
                .progress(1.0, Some(3.0), "the model's answer is sent back for repair");
            let shown: String = text.chars().take(SHOWN_AGAIN).collect();
            again = Some(json!({ "task": task, "answer": shown, "complaints": complaints }));
        }
    };
    match tokio::time::timeout(MODEL_TIME, writing).await {
        Ok(Ok(Ok(written))) => {
            session.note_health("llm", None);
            Draft::Written(written)
        }
        Ok(Ok(Err(complaints))) => {
            session.note_health("llm", None);
            let complaint = complaints.into_iter().next().unwrap_or_default();
            Draft::Unwritten(format!(
                "The language model's answer did not pass the check, also after a repair ({}), so the templates made it.",
                shortened(&complaint)
            ))
        }
        Ok(Err(error)) => missing(session, &error),
        Err(_) => missing(session, &Error::new(Kind::Timeout, "'llm' did not answer in time")),
    }
}

const REPAIR: &str = "Your earlier answer to the task in the data was checked, and the complaints in the data were found. Do the task again so that \
    none of them applies any more. Answer with the whole JSON object and nothing else.";

/// The failure of a model that the tool can do without: it is logged and counted here, and told to the caller.
fn missing<T>(session: &Session, error: &Error) -> Draft<T> {
    error.log(&session.request_id);
    session.note_health("llm", Some(error.kind()));
    Draft::Unwritten(format!(
        "The language model was not to be had ({}), so the templates made it.",
        shortened(error.message())
    ))
}

/// The JSON object in an answer, also where the model has put words or a fence about it.
fn object(text: &str) -> Result<Value, String> {
    let complaint = || "the answer must be one JSON object and nothing else".to_owned();
    let begin = text.find('{').ok_or_else(complaint)?;
    let end = text.rfind('}').filter(|end| *end > begin).ok_or_else(complaint)?;
    serde_json::from_str(&text[begin..=end]).map_err(|_| complaint())
}
