//! What the engine remembers between two passes. All of it may be lost at any time: deadlines then start anew and a bad
//! machine may be tried once more, but nothing leaks and nothing of others is touched.

use crate::pass::MachineView;
use ferrogate_model::{SystemId, Timestamp, state::MachineState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The engine's notes on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The cluster's machines as the last pass saw them.
    pub machines: BTreeMap<SystemId, Seen>,
    /// Machines that failed and are left alone for a while.
    pub cooling: BTreeMap<SystemId, Cooling>,
    /// Machines that were given back and are not *Ready* yet.
    pub releasing: BTreeMap<SystemId, Leaving>,
    /// Since when the Kubernetes API has not answered, although a control-plane machine runs.
    pub api_silent_since: Option<Timestamp>,
    /// What was in the way at the last pass, so that it is told once.
    pub blocked_by: Vec<String>,
    /// The machines as they were last shown, for when MAAS cannot be asked.
    pub views: Vec<MachineView>,
}

/// A machine as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name in MAAS.
    pub hostname: String,
    /// The state it was in.
    pub state: MachineState,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// Since when the machine runs and its node is not ready; kept apart because the state may change in between.
    #[serde(default)]
    pub joining_since: Option<Timestamp>,
}

/// A machine that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooling {
    /// Its name in MAAS.
    pub hostname: String,
    /// When it may be taken again.
    pub until: Timestamp,
    /// What happened, in words.
    pub reason: String,
}

/// A machine that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Its name in MAAS.
    pub hostname: String,
    /// When it was given back.
    pub since: Timestamp,
}

impl Memory {
    /// Forgets cool-downs that are over.
    pub fn forget_the_cooled(&mut self, now: Timestamp) {
        self.cooling.retain(|_, cooling| cooling.until > now);
    }
}
