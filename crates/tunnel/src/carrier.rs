//! What the tunnel's bytes travel on: a byte stream (raw TLS, or binary WebSocket messages), batched, and multiplexed.

pub(crate) mod activity;
pub(crate) mod batch;
pub(crate) mod link;
pub(crate) mod mux;
pub(crate) mod stream;
pub mod websocket;
