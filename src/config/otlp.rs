//! Where spans go: the settings of OpenTelemetry's exporter, under their usual names
//! (opentelemetry.io/docs/specs/otel/protocol/exporter, …/configuration/sdk-environment-variables).

use opentelemetry_sdk::trace::Sampler;
use url::Url;

use super::{Problem, Secret, Settings};

/// What was set for the export of spans.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// The whole address, path included.
    pub endpoint: Url,
    /// Sent with each export, values percent-encoded: a collector's credential is one of them.
    pub headers: Vec<(String, Secret)>,
    /// `service.name`.
    pub service: String,
    pub sampler: Sampler,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const COLLECTOR: &str = "the http or https URL of a collector without a user or a query, e.g. http://127.0.0.1:4318";

impl Otlp {
    /// Reads the settings. `None`: no endpoint is set, or `OTEL_SDK_DISABLED` is true.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, Problem> {
        let disabled = settings
            .text("OTEL_SDK_DISABLED")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = match (settings.url(TRACES_ENDPOINT, COLLECTOR)?, settings.url(ENDPOINT, COLLECTOR)?) {
            (Some(own), _) => Some((TRACES_ENDPOINT, own)),
            (None, Some(mut base)) => {
                let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
                base.set_path(&path);
                Some((ENDPOINT, base))
            }
            (None, None) => None,
        };
        let Some((name, endpoint)) = endpoint.filter(|_| !disabled) else {
            return Ok(None);
        };
        // Addresses are logged; what is secret goes into a header.
        if !endpoint.username().is_empty() || endpoint.password().is_some() || endpoint.query().is_some() {
            return Err(Problem::new(name, "holds a user or a query", COLLECTOR));
        }
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            if let Some(other) = settings.text(name).filter(|protocol| *protocol != "http/protobuf") {
                return Err(Problem::new(
                    name,
                    format!("is {other:?}"),
                    "http/protobuf, which this gateway speaks; leave it unset",
                ));
            }
        }
        Ok(Some(Self {
            endpoint,
            headers: headers(settings)?,
            service: settings.text("OTEL_SERVICE_NAME").unwrap_or("smartermcp").to_owned(),
            sampler: sampler(settings)?,
        }))
    }
}

fn headers(settings: &Settings) -> Result<Vec<(String, Secret)>, Problem> {
    let (name, text) = match (settings.text(TRACES_HEADERS), settings.text(HEADERS)) {
        (Some(own), _) => (TRACES_HEADERS, own),
        (None, Some(all)) => (HEADERS, all),
        (None, None) => return Ok(Vec::new()),
    };
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            // What is wrong is not quoted: it may be the secret.
            let wrong = || {
                Problem::new(
                    name,
                    "is no list of headers",
                    "name=value pairs by commas, values percent-encoded, e.g. x-api-key=abc",
                )
            };
            let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
            let (key, value) = (key.trim(), value.trim());
            let plain = percent_encoding::percent_decode_str(value).collect::<Vec<u8>>();
            let takes = http::HeaderName::try_from(key).is_ok() && http::HeaderValue::from_bytes(&plain).is_ok();
            takes.then(|| (key.to_owned(), Secret::new(value))).ok_or_else(wrong)
        })
        .collect()
}

fn sampler(settings: &Settings) -> Result<Sampler, Problem> {
    let ratio = || -> Result<Sampler, Problem> {
        let right = "a share from 0 to 1, e.g. 0.1";
        let share: f64 = settings.parsed(SAMPLER_ARG, right)?.unwrap_or(1.0);
        match (0.0..=1.0).contains(&share) {
            true => Ok(Sampler::TraceIdRatioBased(share)),
            false => Err(Problem::new(SAMPLER_ARG, format!("is {share}"), right)),
        }
    };
    let parent_based = |root| Sampler::ParentBased(Box::new(root));
    Ok(match settings.text(SAMPLER).unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio()?,
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(ratio()?),
        other => {
            return Err(Problem::new(
                SAMPLER,
                format!("is {other:?}"),
                "always_on, always_off, traceidratio, or one of them after parentbased_",
            ));
        }
    })
}
