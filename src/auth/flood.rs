//! Floods: how often one address may do what costs us something before we know who it is. Requests without a valid token: 60 a
//! minute and 30 at once, then 429 before any look-up.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use dashmap::DashMap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock, QuantaInstant, Reference as _},
    state::keyed::DashMapStateStore,
};

use crate::error::{Error, Kind, Result};

const PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// How many addresses are remembered before those that have calmed down are forgotten.
const REMEMBERED: usize = 20_000;

/// Counts failures by address. `governor` cannot be asked without being charged, so that an address that has spent its
/// allowance is kept in `shut` until it has some again: a look-up asks there.
pub struct Flood {
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>,
    shut: DashMap<IpAddr, QuantaInstant>,
    clock: DefaultClock,
    /// What there were too many of, and what to do.
    words: (&'static str, &'static str),
}

impl std::fmt::Debug for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flood").field("shut", &self.shut.len()).finish_non_exhaustive()
    }
}

impl Default for Flood {
    fn default() -> Self {
        let words = ("requests without a valid token", "check the token");
        Self::new(Quota::per_minute(PER_MINUTE).allow_burst(BURST), words)
    }
}

impl Flood {
    /// `words`: what there may be too many of, and what to do besides waiting.
    pub fn new(quota: Quota, words: (&'static str, &'static str)) -> Self {
        let clock = DefaultClock::default();
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            shut: DashMap::new(),
            clock,
            words,
        }
    }

    /// Whether this address may have a token looked up.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] when it has sent too many that were not valid.
    pub fn check(&self, address: IpAddr) -> Result<()> {
        let address = network(address);
        let now = self.clock.now();
        match self.shut.get(&address).map(|until| *until) {
            Some(until) if until > now => Err(self.refusal(until.duration_since(now).into())),
            Some(_) => {
                self.shut.remove(&address);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts a request without a valid token.
    ///
    /// # Errors
    /// [`Kind::RateLimited`] when that was one too many.
    pub fn count(&self, address: IpAddr) -> Result<()> {
        let address = network(address);
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&address) {
            Ok(()) => Ok(()),
            Err(not_until) => {
                let now = self.clock.now();
                let wait = not_until.wait_time_from(now);
                if self.shut.len() > REMEMBERED {
                    self.shut.retain(|_, until| *until > now);
                }
                if self.shut.insert(address, not_until.earliest_possible()).is_none() {
                    tracing::warn!(%address, "too many {}; this address is shut out for a while", self.words.0);
                }
                Err(self.refusal(wait))
            }
        }
    }

    fn refusal(&self, wait: std::time::Duration) -> Error {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let (what, advice) = self.words;
        Error::new(
            Kind::RateLimited,
            format!("Too many {what} from this address. Wait {seconds} s, and {advice}."),
        )
        .retry_after(u64::try_from(seconds).unwrap_or(60))
    }
}

/// One subscriber's network: an IPv4 address, or a /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64))),
        },
    }
}
