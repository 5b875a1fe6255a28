//! What the plane remembers: tenants, users, gateways, clusters and everything about them, in SQLite or PostgreSQL.
//!
//! One module a noun, each with its plain record and its functions. A function's first argument is where it runs: `&Store`
//! for a statement of its own, `&mut Tx` for one step of several (see [`Store::begin`]). One SQL text serves both databases.
//! Secrets are sealed before they reach the database (see [`seal`]). Points in time are kept in milliseconds.
//!
//! No decisions are made here beyond what only a database can decide: that a code is used once, that a name is taken once,
//! that a change was made to what its author saw.

pub mod accounts;
pub mod audit;
pub mod clusters;
pub mod enrolment;
pub mod events;
pub mod gateway_nodes;
pub mod gateways;
pub mod leases;
pub mod machines;
pub mod operations;
pub mod orphans;
pub mod pairing_codes;
pub mod seal;
pub mod sessions;
pub mod settings;
pub mod tenants;
pub mod tokens;
pub mod users;

mod database;
mod error;
mod hash;
mod maker;
mod migrate;
mod page;
mod sql;
mod subject;

pub use database::{Store, Tx};
pub use error::StoreError;
pub use hash::SecretHash;
pub use maker::Maker;
pub use page::{List, Page};
pub use seal::MasterKey;
pub use sql::Db;
pub use subject::{Subject, SubjectKind};
