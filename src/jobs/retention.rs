//! Retention: old audit entries, idempotency keys and changes go, in batches, so that nobody waits long for the writer.

use uuid::Uuid;

use crate::{
    clock,
    error::Result,
    idempotency,
    state::State,
    store::{self, Reach},
};

const BATCH: i64 = 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Changes are kept longer than any replica may sleep and still catch up singly.
const CHANGES_MS: i64 = DAY_MS;
/// Codes, refresh tokens and grants that have ended are told from unknown ones for a day; grants are named by audit entries longer,
/// which hold their id alone.
const GRANTS_MS: i64 = DAY_MS;
/// An application that has used nothing for so long registers anew. Long, since most keep their id for ever and cannot be told at the
/// page, where a member meets it, that it is unknown.
const CLIENTS_MS: i64 = 365 * DAY_MS;
/// The same of one that nobody has ever allowed anything: a member may have had to ask for a token first.
const UNUSED_CLIENTS_MS: i64 = 30 * DAY_MS;
/// How many days usage by day is kept: a year, and a month to look back at it.
const USAGE_DAYS: i64 = 400;

pub async fn run(state: &State) -> Result<()> {
    let now = state.clock.millis();
    let oldest = first_id_at(now - i64::from(state.config.audit_days) * DAY_MS);
    let mut tx = state.store.read(Reach::Operator).await?;
    let tenants = store::tenants::ids_of_all(&mut tx).await?;
    drop(tx);
    let mut removed = 0;
    let oldest_day = clock::rfc3339(now - USAGE_DAYS * DAY_MS)[..10].to_owned();
    for tenant in tenants {
        prune_days(state, &tenant, &oldest_day).await?;
        loop {
            let mut tx = state.store.write(Reach::Operator).await?;
            let count = store::audit::prune(&mut tx, &tenant, &oldest, BATCH).await?;
            tx.commit().await?;
            removed += count;
            if count < BATCH.unsigned_abs() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    if removed > 0 {
        tracing::info!(
            entries = removed,
            days = state.config.audit_days,
            "audit entries past their age were removed"
        );
    }
    let kept_since = now - i64::try_from(idempotency::KEPT.as_millis()).unwrap_or(i64::MAX);
    loop {
        let mut tx = state.store.write(Reach::Operator).await?;
        let count = store::idempotency::prune(&mut tx, kept_since, BATCH).await?;
        tx.commit().await?;
        if count < BATCH.unsigned_abs() {
            break;
        }
    }
    loop {
        let mut tx = state.store.write(Reach::Operator).await?;
        let count = store::sign_ins::prune(&mut tx, now, BATCH).await?;
        tx.commit().await?;
        if count < BATCH.unsigned_abs() {
            break;
        }
    }
    let mut tx = state.store.write(Reach::Operator).await?;
    store::grants::prune(&mut tx, now - GRANTS_MS).await?;
    tx.commit().await?;
    loop {
        let mut tx = state.store.write(Reach::Operator).await?;
        let count = store::oauth_clients::prune(&mut tx, now - UNUSED_CLIENTS_MS, now - CLIENTS_MS, BATCH).await?;
        tx.commit().await?;
        if count < BATCH.unsigned_abs() {
            break;
        }
    }
    let mut tx = state.store.write(Reach::Operator).await?;
    store::changes::prune(&mut tx, now - CHANGES_MS).await?;
    store::changes::bury(&mut tx, now - DAY_MS).await?;
    tx.commit().await
}

/// A day at a time: no more rows than the tenant has tokens times tools.
async fn prune_days(state: &State, tenant: &str, before: &str) -> Result<()> {
    loop {
        let mut tx = state.store.write(Reach::Operator).await?;
        let count = store::usage_days::prune(&mut tx, tenant, before).await?;
        tx.commit().await?;
        if count == 0 {
            return Ok(());
        }
    }
}

/// The smallest UUID v7 of a moment: ids before it are older.
fn first_id_at(millis: i64) -> String {
    let millis = u128::from(millis.max(0).unsigned_abs());
    Uuid::from_u128(millis << 80 | 0x7000 << 64).to_string()
}
