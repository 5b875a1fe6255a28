//! Machines with a kernel of their own. What all hypervisors have in common is here: a fresh disk for each installation,
//! a place on the site's bridge, a CPU of this computer, a console, power, and that nothing outlives this process.
//!
//! A machine learns what to do as one that MAAS deployed does: from its disk, where to ask and with which keys; from MAAS's
//! metadata service, everything else. That it is deployed, it says itself.

mod error;
mod image;
mod launcher;
mod leftovers;
mod power;
mod probe;
mod process_group;
mod rack;
mod running;
mod screen;
mod settings;
mod slot;
pub(crate) mod sparse;

pub use error::HardwareError;
pub(crate) use image::Patch;
pub(crate) use probe::INIT;
pub(crate) use rack::{NAME_ROOM, absolute, check_path, word};
pub use rack::{Rack, RackOptions};
pub use running::RunningMachine;
#[cfg(test)]
pub(crate) use settings::example;

use crate::backend::Boot;
use async_trait::async_trait;
use ferrogate_model::SystemId;
use std::{ffi::OsString, fmt, io, os::unix::fs::FileExt as _, path::Path};

/// What a machine is started with.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// What MAAS says about it.
    pub(crate) boot: &'a Boot,
    /// Its disk; `None` where it is pulled out.
    pub(crate) disk: Option<&'a Path>,
    /// The image behind the disk.
    pub(crate) image: &'a Path,
    /// Its end of the cable.
    pub(crate) tap: &'a str,
    /// Memory in MiB.
    pub(crate) memory_mib: u64,
}

/// A way to run a kernel.
#[async_trait]
pub(crate) trait Hypervisor: Send + Sync + fmt::Debug {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// A command line that boots once from `image`, without changing it and without network, runs [`INIT`] and ends.
    fn probe(&self, image: &Path) -> Vec<OsString>;

    /// How an argument begins that is on the command line of every machine of this rack, and of nothing else.
    fn marker(&self) -> String;

    /// The command line that is a running machine: it ends when the machine is off, and its output is the console.
    fn line(&self, start: &Start<'_>) -> Vec<OsString>;

    /// Presses the power button of a running machine.
    ///
    /// # Errors
    /// Nobody felt it.
    async fn press(&self, machine: &SystemId) -> io::Result<()>;

    /// Writes a fresh disk. Blocks the thread.
    ///
    /// # Errors
    /// The disk is there already or cannot be written.
    fn fresh_disk(&self, disk: &Path, image: &Path, patches: &[Patch]) -> io::Result<()> {
        let file = sparse::copy(image, disk, 0o600)?;
        patches.iter().try_for_each(|patch| file.write_all_at(&patch.bytes, patch.offset))
    }

    /// Writes the disk as a plain image. Blocks the thread.
    ///
    /// # Errors
    /// `to` is there already or cannot be written, or the disk cannot be read.
    fn read_disk(&self, disk: &Path, to: &Path) -> io::Result<()> {
        sparse::copy(disk, to, 0o600).map(drop)
    }
}
