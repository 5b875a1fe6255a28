//! Connections kept for the next request.

use super::wire::Connection;
use crate::connect::Target;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{task::AbortHandle, time::Instant};

/// Connections kept over all hosts.
const MAX_IDLE: usize = 64;

/// A request that must not be repeated takes a kept connection only while it is this young: the longer it lies unused,
/// the likelier the server is closing it at this very moment.
const FRESH: Duration = Duration::from_secs(1);

/// What makes two requests share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tls: bool,
    pub(super) target: Target,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Debug)]
pub(super) struct Pool {
    kept: Mutex<Kept>,
    max_per_host: usize,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    idle: HashMap<Key, Vec<Idle>>,
    /// Runs while anything is kept: a connection nobody asks for again must not stay open, least of all one that counts
    /// against a tunnel's budget.
    sweeper: Option<AbortHandle>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(sweeper) = &self.sweeper {
            sweeper.abort();
        }
    }
}

impl Pool {
    pub(super) fn new(max_per_host: usize, timeout: Duration) -> Self {
        Self { kept: Mutex::default(), max_per_host, timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last, if one is still usable.
    pub(super) fn take(&self, key: &Key, repeatable: bool) -> Option<Connection> {
        let limit = if repeatable { self.timeout } else { self.timeout.min(FRESH) };
        let mut all = self.lock();
        let kept = all.idle.get_mut(key)?;
        let mut found = None;
        while let Some(idle) = kept.pop() {
            if idle.since.elapsed() >= limit {
                // Older ones lie below it. They stay for a request that may use them, or for the next sweep.
                if limit < self.timeout {
                    kept.push(idle);
                }
                break;
            }
            if idle.connection.is_open() {
                found = Some(idle.connection);
                break;
            }
        }
        if kept.is_empty() {
            all.idle.remove(key);
        }
        found
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        if self.max_per_host == 0 || !connection.is_open() {
            return;
        }
        let mut all = self.lock();
        if all.idle.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let kept = all.idle.entry(connection.key().clone()).or_default();
        if kept.len() >= self.max_per_host {
            kept.remove(0);
        }
        kept.push(Idle { connection, since: Instant::now() });
        if all.sweeper.is_none() {
            let task = tokio::spawn(sweep(Arc::downgrade(self), self.timeout));
            all.sweeper = Some(task.abort_handle());
        }
    }
}

/// Closes what was not used in time, until nothing is left or the client is gone.
async fn sweep(pool: Weak<Pool>, timeout: Duration) {
    loop {
        tokio::time::sleep(timeout).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut all = pool.lock();
        all.idle.retain(|_, kept| {
            kept.retain(|idle| idle.since.elapsed() < timeout && idle.connection.is_open());
            !kept.is_empty()
        });
        if all.idle.is_empty() {
            all.sweeper = None;
            return;
        }
    }
}
