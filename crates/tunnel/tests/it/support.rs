//! A plane, gateways, a site and a proxy, all in memory.

pub(crate) mod book;
pub(crate) mod gateway;
pub(crate) mod plane;
pub(crate) mod proxy;
pub(crate) mod site;

use book::Book;
use ferrogate_model::{Clock, GatewayId, Timestamp};
use ferrogate_net::{BoxIo, ConnectError, Connector, Network, Target};
use ferrogate_tunnel::{AgentOptions, NodeKey};
use gateway::{Gateway, token};
use plane::{Certificates, Plane};
use site::Site;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where the plane is reached.
pub(crate) const PLANE: &str = "203.0.113.10:443";

/// Ten seconds: what a request may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A clock that moves with tokio's, so that a paused test owns it too.
#[derive(Debug)]
pub(crate) struct TokioClock(tokio::time::Instant);

impl TokioClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        start + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}

/// What a test begins with: a network, a site, a plane's book with a token, a key.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) certificates: Certificates,
    pub(crate) book: Arc<Book>,
    pub(crate) gateway: GatewayId,
    pub(crate) key: Arc<NodeKey>,
    pub(crate) site: Site,
}

impl World {
    pub(crate) fn new() -> Self {
        let network = Network::memory();
        let (book, gateway) = (Book::new(), GatewayId::new());
        book.token(gateway, "token-1");
        Self {
            site: Site::start(&network),
            network,
            certificates: Certificates::new(),
            book,
            gateway,
            key: Arc::new(NodeKey::generate().unwrap()),
        }
    }

    /// A plane for this world.
    pub(crate) fn plane(&self) -> Plane {
        Plane::start(&self.network, &self.certificates, &self.book)
    }

    /// A gateway that is connected.
    pub(crate) async fn gateway(&self) -> Gateway {
        self.gateway_through(self.network.connector()).await
    }

    /// A gateway that is connected, with options changed.
    pub(crate) async fn gateway_with(&self, change: impl FnOnce(&mut AgentOptions)) -> Gateway {
        let connector = self.network.connector();
        let mut gateway =
            Gateway::start_with(&self.network, &self.certificates, &self.key, token("token-1"), connector, change);
        gateway.connected().await;
        gateway
    }

    /// A gateway that is connected, by this way.
    pub(crate) async fn gateway_through(&self, connector: Arc<dyn Connector>) -> Gateway {
        let mut gateway =
            Gateway::start_with(&self.network, &self.certificates, &self.key, token("token-1"), connector, |_| ());
        gateway.connected().await;
        gateway
    }
}

/// Waits until `condition` holds; fails the test after `longest`.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    longest: Duration,
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let until = tokio::time::Instant::now() + longest;
    while !condition().await {
        assert!(tokio::time::Instant::now() < until, "not within {longest:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a line to an echo service through `connector` and reads it back.
pub(crate) async fn echo(connector: &Arc<dyn Connector>, target: &str, text: &str) -> Result<String, ConnectError> {
    let mut io = open(connector, target).await?;
    Ok(exchange(&mut io, text).await.unwrap_or_else(|error| format!("broken: {error}")))
}

/// Sends a text on an open connection to an echo service and reads it back.
pub(crate) async fn exchange(io: &mut BoxIo, text: &str) -> std::io::Result<String> {
    io.write_all(text.as_bytes()).await?;
    io.flush().await?;
    let mut answer = vec![0; text.len()];
    io.read_exact(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

/// Opens a connection to `host:port` through `connector`.
pub(crate) async fn open(connector: &Arc<dyn Connector>, target: &str) -> Result<BoxIo, ConnectError> {
    let (host, port) = target.rsplit_once(':').unwrap();
    connector.connect(&Target::new(host, port.parse().unwrap()), DEADLINE).await
}
