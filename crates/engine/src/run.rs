//! One pass: look, think, act, say.

use crate::{
    act,
    desired::Desired,
    engine::Engine,
    memory::{Checkpoint, Memory, NoCheckpoint},
    observe,
    pass::{Event, Outcome, Pass},
    plan::{self, Block, Plan, Wait, words},
};
use ferrogate_maas::MaasError;
use ferrogate_model::{Explain, Retry, Timestamp, fault, state::Severity};
use std::time::Duration;

/// The shortest time between two passes: MAAS's own steps take longer.
const SOON: Duration = Duration::from_secs(1);
/// The longest time between two passes while something is under way.
const LATER: Duration = Duration::from_secs(15);

impl Engine {
    /// Looks at everything, does what can be done now, and says how far things are. Waits for nothing but answers, so it
    /// returns within a minute or two. May be dropped at any time; the next pass picks up from what it sees.
    pub async fn pass(&self, desired: &Desired, memory: &mut Memory) -> Pass {
        self.pass_with_checkpoint(desired, memory, &NoCheckpoint).await
    }

    /// As [`Engine::pass`], for who may be killed at any time: `checkpoint` is told what is remembered before anything is given
    /// back, and whoever goes on with what it saved does not take a machine that has just failed.
    pub async fn pass_with_checkpoint(
        &self,
        desired: &Desired,
        memory: &mut Memory,
        checkpoint: &dyn Checkpoint,
    ) -> Pass {
        let now = self.now();
        let (observed, client) = match observe::observe(self, desired, memory, now).await {
            Ok(seen) => seen,
            Err(error) => return tell(desired, cannot_look(&error, memory)),
        };
        let plan = plan::plan(desired, &observed, memory, self.limits(), now);
        if act::remember_intentions(&plan, memory, self.limits(), now) {
            checkpoint.save(memory).await;
        }
        let report = Box::pin(act::act(self, desired, &observed, &plan, client, memory)).await;
        tell(desired, conclude(plan, report, memory, now))
    }
}

/// Writes a pass to the log: what happened for everybody, how far things are for those who look closely.
fn tell(desired: &Desired, pass: Pass) -> Pass {
    for event in &pass.events {
        let (cluster, reason) = (desired.configuration.cluster, event.reason.as_str());
        let machine = event.machine.as_ref().map(tracing::field::display);
        match event.severity {
            Severity::Info => tracing::info!(%cluster, reason, machine, "{}", event.message),
            Severity::Warning | Severity::Error => tracing::warn!(%cluster, reason, machine, "{}", event.message),
        }
    }
    tracing::debug!(cluster = %desired.configuration.cluster, outcome = ?pass.outcome, machines = pass.machines.len(), "passed");
    pass
}

/// MAAS cannot be asked: nothing is known anew, and nothing is done.
fn cannot_look(error: &MaasError, memory: &mut Memory) -> Pass {
    let cause = fault::chain(error);
    let outcome = if error.retry() == Retry::No {
        Outcome::Blocked { cause, hint: error.hint() }
    } else {
        Outcome::Working { reason: cause, check_again: LATER }
    };
    let mut events = Vec::new();
    if let Outcome::Blocked { cause, .. } = &outcome {
        events.extend(tell_once(memory, vec![cause.clone()]));
    }
    Pass { outcome, machines: memory.views.clone(), events, api_endpoint: None, api_members: Vec::new() }
}

fn conclude(plan: Plan, report: act::Report, memory: &mut Memory, now: Timestamp) -> Pass {
    memory.note_none_free(&report.none_free, now);
    let waits: Vec<Wait> = report.waits.into_iter().chain(plan.waits).collect();
    let blocks: Vec<Block> = report.blocks.into_iter().chain(plan.blocks).collect();
    let mut events = plan.events;
    events.extend(report.events);
    events.extend(tell_once(memory, blocks.iter().map(|block| block.cause.clone()).collect()));
    let outcome = outcome(report.changed, !plan.actions.is_empty(), &waits, &blocks, now);
    memory.views = plan.machines;
    Pass {
        outcome,
        machines: memory.views.clone(),
        events,
        api_endpoint: plan.api_endpoint,
        api_members: plan.api_members,
    }
}

fn outcome(changed: bool, acted: bool, waits: &[Wait], blocks: &[Block], now: Timestamp) -> Outcome {
    let moving = changed || waits.iter().any(|wait| wait.moving);
    if let Some(block) = blocks.first() {
        if moving {
            return Outcome::Working { reason: block.cause.clone(), check_again: pause(changed, waits, now) };
        }
        return Outcome::Blocked { cause: block.cause.clone(), hint: block.hint.clone() };
    }
    // What ends by itself tells more than what waits for it.
    let telling = waits.iter().find(|wait| wait.moving).or_else(|| waits.first());
    match telling {
        Some(wait) => Outcome::Working { reason: wait.reason.clone(), check_again: pause(changed, waits, now) },
        None if changed || acted => {
            Outcome::Working { reason: "changes were made and are looked at again".into(), check_again: SOON }
        }
        None => Outcome::Converged,
    }
}

/// Soon after something began, ever later the longer it takes.
fn pause(changed: bool, waits: &[Wait], now: Timestamp) -> Duration {
    if changed {
        return SOON;
    }
    let moving = waits.iter().filter(|wait| wait.moving);
    match moving.map(|wait| words::elapsed(wait.since, now)).filter(|lasted| !lasted.is_zero()).min() {
        Some(youngest) => (youngest / 8).clamp(SOON, LATER),
        // Something has just begun, or was refused just now.
        None if waits.iter().any(|wait| wait.moving) => SOON * 2,
        None => LATER,
    }
}

/// An event for each cause that was not there before.
fn tell_once(memory: &mut Memory, causes: Vec<String>) -> Vec<Event> {
    let new = causes.iter().filter(|cause| !memory.blocked_by.contains(cause));
    let events = new
        .map(|cause| Event {
            severity: Severity::Error,
            reason: "Blocked".into(),
            message: cause.clone(),
            machine: None,
        })
        .collect();
    memory.blocked_by = causes;
    events
}
