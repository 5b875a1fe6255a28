//! The plane, from the outside: whole over real sockets, and its reconcilers against a simulated site.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod artifacts;
mod events;
mod fixture;
mod force;
mod kubectl;
mod listener;
mod pairing;
mod people;
mod plane;
mod revocation;
mod routes;

mod streams;
mod tasks;
mod tunnel;
