//! `subnets/`, with what of them is free, reserved and in use.

mod edit;

use super::{
    address::{Stretch, number, numbered},
    answer::{Answer, Reply},
    api::Ctx,
    render,
    state::Subnet,
};
use serde_json::{Value, json};

/// `subnets/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let all: Value = ctx.state.subnets.iter().map(|subnet| render::subnet(ctx.state, subnet)).collect();
            Ok(Answer::json(&all))
        }
        ("POST", None) => edit::create(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

/// `subnets/<id, name or CIDR>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let subnet = ctx.state.find_subnet(name).ok_or_else(|| Answer::not_found("Subnet"))?;
    let state = &*ctx.state;
    match ctx.signature() {
        ("GET", None) => Ok(Answer::json(&render::subnet(state, subnet))),
        ("GET", Some("statistics")) => Ok(Answer::json(&statistics(ctx, subnet))),
        ("GET", Some("unreserved_ip_ranges")) => Ok(Answer::json(&stretches(subnet, &state.free(subnet), false))),
        ("GET", Some("reserved_ip_ranges")) => Ok(Answer::json(&stretches(subnet, &state.taken(subnet, false), true))),
        ("GET", Some("ip_addresses")) => Ok(Answer::json(&addresses(ctx, subnet))),
        ("PUT", None) => {
            let id = subnet.id;
            edit::update(ctx, id)
        }
        ("DELETE", None) => {
            let id = subnet.id;
            edit::delete(ctx, id)
        }
        _ => ctx.refuse("GET, PUT, DELETE"),
    }
}

fn stretches(subnet: &Subnet, stretches: &[Stretch], purpose: bool) -> Value {
    let one = |stretch: &Stretch| {
        let mut value = json!({
            "start": numbered(subnet, stretch.first),
            "end": numbered(subnet, stretch.last),
            "num_addresses": count(stretch.len()),
        });
        if purpose {
            value["purpose"] = json!(stretch.purposes);
        }
        value
    };
    stretches.iter().map(one).collect()
}

/// A number as JSON; IPv6 subnets have more addresses than 64 bits count, written as a float then.
fn count(number: u128) -> Value {
    u64::try_from(number).map_or_else(|_| json!(approximate(number)), |number| json!(number))
}

#[expect(clippy::cast_precision_loss, reason = "shares and huge counts are floats in MAAS too")]
const fn approximate(number: u128) -> f64 {
    number as f64
}

fn statistics(ctx: &Ctx<'_>, subnet: &Subnet) -> Value {
    let state = &*ctx.state;
    let (first, last) = state.span(subnet);
    let free = state.free(subnet);
    let total = last - first + 1;
    let available: u128 = free.iter().map(Stretch::len).sum();
    let largest = free.iter().map(Stretch::len).max().unwrap_or(0);
    let usage = approximate(total - available) / approximate(total);
    let mut value = json!({
        "num_available": count(available),
        "largest_available": count(largest),
        "num_unavailable": count(total - available),
        "total_addresses": count(total),
        "usage": usage,
        "usage_string": format!("{:.0}%", usage * 100.0),
        "available_string": format!("{:.0}%", (1.0 - usage) * 100.0),
        "first_address": numbered(subnet, first),
        "last_address": numbered(subnet, last),
        "ip_version": if subnet.cidr.addr().is_ipv4() { 4 } else { 6 },
    });
    if ctx.request.query_flag("include_ranges", false) {
        let mut all = state.taken(subnet, true);
        all.extend(free);
        all.sort_by_key(|stretch| stretch.first);
        value["ranges"] = stretches(subnet, &all, true);
    }
    if ctx.request.query_flag("include_suggestions", false) {
        value["suggested_gateway"] = json!(null);
        value["suggested_dynamic_range"] = json!(null);
    }
    value
}

/// The addresses of a subnet that are in use, in order.
fn addresses(ctx: &Ctx<'_>, subnet: &Subnet) -> Value {
    let state = &*ctx.state;
    let (with_user, with_summary) =
        (ctx.request.query_flag("with_username", true), ctx.request.query_flag("with_summary", true));
    let mut rows = Vec::new();
    for machine in &state.machines {
        for interface in &machine.interfaces {
            for link in &interface.links {
                let Some(ip) = link.ip.filter(|ip| subnet.cidr.contains(ip)) else { continue };
                let mut row = json!({
                    "ip": ip,
                    "alloc_type": render::link_alloc_type(link),
                    "created": render::long_date(link.created),
                    "updated": render::long_date(link.updated),
                });
                if with_summary {
                    row["node_summary"] = json!({
                        "system_id": machine.system_id.0,
                        "node_type": 0,
                        "fqdn": state.fqdn(machine),
                        "hostname": machine.hostname,
                        "is_container": false,
                        "via": interface.name,
                    });
                }
                if let Some(user) = state.user_name(machine.owner).filter(|_| with_user) {
                    row["user"] = json!(user);
                }
                rows.push((number(ip), row));
            }
        }
    }
    for address in state.addresses.iter().filter(|address| subnet.cidr.contains(&address.ip)) {
        let mut row = json!({
            "ip": address.ip,
            "alloc_type": address.alloc_type,
            "created": render::long_date(address.created),
            "updated": render::long_date(address.updated),
        });
        if let Some(user) = state.user_name(address.owner).filter(|_| with_user) {
            row["user"] = json!(user);
        }
        let names: Vec<Value> = state
            .dns_resources
            .iter()
            .filter(|resource| resource.addresses.contains(&address.id))
            .map(|r| json!({ "id": r.id, "name": r.name, "domain": state.domain_name(r.domain) }))
            .collect();
        if with_summary && !names.is_empty() {
            row["dns_records"] = names.into();
        }
        rows.push((number(address.ip), row));
    }
    rows.sort_by_key(|(ip, _)| *ip);
    rows.into_iter().map(|(_, row)| row).collect()
}
