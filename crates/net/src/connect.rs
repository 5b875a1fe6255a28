//! The one way to open a connection.

use async_trait::async_trait;
use ferrogate_model::{Explain, Fault, Retry};
use std::{fmt, net::IpAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// A two-way byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}

/// Any two-way byte stream.
pub type BoxIo = Box<dyn Io>;

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Host name or literal address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Target {
    /// A target from its parts.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The address, where the host is a literal one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What went wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The name has no address, or no DNS server answered.
    Dns,
    /// The other side answered that nothing listens there.
    Refused,
    /// No answer within the deadline.
    Timeout,
    /// The network says there is no way there.
    Unreachable,
    /// The forward proxy wants a user name and password, or does not accept the ones given (407).
    ProxyCredentials,
    /// The forward proxy answered with this HTTP status instead of 200; `None` where it is not known.
    ProxyStatus(Option<u16>),
    /// The TLS handshake failed: a certificate that is not trusted, or something that is not TLS.
    Tls,
    /// The gateway's allow-list does not permit the target.
    NotAllowed,
    /// No gateway is connected that could carry the connection.
    NoCarrier,
    /// Too many connections are open already.
    Budget,
    /// Anything else; the detail has the words.
    Other,
}

impl ConnectFailure {
    /// What the operating system's word for a failed connection means, with our words for it.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> (Self, String) {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => (Self::Refused, "nothing listens there".to_owned()),
            std::io::ErrorKind::TimedOut => (Self::Timeout, "the network gave up waiting for an answer".to_owned()),
            std::io::ErrorKind::HostUnreachable => (Self::Unreachable, "the host cannot be reached".to_owned()),
            std::io::ErrorKind::NetworkUnreachable => (Self::Unreachable, "there is no route to it".to_owned()),
            _ => (Self::Other, error.to_string()),
        }
    }
}

/// A connection that could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("could not connect to {target}{}: {detail}", via.as_ref().map(|via| format!(" through {via}")).unwrap_or_default())]
pub struct ConnectError {
    /// What went wrong.
    pub failure: ConnectFailure,
    /// Where to.
    pub target: Target,
    /// The proxy, gateway or tunnel on the way, without secrets.
    pub via: Option<String>,
    /// In words, lower case, no full stop.
    pub detail: String,
}

impl Explain for ConnectError {
    fn code(&self) -> &'static str {
        match self.failure {
            ConnectFailure::Dns => "name_not_resolved",
            ConnectFailure::Refused => "connection_refused",
            ConnectFailure::Timeout => "connection_timed_out",
            ConnectFailure::Unreachable => "network_unreachable",
            ConnectFailure::ProxyCredentials => "proxy_credentials_refused",
            ConnectFailure::ProxyStatus(_) => "proxy_refused",
            ConnectFailure::Tls => "tls_not_trusted",
            ConnectFailure::NotAllowed => "target_not_allowed",
            ConnectFailure::NoCarrier => "gateway_not_connected",
            ConnectFailure::Budget => "gateway_budget_used_up",
            ConnectFailure::Other => "connection_failed",
        }
    }

    fn fault(&self) -> Fault {
        match self.failure {
            ConnectFailure::NotAllowed | ConnectFailure::NoCarrier | ConnectFailure::Budget => Fault::Gateway,
            ConnectFailure::ProxyCredentials => Fault::Caller,
            ConnectFailure::Dns
            | ConnectFailure::Refused
            | ConnectFailure::Timeout
            | ConnectFailure::Unreachable
            | ConnectFailure::ProxyStatus(_)
            | ConnectFailure::Tls
            | ConnectFailure::Other => Fault::Network,
        }
    }

    fn retry(&self) -> Retry {
        match self.failure {
            ConnectFailure::NotAllowed | ConnectFailure::ProxyCredentials | ConnectFailure::Tls => Retry::No,
            ConnectFailure::Dns
            | ConnectFailure::Refused
            | ConnectFailure::Timeout
            | ConnectFailure::Unreachable
            | ConnectFailure::ProxyStatus(_)
            | ConnectFailure::NoCarrier
            | ConnectFailure::Budget
            | ConnectFailure::Other => Retry::Later,
        }
    }

    fn hint(&self) -> Option<String> {
        let host = &self.target.host;
        Some(match self.failure {
            ConnectFailure::Dns => format!("check the spelling of `{host}` and that this host's DNS server knows it"),
            ConnectFailure::Refused => format!("check that the service runs and listens on port {}", self.target.port),
            ConnectFailure::Timeout => format!("check that a firewall lets this host reach {}", self.target),
            ConnectFailure::Unreachable => format!("check this host's routes to `{host}`"),
            ConnectFailure::ProxyCredentials => {
                "write the proxy as http://USER:PASSWORD@HOST:PORT with valid credentials".into()
            }
            ConnectFailure::ProxyStatus(_) => {
                format!("allow CONNECT to {} in the proxy, or add `{host}` to no-proxy", self.target)
            }
            ConnectFailure::Tls => {
                "if a private CA or a TLS-inspecting proxy is used, give its certificate with --ca-file".into()
            }
            ConnectFailure::NotAllowed => {
                format!("add {} to the gateway's allow-list if the plane may reach it", self.target)
            }
            ConnectFailure::NoCarrier => "check the gateway's state with `ferrogate get gateways`".into(),
            ConnectFailure::Budget => "wait for other connections to end".into(),
            ConnectFailure::Other => return None,
        })
    }
}

/// Opens connections. Implementations: direct TCP, through a forward proxy, through a tunnel, in memory.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Opens a connection to `target`, or fails within `deadline`.
    ///
    /// # Errors
    /// [`ConnectError`] says what went wrong and where on the way.
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError>;
}

#[async_trait]
impl<C: Connector + ?Sized> Connector for Arc<C> {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        (**self).connect(target, deadline).await
    }
}
