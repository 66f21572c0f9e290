//! The circuit breaker of a connection: after five failures in a row, ten seconds without calls, then one that tries.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
    trying: bool,
}

/// One call that passed. Dropped without a word (its future was cancelled), it counts for nothing.
#[derive(Debug)]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    said: bool,
}

impl Breaker {
    /// # Errors
    /// How long to wait.
    pub fn pass(&self) -> Result<Pass<'_>, Duration> {
        let mut state = self.lock();
        if let Some(until) = state.open_until {
            let now = Instant::now();
            if now < until {
                return Err(until - now);
            }
            if state.trying {
                return Err(Duration::from_secs(1));
            }
            state.trying = true;
        }
        Ok(Pass {
            breaker: self,
            said: false,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    pub fn succeeded(mut self) {
        self.said = true;
        *self.breaker.lock() = State::default();
    }

    pub fn failed(mut self) {
        self.said = true;
        let mut state = self.breaker.lock();
        state.failures += 1;
        state.trying = false;
        if state.failures >= FAILURES {
            state.open_until = Some(Instant::now() + REST);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.said {
            self.breaker.lock().trying = false;
        }
    }
}
