//! Fabrics, VLANs, spaces, subnets, ranges and addresses.

use super::{interface, iso_date, user};
use crate::{
    maas::state::{Address, Fabric, Id, IpRange, Link, Machine, Space, State, Subnet, Vlan},
    seed::RangeKind,
};
use serde_json::{Value, json};

pub(crate) fn vlan(state: &State, vlan: &Vlan) -> Value {
    json!({
        "vid": vlan.vid,
        "mtu": vlan.mtu,
        "dhcp_on": false,
        "external_dhcp": null,
        "relay_vlan": null,
        "primary_rack": null,
        "secondary_rack": null,
        "fabric": state.fabric(vlan.fabric).map_or("", |fabric| fabric.name.as_str()),
        "space": state.space_name(vlan),
        "fabric_id": vlan.fabric,
        "id": vlan.id,
        "name": vlan.name,
        "resource_uri": format!("/MAAS/api/2.0/vlans/{}/", vlan.id),
    })
}

pub(crate) fn fabric(state: &State, fabric: &Fabric) -> Value {
    let vlans: Vec<_> = state.vlans.iter().filter(|v| v.fabric == fabric.id).map(|v| vlan(state, v)).collect();
    json!({
        "class_type": null,
        "vlans": vlans,
        "id": fabric.id,
        "name": fabric.name,
        "resource_uri": format!("/MAAS/api/2.0/fabrics/{}/", fabric.id),
    })
}

/// A space; `None` is the one of everything that is in no space.
pub(crate) fn space(state: &State, space: Option<&Space>) -> Value {
    let id = space.map(|space| space.id);
    let vlans: Vec<&Vlan> = state.vlans.iter().filter(|vlan| vlan.space == id).collect();
    let subnets: Vec<_> =
        state.subnets.iter().filter(|s| vlans.iter().any(|v| v.id == s.vlan)).map(|s| subnet(state, s)).collect();
    let (name, description, uri) = match space {
        Some(space) => (space.name.as_str(), space.description.as_str(), space.id.to_string()),
        None => (
            "undefined",
            "Backward compatibility object to ensure objects not associated with a space can be found.",
            "undefined".to_owned(),
        ),
    };
    json!({
        "description": description,
        "name": name,
        "subnets": subnets,
        "vlans": vlans.iter().map(|v| vlan(state, v)).collect::<Vec<_>>(),
        "id": id.unwrap_or(-1),
        "resource_uri": format!("/MAAS/api/2.0/spaces/{uri}/"),
    })
}

pub(crate) fn subnet(state: &State, subnet: &Subnet) -> Value {
    let its_vlan = state.vlan(subnet.vlan);
    json!({
        "name": subnet.name,
        "description": subnet.description,
        "vlan": its_vlan.map(|v| vlan(state, v)),
        "cidr": subnet.cidr,
        "rdns_mode": 2,
        "gateway_ip": subnet.gateway,
        "dns_servers": subnet.dns_servers,
        "allow_dns": true,
        "allow_proxy": true,
        "active_discovery": false,
        "managed": subnet.managed,
        "disabled_boot_architectures": [],
        "space": its_vlan.map_or("undefined", |v| state.space_name(v)),
        "id": subnet.id,
        "resource_uri": format!("/MAAS/api/2.0/subnets/{}/", subnet.id),
    })
}

pub(crate) fn ip_range(state: &State, range: &IpRange) -> Value {
    json!({
        "subnet": state.subnet(range.subnet).map(|s| subnet(state, s)),
        "type": match range.kind { RangeKind::Dynamic => "dynamic", RangeKind::Reserved => "reserved" },
        "start_ip": range.start,
        "end_ip": range.end,
        "user": range.user.and_then(|id| state.user(id)).map(user),
        "comment": range.comment,
        "id": range.id,
        "resource_uri": format!("/MAAS/api/2.0/ipranges/{}/", range.id),
    })
}

/// The words for an address's kind.
pub(crate) const fn alloc_type_name(alloc_type: u8) -> &'static str {
    match alloc_type {
        0 => "Automatic",
        1 => "Static",
        4 => "User reserved",
        5 => "DHCP",
        _ => "Observed",
    }
}

/// An address that is no machine's.
pub(crate) fn address(state: &State, address: &Address) -> Value {
    let its_vlan = address.subnet.and_then(|id| state.subnet(id)).and_then(|subnet| state.vlan(subnet.vlan));
    let bare = |id: Id, mac: &str| {
        json!([{
            "id": id, "name": "eth0", "type": "unknown", "mac_address": mac, "vlan": its_vlan.map(|v| vlan(state, v)),
            "tags": [], "enabled": true, "params": {}, "parents": [], "children": [], "interface_speed": 0,
            "link_speed": 0, "link_connected": true, "firmware_version": null, "vendor": null, "product": null,
            "numa_node": null, "sriov_max_vf": 0,
        }])
    };
    json!({
        "created": iso_date(address.created),
        "ip": address.ip,
        "alloc_type": address.alloc_type,
        "alloc_type_name": alloc_type_name(address.alloc_type),
        "subnet": address.subnet.and_then(|id| state.subnet(id)).map(|s| subnet(state, s)),
        "interface_set": address.mac.as_ref().map_or_else(|| json!([]), |(id, mac)| bare(*id, mac)),
        "owner": address.owner.and_then(|id| state.user(id)).map(user),
        "resource_uri": "/MAAS/api/2.0/ipaddresses/",
    })
}

/// An address of a machine's link.
pub(crate) fn link_address(state: &State, machine: &Machine, of: Id, link: &Link) -> Value {
    let alloc_type = link_alloc_type(link);
    let interfaces: Vec<Value> =
        machine.interfaces.iter().filter(|i| i.id == of).map(|i| interface(state, machine, i)).collect();
    json!({
        "created": iso_date(link.created),
        "ip": link.ip,
        "alloc_type": alloc_type,
        "alloc_type_name": alloc_type_name(alloc_type),
        "subnet": state.subnet(link.subnet).map(|s| subnet(state, s)),
        "interface_set": interfaces,
        "owner": null,
        "resource_uri": "/MAAS/api/2.0/ipaddresses/",
    })
}

/// The number of a link's kind of address.
pub(crate) const fn link_alloc_type(link: &Link) -> u8 {
    match link.mode {
        crate::seed::LinkMode::Auto => 0,
        crate::seed::LinkMode::Static | crate::seed::LinkMode::LinkUp => 1,
        crate::seed::LinkMode::Dhcp => 5,
    }
}
