//! `ferrogate kubeconfig`: access with kubectl, through the plane.

use crate::context::PlaneArgs;
use crate::exit::{Failure, Result};
use crate::print;
use clap::Args;
use ferrogate_api::KubeconfigCreate;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct KubeconfigArgs {
    /// Name (or id) of the cluster
    cluster: String,
    /// Write here, mode 0600, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Lifetime of its token in hours
    #[arg(long, default_value_t = 8, value_name = "HOURS")]
    ttl: u32,
}

pub(crate) async fn run(plane: &PlaneArgs, args: &KubeconfigArgs) -> Result<()> {
    let created = plane
        .client()?
        .create_kubeconfig(&args.cluster, &KubeconfigCreate { expires_in_hours: Some(args.ttl) })
        .await?;
    let Some(path) = &args.file else {
        print::data(created.kubeconfig.expose().trim_end());
        return Ok(());
    };
    // A fresh file each time: an old one might be readable by others.
    let write = || -> std::io::Result<()> {
        let fresh = path.with_extension("new");
        let _ = std::fs::remove_file(&fresh);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(created.kubeconfig.expose().as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|error| Failure::failed(format!("could not write {}: {error}", path.display())))?;
    print::note(&format!(
        "{} holds until {}; try: kubectl --kubeconfig {} get nodes",
        path.display(),
        created.expires_at,
        path.display()
    ));
    Ok(())
}
