//! `cargo xtask lab`: what the lab is made of.

pub(crate) mod build;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Lab {
    /// Builds kernel, root image, Kubernetes bundle and container images; what is there already is kept
    Build {
        #[command(flatten)]
        options: build::Options,
    },
}

/// Runs one of the lab's commands.
pub(crate) fn run(command: &Lab) -> Result<()> {
    match command {
        Lab::Build { options } => build::run(options),
    }
}
