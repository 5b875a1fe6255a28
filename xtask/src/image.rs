//! The gateway's container image: one static binary from scratch, packed without Docker.

use crate::run::{cargo, must, root, target_dir};
use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;

/// Unprivileged user of the image; the DaemonSet overrides it where it must read root's files.
const USER: &str = "65532:65532";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    // Fixed times and owners: the same input gives the same archive, and so the same checksum.
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    archive.append_data(&mut header, path, content).with_context(|| format!("packing {path}"))
}

/// Builds the binary and packs it as an image archive that containerd, k3s and Docker import.
#[expect(clippy::print_stdout, reason = "the result is what the person asked for")]
pub(crate) fn build(out: &Path) -> Result<()> {
    let (triple, architecture) = match std::env::consts::ARCH {
        "aarch64" => ("aarch64-unknown-linux-gnu", "arm64"),
        _ => ("x86_64-unknown-linux-gnu", "amd64"),
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

    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "ferrogate-gateway", 0o755, &binary)?;
    if !roots.is_empty() {
        append(&mut layer, "etc/ssl/certs/ca-certificates.crt", 0o644, &roots)?;
    }
    let layer = layer.into_inner().context("closing the layer")?;
    let diff_id = hex(&Sha256::digest(&layer));
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/ferrogate-gateway"], "Cmd": ["run"], "User": USER, "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Labels": {"org.opencontainers.image.title": "ferrogate-gateway", "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"), "org.opencontainers.image.licenses": "Apache-2.0"}},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
    }))?;
    let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
    let tag = format!("ferrogate/gateway:{}", env!("CARGO_PKG_VERSION"));
    let manifest = serde_json::to_vec(
        &json!([{"Config": config_name, "RepoTags": [format!("docker.io/{tag}")], "Layers": ["layer.tar"]}]),
    )?;

    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "manifest.json", 0o644, &manifest)?;
    append(&mut archive, &config_name, 0o644, &config)?;
    append(&mut archive, "layer.tar", 0o644, &layer)?;
    let archive = archive.into_inner().context("closing the archive")?;

    let folder = root().join(out);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("ferrogate-gateway-{}-{architecture}.tar", env!("CARGO_PKG_VERSION")));
    std::fs::write(&path, &archive).with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    println!("tag {tag}, {} KiB, sha256 {}", archive.len() / 1024, hex(&Sha256::digest(&archive)));
    Ok(())
}
