//! `ipaddresses/`: reserving and giving back single addresses.

use super::{
    address::number,
    answer::{Answer, Reply},
    api::Ctx,
    machine::is_mac,
    render,
    state::{Address, DnsResource, Id},
};
use crate::seed::RangeKind;
use http::StatusCode;
use serde_json::Value;
use std::net::IpAddr;

/// `ipaddresses/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => list(ctx),
        ("POST", Some("reserve")) => reserve(ctx),
        ("POST", Some("release")) => release(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

fn list(ctx: &Ctx<'_>) -> Reply {
    let request = ctx.request;
    let all = request.query_flag("all", false);
    if all && !ctx.is_admin() {
        let text = "Listing all IP addresses requires admin privileges.";
        return Err(Answer::plain(StatusCode::FORBIDDEN, text));
    }
    let owner = match request.query("owner") {
        Some(name) => ctx.state.users.iter().find(|user| user.name == name).map(|user| user.id),
        None => ctx.user,
    };
    let ip: Option<IpAddr> = request.query("ip").and_then(|text| text.parse().ok());
    let wanted = |found: IpAddr| request.query("ip").is_none() || Some(found) == ip;
    let everyone = all && request.query("owner").is_none();
    let mut rows: Vec<(Id, Value)> = ctx
        .state
        .addresses
        .iter()
        .filter(|address| wanted(address.ip) && (everyone || (address.owner.is_some() && address.owner == owner)))
        .map(|address| (address.id, render::address(ctx.state, address)))
        .collect();
    if everyone {
        for machine in &ctx.state.machines {
            for interface in &machine.interfaces {
                for link in interface.links.iter().filter(|link| link.ip.is_some_and(wanted)) {
                    rows.push((link.id, render::link_address(ctx.state, machine, interface.id, link)));
                }
            }
        }
    }
    rows.sort_by_key(|(id, _)| *id);
    Ok(Answer::json(&rows.into_iter().map(|(_, row)| row).collect()))
}

fn reserve(ctx: &mut Ctx<'_>) -> Reply {
    let form = ctx.request.form()?;
    let asked = form.filled("ip").or_else(|| form.filled("ip_address"));
    let subnet = form.filled("subnet");
    let mac = form.filled("mac").map(str::to_owned);
    if let Some(mac) = mac.as_deref().filter(|mac| !is_mac(mac)) {
        return Err(Answer::mistake_bare("mac_address", format!("'{mac}' is not a valid MAC address.")));
    }
    let ip = match (asked, subnet) {
        (Some(text), _) => {
            let ip = text.parse().map_err(|_| Answer::mistake("ip_address", "Enter a valid IPv4 or IPv6 address."))?;
            check_free(ctx, ip)?;
            ip
        }
        (None, Some(name)) => {
            let unknown = || Answer::bad_request(format!("Unable to identify subnet: {name}."));
            let subnet = ctx.state.find_subnet(name).ok_or_else(unknown)?;
            ctx.state.pick(subnet).map_err(|exhausted| Answer::unavailable(exhausted.text()))?
        }
        (None, None) => {
            return Err(Answer::bad_request("Must supply either the 'subnet' or the 'ip' parameter."));
        }
    };
    if let Some(mac) = &mac {
        let owner = ctx.state.machines.iter().find(|machine| machine.interfaces.iter().any(|i| i.mac == *mac));
        if let Some(machine) = owner {
            let text = format!(
                "MAC address {mac} already belongs to {}. Use of the interface API is required, for an interface that \
                 belongs to a node.",
                machine.hostname
            );
            return Err(Answer::bad_request(text));
        }
    }
    let mac = mac.map(|mac| (ctx.state.next_id("interface"), mac));
    let id = add(ctx, ip, mac);
    if let Some(name) = form.filled("hostname") {
        name_address(ctx, id, name);
    }
    let address = ctx.state.addresses.iter().find(|address| address.id == id);
    let address = address.ok_or_else(|| Answer::not_found("StaticIPAddress"))?;
    Ok(Answer::json(&render::address(ctx.state, address)))
}

/// A new address reserved by the user.
pub(crate) fn add(ctx: &mut Ctx<'_>, ip: IpAddr, mac: Option<(Id, String)>) -> Id {
    let id = ctx.state.next_id("address");
    let subnet = ctx.state.subnet_of(ip).map(|subnet| subnet.id);
    let (owner, created, updated) = (ctx.user, ctx.now, ctx.now);
    ctx.state.addresses.push(Address { id, ip, alloc_type: 4, owner, subnet, mac, created, updated });
    id
}

/// The words with which MAAS refuses an address that is not to be had. Network, broadcast and gateway addresses pass.
fn check_free(ctx: &Ctx<'_>, ip: IpAddr) -> Result<(), Answer> {
    let not_found = |text: String| Err(Answer::error(StatusCode::NOT_FOUND, text));
    if ctx.state.subnet_of(ip).is_none() {
        return Err(Answer::bad_request(format!("No known subnet for IP address: {ip}.")));
    }
    let covers = |range: &&super::state::IpRange| {
        range.start.is_ipv4() == ip.is_ipv4() && (number(range.start)..=number(range.end)).contains(&number(ip))
    };
    match ctx.state.ranges.iter().find(covers) {
        Some(range) if range.kind == RangeKind::Dynamic => {
            let text = format!(
                "IP address {ip} belongs to an existing dynamic range. To reserve this IP address, a MAC address is \
                 required. (Create a device instead.)"
            );
            return Err(Answer::error(StatusCode::FORBIDDEN, text));
        }
        Some(range) => {
            return not_found(format!("{ip} is within the reserved range from {} to {}", range.start, range.end));
        }
        None => {}
    }
    if ctx.state.is_used(ip) {
        return not_found(format!("The IP address {ip} is already in use."));
    }
    Ok(())
}

/// Gives a reserved address a name. The first label is the name; a known domain after it is its domain.
fn name_address(ctx: &mut Ctx<'_>, address: Id, hostname: &str) {
    let (name, domain) = match hostname.split_once('.') {
        Some((name, rest)) => {
            (name, ctx.state.domains.iter().find(|domain| domain.name == rest).map(|domain| domain.id))
        }
        None => (hostname, None),
    };
    let domain = domain.unwrap_or(ctx.state.default_domain);
    let known = ctx.state.dns_resources.iter_mut().find(|r| r.name == name && r.domain == domain);
    if let Some(resource) = known {
        resource.addresses.push(address);
        return;
    }
    let id = ctx.state.next_id("dnsresource");
    let (name, addresses) = (name.to_owned(), vec![address]);
    ctx.state.dns_resources.push(DnsResource { id, name, domain, ttl: None, addresses });
}

fn release(ctx: &mut Ctx<'_>) -> Reply {
    let form = ctx.request.form()?;
    let text = form.get("ip").ok_or_else(|| Answer::bad_request("No provided ip!"))?;
    let ip: IpAddr = text.parse().map_err(|_| Answer::mistake("ip", "Enter a valid IPv4 or IPv6 address."))?;
    let force = matches!(form.get("force"), Some("true" | "True" | "1")) && ctx.is_admin();
    let mine = |address: &&Address| {
        address.ip == ip
            && (address.alloc_type == 4)
            && (force || (address.owner.is_some() && address.owner == ctx.user))
    };
    let Some(address) = ctx.state.addresses.iter().find(mine).map(|address| address.id) else {
        let text = format!(
            "IP address {ip} does not exist, is not the correct type of address, or does not belong to the requesting \
             user.\nIf you are sure you want to release this address, use force=true as a MAAS administrator."
        );
        return Err(Answer::bad_request(text));
    };
    ctx.state.delete_address(address);
    Ok(Answer::no_content())
}
