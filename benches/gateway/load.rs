//! The load generator: a closed loop of HTTP/1.1 connections that checks every answer and times it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    Result,
    process::{Group, cpu_seconds},
};

/// What every right answer holds. Its first byte stands nowhere else in an answer, so that it is found fast.
pub const MARKER: &str = "~bench-ok~";
/// What one tool call may take before the cell is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one connection is opened again after it broke.
const REOPENINGS: usize = 10;

/// A request, rendered but for its bearer token.
#[derive(Clone)]
pub struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    /// `lines` are further header lines, without their line ends.
    pub fn new(method: &str, path: &str, to: SocketAddr, lines: &[&str], body: &str) -> Self {
        let before = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer ").into_bytes();
        let mut after = String::from("\r\n");
        for line in lines {
            after.push_str(line);
            after.push_str("\r\n");
        }
        if !body.is_empty() {
            after.push_str("Content-Type: application/json\r\nContent-Length: ");
            after.push_str(&body.len().to_string());
            after.push_str("\r\n");
        }
        after.push_str("\r\n");
        after.push_str(body);
        Self {
            before,
            after: after.into_bytes(),
        }
    }

    pub fn render(&self, token: &str, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.before);
        into.extend_from_slice(token.as_bytes());
        into.extend_from_slice(&self.after);
    }
}

/// A connection that is kept open from one request to the next.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    unchunked: Vec<u8>,
}

/// An answer, as far as anybody here reads it.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Whether this is 200 and holds the marker.
    pub fn is_right(&self) -> bool {
        let first = MARKER.as_bytes()[0];
        let holds = |body: &[u8]| {
            body.iter()
                .position(|byte| *byte == first)
                .is_some_and(|at| body[at..].starts_with(MARKER.as_bytes()))
        };
        self.status == 200 && holds(self.body)
    }

    /// The answer in one line, shortened, for a complaint.
    pub fn summary(&self) -> String {
        let text: String = String::from_utf8_lossy(self.body).chars().take(300).collect();
        format!("{} {}", self.status, text.replace(['\r', '\n'], " "))
    }
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(16 * 1024),
            unchunked: Vec::new(),
        })
    }

    /// Sends a request and reads its answer to the last byte.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let frame = loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the connection was closed before the answer was complete".into());
            }
            if let Some(frame) = Frame::find(&self.received)? {
                break frame;
            }
        };
        let raw = &self.received[frame.body..];
        let body = match frame.length {
            Some(length) => &raw[..length],
            None => {
                unchunk(raw, Some(&mut self.unchunked))?;
                &self.unchunked
            }
        };
        Ok(Answer {
            status: frame.status,
            body,
        })
    }
}

/// One request on a connection of its own, and what is read of its answer.
pub async fn ask<T>(to: SocketAddr, request: &[u8], read: impl FnOnce(&Answer<'_>) -> T) -> Result<T> {
    let mut connection = Connection::open(to).await?;
    let answer = connection.exchange(request).await?;
    Ok(read(&answer))
}

/// Where a complete answer's parts lie.
struct Frame {
    status: u16,
    /// Where the body begins.
    body: usize,
    /// How long it is; `None`: it comes in chunks.
    length: Option<usize>,
}

impl Frame {
    /// `None`: more has to be read.
    fn find(received: &[u8]) -> Result<Option<Self>> {
        let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let body = head + 4;
        let head = std::str::from_utf8(&received[..head])?;
        let mut lines = head.split("\r\n");
        let status: u16 = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or("the answer is no HTTP")?;
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<usize>()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        let have = &received[body..];
        if chunked {
            return Ok(unchunk(have, None)?.then_some(Self {
                status,
                body,
                length: None,
            }));
        }
        let length = match length {
            Some(length) => length,
            None if status == 204 || status == 304 => 0,
            None => return Err("the answer has neither a length nor chunks".into()),
        };
        Ok((have.len() >= length).then_some(Self {
            status,
            body,
            length: Some(length),
        }))
    }
}

/// Reads a chunked body, into `into` where that is given. False: it has not come to its end.
fn unchunk(mut raw: &[u8], mut into: Option<&mut Vec<u8>>) -> Result<bool> {
    if let Some(into) = into.as_deref_mut() {
        into.clear();
    }
    loop {
        let Some(line) = raw.windows(2).position(|window| window == b"\r\n") else {
            return Ok(false);
        };
        let size = std::str::from_utf8(&raw[..line])?.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)?;
        let (from, to) = (line + 2, line.saturating_add(2).saturating_add(size));
        if raw.len() < to.saturating_add(2) {
            return Ok(false);
        }
        if size == 0 {
            return Ok(true);
        }
        if let Some(into) = into.as_deref_mut() {
            into.extend_from_slice(&raw[from..to]);
        }
        raw = &raw[to + 2..];
    }
}

/// What one cell of the table is to be measured with.
pub struct Load<'a> {
    /// Connections are spread over these in turn.
    pub to: &'a [SocketAddr],
    pub template: &'a Template,
    pub tokens: &'a Arc<[String]>,
    pub connections: usize,
    /// The token that the first connection begins with; the others follow it.
    pub first_token: usize,
    pub warm_up: Duration,
    pub measured: Duration,
}

/// What was measured in one cell.
pub struct Measured {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_per_1000: f64,
    pub peak_kib: u64,
    /// Calls in all, those of the warm-up too.
    pub sent: usize,
    pub wrong: usize,
    pub first_wrong: Option<String>,
    /// The bytes of one answer's body.
    pub answer_bytes: usize,
    /// How much of one core this generator, which has one thread, took.
    pub generator_busy: f64,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// In tenths of a microsecond.
    latencies: Vec<u32>,
    sent: usize,
    wrong: usize,
    first_wrong: Option<String>,
    answer_bytes: usize,
}

impl Seen {
    fn complain(&mut self, what: impl FnOnce() -> String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert_with(what);
    }
}

impl Load<'_> {
    /// Runs the load against a process and reads the process's CPU time and memory around the measured part.
    pub async fn run(&self, process: &Group) -> Result<Measured> {
        process.reset_peak()?;
        let start = Instant::now() + self.warm_up;
        let end = start + self.measured;
        let mut callers = JoinSet::new();
        for index in 0..self.connections {
            let (template, tokens) = (self.template.clone(), Arc::clone(self.tokens));
            callers.spawn(caller(
                self.to[index % self.to.len()],
                template,
                tokens,
                self.first_token + index,
                self.connections,
                start,
                end,
            ));
        }
        tokio::time::sleep_until(start.into()).await;
        let before = (Instant::now(), process.cpu_seconds()?, cpu_seconds("self")?);
        tokio::time::sleep_until(end.into()).await;
        let after = (Instant::now(), process.cpu_seconds()?, cpu_seconds("self")?);
        let wall = (after.0 - before.0).as_secs_f64();
        let seen = tokio::time::timeout(PATIENCE, callers.join_all())
            .await
            .map_err(|_| "a call was not answered within 10 s")?;
        Ok(sum(
            seen,
            wall,
            after.1 - before.1,
            (after.2 - before.2) / wall,
            process.peak_kib()?,
        ))
    }
}

/// One connection's closed loop, with every `stride`-th token in turn.
async fn caller(
    to: SocketAddr,
    template: Template,
    tokens: Arc<[String]>,
    first: usize,
    stride: usize,
    start: Instant,
    end: Instant,
) -> Seen {
    let mut seen = Seen::default();
    let mut request = Vec::with_capacity(1024);
    let mut token = first;
    'connection: for _ in 0..=REOPENINGS {
        let mut connection = match Connection::open(to).await {
            Ok(connection) => connection,
            Err(error) => {
                seen.complain(|| error.to_string());
                continue;
            }
        };
        loop {
            template.render(&tokens[token % tokens.len()], &mut request);
            token += stride;
            let sent = Instant::now();
            if sent >= end {
                return seen;
            }
            seen.sent += 1;
            let answer = connection.exchange(&request).await;
            let answered = Instant::now();
            match answer {
                Ok(answer) if answer.is_right() => {
                    seen.answer_bytes = answer.body.len();
                    if answered >= start && answered < end {
                        let took = (answered - sent).as_nanos() / 100;
                        seen.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
                    }
                }
                Ok(answer) => seen.complain(|| answer.summary()),
                Err(error) => {
                    seen.complain(|| error.to_string());
                    continue 'connection;
                }
            }
        }
    }
    seen
}

fn sum(seen: Vec<Seen>, wall: f64, cpu: f64, generator_busy: f64, peak_kib: u64) -> Measured {
    let mut all = Seen::default();
    for mut one in seen {
        all.latencies.append(&mut one.latencies);
        all.sent += one.sent;
        all.wrong += one.wrong;
        all.first_wrong = all.first_wrong.or(one.first_wrong);
        all.answer_bytes = all.answer_bytes.max(one.answer_bytes);
    }
    if all.latencies.is_empty() {
        all.complain(|| "no call was answered rightly in the measured time".to_owned());
    }
    let calls = all.latencies.len().max(1);
    all.latencies.sort_unstable();
    let quantile = |percent: usize| {
        let rank = (calls * percent).div_ceil(100);
        f64::from(all.latencies.get(rank - 1).copied().unwrap_or_default()) / 10_000.0
    };
    Measured {
        per_second: all.latencies.len() as f64 / wall,
        p50_ms: quantile(50),
        p99_ms: quantile(99),
        cpu_per_1000: cpu / calls as f64 * 1000.0,
        peak_kib,
        sent: all.sent,
        wrong: all.wrong,
        first_wrong: all.first_wrong,
        answer_bytes: all.answer_bytes,
        generator_busy,
    }
}
