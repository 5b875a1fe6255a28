//! What bytes travel on.

pub mod websocket;
