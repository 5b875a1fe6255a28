//! What is installed, and how large it is: read from the artifacts' list and their release.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Name of the list in the cache folder.
const LIST: &str = "artifacts.json";

/// What the scenarios need of the artifacts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Artifacts {
    /// The archive of the image that scenarios deploy.
    pub(crate) web_image: PathBuf,
    /// Versions and sizes, for the report.
    pub(crate) facts: Map<String, Value>,
}

#[derive(Deserialize)]
struct List {
    release: PathBuf,
    mirror_dir: PathBuf,
    web_image: PathBuf,
    #[serde(default)]
    kernel_release: String,
    #[serde(default)]
    versions: Map<String, Value>,
}

/// The folder in which artifacts are kept.
pub(crate) fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("FERROGATE_LAB_CACHE")
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("ferrogate-lab")))
        .or_else(|| Some(from("HOME")?.join(".cache/ferrogate-lab")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/ferrogate-lab"))
}

impl Artifacts {
    /// Reads the list in the cache folder.
    pub(crate) fn read(cache: &Path) -> Result<Self, String> {
        let file = cache.join(LIST);
        let read = |file: &Path| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
        let list: List = serde_json::from_str(&read(&file)?).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut facts = list.versions;
        if !list.kernel_release.is_empty() {
            facts.insert("kernel".into(), list.kernel_release.into());
        }
        let release: Value = serde_json::from_str(&read(&list.release)?)
            .map_err(|error| format!("{}: {error}", list.release.display()))?;
        for (fact, pointer) in [
            ("gateway_image_mib", "/architectures/0/gateway_image/path"),
            ("kubernetes_bundle_mib", "/architectures/0/kubeadm/path"),
        ] {
            let path = release.pointer(pointer).and_then(Value::as_str).map(|path| list.mirror_dir.join(path));
            if let Some(size) = path.and_then(|path| std::fs::metadata(path).ok()).map(|meta| meta.len()) {
                let tenths = size * 10 / (1024 * 1024);
                facts.insert(fact.into(), (tenths as f64 / 10.0).into());
            }
        }
        Ok(Self { web_image: list.web_image, facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_and_sizes_come_from_the_list_and_its_release() {
        let cache = tempfile::tempdir().unwrap();
        let mirror = cache.path().join("mirror");
        std::fs::create_dir_all(mirror.join("gateway")).unwrap();
        std::fs::write(mirror.join("gateway/image.tar"), vec![0; 1_572_864]).unwrap();
        let release = cache.path().join("release.json");
        let text = json!({"architectures": [{"gateway_image": {"path": "gateway/image.tar"}}]}).to_string();
        std::fs::write(&release, text).unwrap();
        let list = json!({
            "kernel": "/k", "kernel_release": "7.2.12-e2e", "root_image": "/r", "release": release, "mirror_dir": mirror,
            "web_image": "/web.tar", "versions": {"kubernetes": "v1.36.4"}
        });
        std::fs::write(cache.path().join(LIST), list.to_string()).unwrap();
        let artifacts = Artifacts::read(cache.path()).unwrap();
        assert_eq!(artifacts.web_image, Path::new("/web.tar"));
        let facts = json!({"kubernetes": "v1.36.4", "kernel": "7.2.12-e2e", "gateway_image_mib": 1.5});
        assert_eq!(Value::Object(artifacts.facts), facts);
        assert!(Artifacts::read(Path::new("/nowhere")).unwrap_err().contains("/nowhere/artifacts.json"));
    }
}
