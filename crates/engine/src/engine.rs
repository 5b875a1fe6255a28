//! The engine: what it asks, and what it goes by.

use crate::{clients::Clients, enrolment::Enrolment, limits::Limits};
use ferrogate_join::NodeSetup;
use ferrogate_model::{Clock, Timestamp};
use ferrogate_net::Connector;
use std::{fmt, sync::Arc};

/// Builds, changes and removes clusters in one MAAS.
pub struct Engine {
    maas: ferrogate_maas::Client,
    network: Arc<dyn Connector>,
    clock: Arc<dyn Clock>,
    enrolment: Arc<dyn Enrolment>,
    setup: Arc<dyn NodeSetup>,
    limits: Limits,
    clients: Clients,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("maas", self.maas.endpoint())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with the default limits. `network` reaches port 6443 of the machines; `setup` makes nodes of them.
    #[must_use]
    pub fn new(
        maas: ferrogate_maas::Client,
        network: Arc<dyn Connector>,
        clock: Arc<dyn Clock>,
        enrolment: Arc<dyn Enrolment>,
        setup: Arc<dyn NodeSetup>,
    ) -> Self {
        Self { maas, network, clock, enrolment, setup, limits: Limits::default(), clients: Clients::default() }
    }

    /// Other deadlines and bounds.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) const fn maas(&self) -> &ferrogate_maas::Client {
        &self.maas
    }

    pub(crate) fn network(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.network)
    }

    pub(crate) const fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(crate) fn enrolment(&self) -> &dyn Enrolment {
        &*self.enrolment
    }

    pub(crate) fn setup(&self) -> &dyn NodeSetup {
        &*self.setup
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
