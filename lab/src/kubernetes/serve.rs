//! The API server's port: TLS, who the client is, HTTP.

use super::{handler::ApiServer, rbac::User};
use ferrogate_net::{BoxIo, Listener};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// More connections than this wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// Accepts connections until it is dropped.
pub(crate) async fn serve(listener: Listener, tls: Arc<ServerConfig>, server: Arc<ApiServer>) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((io, _)) => {
                let (acceptor, server) = (acceptor.clone(), Arc::clone(&server));
                connections.spawn(async move {
                    if let Err(error) = connection(io, &acceptor, server).await {
                        tracing::debug!(error, "connection to a simulated API server ended");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a simulated API server could not accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(io: BoxIo, acceptor: &TlsAcceptor, server: Arc<ApiServer>) -> Result<(), String> {
    let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(io))
        .await
        .map_err(|_| "TLS handshake timed out".to_owned())?
        .map_err(|error| error.to_string())?;
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| user(leaf));
    let service = service_fn(move |request| {
        let (server, peer) = (Arc::clone(&server), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(server.answer(request, peer).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(|error| error.to_string())
}

/// Common name and organisations of a client certificate are user and groups.
fn user(leaf: &[u8]) -> Option<User> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned);
    Some(User::new(name, groups.collect::<Vec<_>>()))
}
