//! The installer as a whole: against a simulated MAAS whose machines obey their cloud-config, and a plane that answers
//! what an installer asks.

mod back;
mod install;
mod plane;
mod world;
