//! What can go wrong on the way to a cluster and in it.

use ferrogate_model::{Explain, Fault, Retry};
use ferrogate_net::{HttpError, TrustError};
use http::StatusCode;
use std::net::SocketAddr;

/// A request to a cluster that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// No control-plane machine is known yet.
    #[error("the cluster has no control-plane machine that could be asked")]
    NoMember,
    /// The cluster's own authority or certificate cannot be used.
    #[error("the cluster's certificates cannot be used")]
    Trust(#[source] TrustError),
    /// No answer.
    #[error("the Kubernetes API at {place} does not answer")]
    Unreachable {
        /// Where.
        place: SocketAddr,
        /// Why.
        #[source]
        source: Box<HttpError>,
    },
    /// An answer other than success.
    #[error("the Kubernetes API at {place} answered {status} to {path}: {message}")]
    Status {
        /// Where.
        place: SocketAddr,
        /// The path asked for.
        path: String,
        /// The status.
        status: StatusCode,
        /// The server's words.
        message: String,
    },
    /// An answer that is not what it should be.
    #[error("the Kubernetes API's answer to {path} could not be read")]
    Answer {
        /// The path asked for.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A name that does not belong into a path.
    #[error("`{0}` is not a path of the Kubernetes API")]
    Path(String),
}

impl KubeError {
    /// Whether the server says that there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    pub(super) fn from_answer(place: SocketAddr, path: &str, status: StatusCode, body: &[u8]) -> Self {
        let object = serde_json::from_slice::<serde_json::Value>(body).ok();
        let message = object.as_ref().and_then(|object| object["message"].as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect());
        Self::Status { place, path: path.to_owned(), status, message }
    }
}

impl Explain for KubeError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoMember => "cluster_has_no_control_plane",
            Self::Trust(error) => error.code(),
            Self::Unreachable { source, .. } => source.code(),
            Self::Status { status: StatusCode::UNAUTHORIZED, .. } => "cluster_refuses_certificate",
            Self::Status { .. } => "cluster_refused",
            Self::Answer { .. } => "cluster_answer_unreadable",
            Self::Path(_) => "cluster_path_not_usable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NoMember | Self::Status { .. } | Self::Answer { .. } => Fault::Cluster,
            Self::Trust(_) | Self::Path(_) => Fault::Ferrogate,
            Self::Unreachable { source, .. } => source.fault(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Trust(_) | Self::Path(_) => Retry::No,
            // A machine that is being replaced may present anything for a while, so even an untrusted answer may pass.
            Self::NoMember | Self::Unreachable { .. } | Self::Answer { .. } => Retry::Later,
            Self::Status { status, .. } if status.is_server_error() => Retry::Later,
            Self::Status { status, .. } => match *status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => Retry::Later,
                _ => Retry::No,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } => source.hint(),
            Self::Status { status: StatusCode::UNAUTHORIZED, .. } => {
                Some("the machine runs another cluster, or its clock is wrong".into())
            }
            Self::NoMember | Self::Trust(_) | Self::Status { .. } | Self::Answer { .. } | Self::Path(_) => None,
        }
    }
}
