//! A played Prometheus: the two query routes with the envelope of a real 2.42, and what a real one does when it is not well. It
//! evaluates nothing: a query is known by the metric in it, and is answered by what the test put there.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// What it does instead of answering.
#[derive(Clone, Debug)]
pub enum Fault {
    None,
    /// A body of this status, as it stands.
    Answer(u16, &'static str),
    /// The same, to queries on this metric alone.
    On(&'static str, u16, &'static str),
    /// The series of the real answer so many times over, each of another host.
    Series(usize),
    /// So many points in each series, whatever was asked for.
    Points(usize),
    /// Each value in this text.
    Value(&'static str),
    /// Nothing matches.
    Empty,
}

/// What it was asked: the path, its parameters, and the headers that matter.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub query: String,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub step: Option<i64>,
    pub authorization: Option<String>,
    pub org_id: Option<String>,
}

/// A Prometheus that watches one host. Clones share everything.
#[derive(Clone, Debug)]
pub struct Prometheus {
    fault: Arc<Mutex<Fault>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    up: Arc<Mutex<&'static str>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            fault: Arc::new(Mutex::new(Fault::None)),
            asked: Arc::default(),
            up: Arc::new(Mutex::new("1")),
            warnings: Arc::default(),
        }
    }
}

impl Prometheus {
    pub fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub fn set_up(&self, value: &'static str) {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    pub fn warn(&self, words: &str) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(words.to_owned());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn router(&self) -> Router {
        let played = self.clone();
        Router::new().fallback(move |request: Request| {
            let played = played.clone();
            async move { played.answer(&request) }
        })
    }

    fn answer(&self, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let parameter = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let number = |name: &str| parameter(name).and_then(|text| text.parse().ok());
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let asked = Asked {
            path: request.uri().path().to_owned(),
            query: parameter("query").unwrap_or_default(),
            start: number("start"),
            end: number("end"),
            step: number("step"),
            authorization: header("authorization"),
            org_id: header("x-scope-orgid"),
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let raw = |status: u16, body: &'static str| (StatusCode::from_u16(status).unwrap_or_default(), body).into_response();
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match fault {
            Fault::Answer(status, body) => return raw(status, body),
            Fault::On(metric, status, body) if asked.query.contains(metric) => return raw(status, body),
            _ => {}
        }
        match asked.path.as_str() {
            "/api/v1/status/buildinfo" => axum::Json(json!({ "status": "success", "data": { "version": "2.42.0" } })).into_response(),
            "/api/v1/query" => self.success(
                "vector",
                &self.series(&asked, &fault, |value| json!({ "value": [1_700_000_000.123, value] })),
            ),
            "/api/v1/query_range" => {
                let (Some(start), Some(end), Some(step @ 1..)) = (asked.start, asked.end, asked.step) else {
                    return raw(
                        400,
                        r#"{"status":"error","errorType":"bad_data","error":"start, end and step are needed"}"#,
                    );
                };
                let most = match fault {
                    Fault::Points(most) => most,
                    _ => usize::try_from((end - start) / step + 1).unwrap_or_default(),
                };
                let times: Vec<_> = (start..).step_by(usize::try_from(step).unwrap_or(1)).take(most).collect();
                self.success(
                    "matrix",
                    &self.series(&asked, &fault, |value| {
                        let points: Vec<_> = times.iter().map(|at| json!([at, value])).collect();
                        json!({ "values": points })
                    }),
                )
            }
            _ => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
        }
    }

    fn success(&self, form: &str, result: &[Value]) -> Response {
        let mut answer = json!({ "status": "success", "data": { "resultType": form, "result": result } });
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.is_empty() {
            answer["warnings"] = json!(*warnings);
        }
        axum::Json(answer).into_response()
    }

    fn series(&self, asked: &Asked, fault: &Fault, values: impl Fn(&str) -> Value) -> Vec<Value> {
        let up = *self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let host = |more: Value| {
            let mut labels = more;
            labels["instance"] = "vps1:9100".into();
            labels
        };
        let whole = asked.path == "/api/v1/query";
        let mut found = match asked.query.as_str() {
            query if query.contains("node_cpu_seconds_total") => vec![(host(json!({})), "12.3456")],
            query if query.contains("node_memory_") => vec![(host(json!({})), "61.5")],
            query if query.contains("node_filesystem_") && whole => vec![(json!({}), "40.1")],
            query if query.contains("node_filesystem_") => vec![
                (host(json!({ "mountpoint": "/var", "device": "never asked for" })), "80"),
                (host(json!({ "mountpoint": "/" })), "20"),
            ],
            query if query.contains("receive") => vec![(host(json!({})), "1500.25")],
            query if query.contains("transmit") => vec![(host(json!({})), "2500.75")],
            query if query.contains("up{") => vec![(json!({}), up)],
            query if query.contains("node_uname_info") => vec![(json!({}), "1")],
            // Nobody told it of this.
            _ => Vec::new(),
        };
        match fault {
            Fault::Empty => found.clear(),
            Fault::Series(many) => {
                let value = found.first().map_or("0", |(_, value)| value);
                found = (0..*many)
                    .map(|index| (json!({ "instance": format!("vps{index:05}:9100") }), value))
                    .collect();
            }
            _ => {}
        }
        found
            .into_iter()
            .map(|(labels, value)| {
                let mut series = values(match fault {
                    Fault::Value(text) => text,
                    _ => value,
                });
                series["metric"] = labels;
                series
            })
            .collect()
    }
}
