//! `nodes/<id>/interfaces/` and `nodes/<id>/blockdevices/`: reading, and linking an interface to a subnet.

use super::{
    address::number,
    answer::{Answer, Reply},
    api::Ctx,
    machine::need_view,
    render,
    state::{Link, Machine},
};
use crate::seed::{LinkMode, RangeKind};
use ferrogate_model::SystemId;
use serde_json::Value;
use std::net::IpAddr;

fn node(ctx: &Ctx<'_>, id: &str) -> Result<SystemId, Answer> {
    let id = ctx.state.machine(id).ok_or_else(|| Answer::not_found("Node"))?.system_id.clone();
    need_view(ctx, &id)?;
    Ok(id)
}

/// `nodes/<id>/interfaces/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    let id = node(ctx, id)?;
    match ctx.signature() {
        ("GET", None) => {
            let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Node"))?;
            let all: Value = machine.interfaces.iter().map(|i| render::interface(ctx.state, machine, i)).collect();
            Ok(Answer::json(&all))
        }
        _ => ctx.refuse("POST, GET"),
    }
}

fn position(machine: &Machine, name: &str) -> Result<usize, Answer> {
    let matches = |interface: &super::state::Interface| interface.id.to_string() == name || interface.name == name;
    machine.interfaces.iter().position(matches).ok_or_else(|| Answer::not_found("Interface"))
}

/// `nodes/<id>/interfaces/<id or name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, id: &str, name: &str) -> Reply {
    let id = node(ctx, id)?;
    let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Node"))?;
    let at = position(machine, name)?;
    match ctx.signature() {
        ("GET", None) => Ok(Answer::json(&render::interface(ctx.state, machine, &machine.interfaces[at]))),
        ("POST", Some("link_subnet")) => link_subnet(ctx, &id, at),
        _ => ctx.refuse("GET, PUT, POST, DELETE"),
    }
}

fn link_subnet(ctx: &mut Ctx<'_>, id: &SystemId, at: usize) -> Reply {
    super::machine::need_edit(ctx, id)?;
    let form = ctx.request.form()?;
    let mode = form.get("mode").unwrap_or_default().to_lowercase();
    let mode = match mode.as_str() {
        "auto" => LinkMode::Auto,
        "static" => LinkMode::Static,
        "dhcp" => LinkMode::Dhcp,
        "link_up" => LinkMode::LinkUp,
        other => {
            let text =
                format!("'{other}' is not a valid mode.  It should be one of: 'auto', 'dhcp', 'static', 'link_up'.");
            return Err(Answer::mistake("mode", text));
        }
    };
    let asked = form.get("subnet").unwrap_or_default();
    let Some(subnet) = ctx.state.find_subnet(asked) else {
        let text = "Select a valid choice. That choice is not one of the available choices.";
        return Err(Answer::mistake("subnet", text));
    };
    let subnet_id = subnet.id;
    let ip = match (mode, form.filled("ip_address")) {
        (LinkMode::Static, Some(text)) => Some(check_static(ctx, text)?),
        (LinkMode::Static, None) => {
            Some(ctx.state.pick(subnet).map_err(|exhausted| Answer::unavailable(exhausted.text()))?)
        }
        _ => None,
    };
    let link_id = ctx.state.next_id("address");
    let force = matches!(form.get("force"), Some("true" | "True" | "1"));
    let now = ctx.now;
    let Some(machine) = ctx.state.machine_mut(&id.0) else { return Err(Answer::not_found("Node")) };
    let links = &mut machine.interfaces[at].links;
    if force {
        links.clear();
    }
    links.push(Link { id: link_id, subnet: subnet_id, mode, ip, created: now, updated: now });
    let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Node"))?;
    Ok(Answer::json(&render::interface(ctx.state, machine, &machine.interfaces[at])))
}

fn check_static(ctx: &Ctx<'_>, text: &str) -> Result<IpAddr, Answer> {
    let ip: IpAddr = text.parse().map_err(|_| Answer::mistake("ip_address", "Enter a valid IPv4 or IPv6 address."))?;
    let inside = |range: &&super::state::IpRange| {
        range.kind == RangeKind::Dynamic && (number(range.start)..=number(range.end)).contains(&number(ip))
    };
    if let Some(range) = ctx.state.ranges.iter().find(inside) {
        let text = format!("IP address is inside a dynamic range {} to {}.", range.start, range.end);
        return Err(Answer::mistake("ip_address", text));
    }
    if ctx.state.is_used(ip) {
        return Err(Answer::mistake("ip_address", "IP address is already in use."));
    }
    Ok(ip)
}

/// `nodes/<id>/blockdevices/`.
pub(crate) fn disks(ctx: &mut Ctx<'_>, id: &str) -> Reply {
    let id = node(ctx, id)?;
    match ctx.signature() {
        ("GET", None) => {
            let machine = ctx.state.machine(&id.0).ok_or_else(|| Answer::not_found("Node"))?;
            let mut all: Vec<Value> = machine.disks.iter().map(|disk| render::disk(machine, disk)).collect();
            for disk in all.iter_mut().filter_map(Value::as_object_mut) {
                // The one field that disks have in a machine's record but not here.
                disk.remove("firmware_version");
            }
            Ok(Answer::json(&all.into()))
        }
        _ => ctx.refuse("POST, GET"),
    }
}
