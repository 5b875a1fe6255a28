//! How a plane is started, and why it may not start.

use crate::site::SiteNetwork;
use ferrogate_model::{Clock, Explain, Fault, Retry, SystemClock, proxy::ProxySettings, release::Release};
use ferrogate_store::StoreError;
use ferrogate_tunnel::HubOptions;
use secrecy::SecretString;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use url::Url;

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
    /// What is installed on sites; `None` takes the release built in.
    pub release: Option<Release>,
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
    pub site: Option<Arc<dyn SiteNetwork>>,
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
    /// Everything at its default but the two that have none.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen,
            public_url: None,
            extra_names: Vec::new(),
            database: None,
            release: None,
            mirror_dir: None,
            certificate: None,
            master_key_file: None,
            proxy: ProxySettings::default(),
            admin_listen: None,
            max_connections_per_source: super::listener::MAX_CONNECTIONS_PER_SOURCE,
            hub: HubOptions::default(),
            site: None,
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

/// Why a plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file or folder of the plane cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("cannot serve with {}: {detail}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The plane's public address cannot be one.
    #[error("the public address `{url}` cannot be used: {problem}")]
    PublicUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database is there, but the key that seals its secrets is not.
    #[error("the database {} is there, but its master key {} is missing", database.display(), key.display())]
    KeyLost {
        /// The database.
        database: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "cannot_listen",
            Self::File { .. } => "file_unusable",
            Self::Certificate { .. } => "certificate_unusable",
            Self::PublicUrl { .. } => "bad_public_url",
            Self::KeyLost { .. } => "master_key_lost",
            Self::Store(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Listen { .. }
            | Self::File { .. }
            | Self::Certificate { .. }
            | Self::PublicUrl { .. }
            | Self::KeyLost { .. } => Fault::Caller,
            Self::Store(error) => error.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Listen { .. }
            | Self::File { .. }
            | Self::Certificate { .. }
            | Self::PublicUrl { .. }
            | Self::KeyLost { .. } => Retry::No,
            Self::Store(error) => error.retry(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, .. } => Some(format!(
                "choose another address, or stop what uses port {}; ports below 1024 need the right to bind them",
                address.port()
            )),
            Self::File { path, .. } => {
                Some(format!("check that the plane's user may read and write {}", path.display()))
            }
            Self::Certificate { .. } => None,
            Self::PublicUrl { .. } => Some("write it as https://HOST or https://HOST:PORT".into()),
            Self::KeyLost { database, .. } => Some(format!(
                "put the key file back from its copy; without it the secrets in {} cannot be read by anybody",
                database.display()
            )),
            Self::Store(error) => error.hint(),
        }
    }
}
