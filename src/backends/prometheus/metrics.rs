//! Metrics over time: processor, memory, disks and network of the tenant's hosts.

use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    catalogue::Measure,
    client::{self, Found, Prometheus, Range},
    no_data, rounded,
};
use crate::{
    auth::Scope,
    backends::figures::Unavailable,
    clock::rfc3339,
    error::Result,
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<InfraMetrics>()]
}

/// How many points a series has at most.
const POINTS_MAX: i64 = 300;
/// The finest step, in seconds: as often as Prometheus is usually told to look.
const STEP_MIN: i64 = 15;
/// The shortest window of a rate, in seconds: it must hold two looks, also where they are a minute apart and one is missed.
const WINDOW_MIN: i64 = 300;
/// How many series a metric shows.
const SERIES_MAX: usize = 20;

/// Show how processor, memory, disks and network of the tenant's servers did over the last hour, hours or days.
///
/// Example: `{"metric": "cpu", "period": "24h"}`. For how things stand now, `infra_status` is shorter.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InfraMetrics {
    /// Which metric, e.g. `cpu`; all of them unless said. `network` gives `network_in` and `network_out`.
    #[serde(default)]
    metric: Metric,
    /// How far back, e.g. `24h`; the last hour unless said.
    #[serde(default)]
    period: Period,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Metric {
    Cpu,
    Memory,
    Disk,
    Network,
    #[default]
    All,
}

impl Metric {
    const fn measures(self) -> &'static [Measure] {
        match self {
            Metric::Cpu => &[Measure::Cpu],
            Metric::Memory => &[Measure::Memory],
            Metric::Disk => &[Measure::Disk],
            Metric::Network => &[Measure::NetworkIn, Measure::NetworkOut],
            Metric::All => &[
                Measure::Cpu,
                Measure::Memory,
                Measure::Disk,
                Measure::NetworkIn,
                Measure::NetworkOut,
            ],
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
enum Period {
    #[default]
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "6h")]
    SixHours,
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
}

impl Period {
    const fn seconds(self) -> i64 {
        match self {
            Period::Hour => 3600,
            Period::SixHours => 6 * 3600,
            Period::Day => 24 * 3600,
            Period::Week => 7 * 24 * 3600,
        }
    }

    /// The range up to now, in steps that divide it, with the oldest point one step after the period's begin.
    fn range(self, now: i64) -> Range {
        let step = (self.seconds() / POINTS_MAX).max(STEP_MIN);
        Range {
            start: now - self.seconds() + step,
            end: now,
            step,
        }
    }
}

/// Metrics over time.
#[derive(Serialize, JsonSchema)]
struct Metrics {
    series: Vec<Series>,
    /// Metrics without data in this period, and why.
    unavailable: Vec<Unavailable>,
    /// Whether there is more than is shown: a metric shows 20 series.
    truncated: bool,
    /// What Prometheus says against its own answer, e.g. that a part of its storage did not take part.
    warnings: Vec<String>,
}

/// One metric of one host, disk or direction.
#[derive(Serialize, JsonSchema)]
struct Series {
    /// `cpu`, `memory`, `disk`, `network_in` or `network_out`.
    metric: &'static str,
    /// `percent` (of what there is, 0 to 100) or `bytes_per_second`.
    unit: &'static str,
    labels: Labels,
    /// In the order of time, 15 s apart over an hour and 34 min over a week; where one is missing there was no value.
    points: Vec<Point>,
}

/// What a series is of.
#[derive(Serialize, JsonSchema)]
struct Labels {
    /// The host, as Prometheus names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Where a disk is mounted; only of `disk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mountpoint: Option<String>,
}

/// A value at a time.
#[derive(Serialize, JsonSchema)]
struct Point {
    /// When (RFC 3339, UTC).
    t: String,
    value: f64,
}

impl Tool for InfraMetrics {
    const NAME: &'static str = "infra_metrics";
    const TITLE: &'static str = "Server metrics over time";
    const ROUTE: Route = Route::get("/infra/metrics");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Infrastructure;
    type Backend = Prometheus;
    type Output = Metrics;

    async fn call(self, prometheus: &Prometheus) -> Result<Metrics> {
        let session = prometheus.http.session();
        let range = self.period.range(session.state.clock.millis() / 1000);
        let measures = self.metric.measures();
        let asked = measures.iter().map(|measure| async move {
            let query = measure.over_time(&prometheus.credential.matcher, range.step.max(WINDOW_MIN));
            (*measure, prometheus.range(&query, range).await)
        });
        let mut metrics = Metrics {
            series: Vec::new(),
            unavailable: Vec::new(),
            truncated: false,
            warnings: Vec::new(),
        };
        let mut failures = Vec::new();
        for (measure, found) in join_all(asked).await {
            match found {
                Ok(found) => metrics.take(measure, found),
                Err(error) => failures.push((measure, error)),
            }
        }
        // In part is told; as a whole it is a failure.
        if failures.len() == measures.len() && !failures.is_empty() {
            return Err(failures.swap_remove(0).1);
        }
        for (measure, error) in failures {
            metrics
                .unavailable
                .push(Unavailable::failed(measure.name(), &error, &session.request_id));
        }
        Ok(metrics)
    }
}

impl Metrics {
    fn take(&mut self, measure: Measure, found: Found) {
        for words in found.warnings {
            if !self.warnings.contains(&words) {
                self.warnings.push(words);
            }
        }
        let mut series: Vec<_> = found.series.into_iter().filter(|series| !series.samples.is_empty()).collect();
        if series.is_empty() {
            self.unavailable.push(no_data(measure.name()));
            return;
        }
        // Prometheus promises no order: the same ones are left out each time.
        series.sort_by(|a, b| (&a.instance, &a.mountpoint).cmp(&(&b.instance, &b.mountpoint)));
        self.truncated |= series.len() > SERIES_MAX;
        series.truncate(SERIES_MAX);
        for series in series {
            let points = points(measure, &series);
            self.truncated |= points.len() < series.samples.len();
            self.series.push(Series {
                metric: measure.name(),
                unit: measure.unit(),
                labels: Labels {
                    instance: series.instance,
                    mountpoint: series.mountpoint,
                },
                points,
            });
        }
    }
}

/// The latest points; no more than were asked for, whatever came.
fn points(measure: Measure, series: &client::Series) -> Vec<Point> {
    let most = usize::try_from(POINTS_MAX).unwrap_or_default();
    let surplus = series.samples.len().saturating_sub(most);
    series.samples[surplus..]
        .iter()
        .map(|(at, value)| Point {
            #[expect(clippy::cast_possible_truncation, reason = "the time was checked, and is shown in whole seconds")]
            t: rfc3339(*at as i64 * 1000),
            value: rounded(*value, measure.is_percent()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_period_asks_for_more_than_300_points_nor_for_steps_under_15_seconds() {
        for (period, step, points) in [
            (Period::Hour, 15, 240),
            (Period::SixHours, 72, 300),
            (Period::Day, 288, 300),
            (Period::Week, 2016, 300),
        ] {
            let range = period.range(1_800_000_000);
            assert_eq!(range.step, step);
            assert_eq!((range.end - range.start) / range.step + 1, points);
            assert_eq!(range.end, 1_800_000_000);
        }
    }
}
