//! Tests of the lab from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod maas;
mod machines;
mod networks;
mod replay;
mod uml;
