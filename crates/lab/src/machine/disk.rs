//! A machine's file tree: a folder of the host that outlives power cycles and is removed with the machine.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Links followed before a path counts as a loop, as Linux counts.
const MAX_LINKS: usize = 40;

/// One machine's disk. Paths are those the machine sees: absolute, links stay inside.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: tempfile::TempDir,
    /// Files whose content is still in memory alone. The kernel writes it by itself after half a minute; user-data that
    /// counted on that would break on metal, so here it never does.
    in_memory: Mutex<BTreeSet<String>>,
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
        Ok(Self { folder, in_memory: Mutex::default() })
    }

    /// The content of a file has been handed to the kernel and is not on the disk yet.
    pub(crate) fn keep_in_memory(&self, path: &str) {
        self.in_memory.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
    }

    /// Everything is on the disk.
    pub(crate) fn sync(&self) {
        self.in_memory.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The power is gone: what was in memory alone comes back as empty files, as it does on ext4.
    pub(crate) fn lose_memory(&self) {
        let lost = std::mem::take(&mut *self.in_memory.lock().unwrap_or_else(PoisonError::into_inner));
        for path in lost {
            // One that was removed meanwhile has nothing to lose.
            let emptied =
                self.host_path(&path).and_then(|host| fs::OpenOptions::new().write(true).truncate(true).open(host));
            if let Err(error) = emptied {
                tracing::debug!(path, %error, "a file that was not on the disk yet is not there");
            }
        }
    }

    /// The folder of the host that holds the tree.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
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
    pub(crate) fn open_for_writing(&self, path: &str, append: bool, mode: u32) -> io::Result<fs::File> {
        let path = self.host_path(path)?;
        fs::OpenOptions::new().create(true).write(true).append(append).truncate(!append).mode(mode).open(path)
    }

    /// Writes a file with exactly these permission bits, and its parents.
    pub(crate) fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.put(path, content, mode, false)
    }

    /// Adds to a file's end.
    pub(crate) fn append(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        self.put(path, content, mode, true)
    }

    fn put(&self, path: &str, content: &[u8], mode: u32, append: bool) -> io::Result<()> {
        if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            self.create_dirs(if parent.is_empty() { "/" } else { parent })?;
        }
        let mut file = self.open_for_writing(path, append, mode)?;
        file.write_all(content)?;
        self.set_mode(path, mode)
    }

    pub(crate) fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.host_path(path)?, fs::Permissions::from_mode(mode))
    }

    pub(crate) fn create_dirs(&self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.host_path(path)?)
    }

    /// Makes a link; `target` is kept as written.
    pub(crate) fn symlink(&self, target: &str, link: &str) -> io::Result<()> {
        std::os::unix::fs::symlink(target, self.walk(link, false)?)
    }

    /// Removes a file or link; one that is not there is fine.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.walk(path, false)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
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
    fn what_was_not_synced_comes_back_empty_after_a_power_cut() {
        let disk = Disk::new(None).unwrap();
        for (path, synced) in [("/etc/early", true), ("/etc/late", false)] {
            disk.write(path, b"content", 0o600).unwrap();
            disk.keep_in_memory(path);
            if synced {
                disk.sync();
            }
        }
        disk.lose_memory();
        assert_eq!(disk.read("/etc/early").unwrap(), b"content");
        assert_eq!(disk.stat("/etc/late").unwrap(), (0, 0o600));
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
}
