//! `dnsresources/`: names and their addresses.

use super::{
    answer::{Answer, Mistakes, Reply},
    api::Ctx,
    domain::read_ttl,
    ip_address, render,
    request::Form,
    state::{DnsResource, Id, State},
};
use serde_json::{Value, json};
use std::net::IpAddr;

impl State {
    /// Deletes an address; a name that has neither address nor record left goes with it.
    pub(crate) fn delete_address(&mut self, id: Id) {
        self.addresses.retain(|address| address.id != id);
        let data = &self.dns_data;
        self.dns_resources.retain_mut(|resource| {
            let had = resource.addresses.contains(&id);
            resource.addresses.retain(|address| *address != id);
            !had || !resource.addresses.is_empty() || data.iter().any(|record| record.resource == resource.id)
        });
    }

    /// Deletes a name with its records, and the addresses that were made for it.
    pub(crate) fn delete_resource(&mut self, id: Id) {
        let Some(at) = self.dns_resources.iter().position(|resource| resource.id == id) else { return };
        let resource = self.dns_resources.remove(at);
        self.dns_data.retain(|record| record.resource != id);
        self.drop_addresses(&resource.addresses);
    }

    /// Drops addresses that no name has any more.
    fn drop_addresses(&mut self, ids: &[Id]) {
        let named: Vec<Id> = self.dns_resources.iter().flat_map(|resource| resource.addresses.clone()).collect();
        self.addresses.retain(|address| !ids.contains(&address.id) || named.contains(&address.id));
    }

    /// The names in the order of lists: by domain, then by name.
    fn sorted_resources(&self) -> Vec<&DnsResource> {
        let mut all: Vec<&DnsResource> = self.dns_resources.iter().collect();
        all.sort_by(|a, b| (a.domain, &a.name).cmp(&(b.domain, &b.name)));
        all
    }
}

/// `dnsresources/`.
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
    let rrtype = request.query("rrtype");
    let accepted = |resource: &&&DnsResource| {
        domain.is_none_or(|domain| resource.domain == domain)
            && request.query("name").is_none_or(|name| resource.name == name)
            && request.query("fqdn").is_none_or(|fqdn| state.resource_fqdn(resource) == fqdn)
            && rrtype.is_none_or(|t| state.dns_data.iter().any(|d| d.resource == resource.id && d.rrtype == t))
    };
    let sorted = state.sorted_resources();
    let mut rows: Vec<Value> = Vec::new();
    if request.query_flag("all", false) {
        rows.extend(implicit(state));
    }
    rows.extend(sorted.iter().filter(accepted).map(|resource| resource_json(state, resource)));
    Ok(Answer::json(&rows.into()))
}

/// What MAAS answers for every name that has addresses, machines included, when all is asked for.
fn implicit(state: &State) -> Vec<Value> {
    let row = |fqdn: String, records: Vec<Value>| {
        json!({
            "address_ttl": null, "fqdn": fqdn, "id": -1, "ip_addresses": null, "resource_records": records,
            "resource_uri": "/MAAS/api/2.0/dnsresources/-1/",
        })
    };
    let record = |ip: IpAddr, system_id: Option<&str>, user: Option<Id>, resource: Option<Id>| {
        json!({
            "system_id": system_id, "node_type": system_id.map(|_| 0), "user_id": user, "dnsresource_id": resource,
            "ttl": null, "rrtype": if ip.is_ipv4() { "A" } else { "AAAA" }, "rrdata": ip, "dnsdata_id": null,
        })
    };
    let machines = state.machines.iter().filter(|machine| machine.status.is_in_dns());
    let machines = machines.filter(|machine| machine.addresses().next().is_some()).map(|machine| {
        let records = machine.addresses().map(|ip| record(ip, Some(&machine.system_id.0), None, None)).collect();
        row(state.fqdn(machine), records)
    });
    let resources = state.dns_resources.iter().filter(|resource| !resource.addresses.is_empty()).map(|resource| {
        let fqdn = match resource.name.as_str() {
            // The name of the domain itself shows as an empty label here.
            "@" => format!(".{}", state.domain_name(resource.domain)),
            _ => state.resource_fqdn(resource),
        };
        let addresses = state.resource_addresses(resource);
        row(fqdn, addresses.map(|a| record(a.ip, None, a.owner, Some(resource.id))).collect())
    });
    machines.chain(resources).collect()
}

fn resource_json(state: &State, resource: &DnsResource) -> Value {
    let addresses: Vec<Value> = state.resource_addresses(resource).map(|a| render::address(state, a)).collect();
    let records = state.dns_data.iter().filter(|data| data.resource == resource.id);
    let records: Vec<Value> = records.map(|data| super::dns_record::record_json(state, data)).collect();
    json!({
        "address_ttl": resource.ttl,
        "fqdn": state.resource_fqdn(resource),
        "ip_addresses": addresses,
        "resource_records": records,
        "id": resource.id,
        "resource_uri": format!("/MAAS/api/2.0/dnsresources/{}/", resource.id),
    })
}

/// The domain that is named, where one is.
pub(crate) fn asked_domain(state: &State, name: Option<&str>) -> Result<Option<Id>, Answer> {
    name.map(|name| state.find_domain(name).map(|domain| domain.id).ok_or_else(|| Answer::not_found("Domain")))
        .transpose()
}

/// Name and domain of a form: `name` with `domain`, or `fqdn`.
pub(crate) fn read_name(state: &State, form: &Form) -> Result<(Option<String>, Option<Id>), Answer> {
    let no_domain = || Answer::not_found("Domain");
    if let Some(fqdn) = form.filled("fqdn") {
        if let Some(domain) = state.domains.iter().find(|domain| domain.name == fqdn) {
            return Ok((Some("@".into()), Some(domain.id)));
        }
        let (name, rest) = fqdn.split_once('.').ok_or_else(no_domain)?;
        let domain = state.domains.iter().find(|domain| domain.name == rest).ok_or_else(no_domain)?;
        return Ok((Some(name.to_owned()), Some(domain.id)));
    }
    Ok((form.filled("name").map(str::to_owned), asked_domain(state, form.filled("domain"))?))
}

/// Whether a text is a label that may be a name in a domain.
fn is_label(name: &str) -> bool {
    name == "@"
        || (!name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            }))
}

fn create(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let (name, domain) = read_name(ctx.state, &form)?;
    let addresses = read_addresses(&form)?.unwrap_or_default();
    let mut mistakes = Mistakes::default();
    mistakes.require("name", name.as_deref());
    if domain.is_none() {
        mistakes.add("domain", "This field is required.");
    }
    let ttl = read_ttl(form.filled("address_ttl"), &mut mistakes);
    mistakes.check()?;
    let (name, domain) = (name.unwrap_or_default(), domain.unwrap_or_default());
    check_name(ctx.state, &name, domain, None)?;
    let id = ctx.state.next_id("dnsresource");
    ctx.state.dns_resources.push(DnsResource { id, name, domain, ttl, addresses: Vec::new() });
    set_addresses(ctx, id, &addresses);
    answer(ctx, id)
}

fn check_name(state: &State, name: &str, domain: Id, own: Option<Id>) -> Result<(), Answer> {
    if !is_label(name) {
        return Err(Answer::mistake("__all__", format!("Invalid dnsresource name: {name}.")));
    }
    let same = |resource: &DnsResource| resource.name == name && resource.domain == domain && Some(resource.id) != own;
    if state.dns_resources.iter().any(same) {
        return Err(Answer::mistake("__all__", "Labels must be unique within their zone."));
    }
    Ok(())
}

/// The addresses of a form, separated by blanks; anything else is an error of the server, as in a real MAAS.
fn read_addresses(form: &Form) -> Result<Option<Vec<IpAddr>>, Answer> {
    let Some(text) = form.get("ip_addresses") else { return Ok(None) };
    let wrong = |word: &str| Answer::server_error(format!("failed to detect a valid IP address from '{word}'"));
    text.split_whitespace().map(|word| word.parse().map_err(|_| wrong(word))).collect::<Result<_, _>>().map(Some)
}

/// Sets a name's addresses: known ones are linked, others are made, those that fall away are dropped.
fn set_addresses(ctx: &mut Ctx<'_>, id: Id, ips: &[IpAddr]) {
    let ids: Vec<Id> = ips
        .iter()
        .map(|ip| {
            let known = ctx.state.addresses.iter().find(|address| address.ip == *ip).map(|address| address.id);
            known.unwrap_or_else(|| ip_address::add(ctx, *ip, None))
        })
        .collect();
    if let Some(resource) = ctx.state.dns_resources.iter_mut().find(|resource| resource.id == id) {
        let before = std::mem::replace(&mut resource.addresses, ids);
        ctx.state.drop_addresses(&before);
    }
}

fn answer(ctx: &Ctx<'_>, id: Id) -> Reply {
    let resource = ctx.state.dns_resources.iter().find(|resource| resource.id == id);
    let resource = resource.ok_or_else(|| Answer::not_found("DNSResource"))?;
    Ok(Answer::json(&resource_json(ctx.state, resource)))
}

/// `dnsresources/<id or name>/`.
pub(crate) fn one(ctx: &mut Ctx<'_>, name: &str) -> Reply {
    let (method, op) = ctx.signature();
    if op.is_some() || !matches!(method, "GET" | "PUT" | "DELETE") {
        return ctx.refuse("GET, PUT, DELETE");
    }
    let known = |resource: &&DnsResource| resource.id.to_string() == name || resource.name == name;
    let found = ctx.state.dns_resources.iter().find(known).map(|resource| (resource.id, resource.domain));
    let (id, domain) = found.ok_or_else(|| Answer::not_found("DNSResource"))?;
    match method {
        "GET" => answer(ctx, id),
        "PUT" => {
            ctx.need_admin(Answer::forbidden)?;
            let form = ctx.request.form_or_json()?;
            let addresses = read_addresses(&form)?;
            let mut mistakes = Mistakes::default();
            let ttl = read_ttl(form.filled("address_ttl"), &mut mistakes);
            mistakes.check()?;
            if let Some(name) = form.filled("name") {
                check_name(ctx.state, name, domain, Some(id))?;
            }
            if let Some(resource) = ctx.state.dns_resources.iter_mut().find(|resource| resource.id == id) {
                resource.ttl = ttl.or(resource.ttl);
                if let Some(name) = form.filled("name") {
                    name.clone_into(&mut resource.name);
                }
            }
            if let Some(addresses) = addresses {
                set_addresses(ctx, id, &addresses);
            }
            answer(ctx, id)
        }
        _ => {
            ctx.need_admin(Answer::forbidden)?;
            ctx.state.delete_resource(id);
            Ok(Answer::no_content())
        }
    }
}
