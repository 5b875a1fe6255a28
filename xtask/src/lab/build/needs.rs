//! The tools that the lab's build drives, beside those that a node's programs and root image are built with.

use anyhow::{Result, bail};
use ferrogate_image::needs::{self, Needs, PROGRAMS, ROOT_IMAGE, Sign, is_root};

/// What a kernel is built with.
const KERNEL: Needs = &[
    (Sign::Program("dpkg-deb"), "dpkg"),
    (Sign::Program("gcc"), "gcc"),
    (Sign::Program("make"), "make"),
    (Sign::Program("strip"), "binutils"),
    (Sign::Program("bc"), "bc"),
    (Sign::Program("flex"), "flex"),
    (Sign::Program("bison"), "bison"),
    (Sign::Program("xz"), "xz-utils"),
    (Sign::File("/usr/include/stdio.h"), "libc6-dev"),
];
/// What builds and boots the kernel of virtual machines beside that: its build has a tool that reads its objects.
const QEMU: Needs =
    &[(Sign::File("/usr/include/gelf.h"), "libelf-dev"), (Sign::Program("qemu-system-x86_64"), "qemu-system-x86")];

/// Makes sure that everything is there.
///
/// # Errors
/// Names what is missing and how to get it.
pub(super) fn prepare(may_install: bool, virtual_machines: bool) -> Result<()> {
    needs::go()?;
    bring(&[KERNEL, ROOT_IMAGE, PROGRAMS, if virtual_machines { QEMU } else { &[] }], may_install)
}

/// Makes sure that everything is there that a machine is built with.
///
/// # Errors
/// Names what is missing and how to get it.
pub(super) fn prepare_machine(may_install: bool) -> Result<()> {
    bring(&[KERNEL, ROOT_IMAGE, QEMU], may_install)
}

fn bring(needs: &[Needs], may_install: bool) -> Result<()> {
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
    Ok(needs::bring(needs, may_install)?)
}
