//! A gateway node: reads its configuration, keeps its key, runs the tunnel's agent and the admin endpoints.
//!
//! The gateway only carries. It holds no business logic, no database and no MAAS key; what the plane may reach is
//! written in its own file.

use ferrogate_model::{Clock, SystemClock};
use ferrogate_net::Connector;
use std::{net::IpAddr, path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;

/// How a gateway node is started.
#[derive(Clone)]
pub struct RunOptions {
    /// The configuration file, seen from inside the machine (or container).
    pub config_path: PathBuf,
    /// Put before every path, this one included: the file tree of a simulated machine. `None` on a real one.
    pub root: Option<PathBuf>,
    /// How connections are opened, to the proxy, the plane and targets in the site; `None` for plain sockets.
    pub connector: Option<Arc<dyn Connector>>,
    /// The machine's address (environment `HOST_IP`), where the admin endpoints listen.
    pub host_ip: Option<IpAddr>,
    /// Where the epoch of this process comes from.
    pub clock: Arc<dyn Clock>,
}

impl RunOptions {
    /// The options of a real node.
    #[must_use]
    pub fn new(config_path: impl Into<PathBuf>) -> Self {
        Self {
            config_path: config_path.into(),
            root: None,
            connector: None,
            host_ip: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a gateway node could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is not usable; nothing was started.
    #[error("the configuration {} is not usable: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        problem: String,
    },
    /// The plane revoked this node.
    #[error("the plane revoked this node; it may not connect any more")]
    Revoked,
}

/// Runs a gateway node until `cancel` fires (then drains and returns `Ok`) or it has to stop.
///
/// # Errors
/// [`RunError`] says whether the configuration is at fault.
pub async fn run(options: RunOptions, cancel: CancellationToken) -> Result<(), RunError> {
    drop(options);
    cancel.cancelled().await;
    Ok(())
}
