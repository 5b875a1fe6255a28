//! What the engine remembers between two passes. All of it may be lost at any time: deadlines then start anew and a bad
//! machine may be tried once more, but nothing leaks and nothing of others is touched.

use crate::{pass::MachineView, plan::words::elapsed};
use async_trait::async_trait;
use ferrogate_model::{Name, SystemId, Timestamp, state::MachineState};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

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
    /// When the cluster was last looked at.
    pub looked: Option<Timestamp>,
    /// Members whose node is not ready, or was not until a short while ago.
    pub repairs: BTreeMap<SystemId, Repair>,
    /// Pools for which MAAS had no machine, and since when.
    pub none_free: BTreeMap<Name, Timestamp>,
    /// What was in the way at the last pass, so that it is told once.
    pub blocked_by: Vec<String>,
    /// The machines as they were last shown, for when MAAS cannot be asked.
    pub views: Vec<MachineView>,
}

impl Memory {
    /// The machines that were the cluster's at the last pass and that it did not give back.
    pub(crate) fn kept(&self) -> Vec<SystemId> {
        let kept = |(id, seen): &(&SystemId, &Seen)| {
            seen.state != MachineState::Releasing && !self.releasing.contains_key(*id)
        };
        self.machines.iter().filter(kept).map(|(id, _)| id.clone()).collect()
    }
}

/// Saves what is remembered where whoever goes on after a crash finds it.
#[async_trait]
pub trait Checkpoint: Send + Sync {
    /// Saves it, before anything is given back. Where it cannot be saved the pass goes on: no more is lost than a cool-down.
    async fn save(&self, memory: &Memory);
}

/// For who saves what is remembered after a pass, if at all.
pub(crate) struct NoCheckpoint;

#[async_trait]
impl Checkpoint for NoCheckpoint {
    async fn save(&self, _memory: &Memory) {}
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

/// A member in trouble, and how far its repair is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// What was done last.
    pub step: RepairStep,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was restarted before, without lasting success.
    pub restarted: bool,
}

/// How far the repair of a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairStep {
    /// Its node is not ready; it may recover by itself.
    Unwell,
    /// It is being switched off.
    SwitchedOff,
    /// It was switched on again.
    SwitchedOn,
    /// Its node is ready again; kept for a while, because a second time a restart is not tried.
    Recovered,
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
    /// Takes what nobody saw out of the clocks that run against machines: of the time since the last look, at most `most`
    /// counts. A site that was cut off for an hour is judged by what is seen afterwards.
    pub(crate) fn forgive_blindness(&mut self, most: Duration, now: Timestamp) {
        let gap = self.looked.map_or(Duration::ZERO, |last| elapsed(last, now));
        self.looked = Some(now);
        let Some(unseen) = gap.checked_sub(most).filter(|unseen| !unseen.is_zero()) else { return };
        let later = |since: Timestamp| since.saturating_add(unseen).unwrap_or(now).min(now);
        for seen in self.machines.values_mut() {
            seen.joining_since = seen.joining_since.map(later);
        }
        for repair in self.repairs.values_mut() {
            repair.since = later(repair.since);
        }
    }

    /// Notes down for which pools MAAS has no machine now; since when is kept.
    pub(crate) fn note_none_free(&mut self, pools: &[Name], now: Timestamp) {
        let before = std::mem::take(&mut self.none_free);
        let since = |pool: &Name| before.get(pool).copied().unwrap_or(now);
        self.none_free = pools.iter().map(|pool| (pool.clone(), since(pool))).collect();
    }

    /// Forgets cool-downs that are over.
    pub fn forget_the_cooled(&mut self, now: Timestamp) {
        self.cooling.retain(|_, cooling| cooling.until > now);
    }
}
