//! `dnsresourcerecords/`: records other than addresses.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    dns::{asked_domain, read_name},
    domain::read_ttl,
    state::{DnsData, DnsResource, Id, State},
};
use serde_json::{Value, json};

/// The types of records there can be.
const TYPES: &str = "SRV NS TXT MX CNAME SSHFP";

pub(crate) fn record_json(state: &State, data: &DnsData) -> Value {
    let resource = state.dns_resources.iter().find(|resource| resource.id == data.resource);
    json!({
        "ttl": data.ttl,
        "rrtype": data.rrtype,
        "rrdata": data.rrdata,
        "fqdn": resource.map(|resource| state.resource_fqdn(resource)),
        "id": data.id,
        "resource_uri": format!("/MAAS/api/2.0/dnsresourcerecords/{}/", data.id),
    })
}

/// `dnsresourcerecords/`.
pub(crate) fn collection(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", None) => list(ctx),
        ("POST", None) => create(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

fn list(ctx: &Ctx<'_>) -> Reply {
    let (request, state) = (ctx.request, &*ctx.state);
    let domain = asked_domain(state, request.query("domain"))?;
    let resource = |data: &DnsData| state.dns_resources.iter().find(|resource| resource.id == data.resource);
    let mut found: Vec<&DnsData> = state
        .dns_data
        .iter()
        .filter(|data| domain.is_none_or(|domain| resource(data).is_some_and(|r| r.domain == domain)))
        .filter(|data| request.query("rrtype").is_none_or(|rrtype| data.rrtype == rrtype))
        .collect();
    found.sort_by_key(|data| resource(data).map(|resource| (resource.domain, resource.name.clone())));
    Ok(Answer::json(&found.into_iter().map(|data| record_json(state, data)).collect()))
}

fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let rrtype = form.filled("rrtype").ok_or_else(|| Answer::bad_request("rrtype must be provided."))?.to_uppercase();
    let (name, domain) = read_name(ctx.state, &form)?;
    if !TYPES.split(' ').any(|known| known == rrtype) {
        return Err(Answer::mistake("rrtype", format!("{rrtype} is not one of {TYPES}.")));
    }
    let mut mistakes = Mistakes::default();
    let ttl = read_ttl(form.filled("ttl"), &mut mistakes);
    mistakes.require("name", name.as_deref());
    mistakes.check()?;
    let (name, domain) = (name.unwrap_or_default(), domain.unwrap_or_default());
    let known = ctx.state.dns_resources.iter().find(|r| r.name == name && r.domain == domain);
    if let Some(resource) = known {
        check_cname(ctx.state, resource, &rrtype)?;
    }
    let resource = match known.map(|resource| resource.id) {
        Some(id) => id,
        None => {
            let id = ctx.state.next_id("dnsresource");
            ctx.state.dns_resources.push(DnsResource { id, name, domain, ttl: None, addresses: Vec::new() });
            id
        }
    };
    let id = ctx.state.next_id("dnsdata");
    let rrdata = form.get("rrdata").unwrap_or_default().to_owned();
    ctx.state.dns_data.push(DnsData { id, resource, ttl, rrtype, rrdata });
    answer(ctx, id)
}

/// A CNAME is alone.
fn check_cname(state: &State, resource: &DnsResource, rrtype: &str) -> Result<(), Answer> {
    if rrtype != "CNAME" {
        return Ok(());
    }
    if state.dns_data.iter().any(|data| data.resource == resource.id && data.rrtype == "CNAME") {
        return Err(Answer::mistake("__all__", "Only one CNAME can be associated with a name."));
    }
    let others = state.dns_data.iter().any(|data| data.resource == resource.id);
    if others || !resource.addresses.is_empty() {
        return Err(Answer::mistake("__all__", "CNAME records for a name cannot coexist with non-CNAME records."));
    }
    Ok(())
}

fn answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let data = ctx.state.dns_data.iter().find(|data| data.id == id).ok_or_else(|| Answer::not_found("DNSData"))?;
    Ok(Answer::json(&record_json(ctx.state, data)))
}

/// `dnsresourcerecords/<id>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, text: &str) -> Reply {
    let (method, op) = ctx.signature();
    if op.is_some() || !matches!(method, "GET" | "PUT" | "DELETE") {
        return ctx.refuse("GET, PUT, DELETE");
    }
    let at = ctx.state.dns_data.iter().position(|data| data.id.to_string() == text);
    let at = at.ok_or_else(|| Answer::not_found("DNSData"))?;
    let id = ctx.state.dns_data[at].id;
    match method {
        "GET" => answer(ctx, id),
        "PUT" => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form_or_json()?;
            let mut mistakes = Mistakes::default();
            let ttl = read_ttl(form.filled("ttl"), &mut mistakes);
            mistakes.check()?;
            let data = &mut ctx.state.dns_data[at];
            data.ttl = ttl.or(data.ttl);
            if let Some(text) = form.get("rrdata") {
                text.clone_into(&mut data.rrdata);
            }
            answer(ctx, id)
        }
        _ => {
            ctx.need_admin(Answer::forbidden)?;
            let resource = ctx.state.dns_data.remove(at).resource;
            let empty = !ctx.state.dns_data.iter().any(|data| data.resource == resource);
            ctx.state.dns_resources.retain(|r| r.id != resource || !empty || !r.addresses.is_empty());
            Ok(Answer::no_content())
        }
    }
}
