//! What the tests need beside Rust. Debian packages are installed where we are root, else named.

use crate::lab::build::{Machines, machine};
use anyhow::{Result, bail};
use ferrogate_image::needs::{has_program, has_system_program, install, is_root};
use std::path::Path;

/// What there is for the tests to run against.
pub(crate) struct Found {
    /// A PostgreSQL server can be started.
    pub(crate) postgres: bool,
    /// The real `kubectl` is there.
    pub(crate) kubectl: bool,
    /// Network namespaces, firewall, DHCP, DNS and proxy of a real site.
    pub(crate) networks: bool,
    /// Real machines, or why there are none.
    pub(crate) machines: Result<Machines, String>,
}

impl Found {
    /// Why the tests of a tier cannot run; `None` where they can.
    pub(crate) fn missing(&self, tier: &str) -> Option<&str> {
        let installed = |there| if there { None } else { Some("not installed") };
        match tier {
            "postgresql" => installed(self.postgres),
            "kubectl" => installed(self.kubectl),
            "networks" if self.networks => None,
            "networks" => Some("not root, or not installed"),
            // That there is a device says nothing; a test that finds no kernel running on it leaves itself out.
            "kvm" => Some("no kernel boots with it on this computer"),
            _ => self.machines.as_ref().err().map(String::as_str),
        }
    }
}

/// The proxy's package.
const PROXY: &str = "squid-openssl";
/// How to tell that a package of the real networks is there, and its name.
const NETWORKS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
    ("dnsmasq", "dnsmasq-base"),
    ("setpriv", "util-linux"),
    ("ssh-keygen", "openssh-client"),
    ("squid", PROXY),
    ("openssl", "openssl"),
];
/// The packages of these that are not there.
fn absent(packages: &[(&str, &'static str)]) -> Vec<&'static str> {
    packages.iter().filter(|(program, _)| !has_system_program(program)).map(|(_, package)| *package).collect()
}

/// Real machines need root, network cards of our own, and what Debian has for them.
fn machines(may_install: bool) -> Result<Machines, String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(format!("User Mode Linux runs on x86-64, this is {}", std::env::consts::ARCH));
    }
    if !is_root() {
        return Err("not root".into());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err("there is no /dev/net/tun".into());
    }
    let missing = absent(&NETWORKS);
    if !missing.is_empty() {
        return Err(format!("apt-get install {}", missing.join(" ")));
    }
    // Debian's own User Mode Linux ends with its first program on processors with AMX, so it is our kernel that boots.
    machine(may_install).map_err(|error| format!("{error:#}"))
}

fn has_postgres() -> bool {
    std::fs::read_dir("/usr/lib/postgresql")
        .is_ok_and(|versions| versions.flatten().any(|version| version.path().join("bin/initdb").exists()))
}

/// Looks for what the tests use; installs what is missing where that is possible.
///
/// # Errors
/// When root could not install what is missing: a silent gap in the tests would look like success.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn prepare(may_install: bool) -> Result<Found> {
    let mut missing = Vec::new();
    if !has_postgres() {
        missing.push("postgresql");
    }
    if !has_program("kubectl") {
        missing.push("kubernetes-client");
    }
    if is_root() {
        missing.extend(absent(&NETWORKS));
        if leave_proxy_out(&mut missing) {
            eprintln!(
                "tests of real networks and machines are left out: they need `{PROXY}`, which starts a proxy on port 3128 \
                 (apt-get install {PROXY} && systemctl disable --now squid)"
            );
        }
    }
    if !missing.is_empty() {
        let list = missing.join(" ");
        if may_install && is_root() && Path::new("/usr/bin/apt-get").exists() {
            eprintln!("installing Debian packages for the tests: {list}");
            if !install(&missing) {
                bail!(
                    "could not install {list}; install them by hand, or run with --no-install to leave their tests out"
                );
            }
        } else {
            eprintln!("tests that need these Debian packages are left out: {list} (as root: apt-get install {list})");
        }
    }
    let networks = is_root() && absent(&NETWORKS).is_empty();
    Ok(Found { postgres: has_postgres(), kubectl: has_program("kubectl"), networks, machines: machines(may_install) })
}

/// The proxy's package starts a proxy for everybody. Where nothing starts services, as in a container, that means nothing;
/// elsewhere a person decides: then it is not among `missing` any more, and the answer is true.
fn leave_proxy_out(missing: &mut Vec<&'static str>) -> bool {
    let leave = missing.contains(&PROXY) && Path::new("/run/systemd/system").exists();
    if leave {
        missing.retain(|package| *package != PROXY);
    }
    leave
}

/// Installs what the lab's sites are made with, where that is possible. What is missing afterwards the lab itself names,
/// before it begins anything.
///
/// # Errors
/// When apt fails.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn prepare_lab(with_proxy: bool, with_kubectl: bool) -> Result<()> {
    let mut missing = absent(&NETWORKS);
    if !with_proxy {
        missing.retain(|package| *package != PROXY);
    }
    leave_proxy_out(&mut missing);
    if with_kubectl && !has_program("kubectl") {
        missing.push("kubernetes-client");
    }
    if missing.is_empty() || !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return Ok(());
    }
    let list = missing.join(" ");
    eprintln!("installing Debian packages for the lab: {list}");
    if !install(&missing) {
        bail!("could not install {list}; install them by hand, then start again");
    }
    Ok(())
}
