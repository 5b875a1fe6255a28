//! The messages of the tunnel.
//!
//! A carrier begins with the handshake, in frames of a 16-bit length and JSON:
//! `Hello` → `Challenge` → `Proof` → `Welcome` (or `Refused` at any point). Then both ends speak yamux on it. The
//! gateway opens the first stream, the *control channel* (same frames: pings, figures, go-away); the plane opens all
//! others, each with an [`open::OpenRequest`] that is answered before bytes flow.
//!
//! Fields that are not known are ignored, so that either end may be newer; what must be understood by both raises the
//! protocol version.

pub(crate) mod control;
pub(crate) mod frame;
pub(crate) mod hello;
pub(crate) mod open;
