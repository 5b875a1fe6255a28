//! Connections, proxies, TLS and HTTP over a network inside this process, and over loopback sockets where sockets matter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod certificates;
mod client;
mod client_faults;
mod client_ways;
mod direct;
mod network;
mod proxy;
mod support;
mod tls;
