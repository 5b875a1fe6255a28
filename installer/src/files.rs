//! Files that only their owner may read, written so that a crash leaves the old content or the new, never half of it.

use crate::InstallError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
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

/// Writes a file of mode 0600: beside it first, then in its place.
///
/// # Errors
/// The file or its folder cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), InstallError> {
    let failed = |source| InstallError::file("write", path, source);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(beside, path).map_err(failed)?;
    if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
    {
        // Makes the rename itself durable; file systems that cannot sync a folder need no such help.
        let _ = folder.sync_all();
    }
    Ok(())
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
    fn a_private_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pcg.key");
        for content in [b"one".as_slice(), b"two"] {
            write_private(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_that_someone_else_made_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        make_private_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(make_private_folder(&path).is_err());
    }
}
