//! Creating, changing and deleting subnets.

use crate::maas::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    network::default_vlan,
    render,
    request::Form,
    state::{Id, Subnet},
};
use ipnet::IpNet;
use serde_json::json;
use std::net::IpAddr;

/// `POST subnets/`.
pub(crate) fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let mut mistakes = Mistakes::default();
    let text = form.get("cidr").unwrap_or_default();
    mistakes.require("cidr", Some(text));
    let cidr: Option<IpNet> = text.parse().ok();
    if cidr.is_none() && !text.is_empty() {
        mistakes.add("cidr", "Required format: <network>/<prefixlen>.");
    }
    if cidr.is_some_and(|cidr| ctx.state.subnets.iter().any(|subnet| subnet.cidr == cidr.trunc())) {
        mistakes.add("cidr", "Subnet with this Cidr already exists.");
    }
    let gateway = read_gateway(&form, cidr, &mut mistakes);
    mistakes.check()?;
    let Some(cidr) = cidr else { return Err(Answer::server_error("no CIDR")) };
    let vlan = find_vlan(ctx, &form);
    let id = ctx.state.next_id("subnet");
    ctx.state.subnets.push(Subnet {
        id,
        // Without a name it is called as it was written, even where that is not how its range is.
        name: form.filled("name").unwrap_or(text).to_owned(),
        description: form.get("description").unwrap_or_default().to_owned(),
        vlan,
        cidr: cidr.trunc(),
        gateway,
        dns_servers: read_servers(form.get("dns_servers").unwrap_or_default()),
        managed: form.get("managed").is_none_or(is_yes),
    });
    written(ctx, id)
}

/// `PUT subnets/<id>/`.
pub(crate) fn update(ctx: &mut Ctx<'_>, id: Id) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    let form = ctx.request.form_or_json()?;
    let mut mistakes = Mistakes::default();
    let cidr = ctx.state.subnet(id).map(|subnet| subnet.cidr);
    let gateway = read_gateway(&form, cidr, &mut mistakes);
    mistakes.check()?;
    for subnet in ctx.state.subnets.iter_mut().filter(|subnet| subnet.id == id) {
        if let Some(text) = form.get("dns_servers") {
            subnet.dns_servers = read_servers(text);
        }
        if form.get("gateway_ip").is_some() {
            subnet.gateway = gateway;
        }
        if let Some(text) = form.get("managed") {
            subnet.managed = is_yes(text);
        }
        if let Some(name) = form.filled("name") {
            name.clone_into(&mut subnet.name);
        }
        if let Some(text) = form.get("description") {
            text.clone_into(&mut subnet.description);
        }
    }
    written(ctx, id)
}

/// `DELETE subnets/<id>/`.
pub(crate) fn delete(ctx: &mut Ctx<'_>, id: Id) -> Reply {
    ctx.need_admin(Answer::forbidden)?;
    ctx.state.subnets.retain(|subnet| subnet.id != id);
    ctx.state.ranges.retain(|range| range.subnet != id);
    for address in ctx.state.addresses.iter_mut().filter(|address| address.subnet == Some(id)) {
        address.subnet = None;
    }
    for interface in ctx.state.machines.iter_mut().flat_map(|machine| &mut machine.interfaces) {
        interface.links.retain(|link| link.subnet != id);
    }
    Ok(Answer::no_content())
}

/// The subnet right after it was written: a gateway that it does not have is an empty text then.
fn written(ctx: &Ctx<'_>, id: Id) -> Reply {
    let subnet = ctx.state.subnet(id).ok_or_else(|| Answer::not_found("Subnet"))?;
    let mut value = render::subnet(ctx.state, subnet);
    if subnet.gateway.is_none() {
        value["gateway_ip"] = json!("");
    }
    Ok(Answer::json(&value))
}

fn is_yes(text: &str) -> bool {
    matches!(text, "true" | "True" | "1" | "on")
}

fn read_servers(text: &str) -> Vec<IpAddr> {
    text.split([',', ' ']).filter_map(|word| word.trim().parse().ok()).collect()
}

fn read_gateway(form: &Form, cidr: Option<IpNet>, mistakes: &mut Mistakes) -> Option<IpAddr> {
    let text = form.filled("gateway_ip")?;
    let ip = text.parse().ok();
    match ip {
        None => mistakes.add("gateway_ip", "Enter a valid IPv4 or IPv6 address."),
        Some(ip) if cidr.is_some_and(|cidr| !cidr.contains(&ip)) => {
            mistakes.add("gateway_ip", "Gateway IP must be within CIDR range.");
        }
        Some(_) => {}
    }
    ip
}

/// The VLAN of `fabric` and `vid`, of `vlan`, or the default one.
fn find_vlan(ctx: &mut Ctx<'_>, form: &Form) -> Id {
    let fabric = form.filled("fabric").and_then(|name| ctx.state.find_fabric(name)).map(|fabric| fabric.id);
    let vid: u16 = form.filled("vid").and_then(|text| text.parse().ok()).unwrap_or(0);
    let wanted: Option<Id> = form.filled("vlan").and_then(|text| text.parse().ok());
    let found = ctx.state.vlans.iter().find(|vlan| {
        wanted.is_some_and(|id| id == vlan.id) || fabric.is_some_and(|fabric| vlan.fabric == fabric && vlan.vid == vid)
    });
    match found.map(|vlan| vlan.id) {
        Some(id) => id,
        None => default_vlan(ctx.state),
    }
}
