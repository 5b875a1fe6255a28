//! What is asked of MAAS.

use crate::form::Fields;
use base64::Engine as _;
use ferrogate_model::SystemId;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;

fn push(fields: &mut Fields, name: &str, value: &impl ToString) {
    fields.push((name.to_owned(), value.to_string()));
}

fn push_all<T: ToString>(fields: &mut Fields, name: &str, values: impl IntoIterator<Item = T>) {
    for value in values {
        push(fields, name, &value);
    }
}

/// Which machines to list. The values of one field are alternatives, the fields must all hold; empty means every machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFilter {
    /// Only those allocated under this mark. An empty text is treated as no filter here and therefore refused by
    /// [`crate::Client::machines`]: MAAS would answer with every machine there is.
    pub agent_name: Option<String>,
    /// Only these machines. Ids MAAS does not know are passed over.
    pub ids: Vec<SystemId>,
    /// Only machines with one of these host names, without domain.
    pub hostnames: Vec<String>,
    /// Only machines in one of these zones. An unknown zone is an error.
    pub zones: Vec<String>,
    /// Only machines in one of these resource pools. An unknown pool is an error.
    pub pools: Vec<String>,
    /// Only machines in this domain.
    pub domain: Option<String>,
    /// Only machines with all of these tags.
    pub tags: Vec<String>,
    /// Only machines in this status, by its name in lower case, such as `ready` or `deployed`.
    pub status: Option<String>,
}

impl MachineFilter {
    /// Only machines allocated under `mark`.
    #[must_use]
    pub fn agent(mark: impl Into<String>) -> Self {
        Self { agent_name: Some(mark.into()), ..Self::default() }
    }

    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "agent_name", &self.agent_name);
        push_all(&mut fields, "id", &self.ids);
        push_all(&mut fields, "hostname", &self.hostnames);
        push_all(&mut fields, "zone", &self.zones);
        push_all(&mut fields, "pool", &self.pools);
        push_all(&mut fields, "domain", &self.domain);
        push_all(&mut fields, "tags", &self.tags);
        push_all(&mut fields, "status", &self.status);
        fields
    }
}

/// What machine is wanted. Nothing set means: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocate {
    /// The mark of ownership, at most 255 characters; set in the same database transaction as the allocation itself.
    pub agent_name: Option<String>,
    /// This machine and no other.
    pub system_id: Option<SystemId>,
    /// By host name, with or without domain.
    pub name: Option<String>,
    /// By architecture, such as `amd64` or `arm64/generic`.
    pub architecture: Option<String>,
    /// At least this many CPU cores.
    pub cpu_count: Option<u32>,
    /// At least this much memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Disks, in MAAS's own words: `root:60` wants a first disk of at least 60 GB.
    pub storage: Option<String>,
    /// In one of these zones.
    pub zones: Vec<String>,
    /// In none of these zones.
    pub not_in_zones: Vec<String>,
    /// In this resource pool.
    pub pool: Option<String>,
    /// In none of these pools.
    pub not_in_pools: Vec<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// With none of these tags.
    pub not_tags: Vec<String>,
    /// Connected to all of these subnets, each by name, `cidr:…` or id.
    pub subnets: Vec<String>,
    /// Not connected to these subnets.
    pub not_subnets: Vec<String>,
    /// Connected to one of these fabrics.
    pub fabrics: Vec<String>,
    /// With interfaces as MAAS words them, such as `net0:subnet=lab`.
    pub interfaces: Option<String>,
    /// Shown in the machine's events.
    pub comment: Option<String>,
    /// Look only: say which machine it would be and take none.
    pub dry_run: bool,
}

impl Allocate {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "agent_name", &self.agent_name);
        push_all(&mut fields, "system_id", &self.system_id);
        push_all(&mut fields, "name", &self.name);
        push_all(&mut fields, "arch", &self.architecture);
        push_all(&mut fields, "cpu_count", self.cpu_count);
        push_all(&mut fields, "mem", self.memory_mib);
        push_all(&mut fields, "storage", &self.storage);
        push_all(&mut fields, "zone", &self.zones);
        push_all(&mut fields, "not_in_zone", &self.not_in_zones);
        push_all(&mut fields, "pool", &self.pool);
        push_all(&mut fields, "not_in_pool", &self.not_in_pools);
        push_all(&mut fields, "tags", &self.tags);
        push_all(&mut fields, "not_tags", &self.not_tags);
        push_all(&mut fields, "subnets", &self.subnets);
        push_all(&mut fields, "not_subnets", &self.not_subnets);
        push_all(&mut fields, "fabrics", &self.fabrics);
        push_all(&mut fields, "interfaces", &self.interfaces);
        push_all(&mut fields, "comment", &self.comment);
        if self.dry_run {
            push(&mut fields, "dry_run", &true);
        }
        fields
    }
}

/// What to install.
#[derive(Clone, Debug, Default)]
pub struct Deploy {
    /// Release, such as `noble` or `ubuntu/noble`; MAAS's default where `None`.
    pub distro_series: Option<String>,
    /// Kernel, such as `ga-24.04`.
    pub hwe_kernel: Option<String>,
    /// The cloud-config as it is; it is encoded here. It holds secrets.
    pub user_data: Option<SecretString>,
    /// Shown in the machine's events.
    pub comment: Option<String>,
    /// The mark of the allocate call once more. MAAS takes it where somebody released the machine in the meantime: a deploy
    /// call then takes it again, and it must not be without a mark.
    pub agent_name: Option<String>,
}

impl Deploy {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "distro_series", &self.distro_series);
        push_all(&mut fields, "hwe_kernel", &self.hwe_kernel);
        push_all(&mut fields, "agent_name", &self.agent_name);
        push_all(&mut fields, "comment", &self.comment);
        // MAAS accepts anything here and the machine chokes later, so the encoding is not left to the caller.
        let encoded =
            self.user_data.as_ref().map(|text| base64::engine::general_purpose::STANDARD.encode(text.expose_secret()));
        push_all(&mut fields, "user_data", encoded);
        fields
    }
}

/// How to give a machine back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Shown in the machine's events.
    pub comment: Option<String>,
    /// Erase the disks first.
    pub erase: bool,
    /// With `erase`: only their first and last MiB.
    pub quick_erase: bool,
}

impl Release {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "comment", &self.comment);
        if self.erase {
            push(&mut fields, "erase", &true);
        }
        if self.quick_erase {
            push(&mut fields, "quick_erase", &true);
        }
        fields
    }
}

/// What to change in a machine's record; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateMachine {
    /// Host name, without domain.
    pub hostname: Option<String>,
    /// Domain, by name.
    pub domain: Option<String>,
    /// Zone, by name.
    pub zone: Option<String>,
    /// Resource pool, by name.
    pub pool: Option<String>,
    /// For people.
    pub description: Option<String>,
}

impl UpdateMachine {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "hostname", &self.hostname);
        push_all(&mut fields, "domain", &self.domain);
        push_all(&mut fields, "zone", &self.zone);
        push_all(&mut fields, "pool", &self.pool);
        push_all(&mut fields, "description", &self.description);
        fields
    }
}

/// Which events to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these machines.
    pub ids: Vec<SystemId>,
    /// Of machines with this mark.
    pub agent_name: Option<String>,
    /// At least this severe: `DEBUG`, `INFO` (MAAS's default), `WARNING`, `ERROR`.
    pub level: Option<String>,
    /// Only events after the one with this id.
    pub after: Option<u64>,
    /// Only events before the one with this id. MAAS refuses it together with `after`.
    pub before: Option<u64>,
    /// At most this many, 1 to 1000; MAAS's default is 100.
    pub limit: Option<u16>,
}

impl EventFilter {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "id", &self.ids);
        push_all(&mut fields, "agent_name", &self.agent_name);
        push_all(&mut fields, "level", &self.level);
        push_all(&mut fields, "after", self.after);
        push_all(&mut fields, "before", self.before);
        push_all(&mut fields, "limit", self.limit.map(|limit| limit.clamp(1, 1000)));
        fields
    }
}

/// Which address to reserve: one MAAS picks in `subnet`, or exactly `ip`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReserveIp {
    /// The subnet. With `ip` set too, the address must lie in it.
    pub subnet: Option<IpNet>,
    /// The address.
    pub ip: Option<IpAddr>,
    /// Also make a DNS name for it, with or without domain.
    pub hostname: Option<String>,
}

/// Which DNS names to list; MAAS shows only those made by users, not those of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsResourceFilter {
    /// The whole name.
    pub fqdn: Option<String>,
    /// The name without its domain.
    pub name: Option<String>,
    /// In this domain. An unknown domain is an error.
    pub domain: Option<String>,
}

impl DnsResourceFilter {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "fqdn", &self.fqdn);
        push_all(&mut fields, "name", &self.name);
        push_all(&mut fields, "domain", &self.domain);
        fields
    }
}

/// A DNS name to make. Needs the rights of an administrator in MAAS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDnsResource {
    /// The whole name.
    pub fqdn: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Time to live of its address records, in seconds.
    pub ttl: Option<u32>,
}

impl CreateDnsResource {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push(&mut fields, "fqdn", &self.fqdn);
        push(&mut fields, "ip_addresses", &by_spaces(&self.addresses));
        push_all(&mut fields, "address_ttl", self.ttl);
        fields
    }
}

/// What to change in a DNS name; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateDnsResource {
    /// The name without its domain.
    pub name: Option<String>,
    /// All its addresses from now on.
    pub addresses: Option<Vec<IpAddr>>,
    /// Time to live of its address records, in seconds.
    pub ttl: Option<u32>,
}

impl UpdateDnsResource {
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        push_all(&mut fields, "name", &self.name);
        push_all(&mut fields, "ip_addresses", self.addresses.as_deref().map(by_spaces));
        push_all(&mut fields, "address_ttl", self.ttl);
        fields
    }
}

/// MAAS answers commas between addresses with an internal error.
fn by_spaces(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
