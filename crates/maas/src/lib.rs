//! A typed client of the MAAS API 2.0, for every call Ferrogate needs and no other.
//!
//! It runs over any [`ferrogate_net::Connector`], so the installer uses it directly and the plane through a gateway's
//! tunnel. It is the only place that knows OAuth, MAAS's paths and MAAS's words. It decides nothing: which machine to take
//! and when to give it back is the business of `engine`.

pub mod client;
mod date;
pub mod endpoint;
pub mod error;
mod form;
pub mod key;
mod oauth;
pub mod request;
pub mod types;

pub use client::{Client, ClientOptions};
pub use endpoint::{BadEndpoint, Endpoint, Repair};
pub use error::{MaasError, MaasFailure};
pub use key::{ApiKey, BadApiKey};
pub use request::{
    Allocate, CreateDnsResource, Deploy, DnsResourceFilter, EventFilter, MachineFilter, Release, ReserveIp,
    UpdateDnsResource, UpdateMachine,
};
