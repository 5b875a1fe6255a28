//! Writing of files that hold a secret.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};
use tempfile::{Builder, NamedTempFile};

/// Writes `path` anew, readable by its owner only (mode 0600), in place of what may have been there.
///
/// The content is written to a second file in the same folder that is renamed when it is whole and on the disk: a crash
/// leaves the old content or the new, never half of it, and at no moment can anybody else read it. Where `path` is a link,
/// the link is replaced and not what it leads to.
///
/// # Errors
/// What the operating system says; what was there stays then.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let draft = draft(path, folder, content)?;
    draft.persist(path).map_err(|error| error.error)?;
    sync(folder)
}

/// Writes `path` as [`write_private`] does, but only where nothing is there yet. Of several that do so at the same time,
/// one succeeds.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where something is there, which stays; otherwise what the operating system says.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let draft = draft(path, folder, content)?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    sync(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The content in a file of mode 0600 beside `path`, on the disk. It is removed when it is dropped.
fn draft(path: &Path, folder: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?);
    prefix.push(".");
    let mut draft = Builder::new().prefix(&prefix).suffix(".new").tempfile_in(folder)?;
    draft.write_all(content)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// Makes a rename itself durable. File systems that sync no folder need no such help, and a folder that may be written to
/// but not read cannot be opened for it.
fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
        sync::Barrier,
    };

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "anybody may read this").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        for content in ["one", "", "three"] {
            write_private(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(mode(&path), 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_draft_is_private_from_its_first_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let draft = draft(&path, folder.path(), b"secret").unwrap();
        assert_eq!(draft.path().parent(), Some(folder.path()), "on the same file system");
        assert_eq!(mode(draft.path()), 0o600);
        assert_eq!(fs::read(draft.path()).unwrap(), b"secret");
    }

    #[test]
    fn a_link_that_lies_in_the_way_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("pcg.key"), folder.path().join("other"));
        fs::write(&other, "another's").unwrap();
        symlink(&other, &path).unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        assert_eq!(write_private(&path, b"secret").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(create_private(&path, b"secret").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path.join("inside")).unwrap(), "kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");

        let error = write_private(&folder.path().join("none/file"), b"secret").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(write_private(Path::new("/"), b"secret").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn of_several_that_create_a_file_one_succeeds() {
        const WRITERS: usize = 8;
        let folder = tempfile::tempdir().unwrap();
        let (path, start) = (folder.path().join("node.key"), Barrier::new(WRITERS));
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|n| {
                    let (path, start) = (&path, &start);
                    scope.spawn(move || {
                        start.wait();
                        create_private(path, n.to_string().as_bytes()).map_err(|error| error.kind())
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), winner.to_string());
        assert_eq!(
            outcomes.iter().filter(|outcome| **outcome == Err(io::ErrorKind::AlreadyExists)).count(),
            WRITERS - 1
        );
        assert_eq!((mode(&path), fs::read_dir(folder.path()).unwrap().count()), (0o600, 1));
    }
}
