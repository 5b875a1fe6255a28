//! `cargo xtask lab build`: everything the lab runs, from Debian's packages, Go's modules and our own sources. Each
//! artifact is kept under the key of its inputs, so only what changed is built again.

mod kernel;
mod needs;
mod sites;

use crate::image;
use anyhow::{Context, Result};
use ferrogate_image::{Cache, bundle, debian, programs, release, root_image, spoken};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Artifacts beside Go's: kernel, tree, root image, bundle, web image, release.
const OTHER_ARTIFACTS: usize = 6;
/// The result file, in the cache's folder.
const RESULT: &str = "artifacts.json";

/// Where artifacts are kept: `$FERROGATE_LAB_CACHE`, else the person's cache folder.
///
/// # Errors
/// When the environment names neither a cache folder nor a home.
fn folder() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = named("FERROGATE_LAB_CACHE") {
        return std::path::absolute(folder).context("finding the folder that FERROGATE_LAB_CACHE names");
    }
    named("XDG_CACHE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("ferrogate-lab"))
        .context("where to keep the lab's artifacts? Set FERROGATE_LAB_CACHE to a folder with 8 GB of room")
}

/// How to build.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Afterwards remove the artifacts that these sources no longer use (not while a lab is up: its machines start
    /// from them)
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not install missing Debian packages, only name them
    #[arg(long)]
    pub(crate) no_install: bool,
    /// Also the kernel of virtual machines, for `--backend kvm` and `--backend emulated`
    #[arg(long)]
    pub(crate) pc_kernel: bool,
    /// Debian's archive, instead of the one that apt uses here
    #[arg(long, value_name = "URL")]
    pub(crate) debian_mirror: Option<String>,
}

/// What the lab starts from. Written as `artifacts.json` into the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifacts {
    /// The machines' kernel, a program.
    pub(crate) kernel: PathBuf,
    /// The kernel of virtual machines, where it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pc_kernel: Option<PathBuf>,
    /// What `uname -r` says on a machine.
    pub(crate) kernel_release: String,
    /// The disk that every machine starts from: ext4 without partitions, label `rootfs`.
    pub(crate) root_image: PathBuf,
    /// What `ferrogate plane --release` reads.
    pub(crate) release: PathBuf,
    /// What `ferrogate plane --mirror-dir` serves.
    pub(crate) mirror_dir: PathBuf,
    /// The image that scenarios deploy, outside the bundle.
    pub(crate) web_image: PathBuf,
    /// Name and version of what is in it, for people.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Builds what is not there.
///
/// # Errors
/// When a tool is missing or fails; the error names the package or the log.
#[expect(clippy::print_stderr, reason = "progress belongs to stderr")]
pub(crate) fn ensure(options: &Options) -> Result<Artifacts> {
    let started = Instant::now();
    needs::prepare(!options.no_install, options.pc_kernel)?;
    let mirror = match &options.debian_mirror {
        Some(mirror) => mirror.trim_end_matches('/').to_owned(),
        None => debian::mirror()?,
    };
    let cache = Cache::open(&folder()?, programs::COUNT + OTHER_ARTIFACTS + usize::from(options.pc_kernel))?;
    let kernel = kernel::build(&cache, &mirror)?;
    let pc_kernel = match options.pc_kernel {
        true => Some(kernel::pc(&cache, &mirror)?),
        false => kernel::pc_if_there(&cache)?,
    };
    let tree = root_image::tree(&cache, &mirror)?;
    let root_image = root_image::build(&cache, &tree, &kernel)?;
    let programs = programs::build(&cache)?;
    let bundle = bundle::build(&cache, &programs, &tree)?;
    let web_image = bundle::web(&cache, &programs, &tree)?;
    // Cargo itself knows whether the gateway is fresh.
    let gateway = image::pack(&cache.folder().join("gateway"))?;
    let release = release::build(&cache, &bundle, &gateway, &programs)?;

    let mut versions: BTreeMap<String, String> =
        programs.versions().map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    versions.insert("kernel".into(), kernel.release.clone());
    versions.insert("gateway".into(), env!("CARGO_PKG_VERSION").into());
    let artifacts = Artifacts {
        kernel: kernel::program(&kernel),
        pc_kernel,
        kernel_release: kernel.release,
        root_image,
        release: release.join("release.json"),
        mirror_dir: release.join("mirror"),
        web_image,
        versions,
    };
    let result = cache.folder().join(RESULT);
    let unfinished = cache.folder().join(format!("{RESULT}.new"));
    std::fs::write(&unfinished, serde_json::to_string_pretty(&artifacts)?)
        .and_then(|()| std::fs::rename(&unfinished, &result))
        .with_context(|| format!("writing {}", result.display()))?;
    if options.prune {
        sites::none_up(Path::new(sites::RUN_FOLDER))?;
        cache.prune()?;
    }
    eprintln!("the lab's artifacts are there after {}", spoken(started.elapsed()));
    Ok(artifacts)
}

/// What machines boot.
pub(crate) struct Machines {
    /// A User Mode Linux kernel.
    pub(crate) kernel: PathBuf,
    /// The kernel of virtual machines.
    pub(crate) pc_kernel: PathBuf,
    /// The disk that they start from.
    pub(crate) root_image: PathBuf,
}

/// Builds what machines boot, from Debian's packages alone.
///
/// # Errors
/// When a tool is missing or fails.
pub(crate) fn machine(may_install: bool) -> Result<Machines> {
    needs::prepare_machine(may_install)?;
    let mirror = debian::mirror()?;
    let cache = Cache::open(&folder()?, 4)?;
    let kernel = kernel::build(&cache, &mirror)?;
    let pc_kernel = kernel::pc(&cache, &mirror)?;
    let tree = root_image::tree(&cache, &mirror)?;
    let root_image = root_image::build(&cache, &tree, &kernel)?;
    Ok(Machines { kernel: kernel::program(&kernel), pc_kernel, root_image })
}

/// Builds, and prints where everything is.
#[expect(clippy::print_stdout, reason = "the result is what the person asked for")]
pub(crate) fn run(options: &Options) -> Result<()> {
    let artifacts = ensure(options)?;
    println!("{}", serde_json::to_string_pretty(&artifacts)?);
    Ok(())
}
