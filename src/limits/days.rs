//! Usage by day: how often each token of a tenant called each tool, counted here and written in batches with the plan's counters.
//!
//! It counts what the plan counts as an API call, so that a month's days add up to the month. A day is one of the tenant's time zone.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::{
    id::{TenantId, TokenId},
    store::usage_days::Row,
};

/// A tenant's calls that are counted and not yet written. There are at most as many counts as tokens times tools on a day.
#[derive(Debug)]
pub struct Days(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    time_zone: TimeZone,
    day: Date,
    /// When the day ends, epoch milliseconds.
    end: i64,
    calls: HashMap<Key, i64>,
}

type Key = (Date, TokenId, &'static str);

/// Counts on their way to the database, which go back unless they arrive.
pub(super) type Taken = Vec<(Key, i64)>;

impl Days {
    pub(super) fn new(time_zone: TimeZone, now: i64) -> Self {
        let (day, end) = calendar_day(&time_zone, now);
        Self(Mutex::new(Counts {
            time_zone,
            day,
            end,
            calls: HashMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_zone(&self, time_zone: &TimeZone, now: i64) {
        let mut counts = self.lock();
        if counts.time_zone != *time_zone {
            counts.time_zone = time_zone.clone();
            (counts.day, counts.end) = calendar_day(time_zone, now);
        }
    }

    /// Counts one call.
    pub(super) fn count(&self, token: TokenId, tool: &'static str, now: i64) {
        let mut counts = self.lock();
        counts.turn(now);
        let key = (counts.day, token, tool);
        *counts.calls.entry(key).or_default() += 1;
    }

    /// The current day.
    pub fn today(&self, now: i64) -> Date {
        let mut counts = self.lock();
        counts.turn(now);
        counts.day
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.lock().calls.is_empty()
    }

    /// Takes what is to be written, in one order in every replica.
    pub(super) fn take(&self) -> Taken {
        let mut taken: Taken = std::mem::take(&mut self.lock().calls).into_iter().collect();
        taken.sort_unstable();
        taken
    }

    /// What was to be written and perhaps was not. Where the answer to the commit was lost, it is written again: a count may come
    /// out too high.
    pub(super) fn put_back(&self, taken: Taken) {
        let mut counts = self.lock();
        for (key, calls) in taken {
            *counts.calls.entry(key).or_default() += calls;
        }
    }
}

impl Counts {
    fn turn(&mut self, now: i64) {
        if now >= self.end {
            (self.day, self.end) = calendar_day(&self.time_zone, now);
        }
    }
}

/// Counts as they are stored.
pub(super) fn rows(tenant_id: TenantId, taken: &Taken) -> impl Iterator<Item = Row> + '_ {
    taken.iter().map(move |((day, token, tool), calls)| Row {
        tenant_id,
        day: day.to_string(),
        token: token.to_string(),
        tool: (*tool).to_owned(),
        calls: *calls,
    })
}

/// The day that a moment lies in, and when it ends (epoch milliseconds).
fn calendar_day(time_zone: &TimeZone, now: i64) -> (Date, i64) {
    let moment = Timestamp::from_millisecond(now)
        .unwrap_or(Timestamp::MAX)
        .to_zoned(time_zone.clone());
    let end = moment
        .date()
        .checked_add(1.day())
        .and_then(|next| {
            time_zone
                .to_ambiguous_zoned(next.to_datetime(jiff::civil::Time::midnight()))
                .compatible()
        })
        .map_or(i64::MAX, |next| next.timestamp().as_millisecond());
    (moment.date(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_day_ends_at_midnight_of_the_tenants_own_zone_or_where_midnight_is_left_out() {
        let santiago = TimeZone::get("America/Santiago").unwrap();
        let (day, end) = calendar_day(&santiago, millis("2026-12-01T02:30:00Z"));
        assert_eq!((day.to_string().as_str(), end), ("2026-11-30", millis("2026-12-01T03:00:00Z")));
        // On 6 September 2026 Chile's clocks go from 0:00 to 1:00.
        let (day, end) = calendar_day(&santiago, millis("2026-09-06T03:59:00Z"));
        assert_eq!((day.to_string().as_str(), end), ("2026-09-05", millis("2026-09-06T04:00:00Z")));
        let (day, _) = calendar_day(&santiago, end);
        assert_eq!(day.to_string(), "2026-09-06");
    }

    #[test]
    fn counts_of_two_days_are_kept_apart_and_what_was_not_written_is_counted_again() {
        let days = Days::new(TimeZone::UTC, 0);
        let token = TokenId::random();
        days.count(token, "bots_list", 0);
        days.count(token, "bots_list", 1);
        days.count(token, "bots_list", 24 * 3600 * 1000);
        let taken = days.take();
        assert_eq!(taken.iter().map(|(_, calls)| *calls).collect::<Vec<_>>(), [2, 1]);
        assert!(!days.is_waiting());
        days.count(token, "bots_list", 24 * 3600 * 1000);
        days.put_back(taken);
        assert_eq!(days.take().iter().map(|(_, calls)| *calls).collect::<Vec<_>>(), [2, 2]);
    }
}
