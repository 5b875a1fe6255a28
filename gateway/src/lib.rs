//! A gateway node: reads its configuration, keeps its key, runs the tunnel's agent and the admin endpoints.
//!
//! The gateway only carries. It holds no business logic, no database and no MAAS key; what the plane may reach is
//! written in its own file.

mod admin;
pub mod config;
mod credentials;
pub mod doctor;
mod metrics;
mod node;

pub use ferrogate_tunnel::Resolver;
pub use node::{RunError, RunOptions, run};

/// The gateway's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
