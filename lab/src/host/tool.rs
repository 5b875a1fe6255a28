//! The programs of this computer that a real site is made with.

use super::HostError;
use std::path::{Path, PathBuf};

/// Where programs of the system are although root's `PATH` may not say so.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tool {
    /// Namespaces, links, addresses.
    Ip,
    /// Firewall rules.
    Nft,
    /// Kernel settings of a namespace.
    Sysctl,
    /// DHCP and DNS.
    Dnsmasq,
    /// The HTTP proxy.
    Squid,
    /// Hashes the proxy's password.
    Openssl,
    /// Makes children die with us.
    Setpriv,
    /// Makes the key pair for machines.
    SshKeygen,
    /// Opens a session on a machine.
    Ssh,
    /// Runs virtual machines.
    Qemu,
}

impl Tool {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Nft => "nft",
            Self::Sysctl => "sysctl",
            Self::Dnsmasq => "dnsmasq",
            Self::Squid => "squid",
            Self::Openssl => "openssl",
            Self::Setpriv => "setpriv",
            Self::SshKeygen => "ssh-keygen",
            Self::Ssh => "ssh",
            Self::Qemu => "qemu-system-x86_64",
        }
    }

    /// The Debian package it comes in.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Ip => "iproute2",
            Self::Nft => "nftables",
            Self::Sysctl => "procps",
            Self::Dnsmasq => "dnsmasq-base",
            Self::Squid => "squid-openssl",
            Self::Openssl => "openssl",
            Self::Setpriv => "util-linux",
            Self::SshKeygen | Self::Ssh => "openssh-client",
            Self::Qemu => "qemu-system-x86",
        }
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`HostError::Missing`].
    pub fn find(self) -> Result<PathBuf, HostError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
            .map(|folder| folder.join(self.name()))
            .find(|file| is_program(file))
            .ok_or_else(|| HostError::Missing { tools: vec![self] })
    }

    /// Checks that all of these are there, so that one message names everything that is to be installed.
    ///
    /// # Errors
    /// [`HostError::Missing`].
    pub fn need(tools: &[Self]) -> Result<(), HostError> {
        let missing: Vec<Self> = tools.iter().copied().filter(|tool| tool.find().is_err()).collect();
        if missing.is_empty() { Ok(()) } else { Err(HostError::Missing { tools: missing }) }
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
