//! A site made up for the demo and for tests.

use super::types::{
    Access, Disk, Domain, Fabric, Image, Interface, Link, LinkMode, Machine, Pool, PowerType, Range, RangeKind, Seed,
    Status, Subnet, User, Vlan, Zone,
};
use ferrogate_model::address::nth;
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::IpAddr;

/// The names of the demo's machines, in the fashion of MAAS: two words, made up by us.
const HOSTNAMES: [&str; 8] = [
    "amber-heron",
    "brisk-otter",
    "calm-lynx",
    "deft-raven",
    "eager-finch",
    "fair-badger",
    "glad-marten",
    "hardy-crane",
];
/// API key of the demo's administrator. Not a secret: the demo's MAAS is reachable from this computer alone.
const DEMO_ADMIN_KEY: &str = "DemoAdminConsumer1:DemoAdminTokenKey1:DemoAdminTokenSecret000000000001";
/// API key of the demo's plain user.
const DEMO_USER_KEY: &str = "DemoUserConsumer01:DemoUserTokenKey01:DemoUserTokenSecret0000000000001";
const GIGABYTE: u64 = 1_000_000_000;

impl Seed {
    /// Eight Ready machines in two zones and two resource pools on one subnet, domain `maas`, Ubuntu noble and jammy.
    ///
    /// Addresses `.1` to `.9` of the subnet are reserved (MAAS, DNS and the proxy are there); the machines get theirs
    /// from `.10` on. Every machine has at least 4 CPUs, 8 GiB and 100 GB, so that any of them can carry a gateway node.
    #[must_use]
    pub fn demo(subnet: IpNet) -> Self {
        let address = |n| nth(&subnet, n).unwrap_or_else(|| subnet.network());
        let dns: IpAddr = address(2);
        Self {
            maas_name: "demo".into(),
            users: vec![
                User {
                    name: "admin".into(),
                    email: "admin@demo.internal".into(),
                    access: Access::Admin,
                    api_keys: vec![SecretString::from(DEMO_ADMIN_KEY)],
                    ssh_keys: Vec::new(),
                },
                User {
                    name: "operator".into(),
                    email: "operator@demo.internal".into(),
                    access: Access::User,
                    api_keys: vec![SecretString::from(DEMO_USER_KEY)],
                    ssh_keys: Vec::new(),
                },
            ],
            domains: vec![Domain { name: "maas".into() }],
            zones: vec![
                Zone { name: "default".into(), description: String::new() },
                Zone { name: "zone-b".into(), description: "second room".into() },
            ],
            pools: vec![
                Pool { name: "default".into(), description: "Default pool".into() },
                Pool { name: "workers".into(), description: "machines for workloads".into() },
            ],
            tags: Vec::new(),
            fabrics: vec![Fabric {
                name: "fabric-0".into(),
                vlans: vec![Vlan { name: "untagged".into(), vid: 0, mtu: 1500, space: None }],
            }],
            subnets: vec![Subnet {
                name: "site".into(),
                cidr: subnet,
                fabric: "fabric-0".into(),
                vid: 0,
                gateway: Some(address(1)),
                dns_servers: vec![dns],
                ranges: vec![Range {
                    kind: RangeKind::Reserved,
                    start: address(2),
                    end: address(9),
                    comment: "MAAS, DNS and proxy".into(),
                }],
            }],
            images: vec![
                Image { name: "ubuntu/noble".into(), architecture: "amd64".into(), kernels: vec!["ga-24.04".into()] },
                Image { name: "ubuntu/jammy".into(), architecture: "amd64".into(), kernels: vec!["ga-22.04".into()] },
            ],
            machines: HOSTNAMES.iter().zip(0u64..).map(|(name, n)| machine(name, n)).collect(),
        }
    }

    /// The API key of the first user who has one: an administrator in [`Seed::demo`] and [`Seed::recorded`].
    #[must_use]
    pub fn admin_key(&self) -> Option<&SecretString> {
        self.users.iter().find(|user| user.access == Access::Admin && !user.api_keys.is_empty())?.api_keys.first()
    }
}

/// The `n`th machine of the demo: sizes differ, so that constraints have something to choose from.
fn machine(hostname: &str, n: u64) -> Machine {
    let large = n % 4 == 3;
    Machine {
        system_id: None,
        hostname: hostname.into(),
        domain: None,
        architecture: "amd64/generic".into(),
        cpu_count: if large { 16 } else { 4 },
        memory: if large { 32_768 } else { 8192 + (n % 3) * 4096 },
        disks: vec![Disk { name: "sda".into(), size: (120 + 20 * n) * GIGABYTE, tags: vec!["ssd".into()] }],
        interfaces: vec![Interface {
            name: "enp1s0".into(),
            mac_address: format!("52:54:00:d0:00:{:02x}", n + 1),
            links: vec![Link { subnet: "site".into(), mode: LinkMode::Auto }],
        }],
        zone: Some(if n.is_multiple_of(2) { "default" } else { "zone-b" }.into()),
        pool: Some(if n < 5 { "default" } else { "workers" }.into()),
        tags: Vec::new(),
        power_type: PowerType::Virsh,
        power_parameters: [
            ("power_address".to_owned(), "qemu+ssh://maas@host.internal/system".to_owned()),
            ("power_id".to_owned(), hostname.to_owned()),
        ]
        .into(),
        status: Status::Ready,
        description: String::new(),
    }
}
