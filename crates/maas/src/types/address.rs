//! Subnets, addresses and names.

use super::{User, lenient};
use crate::date;
use ferrogate_model::{SystemId, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;

/// A VLAN.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Vlan {
    /// MAAS's number.
    pub id: u64,
    /// The tag on the wire, 0 for none.
    pub vid: u16,
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// The fabric it belongs to, by name.
    #[serde(default)]
    pub fabric: Option<String>,
    /// Largest packet, in bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Whether MAAS answers DHCP on it.
    #[serde(default)]
    pub dhcp_on: bool,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subnet {
    /// MAAS's number.
    pub id: u64,
    /// For people.
    pub name: String,
    /// Its range.
    pub cidr: IpNet,
    /// The router's address.
    #[serde(default, deserialize_with = "lenient::parsed")]
    pub gateway_ip: Option<IpAddr>,
    /// DNS servers handed to its machines.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub dns_servers: Vec<IpAddr>,
    /// Its VLAN.
    #[serde(default)]
    pub vlan: Option<Vlan>,
    /// The space it belongs to, by name; `undefined` for none.
    #[serde(default)]
    pub space: Option<String>,
    /// Whether MAAS hands out its addresses.
    #[serde(default = "yes")]
    pub managed: bool,
}

const fn yes() -> bool {
    true
}

/// A number of addresses. An IPv6 subnet has more than 64 bits can count, which JSON libraries read as a float.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let rounded = || number.as_f64().map(|float| float as u128);
    number.as_u128().or_else(rounded).ok_or_else(|| serde::de::Error::custom("not a number of addresses"))
}

/// How full a subnet is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SubnetStatistics {
    /// Addresses that nothing uses or reserves, dynamic ranges not counted.
    #[serde(deserialize_with = "count")]
    pub num_available: u128,
    /// The longest run of them.
    #[serde(deserialize_with = "count")]
    pub largest_available: u128,
    /// Addresses in use or reserved.
    #[serde(deserialize_with = "count")]
    pub num_unavailable: u128,
    /// All addresses but the network's and the broadcast's.
    #[serde(deserialize_with = "count")]
    pub total_addresses: u128,
    /// Used part, 0 to 1.
    pub usage: f64,
    /// First address a machine may have.
    pub first_address: IpAddr,
    /// Last address a machine may have.
    pub last_address: IpAddr,
}

/// A run of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IpRange {
    /// First address.
    pub start: IpAddr,
    /// Last address.
    pub end: IpAddr,
    /// How many.
    #[serde(deserialize_with = "count")]
    pub num_addresses: u128,
    /// What they are kept for, where the run is a reserved one, such as `gateway-ip` or `dynamic`.
    #[serde(default)]
    pub purpose: Vec<String>,
}

/// An address in use, as a subnet lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AddressUse {
    /// The address.
    pub ip: IpAddr,
    /// How it came to be: 0 automatic, 1 static, 4 reserved by a user, 5 DHCP, 6 discovered.
    pub alloc_type: u8,
    /// When.
    #[serde(default, deserialize_with = "date::optional")]
    pub created: Option<Timestamp>,
    /// The machine or device that has it.
    #[serde(default)]
    pub node_summary: Option<NodeSummary>,
    /// The user it belongs to.
    #[serde(default)]
    pub user: Option<String>,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NodeSummary {
    /// MAAS's id.
    pub system_id: SystemId,
    /// Host name, without domain.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Host name and domain.
    #[serde(default)]
    pub fqdn: Option<String>,
}

/// A reserved or assigned address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IpAddress {
    /// The address.
    pub ip: IpAddr,
    /// As [`AddressUse::alloc_type`].
    pub alloc_type: u8,
    /// When.
    #[serde(default, deserialize_with = "date::optional")]
    pub created: Option<Timestamp>,
    /// Its subnet, where MAAS knows one.
    #[serde(default)]
    pub subnet: Option<Subnet>,
    /// The user it belongs to.
    #[serde(default)]
    pub owner: Option<User>,
}

/// A DNS name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DnsResource {
    /// MAAS's number; -1 for one that is computed, such as a machine's.
    pub id: i64,
    /// The whole name.
    pub fqdn: String,
    /// Its addresses.
    #[serde(default)]
    pub ip_addresses: Option<Vec<IpAddress>>,
    /// Time to live of its address records, in seconds; the domain's where `None`.
    #[serde(default)]
    pub address_ttl: Option<u32>,
    /// Its other records.
    #[serde(default)]
    pub resource_records: Vec<DnsRecord>,
}

impl DnsResource {
    /// The addresses alone.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.ip_addresses.iter().flatten().map(|address| address.ip).collect()
    }
}

/// A record of a DNS name that is no address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DnsRecord {
    /// Such as `TXT`.
    pub rrtype: String,
    /// Its content.
    pub rrdata: String,
    /// In seconds.
    #[serde(default)]
    pub ttl: Option<u32>,
}
