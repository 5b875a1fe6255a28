//! Plain TCP from this host.

use crate::connect::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use async_trait::async_trait;
use futures::{StreamExt, stream::FuturesUnordered};
use socket2::{SockRef, TcpKeepalive};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};

/// How long the next address waits for the one before it (RFC 8305 section 8 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a connection may be silent before the kernel asks whether the peer is still there, so that one waiting for an
/// answer that never comes is noticed in minutes and not in the two hours of the kernel's default.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects from this host by TCP: resolves the name, tries its addresses with a small stagger between them, and turns
/// off Nagle's delay.
#[derive(Clone, Debug, Default)]
pub struct Direct {
    hosts: BTreeMap<String, IpAddr>,
    user_timeout: Option<Duration>,
    unsent_limit: Option<u32>,
}

impl Direct {
    /// With the host's own resolver.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers these names itself, as a line in the hosts file would; names are compared without regard to case.
    #[must_use]
    pub fn with_hosts<N: Into<String>>(mut self, hosts: impl IntoIterator<Item = (N, IpAddr)>) -> Self {
        self.hosts.extend(hosts.into_iter().map(|(name, address)| (name.into().to_ascii_lowercase(), address)));
        self
    }

    /// Gives a connection up when sent data stays unacknowledged for this long (`TCP_USER_TIMEOUT`), so that a peer that
    /// went away without a word is noticed; without it the kernel retransmits for about 15 minutes.
    #[must_use]
    pub const fn with_user_timeout(mut self, timeout: Duration) -> Self {
        self.user_timeout = Some(timeout);
        self
    }

    /// Lets at most this many bytes lie unsent in the kernel (`TCP_NOTSENT_LOWAT`), so that what is written later does
    /// not wait behind them.
    #[must_use]
    pub const fn with_unsent_limit(mut self, bytes: u32) -> Self {
        self.unsent_limit = Some(bytes);
        self
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
        let known = target.address().or_else(|| self.hosts.get(&target.host.to_ascii_lowercase()).copied());
        if let Some(address) = known {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let addresses: Vec<_> = found.map_err(|error| fail(target, ConnectFailure::Dns, error.to_string()))?.collect();
        if addresses.is_empty() {
            return Err(fail(target, ConnectFailure::Dns, "the name has no address"));
        }
        Ok(interleave(addresses))
    }

    async fn open(&self, target: &Target) -> Result<BoxIo, ConnectError> {
        self.race(target, self.resolve(target).await?).await
    }

    /// The first address that answers wins. Each starts a little after the one before it, or as soon as that has failed.
    async fn race(&self, target: &Target, addresses: Vec<SocketAddr>) -> Result<BoxIo, ConnectError> {
        let mut waiting = addresses.into_iter();
        let mut running = FuturesUnordered::new();
        let mut last = fail(target, ConnectFailure::Dns, "the name has no address");
        let mut next_start = Instant::now();
        loop {
            if waiting.len() == 0 && running.is_empty() {
                return Err(last);
            }
            tokio::select! {
                () = tokio::time::sleep_until(next_start), if waiting.len() > 0 => {
                    if let Some(address) = waiting.next() {
                        running.push(async move { (address, TcpStream::connect(address).await) });
                    }
                    next_start = Instant::now() + STAGGER;
                }
                Some((address, result)) = running.next(), if !running.is_empty() => match result {
                    Ok(stream) => return self.prepare(stream).map_err(|error| from_io(target, address, &error)),
                    Err(error) => {
                        last = from_io(target, address, &error);
                        next_start = Instant::now();
                    }
                }
            }
        }
    }

    fn prepare(&self, stream: TcpStream) -> io::Result<BoxIo> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 2))?;
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        if let Some(bytes) = self.unsent_limit {
            socket.set_tcp_notsent_lowat(bytes)?;
        }
        Ok(Box::new(stream))
    }
}

#[async_trait]
impl Connector for Direct {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        tokio::time::timeout(deadline, self.open(target)).await.unwrap_or_else(|_| {
            Err(fail(target, ConnectFailure::Timeout, format!("no answer within {} s", deadline.as_secs_f32())))
        })
    }
}

/// One of each family in turn, the resolver's first family first.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut others = others.into_iter();
    let mut all = Vec::new();
    for address in ours {
        all.push(address);
        all.extend(others.next());
    }
    all.extend(others);
    all
}

fn fail(target: &Target, failure: ConnectFailure, detail: impl Into<String>) -> ConnectError {
    ConnectError { failure, target: target.clone(), via: None, detail: detail.into() }
}

fn from_io(target: &Target, address: SocketAddr, error: &io::Error) -> ConnectError {
    let (failure, words) = ConnectFailure::of_io(error);
    let detail = if target.address().is_some() { words } else { format!("{words} ({})", address.ip()) };
    fail(target, failure, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let shut = SocketAddr::new("127.0.0.2".parse().unwrap(), open.port());
        let target = Target::new("twice.lab", open.port());
        Direct::new().race(&target, vec![shut, shut, open]).await.unwrap();
        let error = Direct::new().race(&target, vec![shut, shut]).await.unwrap_err();
        assert_eq!(error.detail, "nothing listens there (127.0.0.2)");
    }

    #[test]
    fn the_two_address_families_take_turns() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(
            interleave(list(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "1.1.1.2:1"])),
            list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"])
        );
    }
}
