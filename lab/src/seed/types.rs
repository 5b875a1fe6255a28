//! The types of the seed document.

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use std::{collections::BTreeMap, net::IpAddr};

/// A seed that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The text is not the JSON of a seed.
    #[error("the seed is not valid")]
    Json(#[from] serde_json::Error),
    /// Something in it names a thing that is not in it.
    #[error("the seed's {what} `{name}` names the {wanted} `{missing}`, which is not in the seed")]
    Missing {
        /// What refers.
        what: &'static str,
        /// Its name.
        name: String,
        /// The kind of thing referred to.
        wanted: &'static str,
        /// The name that is not there.
        missing: String,
    },
}

/// Everything a simulated MAAS begins with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The setting `maas_name`.
    #[serde(default = "default_maas_name")]
    pub maas_name: String,
    /// Users with their API keys. The first administrator owns what nobody else does.
    pub users: Vec<User>,
    /// DNS domains; the first is the default one and has id 0.
    pub domains: Vec<Domain>,
    /// Availability zones; the first is the default one.
    pub zones: Vec<Zone>,
    /// Resource pools; the first is the default one and has id 0.
    pub pools: Vec<Pool>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// Fabrics with their VLANs.
    pub fabrics: Vec<Fabric>,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// Operating system images that are ready to deploy.
    pub images: Vec<Image>,
    /// Machines.
    pub machines: Vec<Machine>,
}

/// A user of MAAS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name.
    pub name: String,
    /// Address for mail.
    #[serde(default)]
    pub email: String,
    /// What the user may do.
    #[serde(default)]
    pub access: Access,
    /// API keys, each `<consumer key>:<token key>:<token secret>`.
    #[serde(default)]
    pub api_keys: Vec<SecretString>,
    /// Public keys that MAAS hands to every machine it deploys for this user.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
}

/// What a user of MAAS may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everything.
    Admin,
    /// Take machines and give back its own.
    #[default]
    User,
}

/// A DNS domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Name, such as `maas`.
    pub name: String,
}

/// An availability zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// A resource pool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// A tag.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub comment: String,
    /// Kernel options for machines that bear the tag.
    #[serde(default)]
    pub kernel_opts: String,
}

/// A fabric: switches that share their VLANs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fabric {
    /// Name.
    pub name: String,
    /// Its VLANs; the first is the default one.
    pub vlans: Vec<Vlan>,
}

/// A VLAN.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// Name.
    pub name: String,
    /// VLAN tag, 0 for untagged.
    pub vid: u16,
    /// Largest frame in bytes.
    #[serde(default = "default_mtu")]
    pub mtu: u32,
    /// The space it belongs to, if any.
    #[serde(default)]
    pub space: Option<String>,
}

/// A subnet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Name.
    pub name: String,
    /// Range of addresses.
    pub cidr: IpNet,
    /// The fabric its VLAN is in.
    pub fabric: String,
    /// The VLAN's tag.
    #[serde(default)]
    pub vid: u16,
    /// Default gateway.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// DNS servers.
    #[serde(default)]
    pub dns_servers: Vec<IpAddr>,
    /// Ranges that MAAS does not hand out by itself.
    #[serde(default)]
    pub ranges: Vec<Range>,
}

/// A range of addresses inside a subnet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// What the range is for.
    pub kind: RangeKind,
    /// First address.
    pub start: IpAddr,
    /// Last address.
    pub end: IpAddr,
    /// For people.
    #[serde(default)]
    pub comment: String,
}

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeKind {
    /// DHCP hands these out to machines that MAAS does not know.
    Dynamic,
    /// MAAS keeps off.
    Reserved,
}

/// An image that is ready to deploy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Operating system and series, such as `ubuntu/noble`.
    pub name: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Kernels it can boot with, such as `ga-24.04`.
    pub kernels: Vec<String>,
}

/// A machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// MAAS's id; one is made up where it is missing.
    #[serde(default)]
    pub system_id: Option<String>,
    /// Host name without domain.
    pub hostname: String,
    /// The domain, the default one where it is missing.
    #[serde(default)]
    pub domain: Option<String>,
    /// Architecture.
    #[serde(default = "default_architecture")]
    pub architecture: String,
    /// Number of CPUs.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory: u64,
    /// Disks; the first is the boot disk.
    pub disks: Vec<Disk>,
    /// Network interfaces; the first is the boot interface.
    pub interfaces: Vec<Interface>,
    /// Zone, the default one where it is missing.
    #[serde(default)]
    pub zone: Option<String>,
    /// Resource pool, the default one where it is missing.
    #[serde(default)]
    pub pool: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How it is switched on and off.
    #[serde(default)]
    pub power_type: PowerType,
    /// Settings of the power type.
    #[serde(default)]
    pub power_parameters: BTreeMap<String, String>,
    /// State it begins in.
    #[serde(default)]
    pub status: Status,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// A disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Device name, such as `sda`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Tags, such as `ssd`.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A network interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Name, such as `enp1s0`.
    pub name: String,
    /// MAC address.
    pub mac_address: String,
    /// How it is connected to subnets.
    pub links: Vec<Link>,
}

/// How an interface is connected to a subnet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The subnet's name.
    pub subnet: String,
    /// Where its address comes from.
    #[serde(default)]
    pub mode: LinkMode,
}

/// Where the address of a link comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// MAAS picks one at each deployment.
    #[default]
    Auto,
    /// Given once, kept.
    Static,
    /// DHCP.
    Dhcp,
    /// None: the link is only brought up.
    LinkUp,
}

/// How a machine is switched on and off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerType {
    /// A virtual machine.
    #[default]
    Virsh,
    /// A server's management controller.
    Ipmi,
    /// By hand: MAAS never knows.
    Manual,
}

/// The state a machine begins in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Known, never commissioned.
    New,
    /// Free.
    #[default]
    Ready,
    /// Out of order.
    Broken,
}

fn default_maas_name() -> String {
    "lab".into()
}

const fn default_mtu() -> u32 {
    1500
}

fn default_architecture() -> String {
    "amd64/generic".into()
}

impl Seed {
    /// Reads a seed document.
    ///
    /// # Errors
    /// [`SeedError`] where the text is not a seed or names things that are not in it.
    pub fn from_json(text: &str) -> Result<Self, SeedError> {
        let seed: Self = serde_json::from_str(text)?;
        seed.check()?;
        Ok(seed)
    }

    /// The site of the recordings: ten machines, eight of them Ready.
    ///
    /// # Panics
    /// Never: the document is part of this crate and read by its tests.
    #[must_use]
    pub fn recorded() -> Self {
        Self::from_json(include_str!("../../seeds/recorded.json")).expect("the shipped seed is valid")
    }

    /// Checks that every name the seed refers to is in it.
    fn check(&self) -> Result<(), SeedError> {
        let need = |ok: bool, what, name: &str, wanted, missing: &str| {
            if ok {
                Ok(())
            } else {
                Err(SeedError::Missing { what, name: name.into(), wanted, missing: missing.into() })
            }
        };
        for subnet in &self.subnets {
            let known =
                self.fabrics.iter().any(|f| f.name == subnet.fabric && f.vlans.iter().any(|v| v.vid == subnet.vid));
            need(known, "subnet", &subnet.name, "VLAN", &format!("{}.{}", subnet.fabric, subnet.vid))?;
        }
        for machine in &self.machines {
            let name = machine.hostname.as_str();
            if let Some(zone) = &machine.zone {
                need(self.zones.iter().any(|z| &z.name == zone), "machine", name, "zone", zone)?;
            }
            if let Some(pool) = &machine.pool {
                need(self.pools.iter().any(|p| &p.name == pool), "machine", name, "pool", pool)?;
            }
            if let Some(domain) = &machine.domain {
                need(self.domains.iter().any(|d| &d.name == domain), "machine", name, "domain", domain)?;
            }
            for tag in &machine.tags {
                need(self.tags.iter().any(|t| &t.name == tag), "machine", name, "tag", tag)?;
            }
            for link in machine.interfaces.iter().flat_map(|i| &i.links) {
                need(self.subnets.iter().any(|s| s.name == link.subnet), "machine", name, "subnet", &link.subnet)?;
            }
        }
        Ok(())
    }
}
