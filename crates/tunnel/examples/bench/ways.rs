//! The ways from a visitor to the target. Each begins at a TCP port, so that all have the same hops.

use crate::{load, target::SMALL_BUFFER};
use async_trait::async_trait;
use ferrogate_model::{GatewayId, NodeId, SystemClock, allow::AllowRule};
use ferrogate_net::{BoxIo, ConnectError, Connector, Direct, Target, Trust, connect_tls};
use ferrogate_tunnel::{
    ALPN, Agent, AgentOptions, AllowList, Authenticator, Credentials, DialMaterial, EXPORTER_LABEL, EnrolRefused,
    Enrolment, Hub, HubOptions, Identity, KnownNode, NodeKey, SystemResolver, Unavailable, carrier::websocket, socket,
};
use http_body_util::Empty;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(10);
/// What each relay copies at once, in every way.
const COPY: usize = 16 * 1024;

pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Where visitors with small requests go.
    pub(crate) small: SocketAddr,
    /// Where visitors with much data go.
    pub(crate) bulk: SocketAddr,
    tunnel: Option<Tunnel>,
}

/// What a tunnel's restart needs.
struct Tunnel {
    plane: Plane,
    listening: JoinSet<()>,
    target: SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

impl Way {
    /// A TLS connection for each visitor.
    pub(crate) async fn relay(target: SocketAddr) -> Self {
        let certificates = Certificates::new(&[]);
        let listener = bind().await;
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(certificates.server.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    socket.set_nodelay(true).unwrap();
                    let Ok(tls) = acceptor.accept(socket).await else { return };
                    let Ok(far) = TcpStream::connect(target).await else { return };
                    far.set_nodelay(true).unwrap();
                    copy(tls, far).await;
                });
            }
        });
        let tls = certificates.client();
        let small = front(Arc::new(PerVisitor { address, tls }), target).await;
        Self { name: "tls", small, bulk: small, tunnel: None }
    }

    /// The tunnel.
    pub(crate) async fn tunnel(target: SocketAddr, websocket: bool) -> Self {
        let alpn: &[&[u8]] = if websocket { &[b"http/1.1"] } else { &[ALPN] };
        let key = Arc::new(NodeKey::generate().unwrap());
        let book = Arc::new(Book { gateway: GatewayId::new(), node: NodeId::new(), key });
        let listener = bind().await;
        let plane = Plane {
            certificates: Certificates::new(alpn),
            address: listener.local_addr().unwrap(),
            book: book.clone(),
        };
        let (hub, listening) = plane.listen(listener);
        let rule = AllowRule { host: target.ip().to_string(), ports: vec![target.port()] };
        let agent = Agent::new(AgentOptions {
            plane_url: format!("https://{}", plane.address).parse().unwrap(),
            connector: Arc::new(Direct::new()),
            credentials: Arc::new(Wallet { tls: plane.certificates.client(), book: book.clone() }),
            dialer: Arc::new(Direct::new()),
            resolver: Arc::new(SystemResolver),
            allow: AllowList::new(&[rule]).unwrap(),
            version: "bench".into(),
            clock: Arc::new(SystemClock),
            epoch_floor: 0,
            max_streams: AgentOptions::MAX_STREAMS,
            half_closed: AgentOptions::HALF_CLOSED,
            drain_deadline: Duration::from_secs(1),
        });
        let mut status = agent.status();
        let stop = CancellationToken::new();
        tokio::spawn(agent.run(stop.clone()));
        status.wait_for(|status| status.carriers == 2).await.unwrap();
        let small = front(hub.connector(book.gateway), target).await;
        let bulk = front(hub.bulk_connector(book.gateway), target).await;
        let tunnel = Tunnel { plane, listening, target, _stop: stop.drop_guard() };
        Self { name: if websocket { "websocket" } else { "alpn" }, small, bulk, tunnel: Some(tunnel) }
    }

    /// Kills the plane, starts another at its address after a second, and waits for a request to pass; seconds.
    pub(crate) async fn restart(&mut self) -> Option<f64> {
        let tunnel = self.tunnel.as_mut()?;
        tunnel.listening.shutdown().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let listener = TcpListener::bind(tunnel.plane.address).await.unwrap();
        let (hub, listening) = tunnel.plane.listen(listener);
        tunnel.listening = listening;
        let front = front(hub.connector(tunnel.plane.book.gateway), tunnel.target).await;
        Some(load::until_answered(front).await)
    }
}

/// A port whose visitors are carried by `connector`.
async fn front(connector: Arc<dyn Connector>, target: SocketAddr) -> SocketAddr {
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    let target = Target::new(target.ip().to_string(), target.port());
    tokio::spawn(async move {
        while let Ok((visitor, _)) = listener.accept().await {
            let (connector, target) = (connector.clone(), target.clone());
            tokio::spawn(async move {
                visitor.set_nodelay(true).unwrap();
                socket2::SockRef::from(&visitor).set_send_buffer_size(SMALL_BUFFER * 2).unwrap();
                if let Ok(far) = connector.connect(&target, DEADLINE).await {
                    copy(visitor, far).await;
                }
            });
        }
    });
    address
}

async fn bind() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

async fn copy(mut one: impl ferrogate_net::Io, mut other: impl ferrogate_net::Io) {
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut one, &mut other, COPY, COPY).await;
}

#[derive(Debug)]
struct PerVisitor {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

#[async_trait]
impl Connector for PerVisitor {
    async fn connect(&self, _target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let relay = Target::new(self.address.ip().to_string(), self.address.port());
        let socket = Direct::new().connect(&relay, deadline).await?;
        Ok(Box::new(connect_tls(socket, &relay, None, self.tls.clone(), deadline).await?))
    }
}

struct Certificates {
    ca_pem: String,
    server: Arc<rustls::ServerConfig>,
}

impl Certificates {
    fn new(alpn: &[&[u8]]) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self { ca_pem, server: Arc::new(server) }
    }

    fn client(&self) -> Arc<rustls::ClientConfig> {
        Trust::ca(self.ca_pem.clone()).client_config(&[]).unwrap()
    }
}

struct Plane {
    certificates: Certificates,
    address: SocketAddr,
    book: Arc<Book>,
}

impl Plane {
    fn listen(&self, listener: TcpListener) -> (Hub, JoinSet<()>) {
        let hub = Hub::new(HubOptions::default(), self.book.clone(), Arc::new(SystemClock));
        let (acceptor, serving) = (TlsAcceptor::from(self.certificates.server.clone()), hub.clone());
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut carriers = JoinSet::new();
            while let Ok((socket, peer)) = listener.accept().await {
                carriers.spawn(serve(serving.clone(), acceptor.clone(), socket, peer));
            }
        });
        (hub, listening)
    }
}

async fn serve(hub: Hub, acceptor: TlsAcceptor, socket: TcpStream, peer: SocketAddr) {
    socket::tune(&socket).unwrap();
    let Ok(tls) = acceptor.accept(socket).await else { return };
    if tls.get_ref().1.alpn_protocol() == Some(ALPN) {
        let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
        return hub.serve(Box::new(tls), Some(exporter), peer).await;
    }
    let (upgraded, mut waiting) = tokio::sync::mpsc::channel(1);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let upgraded = upgraded.clone();
        async move {
            let answer = websocket::accept(&request).unwrap();
            let _ = upgraded.send(hyper::upgrade::on(&mut request)).await;
            Ok::<_, Infallible>(answer.map(|()| Empty::<&[u8]>::new()))
        }
    });
    let http = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).with_upgrades();
    let _ = http.await;
    if let Some(upgrade) = waiting.recv().await
        && let Ok(io) = upgrade.await
    {
        hub.serve_websocket(Box::new(TokioIo::new(io)), peer).await;
    }
}

/// One node that everybody knows.
struct Book {
    gateway: GatewayId,
    node: NodeId,
    key: Arc<NodeKey>,
}

#[async_trait]
impl Authenticator for Book {
    async fn node(&self, _node: NodeId) -> Result<Option<KnownNode>, Unavailable> {
        let name = "bench".parse().unwrap();
        Ok(Some(KnownNode { gateway: self.gateway, name, public_key: self.key.public_key(), revoked: false }))
    }

    async fn enrol(&self, _enrolment: Enrolment) -> Result<(GatewayId, NodeId), EnrolRefused> {
        Err(EnrolRefused::Unknown)
    }
}

struct Wallet {
    tls: Arc<rustls::ClientConfig>,
    book: Arc<Book>,
}

#[async_trait]
impl Credentials for Wallet {
    async fn load(&self) -> Result<DialMaterial, String> {
        let identity = Identity::Known(self.book.node);
        Ok(DialMaterial { tls: self.tls.clone(), key: self.book.key.clone(), identity })
    }

    async fn registered(&self, _gateway: GatewayId, _node: NodeId) -> Result<(), String> {
        Ok(())
    }
}
