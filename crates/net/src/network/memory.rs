//! Listeners and connections that exist only in this process.

use super::BACKLOG;
use crate::connect::BoxIo;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::{
    io::DuplexStream,
    sync::{Mutex as AsyncMutex, mpsc},
};

/// Bytes each direction holds before the writer waits.
const PIPE: usize = 64 * 1024;

type Arrival = (DuplexStream, SocketAddr);

#[derive(Debug)]
pub(super) struct Memory {
    listeners: Mutex<HashMap<SocketAddr, mpsc::Sender<Arrival>>>,
    /// The next port handed out, to a listener that asked for any or to a connection's near end.
    next_port: AtomicU16,
}

impl Default for Memory {
    fn default() -> Self {
        // The ephemeral range of RFC 6335 starts here.
        Self { listeners: Mutex::default(), next_port: AtomicU16::new(49_152) }
    }
}

impl Memory {
    pub(super) fn listen(memory: &Arc<Self>, mut address: SocketAddr) -> io::Result<MemoryListener> {
        let mut listeners = memory.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if address.port() == 0 {
            address.set_port(memory.port());
            while listeners.contains_key(&address) {
                address.set_port(memory.port());
            }
        }
        if listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, receiver) = mpsc::channel(usize::from(BACKLOG));
        listeners.insert(address, sender);
        Ok(MemoryListener { address, memory: Arc::clone(memory), arrivals: AsyncMutex::new(receiver) })
    }

    /// `None` where nobody listens. Waits while the listener's queue is full.
    pub(super) async fn connect(&self, address: SocketAddr) -> Option<BoxIo> {
        let everywhere: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let sender = {
            let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            let wild = SocketAddr::new(everywhere, address.port());
            listeners.get(&address).or_else(|| listeners.get(&wild))?.clone()
        };
        let (near, far) = tokio::io::duplex(PIPE);
        let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port());
        sender.send((far, peer)).await.ok()?;
        Some(Box::new(near))
    }

    fn port(&self) -> u16 {
        let port = self.next_port.fetch_add(1, Ordering::Relaxed);
        port.max(1024)
    }
}

#[derive(Debug)]
pub(super) struct MemoryListener {
    address: SocketAddr,
    memory: Arc<Memory>,
    arrivals: AsyncMutex<mpsc::Receiver<Arrival>>,
}

impl MemoryListener {
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn accept(&self) -> io::Result<(BoxIo, SocketAddr)> {
        let (io, peer) = self.arrivals.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((Box::new(io), peer))
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.memory.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
    }
}
