//! Analytics: how a bot did today, this week or this month.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::Botpress;
use crate::{
    auth::Scope,
    backends::{
        client::shortened,
        figures::{Period, Unavailable, rounded},
    },
    clock::rfc3339,
    error::Result,
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<BotAnalytics>()]
}

/// The events by which a bot says that a task was begun, and that it was done.
const STARTED: &str = "task_started";
const COMPLETED: &str = "task_completed";
/// How an event is named that says which intent was understood, e.g. `intent:horario`.
const INTENT: &str = "intent:";
const INTENTS_MAX: usize = 10;

/// Show how one of the tenant's bots did: how many conversations and messages it had, what it was asked for, and how many tasks it completed.
///
/// Example: `{"bot_id": "main", "period": "week"}`. `completion_rate` and `top_intents` need a bot that tracks the events
/// `task_started`, `task_completed` and `intent:…`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BotAnalytics {
    /// The bot: its id, or a name that the connection has for it, e.g. `main`.
    #[schemars(length(min = 1, max = 200))]
    bot_id: String,
    /// `today`, the last 7 days (`week`) or the last 30 (`month`), with today, from midnight in the tenant's time zone; `week` unless said.
    period: Option<Period>,
}

/// How a bot did. What Botpress has no figure for is null.
#[derive(Serialize, JsonSchema)]
struct Analytics {
    /// Sessions, as Botpress calls them.
    total_conversations: u64,
    /// Of users and of the bot.
    total_messages: u64,
    /// Messages in a conversation, on average.
    avg_conversation_length: Option<f64>,
    /// Per cent of the tasks begun that were completed.
    completion_rate: Option<f64>,
    /// What users wanted most often, the most frequent first.
    top_intents: Option<Vec<Intent>>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

/// Something that users wanted.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Intent {
    name: String,
    count: u64,
}

impl Tool for BotAnalytics {
    const NAME: &'static str = "bots_analytics";
    const TITLE: &'static str = "A bot's analytics";
    const ROUTE: Route = Route::get("/bots/{bot_id}/analytics");
    const SCOPE: Scope = Scope::ReadBots;
    const CATEGORY: Category = Category::Bots;
    type Backend = Botpress;
    type Output = Analytics;

    async fn call(self, botpress: &Botpress) -> Result<Analytics> {
        let session = botpress.http.session();
        let bot = botpress.own(&self.bot_id).await?;
        let time_zone = &session.tenant()?.time_zone;
        let (start, end) = self.period.unwrap_or(Period::Week).range(time_zone, session.state.clock.millis());
        let (start, end) = (rfc3339(start), rfc3339(end));
        let path = format!("{}/analytics", bot.path());
        let found: Records = botpress.read(&path, &[("startDate", &start), ("endDate", &end)]).await?;
        Ok(Analytics::of(&found.records))
    }
}

impl Analytics {
    fn of(records: &[Record]) -> Self {
        let mut events: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in records.iter().flat_map(|record| &record.custom_events) {
            let sum = events.entry(name).or_default();
            *sum = sum.saturating_add(*count);
        }
        let total = |of: fn(&Record) -> u64| records.iter().map(of).fold(0, u64::saturating_add);
        let total_conversations = total(|record| record.sessions);
        let total_messages = total(Record::messages);
        let count = |name| events.get(name).copied().unwrap_or(0);
        let mut intents: Vec<_> = events
            .iter()
            .filter_map(|(name, count)| {
                Some(Intent {
                    name: shortened(name.strip_prefix(INTENT)?),
                    count: *count,
                })
            })
            .collect();
        // Stable: those counted alike stay in the order of their names.
        intents.sort_by_key(|intent| std::cmp::Reverse(intent.count));
        intents.truncate(INTENTS_MAX);
        let mut analytics = Self {
            total_conversations,
            total_messages,
            avg_conversation_length: ratio(total_messages, total_conversations),
            completion_rate: ratio(count(COMPLETED).saturating_mul(100), count(STARTED)),
            top_intents: (!intents.is_empty()).then_some(intents),
            unavailable: Vec::new(),
        };
        let lacks = [
            (
                "avg_conversation_length",
                analytics.avg_conversation_length.is_none(),
                "There was no conversation in this period",
            ),
            (
                "completion_rate",
                analytics.completion_rate.is_none(),
                "Botpress has none of its own, and the bot tracked no event task_started in this period",
            ),
            (
                "top_intents",
                analytics.top_intents.is_none(),
                "Botpress has none of its own, and the bot tracked no event intent:… in this period",
            ),
        ];
        let lacks = lacks.into_iter().filter(|(_, is, _)| *is);
        analytics.unavailable = lacks.map(|(name, _, reason)| Unavailable::new(name, reason)).collect();
        analytics
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(part as f64 / whole as f64))
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
}

/// A stretch of time as Botpress has it: only what is needed is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    sessions: u64,
    user_messages: Option<u64>,
    bot_messages: Option<u64>,
    /// What there was before the two above.
    messages: Option<u64>,
    #[serde(default)]
    custom_events: BTreeMap<String, u64>,
}

impl Record {
    fn messages(&self) -> u64 {
        match (self.user_messages, self.bot_messages) {
            (None, None) => self.messages.unwrap_or(0),
            (users, bots) => users.unwrap_or(0).saturating_add(bots.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(records: serde_json::Value) -> Analytics {
        let records: Records = serde_json::from_value(json!({ "records": records })).unwrap();
        Analytics::of(&records.records)
    }

    #[test]
    fn figures_are_sums_over_all_records() {
        let analytics = of(json!([
            { "sessions": 3, "userMessages": 10, "botMessages": 11, "messages": 99, "customEvents": { "task_started": 3, "task_completed": 2, "intent:a": 1 } },
            { "sessions": 1, "messages": 4, "customEvents": { "task_started": 1, "task_completed": 1, "intent:b": 2 } },
        ]));
        assert_eq!((analytics.total_conversations, analytics.total_messages), (4, 25));
        assert_eq!(analytics.avg_conversation_length, Some(6.25));
        assert_eq!(analytics.completion_rate, Some(75.0));
        let names: Vec<_> = analytics.top_intents.unwrap().into_iter().map(|intent| intent.name).collect();
        assert_eq!(names, ["b", "a"]);
        assert!(analytics.unavailable.is_empty());
    }

    #[test]
    fn what_was_not_tracked_is_null_and_named() {
        let analytics = of(json!([{ "sessions": 2, "userMessages": 1, "botMessages": 1, "customEvents": { "task_completed": 1 } }]));
        assert_eq!((analytics.completion_rate, analytics.top_intents), (None, None));
        assert_eq!(analytics.unavailable.len(), 2);
        assert_eq!(of(json!([])).unavailable.len(), 3);
    }
}
