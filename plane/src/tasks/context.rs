//! What every reconciler works with.

use super::{Builder, EngineBuilder, TaskError};
use crate::{Context, app, site_network::SiteNetwork};
use ferrogate_model::{Clock, Timestamp, fault::chain, proxy::ProxySettings};
use ferrogate_store::{Store, StoreError, events::Event};
use secrecy::SecretString;
use std::{fmt, sync::Arc};
use tokio::sync::{broadcast::error::RecvError, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

/// What every reconciler works with: the part of the plane's context that they need, so that tests can make it by hand.
#[derive(Clone)]
pub struct TaskContext {
    /// What the plane remembers.
    pub store: Store,
    /// The way into the sites.
    pub site_network: Arc<dyn SiteNetwork>,
    /// Builds clusters.
    pub builder: Arc<dyn Builder>,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// This process among the plane's replicas.
    pub replica: String,
    /// Base address of the plane.
    pub public_url: Url,
    /// Where machines download what they are built from.
    pub artifacts_url: Url,
    /// The CA (PEM) that machines need to trust the plane.
    pub plane_ca_pem: Option<String>,
    /// Wakes every reconciler.
    pub nudge: watch::Sender<()>,
    /// Wakes the live streams of events.
    pub events: watch::Sender<()>,
}

impl TaskContext {
    /// That of a running plane.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self {
            store: context.store.clone(),
            site_network: Arc::clone(&context.site_network),
            builder: Arc::new(EngineBuilder::new(Arc::clone(&context.node_setup))),
            clock: Arc::clone(&context.clock),
            replica: context.replica.clone(),
            public_url: context.public_url.clone(),
            artifacts_url: context.artifacts_url(),
            plane_ca_pem: context.plane_ca_pem(),
            nudge: context.nudge.clone(),
            events: context.events.clone(),
        }
    }

    /// The point in time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Wakes every reconciler.
    pub(super) fn nudge(&self) {
        self.nudge.send_replace(());
    }

    /// Tells the live streams that events were added.
    pub(super) fn events_added(&self, events: &[Event]) {
        if !events.is_empty() {
            self.events.send_replace(());
        }
    }

    /// Adds events to the store.
    pub(super) async fn tell(&self, events: &[Event]) -> Result<(), StoreError> {
        ferrogate_store::events::append(&self.store, events).await?;
        self.events_added(events);
        Ok(())
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext").field("replica", &self.replica).finish_non_exhaustive()
    }
}

/// A site's proxies as the store keeps them.
pub(super) fn proxy(stored: Option<&SecretString>) -> Result<ProxySettings, TaskError> {
    app::proxy::from_store(stored).map_err(|failure| TaskError::document("proxy settings", &failure))
}

/// Turns the hub's news into nudges. What happened is read from the hub itself, so news that are missed lose nothing.
pub(super) async fn listen(context: Arc<TaskContext>, closing: CancellationToken) {
    let mut news = context.site_network.watch();
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            heard = news.recv() => match heard {
                Ok(_) | Err(RecvError::Lagged(_)) => context.nudge(),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// An error and everything behind it, for a reason people read.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    chain(error)
}
