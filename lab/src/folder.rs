//! Where the files of a real site are.

use std::path::{Path, PathBuf};

/// Parent of all sites' folders.
pub const RUN_FOLDER: &str = "/run/ferrogate-lab";
/// Parent of what is too large for a folder that may be in memory.
pub const DISK_FOLDER: &str = "/var/lib/ferrogate-lab";

/// The files of one site. Everything in it is gone with the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    root: PathBuf,
    disks: PathBuf,
}

impl Folder {
    /// Of the site of this name.
    #[must_use]
    pub fn new(site: &str) -> Self {
        Self { root: Path::new(RUN_FOLDER).join(site), disks: Path::new(DISK_FOLDER).join(site) }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The machines' disks, and where their sockets are.
    #[must_use]
    pub fn disks(&self) -> &Path {
        &self.disks
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The daemon's log.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// One folder a machine.
    #[must_use]
    pub fn machines(&self) -> PathBuf {
        self.root.join("machines")
    }

    /// A machine's console.
    #[must_use]
    pub fn console(&self, hostname: &str) -> PathBuf {
        self.machines().join(hostname).join("console.log")
    }

    /// The plane's data and log.
    #[must_use]
    pub fn plane(&self) -> PathBuf {
        self.root.join("plane")
    }

    /// What the plane says.
    #[must_use]
    pub fn plane_log(&self) -> PathBuf {
        self.plane().join("plane.log")
    }

    /// The plane's CA, PEM.
    #[must_use]
    pub fn plane_ca(&self) -> PathBuf {
        self.plane().join("ca.pem")
    }

    /// The saved sign-in for `ferrogate` (`FERROGATE_CONFIG`).
    #[must_use]
    pub fn cli_config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Where `ferrogate install` keeps its state, when it is run by way of the lab.
    #[must_use]
    pub fn installer(&self) -> PathBuf {
        self.root.join("installer")
    }

    /// API key of MAAS's administrator.
    #[must_use]
    pub fn maas_api_key(&self) -> PathBuf {
        self.root.join("maas-api-key")
    }

    /// Password of the plane's first admin.
    #[must_use]
    pub fn admin_password(&self) -> PathBuf {
        self.root.join("admin-password")
    }

    /// Private key for the machines.
    #[must_use]
    pub fn ssh_key(&self) -> PathBuf {
        self.root.join("ssh/id_ed25519")
    }

    /// Public key for the machines.
    #[must_use]
    pub fn ssh_public_key(&self) -> PathBuf {
        self.root.join("ssh/id_ed25519.pub")
    }

    /// The proxy's address with user name and password.
    #[must_use]
    pub fn proxy_url(&self) -> PathBuf {
        self.root.join("proxy-url")
    }

    /// Machines' addresses for DHCP: one file a machine.
    #[must_use]
    pub fn dhcp_hosts(&self) -> PathBuf {
        self.root.join("dhcp-hosts")
    }

    /// Settings, logs and state of DHCP, DNS and proxy.
    #[must_use]
    pub fn edge(&self) -> PathBuf {
        self.root.join("edge")
    }
}
