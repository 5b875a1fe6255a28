//! What the demo reports to programs.

use crate::exit::Failure;
use serde::Serialize;
use std::collections::BTreeMap;

/// One JSON object on standard output with `--json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Everything that was promised held.
    pub(crate) ok: bool,
    /// Seconds per phase, and their `total`.
    pub(crate) seconds: BTreeMap<String, f64>,
    /// Requests that MAAS answered.
    pub(crate) maas_calls: usize,
    /// Machines that were taken, each counted once per taking.
    pub(crate) machines_taken: u64,
    /// Machines that were given back.
    pub(crate) machines_released: u64,
    /// Kubernetes nodes of the cluster, as listed through the plane.
    pub(crate) nodes: Vec<String>,
    /// What listed them: `kubectl`, or `ferrogate` where it is not installed.
    pub(crate) listed_by: String,
    /// Addresses that are still reserved or used at the end.
    pub(crate) addresses_left: usize,
    /// DNS records that are still there at the end.
    pub(crate) records_left: usize,
    /// What the site's machines, its proxy or the installer tried to reach outside this computer.
    pub(crate) dialled_outside: Vec<String>,
    /// Machines that are not Ready at the end.
    pub(crate) machines_not_ready: Vec<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Report {
    pub(crate) fn phase(&mut self, name: &str, took: std::time::Duration) {
        self.seconds.insert(name.to_owned(), (took.as_secs_f64() * 100.0).round() / 100.0);
    }

    pub(crate) fn finish(&mut self, result: &Result<(), Failure>) {
        let total: f64 = self.seconds.values().sum();
        self.seconds.insert("total".to_owned(), (total * 100.0).round() / 100.0);
        self.ok = result.is_ok();
        self.error = result.as_ref().err().map(ToString::to_string);
    }
}
