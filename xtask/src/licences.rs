//! Licences and advisories of what we depend on.
//!
//! Licences are read from cargo's own metadata. Advisories: where `cargo deny` and its database are installed they are
//! asked; always, the versions in `Cargo.lock` are held against `xtask/advisories.toml`, which also has advisories that
//! the RustSec database misses.

use crate::run::{cargo, root};
use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Licences that Apache-2.0 software may be built with.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: semver::Version,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisories {
    advisory: Vec<Advisory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    id: String,
    package: String,
    affected: semver::VersionReq,
    about: String,
}

/// Whether an SPDX expression can be met with allowed licences: every `AND` part needs an allowed `OR` alternative.
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    flat.split(" AND ").all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

/// Checks every package that cargo would build.
pub(crate) fn check() -> Result<()> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("asking cargo for its metadata")?;
    if !output.status.success() {
        bail!("Cargo.lock is not up to date: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
    let advisories =
        std::fs::read_to_string(root().join("xtask/advisories.toml")).context("reading xtask/advisories.toml")?;
    let advisories: Advisories = toml::from_str(&advisories).context("reading xtask/advisories.toml")?;
    let mut faults = Vec::new();
    for package in metadata.packages.iter().filter(|package| package.source.is_some()) {
        match &package.license {
            Some(licence) if is_allowed(licence) => {}
            other => faults.push(format!("{} {} has the licence {other:?}", package.name, package.version)),
        }
        for advisory in
            advisories.advisory.iter().filter(|a| a.package == package.name && a.affected.matches(&package.version))
        {
            faults.push(format!("{} {}: {} ({})", package.name, package.version, advisory.id, advisory.about));
        }
    }
    let has_deny = cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if has_deny && !cargo().args(["deny", "check", "advisories"]).status()?.success() {
        faults.push("cargo deny found advisories (above)".to_owned());
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_does() {
        for good in
            ["MIT", "MIT OR Apache-2.0", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND BSD-3-Clause", "Apache-2.0 AND ISC"]
        {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "MPL-2.0", ""] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
