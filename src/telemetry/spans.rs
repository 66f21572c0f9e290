//! Spans for an OpenTelemetry collector (OTLP, http/protobuf): one for each call, and below it one for each attempt at a backend.
//!
//! A span holds names, numbers and ids of the gateway's own, never a parameter, a URL or a credential. Spans are exported in
//! batches by a task; what does not fit into its queue, and what the collector does not take, is dropped and counted.

use std::{collections::HashMap, time::Duration};

use metrics::Counter;
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{self as sdk, SdkTracer, SdkTracerProvider, SpanData, SpanExporter as _},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Metrics, Trace};
use crate::{
    config::Otlp,
    error::{Error, Result},
};

/// Spans that wait for the task, and that leave at once.
const QUEUE: usize = 4096;
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector has for a batch; and once a stop was asked for, for the batch under way and for all that is left.
const EXPORT: Duration = Duration::from_secs(5);
const LAST_EXPORT: Duration = Duration::from_secs(1);

/// Where spans are begun.
#[derive(Debug)]
pub struct Spans(SdkTracer);

/// A span that was begun. Dropped, it ends.
#[derive(Debug)]
pub struct Span(sdk::Span);

/// The task that sends spans to the collector.
#[derive(Debug)]
pub struct Export {
    queue: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    dropped: Counter,
}

impl Spans {
    /// # Errors
    /// When the exporter cannot be made of the settings.
    pub fn open(otlp: &Otlp, instance: &str, metrics: &Metrics) -> Result<(Self, Export)> {
        let cannot = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::unavailable("Spans cannot be exported as OTEL_EXPORTER_OTLP_… says").because(error)
        };
        // The operator's own address, which needs no guard; headers may hold a credential, so nothing is followed elsewhere.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXPORT)
            .build()
            .map_err(|error| cannot(error.into()))?;
        let headers: HashMap<_, _> = otlp
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(http)
            .with_endpoint(otlp.endpoint.as_str())
            .with_headers(headers)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT)
            // What a batch is not taken for now, it is not worth holding up the next for.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| cannot(error.into()))?;
        let resource = Resource::builder()
            .with_service_name(otlp.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        exporter.set_resource(&resource);
        let (sender, queue) = mpsc::channel(QUEUE);
        let queued = Queued {
            sender,
            dropped: metrics.spans_dropped.clone(),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(otlp.sampler.clone())
            .with_span_processor(queued)
            .build();
        let export = Export {
            queue,
            exporter,
            dropped: metrics.spans_dropped.clone(),
        };
        Ok((Self(provider.tracer("smartermcp")), export))
    }

    /// Begins the span of a call, under the caller's, if he sent a trace.
    pub fn call(&self, tool: &'static str, caller: Option<&Trace>) -> Span {
        self.begin(SpanBuilder::from_name(tool).with_kind(SpanKind::Server), caller)
    }

    /// Begins the span of an attempt at a backend, counted from 1, under the call's.
    pub fn attempt(&self, backend: &'static str, method: &http::Method, attempt: u32, call: Option<&Trace>) -> Span {
        let mut span = self.begin(
            SpanBuilder::from_name(format!("{method} {backend}")).with_kind(SpanKind::Client),
            call,
        );
        span.set("smartermcp.backend", backend);
        span.set("http.request.method", method.to_string());
        span.set("smartermcp.attempt", i64::from(attempt));
        span
    }

    fn begin(&self, builder: SpanBuilder, parent: Option<&Trace>) -> Span {
        let parent = match parent.and_then(Trace::context) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        Span(self.0.build_with_context(builder, &parent))
    }
}

impl Span {
    /// What is passed on, so that what follows lies below this span. `caller` lends its `tracestate`.
    pub fn trace(&self, caller: Option<&Trace>) -> Trace {
        Trace::of(opentelemetry::trace::Span::span_context(&self.0), caller)
    }

    /// Says something of it: a name or a number of the gateway's own.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        opentelemetry::trace::Span::set_attribute(&mut self.0, KeyValue::new(name, value));
    }

    /// Ends it with an HTTP status and the label of an error, if there was one; `fault` says that it failed.
    pub fn end(mut self, status: Option<u16>, error: Option<&'static str>, fault: bool) {
        if let Some(status) = status {
            self.set("http.response.status_code", i64::from(status));
        }
        if let Some(error) = error {
            self.set("error.type", error);
        }
        if fault {
            opentelemetry::trace::Span::set_status(&mut self.0, Status::error(""));
        }
        opentelemetry::trace::Span::end(&mut self.0);
    }
}

/// Hands ended spans to the task, and never waits.
#[derive(Debug)]
struct Queued {
    sender: mpsc::Sender<SpanData>,
    dropped: Counter,
}

impl sdk::SpanProcessor for Queued {
    fn on_start(&self, _: &mut sdk::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.sender.try_send(span).is_err() {
            self.dropped.increment(1);
        }
    }

    /// The task flushes at its stop.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Export {
    /// Sends what comes, until `stop`; then what is left, within [`LAST_EXPORT`].
    pub async fn run(mut self, stop: CancellationToken) {
        let mut away = false;
        let mut batch = Vec::with_capacity(BATCH);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                got = self.queue.recv_many(&mut batch, BATCH) => if got == 0 { return },
            }
            let until = Instant::now() + GATHER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep_until(until) => break,
                    got = self.queue.recv_many(&mut batch, room) => if got == 0 { break },
                }
            }
            let spans = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if stop.is_cancelled() {
                // The last one goes with what else is left.
                batch = spans;
                break;
            }
            let stopping = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_EXPORT).await;
            };
            self.send(spans, stopping, &mut away).await;
        }
        self.queue.close();
        let until = Instant::now() + LAST_EXPORT;
        loop {
            while let Ok(span) = self.queue.try_recv() {
                batch.push(span);
                if batch.len() >= BATCH {
                    break;
                }
            }
            if batch.is_empty() {
                return;
            }
            self.send(std::mem::take(&mut batch), tokio::time::sleep_until(until), &mut away)
                .await;
        }
    }

    /// Sends a batch, unless `enough` comes first. One line in the log when the collector goes, and one when it is back.
    async fn send(&self, spans: Vec<SpanData>, enough: impl Future<Output = ()>, away: &mut bool) {
        let count = spans.len();
        let failed = tokio::select! {
            exported = tokio::time::timeout(EXPORT, self.exporter.export(spans)) => match exported {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            },
            () = enough => Some("no answer before the stop".to_owned()),
        };
        match failed {
            None => {
                if std::mem::take(away) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Some(source) => {
                self.dropped.increment(u64::try_from(count).unwrap_or(u64::MAX));
                if !std::mem::replace(away, true) {
                    tracing::warn!(
                        source,
                        "the collector takes no spans: they are dropped, and counted in smartermcp_spans_dropped_total"
                    );
                }
            }
        }
    }
}
