//! Audit: who called what, with what outcome. A write's entry is durable before its backend is called; reads go in batches.
//!
//! A read's entry waits in a bounded queue; when the database is slower than the calls, the calls wait for it, so that memory
//! stays bounded and no entry is lost. Shutdown writes what is left.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    auth::Known,
    error::Result,
    limits::Limits,
    store::{
        self, Reach, Store,
        audit::{Entry, Outcome},
    },
    telemetry::Metrics,
};

/// Entries that may wait.
const QUEUE: usize = 8192;
/// How long an ended call waits to hand its entry in.
const HAND_IN: Duration = Duration::from_secs(5);
/// Entries of one transaction.
const BATCH: usize = 2048;
/// How long an entry may wait for company.
const GATHER: Duration = Duration::from_millis(500);
/// How often usage is written.
const TALLY: Duration = Duration::from_secs(2);
/// With every how manieth tally last-used times are written too.
const USES_EVERY: u32 = 15;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

enum Message {
    Entry(Box<Entry>),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// Where entries are handed in.
#[derive(Debug)]
pub struct Audit {
    sender: mpsc::Sender<Message>,
    metrics: Arc<Metrics>,
    /// The last attempt to write failed.
    stuck: Arc<AtomicBool>,
}

/// The task that writes entries, usage and last-used times.
pub struct Writer {
    receiver: mpsc::Receiver<Message>,
    metrics: Arc<Metrics>,
    stuck: Arc<AtomicBool>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl Audit {
    pub fn new(metrics: Arc<Metrics>) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let stuck = Arc::<AtomicBool>::default();
        let writer = Writer {
            receiver,
            metrics: Arc::clone(&metrics),
            stuck: Arc::clone(&stuck),
        };
        (Self { sender, metrics, stuck }, writer)
    }

    /// Whether the database takes no entries.
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Whether it takes none, and no more can wait: then no call may begin that would need one.
    pub fn is_full(&self) -> bool {
        self.is_stuck() && self.sender.capacity() == 0
    }

    /// Hands a completed entry in.
    pub async fn record(&self, entry: Entry) {
        self.metrics.audit_waiting.increment(1.0);
        // A call that has ended is not held for ever by a database that takes nothing.
        let handed = self.sender.send_timeout(Message::Entry(Box::new(entry)), HAND_IN).await;
        if let Err(mpsc::error::SendTimeoutError::Timeout(lost) | mpsc::error::SendTimeoutError::Closed(lost)) = handed
            && let Message::Entry(entry) = lost
        {
            self.metrics.audit_waiting.decrement(1.0);
            tracing::error!(
                tenant_id = entry.tenant,
                token_id = entry.token,
                tool = entry.tool,
                request_id = entry.id,
                parameters_hash = entry.arguments_hash,
                outcome = ?entry.outcome,
                "an audit entry could not be stored; this line is all there is of it"
            );
        }
    }

    /// Hands an entry in if there is room; else gives it back.
    pub fn try_record(&self, entry: Entry) -> Option<Entry> {
        match self.sender.try_send(Message::Entry(Box::new(entry))) {
            Ok(()) => {
                self.metrics.audit_waiting.increment(1.0);
                None
            }
            Err(mpsc::error::TrySendError::Full(lost) | mpsc::error::TrySendError::Closed(lost)) => match lost {
                Message::Entry(entry) => Some(*entry),
                Message::Flush(_) => None,
            },
        }
    }

    /// Hands in the entry of a call whose client has gone, from a place that cannot wait.
    pub fn record_abandoned(self: &Arc<Self>, entry: Entry) {
        let audit = Arc::clone(self);
        tokio::spawn(async move { audit.record(entry).await });
    }

    /// Waits until everything handed in so far is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            let _ = written.await;
        }
    }
}

/// Stores an entry, open, in the transaction of the call that it belongs to.
pub async fn open(tx: &mut store::Tx, entry: &Entry) -> Result<()> {
    store::audit::insert(tx, std::slice::from_ref(entry)).await
}

/// Completes an open entry, in the transaction that records the outcome.
pub async fn complete(tx: &mut store::Tx, entry: &Entry, outcome: &Outcome) -> Result<()> {
    store::audit::complete(tx, &entry.tenant, &entry.id, outcome).await
}

impl Writer {
    /// Writes until the queue is closed; `tally` is what else is written now and then.
    pub async fn run(
        mut self,
        store: Store,
        clock: crate::clock::Clock,
        limits: Arc<Limits>,
        known: Arc<Known>,
        stop: tokio_util::sync::CancellationToken,
    ) {
        let mut waiting: Vec<Entry> = Vec::with_capacity(BATCH);
        let mut told: Vec<oneshot::Sender<()>> = Vec::new();
        let mut tally = tokio::time::interval(TALLY);
        let mut tallies = 0_u32;
        tally.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut messages = Vec::new();
            tokio::select! {
                biased;
                _ = tally.tick() => {
                    tallies = tallies.wrapping_add(1);
                    write_tally(&store, &clock, &limits, tallies.is_multiple_of(USES_EVERY).then_some(&*known)).await;
                    continue;
                }
                () = stop.cancelled() => break,
                count = self.receiver.recv_many(&mut messages, BATCH) => {
                    if count == 0 {
                        break;
                    }
                }
            }
            sort(messages, &mut waiting, &mut told);
            // Entries of a tenant lie together: the more of them are written at once, the fewer pages are.
            let until = Instant::now() + GATHER;
            while told.is_empty() && waiting.len() < BATCH {
                let mut more = Vec::new();
                tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(until) => break,
                    () = stop.cancelled() => break,
                    count = self.receiver.recv_many(&mut more, BATCH - waiting.len()) => {
                        if count == 0 {
                            break;
                        }
                    }
                }
                sort(more, &mut waiting, &mut told);
            }
            self.write(&store, &mut waiting).await;
            tell(&mut told);
        }
        // Shutdown: no call is left that could hand anything in.
        self.receiver.close();
        let mut rest = Vec::new();
        while let Ok(message) = self.receiver.try_recv() {
            rest.push(message);
        }
        sort(rest, &mut waiting, &mut told);
        self.write(&store, &mut waiting).await;
        write_tally(&store, &clock, &limits, Some(&known)).await;
        tell(&mut told);
    }

    /// Writes what waits, trying until the database takes it.
    async fn write(&self, store: &Store, waiting: &mut Vec<Entry>) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            if waiting.is_empty() {
                return;
            }
            let written = async {
                let mut tx = store.write(Reach::Operator).await?;
                store::audit::insert(&mut tx, waiting).await?;
                tx.commit().await
            };
            match store::in_time(written).await {
                Ok(()) => {
                    self.stuck.store(false, Ordering::Relaxed);
                    #[expect(clippy::cast_precision_loss, reason = "at most the queue's length")]
                    self.metrics.audit_waiting.decrement(waiting.len() as f64);
                    waiting.clear();
                    return;
                }
                Err(error) => {
                    self.stuck.store(true, Ordering::Relaxed);
                    tracing::error!(
                        entries = waiting.len(),
                        attempt,
                        source = error.cause(),
                        "audit entries could not be written; trying again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Whoever waited for a flush and has gone meanwhile need not be told.
fn tell(waiting: &mut Vec<oneshot::Sender<()>>) {
    for told in waiting.drain(..) {
        let _ = told.send(());
    }
}

fn sort(messages: Vec<Message>, waiting: &mut Vec<Entry>, told: &mut Vec<oneshot::Sender<()>>) {
    for message in messages {
        match message {
            Message::Entry(entry) => waiting.push(*entry),
            Message::Flush(done) => told.push(done),
        }
    }
}

async fn write_tally(store: &Store, clock: &crate::clock::Clock, limits: &Limits, known: Option<&Known>) {
    if let Err(error) = store::in_time(limits.usage.flush(store, clock.millis())).await {
        tracing::warn!(source = error.cause(), "usage could not be written; trying again");
    }
    let mut uses = known.map(Known::take_uses).unwrap_or_default();
    let mut grants = known.map(Known::take_grant_uses).unwrap_or_default();
    // In one order in every replica, so that two that write the same rows do not wait for each other.
    uses.sort_unstable();
    grants.sort_unstable();
    if uses.is_empty() && grants.is_empty() {
        return;
    }
    let written = async {
        let mut tx = store.write(Reach::Operator).await?;
        store::tokens::touch(&mut tx, &uses).await?;
        store::grants::touch(&mut tx, &grants).await?;
        tx.commit().await
    };
    if let Err(error) = store::in_time(written).await {
        tracing::warn!(source = error.cause(), "last-used times could not be written");
    }
}
