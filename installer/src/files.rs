//! Files that only their owner may read, written so that a crash leaves the old content or the new, never half of it.

use crate::InstallError;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Largest file that is read whole; configuration, keys and certificates are far smaller.
const MAX_FILE: u64 = 1024 * 1024;

/// Makes a folder of mode 0700.
///
/// # Errors
/// It exists already, even as a link someone else placed there, or cannot be made.
pub fn make_private_folder(path: &Path) -> Result<(), InstallError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|source| InstallError::file("make the folder", path, source))
}

/// Writes a file of mode 0600, whole or not at all.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    ferrogate_files::write_private(path, content).map_err(|source| InstallError::file("write", path, source))
}

/// Reads a text file.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is larger than 1 MiB.
pub fn read_text(path: &Path) -> Result<String, InstallError> {
    let failed = |source| InstallError::file("read", path, source);
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes"))));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Opens a log of mode 0600 to be added to.
///
/// # Errors
/// The file cannot be opened.
pub fn open_log(path: &Path) -> Result<File, InstallError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| InstallError::file("open the log", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_someone_else_made_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        make_private_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(make_private_folder(&path).is_err());
    }
}
