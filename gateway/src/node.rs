//! One gateway node, from its configuration to its end.

use crate::{
    VERSION, admin,
    config::{self, Checked, ConfigError},
    credentials::Files,
    metrics::Metrics,
};
use ferrogate_model::{Clock, Explain, Fault, Retry, SystemClock};
use ferrogate_net::{Connector, Direct, ViaProxy};
use ferrogate_tunnel::{Agent, AgentEnd, AgentOptions, Resolver, SystemResolver};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long data may stay unacknowledged on a connection before the kernel gives it up: less than the 25 s after which
/// the tunnel itself takes a silent plane for dead.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// What a carrier may leave unsent in the kernel: more only makes small requests wait behind bulk.
const UNSENT_BYTES: u32 = 128 * 1024;

/// How a gateway node is started.
#[derive(Clone)]
pub struct RunOptions {
    /// The configuration file, seen from inside the machine (or container).
    pub config_path: PathBuf,
    /// Put before every path, this one included: the file tree of a simulated machine. `None` on a real one.
    pub root: Option<PathBuf>,
    /// How connections are opened, to the proxy, the plane and targets in the site; `None` for plain sockets.
    pub connector: Option<Arc<dyn Connector>>,
    /// Turns the names of targets into addresses; `None` for the machine's own resolver.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// The machine's address (environment `HOST_IP`), where the admin endpoints listen.
    pub host_ip: Option<IpAddr>,
    /// Where the epoch of this process comes from.
    pub clock: Arc<dyn Clock>,
}

impl RunOptions {
    /// The options of a real node.
    #[must_use]
    pub fn new(config_path: impl Into<PathBuf>) -> Self {
        Self {
            config_path: config_path.into(),
            root: None,
            connector: None,
            resolver: None,
            host_ip: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Reads the configuration, wholly.
    pub(crate) fn read(&self) -> Result<Checked, ConfigError> {
        config::read(&self.config_path, self.root.as_deref(), self.host_ip)
    }

    /// How connections in the site are opened.
    pub(crate) fn dialer(&self) -> Arc<dyn Connector> {
        self.connector.clone().unwrap_or_else(|| Arc::new(Direct::new().with_user_timeout(USER_TIMEOUT)))
    }

    /// How the plane is reached.
    pub(crate) fn way_out(&self, checked: &Checked) -> Arc<dyn Connector> {
        let inner = self
            .connector
            .clone()
            .unwrap_or_else(|| Arc::new(Direct::new().with_user_timeout(USER_TIMEOUT).with_unsent_limit(UNSENT_BYTES)));
        if checked.proxy.is_empty() { inner } else { Arc::new(ViaProxy::new(inner, checked.proxy.clone())) }
    }
}

/// Why a gateway node could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is not usable; nothing was started.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The admin endpoints have no port.
    #[error("cannot listen on {address} for the admin endpoints")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The plane revoked this node.
    #[error("the plane revoked this node; it may not connect any more")]
    Revoked,
}

impl Explain for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Listen { .. } => "admin_port_unusable",
            Self::Revoked => "gateway_node_revoked",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Config(error) => error.fault(),
            Self::Listen { .. } | Self::Revoked => Fault::Gateway,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Config(_) | Self::Revoked => Retry::No,
            Self::Listen { .. } => Retry::Later,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Listen { .. } => Some("stop what uses the port, or set `admin_listen`".into()),
            Self::Revoked => Some("let the plane rebuild this node, so that it registers a new key".into()),
        }
    }
}

/// Runs a gateway node until `cancel` fires (then drains and returns `Ok`) or it has to stop.
///
/// # Errors
/// [`RunError`] says whether the configuration is at fault.
pub async fn run(options: RunOptions, cancel: CancellationToken) -> Result<(), RunError> {
    let checked = options.read()?;
    let address = checked.admin;
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
    let files = Files::new(&checked);
    let agent = Agent::new(AgentOptions {
        plane_url: checked.file.plane_url.clone(),
        connector: options.way_out(&checked),
        credentials: Arc::new(files.clone()),
        dialer: options.dialer(),
        resolver: options.resolver.clone().unwrap_or_else(|| Arc::new(SystemResolver)),
        allow: checked.allow.clone(),
        version: VERSION.into(),
        clock: options.clock.clone(),
        epoch_floor: files.epoch_floor(),
        max_streams: AgentOptions::MAX_STREAMS,
        half_closed: AgentOptions::HALF_CLOSED,
        drain_deadline: AgentOptions::DRAIN_DEADLINE,
    });
    if let Err(error) = files.keep_epoch(agent.epoch()) {
        tracing::warn!(%error, "could not keep this start's number; the state folder may not be writable");
    }
    tracing::info!(version = VERSION, node = %checked.file.node_name, plane = %checked.file.plane_url, %address, "gateway node started");
    let metrics = Metrics::new(agent.status(), agent.figures());
    let served = cancel.child_token();
    let mut admin = tokio::task::JoinSet::new();
    admin.spawn(admin::serve(listener, agent.status(), metrics, served.clone()));
    // The admin endpoints answer until the last stream has ended: a drain is when people look.
    let end = agent.run(cancel).await;
    served.cancel();
    while admin.join_next().await.is_some() {}
    match end {
        AgentEnd::Cancelled => Ok(()),
        AgentEnd::Revoked => Err(RunError::Revoked),
    }
}
