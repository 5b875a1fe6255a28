//! `op=deploy`, and what power_on of an allocated machine does.

use super::{
    allocate,
    answer::{Answer, Reply},
    api::Ctx,
    lifecycle::Effect,
    machine::{self, arch, need_edit, need_unlocked},
    request::Form,
    state::{Machine, State, Status},
};
use crate::seed::Image;
use ferrogate_model::SystemId;
use std::collections::BTreeSet;

/// What a machine is installed with.
#[derive(Debug)]
struct Choice {
    osystem: String,
    series: String,
    kernel: Option<String>,
}

/// `POST machines/<id>/?op=deploy`.
pub(crate) fn deploy(ctx: &mut Ctx<'_>, id: &SystemId) -> Reply {
    let form = ctx.request.form()?;
    let status = ctx.state.machine(&id.0).map(|machine| machine.status);
    // A free machine is taken and deployed in one; anybody may.
    if status == Some(Status::Ready) {
        machine::need_view(ctx, id)?;
    } else {
        need_edit(ctx, id)?;
        need_unlocked(ctx, id)?;
    }
    match status {
        Some(Status::Ready | Status::Allocated) => {}
        Some(other) => {
            let text = format!("Can't deploy a machine that is in the '{}' state", other.name());
            return Err(Answer::conflict(text));
        }
        None => return Err(Answer::not_found("Machine")),
    }
    let choice = Some(choose(ctx.state, id, &form)?);
    if status == Some(Status::Ready) {
        let agent_name = form.get("agent_name").unwrap_or_default().to_owned();
        allocate::take(ctx.state, id, ctx.user, agent_name, None, ctx.now);
    }
    start(ctx, id, &form, choice)
}

/// Begins the deployment of an allocated machine with what the settings say, without writing down what that was:
/// power_on of such a machine.
pub(crate) fn start_default(ctx: &mut Ctx<'_>, id: &SystemId, form: &Form) -> Reply {
    start(ctx, id, form, None)
}

fn start(ctx: &mut Ctx<'_>, id: &SystemId, form: &Form, choice: Option<Choice>) -> Reply {
    // Addresses are claimed now, so that exhaustion is this request's answer, but shown from the next read on.
    ctx.state.claim_addresses(id, ctx.now).map_err(|exhausted| Answer::unavailable(exhausted.text()))?;
    let result = ctx.state.next_id("scriptset");
    ctx.state.user_event(id, ctx.now, ctx.user, "User starting deployment", form.get("comment"));
    let Some(machine) = ctx.state.machine_mut(&id.0) else { return Err(Answer::not_found("Machine")) };
    if let Some(choice) = choice {
        machine.osystem = choice.osystem;
        machine.distro_series = choice.series;
        machine.hwe_kernel = choice.kernel;
        machine.min_hwe_kernel.get_or_insert_default();
    }
    machine.user_data = form.get("user_data").map(str::to_owned);
    machine.installation_result = Some(result);
    machine.netboot = true;
    machine.error_description.clear();
    machine.deploys += 1;
    machine.epoch += 1;
    let epoch = machine.epoch;
    ctx.state.change_status(id, Status::Deploying, ctx.now, "");
    ctx.state.announce(id, ctx.now, "Deploying", "");
    ctx.effects.push(Effect::Deploy { machine: id.clone(), epoch });
    Ok(without_addresses(ctx, id))
}

/// The machine as it was the moment before its addresses were written.
fn without_addresses(ctx: &mut Ctx<'_>, id: &SystemId) -> Answer {
    let mut kept = Vec::new();
    if let Some(machine) = ctx.state.machine_mut(&id.0) {
        for link in links(machine) {
            kept.push(link.ip);
            if link.mode == crate::seed::LinkMode::Auto {
                link.ip = None;
            }
        }
    }
    let answer = machine::answer(ctx, id);
    if let Some(machine) = ctx.state.machine_mut(&id.0) {
        for (link, ip) in links(machine).zip(kept) {
            link.ip = ip;
        }
    }
    answer
}

fn links(machine: &mut Machine) -> impl Iterator<Item = &mut super::state::Link> {
    machine.interfaces.iter_mut().flat_map(|interface| &mut interface.links)
}

/// Which image and kernel.
fn choose(state: &State, id: &SystemId, form: &Form) -> Result<Choice, Answer> {
    let Some(machine) = state.machine(&id.0) else { return Err(Answer::not_found("Machine")) };
    let default = |name: &str| state.config.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let asked = form.filled("distro_series").map_or_else(|| default("default_distro_series"), str::to_owned);
    let names: BTreeSet<&str> = state.images.iter().map(|image| image.name.as_str()).collect();
    let Some(name) = names.iter().find(|name| is_called(name, &asked)) else {
        let known: Vec<String> = names.iter().map(|name| format!(", '{name}'")).collect();
        let text = format!("'{asked}' is not a valid distro_series.  It should be one of: ''{}.", known.concat());
        return Err(Answer::mistake("distro_series", text));
    };
    let (osystem, series) = name.split_once('/').unwrap_or(("ubuntu", name));
    let image = state.images.iter().find(|image| image.name == **name && image.architecture == arch(machine));
    let Some(image) = image else {
        let text = format!("{name} is not available for {}.", machine.architecture);
        return Err(Answer::mistake("distro_series", text));
    };
    let kernel = match form.filled("hwe_kernel") {
        Some(kernel) if image.kernels.iter().any(|known| known == kernel) => Some(kernel.to_owned()),
        Some(kernel) => {
            let text = format!("{kernel} is not available for {name} on {}.", machine.architecture);
            return Err(Answer::mistake("hwe_kernel", text));
        }
        None => first_kernel(image),
    };
    Ok(Choice { osystem: osystem.to_owned(), series: series.to_owned(), kernel })
}

fn first_kernel(image: &Image) -> Option<String> {
    image.kernels.first().cloned()
}

/// Whether an image is meant: `jammy`, `ubuntu/jammy` and `22.04` all are one.
fn is_called(name: &str, asked: &str) -> bool {
    const VERSIONS: [(&str, &str); 4] =
        [("20.04", "ubuntu/focal"), ("22.04", "ubuntu/jammy"), ("24.04", "ubuntu/noble"), ("26.04", "ubuntu/resolute")];
    name == asked
        || name.split_once('/').is_some_and(|(_, series)| series == asked)
        || VERSIONS.contains(&(asked, name))
}
