//! Everything the simulated MAAS knows, as plain structs.

mod load;
mod machine;

pub(crate) use load::{new_key, usable, used};
pub(crate) use machine::{Disk, Interface, Link, Machine, MetadataKey, Partition, Status};

use super::{events::Event, watch::DnsRecord};
use crate::seed::{Image, LinkMode, RangeKind};
use ferrogate_model::Timestamp;
use ipnet::IpNet;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

/// A database id.
pub(crate) type Id = i64;

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) admin: bool,
}

/// An API key: which user signs with it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) user: Id,
    pub(crate) name: String,
    pub(crate) consumer: String,
    pub(crate) token: String,
    pub(crate) secret: secrecy::SecretString,
}

#[derive(Debug)]
pub(crate) struct SshKey {
    pub(crate) id: Id,
    pub(crate) user: Id,
    pub(crate) key: String,
}

#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) authoritative: bool,
    pub(crate) ttl: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) description: String,
}

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) description: String,
}

#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) definition: String,
    pub(crate) comment: String,
    pub(crate) kernel_opts: String,
}

#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) description: String,
}

#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) id: Id,
    pub(crate) name: String,
}

#[derive(Debug)]
pub(crate) struct Vlan {
    pub(crate) id: Id,
    pub(crate) fabric: Id,
    pub(crate) name: String,
    pub(crate) vid: u16,
    pub(crate) mtu: u32,
    pub(crate) space: Option<Id>,
}

#[derive(Debug)]
pub(crate) struct Subnet {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vlan: Id,
    pub(crate) cidr: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) dns_servers: Vec<IpAddr>,
    pub(crate) managed: bool,
}

#[derive(Debug)]
pub(crate) struct IpRange {
    pub(crate) id: Id,
    pub(crate) subnet: Id,
    pub(crate) kind: RangeKind,
    pub(crate) start: IpAddr,
    pub(crate) end: IpAddr,
    pub(crate) comment: String,
    pub(crate) user: Option<Id>,
}

/// An address that is not the link of a machine's interface: one that a user reserved, one of a DNS resource, one of a
/// management controller.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) id: Id,
    pub(crate) ip: IpAddr,
    /// 1 static (a management controller's), 4 user reserved.
    pub(crate) alloc_type: u8,
    pub(crate) owner: Option<Id>,
    pub(crate) subnet: Option<Id>,
    /// MAC address given with the reservation.
    pub(crate) mac: Option<(Id, String)>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

#[derive(Debug)]
pub(crate) struct DnsResource {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) domain: Id,
    pub(crate) ttl: Option<i64>,
    /// Ids of addresses.
    pub(crate) addresses: Vec<Id>,
}

#[derive(Debug)]
pub(crate) struct DnsData {
    pub(crate) id: Id,
    pub(crate) resource: Id,
    pub(crate) ttl: Option<i64>,
    pub(crate) rrtype: String,
    pub(crate) rrdata: String,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) users: Vec<User>,
    pub(crate) keys: Vec<Key>,
    pub(crate) ssh_keys: Vec<SshKey>,
    /// Token key and nonce of each signature seen, with its time in seconds.
    pub(crate) nonces: BTreeMap<(String, String), i64>,
    pub(crate) domains: Vec<Domain>,
    pub(crate) default_domain: Id,
    pub(crate) zones: Vec<Zone>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) spaces: Vec<Space>,
    pub(crate) fabrics: Vec<Fabric>,
    pub(crate) vlans: Vec<Vlan>,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) ranges: Vec<IpRange>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) dns_resources: Vec<DnsResource>,
    pub(crate) dns_data: Vec<DnsData>,
    pub(crate) images: Vec<Image>,
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) events: VecDeque<Event>,
    next: BTreeMap<&'static str, Id>,
}

impl State {
    /// The next id of a kind, counted from 1.
    pub(crate) fn next_id(&mut self, kind: &'static str) -> Id {
        let next = self.next.entry(kind).or_insert(0);
        *next += 1;
        *next
    }

    /// Lets ids of a kind begin after `last`.
    pub(crate) fn ids_after(&mut self, kind: &'static str, last: Id) {
        self.next.insert(kind, last);
    }

    pub(crate) fn user(&self, id: Id) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn user_name(&self, id: Option<Id>) -> Option<&str> {
        self.user(id?).map(|user| user.name.as_str())
    }

    pub(crate) fn machine(&self, system_id: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.system_id.0 == system_id)
    }

    pub(crate) fn machine_mut(&mut self, system_id: &str) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.system_id.0 == system_id)
    }

    pub(crate) fn domain(&self, id: Id) -> Option<&Domain> {
        self.domains.iter().find(|domain| domain.id == id)
    }

    pub(crate) fn domain_name(&self, id: Id) -> &str {
        self.domain(id).map_or("", |domain| domain.name.as_str())
    }

    /// A domain by id or name, as paths and parameters give it.
    pub(crate) fn find_domain(&self, text: &str) -> Option<&Domain> {
        let id: Option<Id> = text.parse().ok();
        self.domains.iter().find(|domain| domain.name == text || Some(domain.id) == id)
    }

    pub(crate) fn zone(&self, id: Id) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.id == id)
    }

    pub(crate) fn pool(&self, id: Id) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.id == id)
    }

    pub(crate) fn find_pool(&self, text: &str) -> Option<&Pool> {
        let id: Option<Id> = text.parse().ok();
        self.pools.iter().find(|pool| pool.name == text || Some(pool.id) == id)
    }

    pub(crate) fn vlan(&self, id: Id) -> Option<&Vlan> {
        self.vlans.iter().find(|vlan| vlan.id == id)
    }

    pub(crate) fn fabric(&self, id: Id) -> Option<&Fabric> {
        self.fabrics.iter().find(|fabric| fabric.id == id)
    }

    pub(crate) fn find_fabric(&self, text: &str) -> Option<&Fabric> {
        let id: Option<Id> = text.parse().ok();
        self.fabrics.iter().find(|fabric| fabric.name == text || Some(fabric.id) == id)
    }

    pub(crate) fn space_name(&self, vlan: &Vlan) -> &str {
        self.spaces.iter().find(|space| Some(space.id) == vlan.space).map_or("undefined", |space| space.name.as_str())
    }

    pub(crate) fn subnet(&self, id: Id) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.id == id)
    }

    /// A subnet by id, name, CIDR, `name:…`, `cidr:…`, `ip:…` or `id:…`.
    pub(crate) fn find_subnet(&self, text: &str) -> Option<&Subnet> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("name:") {
            return self.subnets.iter().find(|subnet| subnet.name == name);
        }
        if let Some(ip) = text.strip_prefix("ip:") {
            return ip.parse().ok().and_then(|ip| self.subnet_of(ip));
        }
        let bare = text.strip_prefix("cidr:").or_else(|| text.strip_prefix("id:")).unwrap_or(text);
        let id: Option<Id> = bare.parse().ok();
        let cidr: Option<IpNet> = bare.parse().ok();
        self.subnets
            .iter()
            .find(|subnet| Some(subnet.id) == id || cidr.is_some_and(|net| net.trunc() == subnet.cidr))
            .or_else(|| self.subnets.iter().find(|subnet| subnet.name == bare))
    }

    /// The smallest subnet an address lies in.
    pub(crate) fn subnet_of(&self, ip: IpAddr) -> Option<&Subnet> {
        self.subnets.iter().filter(|subnet| subnet.cidr.contains(&ip)).max_by_key(|subnet| subnet.cidr.prefix_len())
    }

    pub(crate) fn fqdn(&self, machine: &Machine) -> String {
        format!("{}.{}", machine.hostname, self.domain_name(machine.domain))
    }

    /// The machine and interface a link with this address belongs to.
    pub(crate) fn link_of(&self, ip: IpAddr) -> Option<(&Machine, &Interface, &Link)> {
        self.machines.iter().find_map(|machine| {
            machine.interfaces.iter().find_map(|interface| {
                let link = interface.links.iter().find(|link| link.ip == Some(ip))?;
                Some((machine, interface, link))
            })
        })
    }

    /// What the site's DNS answers: machines that have addresses, and DNS resources.
    pub(crate) fn zone_records(&self) -> Vec<DnsRecord> {
        let machines = self
            .machines
            .iter()
            .filter(|machine| machine.status.is_in_dns())
            .map(|machine| DnsRecord { fqdn: self.fqdn(machine), addresses: machine.addresses().collect() });
        let resources = self.dns_resources.iter().map(|resource| DnsRecord {
            fqdn: self.resource_fqdn(resource),
            addresses: self.resource_addresses(resource).map(|address| address.ip).collect(),
        });
        let mut records: Vec<DnsRecord> = Vec::new();
        for record in machines.chain(resources).filter(|record| !record.addresses.is_empty()) {
            match records.iter_mut().find(|other| other.fqdn == record.fqdn) {
                Some(other) => other.addresses.extend(record.addresses),
                None => records.push(record),
            }
        }
        records
    }

    pub(crate) fn resource_fqdn(&self, resource: &DnsResource) -> String {
        let domain = self.domain_name(resource.domain);
        if resource.name == "@" { domain.to_owned() } else { format!("{}.{domain}", resource.name) }
    }

    pub(crate) fn resource_addresses<'a>(&'a self, resource: &'a DnsResource) -> impl Iterator<Item = &'a Address> {
        self.addresses.iter().filter(|address| resource.addresses.contains(&address.id))
    }

    /// How links are written in answers.
    pub(crate) const fn mode_word(mode: LinkMode) -> &'static str {
        match mode {
            LinkMode::Auto => "auto",
            LinkMode::Static => "static",
            LinkMode::Dhcp => "dhcp",
            LinkMode::LinkUp => "link_up",
        }
    }
}
