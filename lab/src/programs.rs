//! What runs inside the containers of simulated machines: handed in by whoever starts the site, so that the lab needs no
//! knowledge of the gateway and the demo runs the real one.

use async_trait::async_trait;
use ferrogate_net::Connector;
use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;

/// One container that a node starts.
#[derive(Clone)]
pub struct Container {
    /// The image's name and tag, as the pod names it.
    pub image: String,
    /// The arguments, after the image's own entry point.
    pub args: Vec<String>,
    /// The environment, with the downward API's values filled in.
    pub env: BTreeMap<String, String>,
    /// The container's file tree: put it before every absolute path. Exactly the volumes that the pod mounts are visible
    /// in it; they are the machine's own folders.
    pub root: PathBuf,
    /// The node's address; ports of a pod on the host's network are bound to it.
    pub node_address: IpAddr,
    /// The way out of the machine: its names, its routes. No proxy is put before it.
    pub connector: Arc<dyn Connector>,
    /// Cancelled when the container is to stop.
    pub cancel: CancellationToken,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold a proxy's password.
        f.debug_struct("Container")
            .field("image", &self.image)
            .field("args", &self.args)
            .field("node_address", &self.node_address)
            .finish_non_exhaustive()
    }
}

/// The programs in container images.
#[async_trait]
pub trait Programs: Send + Sync + fmt::Debug {
    /// Runs a container until its program ends or is cancelled.
    ///
    /// # Errors
    /// Why the program failed, in words for the container's status; the pod is restarted with back-off then.
    async fn start(&self, container: Container) -> Result<(), String>;
}

/// No image holds a program: every container fails to start.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

#[async_trait]
impl Programs for NoPrograms {
    async fn start(&self, container: Container) -> Result<(), String> {
        Err(format!("the lab was started without a program for image `{}`", container.image))
    }
}
