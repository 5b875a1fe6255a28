//! What every part of a running plane shares.

use ferrogate_model::{Clock, release::Release};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::{Notify, broadcast};
use url::Url;

/// What every part of a running plane shares; made once by the server, handed around as `Arc<Context>`.
#[derive(Debug)]
pub struct Context {
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// What gateways and clusters are made of unless they say otherwise.
    pub release: Release,
    /// Base address of the plane as gateways, machines and people reach it; no trailing slash in its path.
    pub public_url: Url,
    /// Certificate authorities (PEM) that a client must trust to reach [`Self::public_url`]; empty where the system's do.
    pub ca_pem: String,
    /// Where the plane keeps its own files.
    pub data_dir: PathBuf,
    /// Wakes the reconcilers at once instead of at their next tick.
    pub nudge: Arc<Notify>,
    /// Tells the event streams that a row was added: a hint to read the store, not the event itself.
    pub events: broadcast::Sender<()>,
}
