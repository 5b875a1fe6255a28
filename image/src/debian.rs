//! Debian's packages, from the mirror that this computer's apt uses.

use crate::error::{BuildError, Result};
use crate::workshop::{Workshop, answer};
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The address of Debian's archive, as apt is configured.
///
/// # Errors
/// When apt knows no Debian archive.
pub fn mirror() -> Result<String> {
    // Says what an update would fetch and fetches nothing; it works before the first update too.
    let uris = answer(Command::new("apt-get").args(["update", "--print-uris"]), "asking apt for its mirror")?;
    choose(&uris).ok_or_else(|| {
        BuildError::new("apt knows no Debian archive")
            .with_hint("name the mirror with --debian-mirror, or add a Debian suite to apt's sources")
    })
}

/// The first archive with a plain Debian suite; updates, security and backports live elsewhere or are not whole.
fn choose(uris: &str) -> Option<String> {
    uris.lines().find_map(|line| {
        let (archive, rest) = line.strip_prefix('\'')?.split_once("/dists/")?;
        let (suite, _) = rest.split_once("/InRelease")?;
        (archive.ends_with("/debian") && !suite.contains(['-', '/'])).then(|| archive.to_owned())
    })
}

/// Downloads a package of a suite with an apt tree of its own: the computer's sources stay as they are.
///
/// # Errors
/// When apt cannot get it.
pub fn download(workshop: &Workshop, package: &str, suite: &str, mirror: &str) -> Result<PathBuf> {
    let tree = workshop.scratch().join("apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "packages"] {
        std::fs::create_dir_all(tree.join(folder))?;
    }
    std::fs::write(tree.join("status"), "")?;
    std::fs::write(tree.join("sources.list"), format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for (option, place) in [
            ("Dir::State", "state"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
        ] {
            command.arg("-o").arg(format!("{option}={}", tree.join(place).display()));
        }
        command.args(["-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Acquire::Languages=none"]);
        // apt's own user cannot write into our folders.
        command.args(["-o", "APT::Sandbox::User=root", "-qq"]).args(arguments).current_dir(tree.join("packages"));
        command
    };
    workshop.run(&mut apt(&["update"]), &format!("reading the packages of {suite}"))?;
    workshop.run(&mut apt(&["download", package]), &format!("downloading {package}"))?;
    only_file(&tree.join("packages"))
}

/// The one file of a folder.
pub fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => Err(BuildError::new(format!("expected one file in {}", folder.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_archive_with_a_plain_suite() {
        let uris = "'http://packages.example.test/cloud/dists/cloud-sdk/InRelease' a_InRelease 0 \n\
            'http://deb.example.test/debian-security/dists/trixie-security/InRelease' b_InRelease 0 \n\
            'http://deb.example.test/debian/dists/trixie-updates/InRelease' c_InRelease 0 \n\
            'http://deb.example.test/debian/dists/trixie/InRelease' d_InRelease 0 \n";
        assert_eq!(choose(uris).as_deref(), Some("http://deb.example.test/debian"));
        assert_eq!(choose("'http://archive.example.test/ubuntu/dists/noble/InRelease' a_InRelease 0 \n"), None);
    }
}
