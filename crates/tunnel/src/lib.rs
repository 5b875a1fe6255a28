//! The tunnel between the plane and a gateway: carriers (TLS or WebSocket), streams multiplexed on them, the state
//! machines of a session, the plane's [`Hub`] and the gateway's [`Agent`].
//!
//! Every connection is opened outward by the gateway; every stream is opened by the plane. A gateway never listens and
//! never decides: it authenticates, keeps its carriers up, checks its [`AllowList`], and dials.
//!
//! What happens on the wire, and why, is written where it is done: (messages), (state machines
//! without input or output), [`carrier`] (byte streams and the multiplexer), [`hub`] and [`agent`] (the two ends).

pub mod agent;
pub mod allow;
pub mod authenticate;
pub mod carrier;
pub mod hub;
pub mod key;
pub(crate) mod relay;
pub(crate) mod session;
pub mod socket;
pub(crate) mod wire;

pub use agent::{
    Agent, AgentEnd, AgentOptions, AgentStatus, Credentials, DialCount, DialMaterial, Figures, Identity, ProbeStep,
    probe,
};
pub use allow::{AllowList, BadAllowRule, Resolver, SystemResolver};
pub use authenticate::{Authenticator, EnrolRefused, Enrolment, KnownNode, Unavailable};
pub use hub::{DisconnectReason, DrainScope, Hub, HubEvent, HubOptions, NodeStatus};
pub use key::{KeyError, NodeKey, PublicKey};

/// What a gateway offers in the TLS handshake (ALPN) and a plane answers when nothing stands between them.
pub const ALPN: &[u8] = b"ferrogate/1";
/// Path of the WebSocket upgrade, for everything that answers `http/1.1` instead of [`ALPN`].
pub const WEBSOCKET_PATH: &str = "/tunnel";
/// Label of the TLS exporter (RFC 8446 §7.5) that ties a node's proof to its TLS session.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-ferrogate-node-proof-1";
