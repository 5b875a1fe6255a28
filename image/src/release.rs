//! What a plane of the lab installs: the release's description, and the folder it serves the files from.

use crate::archive;
use crate::bundle::Bundle;
use crate::cache::Cache;
use crate::error::{Context, Result};
use crate::gateway_image::Packed;
use crate::key::Key;
use crate::programs::All;
use crate::workshop::Step;
use ferrogate_model::release::Release;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RECIPE: u32 = 2;
const STEP: Step = Step { name: "release", expected: Duration::from_secs(5) };
/// What the simulated MAAS calls the root image: uploaded images are `custom/…`.
const OS_IMAGE: &str = "custom/debian-13";

/// Writes `release.json` and the folder `mirror` if they are not there; returns the folder they are in.
///
/// # Errors
/// When the files cannot be linked or written.
pub fn build(cache: &Cache, bundle: &Bundle, gateway: &Packed, programs: &All) -> Result<PathBuf> {
    let kubernetes = &programs.kubernetes.version;
    let version = env!("CARGO_PKG_VERSION");
    let mut images = json!(bundle.images);
    images["gateway"] = json!(gateway.image);
    let description = |bundle: serde_json::Value, gateway_image: serde_json::Value| {
        json!({
            "version": version,
            "kubernetes": kubernetes,
            "os_image": OS_IMAGE,
            "images": images,
            "architectures": [{"name": archive::architecture(), "kubeadm": bundle, "gateway_image": gateway_image}],
        })
    };
    let shape = description(json!(bundle.key), json!(gateway.sha256)).to_string();
    let key = Key::new(STEP.name, RECIPE).text("description", &shape).digits();
    cache.artifact(&STEP, &key, |workshop| {
        let mirror = workshop.out().join("mirror");
        let architecture = archive::architecture();
        let file_name = gateway.path.file_name().context("the gateway's image has no name")?.display().to_string();
        let bundle = offer(&mirror, &bundle.path, &format!("kubeadm/{kubernetes}/{architecture}/bundle.tar.zst"))?;
        let image = offer(&mirror, &gateway.path, &format!("gateway/{version}/{file_name}"))?;
        // Who reads it refuses what is no release; that must not come to light there.
        let release: Release = serde_json::from_value(description(bundle, image)).context("describing the release")?;
        let text = serde_json::to_string_pretty(&release).context("describing the release")?;
        std::fs::write(workshop.out().join("release.json"), text).context("writing release.json")
    })
}

/// Puts a file into the mirror and describes it as a release does.
fn offer(mirror: &Path, source: &Path, path: &str) -> Result<serde_json::Value> {
    let place = mirror.join(path);
    let folder = place.parent().context("a mirrored file is in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    // The same file under a second name costs nothing; another file system needs a copy.
    std::fs::hard_link(source, &place)
        .or_else(|_| std::fs::copy(source, &place).map(drop))
        .with_context(|| format!("putting {} into the mirror", source.display()))?;
    Ok(json!({"path": path, "sha256": archive::sha256_of(&place)?}))
}
