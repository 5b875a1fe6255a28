//! Machines, their interfaces and disks.

use super::{domain, pool, zone};
use crate::maas::state::{Disk, Interface, Link, Machine, Partition, State, usable, used};
use serde_json::{Value, json};

/// Hardware that nobody has looked at: commissioning in the recordings found nothing either.
const UNKNOWN_HARDWARE: [&str; 18] = [
    "system_vendor",
    "system_product",
    "system_family",
    "system_version",
    "system_sku",
    "system_serial",
    "cpu_model",
    "mainboard_vendor",
    "mainboard_product",
    "mainboard_serial",
    "mainboard_version",
    "mainboard_firmware_vendor",
    "mainboard_firmware_date",
    "mainboard_firmware_version",
    "chassis_vendor",
    "chassis_type",
    "chassis_serial",
    "chassis_version",
];

/// A machine with every field that MAAS 3.6 gives.
pub(crate) fn machine(state: &State, machine: &Machine) -> Value {
    let id = &machine.system_id.0;
    let interfaces: Vec<Value> = machine.interfaces.iter().map(|i| interface(state, machine, i)).collect();
    let disks: Vec<Value> = machine.disks.iter().map(|d| disk(machine, d)).collect();
    let gateway = machine
        .interfaces
        .iter()
        .flat_map(|interface| &interface.links)
        .find_map(|link| state.subnet(link.subnet).and_then(|subnet| subnet.gateway));
    let tags: Vec<&str> =
        state.tags.iter().filter(|tag| machine.tags.contains(&tag.id)).map(|tag| tag.name.as_str()).collect();
    let cores: Vec<u32> = (0..machine.numa.0).collect();
    #[expect(clippy::cast_precision_loss, reason = "MAAS gives a float; disks are far below 2^53 bytes")]
    let storage = machine.disks.iter().map(|disk| disk.size).sum::<u64>() as f64 / 1e6;
    let hardware: serde_json::Map<String, Value> =
        UNKNOWN_HARDWARE.iter().map(|name| ((*name).to_owned(), json!("Unknown"))).collect();
    let (v4, v6) = match gateway {
        Some(ip) if ip.is_ipv4() => (Some(ip), None),
        other => (None, other),
    };
    let mut value = json!({
        "system_id": id,
        "hostname": machine.hostname,
        "fqdn": state.fqdn(machine),
        "domain": state.domain(machine.domain).map(|d| domain(state, d)),
        "architecture": machine.architecture,
        "cpu_count": machine.cpu_count,
        "cpu_speed": 0,
        "memory": machine.memory,
        "storage": storage,
        "zone": state.zone(machine.zone).map(zone),
        "pool": state.pool(machine.pool).map(pool),
        "tag_names": tags,
        "status": machine.status as i32,
        "status_name": machine.status.name(),
        "status_message": machine.status_message,
        "status_action": machine.status_message.as_ref().map(|_| ""),
        "error_description": machine.error_description,
        "description": machine.description,
        "owner": state.user_name(machine.owner),
        "owner_data": machine.owner_data,
        "workload_annotations": machine.owner_data,
        "locked": machine.locked,
        "power_type": power_type(machine),
        "power_state": machine.power.word(),
        "osystem": machine.osystem,
        "distro_series": machine.distro_series,
        "hwe_kernel": machine.hwe_kernel,
        "min_hwe_kernel": machine.min_hwe_kernel,
        "netboot": machine.netboot,
        "ephemeral_deploy": false,
        "swap_size": machine.swap_size,
        "ip_addresses": machine.addresses().collect::<Vec<_>>(),
        "boot_interface": interfaces.first(),
        "interface_set": interfaces,
        "boot_disk": disks.first(),
        "blockdevice_set": disks,
        "physicalblockdevice_set": disks,
        "resource_uri": format!("/MAAS/api/2.0/machines/{id}/"),
    });
    let rest = json!({
        "virtualblockdevice_set": [],
        "special_filesystems": [],
        "volume_groups": [],
        "raids": [],
        "bcaches": [],
        "cache_sets": [],
        "bios_boot_method": "uefi",
        "disable_ipv4": false,
        "address_ttl": null,
        "enable_hw_sync": false,
        "enable_kernel_crash_dump": false,
        "sync_interval": null,
        "last_sync": null,
        "next_sync": null,
        "hardware_uuid": null,
        "hardware_info": hardware,
        "parent": null,
        "pod": null,
        "virtualmachine_id": null,
        "node_type": 0,
        "node_type_name": "Machine",
        "numanode_set": [{"index": 0, "memory": machine.numa.1, "cores": cores, "hugepages_set": []}],
        "default_gateways": {
            "ipv4": {"gateway_ip": v4, "link_id": null},
            "ipv6": {"gateway_ip": v6, "link_id": null},
        },
        "current_commissioning_result_id": machine.commissioning_result,
        "current_testing_result_id": machine.testing_result,
        "current_installation_result_id": machine.installation_result,
    });
    merge(&mut value, rest);
    let tests = [
        ("commissioning", machine.commissioning_status),
        ("testing", machine.testing_status),
        ("storage_test", machine.testing_status),
        ("cpu_test", -1),
        ("memory_test", -1),
        ("network_test", -1),
        ("interface_test", -1),
        ("other_test", -1),
    ];
    for (name, status) in tests {
        value[format!("{name}_status")] = json!(status);
        value[format!("{name}_status_name")] = json!(script_status(status));
    }
    value
}

/// Adds the fields of one object to another.
pub(crate) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The word for a machine's way of being switched.
pub(crate) const fn power_type(machine: &Machine) -> &'static str {
    match machine.power_type {
        crate::seed::PowerType::Virsh => "virsh",
        crate::seed::PowerType::Ipmi => "ipmi",
        crate::seed::PowerType::Manual => "manual",
    }
}

const fn script_status(status: i8) -> &'static str {
    match status {
        0 => "Pending",
        1 => "Running",
        2 => "Passed",
        3 => "Failed",
        _ => "Unknown",
    }
}

/// An interface of a machine.
pub(crate) fn interface(state: &State, machine: &Machine, interface: &Interface) -> Value {
    let vlan = interface.vlan.and_then(|id| state.vlan(id));
    let id = &machine.system_id.0;
    json!({
        "id": interface.id,
        "name": interface.name,
        "mac_address": interface.mac,
        "type": "physical",
        "enabled": true,
        "parents": [],
        "children": [],
        "tags": [],
        "params": {},
        "discovered": null,
        "vlan": vlan.map(|v| super::vlan(state, v)),
        "links": interface.links.iter().map(|l| link(state, l)).collect::<Vec<_>>(),
        "effective_mtu": vlan.map_or(1500, |v| v.mtu),
        "vendor": "Red Hat, Inc.",
        "product": "Virtio network device",
        "firmware_version": "1.63, 0x800009fa",
        "link_speed": 10_000,
        "interface_speed": 10_000,
        "link_connected": true,
        "numa_node": 0,
        "sriov_max_vf": 0,
        "system_id": id,
        "resource_uri": format!("/MAAS/api/2.0/nodes/{id}/interfaces/{}/", interface.id),
    })
}

fn link(state: &State, link: &Link) -> Value {
    let mut value = json!({
        "id": link.id,
        "mode": State::mode_word(link.mode),
        "subnet": state.subnet(link.subnet).map(|s| super::subnet(state, s)),
    });
    if let Some(ip) = link.ip {
        value["ip_address"] = json!(ip);
    }
    value
}

/// A disk of a machine.
pub(crate) fn disk(machine: &Machine, disk: &Disk) -> Value {
    let id = &machine.system_id.0;
    let bare = disk.partitions.is_empty();
    let partitions: Vec<Value> = disk.partitions.iter().zip(1..).map(|(p, n)| partition(machine, disk, p, n)).collect();
    json!({
        "id": disk.id,
        "name": disk.name,
        "id_path": format!("/dev/{}", disk.name),
        "path": format!("/dev/disk/by-dname/{}", disk.name),
        "type": "physical",
        "size": disk.size,
        "used_size": used(disk),
        "available_size": if bare { usable(disk.size, 0) } else { 0 },
        "block_size": 512,
        "used_for": if bare { "Unused".to_owned() } else { format!("GPT partitioned with {} partitions", partitions.len()) },
        "partition_table_type": if bare { None } else { Some("GPT") },
        "partitions": partitions,
        "tags": disk.tags,
        "model": "",
        "serial": "",
        "firmware_version": null,
        "filesystem": null,
        "storage_pool": null,
        "uuid": null,
        "numa_node": 0,
        "system_id": id,
        "resource_uri": format!("/MAAS/api/2.0/nodes/{id}/blockdevices/{}/", disk.id),
    })
}

fn partition(machine: &Machine, disk: &Disk, partition: &Partition, number: usize) -> Value {
    let id = &machine.system_id.0;
    let formatted = machine.status.shows_filesystems();
    let filesystem = formatted.then(|| {
        json!({
            "fstype": partition.fstype,
            "label": partition.label,
            "uuid": partition.fs_uuid,
            "mount_point": partition.mount_point,
            "mount_options": null,
        })
    });
    let used_for = if formatted {
        format!("{} formatted filesystem mounted at {}", partition.fstype, partition.mount_point)
    } else {
        "Unused".to_owned()
    };
    json!({
        "id": partition.id,
        "uuid": partition.uuid,
        "size": partition.size,
        "bootable": partition.bootable,
        "tags": [],
        "used_for": used_for,
        "path": format!("/dev/disk/by-dname/{}-part{number}", disk.name),
        "device_id": disk.id,
        "filesystem": filesystem,
        "system_id": id,
        "type": "partition",
        "resource_uri": format!("/MAAS/api/2.0/nodes/{id}/blockdevices/{}/partition/{}", disk.id, partition.id),
    })
}
