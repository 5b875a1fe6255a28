//! The engine against the simulated MAAS, in memory and on a paused clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allocate;
mod cuts;
mod etcd;
mod heal;
mod hidden;
mod kill;
mod kubernetes;
mod leaving;
mod pools;
mod preflight;
mod random;
mod releases;
mod repair;
mod scale;
mod site;
mod unfiltered;
mod virtual_address;
mod world;
