//! A network to listen on and connect over: the host's sockets, or one that exists only in this process.
//!
//! Both can be cut: what crosses a cut is neither delivered nor refused, as when a firewall starts to drop packets.

mod gate;
mod memory;

use crate::{
    connect::{BoxIo, ConnectError, ConnectFailure, Connector, Target},
    direct::Direct,
};
use async_trait::async_trait;
use gate::{Gated, Gates};
use memory::{Memory, MemoryListener};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;

/// Where listeners live and connections are opened. Clones are the same network.
#[derive(Clone, Debug)]
pub struct Network {
    kind: Kind,
    gates: Gates,
    hosts: Arc<BTreeMap<String, IpAddr>>,
}

#[derive(Clone, Debug)]
enum Kind {
    Sockets,
    Loopback(Outside),
    Memory(Arc<Memory>),
}

/// What was asked for outside loopback, oldest first.
type Outside = Arc<Mutex<Vec<Target>>>;
/// The most of it that is kept.
const OUTSIDE_KEPT: usize = 100;

impl Network {
    /// The host's own TCP sockets.
    #[must_use]
    pub fn sockets() -> Self {
        Self { kind: Kind::Sockets, gates: Gates::default(), hosts: Arc::default() }
    }

    /// The host's own TCP sockets, for what imitates other computers on this one: whoever asks for an address outside
    /// loopback, or for a name that the host's resolver would have to look up, is refused and noted.
    #[must_use]
    pub fn loopback() -> Self {
        Self { kind: Kind::Loopback(Arc::default()), gates: Gates::default(), hosts: Arc::default() }
    }

    /// What was asked of a network of [`Network::loopback`] and lies outside, oldest first; the first hundred.
    #[must_use]
    pub fn outside(&self) -> Vec<Target> {
        match &self.kind {
            Kind::Loopback(outside) => outside.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            Kind::Sockets | Kind::Memory(_) => Vec::new(),
        }
    }

    /// A network inside this process: any address may be listened on, nothing leaves the process, and time may be paused.
    #[must_use]
    pub fn memory() -> Self {
        Self { kind: Kind::Memory(Arc::default()), gates: Gates::default(), hosts: Arc::default() }
    }

    /// The same network as seen by a host that knows these names.
    #[must_use]
    pub fn with_hosts<N: Into<String>>(&self, hosts: impl IntoIterator<Item = (N, IpAddr)>) -> Self {
        let mut all = (*self.hosts).clone();
        all.extend(hosts.into_iter().map(|(name, address)| (name.into().to_ascii_lowercase(), address)));
        Self { hosts: Arc::new(all), ..self.clone() }
    }

    /// Listens at `address`; port 0 takes a free one. On sockets it must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        Ok(Listener(match &self.kind {
            Kind::Sockets | Kind::Loopback(_) => ListenerKind::Socket(listen_socket(address)?),
            Kind::Memory(memory) => ListenerKind::Memory(Memory::listen(memory, address)?),
        }))
    }

    /// Opens connections over this network. In memory an address nobody listens on is refused.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.clone())
    }

    /// Cuts the way to `address` for everything that was or will be opened by [`Network::connector`]: bytes of open
    /// connections stop, neither side sees an end, and new connections wait until their deadline.
    pub fn cut(&self, address: SocketAddr) {
        self.gates.set(address, gate::State::Cut);
    }

    /// Ends a cut: held bytes flow on.
    pub fn heal(&self, address: SocketAddr) {
        self.gates.set(address, gate::State::Open);
    }

    /// Breaks every open connection to `address` with a reset; new ones can be opened.
    pub fn reset(&self, address: SocketAddr) {
        self.gates.reset(address);
    }

    fn lookup(&self, host: &str) -> Option<IpAddr> {
        host.parse().ok().or_else(|| self.hosts.get(&host.to_ascii_lowercase()).copied())
    }
}

#[async_trait]
impl Connector for Network {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        let fail = |failure, detail: &str| ConnectError {
            failure,
            target: target.clone(),
            via: None,
            detail: detail.to_owned(),
        };
        let work = async {
            let known = self.lookup(&target.host).map(|address| SocketAddr::new(address, target.port));
            if let Some(address) = known {
                self.gates.gate(address).opened().await;
            }
            if let Kind::Loopback(outside) = &self.kind
                && !known.is_some_and(|address| address.ip().is_loopback())
            {
                let mut outside = outside.lock().unwrap_or_else(PoisonError::into_inner);
                if outside.len() < OUTSIDE_KEPT {
                    outside.push(target.clone());
                }
                let failure = if known.is_some() { ConnectFailure::Unreachable } else { ConnectFailure::Dns };
                return Err(fail(failure, "nothing outside this computer is reached from here"));
            }
            match (&self.kind, known) {
                (Kind::Memory(_), None) => Err(fail(ConnectFailure::Dns, "the name has no address")),
                (Kind::Memory(memory), Some(address)) => match memory.connect(address).await {
                    Some(io) => Ok(self.gated(io, address)),
                    None => Err(fail(ConnectFailure::Refused, "nothing listens there")),
                },
                (Kind::Sockets | Kind::Loopback(_), _) => {
                    let direct = Direct::new().with_hosts(self.hosts.iter().map(|(name, ip)| (name.as_str(), *ip)));
                    let io = direct.connect(target, deadline).await?;
                    // A name that only the host's resolver knows has no one address by which it could be cut.
                    Ok(if let Some(address) = known { self.gated(io, address) } else { io })
                }
            }
        };
        tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
            Err(fail(ConnectFailure::Timeout, &format!("no answer within {} s", deadline.as_secs_f32())))
        })
    }
}

impl Network {
    fn gated(&self, io: BoxIo, address: SocketAddr) -> BoxIo {
        Box::new(Gated::new(io, self.gates.gate(address)))
    }
}

/// Waits for connections; dropping it stops listening.
#[derive(Debug)]
pub struct Listener(ListenerKind);

#[derive(Debug)]
enum ListenerKind {
    Socket(TcpListener),
    Memory(MemoryListener),
}

impl Listener {
    /// The next connection and where it comes from. Safe to drop while waiting.
    ///
    /// # Errors
    /// The host refuses, for example because too many files are open; waiting again may work.
    pub async fn accept(&self) -> io::Result<(BoxIo, SocketAddr)> {
        match &self.0 {
            ListenerKind::Socket(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    // The peer is gone already; whoever reads from it will notice. Listening goes on.
                    tracing::debug!(%peer, %error, "a connection ended as it was accepted");
                }
                Ok((Box::new(stream), peer))
            }
            ListenerKind::Memory(listener) => listener.accept().await,
        }
    }

    /// Where it listens, with the port that was taken.
    ///
    /// # Errors
    /// The host does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            ListenerKind::Socket(listener) => listener.local_addr(),
            ListenerKind::Memory(listener) => Ok(listener.address()),
        }
    }
}

/// Connections that may wait to be accepted, on sockets and in memory alike.
const BACKLOG: u16 = 1024;

fn listen_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    // A restarted server must not wait for connections of its former life to expire.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(BACKLOG))?;
    TcpListener::from_std(socket.into())
}
