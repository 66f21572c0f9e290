//! Idempotency: a key runs a write once. The second time, the first outcome is answered again, marked as a replay.
//!
//! A key belongs to its tenant. While its first call runs, duplicates wait for it. A key with other arguments is a conflict. If the
//! process died in the middle, nobody can say whether the backend acted, and the key says so for ever after, never running again.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{sync::Notify, time::Instant};

use crate::{
    error::{Error, Kind, Result},
    secrets,
    state::State,
    store::{
        self, Reach, Tx,
        audit::{Entry, Outcome as AuditOutcome},
        changes, idempotency as rows,
    },
    tool::Rendered,
};

/// The header of REST, also taken on MCP's POST.
pub const HEADER: &str = "idempotency-key";
/// Where an MCP client puts it: `params._meta`.
pub const META_KEY: &str = "cl.smarterbot/idempotencyKey";
/// How long an outcome is kept.
pub const KEPT: Duration = Duration::from_hours(24);
const KEY_MAX: usize = 255;
/// The longest outcome that is kept: its size is the backend's to choose.
const OUTCOME_MAX: usize = 256 * 1024;
/// A process that has not been seen for so long is dead.
pub const DEAD_AFTER_MS: i64 = 10_000;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A key, checked: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug)]
pub struct Key(String);

impl Key {
    /// # Errors
    /// When it is empty, too long, or not visible ASCII.
    pub fn new(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > KEY_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(
                "Idempotency-Key: must be 1 to 255 visible ASCII characters, e.g. a UUID",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>> {
        headers
            .get(HEADER)
            .map(|value| Self::new(value.to_str().unwrap_or_default()))
            .transpose()
    }
}

/// Keys whose first call runs in this process, with its audit entry's id, so that duplicates are woken when it ends.
#[derive(Debug, Default)]
pub struct Running(DashMap<(String, String), (String, Arc<Notify>)>);

/// A write that may go on: its audit entry is stored, open, and its key, if it has one, is claimed.
#[derive(Debug)]
pub struct Begun {
    pub entry: Entry,
    key: Option<Key>,
}

/// What came of claiming.
#[derive(Debug)]
pub enum Claimed {
    Begun(Begun),
    /// The first call's outcome.
    Replay(Result<Rendered>),
}

/// An outcome as it is kept, sealed.
#[derive(Serialize, Deserialize)]
enum Kept {
    Object(Box<RawValue>),
    Failed { code: String, kind: String, message: String },
}

/// Stores the write's audit entry and claims its key, in one transaction: durable before the backend is called.
///
/// Waits, up to `deadline`, for a first call that still runs.
///
/// `rights` is what the outcome depends on besides the arguments: an administrator's answer is not another's.
pub async fn begin(state: &Arc<State>, entry: Entry, key: Option<Key>, rights: &str, deadline: Instant) -> Result<Claimed> {
    let arguments_hash = format!("{}{rights}", entry.arguments_hash);
    let Some(key) = key else {
        let opened = store::in_time(async {
            let mut tx = state.store.write(Reach::of(&entry.tenant)).await?;
            crate::audit::open(&mut tx, &entry).await?;
            Ok(tx)
        });
        if let Err(error) = store::in_time(opened.await?.commit()).await {
            abandon(state, entry, None);
            return Err(error);
        }
        return Ok(Claimed::Begun(Begun { entry, key: None }));
    };
    loop {
        let now = state.clock.millis();
        let kept_since = now - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        // Looking needs no writer: many may wait for one call.
        let looked = store::in_time(async {
            let mut tx = state.store.read(Reach::of(&entry.tenant)).await?;
            let first = rows::find(&mut tx, &entry.tenant, &key.0)
                .await?
                .filter(|first| first.created_at >= kept_since);
            let Some(first) = first else { return Ok(None) };
            // While the database was away nobody could say that he lives.
            let alive = first.instance == state.instance
                || !state.freshness.is_steady_for(DEAD_AFTER_MS)
                || changes::lives(&mut tx, &first.instance, now - DEAD_AFTER_MS).await?;
            Ok(Some((first, alive)))
        });
        let Some((first, alive)) = looked.await? else {
            if claim(state, &entry, &key, &arguments_hash, kept_since).await? {
                return Ok(Claimed::Begun(Begun { entry, key: Some(key) }));
            }
            continue;
        };
        if first.tool != entry.tool || first.arguments_hash != arguments_hash {
            return Err(
                Error::conflict("Idempotency-Key: this key was used for another call; use a new key for a new call")
                    .coded("idempotency_key_reused"),
            );
        }
        if let Some(outcome) = first.outcome {
            return replay(state, &first.tenant, &first.key, &outcome).await.map(Claimed::Replay);
        }
        let here = state
            .running
            .0
            .get(&(first.tenant.clone(), first.key.clone()))
            .map(|running| Arc::clone(&running.1));
        let mine = first.instance == state.instance;
        if (mine && here.is_none() && !still_unfinished_is_a_race(state, &first).await?) || !alive {
            return Err(Error::conflict(format!(
                "The first call with this key was cut off in the middle, and whether the backend acted is not known. Look before you call again with a new key. Its audit entry is {}",
                first.audit_id
            ))
            .coded("outcome_unknown"));
        }
        if Instant::now() >= deadline {
            return Err(Error::new(
                Kind::Timeout,
                "The first call with this key still runs; ask again later with the same key",
            )
            .retry_after(5));
        }
        match here {
            Some(ended) => {
                let _ = tokio::time::timeout(LOOK_AGAIN, ended.notified()).await;
            }
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Claims the key and stores the open entry, in one transaction. False when somebody else was quicker.
async fn claim(state: &Arc<State>, entry: &Entry, key: &Key, arguments_hash: &str, kept_since: i64) -> Result<bool> {
    let claim = rows::Claim {
        tenant: entry.tenant.clone(),
        key: key.0.clone(),
        tool: entry.tool.to_owned(),
        arguments_hash: arguments_hash.to_owned(),
        instance: state.instance.clone(),
        audit_id: entry.id.clone(),
        created_at: state.clock.millis(),
        outcome: None,
    };
    let claimed = store::in_time(async {
        let mut tx = state.store.write(Reach::of(&entry.tenant)).await?;
        if !rows::claim(&mut tx, &claim, kept_since).await? {
            tx.undo().await?;
            return Ok(None);
        }
        // What is to come must be kept: a key that cannot seal (rotated meanwhile) refuses here, before anything is done.
        state
            .secrets
            .seal(&mut tx, &secrets::outcome_place(&entry.tenant, &key.0), b"")
            .await?;
        crate::audit::open(&mut tx, entry).await?;
        Ok(Some(tx))
    });
    let Some(tx) = claimed.await? else { return Ok(false) };
    // Before the commit: a duplicate that sees the claim finds somebody to wait for.
    let running = (entry.tenant.clone(), key.0.clone());
    state.running.0.insert(running.clone(), (entry.id.clone(), Arc::default()));
    if let Err(error) = store::in_time(tx.commit()).await {
        abandon(state, entry.clone(), Some(key.clone()));
        return Err(error);
    }
    Ok(true)
}

/// A commit whose answer was lost may have been made. The call is refused, so what it left, if it did, is taken back as soon as
/// the database answers; until then its duplicates wait.
fn abandon(state: &Arc<State>, entry: Entry, key: Option<Key>) {
    let begun = Begun { entry, key };
    let refused = AuditOutcome::Done {
        status: Kind::Unavailable.status().as_u16(),
        error: Some("database_away"),
        duration_ms: state.clock.millis() - begun.entry.at,
    };
    let answer = Err(Error::unavailable("The gateway's database went away"));
    let task = {
        let state = Arc::clone(state);
        async move { finish(&state, &begun, &refused, &answer, false).await }
    };
    state.calls.spawn(task);
}

/// This process's claim is in the table but its call is not in memory: it may have ended between the two looks.
async fn still_unfinished_is_a_race(state: &State, first: &rows::Claim) -> Result<bool> {
    let again = store::in_time(async {
        let mut tx = state.store.read(Reach::of(&first.tenant)).await?;
        rows::find(&mut tx, &first.tenant, &first.key).await
    });
    let again = again.await?;
    Ok(again.is_none_or(|again| again.outcome.is_some() || again.audit_id != first.audit_id))
}

/// Completes a write: its audit entry, and its key's outcome; or frees the key when the backend was never reached.
///
/// Tries until the database takes it: the backend has acted, and that must not be forgotten while this process lives.
pub async fn finish(state: &State, begun: &Begun, outcome: &AuditOutcome, answer: &Result<Rendered>, reached: bool) {
    let mut pause = Duration::from_millis(50);
    loop {
        match store::in_time(try_finish(state, begun, outcome, answer, reached)).await {
            Ok(()) => break,
            Err(error) => {
                tracing::error!(
                    tool = begun.entry.tool,
                    request_id = begun.entry.id,
                    source = error.cause(),
                    "the outcome of a write could not be recorded; trying again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
    if let Some(key) = &begun.key
        // A key that was freed may be the next call's already.
        && let Some((_, (_, ended))) = state
            .running
            .0
            .remove_if(&(begun.entry.tenant.clone(), key.0.clone()), |_, (first, _)| *first == begun.entry.id)
    {
        ended.notify_waiters();
    }
}

async fn try_finish(state: &State, begun: &Begun, outcome: &AuditOutcome, answer: &Result<Rendered>, reached: bool) -> Result<()> {
    let tenant = begun.entry.tenant.as_str();
    let mut tx: Tx = state.store.write(Reach::of(tenant)).await?;
    crate::audit::complete(&mut tx, &begun.entry, outcome).await?;
    if let Some(Key(key)) = &begun.key {
        let kept = match answer {
            Ok(Rendered::Object(object)) => Some(Kept::Object(object.clone())),
            Ok(Rendered::Content(_)) => None,
            Err(_) if !reached => None,
            Err(error) => Some(Kept::Failed {
                code: error.code().to_owned(),
                kind: error.kind().code().to_owned(),
                message: error.message().to_owned(),
            }),
        };
        match kept {
            Some(kept) => {
                let mut json = zeroize::Zeroizing::new(serde_json::to_vec(&kept).map_err(Error::internal)?);
                if json.len() > OUTCOME_MAX {
                    let lost = Kept::Failed {
                        code: "outcome_not_kept".to_owned(),
                        kind: Kind::Conflict.code().to_owned(),
                        message: "The first call with this key was made, and its answer was too large to keep. Look before you call again with a new key"
                            .to_owned(),
                    };
                    json = zeroize::Zeroizing::new(serde_json::to_vec(&lost).map_err(Error::internal)?);
                }
                let sealed = state.secrets.seal(&mut tx, &secrets::outcome_place(tenant, key), &json).await?;
                rows::finish(&mut tx, (tenant, key), &begun.entry.id, sealed, state.clock.millis()).await?;
            }
            None => rows::free(&mut tx, (tenant, key), &begun.entry.id).await?,
        }
    }
    tx.commit().await
}

async fn replay(state: &State, tenant: &str, key: &str, sealed: &[u8]) -> Result<Result<Rendered>> {
    let json = state.secrets.open_sealed(&secrets::outcome_place(tenant, key), sealed).await?;
    Ok(match serde_json::from_slice(&json).map_err(Error::internal)? {
        Kept::Object(object) => Ok(Rendered::Object(object)),
        Kept::Failed { code, kind, message } => {
            let kind = Kind::ALL.into_iter().find(|known| known.code() == kind).unwrap_or(Kind::Internal);
            // With this key it never succeeds, however long one waits.
            Err(Error::new(kind, message).coded_as(code).once())
        }
    })
}

/// Whether a store row says that a process lives; kept here so that every user means the same by it.
pub async fn beat(state: &State) -> Result<()> {
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    store::changes::beat(&mut tx, &state.instance, now).await?;
    let replicas = changes::count_living(&mut tx, now - DEAD_AFTER_MS).await?;
    tx.commit().await?;
    state.limits.note_replicas(replicas);
    Ok(())
}
