//! `op=release`, of one machine and of several.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
    lifecycle::Effect,
    machine::{self, need_edit, need_unlocked},
    request::Form,
    state::{Id, State, Status},
};
use crate::backend::Power;
use ferrogate_model::{SystemId, Timestamp};
use serde_json::json;

/// The states a machine can be released from.
pub(crate) const fn is_releasable(status: Status) -> bool {
    matches!(
        status,
        Status::Allocated
            | Status::Broken
            | Status::Deployed
            | Status::Deploying
            | Status::FailedDeployment
            | Status::FailedDiskErasing
            | Status::FailedReleasing
    )
}

/// `POST machines/<id>/?op=release`.
pub(crate) fn one(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    need_edit_or_free(ctx, id)?;
    need_unlocked(ctx, id)?;
    let status = ctx.state.machine(&id.0).map(|machine| machine.status);
    match status {
        // Nothing to do, and no error.
        Some(Status::Ready | Status::Releasing) => {}
        Some(status) if is_releasable(status) => {
            let erase = wants_erasing(ctx.state, &form);
            begin(ctx.state, id, ctx.user, form.get("comment"), erase, ctx.now, ctx.effects);
        }
        Some(status) => {
            let text = format!("Machine cannot be released in its current state ('{}').", status.name());
            return Err(Answer::conflict(text));
        }
        None => return Err(Answer::not_found("Machine")),
    }
    Ok(machine::answer(ctx, id))
}

/// A free machine is nobody's, so that nobody is told it is somebody else's.
fn need_edit_or_free(ctx: &Ctx<'_>, id: &SystemId) -> Result<(), Answer> {
    match ctx.state.machine(&id.0) {
        Some(machine) if machine.status == Status::Ready && machine.owner.is_none() => machine::need_view(ctx, id),
        _ => need_edit(ctx, id),
    }
}

/// `POST machines/?op=release` with `machines=` repeated: all or none.
pub(crate) fn many(ctx: &mut Ctx<'_>) -> Reply {
    let form = ctx.request.form()?;
    let mut ids: Vec<SystemId> = form.all("machines").map(|id| SystemId(id.to_owned())).collect();
    ids.sort();
    ids.dedup();
    let unknown: Vec<&str> =
        ids.iter().filter(|id| ctx.state.machine(&id.0).is_none()).map(|id| id.0.as_str()).collect();
    if !unknown.is_empty() {
        return Err(Answer::bad_request(format!("Unknown machine(s): {}.", unknown.join(", "))));
    }
    let denied: Vec<&str> = ids
        .iter()
        .filter(|id| need_edit_or_free(ctx, id).is_err() || need_unlocked(ctx, id).is_err())
        .map(|id| id.0.as_str())
        .collect();
    if !denied.is_empty() {
        let text = format!(
            "You don't have the required permission to release the following machine(s): {}.",
            denied.join(", ")
        );
        return Err(Answer::error(http::StatusCode::FORBIDDEN, text));
    }
    let (mut released, mut wrong) = (Vec::new(), Vec::new());
    for id in &ids {
        match ctx.state.machine(&id.0).map(|machine| machine.status) {
            Some(Status::Ready | Status::Releasing) | None => {}
            Some(status) if is_releasable(status) => released.push(id.clone()),
            Some(status) => wrong.push(format!("{id} ('{}')", status.name())),
        }
    }
    if !wrong.is_empty() {
        let text = format!("Machine(s) cannot be released in their current state: {}.", wrong.join(", "));
        return Err(Answer::conflict(text));
    }
    let erase = wants_erasing(ctx.state, &form);
    for id in &released {
        begin(ctx.state, id, ctx.user, form.get("comment"), erase, ctx.now, ctx.effects);
    }
    Ok(Answer::json(&json!(released)))
}

fn wants_erasing(state: &State, form: &Form) -> bool {
    let always = state.config.get("enable_disk_erasing_on_release").and_then(serde_json::Value::as_bool);
    form.get("erase").map_or(always.unwrap_or(false), |value| matches!(value, "true" | "True" | "1"))
}

/// Begins a release. With power off, or where MAAS has no power control, it is finished at once.
pub(crate) fn begin(
    state: &mut State,
    id: &SystemId,
    user: Option<Id>,
    comment: Option<&str>,
    erase: bool,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    let Some(machine) = state.machine_mut(&id.0) else { return };
    let was_broken = machine.status == Status::Broken;
    let was_allocated = machine.status == Status::Allocated;
    let running = machine.power == Power::On;
    let erase = erase && machine.status == Status::Deployed;
    machine.epoch += 1;
    machine.releases += 1;
    machine.agent_name.clear();
    machine.netboot = true;
    machine.osystem.clear();
    machine.distro_series.clear();
    machine.hwe_kernel = None;
    machine.error_description.clear();
    let epoch = machine.epoch;
    if was_broken {
        machine.owner = None;
        machine.owner_data.clear();
        state.change_status(id, Status::Ready, now, "");
        return;
    }
    state.user_event(id, now, user, "User releasing node", comment);
    let next = if erase { Status::DiskErasing } else { Status::Releasing };
    state.change_status(id, next, now, "");
    state.announce(id, now, next.name(), "");
    if running || erase {
        effects.push(Effect::Release { machine: id.clone(), epoch, erase });
        return;
    }
    if !was_allocated {
        effects.push(Effect::Cut { machine: id.clone() });
    }
    state.finish_release(id, now);
}
