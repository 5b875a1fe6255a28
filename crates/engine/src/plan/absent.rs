//! Giving everything back.

use super::{Action, Block, Plan, builder::PlanBuilder, words};
use crate::{
    limits::Limits,
    memory::Memory,
    observed::{Observed, Status},
};
use ferrogate_model::{Timestamp, state::MachineState};

pub(super) fn plan(observed: &Observed, memory: &Memory, limits: &Limits, now: Timestamp) -> Plan {
    let mut builder = PlanBuilder::start(observed, memory, limits.blind, now);
    builder.plan.memory.api_silent_since = None;
    for machine in &observed.machines {
        let name = &machine.hostname;
        let pool = machine.note(crate::mark::POOL).map(str::to_owned);
        let node = machine.note(crate::mark::NODE).map(str::to_owned);
        let mut state = MachineState::Releasing;
        let reason = match &machine.status {
            Status::Releasing => {
                let since = builder.since(&machine.id, MachineState::Releasing);
                let lasted = words::elapsed(since, now);
                if lasted > limits.releasing {
                    builder.plan.blocks.push(never_released(name, lasted));
                } else {
                    builder.wait(waiting(name, lasted, limits), since);
                }
                format!("MAAS has been taking it back for {}", words::in_words(lasted))
            }
            Status::Other(status) => {
                state = MachineState::Failed;
                let cause = format!("{name} is `{status}` in MAAS, so somebody works on it; it is not touched");
                builder.plan.blocks.push(Block {
                    cause: cause.clone(),
                    hint: Some(format!("finish the work on {name} in MAAS, or release it there")),
                });
                cause
            }
            _ if machine.locked => {
                state = MachineState::Failed;
                let block = locked(name);
                let cause = block.cause.clone();
                builder.plan.blocks.push(block);
                cause
            }
            Status::Allocated | Status::Deploying | Status::Deployed | Status::DeployFailed | Status::ReleaseFailed => {
                let why = "the cluster is deleted".to_owned();
                builder.plan.actions.push(Action::Release {
                    machine: machine.id.clone(),
                    why: why.clone(),
                    cool: false,
                    node: None,
                });
                if machine.status == Status::ReleaseFailed {
                    builder
                        .wait(format!("MAAS could not take {name} back and is asked again: {}", machine.message), now);
                }
                why
            }
        };
        builder.enter(machine, pool.as_deref(), node.as_deref(), state, reason, None);
    }
    wait_for_the_leaving(&mut builder, observed, limits, now, true);
    if !observed.endpoint.is_nothing() {
        builder.plan.actions.push(Action::ReleaseEndpoint);
    }
    builder.plan
}

/// Machines that were given back and are not free yet. `must` tells whether the cluster is waited for until they are.
pub(super) fn wait_for_the_leaving(
    builder: &mut PlanBuilder,
    observed: &Observed,
    limits: &Limits,
    now: Timestamp,
    must: bool,
) {
    for (id, leaving) in builder.plan.memory.releasing.clone() {
        if observed.machines.iter().any(|machine| machine.id == id) {
            continue;
        }
        let lasted = words::elapsed(leaving.since, now);
        if lasted > limits.releasing {
            if must {
                builder.plan.blocks.push(never_released(&leaving.hostname, lasted));
            } else {
                builder.plan.memory.releasing.remove(&id);
            }
        } else if must {
            builder.wait(waiting(&leaving.hostname, lasted, limits), leaving.since);
        }
    }
}

pub(super) fn locked(name: &str) -> Block {
    Block {
        cause: format!("{name} is locked in MAAS, so it cannot be given back"),
        hint: Some(format!("unlock {name} in MAAS")),
    }
}

fn waiting(name: &str, lasted: std::time::Duration, limits: &Limits) -> String {
    format!(
        "MAAS has been taking {name} back for {} (deadline {})",
        words::in_words(lasted),
        words::in_words(limits.releasing)
    )
}

fn never_released(name: &str, lasted: std::time::Duration) -> Block {
    Block {
        cause: format!("{name} was given back {} ago and MAAS is still working on it", words::in_words(lasted)),
        hint: Some(format!("look at {name}'s events and power control in MAAS")),
    }
}
