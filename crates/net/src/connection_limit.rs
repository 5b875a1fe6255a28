//! How many connections may be open, all together and from each source: one stranger must not be able to take them all.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Who is counted as one source: an IPv6 address with its whole network of 64 bits, because one host has them all.
#[must_use]
pub fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// So many connections at once, and so many of them from one source.
#[derive(Debug)]
pub struct ConnectionLimit {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of sources that have at least one, so it is never larger than the limit.
    by: HashMap<IpAddr, usize>,
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    /// All permits are taken.
    Total,
    /// This source has as many as one source may.
    Source,
}

/// The right to one connection; dropping it gives it back.
#[derive(Debug)]
pub struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
    source: IpAddr,
}

impl ConnectionLimit {
    /// `all` connections, of which one source has at most `each`.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, taken: Mutex::default() })
    }

    /// Takes a permit for whoever comes from this address.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn acquire(self: &Arc<Self>, from: IpAddr) -> Result<ConnectionPermit, LimitReached> {
        let source = source(from);
        let mut taken = self.taken();
        if taken.all >= self.all {
            return Err(LimitReached::Total);
        }
        let has = taken.by.get(&source).copied().unwrap_or_default();
        if has >= self.each {
            return Err(LimitReached::Source);
        }
        taken.by.insert(source, has + 1);
        taken.all += 1;
        Ok(ConnectionPermit { limit: Arc::clone(self), source })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.limit.taken();
        taken.all -= 1;
        if let Some(has) = taken.by.get_mut(&self.source) {
            *has -= 1;
            if *has == 0 {
                taken.by.remove(&self.source);
            }
        }
    }
}

/// A connection that has its permit for as long as it is open, whoever holds it: also after an upgrade, when nobody serves
/// requests on it any more.
#[derive(Debug)]
pub struct LimitedStream<S> {
    io: S,
    _permit: ConnectionPermit,
}

impl<S> LimitedStream<S> {
    /// This connection has this permit.
    pub fn new(io: S, permit: ConnectionPermit) -> Self {
        Self { io, _permit: permit }
    }

    /// The connection.
    pub fn get_ref(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_cannot_be_many_sources() {
        let source = |text: &str| source(address(text));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn one_source_cannot_take_every_permit_and_gives_back_what_it_had() {
        let limit = ConnectionLimit::new(3, 2);
        let one = limit.acquire(address("2001:db8::1")).unwrap();
        let two = limit.acquire(address("2001:db8::2")).unwrap();
        assert_eq!(limit.acquire(address("2001:db8::3")).unwrap_err(), LimitReached::Source);
        let other = limit.acquire(address("192.0.2.1")).unwrap();
        assert_eq!(limit.acquire(address("192.0.2.2")).unwrap_err(), LimitReached::Total);
        drop(one);
        let again = limit.acquire(address("2001:db8::3")).unwrap();
        drop((two, other, again));
        let taken = limit.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0), "nobody is remembered");
    }

    #[test]
    fn a_connection_has_its_permit_until_it_is_closed() {
        let limit = ConnectionLimit::new(1, 1);
        let limited = LimitedStream::new(tokio::io::empty(), limit.acquire(address("192.0.2.1")).unwrap());
        let boxed: Box<dyn AsyncRead> = Box::new(limited);
        assert!(limit.acquire(address("192.0.2.2")).is_err());
        drop(boxed);
        assert!(limit.acquire(address("192.0.2.2")).is_ok());
    }
}
