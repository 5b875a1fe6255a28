//! How the simulated MAAS behaves where recordings cannot show it: time, races, faults, machines.

mod addresses;
mod faults;
mod fixture;
mod junk;
mod lifecycle;
mod metadata;
mod permissions;
