//! Machines.

use super::{Domain, ResourcePool, Subnet, Vlan, Zone, lenient};
use ferrogate_model::SystemId;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// A machine's place in MAAS's state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineStatus {
    /// Known to MAAS, nothing done with it yet.
    New,
    /// Being examined.
    Commissioning,
    /// The examination failed.
    FailedCommissioning,
    /// Missing.
    Missing,
    /// Free to be allocated.
    Ready,
    /// Set aside by an administrator.
    Reserved,
    /// Installed and handed over.
    Deployed,
    /// Taken out of service.
    Retired,
    /// Marked as broken.
    Broken,
    /// Being installed.
    Deploying,
    /// Taken by a user.
    Allocated,
    /// The installation failed, or nothing was heard of it in time.
    FailedDeployment,
    /// Being given back.
    Releasing,
    /// Giving it back failed.
    FailedReleasing,
    /// Its disks are being erased.
    DiskErasing,
    /// Erasing its disks failed.
    FailedDiskErasing,
    /// In, entering or leaving rescue mode, or having failed at it.
    RescueMode,
    /// Being tested.
    Testing,
    /// The test failed.
    FailedTesting,
    /// A number this client does not know.
    Other(u16),
}

impl MachineStatus {
    /// From MAAS's number (`NODE_STATUS` in its source).
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 => Self::New,
            1 => Self::Commissioning,
            2 => Self::FailedCommissioning,
            3 => Self::Missing,
            4 => Self::Ready,
            5 => Self::Reserved,
            6 => Self::Deployed,
            7 => Self::Retired,
            8 => Self::Broken,
            9 => Self::Deploying,
            10 => Self::Allocated,
            11 => Self::FailedDeployment,
            12 => Self::Releasing,
            13 => Self::FailedReleasing,
            14 => Self::DiskErasing,
            15 => Self::FailedDiskErasing,
            16..=20 => Self::RescueMode,
            21 => Self::Testing,
            22 => Self::FailedTesting,
            other => Self::Other(other),
        }
    }
}

impl<'de> Deserialize<'de> for MachineStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u16::deserialize(deserializer).map(Self::from_number)
    }
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It does not.
    Off,
    /// MAAS could not ask.
    Error,
    /// MAAS does not know, for example because nothing controls the machine's power.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Error => "error",
            Self::Unknown => "unknown",
        })
    }
}

/// The answer to a power query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct PowerState {
    /// What MAAS just learned.
    pub state: Power,
}

/// A machine as MAAS sees it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Machine {
    /// MAAS's id.
    pub system_id: SystemId,
    /// Host name, without domain.
    pub hostname: String,
    /// Host name and domain.
    pub fqdn: String,
    /// Where it is in its life.
    pub status: MachineStatus,
    /// The status as MAAS shows it to people.
    pub status_name: String,
    /// The newest event, for people.
    #[serde(default)]
    pub status_message: Option<String>,
    /// The newest event's kind.
    #[serde(default)]
    pub status_action: Option<String>,
    /// Whether it ran when MAAS last looked.
    pub power_state: Power,
    /// How its power is controlled; `manual` means by hand.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub power_type: String,
    /// The user who allocated it.
    #[serde(default)]
    pub owner: Option<String>,
    /// The mark it was allocated with, where a version of MAAS shows it; 3.x lists by it and never shows it.
    #[serde(default)]
    pub agent_name: Option<String>,
    /// Marks readable for people, kept while the machine is allocated.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub owner_data: BTreeMap<String, String>,
    /// The newer name of the same marks.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub workload_annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub zone: Zone,
    /// To which pool it belongs.
    #[serde(default)]
    pub pool: Option<ResourcePool>,
    /// Its DNS domain.
    pub domain: Domain,
    /// Such as `amd64/generic`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub architecture: String,
    /// CPU cores.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cpu_count: u32,
    /// Memory, in MiB.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub memory: u64,
    /// All its disks together, in MB (10⁶ bytes).
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub storage: f64,
    /// Its tags.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub tag_names: Vec<String>,
    /// The addresses it has now; empty until some time after a deployment began.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub ip_addresses: Vec<IpAddr>,
    /// Operating system it has or gets, empty when it is ready.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub osystem: String,
    /// Release it has or gets.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub distro_series: String,
    /// Kernel it has or gets.
    #[serde(default)]
    pub hwe_kernel: Option<String>,
    /// Whether it may not be changed.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub locked: bool,
    /// For people.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// Why it is broken.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub error_description: String,
    /// The disk it starts from.
    #[serde(default)]
    pub boot_disk: Option<BlockDevice>,
    /// Its disks.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub blockdevice_set: Vec<BlockDevice>,
    /// The interface it starts from.
    #[serde(default)]
    pub boot_interface: Option<Interface>,
    /// Its interfaces.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub interface_set: Vec<Interface>,
}

impl Machine {
    /// The subnets its interfaces are linked to, the starting interface's first, each once.
    #[must_use]
    pub fn subnets(&self) -> Vec<&Subnet> {
        let mut found: Vec<&Subnet> = Vec::new();
        let interfaces = self.boot_interface.iter().chain(&self.interface_set);
        for subnet in interfaces.flat_map(|interface| &interface.links).filter_map(|link| link.subnet.as_ref()) {
            if !found.iter().any(|known| known.id == subnet.id) {
                found.push(subnet);
            }
        }
        found
    }

    /// Whether its disks can hold `gib` GiB (2³⁰ bytes) on the one it starts from; on all together where MAAS does not say
    /// which that is.
    #[must_use]
    pub fn has_disk_of(&self, gib: u64) -> bool {
        let wanted = gib << 30;
        #[expect(clippy::cast_precision_loss, reason = "disk sizes are far below 2^52")]
        self.boot_disk.as_ref().map_or(self.storage * 1e6 >= wanted as f64, |disk| disk.size >= wanted)
    }
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BlockDevice {
    /// MAAS's number.
    pub id: u64,
    /// Such as `sda`.
    #[serde(default)]
    pub name: String,
    /// Size, in bytes.
    pub size: u64,
    /// Such as `ssd` and `sata`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub tags: Vec<String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Interface {
    /// MAAS's number.
    pub id: u64,
    /// Such as `enp1s0`.
    #[serde(default)]
    pub name: String,
    /// Hardware address.
    #[serde(default)]
    pub mac_address: Option<String>,
    /// The VLAN it is plugged into.
    #[serde(default)]
    pub vlan: Option<Vlan>,
    /// Its configured networks.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub links: Vec<Link>,
}

/// One configured network of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// MAAS's number.
    pub id: u64,
    /// `auto`, `dhcp`, `static` or `link_up`.
    #[serde(default)]
    pub mode: String,
    /// The address, once there is one.
    #[serde(default, deserialize_with = "lenient::parsed")]
    pub ip_address: Option<IpAddr>,
    /// The subnet.
    #[serde(default)]
    pub subnet: Option<Subnet>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_which_little_is_known_is_still_a_machine() {
        let text = r#"{"system_id": "x", "hostname": "h", "fqdn": "h.maas", "status": 0, "status_name": "New",
            "power_state": "reticulating", "architecture": null, "cpu_count": null, "storage": null, "tag_names": null,
            "ip_addresses": null, "pool": null, "zone": {"id": 1, "name": "default"}, "domain": {"id": 0, "name": "maas"},
            "interface_set": [{"id": 1, "links": [{"id": 2, "mode": "dhcp", "ip_address": ""}]}], "new_in_4.0": {}}"#;
        let machine: Machine = serde_json::from_str(text).unwrap();
        assert_eq!((machine.power_state, machine.cpu_count, machine.subnets().len()), (Power::Unknown, 0, 0));
        assert_eq!(machine.interface_set[0].links[0].ip_address, None);
    }

    #[test]
    fn a_number_from_a_newer_maas_is_no_error() {
        assert_eq!(serde_json::from_str::<MachineStatus>("77").unwrap(), MachineStatus::Other(77));
    }

    #[test]
    fn disks_are_counted_in_gibibytes() {
        let text = r#"{"system_id": "x", "hostname": "h", "fqdn": "h.maas", "status": 4, "status_name": "Ready",
            "power_state": "off", "storage": 64424.6, "zone": {"id": 1, "name": "default"},
            "domain": {"id": 0, "name": "maas"}}"#;
        let mut machine: Machine = serde_json::from_str(text).unwrap();
        assert!(machine.has_disk_of(60) && !machine.has_disk_of(61));
        machine.boot_disk = Some(BlockDevice { id: 1, name: "sda".into(), size: 60 << 30, tags: Vec::new() });
        assert!(machine.has_disk_of(60));
        // Only the disk it starts from counts, whatever else is in it.
        machine.storage = 1e9;
        assert!(!machine.has_disk_of(61));
    }
}
