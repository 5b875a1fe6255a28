//! The gateway's container image: one static binary from scratch, packed without Docker.

use crate::archive::{self, Description, Layer};
use crate::run::{cargo, must, root, target_dir};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Unprivileged user of the image; the DaemonSet overrides it where it must read root's files.
const USER: &str = "65532:65532";

/// An image that was packed.
pub(crate) struct Packed {
    /// The archive.
    pub(crate) path: PathBuf,
    /// The image's whole name, as a DaemonSet names it.
    pub(crate) reference: String,
    /// SHA-256 of the archive.
    pub(crate) sha256: String,
}

/// Builds the binary and packs it into a folder (below the workspace's root where it is relative).
///
/// # Errors
/// When cargo cannot build it, or the folder cannot be written.
pub(crate) fn pack(out: &Path) -> Result<Packed> {
    let triple = match std::env::consts::ARCH {
        "aarch64" => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    };
    // A named target keeps the static flag away from build scripts and procedural macros.
    must(
        cargo().env("RUSTFLAGS", "-C target-feature=+crt-static").args([
            "build",
            "--release",
            "--package",
            "ferrogate-gateway",
            "--bin",
            "ferrogate-gateway",
            "--target",
            triple,
        ]),
        "building the static gateway",
    )?;
    let binary = target_dir()?.join(triple).join("release/ferrogate-gateway");
    let binary = std::fs::read(&binary).with_context(|| format!("reading {}", binary.display()))?;
    let roots = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();

    let mut layer = Layer::new();
    layer.file("ferrogate-gateway", 0o755, &binary)?;
    if !roots.is_empty() {
        layer.file("etc/ssl/certs/ca-certificates.crt", 0o644, &roots)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let reference = format!("docker.io/ferrogate/gateway:{version}");
    let archive = archive::image(
        layer,
        &Description {
            reference: reference.clone(),
            entrypoint: vec!["/ferrogate-gateway".into()],
            command: vec!["run".into()],
            user: USER.into(),
            environment: vec!["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt".into()],
            labels: vec![
                ("org.opencontainers.image.title", "ferrogate-gateway".into()),
                ("org.opencontainers.image.version", version.into()),
                ("org.opencontainers.image.licenses", "Apache-2.0".into()),
            ],
        },
    )?;
    let folder = root().join(out);
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(format!("ferrogate-gateway-{version}-{}.tar", archive::architecture()));
    // A new file under the old name: who holds the old one, such as a mirror by a second name, keeps it as it is.
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, &archive)
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .with_context(|| format!("writing {}", path.display()))?;
    let sha256 = archive::sha256_of(&path)?;
    Ok(Packed { path, reference, sha256 })
}

/// Packs the image and says where it is.
#[expect(clippy::print_stdout, reason = "the result is what the person asked for")]
pub(crate) fn build(out: &Path) -> Result<()> {
    let packed = pack(out)?;
    let size = std::fs::metadata(&packed.path)?.len();
    println!("{}", packed.path.display());
    println!("tag {}, {} KiB, sha256 {}", packed.reference, size / 1024, packed.sha256);
    Ok(())
}
