//! `ipranges/`: what of subnets MAAS keeps off, and what is for DHCP.

use super::{
    address::number,
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    render,
    request::Form,
    state::{Id, IpRange, State},
};
use crate::seed::RangeKind;
use http::StatusCode;
use serde_json::Value;
use std::net::IpAddr;

/// `ipranges/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => {
            let all: Value = ctx.state.ranges.iter().map(|range| render::ip_range(ctx.state, range)).collect();
            Ok(Answer::json(&all))
        }
        ("POST", None) => create(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

fn create(ctx: &mut Ctx<'_>) -> Reply {
    let form = ctx.request.form()?;
    let kind = match form.get("type") {
        Some("dynamic") if !ctx.is_admin() => {
            let text = "Unable to create dynamic IP range. You don't have sufficient privileges.";
            return Err(Answer::error(StatusCode::FORBIDDEN, text));
        }
        Some("dynamic") => RangeKind::Dynamic,
        Some("reserved") => RangeKind::Reserved,
        Some(other) => {
            let text = format!("Select a valid choice. {other} is not one of the available choices.");
            return Err(Answer::mistake("type", text));
        }
        None => return Err(Answer::mistake("type", "This field is required.")),
    };
    let (subnet, start, end) = read(ctx.state, &form, kind)?;
    let id = ctx.state.next_id("iprange");
    let comment = form.get("comment").unwrap_or_default().to_owned();
    let user = ctx.user;
    ctx.state.ranges.push(IpRange { id, subnet, kind, start, end, comment, user });
    answer(ctx, id)
}

fn answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let range = ctx.state.ranges.iter().find(|range| range.id == id).ok_or_else(|| Answer::not_found("IPRange"))?;
    Ok(Answer::json(&render::ip_range(ctx.state, range)))
}

/// Subnet and ends of a new range.
fn read(state: &State, form: &Form, kind: RangeKind) -> Result<(Id, IpAddr, IpAddr), Answer> {
    let mut mistakes = Mistakes::default();
    let ends: Vec<Option<IpAddr>> =
        ["start_ip", "end_ip"].iter().map(|name| form.filled(name).and_then(|text| text.parse().ok())).collect();
    let subnet = match form.filled("subnet") {
        Some(name) => state.find_subnet(name),
        None => ends[0].and_then(|ip| state.subnet_of(ip)),
    };
    if subnet.is_none() {
        mistakes.add("subnet", "This field is required.");
    }
    for (name, end) in ["start_ip", "end_ip"].iter().zip(&ends) {
        if end.is_none() {
            mistakes.add(name, "This field is required.");
            mistakes.add(name, "Start IP address and end IP address are both required.");
        }
    }
    if let (Some(start), Some(end), Some(subnet)) = (ends[0], ends[1], subnet) {
        if number(end) < number(start) || start.is_ipv4() != end.is_ipv4() {
            mistakes.add("end_ip", "End IP address must not be less than Start IP address.");
        } else if overlaps(state, subnet.id, kind, start, end) {
            let what = match kind {
                RangeKind::Reserved => "reserved range conflicts with an existing range.",
                RangeKind::Dynamic => "dynamic range conflicts with an existing IP address or range.",
            };
            for name in ["start_ip", "end_ip"] {
                mistakes.add(name, format!("Requested {what}"));
            }
        }
    }
    mistakes.check()?;
    match (subnet, ends[0], ends[1]) {
        (Some(subnet), Some(start), Some(end)) => Ok((subnet.id, start, end)),
        _ => Err(Answer::invalid(&mistakes)),
    }
}

/// Whether a range would share addresses with what is there. Of a subnet that MAAS does not manage, only what is
/// reserved is MAAS's, so that nothing in it can be dynamic.
fn overlaps(state: &State, subnet: Id, kind: RangeKind, start: IpAddr, end: IpAddr) -> bool {
    let (start, end) = (number(start), number(end));
    let Some(subnet) = state.subnet(subnet) else { return false };
    if kind == RangeKind::Dynamic && !subnet.managed {
        return true;
    }
    let ranges = state.ranges.iter().filter(|range| range.subnet == subnet.id);
    ranges.into_iter().any(|range| number(range.start) <= end && start <= number(range.end))
        || (kind == RangeKind::Dynamic
            && state.taken(subnet, true).iter().any(|taken| taken.first <= end && start <= taken.last))
}

/// `ipranges/<id>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, text: &str) -> Reply {
    let (method, op) = ctx.signature();
    if op.is_some() || !matches!(method, "GET" | "PUT" | "DELETE") {
        return ctx.refuse("GET, PUT, DELETE");
    }
    let found = ctx.state.ranges.iter().find(|range| range.id.to_string() == text);
    let (id, owner) = found.map(|range| (range.id, range.user)).ok_or_else(|| Answer::not_found("IPRange"))?;
    if method != "GET" && !ctx.is_admin() && owner != ctx.user {
        let text = "Unable to modify IP range. You don't own the IP range.";
        return Err(Answer::error(StatusCode::FORBIDDEN, text));
    }
    match method {
        "GET" => answer(ctx, id),
        "PUT" => {
            let form = ctx.request.form_or_json()?;
            let end = |name: &str| form.filled(name).and_then(|text| text.parse::<IpAddr>().ok());
            let old = ctx.state.ranges.iter().find(|range| range.id == id).map(|range| (range.start, range.end));
            let new = old.map(|(start, last)| (end("start_ip").unwrap_or(start), end("end_ip").unwrap_or(last)));
            if new.is_some_and(|(start, last)| number(last) < number(start) || start.is_ipv4() != last.is_ipv4()) {
                return Err(Answer::mistake("end_ip", "End IP address must not be less than Start IP address."));
            }
            for range in ctx.state.ranges.iter_mut().filter(|range| range.id == id) {
                range.start = end("start_ip").unwrap_or(range.start);
                range.end = end("end_ip").unwrap_or(range.end);
                if let Some(text) = form.get("comment") {
                    text.clone_into(&mut range.comment);
                }
            }
            answer(ctx, id)
        }
        _ => {
            ctx.state.ranges.retain(|range| range.id != id);
            Ok(Answer::no_content())
        }
    }
}
