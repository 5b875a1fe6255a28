//! Files stay short enough to be read in one go: 500 lines.

use crate::run::root;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 500;

/// Every Rust file of ours below a folder.
pub(crate) fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                rust_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Names every file that is too long.
pub(crate) fn check() -> Result<()> {
    let mut files = Vec::new();
    rust_files(root(), &mut files)?;
    let mut long = Vec::new();
    for file in files {
        let lines = std::fs::read_to_string(&file)?.lines().count();
        if lines > MOST_LINES {
            long.push(format!("{} has {lines} lines", file.strip_prefix(root())?.display()));
        }
    }
    if !long.is_empty() {
        long.sort();
        bail!("more than {MOST_LINES} lines; give each job its own file: {}", long.join(", "));
    }
    Ok(())
}
