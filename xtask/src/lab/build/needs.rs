//! The tools that the build drives. Debian packages are installed where we are root, else named.

use crate::setup::{has_program, install, is_root};
use anyhow::{Result, bail};
use std::path::Path;

/// How to tell that a package is there.
enum Sign {
    Program(&'static str),
    File(&'static str),
}

/// Signs and the Debian packages they are of: what a kernel and a root image are built with.
const MACHINE: &[(Sign, &str)] = &[
    (Sign::Program("mmdebstrap"), "mmdebstrap"),
    (Sign::Program("dpkg-deb"), "dpkg"),
    (Sign::Program("mkfs.ext4"), "e2fsprogs"),
    (Sign::Program("gcc"), "gcc"),
    (Sign::Program("make"), "make"),
    (Sign::Program("strip"), "binutils"),
    (Sign::Program("bc"), "bc"),
    (Sign::Program("flex"), "flex"),
    (Sign::Program("bison"), "bison"),
    (Sign::Program("xz"), "xz-utils"),
    (Sign::File("/usr/include/stdio.h"), "libc6-dev"),
    (Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg"), "debian-archive-keyring"),
];
/// What builds and boots the kernel of virtual machines beside that: its build has a tool that reads its objects.
const QEMU: &[(Sign, &str)] =
    &[(Sign::File("/usr/include/gelf.h"), "libelf-dev"), (Sign::Program("qemu-system-x86_64"), "qemu-system-x86")];
/// What Kubernetes and the container images are built with beside that.
const KUBERNETES: &[(Sign, &str)] = &[
    (Sign::Program("zstd"), "zstd"),
    (Sign::Program("pkg-config"), "pkg-config"),
    (Sign::File("/usr/include/seccomp.h"), "libseccomp-dev"),
    (Sign::File("/etc/ssl/certs/ca-certificates.crt"), "ca-certificates"),
];

fn missing(needs: &[&[(Sign, &'static str)]]) -> Vec<&'static str> {
    let there = |sign: &Sign| match sign {
        Sign::Program(name) => {
            has_program(name) || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).exists())
        }
        Sign::File(path) => Path::new(path).exists(),
    };
    needs.iter().copied().flatten().filter(|(sign, _)| !there(sign)).map(|(_, package)| *package).collect()
}

/// Makes sure that everything is there.
///
/// # Errors
/// Names what is missing and how to get it.
pub(super) fn prepare(may_install: bool, virtual_machines: bool) -> Result<()> {
    if !has_program("go") {
        bail!("Kubernetes is built from its sources: install Go 1.26 or newer and put `go` on the PATH");
    }
    bring(&[MACHINE, KUBERNETES, if virtual_machines { QEMU } else { &[] }], may_install)
}

/// Makes sure that everything is there that a machine is built with.
///
/// # Errors
/// Names what is missing and how to get it.
pub(super) fn prepare_machine(may_install: bool) -> Result<()> {
    bring(&[MACHINE, QEMU], may_install)
}

#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
fn bring(needs: &[&[(Sign, &'static str)]], may_install: bool) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the lab's machines are User Mode Linux, which runs on x86-64 only; this computer is {}",
            std::env::consts::ARCH
        );
    }
    if !is_root() {
        bail!(
            "the root image keeps owners and device files, which only root can make: run `cargo xtask lab build` as root (the lab itself needs root too)"
        );
    }
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    let list = absent.join(" ");
    if !may_install || !has_program("apt-get") {
        bail!("these Debian packages are missing: {list} (apt-get install {list})");
    }
    eprintln!("installing Debian packages for the lab: {list}");
    if !install(&absent) || !missing(needs).is_empty() {
        bail!("could not install {list}; install them by hand, then start again");
    }
    Ok(())
}
