//! Plan quotas: what a tenant may use in a calendar month of its own time zone, and the durable counters behind them.
//!
//! Far from a quota, calls are counted here and written in batches. Near it, and always for what is billed by the piece, the
//! count is written before the call goes on, so that the last unit is given once, whoever gives it.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use super::{
    cells::TENANT,
    days::{self, Days},
};
use crate::{
    error::{Error, Kind, Result},
    id::TenantId,
    store::{self, Reach, Store, plans::Plan},
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    ApiCalls,
    /// Executions of workflows.
    Workflows,
    CodeGenerations,
}

impl Meter {
    pub const ALL: [Meter; 3] = [Meter::ApiCalls, Meter::Workflows, Meter::CodeGenerations];

    pub const fn name(self) -> &'static str {
        match self {
            Meter::ApiCalls => "api_calls",
            Meter::Workflows => "workflows",
            Meter::CodeGenerations => "code_generations",
        }
    }

    pub const fn quota(self, plan: &Plan) -> Option<i64> {
        match self {
            Meter::ApiCalls => plan.api_calls,
            Meter::Workflows => plan.workflows,
            Meter::CodeGenerations => plan.code_generations,
        }
    }

    /// Whether each unit is written before it is used. API calls are many and cheap; the others are few and billed singly.
    const fn exact(self) -> bool {
        match self {
            Meter::ApiCalls => false,
            Meter::Workflows | Meter::CodeGenerations => true,
        }
    }
}

/// How near to its quota a batched meter becomes exact: more than all replicas may hold unwritten.
const EXACT_BELOW: i64 = 1500;
/// What other replicas may have counted in a second since this one last read the counter: the tenant's own limit bounds it.
const OTHERS_PER_SECOND: i64 = TENANT.count() as i64 / TENANT.period_secs() as i64 + 1;

/// The counters of all tenants that this process has seen.
#[derive(Debug, Default)]
pub struct Usage(DashMap<TenantId, Arc<TenantUsage>>);

/// A tenant's counters for the current month.
#[derive(Debug)]
pub struct TenantUsage {
    tenant: TenantId,
    month: Mutex<Month>,
    pub days: Days,
    /// Held while a count is written, so that exact counting does not race itself.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Month {
    time_zone: TimeZone,
    /// As stored: `2026-11`.
    name: String,
    /// When it ends, epoch milliseconds.
    end: i64,
    written: [i64; Meter::ALL.len()],
    /// When `written` was last read from the database, epoch milliseconds.
    read_at: i64,
    pending: [i64; Meter::ALL.len()],
    /// What a month that has ended still has to write.
    left_over: Vec<(String, Meter, i64)>,
}

impl Usage {
    /// The tenant's counters, read from the database the first time.
    pub async fn of(&self, store: &Store, tenant: TenantId, time_zone: &TimeZone, now: i64) -> Result<Arc<TenantUsage>> {
        if let Some(known) = self.0.get(&tenant) {
            known.lock().set_zone(time_zone, now);
            known.days.set_zone(time_zone, now);
            return Ok(Arc::clone(&known));
        }
        let mut month = Month::new(time_zone.clone(), now);
        let mut tx = store.read(Reach::Tenant(tenant)).await?;
        for meter in Meter::ALL {
            month.written[meter as usize] = store::usage::get(&mut tx, tenant, &month.name, meter.name()).await?;
        }
        let fresh = Arc::new(TenantUsage {
            tenant,
            month: Mutex::new(month),
            days: Days::new(time_zone.clone(), now),
            writing: tokio::sync::Mutex::default(),
        });
        Ok(Arc::clone(&self.0.entry(tenant).or_insert(fresh)))
    }

    /// Writes what is counted and not yet written. What cannot be written stays for the next time.
    pub async fn flush(&self, store: &Store, now: i64) -> Result<()> {
        let mut waiting: Vec<_> = self
            .0
            .iter()
            .filter(|usage| usage.is_waiting())
            .map(|usage| Arc::clone(&usage))
            .collect();
        // In one order in every replica, so that two that write the same rows do not wait for each other.
        waiting.sort_unstable_by_key(|usage| usage.tenant);
        for batch in waiting.chunks(64) {
            write(store, Reach::Operator, batch, now).await?;
        }
        Ok(())
    }
}

async fn write(store: &Store, reach: Reach, batch: &[Arc<TenantUsage>], now: i64) -> Result<()> {
    let mut tx = store.write(reach).await?;
    let mut taken = Taken::default();
    for usage in batch {
        let portions = usage.lock().take(now);
        let portions = portions.into_iter().map(|(month, meter, amount)| (usage, month, meter, amount, 0));
        taken.portions.extend(portions);
        taken.days.push((usage, usage.days.take()));
    }
    for (usage, month, meter, amount, total) in &mut taken.portions {
        *total = store::usage::add(&mut tx, usage.tenant, month, meter.name(), *amount).await?;
    }
    let rows: Vec<_> = taken
        .days
        .iter()
        .flat_map(|(usage, calls)| days::rows(usage.tenant, calls))
        .collect();
    store::usage_days::add(&mut tx, &rows).await?;
    taken.committing = true;
    tx.commit().await?;
    taken.days.clear();
    for (usage, month, meter, _, total) in std::mem::take(&mut taken.portions) {
        usage.lock().wrote(&month, meter, total, now);
    }
    Ok(())
}

/// What one tenant has to write, and what its counter stands at after that.
type Portion<'a> = (&'a Arc<TenantUsage>, String, Meter, i64, i64);

/// Portions on their way to the database, which go back unless they arrive: it may fail, or never answer.
#[derive(Default)]
struct Taken<'a> {
    portions: Vec<Portion<'a>>,
    days: Vec<(&'a Arc<TenantUsage>, days::Taken)>,
    committing: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for (usage, month, meter, amount, _) in self.portions.drain(..) {
            usage.lock().put_back(month, meter, amount, self.committing);
        }
        for (usage, calls) in self.days.drain(..) {
            usage.days.put_back(calls);
        }
    }
}

impl TenantUsage {
    fn lock(&self) -> std::sync::MutexGuard<'_, Month> {
        self.month.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_waiting(&self) -> bool {
        self.lock().is_waiting() || self.days.is_waiting()
    }

    /// Writes what this process has counted of the tenant, so that whoever reads next finds it.
    pub async fn flush(self: &Arc<Self>, store: &Store, now: i64) -> Result<()> {
        if self.is_waiting() {
            write(store, Reach::Tenant(self.tenant), std::slice::from_ref(self), now).await?;
        }
        Ok(())
    }

    /// Reads what all replicas have written.
    pub async fn refresh(&self, store: &Store, now: i64) -> Result<()> {
        let (name, _) = self.month(now);
        let mut tx = store.read(Reach::Tenant(self.tenant)).await?;
        for meter in Meter::ALL {
            let written = store::usage::get(&mut tx, self.tenant, &name, meter.name()).await?;
            self.lock().wrote(&name, meter, written, now);
        }
        Ok(())
    }

    /// How much of a meter is used this month.
    pub fn used(&self, meter: Meter, now: i64) -> i64 {
        let mut month = self.lock();
        month.turn(now);
        month.written[meter as usize] + month.pending[meter as usize]
    }

    /// The current month, as stored, and when it ends (epoch milliseconds).
    pub fn month(&self, now: i64) -> (String, i64) {
        let mut month = self.lock();
        month.turn(now);
        (month.name.clone(), month.end)
    }

    /// Counts one unit, unless the plan's quota is spent.
    ///
    /// # Errors
    /// [`Kind::QuotaSpent`], with the seconds to the month's end.
    pub async fn charge(&self, store: &Store, plan: &Plan, meter: Meter, replicas: u32, now: i64) -> Result<()> {
        let quota = meter.quota(plan);
        {
            let mut month = self.lock();
            month.turn(now);
            let used = month.written[meter as usize] + month.pending[meter as usize];
            let unseen = (now - month.read_at).max(0) / 1000 * OTHERS_PER_SECOND * i64::from(replicas - 1);
            let far = quota.is_none_or(|quota| used + EXACT_BELOW + unseen < quota);
            if far && !meter.exact() {
                month.pending[meter as usize] += 1;
                return Ok(());
            }
            // A quota once spent stays spent for the month, unless the plan changes: no need to ask again.
            if let Some(quota) = quota
                && used >= quota
            {
                return Err(spent(plan, meter, quota, month.end, now));
            }
        }
        let _writing = self.writing.lock().await;
        let (name, end) = self.month(now);
        let pending = std::mem::take(&mut self.lock().pending[meter as usize]);
        let mut unwritten = Unwritten {
            usage: self,
            portion: Some((name.clone(), meter, pending)),
            committing: false,
        };
        let counted = store::in_time(async {
            let mut tx = store.write(Reach::Tenant(self.tenant)).await?;
            let before = store::usage::add(&mut tx, self.tenant, &name, meter.name(), pending).await?;
            let granted = quota.is_none_or(|quota| before < quota);
            let total = if granted {
                store::usage::add(&mut tx, self.tenant, &name, meter.name(), 1).await?
            } else {
                before
            };
            unwritten.committing = true;
            tx.commit().await?;
            Ok((granted, total))
        })
        .await;
        match counted {
            Ok((granted, total)) => {
                unwritten.portion = None;
                self.lock().wrote(&name, meter, total, now);
                match quota {
                    Some(quota) if !granted => Err(spent(plan, meter, quota, end, now)),
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Takes one unit back: the call that it was counted for did nothing.
    pub fn give_back(&self, meter: Meter, now: i64) {
        let mut month = self.lock();
        month.turn(now);
        month.pending[meter as usize] -= 1;
    }
}

/// Counts that were taken to be written, and go back unless they were: the database may fail, and the client may hang up.
struct Unwritten<'a> {
    usage: &'a TenantUsage,
    portion: Option<(String, Meter, i64)>,
    committing: bool,
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        if let Some((month, meter, amount)) = self.portion.take() {
            self.usage.lock().put_back(month, meter, amount, self.committing);
        }
    }
}

fn spent(plan: &Plan, meter: Meter, quota: i64, end: i64, now: i64) -> Error {
    let seconds = u64::try_from((end - now).max(0)).unwrap_or_default().div_ceil(1000);
    Error::new(
        Kind::QuotaSpent,
        format!(
            "The plan '{}' allows {quota} {} a month, and they are spent. Wait for the next month, or ask the operator for a larger plan.",
            plan.name,
            meter.name()
        ),
    )
    .retry_after(seconds)
}

impl Month {
    fn new(time_zone: TimeZone, now: i64) -> Self {
        let (name, end) = calendar_month(&time_zone, now);
        Self {
            time_zone,
            name,
            end,
            written: [0; Meter::ALL.len()],
            read_at: now,
            pending: [0; Meter::ALL.len()],
            left_over: Vec::new(),
        }
    }

    /// Begins the next month when this one has ended.
    fn turn(&mut self, now: i64) {
        if now < self.end {
            return;
        }
        self.set_aside();
        (self.name, self.end) = calendar_month(&self.time_zone, now);
        self.written = [0; Meter::ALL.len()];
    }

    fn set_zone(&mut self, time_zone: &TimeZone, now: i64) {
        if self.time_zone == *time_zone {
            return;
        }
        self.time_zone = time_zone.clone();
        let (name, end) = calendar_month(time_zone, now);
        self.end = end;
        if name != self.name {
            self.set_aside();
            self.name = name;
            self.written = [0; Meter::ALL.len()];
        }
    }

    fn set_aside(&mut self) {
        for meter in Meter::ALL {
            let amount = std::mem::take(&mut self.pending[meter as usize]);
            if amount != 0 {
                self.left_over.push((self.name.clone(), meter, amount));
            }
        }
    }

    /// What was to be written and perhaps was not. Where the answer to the commit was lost, what was used is written again and
    /// what was given back is not: a count may come out too high, and no unit is given twice.
    fn put_back(&mut self, month: String, meter: Meter, amount: i64, committing: bool) {
        if amount > 0 || amount < 0 && !committing {
            self.left_over.push((month, meter, amount));
        }
    }

    fn is_waiting(&self) -> bool {
        self.pending.iter().any(|amount| *amount != 0) || !self.left_over.is_empty()
    }

    fn take(&mut self, now: i64) -> Vec<(String, Meter, i64)> {
        self.turn(now);
        let mut portions = std::mem::take(&mut self.left_over);
        for meter in Meter::ALL {
            let amount = std::mem::take(&mut self.pending[meter as usize]);
            if amount != 0 {
                portions.push((self.name.clone(), meter, amount));
            }
        }
        portions
    }

    fn wrote(&mut self, month: &str, meter: Meter, total: i64, now: i64) {
        if self.name == month {
            self.written[meter as usize] = total;
            if !meter.exact() {
                self.read_at = now;
            }
        }
    }
}

/// The month that a moment lies in, as stored, and when it ends (epoch milliseconds).
fn calendar_month(time_zone: &TimeZone, now: i64) -> (String, i64) {
    let moment = Timestamp::from_millisecond(now)
        .unwrap_or(Timestamp::MAX)
        .to_zoned(time_zone.clone());
    let end = moment
        .first_of_month()
        .and_then(|first| first.checked_add(1.month()))
        .and_then(|next| next.start_of_day())
        .map_or(i64::MAX, |next| next.timestamp().as_millisecond());
    (moment.strftime("%Y-%m").to_string(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_lost_commit_no_unit_is_given_back_twice() {
        let mut month = Month::new(TimeZone::UTC, 0);
        for (amount, committing) in [(3, true), (-2, true), (0, false), (4, false), (-1, false)] {
            month.put_back("1970-01".to_owned(), Meter::Workflows, amount, committing);
        }
        let amounts: Vec<_> = month.take(0).into_iter().map(|(.., amount)| amount).collect();
        assert_eq!(amounts, [3, 4, -1]);
    }

    #[test]
    fn a_month_ends_at_midnight_of_the_tenants_own_zone() {
        let millis = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let santiago = TimeZone::get("America/Santiago").unwrap();
        // 1 December 02:30 UTC is still November in Santiago (UTC−3 in summer).
        let (name, end) = calendar_month(&santiago, millis("2026-12-01T02:30:00Z"));
        assert_eq!((name.as_str(), end), ("2026-11", millis("2026-12-01T03:00:00Z")));
        let (name, _) = calendar_month(&santiago, end);
        assert_eq!(name, "2026-12");
    }
}
