//! Members in trouble: a node that is not ready for long has its machine restarted, and replaced where that does not help.
//!
//! All of it only by what the Kubernetes API says itself. Where nobody answers, where most nodes are silent at once, or
//! where the site could not be looked at, it is the network that is in trouble, and nothing is touched.

use super::{
    Action,
    builder::PlanBuilder,
    members::{Assessment, Context, Member, Stage},
    words,
};
use crate::{
    memory::{Repair, RepairStep},
    observed::{Api, Status},
};
use ferrogate_model::state::Severity;
use std::time::Duration;

/// How long MAAS may take to switch a machine off before it is switched on regardless.
const SWITCHING_OFF: Duration = Duration::from_secs(60);

/// Servers that were members leave only while the others keep the majority of what remains; else they are kept as they are.
pub(super) fn hold_the_majority(context: &Context<'_>, members: &mut [Member<'_>]) {
    for index in 0..members.len() {
        let member = &members[index];
        let leaves = matches!(member.assessment, Assessment::Bad { .. }) && member.machine.status == Status::Deployed;
        if !leaves || member.pool != Some(0) || !member.has_joined() {
            continue;
        }
        let Api::Answers(_) = &context.observed.api else { continue };
        if members.iter().filter(|member| is_server(member)).count() < 2 {
            // Whoever answers is this machine: all that the cluster knows is on it.
            members[index].assessment = Assessment::Stuck(
                "it is the cluster's only server, and it answers although its node is gone: restart it in MAAS, so that its \
                 node comes back"
                    .into(),
            );
        } else if let Err(why) = may_leave(members, index) {
            members[index].assessment = Assessment::Stuck(why);
        }
    }
}

/// Whether etcd keeps its majority without this server; why not, in words.
pub(super) fn may_leave(members: &[Member<'_>], leaver: usize) -> Result<(), String> {
    let others = || members.iter().enumerate().filter(|(index, member)| *index != leaver && is_server(member));
    let left = others().count();
    let ready = others().filter(|(_, member)| member.stage() == Some(&Stage::Ready)).count();
    if ready > left / 2 {
        return Ok(());
    }
    Err(format!("without it only {ready} of the {left} other servers would be ready, too few for etcd's majority"))
}

/// Whether a machine holds a copy of etcd, as far as is known.
fn is_server(member: &Member<'_>) -> bool {
    member.pool == Some(0) && member.has_joined() && !matches!(member.assessment, Assessment::Leaving)
}

/// Restarts and replaces, one machine at a time.
pub(super) fn repair(builder: &mut PlanBuilder, context: &Context<'_>, members: &mut [Member<'_>], victims: &[usize]) {
    builder.plan.memory.repairs.retain(|id, _| members.iter().any(|member| member.machine.id == *id));
    let Api::Answers(_) = &context.observed.api else {
        // Nobody can say whether they are still in trouble; what is under way is judged anew when somebody can.
        for repair in builder.plan.memory.repairs.values_mut() {
            repair.since = context.now;
        }
        return;
    };
    let in_the_way = in_the_way(members);
    let mut is_busy = is_something_under_way(members);
    for index in 0..members.len() {
        if victims.contains(&index) {
            continue;
        }
        let id = members[index].machine.id.clone();
        let known = builder.plan.memory.repairs.remove(&id);
        let next = match members[index].stage() {
            Some(Stage::Unwell { .. }) => {
                let repair = known.map_or_else(|| fresh(context, None), |known| again(context, known));
                let is_next = !is_busy && in_the_way.is_none();
                let next = unwell(builder, context, members, index, repair, is_next);
                is_busy |= next.step != RepairStep::Unwell || members[index].stage().is_none();
                Some(next)
            }
            Some(Stage::Ready) => known.and_then(|known| recovered(context, known)),
            _ => None,
        };
        builder.plan.memory.repairs.extend(next.map(|next| (id, next)));
    }
    let unwell = builder.plan.memory.repairs.values().filter(|repair| repair.step == RepairStep::Unwell);
    if let (Some(why), Some(since)) = (in_the_way, unwell.map(|repair| repair.since).min()) {
        builder.wait(why, since);
    }
}

fn fresh(context: &Context<'_>, before: Option<&Repair>) -> Repair {
    Repair { step: RepairStep::Unwell, since: context.now, restarted: before.is_some_and(|before| before.restarted) }
}

/// A machine that recovered and is in trouble again begins anew, but is not restarted a second time.
fn again(context: &Context<'_>, known: Repair) -> Repair {
    if known.step == RepairStep::Recovered { fresh(context, Some(&known)) } else { known }
}

/// A member that is ready again: that it was restarted is remembered for a while.
fn recovered(context: &Context<'_>, known: Repair) -> Option<Repair> {
    match known.step {
        RepairStep::Recovered => (words::elapsed(known.since, context.now) < context.limits.cooling).then_some(known),
        RepairStep::Unwell if !known.restarted => None,
        RepairStep::Unwell | RepairStep::SwitchedOff | RepairStep::SwitchedOn => {
            Some(Repair { step: RepairStep::Recovered, since: context.now, restarted: true })
        }
    }
}

/// Why nothing is restarted or replaced at all.
fn in_the_way(members: &[Member<'_>]) -> Option<String> {
    let stages = || members.iter().filter_map(Member::stage);
    let unwell = stages().filter(|stage| matches!(stage, Stage::Unwell { .. })).count();
    let ready = stages().filter(|stage| **stage == Stage::Ready).count();
    if unwell > 0 && ready == 0 {
        return Some("no node is ready, which looks like the network: no machine is restarted or replaced".into());
    }
    if unwell > 1 && unwell > ready {
        return Some(format!(
            "{unwell} of {} nodes are not ready at once, which looks like the network: no machine is restarted or \
             replaced; look at the site's network, or restart them in MAAS",
            unwell + ready
        ));
    }
    None
}

/// Whether a machine comes or goes already: one change at a time.
fn is_something_under_way(members: &[Member<'_>]) -> bool {
    members.iter().any(|member| match &member.assessment {
        Assessment::Good(stage) => {
            matches!(stage, Stage::Allocated | Stage::Deploying { .. } | Stage::Joining { .. })
        }
        Assessment::Bad { .. } => true,
        Assessment::Stuck(_) | Assessment::Leaving | Assessment::Undecided(_) => false,
    })
}

/// One member in trouble, one step further where it is time.
fn unwell(
    builder: &mut PlanBuilder,
    context: &Context<'_>,
    members: &mut [Member<'_>],
    index: usize,
    repair: Repair,
    is_next: bool,
) -> Repair {
    let lasted = words::elapsed(repair.since, context.now);
    let limits = context.limits;
    let machine = members[index].machine;
    let name = &machine.hostname;
    let keeps = members[index].pool != Some(0) || may_leave(members, index).is_ok();
    let may_touch = keeps && !machine.locked;
    let Some(Stage::Unwell { why }) = members[index].stage().cloned() else { return repair };
    match repair.step {
        RepairStep::Unwell if lasted <= limits.unwell || !is_next || !may_touch => repair,
        RepairStep::Unwell if repair.restarted => {
            let why = format!("{why}, again after a restart");
            members[index].assessment = Assessment::Bad { why, cool: true };
            repair
        }
        RepairStep::Unwell => {
            let message =
                format!("{name} is restarted, because its node has not been ready for {}", words::in_words(lasted));
            builder.event(Severity::Warning, "MachineRestarted", message.clone(), Some(&machine.id));
            let is_off = machine.powered == Some(false);
            builder.plan.actions.push(Action::Switch { machine: machine.id.clone(), on: is_off, why: message });
            let step = if is_off { RepairStep::SwitchedOn } else { RepairStep::SwitchedOff };
            Repair { step, since: context.now, restarted: true }
        }
        RepairStep::SwitchedOff if machine.powered == Some(false) || lasted > SWITCHING_OFF => {
            let why = format!("{name} is restarted");
            builder.plan.actions.push(Action::Switch { machine: machine.id.clone(), on: true, why });
            Repair { step: RepairStep::SwitchedOn, since: context.now, restarted: true }
        }
        RepairStep::SwitchedOn if lasted > limits.restarting && may_touch => {
            let deadline = words::in_words(limits.restarting);
            let why = format!("its node was not ready within {deadline} after a restart: {why}");
            members[index].assessment = Assessment::Bad { why, cool: true };
            repair
        }
        RepairStep::SwitchedOff | RepairStep::SwitchedOn => {
            let (lasted, deadline) = (words::in_words(lasted), words::in_words(limits.restarting));
            let why = format!("{why}; it was restarted {lasted} ago (replaced after {deadline})");
            members[index].assessment = Assessment::Good(Stage::Unwell { why });
            repair
        }
        RepairStep::Recovered => repair,
    }
}
