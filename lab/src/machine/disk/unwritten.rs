//! What a machine's programs have written and its disk does not have yet, and what a power cut makes of it.
//!
//! The model is ext4 as Ubuntu sets it up (ordered journal, delayed allocation), always at its worst, so that user-data
//! that comes through here comes through on metal, and the same cut always leaves the same disk:
//!
//! - **Names and permissions** (files, folders and links that were made or removed, modes) go through the journal, which
//!   is committed every 5 seconds. A cut undoes what is younger. A real commit takes along what has just been added to it;
//!   here each change waits its whole 5 seconds, which is what the first change of a transaction waits.
//! - **Content** has no place on the disk until the kernel writes it back, which it does 30 seconds after the file got
//!   dirty (`vm.dirty_expire_centisecs`). Until then the disk has the name, and a file that is as long as what was written
//!   back: empty where it is new, its older part where something was added at its end, half an archive where a download
//!   took longer than that.
//! - **A file that is written anew** is emptied first (`O_TRUNC`), and comes back empty. ext4 mounted as usual often
//!   saves such a file by writing it back when it is closed; that is a favour that it grants and other file systems do not,
//!   so nothing here may count on it.
//! - **A link** is short enough to be kept with its name, so it is whole once its name is there.
//! - **`sync`** and an orderly power off leave nothing behind. **`fsync`** of one file writes its content and commits the
//!   journal, and with it every name.
//!
//! What containers write into folders of the machine goes past this and is on the disk at once: the programs that the lab
//! runs in containers are those that sync what they keep. A folder that holds such a file has been committed with it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// How long a name waits for the journal.
const COMMIT: Duration = Duration::from_secs(5);
/// How long content waits in memory.
const WRITE_BACK: Duration = Duration::from_secs(30);
/// Pieces that are written to a file within this time count as one, so that a long download is not a million changes.
const ONE_WRITE: Duration = Duration::from_secs(1);

/// A change to the tree, with what undoes it. Paths are those of the host.
#[derive(Debug)]
enum Change {
    /// A file, folder or link came into being.
    Made(PathBuf),
    /// A file or link was taken away, and lies in `grave` until that is on the disk.
    Removed { path: PathBuf, grave: PathBuf },
    /// The permission bits were others before.
    Mode { path: PathBuf, before: u32 },
    /// The content from byte `kept` on. The path may be another file's by now, so the inode is part of it.
    Content { path: PathBuf, inode: u64, kept: u64 },
}

impl Change {
    const fn waits(&self) -> Duration {
        match self {
            Self::Content { .. } => WRITE_BACK,
            Self::Made(_) | Self::Removed { .. } | Self::Mode { .. } => COMMIT,
        }
    }

    /// What the disk has without this change, given that all later ones were undone.
    fn undo(self) -> io::Result<()> {
        match self {
            Self::Made(path) if fs::symlink_metadata(&path)?.is_dir() => fs::remove_dir(path),
            Self::Made(path) => fs::remove_file(path),
            Self::Removed { path, grave } => fs::rename(grave, path),
            Self::Mode { path, before } => fs::set_permissions(path, fs::Permissions::from_mode(before)),
            Self::Content { path, inode, kept } => {
                let now = fs::symlink_metadata(&path)?;
                if now.is_file() && now.ino() == inode && now.len() > kept {
                    fs::OpenOptions::new().write(true).open(path)?.set_len(kept)?;
                }
                Ok(())
            }
        }
    }
}

/// The changes of one disk that a power cut would undo, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Unwritten {
    changes: Vec<(Instant, Change)>,
    graves: PathBuf,
    buried: u64,
}

impl Unwritten {
    /// Nothing is unwritten. Files that are removed are kept in the folder `graves`, which must be there.
    pub(super) const fn new(graves: PathBuf) -> Self {
        Self { changes: Vec::new(), graves, buried: 0 }
    }

    /// A file, folder or link came into being.
    pub(super) fn made(&mut self, path: PathBuf, now: Instant) {
        self.add(Change::Made(path), now);
    }

    /// The permission bits of a file were `before`.
    pub(super) fn had_mode(&mut self, path: PathBuf, before: u32, now: Instant) {
        self.add(Change::Mode { path, before }, now);
    }

    /// Something is about to be written to a file behind its first `kept` bytes.
    pub(super) fn writes(&mut self, path: &Path, inode: u64, kept: u64, now: Instant) {
        let same =
            |change: &Change| matches!(change, Change::Content { path: p, inode: i, .. } if p == path && *i == inode);
        let last = self.changes.iter().rev().find(|(_, change)| same(change));
        let goes_on = |kept_then: u64| kept_then <= kept;
        if let Some((at, Change::Content { kept: then, .. })) = last
            && now.duration_since(*at) < ONE_WRITE
            && goes_on(*then)
        {
            return;
        }
        self.add(Change::Content { path: path.to_owned(), inode, kept }, now);
    }

    /// Removes a file or link, and keeps it for as long as a power cut would bring it back.
    pub(super) fn remove(&mut self, path: PathBuf, now: Instant) -> io::Result<()> {
        let grave = self.graves.join(self.buried.to_string());
        fs::rename(&path, &grave)?;
        self.buried += 1;
        self.add(Change::Removed { path, grave }, now);
        Ok(())
    }

    /// Everything is on the disk.
    pub(super) fn sync(&mut self) {
        self.settle(|_, _| true);
    }

    /// The content of one file is on the disk, and with it the whole journal.
    pub(super) fn fsync(&mut self, file: &Path) {
        self.settle(|_, change| !matches!(change, Change::Content { path, .. } if path != file));
    }

    /// The power is gone.
    pub(super) fn lose(&mut self, now: Instant) {
        self.expire(now);
        for (_, change) in std::mem::take(&mut self.changes).into_iter().rev() {
            let shown = format!("{change:?}");
            // A folder that is not empty has something in it that is on the disk; what is gone has nothing to lose.
            if let Err(error) = change.undo() {
                tracing::debug!(change = shown, %error, "nothing to undo after a power cut");
            }
        }
    }

    fn add(&mut self, change: Change, now: Instant) {
        self.expire(now);
        self.changes.push((now, change));
    }

    fn expire(&mut self, now: Instant) {
        self.settle(|at, change| now.duration_since(at) >= change.waits());
    }

    /// Forgets the changes that are on the disk.
    fn settle(&mut self, is_on_disk: impl Fn(Instant, &Change) -> bool) {
        self.changes.retain(|(at, change)| {
            let settled = is_on_disk(*at, change);
            if let (true, Change::Removed { grave, .. }) = (settled, change)
                && let Err(error) = fs::remove_file(grave)
            {
                tracing::debug!(grave = %grave.display(), %error, "a removed file is left over");
            }
            !settled
        });
    }
}
