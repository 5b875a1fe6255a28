//! Arithmetic on address ranges, and the defaults of the specification.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};

/// Pods get their addresses from here unless told otherwise (specification 2.3).
pub const DEFAULT_POD_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16);
/// Services get their addresses from here unless told otherwise (the distribution's own default).
pub const DEFAULT_SERVICE_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 43, 0, 0), 16);

/// Two ranges that must not share an address, and do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left_name} {left} overlaps {right_name} {right}")]
pub struct Overlap {
    /// What the first range is for, such as `pod CIDR`.
    pub left_name: String,
    /// The first range.
    pub left: IpNet,
    /// What the second range is for, such as ``MAAS subnet `lab` ``.
    pub right_name: String,
    /// The second range.
    pub right: IpNet,
}

/// Whether two ranges share an address.
#[must_use]
pub fn overlaps(left: &IpNet, right: &IpNet) -> bool {
    left.contains(right) || right.contains(left)
}

/// Checks that pods, services and the machines' subnets keep out of each other's way (specification 2.3).
///
/// Returns every clash, not only the first, so that one correction is enough.
#[must_use]
pub fn find_overlaps(pods: IpNet, services: IpNet, subnets: &[(String, IpNet)]) -> Vec<Overlap> {
    let mut ranges = vec![("pod CIDR".to_owned(), pods), ("service IP range".to_owned(), services)];
    ranges.extend(subnets.iter().map(|(name, net)| (format!("MAAS subnet `{name}`"), *net)));
    let mut found = Vec::new();
    // Only the first two are ours to change; subnets of MAAS that overlap each other are MAAS's affair.
    for left in 0..2 {
        for right in left + 1..ranges.len() {
            if overlaps(&ranges[left].1, &ranges[right].1) {
                found.push(Overlap {
                    left_name: ranges[left].0.clone(),
                    left: ranges[left].1,
                    right_name: ranges[right].0.clone(),
                    right: ranges[right].1,
                });
            }
        }
    }
    found
}

/// The `n`th address of a range, counted from the network address; `None` past its end.
#[must_use]
pub fn nth(net: &IpNet, n: u32) -> Option<IpAddr> {
    let address = match net.network() {
        IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from(u32::from(network).checked_add(n)?)),
        IpAddr::V6(network) => IpAddr::V6(std::net::Ipv6Addr::from(u128::from(network).checked_add(u128::from(n))?)),
    };
    net.contains(&address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn every_overlap_is_named() {
        let subnets = [("lab".to_owned(), net("192.168.4.0/24")), ("storage".to_owned(), net("10.43.7.0/24"))];
        let found = find_overlaps(net("192.168.0.0/16"), net("10.43.0.0/16"), &subnets);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].to_string(), "pod CIDR 192.168.0.0/16 overlaps MAAS subnet `lab` 192.168.4.0/24");
        assert_eq!(found[1].to_string(), "service IP range 10.43.0.0/16 overlaps MAAS subnet `storage` 10.43.7.0/24");
    }

    #[test]
    fn the_defaults_overlap_nothing_of_each_other() {
        assert!(find_overlaps(DEFAULT_POD_CIDR.into(), DEFAULT_SERVICE_CIDR.into(), &[]).is_empty());
    }

    #[test]
    fn the_nth_address_stays_inside() {
        assert_eq!(nth(&net("10.40.0.0/30"), 1), Some("10.40.0.1".parse().unwrap()));
        assert_eq!(nth(&net("10.40.0.0/30"), 4), None);
    }
}
