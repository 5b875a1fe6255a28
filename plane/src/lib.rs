//! The management plane: one process with the HTTP API, the tunnel's hub and the reconcilers.
//!
//! Inside: `http` (a file a noun, thin) calls `app` (a file a noun, the behaviour) calls the store, never around.
//! `tasks` compares what should be with what MAAS and Kubernetes say, and acts. Nothing else acts on a site.

mod app;
mod auth;
mod console;
pub mod context;
mod failure;
mod files;
mod http;
mod identities;
mod kubernetes;
mod metrics;
mod node_connections;
mod peer;
mod roles;
pub mod server;
pub mod site_network;
mod start_error;
pub mod tasks;

pub use context::Context;
pub use http::openapi;
pub use server::{CertificateFiles, Options, Running, Server, StartError};
pub use site_network::SiteNetwork;
