//! A gateway node as it is started on a machine: files, ports, a plane on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod binary;
mod node;
mod support;
