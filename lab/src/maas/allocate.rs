//! `op=allocate`: the first machine that fits becomes the caller's, in one instant.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    constraint::{Constraints, Labels},
    render,
    state::{Machine, State, Status},
};
use ferrogate_model::{SystemId, Timestamp};
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Longest mark (`agent_name`).
const MAX_AGENT_NAME: usize = 255;

/// `POST machines/?op=allocate`.
pub(crate) fn allocate(ctx: &mut Ctx<'_>) -> Reply {
    let form = ctx.request.form()?;
    let (constraints, mistakes) = Constraints::read(ctx.state, &form);
    let flag = |name: &str| match form.get(name) {
        None => Ok(false),
        Some("true" | "True" | "1" | "on" | "yes") => Ok(true),
        Some("false" | "False" | "0" | "off" | "no") => Ok(false),
        Some(_) => Err(Answer::bad_request(format!("Invalid {name}: Value should be 'true' or 'false'"))),
    };
    let (verbose, dry_run) = (flag("verbose")?, flag("dry_run")?);
    mistakes.check()?;
    let agent_name = form.get("agent_name").unwrap_or_default().to_owned();
    let length = agent_name.chars().count();
    if length > MAX_AGENT_NAME {
        let text = format!("Ensure this value has at most {MAX_AGENT_NAME} characters (it has {length}).");
        return Err(Answer::mistake_bare("agent_name", text));
    }
    // A machine named by its id that cannot be had is told apart from machines that do not fit.
    if let Some(id) = constraints.system_id()
        && !ctx.state.machine(id).is_some_and(is_free)
    {
        return Err(Answer::conflict(format!("No machine with system ID {id} available.")));
    }
    let Some((id, labels)) = choose(ctx.state, &constraints) else {
        return Err(Answer::conflict(refusal(&form.lists(), &constraints.description())));
    };
    if !dry_run {
        take(ctx.state, &id, ctx.user, agent_name, form.get("comment"), ctx.now);
    }
    let Some(machine) = ctx.state.machine(&id.0) else {
        return Err(Answer::plain(StatusCode::NOT_FOUND, "Not Found"));
    };
    let mut value = render::machine(ctx.state, machine);
    value["constraints_by_type"] = by_type(&labels, machine, verbose);
    Ok(Answer::json(&value))
}

fn is_free(machine: &Machine) -> bool {
    machine.status == Status::Ready && machine.owner.is_none()
}

/// The smallest free machine that fits: fewest CPUs, then least memory, then the oldest.
fn choose(state: &State, constraints: &Constraints) -> Option<(SystemId, Labels)> {
    let mut free: Vec<&Machine> = state.machines.iter().filter(|machine| is_free(machine)).collect();
    free.sort_by_key(|machine| (machine.cpu_count, machine.memory, machine.id));
    free.into_iter().find_map(|machine| Some((machine.system_id.clone(), constraints.fit(state, machine)?)))
}

/// The words of the 409: the form as Python prints it, and what MAAS made of it.
fn refusal(lists: &[(&str, Vec<&str>)], resolved: &str) -> String {
    if resolved.is_empty() {
        return "No machine available.".into();
    }
    let given: Vec<String> = lists
        .iter()
        .map(|(name, values)| {
            let values: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
            format!("('{name}', [{}])", values.join(", "))
        })
        .collect();
    format!("No available machine matches constraints: [{}] (resolved to \"{resolved}\")", given.join(", "))
}

fn by_type(labels: &Labels, machine: &Machine, verbose: bool) -> Value {
    let mut found = Map::new();
    let storage: Map<String, Value> = labels.storage.iter().map(|(label, id)| (label.clone(), json!([id]))).collect();
    let interfaces: Map<String, Value> =
        labels.interfaces.iter().map(|(label, ids)| (label.clone(), json!(ids))).collect();
    let of_machine = |map: &Map<String, Value>| {
        if map.is_empty() { json!({}) } else { json!({ machine.id.to_string(): map }) }
    };
    if verbose {
        found.insert("verbose_storage".into(), of_machine(&storage));
        found.insert("verbose_interfaces".into(), of_machine(&interfaces));
    }
    if !storage.is_empty() {
        found.insert("storage".into(), storage.into());
    }
    if !interfaces.is_empty() {
        found.insert("interfaces".into(), interfaces.into());
    }
    found.into()
}

/// The machine becomes the user's, with the mark.
pub(crate) fn take(
    state: &mut State,
    id: &SystemId,
    user: Option<super::state::Id>,
    agent_name: String,
    comment: Option<&str>,
    now: Timestamp,
) {
    state.user_event(id, now, user, "User acquiring node", comment);
    let Some(machine) = state.machine_mut(&id.0) else { return };
    machine.owner = user;
    machine.agent_name = agent_name;
    machine.epoch += 1;
    machine.allocations += 1;
    machine.error_description.clear();
    let suffix = format!(" (to {})", state.user_name(user).unwrap_or_default());
    state.change_status(id, Status::Allocated, now, &suffix);
}
