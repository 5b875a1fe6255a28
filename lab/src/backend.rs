//! What MAAS needs from the machines behind it: power, a disk that can be wiped, and what a machine is told when it boots.

use async_trait::async_trait;
use ferrogate_model::SystemId;
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::IpAddr;

/// Whether a machine has power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Power {
    /// Running.
    On,
    /// Off.
    Off,
    /// MAAS cannot tell: the machine's power is switched by hand.
    Unknown,
}

impl Power {
    /// The word MAAS uses for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unknown => "unknown",
        }
    }
}

/// One network interface, as the machine's network configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootInterface {
    /// Name such as `enp1s0`.
    pub name: String,
    /// MAC address, colons, lower case.
    pub mac_address: String,
    /// The addresses MAAS gave to it, each with the subnet it lies in.
    pub addresses: Vec<(IpAddr, IpNet)>,
}

/// What a machine boots with: what a real one would learn from DHCP, PXE and the kernel command line.
#[derive(Clone, Debug)]
pub struct Boot {
    /// MAAS's id of the machine.
    pub system_id: SystemId,
    /// Host name without domain.
    pub hostname: String,
    /// Host name with domain.
    pub fqdn: String,
    /// The domain.
    pub domain: String,
    /// Such as `amd64/generic`.
    pub architecture: String,
    /// Number of CPUs.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Every address MAAS gave to the machine, those of the boot interface first.
    pub addresses: Vec<IpAddr>,
    /// The interfaces, the boot interface first.
    pub interfaces: Vec<BootInterface>,
    /// Default gateway, where the subnet has one.
    pub gateway: Option<IpAddr>,
    /// DNS servers of the boot interface's subnet.
    pub dns_servers: Vec<IpAddr>,
    /// Operating system and series, such as `ubuntu/noble`.
    pub image: String,
    /// Whether the disk is written anew before this boot (a deployment); false when a deployed machine is switched on.
    pub install: bool,
    /// Where the metadata service is: `http://<maas>/MAAS/metadata/`. Versioned paths follow it.
    pub metadata_url: String,
    /// OAuth consumer key for the metadata service.
    pub consumer_key: String,
    /// OAuth token key for the metadata service.
    pub token_key: String,
    /// OAuth token secret for the metadata service.
    pub token_secret: SecretString,
}

/// The machines. Switching is asynchronous as with a real power controller: a call returns when the switch is thrown,
/// not when the machine has booted. What the machine then does reaches MAAS only over the metadata service.
#[async_trait]
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Switches a machine on. With [`Boot::install`] its disk is written anew first. A machine that runs is restarted.
    async fn power_on(&self, boot: Boot);

    /// Switches a machine off the orderly way.
    async fn power_off(&self, machine: &SystemId);

    /// Takes the power away at once: what the machine has not on its disk is lost.
    async fn power_cut(&self, machine: &SystemId);

    /// Whether the machine runs.
    async fn power_state(&self, machine: &SystemId) -> Power;

    /// What the machine wrote to its console since it was last installed.
    async fn console_log(&self, machine: &SystemId) -> String;

    /// Wipes the disks. The machine is off afterwards.
    async fn wipe(&self, machine: &SystemId);
}
