//! Answers as a stream of events: for a client that asked to hear how far a call is, and for a call that takes long, so that
//! no proxy between takes the silence for a death.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header;
use serde_json::{Value, json, value::RawValue};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::call::Reply;
use crate::{
    backends::Note,
    dispatch::{self, Answer, Call},
    error::Error,
    limits::Standing,
    state::State,
};

/// After this silence an answer begins as a stream.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two comments that keep a stream alive: below the 60 s of many proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the client asked to hear before the result.
#[derive(Debug)]
pub struct Asked {
    pub progress_token: Option<Box<RawValue>>,
    pub logs: bool,
}

impl Asked {
    pub fn anything(&self) -> bool {
        self.progress_token.is_some() || self.logs
    }

    /// A note as a notification, if it was asked for.
    fn message(&self, note: Note) -> Option<Value> {
        match note {
            Note::Progress { progress, total, message } => {
                let token: Value = serde_json::from_str(self.progress_token.as_ref()?.get()).ok()?;
                let mut params = json!({ "progressToken": token, "progress": progress });
                if let Some(total) = total {
                    params["total"] = total.into();
                }
                if let Some(message) = message {
                    params["message"] = message.into();
                }
                Some(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
            }
            Note::Log { level, data } if self.logs => Some(
                json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "logger": "smartermcp", "data": data } }),
            ),
            Note::Log { .. } => None,
        }
    }
}

type Notes = mpsc::UnboundedReceiver<Note>;

/// A call in progress.
struct Progress {
    call: Pin<Box<dyn Future<Output = Answer> + Send>>,
    notes: Option<Notes>,
    asked: Asked,
    reply: Reply,
    waiting: Vec<Bytes>,
    done: bool,
}

enum Next {
    Answer(Answer),
    Event(Bytes),
    Silence,
}

/// Conducts the call, and answers as JSON if it can and as a stream if it must.
pub async fn answer(state: &Arc<State>, call: Call, reply: Reply, notes: Option<Notes>, asked: Asked, streams: bool) -> Response {
    if !streams {
        let answer = dispatch::call(state, call).await;
        return reply.response(answer);
    }
    let state = Arc::clone(state);
    let mut progress = Progress {
        call: Box::pin(async move { dispatch::call(&state, call).await }),
        notes,
        asked,
        reply,
        waiting: Vec::new(),
        done: false,
    };
    match progress.next(Instant::now() + PATIENCE).await {
        Next::Answer(answer) => {
            let early = progress.drain();
            if early.is_empty() {
                return progress.reply.response(answer);
            }
            progress.waiting = early;
            progress.finish(&answer);
        }
        Next::Event(event) => progress.waiting.push(event),
        Next::Silence => progress.waiting.push(comment()),
    }
    progress.waiting.reverse();
    if !progress.done {
        // In a task of its own from here on: its time limit and its places must not depend on how the client reads.
        let task = AbortOnDropHandle::new(tokio::spawn(std::mem::replace(
            &mut progress.call,
            Box::pin(std::future::pending()),
        )));
        progress.call = Box::pin(async move {
            task.await.unwrap_or_else(|error| Answer {
                outcome: Err(Error::internal(error)),
                standing: Standing::default(),
                replayed: false,
                tool: None,
            })
        });
    }
    let events = stream::unfold(progress, |mut progress| async move {
        if progress.waiting.is_empty() && !progress.done {
            let event = match progress.next(Instant::now() + KEEP_ALIVE).await {
                Next::Event(event) => event,
                Next::Silence => comment(),
                Next::Answer(answer) => {
                    progress.waiting = progress.drain();
                    progress.finish(&answer);
                    progress.waiting.reverse();
                    progress.waiting.pop()?
                }
            };
            return Some((event, progress));
        }
        let event = progress.waiting.pop()?;
        Some((event, progress))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events.map(Ok::<_, std::convert::Infallible>))).into_response()
}

impl Progress {
    /// The next thing to tell, before `until`.
    async fn next(&mut self, until: Instant) -> Next {
        loop {
            let note = async {
                match &mut self.notes {
                    Some(notes) => notes.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = &mut self.call => return Next::Answer(answer),
                note = note => match note {
                    Some(note) => {
                        if let Some(message) = self.asked.message(note) {
                            return Next::Event(event(message.to_string().as_bytes()));
                        }
                    }
                    // The call has dropped its end: only the answer is left.
                    None => self.notes = None,
                },
                () = tokio::time::sleep_until(until) => return Next::Silence,
            }
        }
    }

    /// What was said before the answer and not told yet.
    fn drain(&mut self) -> Vec<Bytes> {
        let mut events = Vec::new();
        while let Some(note) = self.notes.as_mut().and_then(|notes| notes.try_recv().ok()) {
            if let Some(message) = self.asked.message(note) {
                events.push(event(message.to_string().as_bytes()));
            }
        }
        events
    }

    fn finish(&mut self, answer: &Answer) {
        self.done = true;
        self.waiting.push(event(&self.reply.message(&answer.outcome, answer.replayed)));
    }
}

fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn comment() -> Bytes {
    Bytes::from_static(b": still working\n\n")
}
