//! `ferrogate plane`: run the management plane.

use crate::exit::{Exit, Failure, Result};
use crate::print;
use clap::Args;
use ferrogate_firstboot::Kubeadm;
use ferrogate_model::release::Release;
use ferrogate_plane::{CertificateFiles, Options, Server};
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

#[derive(Args, Debug)]
pub(crate) struct PlaneServeArgs {
    /// Folder for the database, keys and certificates
    #[arg(long, env = "FERROGATE_DATA_DIR", value_name = "DIR", default_value = "/var/lib/ferrogate-plane")]
    data_dir: PathBuf,
    /// Address and port to listen on
    #[arg(long, env = "FERROGATE_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:443")]
    listen: SocketAddr,
    /// Address as browsers, installers and gateways reach the plane, such as https://plane.example.com
    #[arg(long, env = "FERROGATE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
    /// More names or addresses the plane's own certificate shall be valid for (repeat)
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// File with a PostgreSQL address; without it the plane keeps an SQLite file in the data folder
    #[arg(long, env = "FERROGATE_DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// Certificate chain (PEM) to serve with, instead of one of the plane's own CA
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What is installed on sites: a release document (JSON) that names the exact Kubernetes files; the plane has none of its
    /// own
    #[arg(long, env = "FERROGATE_RELEASE", value_name = "FILE")]
    release: Option<PathBuf>,
    /// Folder looked into for artifacts before they are fetched
    #[arg(long, value_name = "DIR")]
    mirror_dir: Option<PathBuf>,
    /// Second listener, without TLS, for /livez, /readyz and /metrics only
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

fn options(args: PlaneServeArgs) -> Result<Options> {
    let release = release(args.release.as_deref())?;
    let mut options = Options::new(args.data_dir, args.listen, release, Arc::new(Kubeadm));
    options.public_url = args.public_url;
    options.extra_names = args.names;
    options.database = args.database_url_file.as_deref().map(crate::context::read_secret).transpose()?;
    options.certificate = args.tls_cert.zip(args.tls_key).map(|(chain, key)| CertificateFiles { chain, key });
    options.mirror_dir = args.mirror_dir;
    options.admin_listen = args.admin_listen;
    Ok(options)
}

/// What this plane installs. It has nothing of its own: nobody publishes those files yet.
fn release(file: Option<&Path>) -> Result<Release> {
    let Some(file) = file else {
        return Err(Failure::usage("which release shall this plane install? There is none built in: give --release FILE")
            .with_hint(
                "a release document names the exact files of Kubernetes, with checksums. `cargo xtask lab build` makes one, \
                 `release.json`, and the folder `mirror` with its files: give them as --release and --mirror-dir. A release \
                 that can be downloaded comes with the node image",
            ));
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("could not read {}: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{} is not a release: {error}", file.display())))
}

pub(crate) async fn run(args: PlaneServeArgs) -> Result<()> {
    let running = Server::start(options(args)?).await.map_err(|error| Failure::explained(Exit::Failed, &error))?;
    print::note(&format!("ferrogate plane {} listens on {}", env!("CARGO_PKG_VERSION"), running.local_addr));
    print::note(&format!("  address      {}", running.url));
    print::note(&format!("  fingerprint  {}", running.fingerprint));
    if let Some(token) = &running.setup_token {
        print::note("\nthis plane is fresh. Set it up once, from any host, with this one-time token:\n");
        print::note(&format!("  {}\n", token.expose_secret()));
        print::note(&format!("  ferrogate setup {} --fingerprint {}\n", running.url, running.fingerprint));
    }
    wait_for_stop().await;
    print::note("stopping: running requests may end, gateways are told to come back");
    running.shutdown().await;
    Ok(())
}

/// Until the service manager or the person says so.
pub(crate) async fn wait_for_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            print::note(&format!("cannot listen for SIGTERM ({error}); Ctrl-C still works"));
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
