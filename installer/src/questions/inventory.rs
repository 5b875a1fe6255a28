//! What MAAS has, as far as the questions need it: domains, zones, pools and the Ready machines, so that every list shows
//! how many machines stand behind an entry.

use ipnet::IpNet;

/// Fewest processor cores of a gateway node (specification 2.1).
pub const MIN_CPU: u32 = 4;
/// Least memory of a gateway node in MiB (specification 2.1).
pub const MIN_MEMORY_MIB: u64 = 8192;
/// Least storage of a gateway node in GiB (specification 2.1).
pub const MIN_DISK_GIB: u64 = 60;

/// A machine that MAAS calls Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyMachine {
    /// Host name.
    pub hostname: String,
    /// Availability zone.
    pub zone: String,
    /// Resource pool.
    pub pool: String,
    /// Processor cores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Storage in GiB.
    pub disk_gib: u64,
}

impl ReadyMachine {
    /// Whether it is large enough for a gateway node.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.cpu >= MIN_CPU && self.memory_mib >= MIN_MEMORY_MIB && self.disk_gib >= MIN_DISK_GIB
    }
}

/// What MAAS has, read live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Names of the domains, the default one first.
    pub domains: Vec<String>,
    /// Names of the zones.
    pub zones: Vec<String>,
    /// Names of the pools.
    pub pools: Vec<String>,
    /// Every Ready machine that this key may see.
    pub ready: Vec<ReadyMachine>,
    /// Names and ranges of the subnets.
    pub subnets: Vec<(String, IpNet)>,
}

/// How many machines stand behind an entry of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ready and large enough.
    pub fit: usize,
    /// Ready.
    pub ready: usize,
}

impl Count {
    /// The count as it stands beside an entry of a list.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self { ready: 0, .. } => "no Ready machine".into(),
            Self { fit: 0, ready } => format!("{ready} Ready, none is large enough"),
            Self { fit, ready } if fit == ready => format!("{fit} Ready"),
            Self { fit, ready } => format!("{fit} of {ready} Ready fit"),
        }
    }
}

impl Inventory {
    /// The Ready machines of a zone, of a pool, or of both.
    #[must_use]
    pub fn count(&self, zone: Option<&str>, pool: Option<&str>) -> Count {
        let mut count = Count::default();
        for machine in &self.ready {
            if zone.is_none_or(|zone| machine.zone == zone) && pool.is_none_or(|pool| machine.pool == pool) {
                count.ready += 1;
                count.fit += usize::from(machine.fits());
            }
        }
        count
    }

    /// The zone and pool with the most machines that fit, for a helpful word where the chosen ones have too few.
    #[must_use]
    pub fn best(&self) -> Option<(&str, &str, Count)> {
        let pairs =
            self.zones.iter().flat_map(|zone| self.pools.iter().map(move |pool| (zone.as_str(), pool.as_str())));
        pairs
            .map(|(zone, pool)| (zone, pool, self.count(Some(zone), Some(pool))))
            .max_by_key(|(_, _, count)| count.fit)
            .filter(|(_, _, count)| count.fit > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_how_many_machines_are_large_enough() {
        for (fit, ready, text) in [
            (0, 0, "no Ready machine"),
            (0, 2, "2 Ready, none is large enough"),
            (2, 2, "2 Ready"),
            (1, 3, "1 of 3 Ready fit"),
        ] {
            assert_eq!(Count { fit, ready }.describe(), text);
        }
    }

    #[test]
    fn one_byte_less_does_not_fit() {
        let machine = ReadyMachine {
            hostname: "n".into(),
            zone: "z".into(),
            pool: "p".into(),
            cpu: MIN_CPU,
            memory_mib: MIN_MEMORY_MIB,
            disk_gib: MIN_DISK_GIB,
        };
        assert!(machine.fits());
        assert!(!ReadyMachine { cpu: MIN_CPU - 1, ..machine.clone() }.fits());
        assert!(!ReadyMachine { memory_mib: MIN_MEMORY_MIB - 1, ..machine.clone() }.fits());
        assert!(!ReadyMachine { disk_gib: MIN_DISK_GIB - 1, ..machine }.fits());
    }
}
