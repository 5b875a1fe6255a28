//! A plane: a TLS listener before a hub, answering with our protocol, or with http/1.1 alone as an inspecting proxy does.

use super::{PLANE, TokioClock, book::Book};
use ferrogate_net::{BoxIo, Network};
use ferrogate_tunnel::{ALPN, EXPORTER_LABEL, Hub, HubOptions, carrier::websocket};
use http_body_util::Empty;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A CA and a certificate for the plane's address.
pub(crate) struct Certificates {
    pub(crate) ca_pem: String,
    server: Arc<rustls::ServerConfig>,
    http_only: Arc<rustls::ServerConfig>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["203.0.113.10".to_owned(), "plane.example".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let config = |alpn: &[&[u8]]| {
            let mut config =
                rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                    .with_protocol_versions(&[&rustls::version::TLS13])
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(
                        vec![certificate.der().clone()],
                        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
                    )
                    .unwrap();
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Self { ca_pem: ca.pem(), server: config(&[ALPN, b"http/1.1"]), http_only: config(&[b"http/1.1"]) }
    }
}

/// A plane that listens.
pub(crate) struct Plane {
    pub(crate) hub: Hub,
    listening: JoinSet<()>,
}

impl Plane {
    pub(crate) fn start(network: &Network, certificates: &Certificates, book: &Arc<Book>) -> Self {
        Self::start_with(network, certificates, book, HubOptions::default(), false)
    }

    pub(crate) fn start_http_only(network: &Network, certificates: &Certificates, book: &Arc<Book>) -> Self {
        Self::start_with(network, certificates, book, HubOptions::default(), true)
    }

    pub(crate) fn start_with(
        network: &Network,
        certificates: &Certificates,
        book: &Arc<Book>,
        options: HubOptions,
        http_only: bool,
    ) -> Self {
        let hub = Hub::new(options, book.clone(), TokioClock::new());
        let listener = network.listen(PLANE.parse().unwrap()).unwrap();
        let config = if http_only { &certificates.http_only } else { &certificates.server };
        let acceptor = TlsAcceptor::from(config.clone());
        let mut listening = JoinSet::new();
        let serving = hub.clone();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((io, peer)) = listener.accept().await {
                connections.spawn(Box::pin(serve(serving.clone(), acceptor.clone(), io, peer)));
            }
        });
        Self { hub, listening }
    }

    /// Kills it: its listener and connections are gone, nobody is told.
    pub(crate) async fn stop(mut self) {
        self.listening.shutdown().await;
    }
}

async fn serve(hub: Hub, acceptor: TlsAcceptor, io: BoxIo, peer: SocketAddr) {
    let Ok(tls) = acceptor.accept(io).await else { return };
    let session = tls.get_ref().1;
    if session.alpn_protocol() == Some(ALPN) {
        let exporter = session.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
        hub.serve(Box::new(tls), Some(exporter), peer).await;
        return;
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let hub = hub.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut request);
            let Some(answer) = websocket::accept(&request).filter(|_| request.uri().path() == "/tunnel") else {
                return Ok::<_, Infallible>(http::Response::builder().status(404).body(Empty::<&[u8]>::new()).unwrap());
            };
            tokio::spawn(async move {
                let io = TokioIo::new(upgrade.await.unwrap());
                hub.serve_websocket(Box::new(io), peer).await;
            });
            Ok(answer.map(|()| Empty::new()))
        }
    });
    let _ =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).with_upgrades().await;
}
