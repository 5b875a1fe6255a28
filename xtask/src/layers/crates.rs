//! The crates of the workspace, as their manifests tell.

use super::arrows::Arrows;
use crate::sizes::rust_files;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One crate of ours.
#[derive(Debug)]
pub(crate) struct Crate {
    /// What others call it, without `ferrogate-`; the last part of its folder.
    pub(crate) name: String,
    /// Its folder below the root.
    pub(crate) folder: String,
    /// Crates of ours that it uses.
    pub(crate) uses: BTreeSet<String>,
    /// Crates of ours that only its tests use.
    pub(crate) tests_use: BTreeSet<String>,
    /// Libraries of others that it names.
    pub(crate) libraries: BTreeSet<String>,
    /// Lines of its Rust below `src`, and of all other Rust.
    pub(crate) lines: (usize, usize),
    /// Which of its files names which.
    pub(crate) arrows: Arrows,
}

impl Crate {
    /// The folder at the top that it belongs to; a shared crate stands for itself.
    pub(crate) fn room(&self) -> &str {
        if self.is_shared() { &self.folder } else { self.folder.split('/').next().unwrap_or(&self.folder) }
    }

    /// Whether it lies below `crates/`.
    pub(crate) fn is_shared(&self) -> bool {
        self.folder.starts_with("crates/")
    }
}

/// All crates of the workspace at this root.
///
/// # Errors
/// When a manifest or a source cannot be read.
pub(crate) fn read(root: &Path) -> Result<Vec<Crate>> {
    let mut crates = folders(root)?.iter().map(|folder| one(root, folder)).collect::<Result<Vec<_>>>()?;
    crates.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok(crates)
}

/// The folders of all crates, as the workspace's manifest names them.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(toml::Value::as_array).context("the workspace names no members")?;
    let mut folders = Vec::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        match member.strip_suffix("/*") {
            Some(parent) => {
                for entry in std::fs::read_dir(root.join(parent))? {
                    folders.push(entry?.path());
                }
            }
            None => folders.push(root.join(member)),
        }
    }
    Ok(folders)
}

fn one(root: &Path, path: &Path) -> Result<Crate> {
    let folder = path.strip_prefix(root)?.display().to_string();
    let name = path.file_name().and_then(|name| name.to_str()).context("a crate's folder has no name")?.to_owned();
    let manifest = std::fs::read_to_string(path.join("Cargo.toml")).with_context(|| format!("reading {folder}"))?;
    let manifest: toml::Table = manifest.parse().with_context(|| format!("reading the manifest of {folder}"))?;
    let named = |sections: &[&str]| {
        let tables = sections.iter().filter_map(|section| manifest.get(*section)?.as_table());
        tables.flat_map(|table| table.keys().cloned()).collect::<BTreeSet<String>>()
    };
    let ours = |names: &BTreeSet<String>| {
        names.iter().filter_map(|name| name.strip_prefix("ferrogate-")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (product, tests) = (named(&["dependencies", "build-dependencies"]), named(&["dev-dependencies"]));
    let mut lines = (0, 0);
    let mut files = Vec::new();
    rust_files(path, &mut files)?;
    let below: Vec<_> = folders(root)?.into_iter().filter(|other| other != path && other.starts_with(path)).collect();
    for file in files.iter().filter(|file| !below.iter().any(|other| file.starts_with(other))) {
        let count = std::fs::read_to_string(file)?.lines().count();
        if file.starts_with(path.join("src")) { lines.0 += count } else { lines.1 += count }
    }
    Ok(Crate {
        name,
        uses: ours(&product),
        tests_use: ours(&tests),
        libraries: product.into_iter().filter(|name| !name.starts_with("ferrogate-")).collect(),
        lines,
        arrows: Arrows::of(path, &super::arrows::roots(path)?).with_context(|| format!("reading {folder}"))?,
        folder,
    })
}
