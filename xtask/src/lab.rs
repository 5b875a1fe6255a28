//! `cargo xtask lab`: builds what the lab is made of, and hands everything else to the lab's own program.

pub(crate) mod build;

use crate::run::{cargo, must, target_dir};
use crate::setup;
use anyhow::{Result, bail};
use clap::Subcommand;
use std::{collections::BTreeSet, ffi::OsString, os::unix::process::CommandExt, process::Command};

#[derive(Subcommand)]
pub(crate) enum Lab {
    /// Builds kernel, root image, Kubernetes bundle and container images; what is there already is kept
    Build {
        #[command(flatten)]
        options: build::Options,
    },
    /// The lab's program, built first: up, status, ssh, console, cut, power-on, partition, run, leftovers, down, serve, test
    #[command(external_subcommand)]
    Program(Vec<OsString>),
}

/// Runs one of the lab's commands.
pub(crate) fn run(command: &Lab) -> Result<()> {
    match command {
        Lab::Build { options } => build::run(options),
        Lab::Program(args) => program(args),
    }
}

/// Commands that start machines, and so need what machines are made of.
const START_MACHINES: [&str; 3] = ["up", "test", "serve"];

/// Whether these arguments ask for machines that QEMU runs.
fn wants_virtual_machines(args: &[OsString]) -> bool {
    ["kvm", "emulated"].iter().any(|kind| names(args, "--backend", kind))
}

/// Whether an option has this value.
fn names(args: &[OsString], option: &str, value: &str) -> bool {
    let whole = format!("{option}={value}");
    args.iter().any(|arg| *arg == *whole.as_str()) || args.windows(2).any(|two| two[0] == *option && two[1] == *value)
}

/// Builds the lab's programs and the one that is tried in it, and becomes the one that was asked for.
fn program(args: &[OsString]) -> Result<()> {
    let asks = args.iter().any(|arg| ["--help", "-h", "--list"].iter().any(|word| arg == word));
    if !asks && args.first().is_some_and(|command| START_MACHINES.iter().any(|word| command == word)) {
        let scenarios = args.first().is_some_and(|command| command == "test");
        setup::prepare_lab(scenarios || names(args, "--way-out", "proxy"), scenarios)?;
        build::ensure(&build::Options { pc_kernel: wants_virtual_machines(args), ..build::Options::default() })?;
    }
    // The scenarios are a program of their own, which starts the lab's.
    let (name, args) = match args.split_first() {
        Some((command, args)) if command == "test" => ("ferrogate-tests", args),
        _ => ("ferrogate-lab", args),
    };
    let packages =
        BTreeSet::from(["ferrogate", "ferrogate-lab", name]).into_iter().flat_map(|name| ["--package", name]);
    must(cargo().args(["build", "--quiet", "--bins"]).args(packages), "building the lab's programs")?;
    let program = target_dir()?.join("debug").join(name);
    // Nothing of ours is left between the person and the program: signals and exit codes are its own.
    let error = Command::new(&program).args(args).exec();
    bail!("{} could not be started: {error}", program.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_of_virtual_machines_is_built_for_those_who_ask_for_them() {
        let asks = |line: &str| wants_virtual_machines(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asks("up --backend kvm") && asks("test --only a -- --backend=emulated"));
        assert!(!asks("up --backend uml") && !asks("up --site kvm"));
    }
}
