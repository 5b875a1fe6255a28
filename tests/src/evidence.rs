//! The folder in which a scenario keeps what it saw.

use super::failure::Failure;
use std::{
    fmt::Display,
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Where a scenario's logs go. Only its owner may read it.
#[derive(Debug)]
pub(crate) struct Evidence {
    folder: PathBuf,
    next: AtomicU32,
}

fn cannot(doing: &str, path: &Path, error: &dyn Display) -> Failure {
    Failure::new(format!("to {doing} {}", path.display()), error.to_string())
}

impl Evidence {
    /// Makes the folder.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, Failure> {
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        make.map_err(|error| cannot("make the folder", &folder, &error))?;
        Ok(Self { folder, next: AtomicU32::new(1) })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The next file's name without its ending, such as `07-get-gateways`: names sort in the order of what happened.
    pub(crate) fn next(&self, label: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let word = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
        let label: String = label.chars().map(word).take(60).collect();
        self.folder.join(format!("{number:03}-{label}"))
    }

    /// The place in the order of what happened.
    pub(crate) fn place(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Goes back to a place: what was looked at and is looked at again takes the place of the first look.
    pub(crate) fn back_to(&self, place: u32) {
        self.next.store(place, Ordering::Relaxed);
    }

    /// Keeps a text under a name of its own.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        Ok(path)
    }

    /// Keeps a copy of a file that may be gone later. A file that is not there is no fault: it is said in its place.
    pub(crate) fn copy(&self, from: &Path, name: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            let make = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            make.map_err(|error| cannot("make the folder", parent, &error))?;
        }
        if let Err(error) = std::fs::copy(from, &path) {
            let text = format!("{} was not kept: {error}\n", from.display());
            std::fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        }
        Ok(path)
    }

    /// Adds a line to a file.
    pub(crate) fn line(&self, name: &str, line: &str) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        opened.and_then(|mut file| writeln!(file, "{line}")).map_err(|error| cannot("write", &path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_in_the_order_of_what_happened_and_are_safe() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence::open(folder.path().join("a")).unwrap();
        let first = evidence.next("get gateways/x");
        let second = evidence.next("b");
        assert_eq!(first.file_name().unwrap(), "001-get-gateways-x");
        assert!(first < second);
        let place = evidence.place();
        let third = evidence.next("c");
        evidence.back_to(place);
        assert_eq!(evidence.next("c"), third);
    }

    #[test]
    fn a_file_that_is_gone_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence::open(folder.path().to_owned()).unwrap();
        let kept = evidence.copy(Path::new("/nowhere/console.log"), "consoles/amber.log").unwrap();
        assert!(std::fs::read_to_string(kept).unwrap().contains("was not kept"));
    }
}
