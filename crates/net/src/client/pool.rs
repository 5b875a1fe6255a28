//! Connections kept for the next request.

use super::wire::Connection;
use crate::connect::Target;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

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
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    max_per_host: usize,
    timeout: Duration,
}

impl Pool {
    pub(super) fn new(max_per_host: usize, timeout: Duration) -> Self {
        Self { idle: Mutex::default(), max_per_host, timeout }
    }

    /// The connection used last, if one is still usable.
    pub(super) fn take(&self, key: &Key, repeatable: bool) -> Option<Connection> {
        let limit = if repeatable { self.timeout } else { self.timeout.min(FRESH) };
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_mut(key)?;
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
            all.remove(key);
        }
        found
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn put(&self, connection: Connection) {
        if self.max_per_host == 0 || !connection.is_open() {
            return;
        }
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| {
            kept.retain(|idle| idle.since.elapsed() < self.timeout && idle.connection.is_open());
            !kept.is_empty()
        });
        if all.values().map(Vec::len).sum::<usize>() >= MAX_IDLE {
            return;
        }
        let kept = all.entry(connection.key().clone()).or_default();
        if kept.len() >= self.max_per_host {
            kept.remove(0);
        }
        kept.push(Idle { connection, since: Instant::now() });
    }
}
