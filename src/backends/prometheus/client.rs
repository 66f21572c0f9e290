//! The client of one tenant's Prometheus: authentication, the envelope of its answers, its errors, and the test of a connection.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::{Auth, Credential, catalogue};
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Request, shortened},
    },
    error::{Error, Kind, Result},
};

const ORG_ID: HeaderName = HeaderName::from_static("x-scope-orgid");
/// One attempt at a query: three of them, with their pauses, end before a tool's time limit, so that the rest can be told.
const ATTEMPT: Duration = Duration::from_secs(8);
/// The same for Prometheus, which then stops to compute what nobody waits for.
const QUERY_TIME: &str = "8s";
/// The longest refusal that is read for its words.
const REFUSAL_MAX: usize = 64 * 1024;
/// How many of its warnings are passed on.
const WARNINGS_MAX: usize = 5;
/// 2100-01-01: no sample is from later, in seconds.
const LATEST: f64 = 4_102_444_800.0;

/// One tenant's Prometheus, for one call.
pub struct Prometheus {
    pub(super) http: Client,
    pub(super) credential: Arc<Credential>,
}

/// What a query found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) series: Vec<Series>,
    /// Prometheus's own words where the result may be less than it should be.
    pub(super) warnings: Vec<String>,
}

/// One series, with the labels that our queries keep.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) instance: Option<String>,
    pub(super) mountpoint: Option<String>,
    /// Seconds since 1970 and value, in the order of time; only numbers.
    pub(super) samples: Vec<(f64, f64)>,
}

/// The range of a query, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
}

impl Backend for Prometheus {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Prometheus {
    const NAME: &'static str = "prometheus";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        credential.matcher.check()?;
        match &credential.auth {
            Some(Auth::Basic { username, password }) => {
                // RFC 7617 §2: the colon ends the user's name, and no control characters.
                if username.is_empty() || username.contains(':') || username.chars().any(char::is_control) {
                    return Err(Error::invalid(
                        "credential.auth.username: must not be empty, and holds no colon and no control characters",
                    ));
                }
                if password.chars().any(char::is_control) {
                    return Err(Error::invalid("credential.auth.password: holds no control characters"));
                }
            }
            Some(Auth::Bearer { token }) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err(Error::invalid(
                    "credential.auth.token: must be visible ASCII characters, without spaces",
                ));
            }
            Some(Auth::Bearer { .. }) | None => {}
        }
        // What Mimir takes as a tenant's id; `|` would name several.
        let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
        if let Some(id) = &credential.org_id
            && !((1..=150).contains(&id.len()) && id.bytes().all(taken))
        {
            return Err(Error::invalid(
                "credential.org_id: must be 1 to 150 letters, digits and !-_.*'(), as Mimir has it",
            ));
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        let found = self.instant(&catalogue::hosts(&self.credential.matcher)).await?;
        let hosts = found
            .series
            .first()
            .and_then(|series| series.samples.first())
            .map(|(_, value)| *value);
        let version = self.version().await;
        match hosts {
            Some(hosts) if hosts >= 1.0 => Ok(Tested {
                ok: true,
                version,
                detail: match hosts {
                    1.0 => "Prometheus answers, and one host reports to it.".to_owned(),
                    _ => format!("Prometheus answers, and {hosts} hosts report to it."),
                },
            }),
            _ => Err(no_series()),
        }
    }
}

impl Prometheus {
    /// The value of a query now.
    pub(super) async fn instant(&self, query: &str) -> Result<Found> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            metric: Labels,
            value: Sample,
        }
        let (raw, warnings) = self.ask::<Raw>("/api/v1/query", &[("query", query)], "vector").await?;
        let series = raw.into_iter().map(|raw| raw.metric.with(vec![raw.value])).collect::<Result<_>>()?;
        Ok(Found { series, warnings })
    }

    /// The values of a query over a range, a sample at each step.
    pub(super) async fn range(&self, query: &str, range: Range) -> Result<Found> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            metric: Labels,
            values: Vec<Sample>,
        }
        let (start, end, step) = (range.start.to_string(), range.end.to_string(), range.step.to_string());
        let parameters = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let (raw, warnings) = self.ask::<Raw>("/api/v1/query_range", &parameters, "matrix").await?;
        let series = raw.into_iter().map(|raw| raw.metric.with(raw.values)).collect::<Result<_>>()?;
        Ok(Found { series, warnings })
    }

    /// Asks, and opens the envelope.
    async fn ask<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)], form: &str) -> Result<(Vec<T>, Vec<String>)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
        struct Data<T> {
            result_type: String,
            result: Vec<T>,
        }
        let request = self.http.get(path).query(parameters).query(&[("timeout", QUERY_TIME)]);
        let reply = self.authorised(request)?.within(ATTEMPT).send().await?;
        let status = reply.status.as_u16();
        if matches!(status, 400 | 404 | 405 | 410 | 422 | 503) {
            // Prometheus' own refusal says of what type it is; a proxy's does not. The query is ours: the caller cannot mend it.
            let refusal = (reply.body.len() <= REFUSAL_MAX)
                .then(|| serde_json::from_slice::<Envelope>(&reply.body).ok())
                .flatten();
            match refusal {
                Some(refusal) if refusal.error_type.is_some() => return Err(refusal.failure()),
                _ if status == 503 => {}
                _ => return Err(not_prometheus(format!("HTTP {status}"))),
            }
        }
        let envelope: Envelope = reply.json(said)?;
        if envelope.status != "success" {
            return Err(envelope.failure());
        }
        let data = envelope.data.ok_or_else(|| not_prometheus("no data in a success"))?;
        let data: Data<T> = serde_json::from_str(data.get()).map_err(|error| not_prometheus(error.to_string()))?;
        if data.result_type != form {
            let given = shortened(&data.result_type);
            return Err(not_prometheus(format!("a {given} where a {form} was asked for")));
        }
        let warnings = envelope.warnings.iter().take(WARNINGS_MAX);
        Ok((data.result, warnings.map(|words| shortened(words)).collect()))
    }

    fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let request = match &self.credential.auth {
            None => request,
            Some(Auth::Basic { username, password }) => {
                let pair = STANDARD.encode(format!("{username}:{password}"));
                request.header(header::AUTHORIZATION, secret_header(&format!("Basic {pair}"))?)
            }
            Some(Auth::Bearer { token }) => request.header(header::AUTHORIZATION, secret_header(&format!("Bearer {token}"))?),
        };
        Ok(match &self.credential.org_id {
            None => request,
            Some(id) => request.header(ORG_ID, secret_header(id)?),
        })
    }

    /// Not every kind of Prometheus tells.
    async fn version(&self) -> Option<String> {
        let request = self.authorised(self.http.get("/api/v1/status/buildinfo")).ok()?;
        let found: Value = request.within(ATTEMPT).send().await.ok()?.json(said).ok()?;
        Some(shortened(found["data"]["version"].as_str()?))
    }
}

/// The labels that our queries keep; others are not looked at.
#[derive(Default, Deserialize)]
struct Labels {
    instance: Option<String>,
    mountpoint: Option<String>,
}

/// Seconds since 1970, and the value as text.
type Sample = (f64, String);

impl Labels {
    /// A series with the samples that are numbers: NaN is what 0/0 gives, and what a metric without a value is.
    fn with(self, samples: Vec<Sample>) -> Result<Series> {
        let mut read = Vec::with_capacity(samples.len());
        for (at, text) in samples {
            if !(0.0..LATEST).contains(&at) {
                return Err(not_prometheus("a sample of no possible time"));
            }
            let value: f64 = text.parse().map_err(|_| not_prometheus("a sample whose value is no number"))?;
            if value.is_finite() {
                read.push((at, value));
            }
        }
        Ok(Series {
            instance: self.instance.map(|label| shortened(&label)),
            mountpoint: self.mountpoint.map(|label| shortened(&label)),
            samples: read,
        })
    }
}

/// What every answer of the API is in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    data: Option<Box<RawValue>>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Envelope {
    /// What a refusal means: too slow or not well may be better later, anything else will not.
    fn failure(&self) -> Error {
        let words = shortened(self.error.as_deref().unwrap_or("it does not say why"));
        match self.error_type.as_deref() {
            Some("timeout" | "canceled") => Error::new(Kind::Timeout, format!("'prometheus' gave up on the query: {words}")),
            Some("unavailable" | "internal" | "too_many_requests") => {
                Error::new(Kind::BackendDown, format!("'prometheus' cannot answer now: {words}")).retry_after(1)
            }
            _ => Error::new(Kind::BackendRefused, format!("'prometheus' refuses the query: {words}")),
        }
    }
}

fn not_prometheus(why: impl Into<String>) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'prometheus' did not answer as its API does; check that the connection's url is the service itself, without /api/v1",
    )
    .because(why.into())
}

/// Address and credential are right, and there is nothing to see.
pub(super) fn no_series() -> Error {
    Error::new(
        Kind::BackendRefused,
        "Prometheus answers, and has no metrics of node exporter for this tenant; check the connection's matcher, and that a node exporter is scraped",
    )
    .coded("no_series")
}

/// Its own words about a failure: `{"error": …}`.
fn said(body: &Value) -> Option<String> {
    body.get("error").and_then(Value::as_str).map(str::to_owned)
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
