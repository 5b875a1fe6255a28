//! The tools that a build drives. Debian packages are installed where we are root, else named.

use crate::error::{BuildError, Result};
use std::path::Path;
use std::process::Command;

/// How to tell that a package is there.
#[derive(Clone, Copy, Debug)]
pub enum Sign {
    /// A program of this name is found.
    Program(&'static str),
    /// This file is there.
    File(&'static str),
}

/// Signs and the Debian packages they are of.
pub type Needs = &'static [(Sign, &'static str)];

/// What a root tree and a root image are built with.
pub const ROOT_IMAGE: Needs = &[
    (Sign::Program("mmdebstrap"), "mmdebstrap"),
    (Sign::Program("mkfs.ext4"), "e2fsprogs"),
    (Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg"), "debian-archive-keyring"),
];
/// What Kubernetes and the container images are built with, beside Go.
pub const PROGRAMS: Needs = &[
    (Sign::Program("zstd"), "zstd"),
    (Sign::Program("gcc"), "gcc"),
    (Sign::File("/usr/include/stdio.h"), "libc6-dev"),
    (Sign::Program("pkg-config"), "pkg-config"),
    (Sign::File("/usr/include/seccomp.h"), "libseccomp-dev"),
    (Sign::File("/etc/ssl/certs/ca-certificates.crt"), "ca-certificates"),
];

/// Whether a program of this name is found.
#[must_use]
pub fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()))
}

/// Whether a program is found, also where root's `PATH` does not lead.
#[must_use]
pub fn has_system_program(name: &str) -> bool {
    has_program(name) || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).exists())
}

/// Whether we may do everything.
#[must_use]
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Installs Debian packages; `false` when apt did not.
#[must_use]
pub fn install(packages: &[&str]) -> bool {
    let apt = |args: &[&str]| {
        Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").status().is_ok_and(|s| s.success())
    };
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&["update"]) && apt(&arguments)
}

fn missing(needs: &[Needs]) -> Vec<&'static str> {
    let there = |sign: &Sign| match sign {
        Sign::Program(name) => has_system_program(name),
        Sign::File(path) => Path::new(path).exists(),
    };
    let mut packages: Vec<_> =
        needs.iter().copied().flatten().filter(|(sign, _)| !there(sign)).map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Makes sure that Go is there, which programs are built with.
///
/// # Errors
/// When it is not: no package of a distribution is new enough, so a person installs it.
pub fn go() -> Result<()> {
    if !has_program("go") {
        return Err(BuildError::new("there is no Go, and Kubernetes is built from its sources")
            .with_hint("install Go 1.26 or newer and put `go` on the PATH"));
    }
    Ok(())
}

/// Makes sure that everything is there.
///
/// # Errors
/// Names what is missing and how to get it.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub fn bring(needs: &[Needs], may_install: bool) -> Result<()> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    let list = absent.join(" ");
    if !may_install || !is_root() || !has_program("apt-get") {
        return Err(BuildError::new(format!("these Debian packages are missing: {list}"))
            .with_hint(format!("as root: apt-get install {list}")));
    }
    eprintln!("installing Debian packages for the build: {list}");
    if !install(&absent) || !missing(needs).is_empty() {
        return Err(
            BuildError::new(format!("could not install {list}")).with_hint("install them by hand, then start again")
        );
    }
    Ok(())
}
