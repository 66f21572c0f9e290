//! The clock that everything reads: the system's, moved on by a test where it must not wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_us: Arc<AtomicI64>,
}

impl Clock {
    /// Microseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
    pub fn micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX) + self.ahead_us.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970: what is stored.
    pub fn millis(&self) -> i64 {
        self.micros() / 1000
    }

    /// How far this clock is ahead of the system's: nothing, but in tests.
    pub fn ahead_us(&self) -> i64 {
        self.ahead_us.load(Ordering::Relaxed)
    }

    /// Moves this clock on, for tests of what takes hours.
    pub fn advance(&self, by: Duration) {
        self.ahead_us
            .fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// Epoch milliseconds as RFC 3339, in UTC.
pub fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}
