//! A plan in the making: since when each machine is in its state, and what is worth an event.

use super::{Plan, Wait, words::in_words};
use crate::{
    memory::{Memory, Seen},
    observed::{Machine, Observed},
    pass::{Event, MachineView},
};
use ferrogate_model::{
    SystemId, Timestamp,
    state::{MachineState, Severity},
};
use std::time::Duration;

/// The plan in the making.
pub(super) struct PlanBuilder {
    pub(super) plan: Plan,
    before: Memory,
    now: Timestamp,
}

impl PlanBuilder {
    /// An empty plan made now; `blind` is the most that a time without looks counts for.
    pub(super) fn start(observed: &Observed, before: &Memory, blind: Duration, now: Timestamp) -> Self {
        let mut before = before.clone();
        before.forgive_blindness(blind, now);
        let mut memory = Memory { machines: std::collections::BTreeMap::new(), ..before.clone() };
        memory.forget_the_cooled(now);
        let mut builder = Self { plan: Plan { memory, ..Plan::default() }, before, now };
        builder.notice_departures(observed);
        builder
    }

    pub(super) fn wait(&mut self, reason: String, since: Timestamp) {
        self.plan.waits.push(Wait { reason, since, moving: true });
    }

    /// Notes a wait that something else of the cluster must end.
    pub(super) fn wait_for_others(&mut self, reason: String, since: Timestamp) {
        self.plan.waits.push(Wait { reason, since, moving: false });
    }

    pub(super) fn event(&mut self, severity: Severity, reason: &str, message: String, machine: Option<&SystemId>) {
        self.plan.events.push(Event { severity, reason: reason.to_owned(), message, machine: machine.cloned() });
    }

    /// Since when a machine has been in a state.
    pub(super) fn since(&self, machine: &SystemId, state: MachineState) -> Timestamp {
        self.before.machines.get(machine).filter(|seen| seen.state == state).map_or(self.now, |seen| seen.since)
    }

    /// Since when a machine has been joining, where its clock runs.
    pub(super) fn joining_since(&self, machine: &SystemId) -> Timestamp {
        self.joining_clock(machine).unwrap_or(self.now)
    }

    /// A machine's clock of joining, where it ran before.
    pub(super) fn joining_clock(&self, machine: &SystemId) -> Option<Timestamp> {
        self.before.machines.get(machine).and_then(|seen| seen.joining_since)
    }

    /// Enters a machine as people see it.
    pub(super) fn enter(
        &mut self,
        machine: &Machine,
        pool: Option<&str>,
        node: Option<&str>,
        state: MachineState,
        reason: String,
        joining_since: Option<Timestamp>,
    ) {
        let since = self.since(&machine.id, state);
        self.notice_change(machine, pool, state, &reason, since);
        self.plan
            .memory
            .machines
            .insert(machine.id.clone(), Seen { hostname: machine.hostname.clone(), state, since, joining_since });
        self.plan.machines.push(MachineView {
            system_id: machine.id.clone(),
            hostname: machine.hostname.clone(),
            fqdn: machine.fqdn.clone(),
            addresses: machine.addresses.clone(),
            zone: machine.zone.clone(),
            pool: pool.map(str::to_owned),
            node: node.map(str::to_owned),
            state,
            reason,
            since,
        });
    }

    fn notice_change(
        &mut self,
        machine: &Machine,
        pool: Option<&str>,
        state: MachineState,
        reason: &str,
        since: Timestamp,
    ) {
        let name = &machine.hostname;
        let before = self.before.machines.get(&machine.id);
        if before.is_some_and(|before| before.state == state) {
            return;
        }
        let lasted = before.map(|before| format!(" after {}", in_words(super::words::elapsed(before.since, since))));
        let lasted = lasted.unwrap_or_default();
        let (severity, word, message) = match state {
            MachineState::Allocating => {
                let whom = pool.map(|pool| format!(" for `{pool}`")).unwrap_or_default();
                (Severity::Info, "MachineTaken", format!("{name} was taken from MAAS{whom}"))
            }
            MachineState::Deploying => (Severity::Info, "MachineInstalling", format!("MAAS installs {name}")),
            MachineState::Joining => {
                (Severity::Info, "MachineInstalled", format!("{name} is installed{lasted} and joins the cluster"))
            }
            MachineState::Running => {
                (Severity::Info, "MachineJoined", format!("{name} is a member of the cluster{lasted}"))
            }
            MachineState::Draining => (Severity::Info, "MachineDraining", format!("{name} is drained: {reason}")),
            MachineState::Releasing => (Severity::Info, "MachineReleasing", format!("{name} is given back: {reason}")),
            MachineState::Failed => (Severity::Warning, "MachineFailed", format!("{name}: {reason}")),
        };
        self.event(severity, word, message, Some(&machine.id));
    }

    /// Machines that were there and are not any more.
    fn notice_departures(&mut self, observed: &Observed) {
        let before = self.before.clone();
        for (id, leaving) in &before.releasing {
            if !observed.leaving.contains(id) && !observed.machines.iter().any(|machine| machine.id == *id) {
                self.plan.memory.releasing.remove(id);
                let message = format!("{} is free again", leaving.hostname);
                self.event(Severity::Info, "MachineReleased", message, Some(id));
            }
        }
        for (id, seen) in &before.machines {
            let gone = !observed.machines.iter().any(|machine| machine.id == *id);
            if gone && seen.state != MachineState::Releasing && !before.releasing.contains_key(id) {
                let message = format!(
                    "{} no longer bears the cluster's mark: somebody else released it in MAAS, or marked it broken",
                    seen.hostname
                );
                self.event(Severity::Warning, "MachineLost", message, Some(id));
            }
        }
    }
}
