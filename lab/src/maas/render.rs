//! How MAAS writes its objects as JSON, with every field the recordings have.

mod machine;
mod network;

pub(crate) use machine::{disk, interface, machine};
pub(crate) use network::{address, fabric, ip_range, link_address, link_alloc_type, space, subnet, vlan};

use super::state::{Domain, Pool, State, Tag, User, Zone};
use ferrogate_model::Timestamp;
use serde_json::{Value, json};

/// A date as events and subnets have it, such as `Sun, 22 Nov. 2026 08:50:27`.
pub(crate) fn long_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b. %Y %H:%M:%S").to_string()
}

/// A date as addresses have it: ISO with milliseconds and `Z`.
pub(crate) fn iso_date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(crate) fn zone(zone: &Zone) -> Value {
    json!({
        "name": zone.name,
        "description": zone.description,
        "id": zone.id,
        "resource_uri": format!("/MAAS/api/2.0/zones/{}/", zone.name),
    })
}

pub(crate) fn pool(pool: &Pool) -> Value {
    json!({
        "name": pool.name,
        "description": pool.description,
        "id": pool.id,
        "resource_uri": format!("/MAAS/api/2.0/resourcepool/{}/", pool.id),
    })
}

pub(crate) fn domain(state: &State, domain: &Domain) -> Value {
    let count = state
        .dns_data
        .iter()
        .filter(|data| state.dns_resources.iter().any(|r| r.id == data.resource && r.domain == domain.id))
        .count()
        + state.dns_resources.iter().filter(|r| r.domain == domain.id).map(|r| r.addresses.len()).sum::<usize>();
    json!({
        "authoritative": domain.authoritative,
        "ttl": domain.ttl,
        "resource_record_count": count,
        "id": domain.id,
        "is_default": domain.id == state.default_domain,
        "name": domain.name,
        "resource_uri": format!("/MAAS/api/2.0/domains/{}/", domain.id),
    })
}

pub(crate) fn tag(tag: &Tag) -> Value {
    json!({
        "name": tag.name,
        "definition": tag.definition,
        "comment": tag.comment,
        "kernel_opts": tag.kernel_opts,
        "resource_uri": format!("/MAAS/api/2.0/tags/{}/", tag.name),
    })
}

pub(crate) fn user(user: &User) -> Value {
    json!({
        "is_superuser": user.admin,
        "username": user.name,
        "email": user.email,
        "is_local": true,
        "resource_uri": format!("/MAAS/api/2.0/users/{}/", user.name),
    })
}
