//! What was read once and is kept warm, so that a call reads no SQL; forgotten when it changes.

use std::{
    convert::Infallible,
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;

use crate::error::Result;

#[derive(Debug)]
pub struct Warm<K, V> {
    cache: Cache<K, V>,
    /// Grows with everything that is forgotten: what was read before that is not kept.
    epoch: AtomicU64,
}

impl<K: Hash + Eq + Clone, V: Clone> Warm<K, V> {
    pub fn new(capacity: usize) -> Self {
        Self {
            cache: Cache::new(capacity),
            epoch: AtomicU64::new(0),
        }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key)
    }

    /// The kept value, or the one that `load` reads, which is then kept, unless something was forgotten while it was read.
    pub async fn get_or_load(&self, key: K, load: impl Future<Output = Result<Option<V>>>) -> Result<Option<V>> {
        if let Some(value) = self.cache.get(&key) {
            return Ok(Some(value));
        }
        let epoch = self.epoch.load(Ordering::SeqCst);
        let Some(value) = load.await? else { return Ok(None) };
        // Of several that read at the same time, all keep what the first kept: its state (places, breaker) is shared.
        let kept = match self.cache.get_or_insert_with(&key, || Ok::<_, Infallible>(value)) {
            Ok(kept) => kept,
            Err(never) => match never {},
        };
        if self.epoch.load(Ordering::SeqCst) != epoch {
            self.cache.remove(&key);
        }
        Ok(Some(kept))
    }

    pub fn forget(&self, key: &K) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.remove(key);
    }

    /// Forgets what a test picks out.
    pub fn forget_where(&self, matches: impl Fn(&K, &V) -> bool) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.retain(|key, value| !matches(key, value));
    }

    pub fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.clear();
    }
}
