//! Metrics: how the support team did today, this week or this month.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::client::{Api, Chatwoot};
use crate::{
    auth::Scope,
    backends::figures::{Period, Unavailable, rounded},
    error::Result,
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<SupportMetrics>()]
}

/// Show how the tenant's support team did: how many conversations began and were resolved, how fast, and how content customers were.
///
/// Example: `{"period": "week"}`. The connection needs the access token of an administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SupportMetrics {
    /// `today`, the last 7 days (`week`) or the last 30 (`month`), with today, from midnight in the tenant's time zone; `today` unless said.
    period: Option<Period>,
}

/// How the support team did. What Chatwoot has no figure for is null.
#[derive(Default, Serialize, JsonSchema)]
struct Metrics {
    /// Conversations that began in the period.
    total_conversations: Option<u64>,
    /// How often a conversation was resolved in the period.
    resolved_conversations: Option<u64>,
    /// Seconds from a customer's first message to the first answer of an agent, on average.
    avg_first_response_time: Option<f64>,
    /// Seconds from the begin of a conversation to its resolution, on average.
    avg_resolution_time: Option<f64>,
    /// The mean of what customers gave in the survey, from 1 (bad) to 5 (good).
    satisfaction_score: Option<f64>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

impl Tool for SupportMetrics {
    const NAME: &'static str = "support_metrics";
    const TITLE: &'static str = "Support metrics";
    const ROUTE: Route = Route::get("/support/metrics");
    const SCOPE: Scope = Scope::ReadSupport;
    const CATEGORY: Category = Category::Support;
    type Backend = Chatwoot;
    type Output = Metrics;

    async fn call(self, chatwoot: &Chatwoot) -> Result<Metrics> {
        let session = chatwoot.http.session();
        let time_zone = &session.tenant()?.time_zone;
        let (since, until) = self.period.unwrap_or(Period::Today).range(time_zone, session.state.clock.millis());
        // Seconds; the end is not part of the range, and this second is.
        let (since, until) = ((since / 1000).to_string(), (until / 1000 + 1).to_string());
        let range = [("since", since.as_str()), ("until", until.as_str())];
        let report = [range[0], range[1], ("type", "account")];
        let (summary, ratings) = tokio::join!(
            chatwoot.read::<Summary>(Api::V2, "/reports/summary", &report),
            chatwoot.read::<Ratings>(Api::V1, "/csat_survey_responses/metrics", &range),
        );
        let summary = match summary {
            Ok(summary) => summary,
            Err(error) => return Err(chatwoot.refused_reports(error).await),
        };
        let mut metrics = Metrics {
            total_conversations: summary.conversations_count,
            resolved_conversations: summary.resolutions_count,
            avg_first_response_time: summary.avg_first_response_time.and_then(mean),
            avg_resolution_time: summary.avg_resolution_time.and_then(mean),
            ..Metrics::default()
        };
        let mut lacks = |name, is: bool, reason: &str| {
            if is {
                metrics.unavailable.push(Unavailable::new(name, reason));
            }
        };
        let untold = "Chatwoot's report does not have it";
        lacks("total_conversations", metrics.total_conversations.is_none(), untold);
        lacks("resolved_conversations", metrics.resolved_conversations.is_none(), untold);
        let nobody = "Nobody was answered for the first time in this period";
        lacks("avg_first_response_time", metrics.avg_first_response_time.is_none(), nobody);
        let nothing = "No conversation was resolved in this period";
        lacks("avg_resolution_time", metrics.avg_resolution_time.is_none(), nothing);
        match ratings {
            Ok(ratings) => {
                metrics.satisfaction_score = ratings.mean();
                let unrated = "No customer answered the survey in this period";
                lacks("satisfaction_score", metrics.satisfaction_score.is_none(), unrated);
            }
            Err(error) => {
                let missing = Unavailable::failed("satisfaction_score", &error, &session.request_id);
                metrics.unavailable.push(missing);
            }
        }
        Ok(metrics)
    }
}

/// Chatwoot says 0 where there was nothing to take the mean of.
fn mean(value: f64) -> Option<f64> {
    (value > 0.0).then(|| rounded(value))
}

#[derive(Deserialize)]
struct Summary {
    conversations_count: Option<u64>,
    resolutions_count: Option<u64>,
    #[serde(default, deserialize_with = "figure")]
    avg_first_response_time: Option<f64>,
    #[serde(default, deserialize_with = "figure")]
    avg_resolution_time: Option<f64>,
}

#[derive(Deserialize)]
struct Ratings {
    /// How often each rating was given.
    ratings_count: BTreeMap<String, u64>,
}

impl Ratings {
    fn mean(&self) -> Option<f64> {
        let given = (1..=5_u32).map(|rating| (f64::from(rating), self.ratings_count.get(&rating.to_string()).copied().unwrap_or(0)));
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 customers")]
        let (sum, count) = given.fold((0.0, 0.0), |(sum, count), (rating, times)| {
            (sum + rating * times as f64, count + times as f64)
        });
        (count > 0.0).then(|| rounded(sum / count))
    }
}

/// A figure, which Chatwoot gives as a number or as text.
fn figure<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Figure {
        Number(f64),
        Text(String),
    }
    match Option::<Figure>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Figure::Number(number)) => Ok(Some(number)),
        Some(Figure::Text(text)) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(serde::de::Error::custom("a figure that is no number")),
        },
    }
}
