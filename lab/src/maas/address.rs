//! Which addresses of a subnet are taken, which are free, and which one MAAS would pick.

use super::state::{Id, State, Subnet};
use crate::seed::{LinkMode, RangeKind};
use ferrogate_model::{SystemId, Timestamp};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// No address is left in a subnet.
#[derive(Debug)]
pub(crate) struct Exhausted {
    /// Which one.
    pub(crate) cidr: ipnet::IpNet,
}

impl Exhausted {
    /// In MAAS's words.
    pub(crate) fn text(&self) -> String {
        format!("No more IPs available in subnet: {}.", self.cidr)
    }
}

/// A stretch of addresses, both ends included, with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) first: u128,
    pub(crate) last: u128,
    pub(crate) purposes: BTreeSet<&'static str>,
}

impl Stretch {
    pub(crate) const fn len(&self) -> u128 {
        self.last - self.first + 1
    }
}

/// Resources of MAAS that the simulated one never has any of.
pub(crate) fn always_empty(name: &str) -> bool {
    const EMPTY: [&str; 11] = [
        "boot-sources",
        "reservedips",
        "static-routes",
        "dhcp-snippets",
        "license-keys",
        "files",
        "rackcontrollers",
        "devices",
        "pods",
        "vm-hosts",
        "discovery",
    ];
    EMPTY.contains(&name)
}

pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

pub(crate) fn numbered(subnet: &Subnet, number: u128) -> IpAddr {
    match subnet.cidr {
        ipnet::IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        ipnet::IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

impl State {
    /// First and last address a subnet can have in use, as its statistics count them.
    pub(crate) fn span(&self, subnet: &Subnet) -> (u128, u128) {
        let (network, broadcast) = (number(subnet.cidr.network()), number(subnet.cidr.broadcast()));
        let (mut first, mut last) = match subnet.cidr {
            ipnet::IpNet::V4(net) if net.prefix_len() < 31 => (network + 1, broadcast - 1),
            _ => (network, broadcast),
        };
        // Network and broadcast address count where somebody has reserved them.
        for ip in self.used_in(subnet) {
            first = first.min(ip);
            last = last.max(ip);
        }
        (first, last)
    }

    /// The single addresses of a subnet that are in use.
    fn used_in(&self, subnet: &Subnet) -> BTreeSet<u128> {
        let links = self.machines.iter().flat_map(|machine| machine.addresses());
        let others = self.addresses.iter().map(|address| address.ip);
        links.chain(others).filter(|ip| subnet.cidr.contains(ip)).map(number).collect()
    }

    /// What of a subnet is reserved (`used` = false) or also in use, in order, neighbours of one purpose joined.
    pub(crate) fn taken(&self, subnet: &Subnet, used: bool) -> Vec<Stretch> {
        let mut pieces: Vec<Stretch> = Vec::new();
        let mut add = |first: u128, last: u128, purpose: &'static str| {
            pieces.push(Stretch { first, last, purposes: BTreeSet::from([purpose]) });
        };
        if let ipnet::IpNet::V6(net) = subnet.cidr {
            let network = u128::from(net.network());
            add(network, network, "rfc-4291-2.6.1");
            if net.prefix_len() <= 64 {
                // MAAS keeps the low 32 bits of an IPv6 subnet for people.
                add(network + 1, network + u128::from(u32::MAX), "reserved");
            }
        }
        if let Some(gateway) = subnet.gateway {
            add(number(gateway), number(gateway), "gateway-ip");
        }
        for dns in subnet.dns_servers.iter().filter(|ip| subnet.cidr.contains(*ip)) {
            add(number(*dns), number(*dns), "dns-server");
        }
        for range in self.ranges.iter().filter(|range| range.subnet == subnet.id) {
            let purpose = match range.kind {
                RangeKind::Dynamic => "dynamic",
                RangeKind::Reserved => "reserved",
            };
            add(number(range.start), number(range.end), purpose);
        }
        if used {
            for ip in self.used_in(subnet) {
                add(ip, ip, "assigned-ip");
            }
        }
        join(pieces)
    }

    /// What of a subnet is free.
    pub(crate) fn free(&self, subnet: &Subnet) -> Vec<Stretch> {
        let (first, last) = self.span(subnet);
        let mut free = Vec::new();
        let mut next = first;
        for taken in self.taken(subnet, true) {
            if taken.first > next {
                free.push(Stretch { first: next, last: taken.first - 1, purposes: BTreeSet::from(["unused"]) });
            }
            next = next.max(taken.last + 1);
        }
        if next <= last {
            free.push(Stretch { first: next, last, purposes: BTreeSet::from(["unused"]) });
        }
        free
    }

    /// The address MAAS would hand out: the first of the smallest free stretch, as in the recordings.
    pub(crate) fn pick(&self, subnet: &Subnet) -> Result<IpAddr, Exhausted> {
        let free = self.free(subnet);
        let smallest = free.iter().min_by_key(|stretch| (stretch.len(), stretch.first));
        smallest.map(|stretch| numbered(subnet, stretch.first)).ok_or(Exhausted { cidr: subnet.cidr })
    }

    /// Picks an address for every automatic link of a machine; none is kept where one subnet is exhausted.
    pub(crate) fn claim_addresses(&mut self, id: &SystemId, now: Timestamp) -> Result<(), Exhausted> {
        let Some(machine) = self.machine(&id.0) else { return Ok(()) };
        let wanted: Vec<(usize, usize, Id)> = machine
            .interfaces
            .iter()
            .enumerate()
            .flat_map(|(i, interface)| interface.links.iter().enumerate().map(move |(l, link)| (i, l, link)))
            .filter(|(_, _, link)| link.mode == LinkMode::Auto && link.ip.is_none())
            .map(|(i, l, link)| (i, l, link.subnet))
            .collect();
        for (interface, link, subnet) in wanted {
            let picked = self.subnet(subnet).map(|subnet| self.pick(subnet));
            let Some(machine) = self.machine_mut(&id.0) else { return Ok(()) };
            match picked {
                Some(Ok(ip)) => {
                    let link = &mut machine.interfaces[interface].links[link];
                    link.ip = Some(ip);
                    link.updated = now;
                }
                Some(Err(exhausted)) => {
                    machine.free_auto_addresses();
                    return Err(exhausted);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Whether an address is in use.
    pub(crate) fn is_used(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.ip == ip) || self.link_of(ip).is_some()
    }
}

/// Cuts overlapping pieces so that each address is in one, and joins neighbours that serve the same.
fn join(mut pieces: Vec<Stretch>) -> Vec<Stretch> {
    pieces.sort_by_key(|piece| (piece.first, piece.last));
    let mut joined: Vec<Stretch> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            // One lies in the other: MAAS shows them as one with both purposes.
            Some(before) if piece.first <= before.last => {
                before.last = before.last.max(piece.last);
                before.purposes.extend(piece.purposes);
            }
            Some(before) if piece.first == before.last + 1 && before.purposes == piece.purposes => {
                before.last = piece.last;
            }
            _ => joined.push(piece),
        }
    }
    joined
}
