//! From a seed to the state a simulated MAAS begins with.

use super::{
    Address, Disk, Domain, Fabric, Id, Interface, IpRange, Key, Link, Machine, MetadataKey, Partition, Pool, Space,
    SshKey, State, Status, Subnet, Tag, User, Vlan, Zone,
};
use crate::{
    backend::Power,
    maas::{config, events::Level},
    seed::{self, PowerType, Seed},
};
use ferrogate_model::{SystemId, Timestamp};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

/// What the default storage layout leaves to alignment and the partition table, and the unit sizes are rounded down to.
/// Both follow from the sizes in the recordings.
const PARTITION_ALIGNMENT: u64 = 4 * 1024 * 1024;
const PARTITION_TABLE: u64 = 5 * 1024 * 1024;
const EFI_PARTITION: u64 = 512 * 1024 * 1024;
/// MAAS numbers VLANs from here.
const FIRST_VLAN_ID: Id = 5001;

/// Usable bytes of a disk after `taken` bytes for partitions.
pub(crate) const fn usable(size: u64, taken: u64) -> u64 {
    let left = size.saturating_sub(taken + PARTITION_TABLE);
    left - left % PARTITION_ALIGNMENT
}

/// What the partitions and the partition table of a disk take.
pub(crate) fn used(disk: &Disk) -> u64 {
    if disk.partitions.is_empty() {
        return 0;
    }
    disk.partitions.iter().map(|partition| partition.size).sum::<u64>() + PARTITION_TABLE
}

impl State {
    /// The state a seed describes.
    pub(crate) fn load(seed: Seed, now: Timestamp) -> Self {
        let mut state = Self {
            users: Vec::new(),
            keys: Vec::new(),
            ssh_keys: Vec::new(),
            nonces: BTreeMap::new(),
            domains: Vec::new(),
            default_domain: 0,
            zones: Vec::new(),
            pools: Vec::new(),
            tags: Vec::new(),
            spaces: Vec::new(),
            fabrics: Vec::new(),
            vlans: Vec::new(),
            subnets: Vec::new(),
            ranges: Vec::new(),
            addresses: Vec::new(),
            dns_resources: Vec::new(),
            dns_data: Vec::new(),
            images: seed.images,
            config: config::defaults(&seed.maas_name),
            machines: Vec::new(),
            events: VecDeque::new(),
            next: BTreeMap::new(),
        };
        state.load_users(seed.users);
        state.load_names(seed.domains, seed.zones, seed.pools, seed.tags);
        state.load_networks(seed.fabrics, seed.subnets);
        for machine in seed.machines {
            state.load_machine(machine, now);
        }
        let ids: Vec<SystemId> = state.machines.iter().map(|machine| machine.system_id.clone()).collect();
        for id in ids {
            let text = "50-maas-01-commissioning changed status from 'Pending' to 'Passed'";
            state.event(&id, now, Level::Debug, "Script result", text);
        }
        state
    }

    fn load_users(&mut self, users: Vec<seed::User>) {
        for user in users {
            let id = self.next_id("user");
            for (n, key) in user.api_keys.iter().enumerate() {
                let mut parts = key.expose_secret().splitn(3, ':').map(str::to_owned);
                let (Some(consumer), Some(token), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
                    continue;
                };
                let name = if n == 0 { "MAAS consumer".to_owned() } else { format!("key {n}") };
                self.keys.push(Key { user: id, name, consumer, token, secret: secret.into() });
            }
            for key in user.ssh_keys {
                let key = SshKey { id: self.next_id("sshkey"), user: id, key };
                self.ssh_keys.push(key);
            }
            let admin = user.access == seed::Access::Admin;
            self.users.push(User { id, name: user.name, email: user.email, admin });
        }
    }

    fn load_names(
        &mut self,
        domains: Vec<seed::Domain>,
        zones: Vec<seed::Zone>,
        pools: Vec<seed::Pool>,
        tags: Vec<seed::Tag>,
    ) {
        // The default domain and the default pool have id 0 in MAAS; everything else is numbered from 1.
        self.ids_after("domain", -1);
        self.ids_after("pool", -1);
        for domain in domains {
            let id = self.next_id("domain");
            self.domains.push(Domain { id, name: domain.name, authoritative: true, ttl: None });
        }
        for zone in zones {
            let id = self.next_id("zone");
            self.zones.push(Zone { id, name: zone.name, description: zone.description });
        }
        for pool in pools {
            let id = self.next_id("pool");
            self.pools.push(Pool { id, name: pool.name, description: pool.description });
        }
        for tag in tags {
            let id = self.next_id("tag");
            let seed::Tag { name, comment, kernel_opts } = tag;
            self.tags.push(Tag { id, name, definition: String::new(), comment, kernel_opts });
        }
    }

    fn load_networks(&mut self, fabrics: Vec<seed::Fabric>, subnets: Vec<seed::Subnet>) {
        self.ids_after("vlan", FIRST_VLAN_ID - 1);
        for fabric in fabrics {
            let fabric_id = self.next_id("fabric");
            for vlan in fabric.vlans {
                let space = vlan.space.map(|name| self.space_named(name));
                let id = self.next_id("vlan");
                let seed::Vlan { name, vid, mtu, .. } = vlan;
                self.vlans.push(Vlan { id, fabric: fabric_id, name, vid, mtu, space });
            }
            self.fabrics.push(Fabric { id: fabric_id, name: fabric.name });
        }
        for subnet in subnets {
            let id = self.next_id("subnet");
            let vlan = self.find_fabric(&subnet.fabric).map(|fabric| fabric.id).and_then(|fabric| {
                self.vlans.iter().find(|vlan| vlan.fabric == fabric && vlan.vid == subnet.vid).map(|vlan| vlan.id)
            });
            let admin = self.users.iter().find(|user| user.admin && self.keys.iter().any(|key| key.user == user.id));
            let admin = admin.map(|user| user.id);
            for range in subnet.ranges {
                let user = if range.kind == seed::RangeKind::Reserved { admin } else { None };
                let range_id = self.next_id("iprange");
                let seed::Range { kind, start, end, comment } = range;
                self.ranges.push(IpRange { id: range_id, subnet: id, kind, start, end, comment, user });
            }
            self.subnets.push(Subnet {
                id,
                name: subnet.name,
                description: String::new(),
                vlan: vlan.unwrap_or(FIRST_VLAN_ID),
                cidr: subnet.cidr.trunc(),
                gateway: subnet.gateway,
                dns_servers: subnet.dns_servers,
                managed: true,
            });
        }
    }

    fn space_named(&mut self, name: String) -> Id {
        if let Some(space) = self.spaces.iter().find(|space| space.name == name) {
            return space.id;
        }
        let id = self.next_id("space");
        self.spaces.push(Space { id, name, description: String::new() });
        id
    }

    fn load_machine(&mut self, seed: seed::Machine, now: Timestamp) {
        let mut disks: Vec<Disk> = Vec::new();
        for disk in seed.disks {
            let id = self.next_id("blockdevice");
            let partitions = if disks.is_empty() { self.default_layout(disk.size) } else { Vec::new() };
            disks.push(Disk { id, name: disk.name, size: disk.size, tags: disk.tags, partitions });
        }
        let mut interfaces: Vec<Interface> = Vec::new();
        for interface in seed.interfaces {
            let id = self.next_id("interface");
            let mut links = Vec::new();
            let mut vlan = None;
            for link in interface.links {
                let Some(subnet) = self.find_subnet(&link.subnet) else { continue };
                vlan = vlan.or(Some(subnet.vlan));
                let subnet = subnet.id;
                let id = self.next_id("address");
                links.push(Link { id, subnet, mode: link.mode, ip: None, created: now, updated: now });
            }
            interfaces.push(Interface { id, name: interface.name, mac: interface.mac_address, vlan, links });
        }
        let status = match seed.status {
            seed::Status::New => Status::New,
            seed::Status::Ready => Status::Ready,
            seed::Status::Broken => Status::Broken,
        };
        let named = |names: &[(Id, &str)], wanted: Option<&str>, default| {
            wanted.and_then(|wanted| names.iter().find(|(_, name)| *name == wanted)).map_or(default, |(id, _)| *id)
        };
        let domains: Vec<_> = self.domains.iter().map(|d| (d.id, d.name.as_str())).collect();
        let zones: Vec<_> = self.zones.iter().map(|z| (z.id, z.name.as_str())).collect();
        let pools: Vec<_> = self.pools.iter().map(|p| (p.id, p.name.as_str())).collect();
        let domain = named(&domains, seed.domain.as_deref(), self.default_domain);
        let zone = named(&zones, seed.zone.as_deref(), 1);
        let pool = named(&pools, seed.pool.as_deref(), 0);
        let tags = self.tags.iter().filter(|tag| seed.tags.contains(&tag.name)).map(|tag| tag.id).collect();
        self.note_controller(seed.power_parameters.get("power_address"), now);
        let id = self.next_id("node");
        let system_id = seed.system_id.unwrap_or_else(|| self.new_system_id());
        let (commissioning_result, testing_result) = (self.next_id("scriptset"), self.next_id("scriptset"));
        self.machines.push(Machine {
            id,
            system_id: SystemId(system_id),
            hostname: seed.hostname,
            domain,
            architecture: seed.architecture,
            cpu_count: seed.cpu_count,
            memory: seed.memory,
            disks,
            interfaces,
            numa: (seed.cpu_count, seed.memory),
            zone,
            pool,
            tags,
            power: if seed.power_type == PowerType::Manual { Power::Unknown } else { Power::Off },
            power_type: seed.power_type,
            power_parameters: seed.power_parameters,
            status,
            previous_status: status,
            status_message: None,
            error_description: String::new(),
            description: seed.description,
            owner: None,
            agent_name: String::new(),
            owner_data: BTreeMap::new(),
            locked: false,
            osystem: String::new(),
            distro_series: String::new(),
            hwe_kernel: None,
            min_hwe_kernel: None,
            swap_size: None,
            netboot: true,
            commissioning_result,
            testing_result,
            installation_result: None,
            commissioning_status: 2,
            testing_status: 2,
            user_data: None,
            key: new_key(),
            layout: None,
            epoch: 0,
            allocations: 0,
            deploys: 0,
            releases: 0,
        });
    }

    /// The flat layout: an EFI partition and one for the rest.
    pub(crate) fn default_layout(&mut self, size: u64) -> Vec<Partition> {
        let mut partition = |size, bootable, fstype, label, mount_point| Partition {
            id: self.next_id("partition"),
            uuid: uuid::Uuid::new_v4().to_string(),
            size,
            bootable,
            fstype,
            label,
            fs_uuid: uuid::Uuid::new_v4().to_string(),
            mount_point,
        };
        vec![
            partition(EFI_PARTITION, true, "fat32", "efi", "/boot/efi"),
            partition(usable(size, EFI_PARTITION), false, "ext4", "root", "/"),
        ]
    }

    /// A management controller's address is an address MAAS knows.
    fn note_controller(&mut self, power_address: Option<&String>, now: Timestamp) {
        let Some(text) = power_address else { return };
        let host = text.rsplit_once('@').map_or(text.as_str(), |(_, host)| host);
        let Ok(ip) = host.split('/').next().unwrap_or(host).parse::<IpAddr>() else { return };
        if self.addresses.iter().any(|address| address.ip == ip) {
            return;
        }
        let subnet = self.subnet_of(ip).map(|subnet| subnet.id);
        let id = self.next_id("address");
        let (created, updated) = (now, now);
        self.addresses.push(Address { id, ip, alloc_type: 1, owner: None, subnet, mac: None, created, updated });
    }

    /// Six characters that no machine has yet, drawn from those that cannot be mistaken for each other.
    pub(crate) fn new_system_id(&self) -> String {
        const ALPHABET: &[u8] = b"abcdefghkmnpqrstwxy34678";
        loop {
            let id: String =
                (0..6).map(|_| char::from(ALPHABET[rand::rng().random_range(0..ALPHABET.len())])).collect();
            if self.machine(&id).is_none() {
                return id;
            }
        }
    }
}

/// A fresh key for the metadata service.
pub(crate) fn new_key() -> MetadataKey {
    let text = |length: usize| -> String {
        let mut rng = rand::rng();
        (0..length).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
    };
    MetadataKey { consumer: text(18), token: text(18), secret: SecretString::from(text(32)) }
}
