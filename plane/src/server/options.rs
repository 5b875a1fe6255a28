//! How a plane is started.

use crate::site_network::SiteNetwork;
use ferrogate_join::NodeSetup;
use ferrogate_model::{Clock, SystemClock, proxy::ProxySettings, release::Release};
use ferrogate_tunnel::HubOptions;
use secrecy::SecretString;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use url::Url;

/// Connections that may be open at once; more are closed at once, so that those that are served stay fast.
pub(super) const MAX_CONNECTIONS: usize = 8_192;
/// Connections that one address (of IPv6: one network of 64 bits) may have open. Whole companies come from one, so that is a
/// quarter of all: who wants to keep others out needs four.
const MAX_CONNECTIONS_PER_SOURCE: usize = MAX_CONNECTIONS / 4;

/// How a plane is started. [`Options::new`] has a sensible value for everything else.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for the database, keys and certificates; made with mode 0700 where it does not exist.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Base address as clients reach the plane; `None` derives `https://<listen address>`.
    pub public_url: Option<Url>,
    /// More host names or addresses that the plane's own certificate shall be valid for.
    pub extra_names: Vec<String>,
    /// `sqlite:` or `postgres:` address; `None` takes `plane.db` in the data folder. May hold a password.
    pub database: Option<SecretString>,
    /// What is installed on sites.
    pub release: Release,
    /// Makes what machines are told. How a node is set up is not the plane's business.
    pub node_setup: Arc<dyn NodeSetup>,
    /// Folder looked into for `/artifacts` before anything is fetched from an upstream.
    pub mirror_dir: Option<PathBuf>,
    /// Certificate chain and key (PEM files) to serve with instead of a certificate of the plane's own CA.
    pub certificate: Option<CertificateFiles>,
    /// File with the master key that seals secrets in the store; `None` takes `master.key` in the data folder.
    pub master_key_file: Option<PathBuf>,
    /// Forward proxy for what the plane itself fetches (upstreams of artifacts).
    pub proxy: ProxySettings,
    /// Second, plain-HTTP listener with `/livez`, `/readyz` and `/metrics` only.
    pub admin_listen: Option<SocketAddr>,
    /// Connections that one address (of IPv6: one network of 64 bits) may have open at a listener.
    pub max_connections_per_source: usize,
    /// Limits and times of the tunnel's hub.
    pub hub: HubOptions,
    /// What stands in the place of the tunnel's hub as the way into the sites; `None` takes the hub. For tests.
    pub site_network: Option<Arc<dyn SiteNetwork>>,
    /// Whether this plane runs the reconcilers; one that does not only answers, and leaves the acting to other replicas.
    pub reconcile: bool,
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
}

/// A certificate that somebody else made for the plane.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM file with the chain, the server's own certificate first.
    pub chain: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

impl Options {
    /// Everything at its default but what has none.
    #[must_use]
    pub fn new(
        data_dir: impl Into<PathBuf>,
        listen: SocketAddr,
        release: Release,
        node_setup: Arc<dyn NodeSetup>,
    ) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen,
            public_url: None,
            extra_names: Vec::new(),
            database: None,
            release,
            node_setup,
            mirror_dir: None,
            certificate: None,
            master_key_file: None,
            proxy: ProxySettings::default(),
            admin_listen: None,
            max_connections_per_source: MAX_CONNECTIONS_PER_SOURCE,
            hub: HubOptions::default(),
            site_network: None,
            reconcile: true,
            clock: Arc::new(SystemClock),
        }
    }

    /// Where the master key lies.
    #[must_use]
    pub(super) fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data_dir.join("master.key"))
    }

    /// Folders with files for `/artifacts`, the mirror first.
    pub(super) fn artifact_folders(&self) -> Vec<PathBuf> {
        self.mirror_dir
            .iter()
            .map(PathBuf::as_path)
            .chain([self.data_dir.join("images").as_path()])
            .map(Path::to_owned)
            .collect()
    }
}
