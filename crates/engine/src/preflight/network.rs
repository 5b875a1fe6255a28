//! Addresses, ranges and names.

use super::{
    Check, Resolver,
    machines::{Chosen, How, hint},
    placement::Placement,
};
use ferrogate_maas::{MachineFilter, types::Subnet};
use ferrogate_model::{address, fault};

pub(super) const ADDRESSES: &str = "Free addresses";
pub(super) const RANGES: &str = "Address ranges";
pub(super) const NAMES: &str = "Names of machines";

/// How many names are tried before the resolver is believed not to know them.
const NAMES_TRIED: usize = 3;

/// The subnets of the starting interfaces, each with the number of machines that still need an address in it.
fn needs(chosen: &[Chosen]) -> Vec<(&Subnet, u128)> {
    let mut needs: Vec<(&Subnet, u128)> = Vec::new();
    for one in chosen.iter().filter(|one| one.record.ip_addresses.is_empty()) {
        let Some(subnet) = one.record.subnets().into_iter().next() else { continue };
        match needs.iter_mut().find(|(known, _)| known.id == subnet.id) {
            Some((_, count)) => *count += 1,
            None => needs.push((subnet, 1)),
        }
    }
    needs
}

/// Whether MAAS has an address for every machine, and one more for the API of several control-plane nodes.
pub(super) async fn addresses(placement: &Placement<'_>, chosen: &[Chosen]) -> Check {
    const ID: &str = "addresses";
    let mut needs = needs(chosen);
    if needs.is_empty() {
        let held = chosen.iter().any(|one| one.how != How::Free);
        let seen = if held { "every machine has its address" } else { "no machine to count for" };
        return if held { Check::pass(ID, ADDRESSES, seen) } else { Check::skip(ID, ADDRESSES, seen) };
    }
    if placement.spec.control_plane.count > 1 {
        needs[0].1 += 1;
    }
    let mut seen = Vec::new();
    let mut short = false;
    for (subnet, count) in needs {
        match placement.maas.subnet_statistics(subnet.id).await {
            Ok(statistics) => {
                short |= statistics.num_available < count;
                let free = statistics.num_available;
                seen.push(format!("{} ({}): {free} free, {count} needed", subnet.name, subnet.cidr));
            }
            Err(error) => return Check::fail(ID, ADDRESSES, fault::chain(&error), hint(&error)),
        }
    }
    let seen = seen.join("; ");
    if short {
        Check::fail(
            ID,
            ADDRESSES,
            seen,
            "free addresses in the subnet, or shorten its reserved and dynamic ranges in MAAS",
        )
    } else {
        Check::pass(ID, ADDRESSES, seen)
    }
}

/// Whether pods, services and the machines' subnets keep out of each other's way.
pub(super) fn ranges(placement: &Placement<'_>, chosen: &[Chosen]) -> Check {
    const ID: &str = "cidrs";
    let mut subnets: Vec<(String, ipnet::IpNet)> = Vec::new();
    for subnet in chosen.iter().flat_map(|one| one.record.subnets()) {
        if !subnets.iter().any(|(_, cidr)| *cidr == subnet.cidr) {
            subnets.push((subnet.name.clone(), subnet.cidr));
        }
    }
    let (pods, services) = (placement.spec.pod_cidr, placement.spec.service_cidr);
    let overlaps = address::find_overlaps(pods, services, &subnets);
    if overlaps.is_empty() {
        let machines: Vec<String> = subnets.iter().map(|(name, cidr)| format!("{name} {cidr}")).collect();
        let machines = if machines.is_empty() { String::new() } else { format!(", machines {}", machines.join(", ")) };
        return Check::pass(ID, RANGES, format!("pods {pods}, services {services}{machines}"));
    }
    let seen = overlaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Check::fail(ID, RANGES, seen, "choose a pod CIDR and a service range that nothing else in the site uses")
}

/// Whether this host resolves the names of machines that MAAS has deployed.
pub(super) async fn names(placement: &Placement<'_>, resolver: Option<&dyn Resolver>) -> Check {
    const ID: &str = "dns";
    let Some(resolver) = resolver else { return Check::skip(ID, NAMES, "no resolver was given to try") };
    let domain = &placement.spec.domain;
    let filter =
        MachineFilter { domain: Some(domain.clone()), status: Some("deployed".into()), ..MachineFilter::default() };
    let mut deployed = match placement.maas.machines(&filter).await {
        Ok(machines) => machines,
        Err(error) => return Check::fail(ID, NAMES, fault::chain(&error), hint(&error)),
    };
    deployed.retain(|machine| machine.domain.name == *domain && !machine.ip_addresses.is_empty());
    if deployed.is_empty() {
        return Check::skip(ID, NAMES, format!("no machine is deployed in `{domain}` yet, so there is no name to try"));
    }
    let mut wrong = Vec::new();
    for machine in deployed.iter().take(NAMES_TRIED) {
        let expected = machine.ip_addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match resolver.lookup(&machine.fqdn).await {
            Ok(found) if found.iter().any(|address| machine.ip_addresses.contains(address)) => {
                return Check::pass(ID, NAMES, format!("{} is {}", machine.fqdn, found[0]));
            }
            Ok(found) if found.is_empty() => {
                wrong.push(format!("this host's resolver knows no {} (MAAS: {expected})", machine.fqdn));
            }
            Ok(found) => {
                wrong.push(format!("this host's resolver says {} is {} (MAAS: {expected})", machine.fqdn, found[0]));
            }
            Err(why) => wrong.push(format!("{} could not be looked up: {why}", machine.fqdn)),
        }
    }
    let fix = format!(
        "delegate the domain `{domain}` to MAAS in the DNS server this host uses, or have this host use MAAS's DNS server"
    );
    Check::fail(ID, NAMES, wrong.join("; "), fix)
}
