//! The volumes of a pod: folders and files of the node, and ConfigMaps.

use super::Kubelet;
use crate::machine::Disk;
use http::Method;
use serde_json::Value;
use std::path::PathBuf;

/// The container's file tree on the node, by the pod's uid.
fn home(uid: &str) -> String {
    format!("/run/containerd/io.containerd.runtime.v2.task/k8s.io/{uid}")
}

/// Where a ConfigMap stands on the node for one pod.
fn config_map(uid: &str, volume: &Value) -> String {
    format!("/var/lib/kubelet/pods/{uid}/volumes/{}", volume["name"].as_str().unwrap_or_default())
}

/// Fetches the ConfigMaps that a pod mounts.
pub(super) async fn fetch(kubelet: &Kubelet, pod: &Value, uid: &str) -> Result<(), String> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let Some(name) = volume["configMap"]["name"].as_str() else { continue };
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        let fail = |why: String| format!("MountVolume.SetUp failed for volume {}: {why}", volume["name"]);
        let map = kubelet.caller.call(Method::GET, &path, None).await.map_err(|failed| fail(failed.why))?;
        let folder = config_map(uid, volume);
        kubelet.machine.disk.create_dirs(&folder).map_err(|error| fail(error.to_string()))?;
        for (file, text) in map["data"].as_object().into_iter().flatten() {
            let file = format!("{folder}/{file}");
            let text = text.as_str().unwrap_or_default();
            kubelet.machine.disk.write(&file, text.as_bytes(), 0o644).map_err(|error| fail(error.to_string()))?;
        }
    }
    Ok(())
}

/// The file tree of a pod's container with its volumes in it, on the host.
pub(crate) fn mount(disk: &Disk, uid: &str, pod: &Value, container: &Value) -> Result<PathBuf, String> {
    let home = home(uid);
    disk.create_dirs(&home).map_err(|error| format!("{home}: {error}"))?;
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let path = mount["mountPath"].as_str().unwrap_or_default();
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let volume = volumes.into_iter().find(|volume| volume["name"] == mount["name"]).unwrap_or(&Value::Null);
        let host = source(disk, uid, volume)?;
        let target = disk.host_path(&host).map_err(|error| format!("{host}: {error}"))?;
        let link =
            disk.host_path(&home).map_err(|error| format!("{home}: {error}"))?.join(path.trim_start_matches('/'));
        let linked = link
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| if link.is_symlink() { Ok(()) } else { std::os::unix::fs::symlink(&target, &link) });
        linked.map_err(|error| format!("mount {path}: {error}"))?;
    }
    disk.host_path(&home).map_err(|error| format!("{home}: {error}"))
}

/// The path on the node behind a volume.
fn source(disk: &Disk, uid: &str, volume: &Value) -> Result<String, String> {
    if volume["configMap"].is_object() {
        return Ok(config_map(uid, volume));
    }
    let Some(host) = volume["hostPath"]["path"].as_str() else {
        return Err(format!("volume {}: only hostPath and configMap volumes are simulated", volume["name"]));
    };
    match volume["hostPath"]["type"].as_str().unwrap_or_default() {
        "DirectoryOrCreate" => disk.create_dirs(host).map_err(|error| format!("{host}: {error}"))?,
        "Directory" if !disk.is_dir(host) => {
            return Err(format!("hostPath type check failed: {host} is not a directory"));
        }
        "File" if !disk.exists(host) || disk.is_dir(host) => {
            return Err(format!("hostPath type check failed: {host} is not a file"));
        }
        _ => {}
    }
    Ok(host.to_owned())
}
