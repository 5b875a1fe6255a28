//! Getting bytes from here to there: connectors (direct, through a forward proxy, through a tunnel), TLS trust, and an
//! HTTP client over any of them. What may have to go through a tunnel opens its connections through [`Connector`], so that
//! the MAAS client and the Kubernetes client run unchanged over a socket, a proxy or a tunnel. The API's client never does
//! and uses an ordinary HTTP library, with the trust and the words for errors of this crate.
//!
//! It knows no MAAS, no Kubernetes and no tunnel: those crates bring their own [`Connector`] or use one.

pub mod client;
pub mod connect;
pub mod connection_limit;
pub mod direct;
pub mod network;
pub mod proxy;
pub mod tls;
pub mod trust;

pub use client::{BodyStream, HttpClient, HttpClientBuilder, HttpError, HttpFailure, Limits};
pub use connect::{BoxIo, ConnectError, ConnectFailure, Connector, Io, Target};
pub use connection_limit::{ConnectionLimit, ConnectionPermit, LimitReached, LimitedStream};
pub use direct::Direct;
pub use network::{Listener, Network};
pub use proxy::ViaProxy;
pub use tls::{connect_tls, explain_tls};
pub use trust::{Fingerprint, Trust, TrustError};
