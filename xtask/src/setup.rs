//! What the tests need beside Rust. Debian packages are installed where we are root, else named.

use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// What the tests found to run against.
pub(crate) struct Tiers {
    /// A PostgreSQL server can be started.
    pub(crate) postgres: bool,
    /// The real `kubectl` is there.
    pub(crate) kubectl: bool,
}

impl Tiers {
    #[expect(clippy::print_stdout, reason = "this is what the person asked for")]
    pub(crate) fn print(&self) {
        let word = |there| if there { "ran" } else { "left out: not installed" };
        println!(
            "tiers: unit and contract tests on SQLite: ran; PostgreSQL: {}; real kubectl: {}",
            word(self.postgres),
            word(self.kubectl)
        );
    }
}

fn has_postgres() -> bool {
    std::fs::read_dir("/usr/lib/postgresql")
        .is_ok_and(|versions| versions.flatten().any(|version| version.path().join("bin/initdb").exists()))
}

/// Whether a program of this name is found.
pub(crate) fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()))
}

/// Whether we may do everything.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Installs Debian packages; `false` when apt did not.
pub(crate) fn install(packages: &[&str]) -> bool {
    let apt = |args: &[&str]| {
        Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").status().is_ok_and(|s| s.success())
    };
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&["update"]) && apt(&arguments)
}

/// Looks for what the tests use; installs what is missing where that is possible.
///
/// # Errors
/// When root could not install what is missing: a silent gap in the tests would look like success.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn prepare(may_install: bool) -> Result<Tiers> {
    let mut missing = Vec::new();
    if !has_postgres() {
        missing.push("postgresql");
    }
    if !has_program("kubectl") {
        missing.push("kubernetes-client");
    }
    if !missing.is_empty() {
        let list = missing.join(" ");
        if may_install && is_root() && Path::new("/usr/bin/apt-get").exists() {
            eprintln!("installing Debian packages for the tests: {list}");
            if !install(&missing) {
                bail!(
                    "could not install {list}; install them by hand, or run with --no-install to leave their tests out"
                );
            }
        } else {
            eprintln!("tests that need these Debian packages are left out: {list} (as root: apt-get install {list})");
        }
    }
    Ok(Tiers { postgres: has_postgres(), kubectl: has_program("kubectl") })
}
