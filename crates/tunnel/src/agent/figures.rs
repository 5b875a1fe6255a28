//! What an agent counts, from its start on.

use crate::wire::open::OpenRefusedCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often dials into the site ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialCount {
    /// `connected`, or why not.
    pub result: &'static str,
    /// How often.
    pub count: u64,
}

/// The figures of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Streams that are open.
    pub streams: u64,
    /// Bytes from the plane to the site.
    pub bytes_to_site: u64,
    /// Bytes from the site to the plane.
    pub bytes_to_plane: u64,
    /// Dials into the site, by how they ended; every result is listed.
    pub dials: Vec<DialCount>,
    /// Connections the allow-list refused.
    pub refusals: u64,
    /// Dials to the plane that led to a carrier.
    pub carriers_made: u64,
    /// Dials to the plane that failed.
    pub carriers_failed: u64,
}

const RESULTS: [&str; 8] = ["connected", "not_allowed", "budget", "dns", "refused", "timeout", "unreachable", "other"];

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) streams: AtomicU64,
    pub(super) to_site: AtomicU64,
    pub(super) to_plane: AtomicU64,
    dials: [AtomicU64; RESULTS.len()],
    pub(super) carriers_made: AtomicU64,
    pub(super) carriers_failed: AtomicU64,
}

impl Counters {
    pub(super) fn dialled(&self, refused: Option<OpenRefusedCode>) {
        let index = match refused {
            None => 0,
            Some(OpenRefusedCode::NotAllowed) => 1,
            Some(OpenRefusedCode::Budget) => 2,
            Some(OpenRefusedCode::Dns) => 3,
            Some(OpenRefusedCode::Refused) => 4,
            Some(OpenRefusedCode::Timeout) => 5,
            Some(OpenRefusedCode::Unreachable) => 6,
            Some(OpenRefusedCode::Other) => 7,
        };
        self.dials[index].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refusals(&self) -> u64 {
        self.dials[1].load(Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dials = RESULTS.iter().zip(&self.dials).map(|(result, count)| DialCount { result, count: get(count) });
        Figures {
            streams: get(&self.streams),
            bytes_to_site: get(&self.to_site),
            bytes_to_plane: get(&self.to_plane),
            dials: dials.collect(),
            refusals: self.refusals(),
            carriers_made: get(&self.carriers_made),
            carriers_failed: get(&self.carriers_failed),
        }
    }
}
