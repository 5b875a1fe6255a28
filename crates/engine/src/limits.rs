//! How long the engine waits for what, and how much it does at once.

use std::time::Duration;

/// Deadlines and bounds of one engine. The defaults suit real machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the deploy call to *Deployed*. MAAS gives up by itself after 30 minutes (its `node_timeout`), so ours is a
    /// little longer: where MAAS knows the cause, its cause is the one to show.
    pub installing: Duration,
    /// From *Deployed* to a ready node: download, first start, image import.
    pub joining: Duration,
    /// From the first eviction to the last pod gone; afterwards the node is removed with what still runs on it.
    pub draining: Duration,
    /// How long taking a server out of etcd is tried before a person is asked to look; the machine is kept meanwhile.
    pub leaving_etcd: Duration,
    /// From the release call to *Ready*: power off, and erasing disks where MAAS is set to.
    pub releasing: Duration,
    /// How long a member's node may not be ready before the machine is restarted. Kubernetes itself moves the pods of a
    /// silent node after five minutes (its `default-unreachable-toleration-seconds`).
    pub unwell: Duration,
    /// From the restart of a machine to its node being ready again; afterwards the machine is replaced.
    pub restarting: Duration,
    /// The most that a time without looks counts for: what happened while nobody could look is not held against a machine.
    pub blind: Duration,
    /// How long a machine that failed is not taken again.
    pub cooling: Duration,
    /// How many changes are under way in MAAS at once.
    pub parallel: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            installing: Duration::from_secs(40 * 60),
            joining: Duration::from_secs(15 * 60),
            draining: Duration::from_secs(10 * 60),
            leaving_etcd: Duration::from_secs(10 * 60),
            releasing: Duration::from_secs(60 * 60),
            unwell: Duration::from_secs(5 * 60),
            restarting: Duration::from_secs(10 * 60),
            blind: Duration::from_secs(2 * 60),
            cooling: Duration::from_secs(60 * 60),
            parallel: 4,
        }
    }
}
