//! Files that are made from the code and checked in: whoever reads the repository sees them, and drift fails the check.

use crate::run::{cargo, must, root, target_dir};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Where each generated file stands, and what of the binary prints it.
const FILES: &[(&str, &[&str])] =
    &[("docs/reference/openapi.json", &["reference", "openapi"]), ("docs/reference/cli.md", &["reference", "cli"])];

/// Writes the files, or only says whether they are fresh.
pub(crate) fn run(only_check: bool) -> Result<()> {
    must(cargo().args(["build", "--quiet", "--package", "ferrogate"]), "building ferrogate")?;
    let program = target_dir()?.join("debug/ferrogate");
    let mut stale = Vec::new();
    for (path, arguments) in FILES {
        let output = Command::new(&program).args(*arguments).output().with_context(|| format!("making {path}"))?;
        if !output.status.success() {
            bail!("making {path}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let file = root().join(path);
        if std::fs::read(&file).is_ok_and(|have| have == output.stdout) {
            continue;
        }
        if only_check {
            stale.push(*path);
        } else {
            std::fs::create_dir_all(file.parent().context("a generated file stands in a folder")?)?;
            std::fs::write(&file, &output.stdout)?;
        }
    }
    if !stale.is_empty() {
        bail!("not fresh: {}; run `cargo xtask openapi` and commit", stale.join(", "));
    }
    Ok(())
}
