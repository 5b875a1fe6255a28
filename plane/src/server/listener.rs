//! The loop that takes connections: TLS 1.3, then the tunnel or HTTP/1.1 by what the client asked for (ALPN).

use super::{identity::Identity, options::MAX_CONNECTIONS};
use crate::{context::Context, peer::Peer};
use ferrogate_net::{ConnectionLimit, ConnectionPermit, LimitedStream};
use ferrogate_tunnel::{ALPN, EXPORTER_LABEL};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ServerConfig, version::TLS13};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's head, and how long an idle connection is kept: longer than our own
/// clients keep theirs (30 s), so that they never reuse one that is being closed.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// Most headers of a request.
const MAX_HEADERS: usize = 100;
/// Most bytes of a request's head; tokens and cookies fit many times over.
const MAX_HEAD: usize = 64 * 1024;
/// Waited after `accept` failed, for example because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a listener share.
pub(super) struct Listening {
    pub(super) context: Arc<Context>,
    pub(super) router: axum::Router,
    pub(super) tasks: TaskTracker,
    pub(super) connections_per_source: usize,
    /// Says that no new request is taken; open ones may end.
    pub(super) drain: CancellationToken,
    /// Says that whatever still runs is cut.
    pub(super) cut: CancellationToken,
}

/// TLS settings of the listener.
pub(super) fn tls(identity: &Arc<Identity>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(identity) as Arc<_>);
    config.alpn_protocols = vec![ALPN.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Listening {
    /// Takes connections until told to drain. `config` is `None` for plain HTTP (the admin listener).
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener, config: Option<Arc<ServerConfig>>) {
        let acceptor = config.map(TlsAcceptor::from);
        let limit = ConnectionLimit::new(MAX_CONNECTIONS, self.connections_per_source);
        loop {
            let accepted = tokio::select! {
                () = self.drain.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let permit = match limit.acquire(peer.ip()) {
                Ok(permit) => permit,
                Err(reached) => {
                    tracing::warn!(%peer, ?reached, "a connection was closed: too many are open");
                    continue;
                }
            };
            let (this, acceptor) = (Arc::clone(&self), acceptor.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = this.connection(stream, permit, peer, acceptor) => {}
                    () = this.cut.cancelled() => {}
                }
            });
        }
    }

    async fn connection(
        &self,
        stream: TcpStream,
        permit: ConnectionPermit,
        peer: SocketAddr,
        acceptor: Option<TlsAcceptor>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        // Whoever has the connection after an upgrade has its permit with it.
        let stream = LimitedStream::new(stream, permit);
        let Some(acceptor) = acceptor else {
            return self.http(stream, peer).await;
        };
        let tls = match timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
        };
        let session = tls.get_ref().1;
        if session.alpn_protocol() == Some(ALPN) {
            if let Err(error) = ferrogate_tunnel::socket::tune(tls.get_ref().0.get_ref()) {
                tracing::debug!(%error, "a carrier's socket could not be tuned");
            }
            // Without the exporter the proof would not be bound to this session, and the hub decides what that means.
            let exporter = session.export_keying_material([0; 32], EXPORTER_LABEL, None).ok();
            return self.context.hub.serve(Box::new(tls), exporter, peer).await;
        }
        self.http(tls, peer).await;
    }

    async fn http<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: S, peer: SocketAddr) {
        let router = self.router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, error = %ferrogate_model::fault::chain(&error), "an HTTP connection ended badly");
        }
    }
}

/// Runs `work` until it ends or `stop` says so.
pub(super) async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}
