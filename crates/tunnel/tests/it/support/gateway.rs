//! A gateway: an agent with its key.

use super::{PLANE, TokioClock, plane::Certificates};
use async_trait::async_trait;
use ferrogate_model::{GatewayId, NodeId, allow::AllowRule};
use ferrogate_net::{Connector, Network, Trust};
use ferrogate_tunnel::{
    Agent, AgentEnd, AgentOptions, AgentStatus, AllowList, Credentials, DialMaterial, Figures, Identity, NodeKey,
    Resolver,
};
use secrecy::SecretString;
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

struct Wallet {
    tls: Arc<rustls::ClientConfig>,
    key: Arc<NodeKey>,
    identity: Mutex<Identity>,
}

#[async_trait]
impl Credentials for Wallet {
    async fn load(&self) -> Result<DialMaterial, String> {
        let identity = self.identity.lock().unwrap().clone();
        Ok(DialMaterial { tls: self.tls.clone(), key: self.key.clone(), identity })
    }

    async fn registered(&self, _gateway: GatewayId, node: NodeId) -> Result<(), String> {
        *self.identity.lock().unwrap() = Identity::Known(node);
        Ok(())
    }
}

/// Names of the site's own DNS.
#[derive(Debug)]
struct SiteNames;

#[async_trait]
impl Resolver for SiteNames {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            "maas.site.example" => Ok(vec!["10.1.0.5".parse().unwrap()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

pub(crate) fn token(text: &str) -> Identity {
    Identity::Enrol { token: SecretString::from(text), node_name: "node-1".parse().unwrap() }
}

/// A gateway that runs.
pub(crate) struct Gateway {
    pub(crate) status: watch::Receiver<AgentStatus>,
    pub(crate) stop: CancellationToken,
    figures: Box<dyn Fn() -> Figures + Send + Sync>,
    task: JoinHandle<AgentEnd>,
}

impl Gateway {
    pub(crate) fn start(
        network: &Network,
        certificates: &Certificates,
        key: &Arc<NodeKey>,
        identity: Identity,
    ) -> Self {
        let connector = network.connector();
        Self::start_with(network, certificates, key, identity, connector, |_| ())
    }

    pub(crate) fn start_with(
        network: &Network,
        certificates: &Certificates,
        key: &Arc<NodeKey>,
        identity: Identity,
        connector: Arc<dyn Connector>,
        change: impl FnOnce(&mut AgentOptions),
    ) -> Self {
        let tls = Trust::ca(certificates.ca_pem.clone()).client_config(&[]).unwrap();
        let wallet = Wallet { tls, key: key.clone(), identity: Mutex::new(identity) };
        let allow = AllowList::new(&[
            AllowRule { host: "10.20.0.0/22".into(), ports: vec![6443] },
            AllowRule { host: "maas.site.example".into(), ports: vec![5240] },
        ]);
        let mut options = AgentOptions {
            plane_url: format!("https://{PLANE}").parse().unwrap(),
            connector,
            credentials: Arc::new(wallet),
            dialer: network.connector(),
            resolver: Arc::new(SiteNames),
            allow: allow.unwrap(),
            version: "0.1.0".into(),
            clock: TokioClock::new(),
            epoch_floor: 0,
            max_streams: AgentOptions::MAX_STREAMS,
            half_closed: AgentOptions::HALF_CLOSED,
            drain_deadline: AgentOptions::DRAIN_DEADLINE,
        };
        change(&mut options);
        let agent = Agent::new(options);
        let (status, figures) = (agent.status(), Box::new(agent.figures()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(agent.run(stop.clone()));
        Self { status, stop, figures, task }
    }

    /// Waits until both carriers are up.
    pub(crate) async fn connected(&mut self) {
        let up = self.status.wait_for(|status| status.carriers >= 2);
        let waited = tokio::time::timeout(Duration::from_secs(120), up).await.map(|up| up.map(drop));
        assert!(waited.is_ok(), "not connected: {:?}", self.status.borrow().last_error);
    }

    pub(crate) fn figures(&self) -> Figures {
        (self.figures)()
    }

    /// Whether its agent has ended by itself, and how.
    pub(crate) async fn ended(self) -> AgentEnd {
        tokio::time::timeout(Duration::from_secs(600), self.task).await.expect("the agent must end").unwrap()
    }

    /// Kills it: no word to anybody.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}
