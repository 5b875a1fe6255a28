//! A tiny forward proxy: CONNECT only, with a password where it is given one.

use ferrogate_net::{BoxIo, Network, Target};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

/// Where it listens.
pub(crate) const PROXY: &str = "10.20.0.3:3128";

pub(crate) struct Proxy {
    _listening: JoinSet<()>,
    /// Connections it has carried.
    pub(crate) carried: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy that wants this `Proxy-Authorization`, if any.
    pub(crate) fn start(network: &Network, authorization: Option<&'static str>) -> Self {
        let listener = network.listen(PROXY.parse().unwrap()).unwrap();
        let carried = Arc::new(AtomicUsize::new(0));
        let (count, network) = (carried.clone(), network.clone());
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((io, _)) = listener.accept().await {
                let (network, count) = (network.clone(), count.clone());
                connections.spawn(async move { carry(io, &network, authorization, &count).await });
            }
        });
        Self { _listening: listening, carried }
    }
}

async fn carry(mut io: BoxIo, network: &Network, authorization: Option<&str>, count: &AtomicUsize) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let wanted = authorization.map(|text| format!("proxy-authorization: {}", text.to_ascii_lowercase()));
    let allowed = wanted.is_none_or(|wanted| head.lines().any(|line| line.to_ascii_lowercase() == wanted));
    if !allowed {
        io.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
        )
        .await
        .ok()?;
        return None;
    }
    let authority = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let target = Target::new(host, port.parse().ok()?);
    let Ok(mut far) = network.connector().connect(&target, Duration::from_secs(10)).await else {
        io.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        return None;
    };
    io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    count.fetch_add(1, Ordering::Relaxed);
    let _ = tokio::io::copy_bidirectional(&mut io, &mut far).await;
    Some(())
}
