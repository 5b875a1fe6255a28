//! A plane's life from when it takes connections to its drain.

use crate::{
    context::{Context, DRAIN_DEADLINE},
    tasks::TaskStatuses,
};
use secrecy::SecretString;
use std::{net::SocketAddr, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// A plane that takes connections.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub local_addr: SocketAddr,
    /// Where the admin endpoints listen, if asked for.
    pub admin_addr: Option<SocketAddr>,
    /// Base address as clients reach it.
    pub url: Url,
    /// Certificate authority (PEM) that clients must trust; empty when a certificate was given from outside.
    pub ca_pem: String,
    /// SHA-256 of the CA (or of the given certificate), as `sha256:<64 hex>`.
    pub fingerprint: String,
    /// The one-time token for the first sign-in; `None` once the plane was set up.
    pub setup_token: Option<SecretString>,
    /// What the reconcilers did last.
    pub task_status: Arc<TaskStatuses>,
    /// What its parts share.
    pub context: Arc<Context>,
    /// Listeners and connections.
    pub(super) connections: TaskTracker,
    pub(super) drain: CancellationToken,
    pub(super) cut: CancellationToken,
}

impl Running {
    /// What the hub asks about nodes, for tests.
    #[must_use]
    pub fn registry(&self) -> impl ferrogate_tunnel::Authenticator + use<> {
        crate::app::nodes::Registry::new(self.context.store.clone(), Arc::clone(&self.context.clock))
    }

    /// Stops taking connections, asks gateways to come back later, lets open requests end within a deadline, and closes
    /// the store.
    pub async fn shutdown(self) {
        // Live streams and reconcilers end first; requests that are being answered are not disturbed.
        self.context.closing.cancel();
        self.drain.cancel();
        self.context.hub.drain(ferrogate_tunnel::DrainScope::All);
        self.connections.close();
        self.context.tasks.close();
        let ended = tokio::time::timeout(DRAIN_DEADLINE, async {
            self.context.hub.shutdown().await;
            self.connections.wait().await;
            self.context.tasks.wait().await;
        });
        if ended.await.is_err() {
            tracing::warn!(seconds = DRAIN_DEADLINE.as_secs(), "some requests did not end in time and are cut");
        }
        self.cut.cancel();
        self.connections.wait().await;
        self.context.store.close().await;
    }
}

impl Drop for Running {
    /// A plane whose handle is dropped stops; only [`Running::shutdown`] waits for it.
    fn drop(&mut self) {
        self.context.closing.cancel();
        self.drain.cancel();
        self.cut.cancel();
    }
}
