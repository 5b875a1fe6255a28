//! Benchmarks. Each compares with a peer in the same run and prints ratios: absolute figures of a shared machine mean little.

use crate::run::{cargo, must};
use anyhow::Result;

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum What {
    /// The tunnel against a raw TLS relay.
    Tunnel,
}

/// Builds with optimisation and measures.
pub(crate) fn run(what: What, args: &[String]) -> Result<()> {
    let package = match what {
        What::Tunnel => "ferrogate-tunnel",
    };
    // Without LTO the build takes a quarter of the time; both sides of the comparison lose alike.
    must(
        cargo()
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .args(["run", "--quiet", "--release", "--package", package, "--example", "bench", "--"])
            .args(args),
        "the benchmark",
    )
}
