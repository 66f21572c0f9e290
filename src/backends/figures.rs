//! What the tools that tell figures share: the period that they are asked about, and what could not be told.

use std::borrow::Cow;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::shortened;
use crate::error::Error;

/// Days of the tenant's own calendar, up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Today,
    Week,
    Month,
}

impl Period {
    /// When it begins and ends, in milliseconds since 1970: today, the last 7 or the last 30 days, each from midnight of the
    /// tenant's time zone, today included.
    pub fn range(self, time_zone: &TimeZone, now: i64) -> (i64, i64) {
        let days = match self {
            Period::Today => 0,
            Period::Week => 6,
            Period::Month => 29,
        };
        let moment = Timestamp::from_millisecond(now)
            .unwrap_or(Timestamp::MAX)
            .to_zoned(time_zone.clone());
        let start = moment
            .checked_sub(days.days())
            .and_then(|day| day.start_of_day())
            .map_or(now, |midnight| midnight.timestamp().as_millisecond());
        (start, now)
    }
}

/// Something that could not be told, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unavailable {
    /// The figure that is missing, e.g. `satisfaction_score`.
    pub name: Cow<'static, str>,
    /// Why it is missing.
    reason: String,
}

impl Unavailable {
    pub fn new(name: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// Missing because of a failure that does not fail the whole call: it is logged here, where it is told.
    pub fn failed(name: impl Into<Cow<'static, str>>, error: &Error, request_id: &str) -> Self {
        error.log(request_id);
        Self::new(name, shortened(error.message()))
    }
}

/// Two decimals: more is noise.
pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_begins_at_midnight_of_the_tenants_own_zone() {
        let millis = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let santiago = TimeZone::get("America/Santiago").unwrap();
        // 02:30 UTC is still the evening before in Santiago (UTC−3 in summer).
        let now = millis("2026-11-21T02:30:00Z");
        assert_eq!(Period::Today.range(&santiago, now), (millis("2026-11-20T03:00:00Z"), now));
        assert_eq!(Period::Week.range(&santiago, now), (millis("2026-11-14T03:00:00Z"), now));
        assert_eq!(Period::Month.range(&santiago, now), (millis("2026-10-22T03:00:00Z"), now));
        assert_eq!(Period::Today.range(&TimeZone::UTC, now), (millis("2026-11-21T00:00:00Z"), now));
        // In the first week of September the clock goes forward at midnight: that day begins at 01:00.
        let spring = millis("2026-09-06T12:00:00Z");
        assert_eq!(Period::Today.range(&santiago, spring), (millis("2026-09-06T04:00:00Z"), spring));
    }
}
