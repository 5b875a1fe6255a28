//! The demo and the tests, with what they need.

use crate::run::{cargo, must, target_dir};
use crate::setup;
use crate::tiers::{self, Outcome};
use anyhow::{Context, Result};
use std::process::Command;

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
    let found = setup::prepare(!no_install)?;
    let notes = target_dir()?.join(format!("tiers-{}", std::process::id()));
    let mut command = cargo();
    command.arg("test");
    if packages.is_empty() {
        command.arg("--workspace");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    command.env(tiers::NOTES, &notes);
    match &found.machines {
        Ok(machines) => {
            command.env("FERROGATE_LAB_KERNEL", &machines.kernel);
            command.env("FERROGATE_LAB_PC_KERNEL", &machines.pc_kernel);
            command.env("FERROGATE_LAB_ROOT_IMAGE", &machines.root_image);
        }
        Err(why) => eprintln!("tests of real machines are left out: {why}"),
    }
    let passed = must(&mut command, "the tests");
    let outcome = Outcome::read(&notes);
    // Where no test of a tier was among them there is none.
    let _ = std::fs::remove_file(&notes);
    passed?;
    let outcome = outcome?;
    outcome.print(&found);
    outcome.check(&found)
}
