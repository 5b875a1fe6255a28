//! What every part of a running plane shares.

use crate::{
    app::artifacts::Artifacts,
    auth::{limits::Limits, open_streams::OpenStreams},
    identities::Identities,
    metrics::Metrics,
    site_network::SiteNetwork,
};
use bytes::Bytes;
use ferrogate_join::NodeSetup;
use ferrogate_model::{Clock, Timestamp, release::Release};
use ferrogate_store::{Store, StoreError, events::Event};
use ferrogate_tunnel::Hub;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

/// How long open requests may take to end when the plane shuts down.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// What every part of a running plane shares; made once by the server, handed around as `Arc<Context>`.
#[derive(Debug)]
pub struct Context {
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// What the plane remembers.
    pub store: Store,
    /// The plane's end of the tunnel.
    pub hub: Hub,
    /// The way into the sites: the hub, unless a test put something else in its place.
    pub site_network: Arc<dyn SiteNetwork>,
    /// What gateways and clusters are made of unless they say otherwise.
    pub release: Release,
    /// Makes what machines are told.
    pub node_setup: Arc<dyn NodeSetup>,
    /// Base address of the plane as gateways, machines and people reach it.
    pub public_url: Url,
    /// Certificate authorities (PEM) that a client must trust to reach [`Self::public_url`]; empty where the system's do.
    pub ca_pem: String,
    /// SHA-256 of the CA, `sha256:…`; empty where the certificate came from outside.
    pub fingerprint: String,
    /// Where the plane keeps its own files.
    pub data_dir: PathBuf,
    /// This replica's name in rows such as leases; new at every start.
    pub replica: String,
    /// The files that machines are built from.
    pub artifacts: Arc<Artifacts>,
    /// What is counted.
    pub metrics: Metrics,
    /// Work that is waited for at shutdown.
    pub tasks: TaskTracker,
    /// Says that the plane shuts down.
    pub closing: CancellationToken,
    /// How often things may be tried.
    pub(crate) limits: Limits,
    /// Certificates with which the plane speaks to clusters.
    pub(crate) identities: Identities,
    /// The OpenAPI document.
    pub(crate) document: Bytes,
    pub(crate) nudge: watch::Sender<()>,
    pub(crate) events: watch::Sender<()>,
    /// What is being answered, by whose credentials.
    pub(crate) streams: OpenStreams,
}

impl Context {
    /// The point in time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where machines download what they are built from.
    #[must_use]
    pub fn artifacts_url(&self) -> Url {
        let mut url = self.public_url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), ferrogate_api::ARTIFACTS_PREFIX);
        url.set_path(&path);
        url
    }

    /// The CA (PEM) that machines must be given to trust the plane; `None` where the system's authorities do.
    #[must_use]
    pub fn plane_ca_pem(&self) -> Option<String> {
        (!self.ca_pem.is_empty()).then(|| self.ca_pem.clone())
    }

    /// Wakes every reconciler: something it may care about has changed.
    pub fn nudge(&self) {
        self.nudge.send_replace(());
    }

    /// Tells of every nudge from now on; one that comes during a pass is not lost.
    #[must_use]
    pub fn nudges(&self) -> watch::Receiver<()> {
        self.nudge.subscribe()
    }

    /// Makes it be looked whether what opened each stream is still good.
    pub fn credentials_changed(&self) {
        self.streams.credentials_changed();
    }

    /// Tells the live streams that events were added to the store.
    pub fn events_added(&self) {
        self.events.send_replace(());
    }

    /// Adds events to the store and tells the live streams.
    ///
    /// # Errors
    /// What the store said.
    pub async fn record(&self, events: &[Event]) -> Result<(), StoreError> {
        ferrogate_store::events::append(&self.store, events).await?;
        self.events_added();
        Ok(())
    }
}
