//! A machine's file tree: a folder of the host that outlives power cycles and is removed with the machine.
//!
//! Whatever is written through it is in memory at first, as on a real machine, and a power cut takes what is not on the disk
//! yet: [`unwritten`] says what that is.

mod unwritten;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind, Read as _, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;
use unwritten::Unwritten;

/// Links followed before a path counts as a loop, as Linux counts.
const MAX_LINKS: usize = 40;

/// One machine's disk. Paths are those the machine sees: absolute, links stay inside.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    unwritten: Mutex<Unwritten>,
    /// Folders whose files are written through, with their inodes: one that was made anew is another folder.
    synchronous: Mutex<BTreeSet<(PathBuf, u64)>>,
    /// Removed with the disk.
    _folder: tempfile::TempDir,
}

/// A file that is open for writing.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    disk: &'a Disk,
    file: fs::File,
    path: PathBuf,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.file.metadata()?;
        self.disk.unwritten().writes(&self.path, before.ino(), before.len(), Instant::now());
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output<'_> {
    /// Has the file on the disk before it returns.
    fn fsync(self) {
        self.disk.unwritten().fsync(&self.path);
    }
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(under: Option<&Path>) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("ferrogate-machine-");
        let folder = match under {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        let (root, removed) = (folder.path().join("disk"), folder.path().join("removed"));
        fs::create_dir(&root)?;
        fs::create_dir(&removed)?;
        Ok(Self {
            root,
            unwritten: Mutex::new(Unwritten::new(removed)),
            synchronous: Mutex::default(),
            _folder: folder,
        })
    }

    /// Everything is on the disk.
    pub(crate) fn sync(&self) {
        self.unwritten().sync();
    }

    /// The power is gone, and with it what was in memory alone.
    pub(crate) fn lose_memory(&self) {
        self.unwritten().lose(Instant::now());
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the host that holds the tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the machine's `path` is on the host. Links in it are followed as the machine would follow them.
    pub(crate) fn host_path(&self, path: &str) -> io::Result<PathBuf> {
        self.walk(path, true)
    }

    fn walk(&self, path: &str, follow_last: bool) -> io::Result<PathBuf> {
        if !path.starts_with('/') {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{path}` is not an absolute path")));
        }
        let mut left: Vec<PathBuf> = vec![PathBuf::from(path)];
        let mut parts: Vec<std::ffi::OsString> = Vec::new();
        let mut links = 0;
        while let Some(next) = left.pop() {
            let mut components = next.components();
            let Some(component) = components.next() else { continue };
            let rest = components.as_path().to_path_buf();
            let is_last = rest.as_os_str().is_empty() && left.iter().all(|path| path.as_os_str().is_empty());
            left.push(rest);
            match component {
                Component::RootDir | Component::Prefix(_) => parts.clear(),
                Component::CurDir => {}
                Component::ParentDir => drop(parts.pop()),
                Component::Normal(name) => {
                    parts.push(name.to_owned());
                    let here = self.join(&parts);
                    if (is_last && !follow_last) || !here.is_symlink() {
                        continue;
                    }
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::other(format!("`{path}`: too many levels of symbolic links")));
                    }
                    parts.pop();
                    left.push(fs::read_link(&here)?);
                }
            }
        }
        Ok(self.join(&parts))
    }

    fn join(&self, parts: &[std::ffi::OsString]) -> PathBuf {
        let mut path = self.root().to_path_buf();
        path.extend(parts);
        path
    }

    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.host_path(path)?)
    }

    pub(crate) fn read_text(&self, path: &str) -> io::Result<String> {
        fs::read_to_string(self.host_path(path)?)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.host_path(path).is_ok_and(|path| path.exists())
    }

    pub(crate) fn is_dir(&self, path: &str) -> bool {
        self.host_path(path).is_ok_and(|path| path.is_dir())
    }

    /// Size and permission bits.
    pub(crate) fn stat(&self, path: &str) -> io::Result<(u64, u32)> {
        let meta = fs::metadata(self.host_path(path)?)?;
        Ok((meta.len(), meta.permissions().mode() & 0o7777))
    }

    /// Opens a file for writing; parents must be there. A file that exists is emptied unless `append`.
    pub(crate) fn open_for_writing(&self, path: &str, append: bool, mode: u32) -> io::Result<Output<'_>> {
        let path = self.host_path(path)?;
        let is_new = !path.exists();
        let file =
            fs::OpenOptions::new().create(true).write(true).append(append).truncate(!append).mode(mode).open(&path)?;
        if is_new {
            self.unwritten().made(path.clone(), Instant::now());
        }
        Ok(Output { disk: self, file, path })
    }

    /// Writes a file with exactly these permission bits, and its parents.
    pub(crate) fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.put(path, content, mode, false).map(drop)
    }

    /// Writes a file as a program does that has it on the disk before it goes on (`fsync`).
    pub(crate) fn write_and_fsync(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.put(path, content, mode, false).map(Output::fsync)
    }

    /// Has whatever is written into this folder from now on written through (the attribute `S` of ext4).
    pub(crate) fn write_through(&self, folder: &str) -> io::Result<()> {
        let folder = self.host_path(folder)?;
        let inode = fs::metadata(&folder)?.ino();
        self.synchronous.lock().unwrap_or_else(PoisonError::into_inner).insert((folder, inode));
        Ok(())
    }

    fn is_written_through(&self, file: &Path) -> bool {
        let all = self.synchronous.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|(folder, inode)| {
            file.starts_with(folder) && fs::metadata(folder).is_ok_and(|about| about.ino() == *inode)
        })
    }

    /// Adds to a file's end.
    pub(crate) fn append(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.put(path, content, mode, true).map(drop)
    }

    fn put(&self, path: &str, content: &[u8], mode: u32, append: bool) -> io::Result<Output<'_>> {
        if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            self.create_dirs(if parent.is_empty() { "/" } else { parent })?;
        }
        let mut file = self.open_for_writing(path, append, mode)?;
        file.write_all(content)?;
        self.set_mode(path, mode)?;
        if self.is_written_through(&file.path) {
            self.unwritten().fsync(&file.path);
        }
        Ok(file)
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        let path = self.host_path(path)?;
        let before = fs::metadata(&path)?.permissions().mode() & 0o7777;
        if before != mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            self.unwritten().had_mode(path, before, Instant::now());
        }
        Ok(())
    }

    pub(crate) fn create_dirs(&self, path: &str) -> io::Result<()> {
        let path = self.host_path(path)?;
        let mut new: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::create_dir_all(&path)?;
        while let Some(folder) = new.pop() {
            self.unwritten().made(folder.to_owned(), Instant::now());
        }
        Ok(())
    }

    /// Makes a link; `target` is kept as written.
    pub(crate) fn symlink(&self, target: &str, link: &str) -> io::Result<()> {
        let link = self.walk(link, false)?;
        std::os::unix::fs::symlink(target, &link)?;
        self.unwritten().made(link, Instant::now());
        Ok(())
    }

    /// Removes a file or link; one that is not there is fine.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.walk(path, false)?;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(_) => self.unwritten().remove(path, Instant::now()),
        }
    }

    /// Names in a folder, sorted; none where the folder is missing.
    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = self.host_path(path).and_then(fs::read_dir) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Feeds a file to `take`, piece by piece.
    pub(crate) fn read_pieces(&self, path: &str, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = fs::File::open(self.host_path(path)?)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                n => take(&buffer[..n]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_and_no_link_leads_out_of_the_machine() {
        let disk = Disk::new(None).unwrap();
        disk.write("/etc/hostname", b"node01", 0o644).unwrap();
        assert_eq!(disk.host_path("/../../etc/hostname").unwrap(), disk.root().join("etc/hostname"));
        disk.symlink("/etc", "/config").unwrap();
        assert_eq!(disk.read("/config/hostname").unwrap(), b"node01");
        disk.symlink("../../../../../etc/hostname", "/etc/up").unwrap();
        assert_eq!(disk.read("/etc/up").unwrap(), b"node01");
        disk.symlink("/loop", "/loop").unwrap();
        assert!(disk.read("/loop").unwrap_err().to_string().contains("symbolic links"));
        assert!(disk.read("etc/hostname").is_err());
    }

    #[test]
    fn permissions_are_exactly_those_asked_for_and_appending_appends() {
        let disk = Disk::new(None).unwrap();
        disk.write("/a/b/secret", b"one", 0o600).unwrap();
        disk.append("/a/b/secret", b" two", 0o600).unwrap();
        assert_eq!(disk.stat("/a/b/secret").unwrap(), (7, 0o600));
        disk.write("/a/b/secret", b"x", 0o755).unwrap();
        assert_eq!(disk.stat("/a/b/secret").unwrap(), (1, 0o755));
        assert_eq!(disk.list("/a/b"), ["secret"]);
        disk.remove("/a/b/secret").unwrap();
        disk.remove("/a/b/secret").unwrap();
    }

    /// Nothing but the clock moves between `writes` and the cut.
    async fn after(pause: u64, writes: impl FnOnce(&Disk) -> io::Result<()>) -> Disk {
        let disk = Disk::new(None).unwrap();
        disk.write("/etc/old", b"old", 0o644).unwrap();
        disk.sync();
        writes(&disk).unwrap();
        tokio::time::advance(std::time::Duration::from_secs(pause)).await;
        disk.lose_memory();
        disk
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_file_is_not_there_then_empty_then_whole() {
        let write = |disk: &Disk| disk.write("/etc/new/file", b"new", 0o600);
        let disk = after(4, write).await;
        assert!(!disk.exists("/etc/new") && disk.exists("/etc/old"));
        let disk = after(5, write).await;
        assert_eq!(disk.stat("/etc/new/file").unwrap(), (0, 0o600));
        let disk = after(29, write).await;
        assert_eq!(disk.stat("/etc/new/file").unwrap(), (0, 0o600));
        let disk = after(30, write).await;
        assert_eq!(disk.read("/etc/new/file").unwrap(), b"new");
        let disk = after(0, |disk| write(disk).map(|()| disk.sync())).await;
        assert_eq!(disk.read("/etc/new/file").unwrap(), b"new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_was_written_anew_is_empty_and_one_that_grew_has_its_older_part() {
        for pause in [0, 29] {
            let disk = after(pause, |disk| disk.write("/etc/old", b"another", 0o644)).await;
            assert_eq!(disk.read("/etc/old").unwrap(), b"");
            let disk = after(pause, |disk| disk.append("/etc/old", b" and more", 0o644)).await;
            assert_eq!(disk.read("/etc/old").unwrap(), b"old");
        }
        let disk = after(30, |disk| disk.append("/etc/old", b" and more", 0o644)).await;
        assert_eq!(disk.read("/etc/old").unwrap(), b"old and more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_removed_or_replaced_or_hidden_within_the_last_commit_is_as_it_was() {
        let changes = |disk: &Disk| {
            disk.set_mode("/etc/old", 0o600)?;
            disk.remove("/etc/old")?;
            disk.symlink("/etc/new", "/etc/old")?;
            disk.write("/etc/new", b"new", 0o644)
        };
        let disk = after(4, changes).await;
        assert_eq!((disk.read("/etc/old").unwrap(), disk.stat("/etc/old").unwrap().1), (b"old".to_vec(), 0o644));
        assert_eq!(disk.list("/etc"), ["old"]);
        let disk = after(5, changes).await;
        assert_eq!(disk.list("/etc"), ["new", "old"]);
        assert_eq!(disk.read("/etc/old").unwrap(), b"", "the link is there, what it leads to is empty");
        assert_eq!(fs::read_dir(disk.root().with_file_name("removed")).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_syncs_its_file_commits_all_names_and_its_own_content_alone() {
        let disk = after(0, |disk| {
            disk.write("/etc/other", b"other", 0o644)?;
            disk.write_and_fsync("/db/member", b"a", 0o600)
        })
        .await;
        assert_eq!(disk.read("/db/member").unwrap(), b"a");
        assert_eq!(disk.read("/etc/other").unwrap(), b"");
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_that_takes_longer_than_the_kernel_waits_is_half_there() {
        let disk = Disk::new(None).unwrap();
        let mut file = disk.open_for_writing("/program", false, 0o644).unwrap();
        for _ in 0..40 {
            file.write_all(b"x").unwrap();
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
        disk.lose_memory();
        assert_eq!(disk.stat("/program").unwrap().0, 11);
    }
}
