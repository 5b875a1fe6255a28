//! The listener of the admin port: so many connections, so many from one address, and none that is silent for long. Probes and
//! scrapers need few; whoever else reaches the port must not keep them out.

use axum::serve::Listener;
use ferrogate_net::{ConnectionLimit, LimitedStream};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep},
};

/// Connections that may be open at once: the kubelet and a few scrapers have one or two each.
const MAX_CONNECTIONS: usize = 64;
/// Of one address (of IPv6: one network of 64 bits): who wants to keep others out needs four.
const MAX_PER_SOURCE: usize = 16;
/// A connection that sends nothing for so long is closed: twice what scrapers usually wait between two looks.
const IDLE: Duration = Duration::from_secs(120);

/// Takes connections.
pub(super) struct LimitedListener {
    listener: TcpListener,
    limit: Arc<ConnectionLimit>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, limit: ConnectionLimit::new(MAX_CONNECTIONS, MAX_PER_SOURCE) }
    }
}

impl Listener for LimitedListener {
    type Io = IdleTimeout<LimitedStream<TcpStream>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            match self.limit.acquire(peer.ip()) {
                Ok(permit) => return (IdleTimeout::new(LimitedStream::new(stream, permit)), peer),
                Err(reached) => {
                    tracing::debug!(%peer, ?reached, "a connection to the admin port was closed: too many are open");
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.listener)
    }
}

/// A connection that ends when nothing comes for too long.
pub(super) struct IdleTimeout<S> {
    io: S,
    idle: Pin<Box<Sleep>>,
}

impl<S> IdleTimeout<S> {
    fn new(io: S) -> Self {
        Self { io, idle: Box::pin(tokio::time::sleep(IDLE)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(context, buffer) {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return Poll::Ready(read);
        }
        self.idle.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpSocket,
    };

    async fn connect(from: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// What a probe is answered; nothing where its connection is closed.
    async fn probe(from: &str, to: SocketAddr) -> String {
        let mut stream = connect(from, to).await;
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn silent_connections_from_one_address_do_not_keep_probes_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/livez", get(async || "ok\n"));
        let serving = tokio::spawn(async move { axum::serve(LimitedListener::new(listener), router).await });
        let mut silent = Vec::new();
        for _ in 0..MAX_PER_SOURCE {
            silent.push(connect("127.0.0.1", address).await);
        }
        assert_eq!(probe("127.0.0.1", address).await, "", "more than one address may have");
        assert!(probe("127.0.0.2", address).await.starts_with("HTTP/1.1 200"));
        drop(silent);
        let freed = async { while probe("127.0.0.1", address).await.is_empty() {} };
        tokio::time::timeout(Duration::from_secs(30), freed).await.unwrap();
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_ends() {
        let (mut theirs, ours) = tokio::io::duplex(16);
        let mut limited = IdleTimeout::new(ours);
        tokio::time::advance(IDLE - Duration::from_secs(1)).await;
        theirs.write_all(b"x").await.unwrap();
        assert_eq!(limited.read_u8().await.unwrap(), b'x');
        let began = Instant::now();
        assert_eq!(limited.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= IDLE);
    }
}
