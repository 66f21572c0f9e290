//! Answers as a stream of events, on both doors: for a client that asked to hear how far a call is, for an answer that comes line
//! by line, and for a call that takes long, so that no proxy between takes the silence for a death.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    backends::Note,
    dispatch::{self, Answer, Call},
    error::Error,
    limits::Standing,
    state::State,
};

/// Between two comments that keep a stream alive: below the 60 s of many proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the call says while it works, to be told.
pub type Notes = mpsc::UnboundedReceiver<Note>;

/// How a door tells of a call as events.
pub trait Teller: Send + 'static {
    /// After this silence an answer begins as a stream; `None`: only when there is something to tell.
    const PATIENCE: Option<Duration>;

    /// A note as an event, if this client is to hear it.
    fn note(&self, note: Note) -> Option<Bytes>;
    /// The last of a stream.
    fn end(&self, answer: &Answer) -> Bytes;
    /// The answer as a whole, where no stream was begun.
    fn whole(&self, answer: Answer) -> Response;
}

/// A call in progress.
struct Progress<T> {
    call: Pin<Box<dyn Future<Output = Answer> + Send>>,
    notes: Option<Notes>,
    teller: T,
    waiting: Vec<Bytes>,
    done: bool,
}

enum Next {
    Answer(Answer),
    Event(Bytes),
    Silence,
}

/// Conducts the call, and answers as a whole if it can and as a stream if it must.
pub async fn answer<T: Teller>(state: &Arc<State>, call: Call, notes: Option<Notes>, teller: T) -> Response {
    let state = Arc::clone(state);
    let mut progress = Progress {
        call: Box::pin(async move { dispatch::call(&state, call).await }),
        notes,
        teller,
        waiting: Vec::new(),
        done: false,
    };
    match progress.next(T::PATIENCE.map(|patience| Instant::now() + patience)).await {
        Next::Answer(answer) => {
            let early = progress.drain();
            if early.is_empty() {
                return progress.teller.whole(answer);
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
            let event = match progress.next(Some(Instant::now() + KEEP_ALIVE)).await {
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

impl<T: Teller> Progress<T> {
    /// The next thing to tell, before `until`.
    async fn next(&mut self, until: Option<Instant>) -> Next {
        loop {
            let note = async {
                match &mut self.notes {
                    Some(notes) => notes.recv().await,
                    None => std::future::pending().await,
                }
            };
            let silence = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = &mut self.call => return Next::Answer(answer),
                note = note => match note {
                    Some(note) => {
                        if let Some(event) = self.teller.note(note) {
                            return Next::Event(event);
                        }
                    }
                    // The call has dropped its end: only the answer is left.
                    None => self.notes = None,
                },
                () = silence => return Next::Silence,
            }
        }
    }

    /// What was said before the answer and not told yet.
    fn drain(&mut self) -> Vec<Bytes> {
        let mut events = Vec::new();
        while let Some(note) = self.notes.as_mut().and_then(|notes| notes.try_recv().ok()) {
            events.extend(self.teller.note(note));
        }
        events
    }

    fn finish(&mut self, answer: &Answer) {
        self.done = true;
        self.waiting.push(self.teller.end(answer));
    }
}

/// One event (WHATWG HTML, Server-sent events). Data has no line breaks.
pub fn event(name: &str, data: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(data.len() + name.len() + 24);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(name.as_bytes());
    event.extend_from_slice(b"\ndata: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// A line that no client reads.
pub fn comment() -> Bytes {
    Bytes::from_static(b": still working\n\n")
}
