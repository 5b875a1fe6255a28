//! How large what is installed is, and its versions: for the report.

use ferrogate_lab::artifacts::Artifacts;
use serde_json::{Map, Value};

/// Versions, and sizes in MiB of the files that machines download.
pub(crate) fn facts(artifacts: &Artifacts) -> Map<String, Value> {
    let mut facts: Map<String, Value> =
        artifacts.versions.iter().map(|(name, version)| (name.clone(), version.as_str().into())).collect();
    if !artifacts.kernel_release.is_empty() {
        facts.insert("kernel".into(), artifacts.kernel_release.as_str().into());
    }
    let release = std::fs::read_to_string(&artifacts.release).ok();
    let release: Value = release.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    for (fact, pointer) in [
        ("gateway_image_mib", "/architectures/0/gateway_image/path"),
        ("kubernetes_bundle_mib", "/architectures/0/kubeadm/path"),
    ] {
        let path = release.pointer(pointer).and_then(Value::as_str).map(|path| artifacts.mirror_dir.join(path));
        if let Some(size) = path.and_then(|path| std::fs::metadata(path).ok()).map(|meta| meta.len()) {
            let tenths = size * 10 / (1024 * 1024);
            facts.insert(fact.into(), (tenths as f64 / 10.0).into());
        }
    }
    facts
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
        let artifacts: Artifacts = serde_json::from_value(json!({
            "kernel": "/k", "kernel_release": "7.2.12-e2e", "root_image": "/r", "release": release, "mirror_dir": mirror,
            "versions": {"kubernetes": "v1.36.4"}
        }))
        .unwrap();
        let expected = json!({"kubernetes": "v1.36.4", "kernel": "7.2.12-e2e", "gateway_image_mib": 1.5});
        assert_eq!(Value::Object(facts(&artifacts)), expected);
    }
}
