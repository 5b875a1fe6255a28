//! Tests of the lab from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hardware;
mod maas;
mod machines;
mod networks;
mod replay;
#[path = "../../../xtask/shared/tier.rs"]
mod tier;
