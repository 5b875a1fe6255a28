//! What builds clusters: the engine, over the tunnel.

use crate::app::maas;
use async_trait::async_trait;
use ferrogate_engine::{Checkpoint, Desired, Engine, Limits, Memory, NoEnrolment, Pass};
use ferrogate_join::NodeSetup;
use ferrogate_maas::{ApiKey, Client, ClientOptions, Endpoint};
use ferrogate_model::Clock;
use ferrogate_net::{Connector, Trust};
use ferrogate_store::accounts::Account;
use std::{fmt, sync::Arc, time::Duration};

/// A MAAS and the way to it, as a cloud account has it.
#[derive(Clone, Debug)]
pub struct MaasAccess {
    endpoint: Endpoint,
    key: ApiKey,
    ca_pem: Option<String>,
    network: Arc<dyn Connector>,
    clock: Arc<dyn Clock>,
}

impl MaasAccess {
    /// The MAAS of an account, over `network`.
    ///
    /// # Errors
    /// In words, when its endpoint or its key cannot be used. They were checked when they were saved.
    pub fn new(account: &Account, network: Arc<dyn Connector>, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let (endpoint, key) = maas::access(account).map_err(|failure| failure.to_string())?;
        Ok(Self { endpoint, key, ca_pem: account.ca_pem.clone(), network, clock })
    }

    /// A client of the site's MAAS.
    ///
    /// # Errors
    /// In words, when the CA cannot be used.
    pub fn client(&self) -> Result<Client, String> {
        self.build(None)
    }

    /// A client for a quick look: each of its calls ends within `deadline`.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub fn client_within(&self, deadline: Duration) -> Result<Client, String> {
        self.build(Some(deadline))
    }

    fn build(&self, deadline: Option<Duration>) -> Result<Client, String> {
        let (endpoint, key) = (self.endpoint.clone(), self.key.clone());
        let mut options = ClientOptions::new(endpoint, key, Arc::clone(&self.network), Arc::clone(&self.clock));
        if let Some(ca_pem) = &self.ca_pem {
            options.trust = Trust::system().with_ca(ca_pem.clone());
        }
        if let Some(deadline) = deadline {
            options.deadline = deadline;
        }
        Client::new(options).map_err(|error| error.to_string())
    }
}

/// Takes a cluster one step further to what it should be.
#[async_trait]
pub trait Builder: Send + Sync + fmt::Debug + 'static {
    /// One pass. May be dropped at any point; `checkpoint` is told what is remembered before anything is given back.
    ///
    /// # Errors
    /// In words, when the site's settings cannot be used; anything that happens on the way is part of the pass.
    async fn pass(
        &self,
        access: &MaasAccess,
        desired: &Desired,
        memory: &mut Memory,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Pass, String>;
}

/// The engine that builds every cluster.
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    /// Makes what machines are told.
    pub setup: Arc<dyn NodeSetup>,
    /// Deadlines and bounds.
    pub limits: Limits,
}

impl EngineBuilder {
    /// One with the usual limits.
    #[must_use]
    pub fn new(setup: Arc<dyn NodeSetup>) -> Self {
        Self { setup, limits: Limits::default() }
    }
}

#[async_trait]
impl Builder for EngineBuilder {
    async fn pass(
        &self,
        access: &MaasAccess,
        desired: &Desired,
        memory: &mut Memory,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Pass, String> {
        let (network, clock) = (Arc::clone(&access.network), Arc::clone(&access.clock));
        let engine = Engine::new(access.client()?, network, clock, Arc::new(NoEnrolment), Arc::clone(&self.setup));
        Ok(engine.with_limits(self.limits).pass_with_checkpoint(desired, memory, checkpoint).await)
    }
}
