//! `cargo xtask image`: the gateway's container image.

use crate::run::{cargo, must, root, target_dir};
use anyhow::Result;
use ferrogate_image::gateway_image::{self, Packed};
use std::path::Path;

/// Builds the gateway as a static binary and packs it into a folder (below the workspace's root where it is relative).
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
    Ok(gateway_image::pack(&binary, &root().join(out))?)
}

/// Packs the image and says where it is.
#[expect(clippy::print_stdout, reason = "the result is what the person asked for")]
pub(crate) fn build(out: &Path) -> Result<()> {
    let packed = pack(out)?;
    let size = std::fs::metadata(&packed.path)?.len();
    println!("{}", packed.path.display());
    println!("image {}, {} KiB, sha256 of the archive {}", packed.image, size / 1024, packed.sha256);
    Ok(())
}
