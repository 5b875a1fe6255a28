//! The gateway's end of the tunnel.

mod dial;
mod figures;
mod options;
mod probe;
mod serve;
mod supervisor;

pub use figures::{DialCount, Figures};
pub use options::{AgentEnd, AgentOptions, AgentStatus, Credentials, DialMaterial, Identity};
pub use probe::{ProbeStep, probe};

use crate::wire::hello::CarrierKind;
use figures::Counters;
use serve::StreamServer;
use std::sync::Arc;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The gateway's end of the tunnel: keeps two carriers to the plane and serves the streams on them.
pub struct Agent {
    shared: Arc<Shared>,
}

/// What the two carriers' supervisors and their streams share.
struct Shared {
    options: AgentOptions,
    status: watch::Sender<AgentStatus>,
    counters: Arc<Counters>,
    streams: Arc<StreamServer>,
    /// Which process of the node this is.
    epoch: u64,
}

impl Agent {
    /// An agent that has not dialled yet.
    #[must_use]
    pub fn new(options: AgentOptions) -> Self {
        let counters = Arc::new(Counters::default());
        let streams = StreamServer::new(&options, counters.clone());
        let epoch = u64::try_from(options.clock.now().as_millisecond()).unwrap_or_default().max(options.epoch_floor);
        let status = watch::Sender::default();
        Self { shared: Arc::new(Shared { options, status, counters, streams: Arc::new(streams), epoch }) }
    }

    /// Which process of the node this is. Keep it, and start the next process with a higher
    /// [`AgentOptions::epoch_floor`], so that a clock that was set back does not make the new process look old.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// How it is doing, now and later.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.shared.status.subscribe()
    }

    /// Reads the figures, now and later.
    pub fn figures(&self) -> impl Fn() -> Figures + Send + Sync + 'static {
        let counters = self.shared.counters.clone();
        move || counters.read()
    }

    /// Keeps the carriers up until cancelled or revoked. Cancelling drains first.
    pub async fn run(self, cancel: CancellationToken) -> AgentEnd {
        let stop = cancel.child_token();
        let mut supervisors = JoinSet::new();
        for kind in CarrierKind::ALL {
            supervisors.spawn(supervisor::supervise(self.shared.clone(), kind, stop.clone()));
        }
        let mut end = AgentEnd::Cancelled;
        while let Some(ended) = supervisors.join_next().await {
            match ended {
                Ok(AgentEnd::Revoked) => {
                    end = AgentEnd::Revoked;
                    stop.cancel();
                }
                Ok(AgentEnd::Cancelled) => {}
                // A supervisor that panicked is a defect, but the site must not lose its way out for it.
                Err(error) => {
                    tracing::error!(%error, "the supervisor of a carrier panicked; starting anew");
                    if !stop.is_cancelled() {
                        for kind in CarrierKind::ALL {
                            if supervisors.len() < CarrierKind::ALL.len() {
                                supervisors.spawn(supervisor::supervise(self.shared.clone(), kind, stop.clone()));
                            }
                        }
                    }
                }
            }
        }
        end
    }
}
