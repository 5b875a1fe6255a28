//! Copies of disk images that take no more space than what is in them.

use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

/// Copies a disk image to a new file with this mode. Holes stay holes; where the file system can, the copy shares its
/// blocks with the image. Blocks the thread.
///
/// # Errors
/// `to` exists already, or either file cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<File> {
    let mut source = File::open(from)?;
    let mut target = create(to, mode)?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(target);
    }
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut at = 0;
    while at < length {
        let start = match seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&source, SeekFrom::Hole(start))?;
        source.seek(io::SeekFrom::Start(start))?;
        target.seek(io::SeekFrom::Start(start))?;
        io::copy(&mut (&mut source).take(end - start), &mut target)?;
        at = end;
    }
    target.flush()?;
    Ok(target)
}

/// Creates a file that was not there, readable and writable, with this mode.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().read(true).write(true).create_new(true).mode(mode).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    #[test]
    fn a_copy_has_the_same_bytes_and_the_same_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let image = create(&from, 0o600).unwrap();
        image.set_len(64 << 20).unwrap();
        image.write_all_at(b"first", 0).unwrap();
        image.write_all_at(b"second", 20 << 20).unwrap();
        let copied = copy(&from, &to, 0o600).unwrap();
        let mut text = [0; 6];
        copied.read_exact_at(&mut text, 20 << 20).unwrap();
        assert_eq!((&text, copied.metadata().unwrap().len()), (b"second", 64 << 20));
        assert!(copied.metadata().unwrap().blocks() * 512 < 1 << 20, "the holes were filled");
        assert_eq!(copied.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(copy(&from, &to, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
