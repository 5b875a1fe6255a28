//! Files of the plane's data folder: read where they are, written whole or not at all, for the owner only.

use crate::start_error::StartError;
use std::{fs::File, io, path::Path};

/// Makes `folder` for its owner only, with every parent.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| failed(folder, source))
}

/// Waits until no other process or thread has this lock of `folder`, and holds it until it is dropped. The lock is a file of
/// its own beside what it protects, which stays.
pub(crate) fn lock(folder: &Path) -> Result<File, StartError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = folder.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    file.and_then(|file| file.lock().map(|()| file)).map_err(|source| failed(&path, source))
}

/// The text of `path`; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, StartError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

/// Writes `content` to `path`, mode 0600, whole or not at all.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<(), StartError> {
    ferrogate_files::write_private(path, content).map_err(|source| failed(path, source))
}

/// Removes `path` where it is there.
pub(crate) fn remove(path: &Path) -> Result<(), StartError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

pub(crate) fn failed(path: &Path, source: io::Error) -> StartError {
    StartError::File { path: path.to_owned(), source }
}
