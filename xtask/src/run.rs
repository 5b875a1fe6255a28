//! Starting other programs: cargo, the demo, the tests.

use crate::setup;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output().context("asking cargo")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    Ok(metadata["target_directory"].as_str().context("cargo names no target folder")?.into())
}

/// Runs a program to its end; anything but success is an error that names it.
pub(crate) fn must(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {what}"))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// The demo: builds the one binary, then lets it speak for itself.
pub(crate) fn demo(args: &[String]) -> Result<()> {
    must(cargo().args(["build", "--quiet", "--package", "ferrogate"]), "building ferrogate")?;
    let program = target_dir()?.join("debug/ferrogate");
    let status = Command::new(program).arg("demo").args(args).status().context("starting the demo")?;
    // The demo has said what is wrong; only its exit code is left to pass on.
    std::process::exit(status.code().unwrap_or(1));
}

/// All tests, after what they need is there.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn test(packages: &[String], no_install: bool) -> Result<()> {
    let tiers = setup::prepare(!no_install)?;
    let mut command = cargo();
    command.arg("test");
    if packages.is_empty() {
        command.arg("--workspace");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    if tiers.postgres {
        command.env("FERROGATE_TEST_POSTGRES", "require");
    }
    match &tiers.machines {
        Ok(machines) => {
            command.env("FERROGATE_LAB_KERNEL", &machines.kernel);
            command.env("FERROGATE_LAB_ROOT_IMAGE", &machines.root_image);
        }
        Err(why) => eprintln!("tests of real machines are left out: {why}"),
    }
    must(&mut command, "the tests")?;
    tiers.print();
    Ok(())
}
