//! The HTTP client of all backends: deadline, retry of what is safe to repeat, circuit breaker, caps, their failures turned into ours.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use url::Url;

use super::{Connection, Refused, Session};
use crate::{
    error::{Error, Kind, Result, chain},
    limits,
    tool::input::{CONTAINERS_MAX, containers},
};

/// The longest answer that is read.
pub const ANSWER_MAX: usize = 10 * 1024 * 1024;
/// One attempt, within the deadline of the call.
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that a backend may ask for and still be waited for.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest body of a refusal that is read for the backend's own words.
const WORDS_MAX: usize = 64 * 1024;
/// How much of a backend's own message is passed on.
const QUOTED: usize = 300;

/// A connection in use by one call.
#[derive(Debug)]
pub struct Client {
    connection: Arc<Connection>,
    session: Session,
    /// The call's place among those in flight, held to its end.
    _place: OwnedSemaphorePermit,
}

/// A request to be sent.
#[derive(Debug)]
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    effect: Sends,
    attempt: Duration,
    answer_max: usize,
}

/// Whether sending it again can do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Read,
    Write,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    backend: &'static str,
    effect: Sends,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Arriving<'a> {
    request: Request<'a>,
    response: reqwest::Response,
}

/// What came next of a body.
#[derive(Debug)]
pub enum Piece {
    Bytes(Bytes),
    End,
    /// Nothing until the moment that was named.
    Late,
}

/// Why an attempt failed, and whether the request had left.
struct Failure {
    error: Error,
    sent: bool,
    /// The address itself is wrong: trying again is no use, and the backend is not to blame.
    refused: bool,
}

impl Client {
    /// Takes a place among the calls over this connection.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when none is free within a second.
    pub async fn open(connection: Arc<Connection>, session: Session) -> Result<Self> {
        let place = limits::place(&connection.places, &format!("to {}", connection.backend)).await?;
        Ok(Self {
            connection,
            session,
            _place: place,
        })
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A request that changes nothing, sent again where an attempt fails.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request(Method::GET, path, Sends::Read)
    }

    /// A request that changes nothing, though its method does not say so: a query that is sent by POST. Sent again like [`Client::get`].
    pub fn ask(&self, method: Method, path: &str) -> Request<'_> {
        self.request(method, path, Sends::Read)
    }

    /// A request that may change something, sent again only if it never left.
    pub fn write(&self, method: Method, path: &str) -> Request<'_> {
        self.request(method, path, Sends::Write)
    }

    fn request(&self, method: Method, path: &str, effect: Sends) -> Request<'_> {
        let mut url = self.connection.url.clone();
        // Without a path it is the connection's own address, to the letter.
        if !path.is_empty() {
            let joined = format!("{}{path}", url.path().trim_end_matches('/'));
            url.set_path(&joined);
        }
        Request {
            client: self,
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            effect,
            attempt: ATTEMPT,
            answer_max: ANSWER_MAX,
        }
    }
}

impl<'a> Request<'a> {
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        if !pairs.is_empty() {
            self.url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(serde_json::to_vec(body).map_err(Error::internal)?.into());
        self.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self)
    }

    /// How long one attempt may take, in place of the usual 20 s.
    #[must_use]
    pub fn within(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// How many bytes of an answer are taken, in place of [`ANSWER_MAX`]: less where an answer is short and many are asked for at once.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.answer_max = bytes;
        self
    }

    /// Sends it, and answers whatever came back in whole.
    ///
    /// # Errors
    /// [`Kind::BackendDown`], [`Kind::Timeout`], or [`Kind::BackendRefused`] for an address or an answer that is not taken.
    pub async fn send(mut self) -> Result<Reply> {
        let client = self.client;
        let connection = &client.connection;
        if let Err(refused) = connection.guard.check_literal(&self.url) {
            return Err(address_refused(&refused));
        }
        let (spans, trace) = (client.session.state.spans.as_ref(), client.session.trace.as_ref());
        if spans.is_none()
            && let Some(trace) = trace
        {
            trace.next().write(&mut self.headers);
        }
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let Ok(pass) = connection.breaker.pass() else {
                return Err(down(connection.backend).retry_after(10));
            };
            let last = attempt >= ATTEMPTS;
            let mut wait = pause;
            let span = spans.map(|spans| spans.attempt(connection.backend, &self.method, attempt, trace));
            if let Some(span) = &span {
                span.trace(trace).write(&mut self.headers);
            }
            let answered = self.attempt().await;
            if let Some(span) = span {
                let status = answered.as_ref().ok().map(|reply| reply.status.as_u16());
                let error = answered.as_ref().err().map(|failure| failure.error.label());
                span.end(status, error, status.is_none_or(|status| status >= 400));
            }
            let outcome = match answered {
                Ok(reply) => {
                    // A 500 may be one workflow's own failure: it does not take the whole connection away.
                    let unwell = matches!(reply.status.as_u16(), 502..=504);
                    if unwell {
                        pass.failed();
                    } else {
                        pass.succeeded();
                    }
                    let passing = unwell || reply.status == StatusCode::TOO_MANY_REQUESTS;
                    let asked = reply.retry_after();
                    if !passing || last || self.effect == Sends::Write || asked.is_some_and(|asked| asked > LONGEST_PAUSE) {
                        return Ok(reply);
                    }
                    wait = asked.unwrap_or(wait);
                    Ok(reply)
                }
                Err(failure) => {
                    // Who was given longer than usual may be slow and well.
                    let slow = self.attempt > ATTEMPT && failure.error.kind() == Kind::Timeout;
                    if failure.refused || slow {
                        drop(pass);
                    } else {
                        pass.failed();
                    }
                    let again = !failure.refused && (self.effect == Sends::Read || !failure.sent);
                    if last || !again {
                        return Err(failure.error);
                    }
                    Err(failure.error)
                }
            };
            // Jitter: many calls that failed together do not come back together.
            wait += wait.mul_f64(rand::random::<f64>() / 2.0);
            if Instant::now() + wait >= client.session.deadline {
                return outcome;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable!("the loop ends with its last attempt")
    }

    async fn attempt(&self) -> Result<Reply, Failure> {
        let session = &self.client.session;
        let connection = &self.client.connection;
        let had_reached = session.has_reached();
        if self.effect == Sends::Write {
            session.reach();
        }
        let until = (Instant::now() + self.attempt).min(session.deadline);
        let exchange = async {
            let mut response = self
                .built()
                .send()
                .await
                .map_err(|error| self.failure(&error.without_url(), had_reached))?;
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            let known = response
                .content_length()
                .and_then(|length| usize::try_from(length).ok())
                .unwrap_or(0);
            if known > self.answer_max {
                return Err(self.too_large());
            }
            let mut body = BytesMut::with_capacity(known);
            while let Some(chunk) = response.chunk().await.map_err(|error| self.cut_off(&error.without_url()))? {
                if body.len() + chunk.len() > self.answer_max {
                    return Err(self.too_large());
                }
                body.extend_from_slice(&chunk);
            }
            if containers(&body) > 2 * CONTAINERS_MAX {
                return Err(self.too_large());
            }
            Ok(Reply {
                status,
                headers,
                body: body.freeze(),
                backend: connection.backend,
                effect: self.effect,
            })
        };
        match tokio::time::timeout_at(until, exchange).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure {
                error: self.late(),
                sent: true,
                refused: false,
            }),
        }
    }

    /// Sends it once, and answers when the head of the answer is there: the body is read piece by piece.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub async fn begin(mut self) -> Result<Arriving<'a>> {
        let session = &self.client.session;
        let connection = &self.client.connection;
        if let Err(refused) = connection.guard.check_literal(&self.url) {
            return Err(address_refused(&refused));
        }
        if let Some(trace) = &session.trace {
            trace.next().write(&mut self.headers);
        }
        let Ok(pass) = connection.breaker.pass() else {
            return Err(down(connection.backend).retry_after(10));
        };
        let had_reached = session.has_reached();
        if self.effect == Sends::Write {
            session.reach();
        }
        let until = (Instant::now() + self.attempt).min(session.deadline);
        match tokio::time::timeout_at(until, self.built().send()).await {
            Ok(Ok(response)) => {
                match response.status().as_u16() {
                    502..=504 => pass.failed(),
                    _ => pass.succeeded(),
                }
                Ok(Arriving { request: self, response })
            }
            Ok(Err(error)) => {
                let failure = self.failure(&error.without_url(), had_reached);
                if failure.refused {
                    drop(pass);
                } else {
                    pass.failed();
                }
                Err(failure.error)
            }
            Err(_) => {
                if self.attempt > ATTEMPT {
                    drop(pass);
                } else {
                    pass.failed();
                }
                Err(self.late())
            }
        }
    }

    fn built(&self) -> reqwest::RequestBuilder {
        let request = self
            .client
            .connection
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }

    fn late(&self) -> Error {
        self.marked(Error::new(
            Kind::Timeout,
            format!("'{}' did not answer in time{}", self.client.connection.backend, self.consequence()),
        ))
    }

    /// A write that may have acted must not be repeated blindly.
    fn marked(&self, error: Error) -> Error {
        match self.effect {
            Sends::Read => error,
            Sends::Write => error.once(),
        }
    }

    fn consequence(&self) -> &'static str {
        match self.effect {
            Sends::Read => "",
            Sends::Write => "; whether it acted is not known, so look before you try again",
        }
    }

    fn failure(&self, error: &reqwest::Error, had_reached: bool) -> Failure {
        let connection = &self.client.connection;
        if let Some(refused) = cause::<Refused>(error) {
            if self.effect == Sends::Write && !had_reached {
                self.client.session.unreach();
            }
            return Failure {
                error: address_refused(refused),
                sent: false,
                refused: true,
            };
        }
        let sent = !error.is_connect();
        if !sent && !had_reached && self.effect == Sends::Write {
            self.client.session.unreach();
        }
        let error = match error.is_connect() {
            true => down(connection.backend),
            false => self.marked(Error::new(
                Kind::BackendDown,
                format!("Service '{}' broke the connection off{}", connection.backend, self.consequence()),
            )),
        }
        .because(chain(error));
        Failure {
            error,
            sent,
            refused: false,
        }
    }

    fn cut_off(&self, error: &reqwest::Error) -> Failure {
        Failure {
            error: self
                .marked(Error::new(
                    Kind::BackendDown,
                    format!(
                        "The answer of '{}' was cut off{}",
                        self.client.connection.backend,
                        self.consequence()
                    ),
                ))
                .because(chain(error)),
            sent: true,
            refused: false,
        }
    }

    fn too_large(&self) -> Failure {
        let size = match self.answer_max / 1024 {
            kib @ 0..1024 => format!("{kib} KiB"),
            kib => format!("{} MiB", kib / 1024),
        };
        let backend = self.client.connection.backend;
        let advice = match self.effect {
            Sends::Read => "; ask for less",
            Sends::Write => self.consequence(),
        };
        Failure {
            error: self.marked(Error::new(
                Kind::BackendRefused,
                format!("The answer of '{backend}' is larger than {size}{advice}"),
            )),
            sent: true,
            refused: true,
        }
    }
}

impl Arriving<'_> {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The next piece of the body, if it comes before `until` and the deadline of the call. Safe to drop and call again.
    ///
    /// # Errors
    /// When the body is cut off.
    pub async fn piece(&mut self, until: Instant) -> Result<Piece> {
        let until = until.min(self.request.client.session.deadline);
        match tokio::time::timeout_at(until, self.response.chunk()).await {
            Ok(Ok(Some(bytes))) => Ok(Piece::Bytes(bytes)),
            Ok(Ok(None)) => Ok(Piece::End),
            Ok(Err(error)) => Err(self.request.cut_off(&error.without_url()).error),
            Err(_) => Ok(Piece::Late),
        }
    }

    /// The answer as a whole, for one that is short: a refusal.
    ///
    /// # Errors
    /// When it is cut off or late. What goes beyond 64 KiB is left away.
    pub async fn whole(mut self) -> Result<Reply> {
        let mut body = BytesMut::new();
        let until = Instant::now() + ATTEMPT;
        while body.len() <= WORDS_MAX {
            match self.piece(until).await? {
                Piece::Bytes(bytes) => body.extend_from_slice(&bytes),
                Piece::End => break,
                Piece::Late => return Err(self.request.late()),
            }
        }
        Ok(Reply {
            status: self.response.status(),
            headers: std::mem::take(self.response.headers_mut()),
            body: body.freeze(),
            backend: self.request.client.connection.backend,
            effect: self.request.effect,
        })
    }
}

impl Reply {
    /// Reads a 2xx as JSON; anything else is an error, with the backend's own words where `say` finds them.
    pub fn json<T: DeserializeOwned>(self, say: impl Fn(&serde_json::Value) -> Option<String>) -> Result<T> {
        if !self.status.is_success() {
            return Err(self.refusal(say));
        }
        serde_json::from_slice(&self.body).map_err(|error| self.nonsense(&error))
    }

    /// What a status that is no success means for the caller.
    pub fn refusal(&self, say: impl Fn(&serde_json::Value) -> Option<String>) -> Error {
        let backend = self.backend;
        // A refusal in words is short; what is long is not read.
        let words = (self.body.len() <= WORDS_MAX)
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
            .and_then(|body| say(&body))
            .map(|words| shortened(&words));
        let with = |sentence: String| match &words {
            Some(words) => format!("{sentence}: {words}"),
            None => sentence,
        };
        let retry_after = self.retry_after().map_or(1, |wait| wait.as_secs().max(1));
        match self.status.as_u16() {
            300..=399 => Error::new(
                Kind::BackendRefused,
                format!("'{backend}' redirects elsewhere, and redirects are not followed; set the connection's url to the final address"),
            ),
            401 | 403 => Error::new(
                Kind::BackendRefused,
                with(format!(
                    "'{backend}' refuses the stored credential, or it lacks a permission (HTTP {})",
                    self.status.as_u16()
                )),
            )
            .coded("credential_refused"),
            404 | 410 => Error::not_found(with(format!("'{backend}' does not have that"))),
            400 | 413 | 422 => Error::invalid(with(format!("'{backend}' does not take that"))),
            409 => Error::conflict(with(format!("'{backend}' reports a conflict"))),
            429 => Error::new(Kind::BackendDown, format!("'{backend}' is asked too often; wait {retry_after} s")).retry_after(retry_after),
            status @ 500..=599 => {
                let error = down(backend).retry_after(retry_after).because(format!("HTTP {status}"));
                // 503 refuses; behind the others the request may have been taken.
                if self.effect == Sends::Write && status != 503 {
                    error.once()
                } else {
                    error
                }
            }
            other => Error::new(Kind::BackendRefused, with(format!("'{backend}' answered HTTP {other}"))),
        }
    }

    fn nonsense(&self, error: &serde_json::Error) -> Error {
        let kind = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("no content type");
        let failure = Error::new(
            Kind::BackendRefused,
            format!(
                "'{}' did not answer as its API does ({}); check that the connection's url is the service itself{}",
                self.backend,
                shortened(kind),
                match self.effect {
                    Sends::Read => "",
                    Sends::Write => ". Whether it acted is not known, so look before you try again",
                }
            ),
        )
        .because(error.to_string());
        match self.effect {
            Sends::Read => failure,
            Sends::Write => failure.once(),
        }
    }

    /// `Retry-After` in seconds (RFC 9110 §10.2.3); a date counts as none.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse().ok().map(Duration::from_secs)
    }
}

/// The owner's sentence.
fn down(backend: &str) -> Error {
    Error::new(Kind::BackendDown, format!("Service '{backend}' is currently unavailable")).retry_after(1)
}

fn address_refused(refused: &Refused) -> Error {
    Error::new(Kind::BackendRefused, format!("The connection's address is not allowed: {refused}")).coded("address_refused")
}

/// The first cause of a type, however deep.
fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A backend's own words, on one line, cut where they are long.
pub fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match line.char_indices().nth(QUOTED) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}
