//! How a machine becomes a member of a cluster of upstream Kubernetes, by kubeadm.

mod artifacts;
mod base;
mod gateway;
mod kubeadm;

pub use kubeadm::Kubeadm;

use crate::{cloud_config::CloudConfig, desired::Desired};
use ferrogate_model::{Explain, Fault, Name, Retry, cluster::PoolSpec, release::Release};
use secrecy::SecretString;
use std::net::IpAddr;

/// Label on every node of ours that names its machine in MAAS. Nodes without it are not ours to remove.
pub const MACHINE_LABEL: &str = "ferrogate.io/machine";
/// Label on every node of ours that names its pool.
pub const POOL_LABEL: &str = "ferrogate.io/pool";
/// A name that every API server's certificate has, whatever the address it is reached at.
pub const API_SERVER_NAME: &str = "kubernetes";
/// TCP port of the Kubernetes API.
pub const API_PORT: u16 = 6443;

/// What is known of a machine before it is installed.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// MAAS's id of it.
    pub system_id: &'a str,
    /// Its name in Kubernetes.
    pub name: &'a Name,
    /// Its full name in DNS.
    pub fqdn: &'a str,
    /// Its availability zone.
    pub zone: &'a str,
    /// Its architecture as MAAS writes it, such as `amd64/generic`.
    pub architecture: &'a str,
    /// Its address, where MAAS gives it a fixed one; otherwise the node finds its own by its default route.
    pub address: Option<IpAddr>,
    /// The pool it belongs to.
    pub pool: &'a PoolSpec,
}

/// What a machine is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server that starts the cluster.
    FirstServer,
    /// A further server, and the address of one that it joins.
    Server(IpAddr),
    /// An agent, and the address of the server that it joins.
    Agent(IpAddr),
}

/// User-data that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The release has no files for the machine's processor.
    #[error("release {release} has nothing for {machine}'s architecture `{architecture}`; it has {supported}")]
    Architecture {
        /// The release's version.
        release: String,
        /// The machine.
        machine: String,
        /// Its architecture.
        architecture: String,
        /// What the release has.
        supported: String,
    },
    /// The stored secrets of the cluster cannot be used.
    #[error(transparent)]
    Materials(#[from] crate::materials::MaterialsError),
    /// A gateway was asked for without what a gateway needs.
    #[error("the gateway node {machine} has no {what}")]
    Gateway {
        /// The machine.
        machine: String,
        /// What is missing.
        what: &'static str,
    },
    /// An address to download from cannot be made.
    #[error("`{path}` below {base} is not an address to download from")]
    Address {
        /// What the paths are below.
        base: String,
        /// The path.
        path: String,
    },
    /// More than cloud-init is handed.
    #[error("the user-data of {machine} has {bytes} bytes; no more than {limit} are handed to a machine")]
    TooLong {
        /// The machine.
        machine: String,
        /// Its length.
        bytes: usize,
        /// The longest there may be.
        limit: usize,
    },
    /// The gateway's configuration could not be written.
    #[error("could not write the gateway's configuration")]
    Config(#[from] toml::ser::Error),
}

impl Explain for RenderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Architecture { .. } => "architecture_not_in_release",
            Self::Materials(_)
            | Self::Gateway { .. }
            | Self::Address { .. }
            | Self::TooLong { .. }
            | Self::Config(_) => "user_data_not_rendered",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Architecture { .. } | Self::TooLong { .. } => Fault::Caller,
            Self::Materials(_) | Self::Gateway { .. } | Self::Address { .. } | Self::Config(_) => Fault::Ferrogate,
        }
    }

    fn retry(&self) -> Retry {
        Retry::No
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Architecture { .. } => {
                Some("choose machines of a supported architecture, by resource pool or tag".into())
            }
            Self::TooLong { .. } => Some("give fewer SSH keys or a shorter CA bundle".into()),
            Self::Materials(_) | Self::Gateway { .. } | Self::Address { .. } | Self::Config(_) => None,
        }
    }
}

/// How etcd is asked on a server of a cluster, where its members have to be looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdTool {
    /// A container image with `etcdctl` that every server has.
    pub image: String,
    /// The authority of etcd's servers (PEM), as a path on every server.
    pub ca: String,
    /// A certificate (PEM) that etcd accepts, as a path on every server.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Turns a role into what cloud-init does on the machine.
pub trait Distribution: Send + Sync {
    /// What the machine is handed at its deployment. `names` are further names and addresses for the API's certificate;
    /// `enrolment` is the one-time token of a gateway node.
    ///
    /// # Errors
    /// [`RenderError`] names what is missing.
    fn cloud_config(
        &self,
        desired: &Desired,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<CloudConfig, RenderError>;

    /// How a server that leaves is taken out of etcd, which removing its node does not do.
    fn etcd(&self, release: &Release) -> EtcdTool;
}
