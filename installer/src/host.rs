//! What the program around the installer provides: the way into the network, the time, and the wish to stop.

use ferrogate_join::NodeSetup;
use ferrogate_model::{Clock, SystemClock};
use ferrogate_net::{Connector, Direct};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The host the installer runs on.
#[derive(Clone, Debug)]
pub struct Host {
    /// Opens connections to MAAS and the nodes. The plane is reached by ordinary sockets, directly or through the site's proxy.
    pub connector: Arc<dyn Connector>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled by Ctrl-C.
    pub cancel: CancellationToken,
    /// Makes what machines are told. How a node is set up is not the installer's business.
    pub node_setup: Arc<dyn NodeSetup>,
    /// Looks up variables of the environment.
    pub variables: fn(&str) -> Option<String>,
}

impl Host {
    /// This computer.
    #[must_use]
    pub fn this(cancel: CancellationToken, node_setup: Arc<dyn NodeSetup>) -> Self {
        Self {
            connector: Arc::new(Direct::new()),
            clock: Arc::new(SystemClock),
            cancel,
            node_setup,
            variables: crate::args::environment,
        }
    }
}

/// Name and version of this program, as the plane's log shows it.
pub const USER_AGENT: &str = concat!("ferrogate-installer/", env!("CARGO_PKG_VERSION"));
