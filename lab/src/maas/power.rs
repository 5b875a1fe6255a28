//! Switching machines, and what MAAS knows about how.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    deploy,
    lifecycle::Effect,
    machine::{self, need_edit},
    state::Status,
};
use ferrogate_model::SystemId;
use serde_json::{Map, Value, json};

/// `op=power_on`: a deployed machine boots; an allocated one is deployed.
pub(crate) fn on(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Machine"))?;
    if machine.owner.is_none() {
        return Err(Answer::conflict("Can't start node: it hasn't been allocated."));
    }
    need_edit(ctx, id)?;
    let Some(machine) = ctx.state.machine(&id.0) else { return Err(Answer::not_found("Machine")) };
    if machine.status == Status::Allocated {
        return deploy::start_default(ctx, id, &form);
    }
    ctx.state.user_event(id, ctx.now, ctx.user, "User powering up node", form.get("comment"));
    ctx.effects.push(Effect::PowerOn { machine: id.clone() });
    Ok(machine::answer(ctx, id))
}

/// `op=power_off`.
pub(crate) fn off(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    need_edit(ctx, id)?;
    ctx.state.user_event(id, ctx.now, ctx.user, "User powering down node", form.get("comment"));
    if ctx.state.machine(&id.0).is_some_and(super::state::Machine::has_power_control) {
        ctx.effects.push(Effect::PowerOff { machine: id.clone() });
    }
    Ok(machine::answer(ctx, id))
}

/// `op=query_power_state`.
pub(crate) fn query(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    machine::need_view(ctx, id)?;
    let state = ctx.state.machine(&id.0).map_or("unknown", |machine| machine.power.word());
    Ok(Answer::json(&json!({ "state": state })))
}

/// `op=power_parameters` of one machine, for administrators.
pub(crate) fn parameters(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Machine"))?;
    Ok(Answer::json(&json!(machine.power_parameters)))
}

/// `op=power_parameters` of every machine.
pub(crate) fn all_parameters(ctx: &Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let wanted: Vec<&str> = ctx.request.query_all("id").collect();
    let machines = ctx.state.machines.iter();
    let found: Map<String, Value> = machines
        .filter(|machine| wanted.is_empty() || wanted.contains(&machine.system_id.0.as_str()))
        .map(|machine| (machine.system_id.0.clone(), json!(machine.power_parameters)))
        .collect();
    Ok(Answer::json(&found.into()))
}
