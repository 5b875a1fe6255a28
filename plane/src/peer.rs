//! Where a request came from.

use std::net::SocketAddr;

/// The address a request came from, as an extension of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);
