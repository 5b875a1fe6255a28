//! Who may use whom. The table is the architecture; a line here is a decision.

use crate::run::root;
use crate::sizes::rust_files;
use anyhow::{Context, Result, bail};
use std::{collections::BTreeMap, path::PathBuf};

/// Our crates and which of ours each may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("net", &["model"]),
    ("api", &["model", "net"]),
    ("store", &["model"]),
    ("tunnel", &["model", "net"]),
    ("maas", &["model", "net"]),
    ("engine", &["model", "net", "maas"]),
    ("plane", &["model", "api", "net", "store", "tunnel", "maas", "engine"]),
    ("image", &[]),
    ("gateway", &["model", "net", "tunnel"]),
    ("installer", &["model", "api", "net", "maas", "engine"]),
    ("lab", &["model", "net", "maas", "engine"]),
    ("tests", &["model", "lab"]),
    ("cli", &["model", "api", "net", "installer", "plane", "lab", "gateway", "maas", "engine"]),
];

/// Libraries that only these crates may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("axum", &["plane", "gateway", "lab"]),
    ("utoipa-axum", &["plane"]),
    ("yamux", &["tunnel"]),
    ("anyhow", &["cli", "gateway", "image"]),
    ("clap", &["cli", "gateway", "installer", "lab", "tests"]),
    ("argon2", &["plane"]),
    ("rcgen", &["plane", "engine", "lab"]),
];

/// Words that files below a folder must not have: inside the plane data flows http → app → store.
const FORBIDDEN_WORDS: &[(&str, &[&str], &str)] = &[
    ("plane/src/http", &["ferrogate_store::"], "handlers go through `app`, never to the store"),
    ("plane/src/app", &["axum::"], "behaviour does not know HTTP"),
    ("plane/src/tasks", &["axum::", "crate::http"], "reconcilers do not know HTTP"),
];

/// The folders of all crates of the workspace, as its manifest names them.
fn crate_folders() -> Result<Vec<PathBuf>> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(toml::Value::as_array).context("the workspace names no members")?;
    let mut folders = Vec::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        match member.strip_suffix("/*") {
            Some(parent) => {
                for entry in std::fs::read_dir(root().join(parent))? {
                    folders.push(entry?.path());
                }
            }
            None => folders.push(root().join(member)),
        }
    }
    Ok(folders)
}

/// Checks the manifests and the folders.
pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for folder in crate_folders()? {
        let name =
            folder.file_name().and_then(|name| name.to_str()).context("a crate's folder has no name")?.to_owned();
        if name == "xtask" {
            continue;
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml"))?;
        let manifest: toml::Table = manifest.parse().with_context(|| format!("reading the manifest of {name}"))?;
        let Some(may) = allowed.get(name.as_str()) else {
            faults.push(format!("crate `{name}` is not in the table of layers"));
            continue;
        };
        let dependencies = manifest.get("dependencies").and_then(|value| value.as_table());
        for dependency in dependencies.into_iter().flat_map(|table| table.keys()) {
            if let Some(ours) = dependency.strip_prefix("ferrogate-")
                && !may.contains(&ours)
            {
                faults.push(format!("`{name}` may not use `{ours}`"));
            }
            if let Some((library, only)) = RESERVED.iter().find(|(library, _)| library == dependency)
                && !only.contains(&name.as_str())
            {
                faults.push(format!("`{name}` names `{library}`, which only {} may", only.join(", ")));
            }
        }
    }
    for (folder, words, why) in FORBIDDEN_WORDS {
        let mut files = Vec::new();
        let path = root().join(folder);
        if path.exists() {
            rust_files(&path, &mut files)?;
        }
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            for word in words.iter().filter(|word| text.contains(**word)) {
                faults.push(format!("{} names `{word}`: {why}", file.strip_prefix(root())?.display()));
            }
        }
    }
    if !faults.is_empty() {
        faults.sort();
        bail!("{}", faults.join("; "));
    }
    Ok(())
}
