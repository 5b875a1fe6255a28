//! The reconcilers, run by run, on a store of their own and against the simulated MAAS.

mod clusters;
mod deletion;
mod end_to_end;
mod gateways;
mod half_told;
mod harness;
mod housekeeping;
