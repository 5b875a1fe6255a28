//! `ferrogate kubeconfig`: access with kubectl, through the plane.

use crate::context::PlaneArgs;
use crate::exit::{Failure, Result};
use crate::print;
use clap::Args;
use ferrogate_api::KubeconfigCreate;
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
    ferrogate_files::write_private(path, created.kubeconfig.expose().as_bytes())
        .map_err(|error| Failure::failed(format!("could not write {}: {error}", path.display())))?;
    print::note(&format!(
        "{} holds until {}; try: kubectl --kubeconfig {} get nodes",
        path.display(),
        created.expires_at,
        path.display()
    ));
    Ok(())
}
