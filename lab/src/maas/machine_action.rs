//! What can be done to a machine besides taking, deploying, releasing and switching it.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    lifecycle::Effect,
    machine::{self, need_edit, need_unlocked},
    state::{Machine, Status},
};
use ferrogate_model::SystemId;
use serde_json::json;

fn found<'a>(ctx: &'a mut Ctx<'_>, id: &SystemId) -> Result<&'a mut Machine, Answer> {
    ctx.state.machine_mut(&id.0).ok_or_else(|| Answer::not_found("Machine"))
}

/// `op=set_owner_data` and `op=set_workload_annotations`: an empty value takes the key away.
pub(crate) fn annotate(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    // A free machine refuses for its state, whoever asks.
    if found(ctx, id)?.owner.is_none() || found(ctx, id)?.status == Status::Testing {
        return Err(Answer::conflict("Cannot set workload annotation: it hasn't been acquired."));
    }
    need_edit(ctx, id)?;
    let lists = form.lists();
    if lists.iter().any(|(key, _)| key.contains('=') || key.is_empty()) {
        return Err(Answer::server_error("Invalid character in key name"));
    }
    let machine = found(ctx, id)?;
    for (key, values) in lists {
        match values.last() {
            Some(value) if !value.is_empty() => machine.owner_data.insert(key.to_owned(), (*value).to_owned()),
            _ => machine.owner_data.remove(key),
        };
    }
    Ok(machine::answer(ctx, id))
}

/// `op=mark_broken`: by the owner alone; the machine leaves its owner.
pub(crate) fn mark_broken(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    let user = ctx.user;
    if found(ctx, id)?.owner.is_none() || found(ctx, id)?.owner != user {
        return Err(Answer::forbidden());
    }
    need_unlocked(ctx, id)?;
    let comment = form.get("comment").or_else(|| form.get("error_description")).unwrap_or_default().to_owned();
    ctx.state.user_event(id, ctx.now, user, "User marking node broken", Some(&comment));
    let machine = found(ctx, id)?;
    machine.epoch += 1;
    machine.free_auto_addresses();
    machine.owner = None;
    machine.agent_name.clear();
    machine.owner_data.clear();
    machine.osystem.clear();
    machine.distro_series.clear();
    machine.hwe_kernel = None;
    machine.error_description = comment;
    let was_taken = machine.status != Status::Broken;
    ctx.state.change_status(id, Status::Broken, ctx.now, "");
    if was_taken {
        ctx.state.announce(id, ctx.now, "Released", "");
    }
    ctx.effects.push(Effect::PowerOff { machine: id.clone() });
    Ok(machine::answer(ctx, id))
}

/// `op=mark_fixed`, for administrators.
pub(crate) fn mark_fixed(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    ctx.need_admin(Answer::forbidden)?;
    if found(ctx, id)?.status != Status::Broken {
        return Err(Answer::conflict("Can't mark a non-broken node as 'Ready'."));
    }
    found(ctx, id)?.error_description.clear();
    ctx.state.user_event(id, ctx.now, ctx.user, "User marking node fixed", form.get("comment"));
    ctx.state.change_status(id, Status::Ready, ctx.now, "");
    Ok(machine::answer(ctx, id))
}

/// `op=lock`.
pub(crate) fn lock(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    let machine = found(ctx, id)?;
    if machine.locked {
        return Err(Answer::conflict("Machine is already locked"));
    }
    if !matches!(machine.status, Status::Deployed | Status::Deploying) {
        return Err(Answer::conflict("Can't lock, node is not deployed or deploying"));
    }
    need_edit(ctx, id)?;
    found(ctx, id)?.locked = true;
    ctx.state.user_event(id, ctx.now, ctx.user, "User locking node", form.get("comment"));
    Ok(machine::answer(ctx, id))
}

/// `op=unlock`.
pub(crate) fn unlock(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    if !found(ctx, id)?.locked {
        return Err(Answer::conflict("Machine is not locked"));
    }
    need_edit(ctx, id)?;
    found(ctx, id)?.locked = false;
    ctx.state.user_event(id, ctx.now, ctx.user, "User unlocking node", form.get("comment"));
    Ok(machine::answer(ctx, id))
}

/// `op=abort`: what runs ends, and the machine goes back.
pub(crate) fn abort(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    need_edit(ctx, id)?;
    let machine = found(ctx, id)?;
    let (then, kind, message) = match machine.status {
        Status::Commissioning => (Status::New, "User aborting node commissioning", "Aborted commissioning"),
        Status::Testing => (machine.previous_status, "User aborting testing", "Aborted testing"),
        Status::Deploying => (Status::Allocated, "User aborting deployment", "Aborted deployment"),
        Status::DiskErasing => (Status::FailedDiskErasing, "User aborting disk erasing", "Aborted disk erasing"),
        other => {
            let text = format!("Cannot abort in state {}; it can only be aborted in states", other.name());
            return Err(Answer::conflict(text));
        }
    };
    machine.epoch += 1;
    let epoch = machine.epoch;
    if machine.status == Status::Commissioning {
        machine.owner = None;
    }
    if machine.status == Status::Deploying {
        machine.free_auto_addresses();
        machine.osystem.clear();
        machine.distro_series.clear();
        machine.hwe_kernel = None;
        ctx.state.change_status(id, Status::Allocated, ctx.now, "");
    }
    ctx.state.user_event(id, ctx.now, ctx.user, kind, form.get("comment"));
    ctx.state.announce(id, ctx.now, message, "");
    ctx.effects.push(Effect::Abort { machine: id.clone(), epoch, then });
    Ok(machine::answer(ctx, id))
}

/// `op=commission`, for administrators.
pub(crate) fn commission(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    let machine = found(ctx, id)?;
    let taken = matches!(
        machine.status,
        Status::Deployed | Status::Deploying | Status::Allocated | Status::Releasing | Status::DiskErasing
    );
    if taken {
        let text = "Commission is not available because of the current state of the node.";
        return Err(Answer::mistake("__all__", text));
    }
    let user = ctx.user;
    let (commissioning, testing) = (ctx.state.next_id("scriptset"), ctx.state.next_id("scriptset"));
    let machine = found(ctx, id)?;
    machine.epoch += 1;
    machine.owner = user;
    machine.commissioning_result = commissioning;
    machine.testing_result = testing;
    machine.commissioning_status = 0;
    machine.testing_status = 0;
    if machine.has_power_control() {
        machine.power = crate::backend::Power::Off;
    }
    machine.forget_layout();
    let epoch = machine.epoch;
    ctx.state.user_event(id, ctx.now, user, "User starting node commissioning", None);
    ctx.state.change_status(id, Status::Commissioning, ctx.now, "");
    ctx.state.announce(id, ctx.now, "Commissioning", "");
    ctx.effects.push(Effect::Scripts { machine: id.clone(), epoch, then: Status::Ready });
    Ok(machine::answer(ctx, id))
}

/// `op=test`, for administrators.
pub(crate) fn test(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    need_edit(ctx, id)?;
    let user = ctx.user;
    let testing = ctx.state.next_id("scriptset");
    let machine = found(ctx, id)?;
    machine.epoch += 1;
    machine.previous_status = match machine.status {
        Status::New => Status::Ready,
        other => other,
    };
    machine.owner = machine.owner.or(user);
    machine.testing_result = testing;
    machine.testing_status = 0;
    let (epoch, then) = (machine.epoch, machine.previous_status);
    ctx.state.user_event(id, ctx.now, user, "User starting node testing", None);
    ctx.state.change_status(id, Status::Testing, ctx.now, "");
    ctx.state.announce(id, ctx.now, "Testing", "");
    ctx.effects.push(Effect::Scripts { machine: id.clone(), epoch, then });
    Ok(machine::answer(ctx, id))
}

/// `op=rescue_mode`, for administrators.
pub(crate) fn rescue_mode(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    need_edit(ctx, id)?;
    let user = ctx.user;
    let machine = found(ctx, id)?;
    if !matches!(machine.status, Status::Ready | Status::Broken | Status::Deployed) {
        return Err(Answer::conflict("Machine is not in a state that rescue mode can be entered from."));
    }
    machine.epoch += 1;
    machine.previous_status = machine.status;
    machine.owner = machine.owner.or(user);
    ctx.state.user_event(id, ctx.now, user, "User entering rescue mode", None);
    ctx.state.change_status(id, Status::EnteringRescueMode, ctx.now, "");
    ctx.state.announce(id, ctx.now, "Entering rescue mode", "");
    ctx.effects.push(Effect::PowerOn { machine: id.clone() });
    Ok(machine::answer(ctx, id))
}

/// `op=exit_rescue_mode`.
pub(crate) fn exit_rescue_mode(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    need_edit(ctx, id)?;
    let machine = found(ctx, id)?;
    if !matches!(machine.status, Status::RescueMode | Status::EnteringRescueMode) {
        return Err(Answer::conflict("Machine is not in rescue mode."));
    }
    machine.epoch += 1;
    let (epoch, then) = (machine.epoch, machine.previous_status);
    ctx.state.change_status(id, Status::ExitingRescueMode, ctx.now, "");
    ctx.state.announce(id, ctx.now, "Exiting rescue mode", "");
    ctx.effects.push(Effect::Abort { machine: id.clone(), epoch, then });
    Ok(machine::answer(ctx, id))
}

/// `op=set_storage_layout`: only for machines that nobody has.
pub(crate) fn set_storage_layout(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    if found(ctx, id)?.status != Status::Ready {
        return Err(Answer::conflict("Cannot change the storage layout on a machine that is not Ready."));
    }
    let form = ctx.request.form()?;
    match form.get("storage_layout") {
        // The one layout there is here.
        Some("flat") => Ok(machine::answer(ctx, id)),
        Some(other) => {
            let text = format!("'{other}' is not a valid layout.  It should be one of: 'flat'.");
            Err(Answer::mistake("storage_layout", text))
        }
        None => Err(Answer::mistake("storage_layout", "This field is required.")),
    }
}

/// `DELETE`, for administrators.
pub(crate) fn delete(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    need_unlocked(ctx, id)?;
    ctx.effects.push(Effect::Cut { machine: id.clone() });
    ctx.state.machines.retain(|machine| machine.system_id != *id);
    Ok(Answer::no_content())
}

/// `op=details`: BSON of two empty documents, since nothing was found out.
pub(crate) fn details(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    machine::need_view(ctx, id)?;
    let mut bson = vec![0x1b, 0, 0, 0];
    for name in ["lldp", "lshw"] {
        bson.push(5);
        bson.extend(name.as_bytes());
        bson.extend([0; 6]);
    }
    bson.push(0);
    Ok(Answer::binary("application/bson", bson))
}

/// `op=get_token`: no machine has one to show.
pub(crate) fn token(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    machine::need_view(ctx, id)?;
    Ok(Answer::json(&json!(null)))
}

/// `op=get_curtin_config`.
pub(crate) fn curtin_config(ctx: &Ctx<'_>, id: &SystemId) -> Reply {
    machine::need_view(ctx, id)?;
    let name = ctx.state.machine(&id.0).map(|machine| machine.hostname.clone()).unwrap_or_default();
    Err(Answer::bad_request(format!("Machine {name} is not in a deployment state.")))
}
