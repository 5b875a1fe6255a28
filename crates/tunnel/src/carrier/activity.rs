//! What a carrier's tasks tell each other without waiting: when bytes last came, how many, and whether it still lives.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Shared by a carrier's driver, its session and its streams.
#[derive(Debug)]
pub(crate) struct Activity {
    start: Instant,
    /// Milliseconds after `start` at which a byte last came.
    last_received: AtomicU64,
    /// Bytes that came from streams.
    received: AtomicU64,
    /// Bytes that went into streams.
    sent: AtomicU64,
    /// Streams that are open, the control channel not counted.
    streams: AtomicUsize,
    /// Set when the driver has ended: what streams say afterwards is an end nobody announced.
    dead: AtomicBool,
}

impl Activity {
    /// A carrier that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            start: now,
            last_received: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// Bytes came on the carrier, of whatever kind.
    pub(crate) fn note_alive(&self, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.last_received.store(since, Ordering::Relaxed);
    }

    /// When bytes last came.
    pub(crate) fn last_received(&self) -> Instant {
        self.start + Duration::from_millis(self.last_received.load(Ordering::Relaxed))
    }

    /// A stream read this much.
    pub(crate) fn note_read(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A stream wrote this much.
    pub(crate) fn note_written(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of all streams so far: read, written.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// One more stream.
    pub(crate) fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// One stream fewer.
    pub(crate) fn stream_closed(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Streams open now.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// The carrier ended.
    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whether the carrier ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}
