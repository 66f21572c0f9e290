//! The arithmetic of a limit: the generic cell rate algorithm, in whole microseconds, shared by every form of the limits.
//!
//! A cell is N per P with burst B, and T = P/N. Its whole state is one number, the theoretical arrival time (TAT). A call is
//! admitted if now ≥ TAT − (B−1)·T, and then TAT = max(now, TAT) + T. So at most B pass at once, and at most N+B in any P.
//! Microseconds since 1970 stay below 2⁵³, so a script that counts in doubles computes the same.

/// N per P with burst B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period_secs: u32,
    burst: u32,
    interval_us: i64,
}

impl Rate {
    /// `count` and `burst` are at least 1.
    pub const fn new(count: u32, period_secs: u32, burst: u32) -> Self {
        let count = if count == 0 { 1 } else { count };
        let burst = if burst == 0 { 1 } else { burst };
        let period_us = period_secs as i64 * 1_000_000;
        // Rounded up: a rate may be a microsecond too strict, never too generous.
        let interval_us = (period_us + count as i64 - 1) / count as i64;
        Self {
            count,
            period_secs,
            burst,
            interval_us,
        }
    }

    pub const fn count(self) -> u32 {
        self.count
    }

    pub const fn period_secs(self) -> u32 {
        self.period_secs
    }

    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// How far a TAT may lie ahead of now: all but one call of the burst, in microseconds.
    pub const fn tolerance_us(self) -> i64 {
        (self.burst as i64 - 1) * self.interval_us
    }

    /// Between two calls at the steady rate, in microseconds.
    pub const fn interval_us(self) -> i64 {
        self.interval_us
    }

    /// This rate's part for one of several replicas that cannot ask each other: the same burst, and a share of the steady rate.
    pub const fn shared_by(self, replicas: u32) -> Self {
        let replicas = if replicas > 1 { replicas } else { 1 };
        Self {
            interval_us: self.interval_us * replicas as i64,
            ..self
        }
    }

    /// The new TAT, or how many microseconds to wait.
    pub const fn admit(self, tat: i64, now: i64) -> Result<i64, i64> {
        let earliest = tat - self.tolerance_us();
        if now >= earliest {
            let from = if tat > now { tat } else { now };
            Ok(from + self.interval_us)
        } else {
            Err(earliest - now)
        }
    }

    /// How many calls would be admitted right now.
    #[expect(clippy::cast_possible_truncation, reason = "at most the burst, which is a u32")]
    pub const fn left(self, tat: i64, now: i64) -> u32 {
        let ahead = if tat > now { tat - now } else { 0 };
        let left = self.burst as i64 - (ahead + self.interval_us - 1) / self.interval_us;
        if left > 0 { left.cast_unsigned() as u32 } else { 0 }
    }

    /// After how many seconds the cell is full again, rounded up.
    pub const fn full_in_secs(tat: i64, now: i64) -> u64 {
        if tat > now {
            (tat - now).cast_unsigned().div_ceil(1_000_000)
        } else {
            0
        }
    }
}

/// Microseconds to wait as the seconds of `Retry-After`: at least one.
pub const fn retry_after_secs(wait_us: i64) -> u64 {
    let seconds = wait_us.cast_unsigned().div_ceil(1_000_000);
    if seconds == 0 { 1 } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_burst_passes_at_once_and_then_one_each_interval() {
        let rate = Rate::new(60, 60, 3);
        let (mut tat, now) = (0, 1000 * SECOND);
        for left in [3, 2, 1] {
            assert_eq!(rate.left(tat, now), left);
            tat = rate.admit(tat, now).unwrap();
        }
        assert_eq!(rate.left(tat, now), 0);
        assert_eq!(rate.admit(tat, now), Err(SECOND));
        assert_eq!(rate.admit(tat, now + SECOND - 1), Err(1));
        assert!(rate.admit(tat, now + SECOND).is_ok());
        assert_eq!(Rate::full_in_secs(tat, now), 3);
    }

    #[test]
    fn no_window_holds_more_than_count_and_burst() {
        // A caller that tries every 7 ms for three periods: count what passes in each window of one period.
        for rate in [
            Rate::new(100, 60, 20),
            Rate::new(7, 60, 7),
            Rate::new(5000, 3600, 500),
            Rate::new(1, 60, 1),
        ] {
            let period = i64::from(rate.period_secs()) * SECOND;
            let (mut tat, mut passed) = (0, std::collections::VecDeque::new());
            let mut now = 77 * SECOND;
            while now < 77 * SECOND + 3 * period.min(600 * SECOND) {
                if let Ok(next) = rate.admit(tat, now) {
                    tat = next;
                    passed.push_back(now);
                }
                while passed.front().is_some_and(|first| *first <= now - period) {
                    passed.pop_front();
                }
                assert!(passed.len() <= (rate.count() + rate.burst()) as usize, "{rate:?}");
                now += 7_000;
            }
        }
    }

    #[test]
    fn what_is_left_is_what_passes() {
        let rate = Rate::new(100, 60, 20);
        let now = 50 * SECOND;
        for tat in [
            0,
            now,
            now + 1,
            now + 600_000,
            now + 5 * SECOND,
            now + 12 * SECOND,
            now + 60 * SECOND,
        ] {
            let (mut passes, mut at) = (0, tat);
            while let Ok(next) = rate.admit(at, now) {
                at = next;
                passes += 1;
            }
            assert_eq!(rate.left(tat, now), passes, "tat {tat}");
        }
    }
}
