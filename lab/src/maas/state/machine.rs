//! A machine as MAAS keeps it.

use super::Id;
use crate::{
    backend::Power,
    seed::{LinkMode, PowerType},
};
use ferrogate_model::{SystemId, Timestamp};
use secrecy::SecretString;
use std::{collections::BTreeMap, net::IpAddr};

/// State of a machine; the numbers are those of MAAS's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Status {
    New = 0,
    Commissioning = 1,
    FailedCommissioning = 2,
    Ready = 4,
    Deployed = 6,
    Broken = 8,
    Deploying = 9,
    Allocated = 10,
    FailedDeployment = 11,
    Releasing = 12,
    FailedReleasing = 13,
    DiskErasing = 14,
    FailedDiskErasing = 15,
    RescueMode = 16,
    EnteringRescueMode = 17,
    ExitingRescueMode = 19,
    Testing = 21,
}

impl Status {
    pub(crate) const ALL: [Self; 17] = [
        Self::New,
        Self::Commissioning,
        Self::FailedCommissioning,
        Self::Ready,
        Self::Deployed,
        Self::Broken,
        Self::Deploying,
        Self::Allocated,
        Self::FailedDeployment,
        Self::Releasing,
        Self::FailedReleasing,
        Self::DiskErasing,
        Self::FailedDiskErasing,
        Self::RescueMode,
        Self::EnteringRescueMode,
        Self::ExitingRescueMode,
        Self::Testing,
    ];

    /// As `status_name` has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Commissioning => "Commissioning",
            Self::FailedCommissioning => "Failed commissioning",
            Self::Ready => "Ready",
            Self::Deployed => "Deployed",
            Self::Broken => "Broken",
            Self::Deploying => "Deploying",
            Self::Allocated => "Allocated",
            Self::FailedDeployment => "Failed deployment",
            Self::Releasing => "Releasing",
            Self::FailedReleasing => "Releasing failed",
            Self::DiskErasing => "Disk erasing",
            Self::FailedDiskErasing => "Failed disk erasing",
            Self::RescueMode => "Rescue mode",
            Self::EnteringRescueMode => "Entering rescue mode",
            Self::ExitingRescueMode => "Exiting rescue mode",
            Self::Testing => "Testing",
        }
    }

    /// As the list filter `status` wants it.
    pub(crate) fn filter_word(self) -> String {
        match self {
            Self::FailedReleasing => "failed_releasing".into(),
            other => other.name().to_lowercase().replace(' ', "_"),
        }
    }

    /// Whether the site's DNS knows a machine in this state.
    pub(crate) const fn is_in_dns(self) -> bool {
        matches!(
            self,
            Self::Allocated
                | Self::Deploying
                | Self::Deployed
                | Self::FailedDeployment
                | Self::Releasing
                | Self::Testing
        )
    }

    /// Whether the layout of a deployment is what disks show; otherwise none is.
    pub(crate) const fn shows_filesystems(self) -> bool {
        !matches!(
            self,
            Self::Releasing
                | Self::FailedReleasing
                | Self::DiskErasing
                | Self::FailedDiskErasing
                | Self::RescueMode
                | Self::EnteringRescueMode
                | Self::ExitingRescueMode
        )
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) id: Id,
    pub(crate) uuid: String,
    pub(crate) size: u64,
    pub(crate) bootable: bool,
    pub(crate) fstype: &'static str,
    pub(crate) label: &'static str,
    pub(crate) fs_uuid: String,
    pub(crate) mount_point: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) partitions: Vec<Partition>,
}

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) id: Id,
    pub(crate) subnet: Id,
    pub(crate) mode: LinkMode,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) vlan: Option<Id>,
    pub(crate) links: Vec<Link>,
}

/// What a machine signs its requests to the metadata service with.
#[derive(Clone, Debug)]
pub(crate) struct MetadataKey {
    pub(crate) consumer: String,
    pub(crate) token: String,
    pub(crate) secret: SecretString,
}

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: Id,
    pub(crate) system_id: SystemId,
    pub(crate) hostname: String,
    pub(crate) domain: Id,
    pub(crate) architecture: String,
    pub(crate) cpu_count: u32,
    pub(crate) memory: u64,
    /// CPUs and MiB of the one NUMA node: what commissioning found, whatever was written over it later.
    pub(crate) numa: (u32, u64),
    pub(crate) disks: Vec<Disk>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) zone: Id,
    pub(crate) pool: Id,
    pub(crate) tags: Vec<Id>,
    pub(crate) power_type: PowerType,
    pub(crate) power_parameters: BTreeMap<String, String>,
    pub(crate) power: Power,
    pub(crate) status: Status,
    /// State to go back to when a test or rescue mode ends.
    pub(crate) previous_status: Status,
    pub(crate) status_message: Option<String>,
    pub(crate) error_description: String,
    pub(crate) description: String,
    pub(crate) owner: Option<Id>,
    pub(crate) agent_name: String,
    pub(crate) owner_data: BTreeMap<String, String>,
    pub(crate) locked: bool,
    pub(crate) osystem: String,
    pub(crate) distro_series: String,
    pub(crate) hwe_kernel: Option<String>,
    pub(crate) min_hwe_kernel: Option<String>,
    pub(crate) swap_size: Option<i64>,
    pub(crate) netboot: bool,
    pub(crate) commissioning_result: Id,
    pub(crate) testing_result: Id,
    pub(crate) installation_result: Option<Id>,
    pub(crate) commissioning_status: i8,
    pub(crate) testing_status: i8,
    /// As the client sent it.
    pub(crate) user_data: Option<String>,
    pub(crate) key: MetadataKey,
    /// What commissioning took away.
    pub(crate) layout: Option<Layout>,
    /// Changes with every action, so that a step of an earlier one notices that it is out of date.
    pub(crate) epoch: u64,
    pub(crate) allocations: u32,
    pub(crate) deploys: u32,
    pub(crate) releases: u32,
}

impl Machine {
    /// The machine's addresses, those of the boot interface first.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.interfaces.iter().flat_map(|interface| interface.links.iter().filter_map(|link| link.ip))
    }

    /// Whether MAAS can switch it.
    pub(crate) fn has_power_control(&self) -> bool {
        self.power_type != PowerType::Manual
    }

    /// Gives back the addresses MAAS picked.
    pub(crate) fn free_auto_addresses(&mut self) {
        for link in self.interfaces.iter_mut().flat_map(|interface| &mut interface.links) {
            if link.mode == LinkMode::Auto {
                link.ip = None;
            }
        }
    }
}

/// Links and partitions that commissioning took away, to be put back at its end.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    links: Vec<Vec<Link>>,
    partitions: Vec<Vec<Partition>>,
}

impl Machine {
    /// Commissioning forgets disks' layout and interfaces' links.
    pub(crate) fn forget_layout(&mut self) {
        let links = self.interfaces.iter_mut().map(|interface| std::mem::take(&mut interface.links)).collect();
        let partitions = self.disks.iter_mut().map(|disk| std::mem::take(&mut disk.partitions)).collect();
        self.layout.get_or_insert(Layout { links, partitions });
    }

    /// The end of commissioning puts the default layout back.
    pub(crate) fn restore_layout(&mut self) {
        let Some(layout) = self.layout.take() else { return };
        for (interface, links) in self.interfaces.iter_mut().zip(layout.links) {
            interface.links = links;
        }
        for (disk, partitions) in self.disks.iter_mut().zip(layout.partitions) {
            disk.partitions = partitions;
        }
    }
}
