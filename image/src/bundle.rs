//! What a node needs beyond a stock image of its operating system, in one archive that is unpacked at `/`.

use crate::archive;
use crate::cache::Cache;
use crate::error::{BuildError, Context, Result};
use crate::images;
use crate::key::Key;
use crate::programs::All;
use crate::root_image::Tree;
use crate::workshop::{Step, Workshop};
use ferrogate_model::ImageRef;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const RECIPE: u32 = 3;
const STEP: Step = Step { name: "bundle", expected: Duration::from_secs(60) };
const WEB: Step = Step { name: "web", expected: Duration::from_secs(5) };
/// Where a node's unit looks for images to import.
const IMAGES: &str = "var/lib/ferrogate-node/images";
/// Lists the bundle's images beside it.
const LIST: &str = "images.json";
/// Level of compression: programs hardly get smaller above it, and take twice as long.
const LEVEL: &str = "-3";
/// Images that only servers run; agents do not even unpack them.
const OF_SERVERS: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "shared-address"];

/// The bundle in the cache.
pub struct Bundle {
    /// The archive.
    pub path: PathBuf,
    /// Its inputs' key.
    pub key: String,
    /// Its images, by their role in a release.
    pub images: BTreeMap<String, ImageRef>,
}

/// Packs the bundle if it is not there.
///
/// # Errors
/// When a program is missing or the disk is full.
pub fn build(cache: &Cache, programs: &All, tree: &Tree) -> Result<Bundle> {
    let key = Key::new(STEP.name, RECIPE)
        .text("images", &images::RECIPE.to_string())
        .text("programs", &programs.bundle_keys())
        .text("tree", &tree.key)
        .text("of servers", &OF_SERVERS.join(" "))
        .digits();
    let folder = cache.artifact(&STEP, &key, |workshop| {
        let images = images::node(programs, &tree.folder, workshop.scratch())?;
        let text = serde_json::to_string_pretty(&images).context("listing the images")?;
        std::fs::write(workshop.out().join(LIST), text).with_context(|| format!("writing {LIST}"))?;
        pack(workshop, programs)
    })?;
    let list = folder.join(LIST);
    let text = std::fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let images = serde_json::from_str(&text).with_context(|| format!("reading {}", list.display()))?;
    Ok(Bundle { path: folder.join("bundle.tar.zst"), key, images })
}

/// Packs the scenarios' web image if it is not there.
///
/// # Errors
/// When the program is missing or the disk is full.
pub fn web(cache: &Cache, programs: &All, tree: &Tree) -> Result<PathBuf> {
    let key = Key::new(WEB.name, images::RECIPE).text("program", &programs.web.key).digits();
    let folder = cache.artifact(&WEB, &key, |workshop| images::web(programs, &tree.folder, workshop.out()))?;
    Ok(folder.join("web.tar"))
}

fn pack(workshop: &Workshop, programs: &All) -> Result<()> {
    let target = File::create(workshop.out().join("bundle.tar.zst"))?;
    // Not gzip: to unpack that takes a node most of a minute. One thread, so that the same content gives the same checksum.
    let mut zstd = Command::new("zstd")
        .args(["--quiet", LEVEL])
        .stdin(Stdio::piped())
        .stdout(target)
        .spawn()
        .context("starting zstd")?;
    let input = zstd.stdin.take().context("zstd takes no input")?;
    let mut archive = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, input));
    let written = fill(&mut archive, workshop, programs).and_then(|()| {
        archive.into_inner()?.into_inner().context("closing the bundle")?;
        Ok(())
    });
    // Its input is closed: zstd ends when it has written what it has.
    let status = zstd.wait().context("waiting for zstd")?;
    written?;
    if !status.success() {
        return Err(BuildError::new(format!("zstd failed ({status})")).with_hint("look whether the disk is full"));
    }
    Ok(())
}

fn fill(archive: &mut tar::Builder<impl std::io::Write>, workshop: &Workshop, programs: &All) -> Result<()> {
    for (folder, module, names) in [
        ("usr/local/bin", &programs.containerd, &["containerd", "containerd-shim-runc-v2", "ctr"][..]),
        ("usr/local/bin", &programs.runc, &["runc"]),
        ("usr/local/bin", &programs.kubernetes, &["kubelet", "kubeadm", "kubectl"]),
        ("opt/cni/bin", &programs.cni, &["bridge", "host-local", "loopback", "portmap"]),
        ("opt/cni/bin", &programs.cni_flannel, &["flannel"]),
    ] {
        for name in names {
            add(archive, &module.folder.join(name), &format!("{folder}/{name}"), 0o755)?;
        }
    }
    let mut images = Vec::new();
    for entry in std::fs::read_dir(workshop.scratch())? {
        images.push(entry?.file_name().display().to_string());
    }
    images.sort();
    for name in images {
        let server = OF_SERVERS.iter().any(|image| name.strip_suffix(".tar") == Some(image));
        let folder = if server { "server/" } else { "" };
        add(archive, &workshop.scratch().join(&name), &format!("{IMAGES}/{folder}{name}"), 0o644)?;
    }
    Ok(())
}

/// Adds a file and nothing else: folders exist on the node, with owners of their own.
fn add(archive: &mut tar::Builder<impl std::io::Write>, source: &Path, place: &str, mode: u32) -> Result<()> {
    let file = File::open(source).with_context(|| format!("opening {}", source.display()))?;
    let size = file.metadata()?.len();
    archive
        .append_data(&mut archive::header(tar::EntryType::Regular, mode, size), place, file)
        .with_context(|| format!("packing {place}"))
}
