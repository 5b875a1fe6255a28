//! The client against recorded answers of a real MAAS, and against everything that may stand in its place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod behaviour;
mod failures;
mod recorded;
mod recordings;
mod reservations;
mod server;
mod simulated;
