//! How the engine has machines made into nodes without knowing how that is done.

use crate::{
    configuration::NodeConfiguration,
    materials::MaterialsError,
    node::{Node, Role},
};
use ferrogate_model::{Explain, Fault, Retry, release::Release};
use secrecy::SecretString;

/// User-data that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
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
    Materials(#[from] MaterialsError),
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

impl Explain for SetupError {
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

/// Makes user-data, and knows what it leads to.
pub trait NodeSetup: std::fmt::Debug + Send + Sync {
    /// What a machine is handed at its deployment. `names` are further names and addresses for the API's certificate;
    /// `enrolment` is the one-time token of a gateway node.
    ///
    /// # Errors
    /// [`SetupError`] names what is missing.
    fn user_data(
        &self,
        configuration: &NodeConfiguration,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<SecretString, SetupError>;

    /// How a server that leaves is taken out of etcd, which removing its node does not do.
    fn etcd_tool(&self, release: &Release) -> EtcdTool;
}
