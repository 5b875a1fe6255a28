//! The nouns of Ferrogate: ids, names, states and their transitions, settings that travel between the parts, and the
//! questions every error answers. Nothing here does input or output.
//!
//! The words are those of the field (gateway, plane, cluster, cloud account, pairing code …); other crates add what they
//! do, never another name for the same thing.

pub mod address;
pub mod allow;
pub mod clock;
pub mod cluster;
pub mod fault;
pub mod id;
pub mod image;
pub mod name;
pub mod proxy;
pub mod release;
pub mod state;

pub use clock::{Clock, SystemClock};
pub use fault::{Explain, Fault, Retry};
pub use id::{
    AccountId, ClusterId, EnrolmentId, EventId, GatewayId, NodeId, OperationId, OrphanId, PairingCodeId, SessionId,
    SystemId, TenantId, TokenId, UserId,
};
pub use image::ImageRef;
pub use name::Name;

/// The point in time type used everywhere; always UTC.
pub use jiff::Timestamp;
