//! A site of real machines.

use super::types::{Disk, Image, Machine, Pool, Seed};
use ipnet::IpNet;
use secrecy::SecretString;

/// The interface's name in every machine.
const INTERFACE: &str = "vec0";
/// The pool of the one machine whose disk is too small for anything.
pub const SMALL_POOL: &str = "small";
const GIGABYTE: u64 = 1_000_000_000;

impl Seed {
    /// The demo's eight machines as they are when a kernel really boots on them, and a ninth, `tiny-wren` in the resource
    /// pool [`SMALL_POOL`], whose disk is too small for a gateway. Only the administrator has an API key: the one given.
    #[must_use]
    pub fn real(subnet: IpNet, admin_key: SecretString, images: &[&str]) -> Self {
        let mut seed = Self::demo(subnet);
        seed.maas_name = "lab".into();
        seed.users.truncate(1);
        seed.users[0].api_keys = vec![admin_key];
        seed.images = images
            .iter()
            .map(|name| Image { name: (*name).into(), architecture: "amd64".into(), kernels: vec!["ga-24.04".into()] })
            .collect();
        seed.pools.push(Pool { name: SMALL_POOL.into(), description: "a machine that is too small".into() });
        let last = seed.machines.last().cloned();
        seed.machines.extend(last.map(|machine| Machine {
            hostname: "tiny-wren".into(),
            cpu_count: 4,
            memory: 8192,
            disks: vec![Disk { name: "sda".into(), size: 20 * GIGABYTE, tags: Vec::new() }],
            pool: Some(SMALL_POOL.into()),
            zone: Some("default".into()),
            ..machine
        }));
        for (machine, n) in seed.machines.iter_mut().zip(1u8..) {
            for interface in &mut machine.interfaces {
                interface.name = INTERFACE.into();
                interface.mac_address = format!("02:77:00:00:00:{n:02x}");
            }
            machine.power_parameters.insert("power_id".into(), machine.hostname.clone());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_macs_of_their_own_and_only_the_given_key_signs_in() {
        let seed = Seed::real("10.77.0.0/24".parse().unwrap(), "a:b:c".to_owned().into(), &["custom/debian-13"]);
        let macs: Vec<_> = seed.machines.iter().map(|machine| machine.interfaces[0].mac_address.clone()).collect();
        assert_eq!((macs.len(), macs[0].as_str(), macs[8].as_str()), (9, "02:77:00:00:00:01", "02:77:00:00:00:09"));
        assert_eq!(seed.users.iter().map(|user| user.api_keys.len()).sum::<usize>(), 1);
        assert_eq!(seed.images[0].name, "custom/debian-13");
    }
}
