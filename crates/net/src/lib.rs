//! Getting bytes from here to there: connectors (direct, through a forward proxy, through a tunnel), TLS trust, and an
//! HTTP client over any of them. Everything in Ferrogate that opens a connection opens it through [`Connector`], so that
//! the MAAS client, the Kubernetes client and the plane's own client run unchanged over a socket, a proxy or a tunnel.

pub mod connect;

pub use connect::{BoxIo, ConnectError, ConnectFailure, Connector, Io, Target};
