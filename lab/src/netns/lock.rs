//! Who has a site: one process at a time.

use crate::{folder::RUN_FOLDER, host::HostError};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The right to make, use and sweep away a site. The kernel takes it back when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

fn path(site: &str) -> PathBuf {
    Path::new(RUN_FOLDER).join(format!("{site}.lock"))
}

impl Lock {
    /// Takes it.
    ///
    /// # Errors
    /// [`HostError::Up`] where another process has it.
    pub fn take(site: &str) -> Result<Self, HostError> {
        // Others pass through: the proxy is not root.
        let made = DirBuilder::new().recursive(true).mode(0o755).create(RUN_FOLDER);
        made.map_err(HostError::file("make", RUN_FOLDER))?;
        let path = path(site);
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let mut file = open.map_err(HostError::file("open", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(HostError::Up { site: site.to_owned(), pid: read(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(HostError::file("lock", &path)(error)),
            }
            // Whoever had it before may have removed the file between our opening and our locking.
            let same = match (file.metadata(), fs::metadata(&path)) {
                (Ok(ours), Ok(there)) => ours.ino() == there.ino(),
                _ => false,
            };
            if same {
                let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                written.map_err(HostError::file("write", &path))?;
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// The process that has it; `None` where nobody has.
    ///
    /// # Errors
    /// The file could not be looked at.
    pub fn holder(site: &str) -> Result<Option<u32>, HostError> {
        let path = path(site);
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&path) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read(&mut file))),
            Err(TryLockError::Error(error)) => Err(HostError::file("lock", &path)(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn read(file: &mut File) -> u32 {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    text.trim().parse().unwrap_or_default()
}
