//! A plane on loopback, and the file tree of a machine.

use async_trait::async_trait;
use ferrogate_gateway::RunOptions;
use ferrogate_model::{GatewayId, NodeId, SystemClock};
use ferrogate_tunnel::{
    ALPN, Authenticator, EXPORTER_LABEL, EnrolRefused, Enrolment, Hub, HubOptions, KnownNode, PublicKey, Unavailable,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::ExposeSecret;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// One token, and whoever used it.
pub(crate) struct Book {
    pub(crate) gateway: GatewayId,
    pub(crate) node: NodeId,
    key: Mutex<Option<PublicKey>>,
    pub(crate) revoked: Mutex<bool>,
}

#[async_trait]
impl Authenticator for Book {
    async fn node(&self, node: NodeId) -> Result<Option<KnownNode>, Unavailable> {
        let key = *self.key.lock().unwrap();
        let revoked = *self.revoked.lock().unwrap();
        let known =
            |public_key| KnownNode { gateway: self.gateway, name: "gw-1".parse().unwrap(), public_key, revoked };
        Ok(key.filter(|_| node == self.node).map(known))
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<(GatewayId, NodeId), EnrolRefused> {
        if enrolment.token.expose_secret() != "the-token" {
            return Err(EnrolRefused::Unknown);
        }
        *self.key.lock().unwrap() = Some(enrolment.public_key);
        Ok((self.gateway, self.node))
    }
}

pub(crate) struct Plane {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) book: Arc<Book>,
    pub(crate) ca_pem: String,
    _listening: JoinSet<()>,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let book = Arc::new(Book {
            gateway: GatewayId::new(),
            node: NodeId::new(),
            key: Mutex::default(),
            revoked: Mutex::default(),
        });
        let hub = Hub::new(HubOptions::default(), book.clone(), Arc::new(SystemClock));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut listening = JoinSet::new();
        let serving = hub.clone();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, peer)) = listener.accept().await {
                ferrogate_tunnel::socket::tune(&socket).unwrap();
                let (hub, acceptor) = (serving.clone(), acceptor.clone());
                connections.spawn(async move {
                    let Ok(tls) = acceptor.accept(socket).await else { return };
                    let exporter = tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
                    hub.serve(Box::new(tls), Some(exporter), peer).await;
                });
            }
        });
        Self { hub, address, book, ca_pem, _listening: listening }
    }
}

/// A machine's file tree with a gateway's configuration in it.
pub(crate) struct Machine {
    pub(crate) root: TempDir,
    pub(crate) admin: SocketAddr,
}

impl Machine {
    pub(crate) fn new(plane: &Plane, allow: SocketAddr) -> Self {
        let root = tempfile::tempdir().unwrap();
        // Free now; nobody else is told of it.
        let admin = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let etc = root.path().join("etc/ferrogate");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("plane-ca.pem"), &plane.ca_pem).unwrap();
        std::fs::write(etc.join("enrolment-token"), "the-token\n").unwrap();
        let config = format!(
            r#"
plane_url = "https://{}"
plane_ca_file = "/etc/ferrogate/plane-ca.pem"
node_name = "gw-1"
state_dir = "/var/lib/ferrogate"
enrolment_token_file = "/etc/ferrogate/enrolment-token"
admin_listen = "{admin}"
allow = [{{ host = "{}", ports = [{}] }}]
"#,
            plane.address,
            allow.ip(),
            allow.port()
        );
        std::fs::write(etc.join("gateway.toml"), config).unwrap();
        Self { root, admin }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn options(&self) -> RunOptions {
        let mut options = RunOptions::new("/etc/ferrogate/gateway.toml");
        options.root = Some(self.root.path().into());
        options.host_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        options
    }

    /// The whole answer of an admin endpoint; empty while nobody listens.
    pub(crate) async fn get(&self, path: &str) -> String {
        let ask = async {
            let mut socket = TcpStream::connect(self.admin).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        ask.await.unwrap_or_default()
    }

    /// Asks until the answer contains `text`.
    pub(crate) async fn wait_for(&self, path: &str, text: &str) -> String {
        let mut last = String::new();
        let ask = async {
            loop {
                last = self.get(path).await;
                if last.contains(text) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(30), ask).await;
        assert!(found.is_ok(), "{path} never said {text}, but: {last}");
        last
    }
}

/// A service that echoes one connection after the other.
pub(crate) async fn echo_service() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections: JoinSet<()> = JoinSet::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut read, mut write) = socket.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    (address, tasks)
}
