//! What is done inside Kubernetes: draining, removing, labelling.

use super::{
    Action, absent,
    builder::PlanBuilder,
    members::{Context, Member, Stage},
    words,
};
use crate::observed::{Api, SeenNode};
use ferrogate_model::state::{MachineState, Severity};
use std::collections::BTreeMap;

/// How many pods are asked to leave in one pass.
const EVICTIONS_AT_ONCE: usize = 50;

/// Lets a machine go that is too many: its pods first.
pub(super) fn retire(builder: &mut PlanBuilder, context: &Context<'_>, member: &Member<'_>) {
    let machine = member.machine;
    let name = &machine.hostname;
    let pool = machine.note(crate::mark::POOL).map(str::to_owned);
    let why = match &pool {
        Some(pool) if member.pool.is_some() => format!("pool `{pool}` has one machine too many"),
        Some(pool) => format!("pool `{pool}` is gone from the specification"),
        None => "it is not needed".to_owned(),
    };
    let state = if machine.locked {
        builder.plan.blocks.push(absent::locked(name));
        MachineState::Running
    } else {
        match (member.seen, &context.observed.api) {
            (Some(node), _) => drain(builder, context, member, node, &why),
            (None, Api::Silent(_) | Api::NotYet) if member.has_joined() => {
                builder.wait(format!("{name} cannot be drained while the Kubernetes API does not answer"), context.now);
                MachineState::Draining
            }
            (None, _) => {
                release(builder, member, &why, None);
                MachineState::Releasing
            }
        }
    };
    builder.enter(machine, pool.as_deref(), Some(member.node.as_str()), state, why, None);
}

fn drain(
    builder: &mut PlanBuilder,
    context: &Context<'_>,
    member: &Member<'_>,
    node: &SeenNode,
    why: &str,
) -> MachineState {
    let Some(since) = node.draining_since else {
        builder.plan.actions.push(Action::Cordon { node: node.name.clone() });
        return MachineState::Draining;
    };
    let lasted = words::elapsed(since, context.now);
    let name = &member.machine.hostname;
    if node.pods.is_empty() || lasted > context.limits.draining {
        if let Some((namespace, pod)) = node.pods.first() {
            let message = format!(
                "{name} is removed with {} pods still on it after {} of draining; the first is {namespace}/{pod}",
                node.pods.len(),
                words::in_words(lasted)
            );
            builder.event(Severity::Warning, "DrainIncomplete", message, Some(&member.machine.id));
        }
        release(builder, member, why, Some(node.name.clone()));
        return MachineState::Releasing;
    }
    let (namespace, pod) = &node.pods[0];
    let reason = format!(
        "{name} is being drained for {} (deadline {}): {} pods left, the first is {namespace}/{pod}",
        words::in_words(lasted),
        words::in_words(context.limits.draining),
        node.pods.len()
    );
    builder.wait(reason, since);
    for (namespace, pod) in node.pods.iter().take(EVICTIONS_AT_ONCE) {
        builder.plan.actions.push(Action::Evict { namespace: namespace.clone(), pod: pod.clone() });
    }
    MachineState::Draining
}

fn release(builder: &mut PlanBuilder, member: &Member<'_>, why: &str, node: Option<String>) {
    let machine = member.machine.id.clone();
    builder.plan.actions.push(Action::Release { machine, why: why.to_owned(), cool: false, node });
}

/// Nodes whose machine is gone are removed, nodes that stay after all get their pods back, and labels are made right.
pub(super) fn tidy(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>], victims: &[usize]) {
    for node in context.observed.api.nodes() {
        let Some(machine) = &node.machine else { continue };
        let owner = members.iter().position(|member| member.machine.id == *machine);
        match owner {
            None => {
                let why = format!("its machine {machine} is not the cluster's any more");
                builder.plan.actions.push(Action::DeleteNode { node: node.name.clone(), why });
            }
            Some(index) if !victims.contains(&index) && members[index].stage().is_some() => {
                if node.draining_since.is_some() {
                    builder.plan.actions.push(Action::Uncordon { node: node.name.clone() });
                }
                label(builder, context, &members[index], node);
            }
            Some(_) => {}
        }
    }
}

fn label(builder: &mut PlanBuilder, context: &Context<'_>, member: &Member<'_>, node: &SeenNode) {
    let (Some(pool), Some(Stage::Ready)) = (member.pool, member.stage()) else { return };
    let missing: BTreeMap<String, String> = context.pools[pool]
        .labels
        .iter()
        .filter(|(key, value)| node.labels.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !missing.is_empty() {
        builder.plan.actions.push(Action::Label { node: node.name.clone(), labels: missing });
    }
}
