//! The engine against the simulated MAAS, in memory and on a paused clock.

mod heal;
mod kill;
mod kubernetes;
mod scale;
mod world;
