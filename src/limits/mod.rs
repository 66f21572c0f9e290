//! May they, now: limits per token and tenant, plan quotas, kill switches, and caps on what is in flight.
//!
//! [`Limits::admit`] is the only maker of [`Admitted`], and a call cannot be made without one.

mod cells;
mod days;
pub mod gcra;
pub mod quota;
pub mod redis;
mod switches;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{
    cells::{Cell, Charged},
    gcra::Rate,
    quota::{Meter, Usage},
    redis::Redis,
};
pub use self::{
    cells::{Cells, Custom, General, PROTOCOL, PerCategory, Rates},
    quota::TenantUsage,
    switches::Switches,
};
use crate::{
    auth::{Authorised, Caller, KnownToken},
    clock::Clock,
    config::RedisServers,
    error::{Error, Kind, Result},
    id::{TenantId, TokenId},
    store::Store,
    tool::Category,
};

/// Calls of one tenant that may be in flight.
pub const IN_FLIGHT_PER_TENANT: usize = 50;
/// Calls over one connection that may be in flight.
pub const IN_FLIGHT_PER_CONNECTION: usize = 20;
/// Large bodies of one tenant that may be read at once.
const BODIES_PER_TENANT: usize = 16;
/// How long one more waits for a place.
const PLACE_WAIT: Duration = Duration::from_secs(1);

pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The state of all limits.
#[derive(Debug)]
pub struct Limits {
    clock: Clock,
    /// Where cells are kept for all replicas; without it, and while it is silent, they are kept here.
    redis: Option<Redis>,
    /// How many replicas live.
    replicas: AtomicU32,
    tokens: DashMap<TokenId, Arc<Cells>>,
    tenants: DashMap<TenantId, Arc<TenantState>>,
    usual: Arc<Rates>,
    pub usage: Usage,
    pub switches: Switches,
}

/// What a tenant's tokens share.
#[derive(Debug)]
pub struct TenantState {
    cell: AtomicI64,
    in_flight: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl TenantState {
    /// A place among the large bodies that a tenant may send at once.
    pub async fn place_for_body(&self) -> Result<OwnedSemaphorePermit> {
        place(&self.bodies, "of this tenant").await
    }
}

/// The proof that a call is authorised and within its rates. It holds the call's place among those in flight.
#[derive(Debug)]
pub struct Admitted {
    pub call: Authorised,
    place: Option<OwnedSemaphorePermit>,
}

/// The proof that a call is within its plan too: what a tool is run with.
#[derive(Debug)]
pub struct Spent {
    pub call: Authorised,
    charged: [Option<Meter>; 2],
    #[expect(dead_code, reason = "it is held, not read")]
    place: Option<OwnedSemaphorePermit>,
}

/// How a caller stands with his limits: the `RateLimit-Policy` and `RateLimit` of the answer.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    policy: Option<HeaderValue>,
    /// The cell with the least left: its name, how many calls it admits now, and the seconds until it is full.
    least: Option<(&'static str, u32, u64)>,
}

impl Standing {
    fn new(policy: HeaderValue) -> Self {
        Self {
            policy: Some(policy),
            least: None,
        }
    }

    /// Charges a cell and takes note of what is left in it.
    fn note(&mut self, name: &'static str, rate: Rate, charged: Charged, now: i64) -> Result<()> {
        let left = rate.left(charged.tat, now);
        let full_in = Rate::full_in_secs(charged.tat, now);
        if let Some(wait_us) = charged.wait_us {
            self.least = Some((name, 0, full_in));
            let seconds = gcra::retry_after_secs(wait_us);
            return Err(Error::new(
                Kind::RateLimited,
                format!("Rate limit exceeded for category '{name}'. Wait {seconds} s before the next call, and call less often."),
            )
            .retry_after(seconds));
        }
        if self.least.is_none_or(|(_, least, _)| left < least) {
            self.least = Some((name, left, full_in));
        }
        Ok(())
    }

    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(policy) = &self.policy {
            headers.insert(RATE_LIMIT_POLICY, policy.clone());
        }
        if let Some((name, left, full_in)) = self.least {
            let mut numbers = itoa::Buffer::new();
            let mut text = String::with_capacity(48);
            text.push('"');
            text.push_str(name);
            text.push_str("\";r=");
            text.push_str(numbers.format(left));
            text.push_str(";t=");
            text.push_str(numbers.format(full_in));
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(RATE_LIMIT, value);
            }
        }
    }
}

impl Limits {
    pub fn new(redis: Option<RedisServers>, clock: Clock) -> Self {
        Self {
            clock,
            redis: redis.map(Redis::new),
            replicas: AtomicU32::new(1),
            tokens: DashMap::new(),
            tenants: DashMap::new(),
            usual: Arc::new(Rates::new(None)),
            usage: Usage::default(),
            switches: Switches::default(),
        }
    }

    /// Where the cells of all replicas are, if anywhere.
    pub fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    /// Whether Redis is configured and does not answer.
    pub fn redis_is_away(&self) -> bool {
        self.redis.as_ref().is_some_and(|redis| !redis.is_here())
    }

    /// Notes how many replicas live, this one among them.
    pub fn note_replicas(&self, living: i64) {
        self.replicas.store(u32::try_from(living).unwrap_or(1).max(1), Ordering::Relaxed);
    }

    /// How many replicas live, as far as this one knows.
    pub fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// The cells of a token, which outlive its entry in the cache.
    pub fn cells(&self, token: TokenId) -> Arc<Cells> {
        Arc::clone(&self.tokens.entry(token).or_default())
    }

    pub fn rates(&self, custom: Option<&Custom>) -> Arc<Rates> {
        match custom {
            None => Arc::clone(&self.usual),
            some => Arc::new(Rates::new(some)),
        }
    }

    pub fn tenant(&self, tenant: TenantId) -> Arc<TenantState> {
        Arc::clone(&self.tenants.entry(tenant).or_insert_with(|| {
            Arc::new(TenantState {
                cell: AtomicI64::new(0),
                in_flight: Arc::new(Semaphore::new(IN_FLIGHT_PER_TENANT)),
                bodies: Arc::new(Semaphore::new(BODIES_PER_TENANT)),
            })
        }))
    }

    /// Forgets cells that nobody holds and that are full again.
    pub fn sweep(&self, now: i64) {
        self.tokens.retain(|_, cells| Arc::strong_count(cells) > 1 || !cells.are_full(now));
    }

    /// Charges a protocol method: `tools/list`, `ping`, whoami.
    pub async fn admit_protocol(&self, caller: &Caller) -> (Result<()>, Standing) {
        let Some(token) = caller.limited() else {
            return (Ok(()), Standing::default());
        };
        let mut standing = Standing::new(token.rates.protocol_policy());
        let charged = self.charge(caller, token, &[Cell::Protocol], &mut standing).await;
        (charged, standing)
    }

    /// Charges a call that was refused before it could be admitted: general and hour only.
    pub async fn charge_refused(&self, caller: &Caller, category: Category) -> (Result<()>, Standing) {
        let Some(token) = caller.limited() else {
            return (Ok(()), Standing::default());
        };
        let mut standing = Standing::new(token.rates.policy(category));
        let charged = self.charge(caller, token, &[Cell::General, Cell::Hour], &mut standing).await;
        (charged, standing)
    }

    /// Charges cells in their order, wherever they are kept. The first that refuses stops.
    async fn charge(&self, caller: &Caller, token: &KnownToken, cells: &[Cell], standing: &mut Standing) -> Result<()> {
        let Some(tenant) = caller.tenant() else {
            return Err(Error::internal("a tenant's token without its tenant reached the limits"));
        };
        let cells = cells.iter().filter_map(|cell| Some((*cell, token.rates.of(*cell)?)));
        let mut replicas = 1;
        if let Some(redis) = &self.redis {
            let cells: Vec<_> = cells.clone().collect();
            let keys: Vec<_> = {
                let (tenant, token) = (tenant.tenant.id.to_string(), token.counts_as.to_string());
                cells
                    .iter()
                    .map(|(cell, rate)| (redis::key(&tenant, &token, *cell), *rate))
                    .collect()
            };
            if let Some((now, charged)) = redis.charge(&keys, self.clock.ahead_us()).await {
                for ((cell, rate), charged) in cells.iter().zip(charged) {
                    standing.note(cell.name(), *rate, charged, now)?;
                }
                return Ok(());
            }
            // In this process' own cells, which are full the first time. What they hold of an earlier silence counts: a Redis that
            // comes and goes gives no burst each time.
            replicas = self.replicas();
        }
        let now = self.clock.micros();
        for (cell, rate) in cells {
            let rate = rate.shared_by(replicas);
            standing.note(cell.name(), rate, token.cells.charge(&tenant.limits.cell, cell, rate, now), now)?;
        }
        Ok(())
    }

    /// Charges the call's cells in their order, and takes a place among the calls in flight.
    ///
    /// The first refusal stops: the refusing cell and later ones stay as they were, earlier charges stay.
    pub async fn admit(&self, call: Authorised) -> (Result<Admitted>, Standing) {
        let caller = call.caller();
        let tool = call.tool();
        let Some(token) = caller.limited() else {
            return (Ok(Admitted::free(call)), Standing::default());
        };
        let mut standing = Standing::new(token.rates.policy(tool.category));
        let Some(tenant) = caller.tenant() else {
            return (
                Err(Error::internal("a tenant's token without its tenant reached the limits")),
                standing,
            );
        };
        let cells = [
            Cell::General,
            Cell::Hour,
            Cell::Tenant,
            Cell::CategoryHour(tool.category),
            Cell::CategoryMinute(tool.category),
        ];
        let counted = if tool.category.counts(tool.route.effect()) {
            &cells[..]
        } else {
            &cells[..3]
        };
        if let Err(error) = self.charge(caller, token, counted, &mut standing).await {
            return (Err(error), standing);
        }
        let admitted = match place(&tenant.limits.in_flight, "of this tenant").await {
            Ok(place) => Ok(Admitted { call, place: Some(place) }),
            Err(error) => Err(error),
        };
        (admitted, standing)
    }

    /// Charges the plan's quota, right before the backend is opened: a key whose outcome is known costs nothing.
    ///
    /// # Errors
    /// [`Kind::QuotaSpent`].
    pub async fn spend(&self, store: &Store, admitted: Admitted) -> Result<Spent> {
        let mut spent = Spent {
            call: admitted.call,
            charged: [None; 2],
            place: admitted.place,
        };
        let caller = spent.call.caller();
        let (Some(token), Some(tenant)) = (caller.limited(), caller.tenant()) else {
            return Ok(spent);
        };
        let tool = spent.call.tool();
        let meters = [tool.category.metered().then_some(Meter::ApiCalls), tool.meter];
        let now = self.clock.millis();
        for (meter, charged) in meters.into_iter().zip(&mut spent.charged) {
            if let Some(meter) = meter {
                tenant.usage.charge(store, &tenant.plan, meter, self.replicas(), now).await?;
                *charged = Some(meter);
                // What counts as a call of the plan's counts in its day, also where another meter is spent.
                if meter == Meter::ApiCalls {
                    tenant.usage.days.count(token.id, tool.name, now);
                }
            }
        }
        Ok(spent)
    }
}

impl Admitted {
    /// The operator's calls are not limited.
    fn free(call: Authorised) -> Self {
        Self { call, place: None }
    }
}

impl Spent {
    /// Takes back what the plan was charged: nothing was done for it, as the call was refused before the backend.
    pub fn give_back(&self, now: i64) {
        let caller = self.call.caller();
        if let Some(tenant) = caller.tenant() {
            for meter in self.charged.into_iter().flatten().filter(|meter| *meter != Meter::ApiCalls) {
                tenant.usage.give_back(meter, now / 1000);
            }
        }
    }
}

/// A place among the calls in flight; one more waits a second for it.
///
/// # Errors
/// [`Kind::Unavailable`] with `Retry-After: 1`.
pub async fn place(places: &Arc<Semaphore>, whose: &str) -> Result<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Ok(place);
    }
    match tokio::time::timeout(PLACE_WAIT, Arc::clone(places).acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(closed)) => Err(Error::internal(closed)),
        Err(_) => Err(
            Error::unavailable(format!("Too many calls {whose} are in flight; wait for some to end"))
                .coded("too_many_in_flight")
                .retry_after(1),
        ),
    }
}
