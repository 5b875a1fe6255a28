//! `containerd`, and `ctr` as far as it imports images.

use crate::{
    kubernetes::images,
    machine::{self, Machine, Process},
};
use sha2::{Digest as _, Sha256};

/// Its settings.
const SETTINGS: &str = "/etc/containerd/config.toml";
/// Where images are kept, by their namespace; Kubernetes' own is [`IMAGES`].
const STORE: &str = "/var/lib/containerd";
/// What was imported for Kubernetes.
pub(super) const IMAGES: &str = "/var/lib/containerd/k8s.io";
/// The unit it runs in.
pub(super) const UNIT: &str = "containerd.service";
/// Its socket, as others name it.
pub(super) const SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// Runs until it is cancelled.
pub(super) async fn run(machine: &Machine, process: &Process) -> Result<(), String> {
    if let Some(extra) = process.argv.get(1) {
        return Err(format!("containerd: `{extra}`: it takes its settings from {SETTINGS} only"));
    }
    sandbox_image(machine)?;
    machine.console.say("containerd", "containerd successfully booted");
    process.ready.send_replace(true);
    std::future::pending().await
}

/// The image that holds a pod's namespaces.
pub(super) fn sandbox_image(machine: &Machine) -> Result<String, String> {
    let text = super::read(machine, SETTINGS)?;
    if !text.lines().any(|line| line.trim() == "version = 3") {
        return Err(format!("containerd: {SETTINGS}: only settings of version 3 are simulated"));
    }
    let line = text.lines().find_map(|line| line.trim().strip_prefix("sandbox = "));
    let image = line.map(|image| image.trim_matches(['\'', '"']).to_owned());
    image.ok_or_else(|| {
        format!("containerd: {SETTINGS}: no sandbox image is pinned, and there is no registry in the lab")
    })
}

/// Runs `ctr --namespace NAME images import FILE`.
pub(super) fn ctr(machine: &Machine, process: &Process) -> Result<(), String> {
    let words: Vec<&str> = process.argv.iter().skip(1).map(String::as_str).collect();
    let ["--namespace", namespace, "images", "import", file] = words.as_slice() else {
        return Err(format!("ctr: `{}` is not simulated", words.join(" ")));
    };
    if !machine::is_active(machine, UNIT) {
        return Err("ctr: failed to dial \"/run/containerd/containerd.sock\": connect: connection refused".into());
    }
    let content = machine.disk.read(file).map_err(|error| format!("ctr: open {file}: {error}"))?;
    let names = images::names(&content).ok_or_else(|| format!("ctr: {file}: unrecognized image format"))?;
    let kept = format!("{STORE}/{namespace}/{}.tar", ferrogate_files::hex(Sha256::digest(names.join(" "))));
    machine.disk.write(&kept, &content, 0o600).map_err(|error| format!("ctr: {kept}: {error}"))?;
    machine.console.say(&process.source, format!("imported {}", names.join(", ")));
    Ok(())
}

/// Whether a node has an image.
pub(super) fn has(machine: &Machine, image: &str) -> bool {
    images::is_imported(&machine.disk, IMAGES, image)
}
