//! Everything that must hold of the tree besides its tests.

use crate::run::{cargo, must};
use crate::{generated, layers, licences, sizes};
use anyhow::{Result, bail};

/// Runs every check and names all that failed, not only the first.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn all() -> Result<()> {
    type Check = (&'static str, fn() -> Result<()>);
    let checks: [Check; 6] = [
        ("format", || must(cargo().args(["fmt", "--all", "--check"]), "cargo fmt (mend with `cargo fmt --all`)")),
        ("layers", layers::check),
        ("file sizes", sizes::check),
        ("licences and advisories", licences::check),
        ("lints", || {
            must(
                cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
                "cargo clippy",
            )
        }),
        ("generated files", || generated::run(true)),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        match check() {
            Ok(()) => eprintln!("✔ {name}"),
            Err(error) => {
                eprintln!("✖ {name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
