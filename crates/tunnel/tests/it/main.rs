//! The tunnel, both ends, over a network in memory whose clock the tests own.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod carriers;
mod healing;
mod identity;
mod isolation;
mod support;
mod targets;
