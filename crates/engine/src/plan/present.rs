//! Building, healing, growing and shrinking.

use super::{
    Action, Plan, absent,
    builder::PlanBuilder,
    fit, leave,
    members::{Assessment, Context, Member, Stage},
    nodes, repair, words,
};
use crate::{
    desired::Desired,
    limits::Limits,
    mark,
    memory::Memory,
    observed::{Api, Observed},
};
use ferrogate_join::{Role, names::API_PORT};
use ferrogate_model::{Timestamp, state::MachineState};
use std::{collections::BTreeMap, net::IpAddr};

pub(super) fn plan(desired: &Desired, observed: &Observed, memory: &Memory, limits: &Limits, now: Timestamp) -> Plan {
    let mut builder = PlanBuilder::start(observed, memory, limits.blind, now);
    let context = Context { desired, observed, limits, now, pools: desired.configuration.spec.pools().collect() };
    let mut members = context.members(&builder);
    repair::hold_the_majority(&context, &mut members);
    let victims = leave::victims(&mut builder, &context, &members);
    repair::repair(&mut builder, &context, &mut members, &victims);
    describe_api(&mut builder, &context, &members);
    for (index, member) in members.iter().enumerate() {
        if victims.contains(&index) {
            nodes::retire(&mut builder, &context, member);
        } else {
            keep(&mut builder, &context, member);
        }
    }
    allocate(&mut builder, &context, &members, &victims);
    deploy(&mut builder, &context, &members, &victims);
    nodes::tidy(&mut builder, &context, &members, &victims);
    absent::wait_for_the_leaving(&mut builder, observed, limits, now, false);
    sort_views(&mut builder.plan, &context);
    builder.plan
}

/// Where the API is, and since when it is silent.
fn describe_api(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>]) {
    let mut servers: Vec<&Member<'_>> =
        members.iter().filter(|member| member.pool == Some(0) && member.is_installed() && member.counts()).collect();
    servers.sort_by_key(|member| (member.stage() != Some(&Stage::Ready), member.machine.hostname.clone()));
    let plan = &mut builder.plan;
    plan.api_members = servers.iter().filter_map(|server| server.machine.address()).collect();
    plan.api_names = context.observed.endpoint.addresses.iter().map(ToString::to_string).collect();
    // The name is in every certificate, so that one server can become three: whoever joins later brings the address, and
    // everybody is told the name.
    let fqdn = mark::endpoint_fqdn(
        &context.desired.configuration.cluster,
        &context.desired.configuration.name,
        &context.desired.configuration.spec.domain,
    );
    plan.api_names.push(fqdn.clone());
    let host = if shares_an_address(context.desired) {
        (!context.observed.endpoint.addresses.is_empty()).then_some(fqdn)
    } else {
        servers.first().map(|server| server.machine.fqdn.clone())
    };
    plan.api_endpoint = host.map(|host| format!("https://{host}:{API_PORT}"));
    let since = plan.memory.api_silent_since;
    plan.memory.api_silent_since = match &context.observed.api {
        Api::Silent(_) => Some(since.unwrap_or(context.now)),
        Api::NotYet | Api::Answers(_) => None,
    };
    let was_up = servers.iter().any(|server| server.has_joined());
    if let (Api::Silent(why), true) = (&context.observed.api, was_up) {
        let since = since.unwrap_or(context.now);
        let lasted = words::in_words(words::elapsed(since, context.now));
        builder.wait(format!("the Kubernetes API has not answered for {lasted}: {why}"), since);
    }
}

/// Whether the servers share an address: several do.
const fn shares_an_address(desired: &Desired) -> bool {
    desired.configuration.spec.control_plane.count > 1
}

/// Enters a machine that stays, and notes down what is known of it.
fn keep(builder: &mut PlanBuilder, context: &Context<'_>, member: &Member<'_>) {
    let machine = member.machine;
    let name = &machine.hostname;
    let pool = member.pool.map(|pool| context.pools[pool].name.to_string());
    // A pool that is not named any more is still the one it is of.
    let pool = pool.or_else(|| machine.note(mark::POOL).map(str::to_owned));
    let mut joining = None;
    let (state, reason) = match &member.assessment {
        Assessment::Good(stage) => {
            if let Stage::Joining { since, .. } = stage {
                joining = *since;
            }
            keep_good(builder, context, member, stage)
        }
        Assessment::Bad { why, cool } => {
            // Giving it back may take several passes, and until then it is as late as it was.
            joining = builder.joining_clock(&machine.id);
            if machine.locked {
                builder.plan.blocks.push(absent::locked(name));
            } else {
                let node = member.seen.map(|node| node.name.clone());
                let (machine, why) = (machine.id.clone(), why.clone());
                builder.plan.actions.push(Action::Release { machine, why, cool: *cool, node });
            }
            (MachineState::Failed, why.clone())
        }
        Assessment::Stuck(why) => {
            joining = builder.joining_clock(&machine.id);
            if member.counts() {
                builder.wait(format!("{name} is left alone: {why}"), context.now);
            }
            (MachineState::Failed, why.clone())
        }
        Assessment::Leaving => (MachineState::Releasing, "MAAS takes it back".to_owned()),
        Assessment::Undecided(why) => {
            builder.wait(format!("{name}: {why}"), context.now);
            (MachineState::Joining, why.clone())
        }
    };
    builder.enter(machine, pool.as_deref(), Some(member.node.as_str()), state, reason, joining);
}

fn keep_good(
    builder: &mut PlanBuilder,
    context: &Context<'_>,
    member: &Member<'_>,
    stage: &Stage,
) -> (MachineState, String) {
    let machine = member.machine;
    let name = &machine.hostname;
    let mut notes = BTreeMap::new();
    if member.unwritten && *stage != Stage::Allocated {
        notes = notes_for(context, member, None);
    }
    let result = match stage {
        Stage::Allocated => (MachineState::Allocating, String::new()),
        Stage::Deploying { since } => {
            let lasted = words::in_words(words::elapsed(*since, context.now));
            let deadline = words::in_words(context.limits.installing);
            builder.wait(format!("{name} is being installed by MAAS for {lasted} (deadline {deadline})"), *since);
            (MachineState::Deploying, machine.message.clone())
        }
        Stage::Joining { since: Some(since), why } => {
            let lasted = words::in_words(words::elapsed(*since, context.now));
            let deadline = words::in_words(context.limits.joining);
            builder.wait(format!("{name} is installed and joining for {lasted} (deadline {deadline}): {why}"), *since);
            (MachineState::Joining, why.clone())
        }
        Stage::Joining { since: None, why } => {
            builder.wait_for_others(format!("{name} is installed: {why}"), context.now);
            (MachineState::Joining, why.clone())
        }
        Stage::Ready => {
            if !member.has_joined() {
                notes.insert(mark::JOINED.to_owned(), context.now.to_string());
            }
            (MachineState::Running, String::new())
        }
        Stage::Unwell { why } => {
            let since = builder.since(&machine.id, MachineState::Failed);
            builder.wait(format!("{name} is in trouble: {why}"), since);
            (MachineState::Failed, why.clone())
        }
        Stage::Unknown => (MachineState::Running, "not looked at: the Kubernetes API does not answer".to_owned()),
    };
    if !notes.is_empty() {
        builder.plan.actions.push(Action::Note { machine: machine.id.clone(), notes });
    }
    result
}

/// The owner data of a machine, complete.
fn notes_for(context: &Context<'_>, member: &Member<'_>, server: Option<IpAddr>) -> BTreeMap<String, String> {
    let pool = member.pool.map(|pool| context.pools[pool].name.as_str()).unwrap_or_default();
    let mut notes = mark::notes(context.desired, pool, member.node.as_str());
    if let Some(server) = server {
        notes.insert(mark::SERVER.to_owned(), server.to_string());
    }
    notes
}

/// Takes what is missing, spread over the zones.
fn allocate(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>], victims: &[usize]) {
    for (pool, spec) in context.pools.iter().enumerate() {
        let there: Vec<&str> = members
            .iter()
            .enumerate()
            .filter(|(index, member)| member.pool == Some(pool) && member.counts() && !victims.contains(index))
            .map(|(_, member)| member.machine.zone.as_str())
            .collect();
        for zones in fit::zones_in_turn(spec, &there) {
            builder.plan.actions.push(Action::Allocate { pool: spec.name.clone(), zones });
        }
    }
}

/// Installs what has been taken: the first server, then everything that can be told its address.
fn deploy(builder: &mut PlanBuilder, context: &Context<'_>, members: &[Member<'_>], victims: &[usize]) {
    let staying = || members.iter().enumerate().filter(|(index, _)| !victims.contains(index)).map(|(_, member)| member);
    let waiting = || staying().filter(|member| member.stage() == Some(&Stage::Allocated));
    let mut first_server = None;
    for member in waiting() {
        let control_plane = member.pool == Some(0);
        let role =
            if control_plane { server_role(builder, context, members, member) } else { agent_role(context, members) };
        let role = match role {
            // One server at a time.
            Ok(_) if control_plane && first_server.is_some() => Err("it waits for its turn to join".to_owned()),
            role => role,
        };
        let name = &member.machine.hostname;
        match role {
            Err(why) => {
                builder.wait(
                    format!("{name} is taken; {why}"),
                    builder.since(&member.machine.id, MachineState::Allocating),
                );
                if member.unwritten {
                    let notes = notes_for(context, member, None);
                    builder.plan.actions.push(Action::Note { machine: member.machine.id.clone(), notes });
                }
            }
            Ok(role) => {
                if control_plane {
                    first_server = Some(name.clone());
                }
                install(builder, context, member, role);
            }
        }
    }
}

fn install(builder: &mut PlanBuilder, context: &Context<'_>, member: &Member<'_>, role: Role) {
    let stale = context.observed.api.nodes().iter().find(|node| node.name == member.node.as_str());
    if let Some(node) = stale {
        // Left over from an earlier life of the machine; it would shut the new one out.
        let why = format!("{} is about to be installed anew", member.machine.hostname);
        builder.plan.actions.push(Action::DeleteNode { node: node.name.clone(), why });
        return;
    }
    let server = match role {
        Role::FirstServer => None,
        Role::Server(address) | Role::Agent(address) => Some(address),
    };
    let pool = member.pool.map_or_else(ferrogate_model::cluster::control_plane_name, |p| context.pools[p].name.clone());
    builder.plan.actions.push(Action::Deploy {
        machine: member.machine.id.clone(),
        pool,
        node: member.node.clone(),
        role,
        notes: notes_for(context, member, server),
    });
}

fn server_role(
    builder: &mut PlanBuilder,
    context: &Context<'_>,
    members: &[Member<'_>],
    candidate: &Member<'_>,
) -> Result<Role, String> {
    let others: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| member.pool == Some(0) && member.counts() && member.stage() != Some(&Stage::Allocated))
        .collect();
    if shares_an_address(context.desired) && context.observed.endpoint.addresses.is_empty() {
        let Some(subnet) = candidate.machine.subnet else {
            return Err("MAAS shows no subnet on its boot interface to reserve the API's address in".into());
        };
        let fqdn = mark::endpoint_fqdn(
            &context.desired.configuration.cluster,
            &context.desired.configuration.name,
            &context.desired.configuration.spec.domain,
        );
        let action = Action::ReserveEndpoint { subnet, fqdn };
        if !builder.plan.actions.contains(&action) {
            builder.plan.actions.push(action);
        }
        return Err("the API's address is reserved first".into());
    }
    if others.is_empty() {
        return Ok(Role::FirstServer);
    }
    if others.iter().any(|other| other.stage() != Some(&Stage::Ready)) {
        return Err("it joins once the other servers are ready".into());
    }
    let address = others.iter().find_map(|other| other.machine.address());
    address.map(Role::Server).ok_or_else(|| "it waits for the address of a server".into())
}

fn agent_role(context: &Context<'_>, members: &[Member<'_>]) -> Result<Role, String> {
    let rank = |member: &&Member<'_>| match member.stage() {
        Some(Stage::Ready) => 0,
        Some(Stage::Unwell { .. } | Stage::Unknown | Stage::Joining { .. }) => 1,
        Some(Stage::Deploying { .. }) => 2,
        Some(Stage::Allocated) | None => 3,
    };
    let server = members
        .iter()
        .filter(|member| member.pool == Some(0) && member.stage().is_some() && member.is_installed())
        .filter(|member| member.machine.address().is_some())
        .min_by_key(rank);
    let Some(server) = server else {
        let whom = if context.desired.configuration.spec.control_plane.count > 1 {
            "a control-plane machine"
        } else {
            "the control-plane machine"
        };
        return Err(format!("it waits for the address of {whom}"));
    };
    server.machine.address().map(Role::Agent).ok_or_else(|| "it waits for the address of a server".into())
}

fn sort_views(plan: &mut Plan, context: &Context<'_>) {
    let order = |pool: Option<&str>| {
        context.pools.iter().position(|spec| Some(spec.name.as_str()) == pool).unwrap_or(usize::MAX)
    };
    plan.machines.sort_by(|a, b| (order(a.pool.as_deref()), &a.hostname).cmp(&(order(b.pool.as_deref()), &b.hostname)));
}
