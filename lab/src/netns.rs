//! The networks of a real site: three network namespaces of this computer, and nothing outside of them.
//!
//! ```text
//!   <site>: machines, MAAS 10.77.0.2          <edge>: 10.77.0.1 | 198.51.100.2           <plane>: 198.51.100.10
//!   br0 ── taps of machines
//!    └──── up0 ─────────────────────────────── site0   out0 ──────────────────────────── out0
//! ```
//!
//! The edge is router and firewall, DHCP and the site's own DNS; in the `proxy` variant it forwards nothing and only its
//! HTTP proxy leads out. Traffic never leaves the computer.

mod dnsmasq;
mod etc;
mod firewall;
mod leftovers;
mod lock;
mod squid;

pub use dnsmasq::Dnsmasq;
pub use firewall::{heal, partition};
pub use leftovers::{pids, sweep};
pub use lock::Lock;
pub use squid::Squid;

use crate::{
    control::{Namespaces, WayOut},
    host::{HostError, Run, Tool},
};
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// The site's subnet.
pub const SUBNET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 77, 0, 0), 24);
/// The edge, seen from the site: default gateway, DHCP, the site's own DNS, and the proxy.
pub const EDGE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// MAAS with its DNS.
pub const MAAS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Where nobody answers: what a wrong delegation names.
pub const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// The edge, seen from the plane: where the site's connections seem to come from.
pub const EDGE_OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The plane. The range is one for documentation: it is nobody's.
pub const PLANE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The plane's name.
pub const PLANE_NAME: &str = "plane.ferrogate.test";
/// The proxy's port.
pub const PROXY_PORT: u16 = 3128;
/// The bridge that taps of machines are put on.
pub const BRIDGE: &str = "br0";
/// The domain that MAAS answers for.
pub const DOMAIN: &str = "maas";
/// Longest name of a site.
const MAX_NAME: usize = 20;

/// What every site needs, whatever its machines are.
pub const TOOLS: [Tool; 6] = [Tool::Ip, Tool::Nft, Tool::Sysctl, Tool::Dnsmasq, Tool::Setpriv, Tool::SshKeygen];
/// What the `proxy` variant needs beside.
pub const PROXY_TOOLS: [Tool; 2] = [Tool::Squid, Tool::Openssl];

/// The namespaces of a site.
///
/// # Errors
/// [`HostError::Name`] where the name could not be part of file names and namespaces.
pub fn namespaces(site: &str) -> Result<Namespaces, HostError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if site.is_empty() || site.len() > MAX_NAME || !site.chars().all(good) || site.starts_with('-') {
        return Err(HostError::Name { name: site.to_owned() });
    }
    let name = |part: &str| format!("fg-{site}-{part}");
    Ok(Namespaces { site: name("site"), edge: name("edge"), plane: name("plane") })
}

/// All three, in the order in which they are made.
pub(crate) fn each(names: &Namespaces) -> [&str; 3] {
    [&names.site, &names.edge, &names.plane]
}

async fn ip(args: &str) -> Result<(), HostError> {
    Run::new(Tool::Ip, args.split_whitespace()).done().await
}

/// Makes namespaces, links, addresses and rules. What an earlier run left is to be swept away first ([`sweep`]).
///
/// # Errors
/// A command failed. What was made until then stays until it is swept away.
pub async fn create(names: &Namespaces, way_out: WayOut) -> Result<(), HostError> {
    let Namespaces { site, edge, plane } = names;
    etc::write(names)?;
    for name in each(names) {
        ip(&format!("netns add {name}")).await?;
        ip(&format!("-n {name} link set lo up")).await?;
    }
    // Without the delay a port forwards at once; the default keeps a booting machine's first 15 s silent.
    ip(&format!("-n {site} link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0")).await?;
    ip(&format!("-n {site} link add up0 type veth peer name site0 netns {edge}")).await?;
    ip(&format!("-n {edge} link add out0 type veth peer name out0 netns {plane}")).await?;
    ip(&format!("-n {site} link set up0 master {BRIDGE} up")).await?;
    ip(&format!("-n {site} addr add {MAAS}/24 dev {BRIDGE}")).await?;
    ip(&format!("-n {site} link set {BRIDGE} up")).await?;
    ip(&format!("-n {edge} addr add {EDGE}/24 dev site0")).await?;
    ip(&format!("-n {edge} link set site0 up")).await?;
    ip(&format!("-n {edge} addr add {EDGE_OUTSIDE}/24 dev out0")).await?;
    ip(&format!("-n {edge} link set out0 up")).await?;
    ip(&format!("-n {plane} addr add {PLANE}/24 dev out0")).await?;
    ip(&format!("-n {plane} link set out0 up")).await?;
    ip(&format!("-n {site} route add default via {EDGE}")).await?;
    // The plane has a way to the site's addresses, so that it is the firewall that keeps it out.
    ip(&format!("-n {plane} route add default via {EDGE_OUTSIDE}")).await?;
    let forward = u8::from(way_out == WayOut::Nat);
    Run::within(edge, "sysctl", ["-qw", &format!("net.ipv4.ip_forward={forward}")]).done().await?;
    firewall::load(edge, way_out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sites_name_is_part_of_its_namespaces_names() {
        let names = namespaces("lab").unwrap();
        assert_eq!(each(&names), ["fg-lab-site", "fg-lab-edge", "fg-lab-plane"]);
        for wrong in ["", "Lab", "a b", "../x", "-x", "a-name-that-is-too-long"] {
            assert!(namespaces(wrong).is_err(), "{wrong}");
        }
    }
}
