//! The gateway's container image: one static binary from scratch, packed without Docker.

use crate::archive::{self, Description, Layer};
use crate::error::{Context, Result};
use ferrogate_model::ImageRef;
use std::path::{Path, PathBuf};

/// Unprivileged user of the image; the DaemonSet overrides it where it must read root's files.
const USER: &str = "65532:65532";

/// An image that was packed.
pub struct Packed {
    /// The archive.
    pub path: PathBuf,
    /// The image's name, tag and digest, as a DaemonSet names it.
    pub image: ImageRef,
    /// SHA-256 of the archive.
    pub sha256: String,
}

/// Packs the gateway's static binary into a folder.
///
/// # Errors
/// When the binary cannot be read, or the folder cannot be written.
pub fn pack(binary: &Path, folder: &Path) -> Result<Packed> {
    let binary = std::fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    let roots = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();

    let mut layer = Layer::new();
    layer.file("ferrogate-gateway", 0o755, &binary)?;
    if !roots.is_empty() {
        layer.file("etc/ssl/certs/ca-certificates.crt", 0o644, &roots)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let archive::Packed { image, archive } = archive::image(
        layer,
        &Description {
            reference: format!("docker.io/ferrogate/gateway:{version}"),
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
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(format!("ferrogate-gateway-{version}-{}.tar", archive::architecture()));
    // A new file under the old name: who holds the old one, such as a mirror by a second name, keeps it as it is.
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, &archive)
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .with_context(|| format!("writing {}", path.display()))?;
    let sha256 = archive::sha256_of(&path)?;
    Ok(Packed { path, image, sha256 })
}
