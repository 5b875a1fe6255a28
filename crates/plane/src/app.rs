//! What the plane does, a file a noun: between the handlers, which know HTTP, and the store, which knows SQL.

pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod health;
pub(crate) mod nodes;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod wire;
