//! What the operator sees of a running gateway: logs as JSON lines, metrics, spans, and the trace context that is passed on.

mod metrics;
mod spans;
mod trace;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

pub use self::{
    metrics::{Metrics, NONE},
    spans::{Export, Span, Spans},
    trace::Trace,
};

/// Writes logs to standard error as JSON lines, until the guard is dropped. `RUST_LOG` chooses what; `info` unless it does.
///
/// Lines go through a thread of their own, which writes what has gathered at once: a slow terminal does not hold a call up, and
/// no line is dropped.
pub fn init_logs() -> tracing_appender::non_blocking::WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(65_536)
        .finish(std::io::BufWriter::with_capacity(64 * 1024, std::io::stderr()));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rmcp=warn,sqlx=warn"));
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer);
    // A second call (several servers in one test process) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    guard
}
