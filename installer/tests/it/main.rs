//! The installer as a whole: against a simulated MAAS whose machines obey their cloud-config, and a plane that answers
//! what an installer asks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod back;
mod config;
mod install;
mod plane;
mod resume;
mod screen;
mod terminal;
mod world;
