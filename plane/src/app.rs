//! What the plane does, a file a noun: between the handlers, which know HTTP, and the store, which knows SQL.

pub(crate) mod accounts;
pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod clusters;
pub(crate) mod credentials;
pub(crate) mod events;
pub(crate) mod gateways;
pub(crate) mod health;
pub(crate) mod install;
pub(crate) mod install_token;
pub(crate) mod kubeconfig;
pub(crate) mod maas;
pub(crate) mod machines;
pub(crate) mod materials;
pub(crate) mod nodes;
pub(crate) mod operations;
pub(crate) mod orphans;
pub(crate) mod pairing;
pub(crate) mod pairing_codes;
pub(crate) mod password_change;
pub(crate) mod plan;
pub(crate) mod proxy;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod wire;

#[cfg(test)]
mod rights_tests;
