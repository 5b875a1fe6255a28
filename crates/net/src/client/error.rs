//! What can go wrong between a request and the end of its answer.

use crate::{
    connect::{ConnectError, Target},
    trust::TrustError,
};
use ferrogate_model::{Explain, Fault, Retry};
use http::Uri;
use std::time::Duration;

/// A request without a complete answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failure}")]
pub struct HttpError {
    /// What went wrong.
    #[source]
    pub failure: HttpFailure,
    /// Whether the server may have received the request, so that it may have taken effect.
    sent: bool,
}

/// The ways a request fails.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HttpFailure {
    /// The request's address cannot be used.
    #[error("the address `{address}` cannot be used: {reason}")]
    Address {
        /// As given.
        address: String,
        /// Why.
        reason: &'static str,
    },
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The trust settings cannot be used.
    #[error("no TLS connection to {target} can be made: {error}")]
    Trust {
        /// Where to.
        target: Target,
        /// Why.
        error: TrustError,
    },
    /// The deadline passed before the answer was complete.
    #[error("no complete answer from {place} within {} s", after.as_secs_f32())]
    Timeout {
        /// Scheme, host and port.
        place: String,
        /// The deadline.
        after: Duration,
    },
    /// The connection ended before the answer was complete.
    #[error("the connection to {target} was closed before the answer was complete: {detail}")]
    Closed {
        /// Where to.
        target: Target,
        /// In words.
        detail: String,
    },
    /// What came back is not HTTP.
    #[error("what answers at {target} does not speak HTTP: {detail}")]
    NotHttp {
        /// Where to.
        target: Target,
        /// In words.
        detail: String,
    },
    /// The answer is longer than was allowed.
    #[error("the answer of {target} is longer than {limit} bytes")]
    TooLong {
        /// Where to.
        target: Target,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl HttpError {
    /// Whether the server may have received the request. A request that changes something must then not simply be
    /// repeated: look first.
    #[must_use]
    pub const fn may_have_been_sent(&self) -> bool {
        self.sent
    }

    /// A request that failed, and whether the server may have received it; where nobody can tell, it may have.
    #[must_use]
    pub const fn new(failure: HttpFailure, sent: bool) -> Self {
        Self { failure, sent }
    }

    pub(super) fn address(uri: &Uri, reason: &'static str) -> Self {
        Self::new(HttpFailure::Address { address: without_query(uri), reason }, false)
    }

    pub(super) const fn connect(error: ConnectError) -> Self {
        Self::new(HttpFailure::Connect(error), false)
    }

    pub(super) fn trust(target: &Target, error: TrustError) -> Self {
        Self::new(HttpFailure::Trust { target: target.clone(), error }, false)
    }

    pub(super) fn timeout(uri: &Uri, after: Duration, sent: bool) -> Self {
        let scheme = uri.scheme_str().unwrap_or("http");
        let host = uri.host().unwrap_or_default();
        let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self::new(HttpFailure::Timeout { place: format!("{scheme}://{host}{port}"), after }, sent)
    }

    /// Sorts an error of the HTTP library.
    pub(super) fn from_hyper(target: &Target, error: &hyper::Error, sent: bool) -> Self {
        let target = target.clone();
        let detail = ferrogate_model::fault::chain(error);
        if error.is_parse() {
            return Self::new(HttpFailure::NotHttp { target, detail }, sent);
        }
        Self::new(HttpFailure::Closed { target, detail }, sent)
    }
}

/// An address without its query, which may hold what no log should.
fn without_query(uri: &Uri) -> String {
    let text = uri.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

impl Explain for HttpError {
    fn code(&self) -> &'static str {
        match &self.failure {
            HttpFailure::Address { .. } => "address_not_usable",
            HttpFailure::Connect(error) => error.code(),
            HttpFailure::Trust { error, .. } => error.code(),
            HttpFailure::Timeout { .. } => "answer_timed_out",
            HttpFailure::Closed { .. } => "connection_closed",
            HttpFailure::NotHttp { .. } => "not_http",
            HttpFailure::TooLong { .. } => "answer_too_long",
        }
    }

    fn fault(&self) -> Fault {
        match &self.failure {
            HttpFailure::Address { .. } => Fault::Caller,
            HttpFailure::Connect(error) => error.fault(),
            HttpFailure::Trust { error, .. } => error.fault(),
            HttpFailure::Timeout { .. }
            | HttpFailure::Closed { .. }
            | HttpFailure::NotHttp { .. }
            | HttpFailure::TooLong { .. } => Fault::Network,
        }
    }

    fn retry(&self) -> Retry {
        match &self.failure {
            HttpFailure::Connect(error) => error.retry(),
            HttpFailure::Address { .. } | HttpFailure::Trust { .. } => Retry::No,
            HttpFailure::Timeout { .. }
            | HttpFailure::Closed { .. }
            | HttpFailure::NotHttp { .. }
            | HttpFailure::TooLong { .. } => {
                if self.sent {
                    Retry::AfterLooking
                } else {
                    Retry::Later
                }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match &self.failure {
            HttpFailure::Address { .. } => Some("write it as http://HOST:PORT/… or https://HOST:PORT/…".into()),
            HttpFailure::Connect(error) => error.hint(),
            HttpFailure::Trust { error, .. } => error.hint(),
            HttpFailure::Timeout { .. } => Some("check the load of the server and of what lies on the way".into()),
            HttpFailure::Closed { .. } => None,
            HttpFailure::NotHttp { .. } => Some("check the port, and whether it wants https instead of http".into()),
            HttpFailure::TooLong { .. } => None,
        }
    }
}
