//! What the lab's machines are made of: kernel, root image, release. `cargo xtask lab build` makes them and says in
//! `artifacts.json` where they are.

use crate::host::HostError;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The built artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Artifacts {
    /// The User Mode Linux kernel, a program.
    pub kernel: PathBuf,
    /// The kernel of virtual machines, where it was built: `cargo xtask lab build --pc-kernel`.
    #[serde(default)]
    pub pc_kernel: Option<PathBuf>,
    /// The kernels' release, such as `7.2.12-lab`.
    #[serde(default)]
    pub kernel_release: String,
    /// The root file system that disks begin as.
    pub root_image: PathBuf,
    /// The release that the plane installs (`ferrogate plane --release`).
    pub release: PathBuf,
    /// The folder the plane serves artifacts from (`ferrogate plane --mirror-dir`).
    pub mirror_dir: PathBuf,
    /// A web server's container image, for trying workloads.
    #[serde(default)]
    pub web_image: Option<PathBuf>,
    /// Names and versions.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
}

impl Artifacts {
    /// The folder that artifacts are kept in: `$FERROGATE_LAB_CACHE`, else `ferrogate-lab` in the user's cache.
    #[must_use]
    pub fn folder() -> PathBuf {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        given("FERROGATE_LAB_CACHE").unwrap_or_else(|| {
            let cache = given("XDG_CACHE_HOME")
                .unwrap_or_else(|| given("HOME").unwrap_or_else(|| "/root".into()).join(".cache"));
            cache.join("ferrogate-lab")
        })
    }

    /// Reads what was built last.
    ///
    /// # Errors
    /// [`HostError::Artifacts`] where nothing was built, or something of it is gone.
    pub fn load(folder: &Path) -> Result<Self, HostError> {
        let path = folder.join("artifacts.json");
        let wrong = |why: String| HostError::Artifacts { why };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let artifacts: Self =
            serde_json::from_str(&text).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
        let needed = [&artifacts.kernel, &artifacts.root_image, &artifacts.release, &artifacts.mirror_dir];
        for file in needed.into_iter().chain(&artifacts.pc_kernel) {
            if !file.exists() {
                return Err(wrong(format!("{} is gone", file.display())));
            }
        }
        Ok(artifacts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_read_and_what_is_gone_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Artifacts::load(folder.path()).unwrap_err().to_string().contains("artifacts.json"));
        let file = |name: &str| folder.path().join(name).display().to_string();
        for name in ["linux.uml", "root.img", "release.json"] {
            std::fs::write(file(name), "").unwrap();
        }
        let text = serde_json::json!({
            "kernel": file("linux.uml"), "kernel_release": "7.2.12-e2e", "root_image": file("root.img"),
            "release": file("release.json"), "mirror_dir": file("mirror"), "versions": {"kubernetes": "v1.36.4"},
        });
        std::fs::write(file("artifacts.json"), text.to_string()).unwrap();
        let gone = Artifacts::load(folder.path()).unwrap_err().to_string();
        assert!(gone.contains("mirror is gone"), "{gone}");
        std::fs::create_dir(file("mirror")).unwrap();
        assert_eq!(Artifacts::load(folder.path()).unwrap().versions["kubernetes"], "v1.36.4");
    }
}
