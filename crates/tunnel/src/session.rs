//! The rules of a session, without input or output: every function takes `now` (and chance) as an argument, so that
//! hours of reconnecting can be tested in microseconds.

pub(crate) mod admission;
pub(crate) mod conversation;
pub(crate) mod handshake;
pub(crate) mod reconnect;
pub(crate) mod registry;
