//! One-time tokens with which new gateway nodes introduce themselves to the plane.

use async_trait::async_trait;
use ferrogate_model::{Explain, Fault, Name, Retry};
use secrecy::SecretString;

/// No token could be had for a gateway node.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no enrolment token for gateway node `{node}`: {detail}")]
pub struct EnrolmentError {
    /// The node that needs it.
    pub node: String,
    /// Why, lower case, no full stop, without secrets.
    pub detail: String,
    /// Whether asking again can help.
    pub retry: Retry,
}

impl Explain for EnrolmentError {
    fn code(&self) -> &'static str {
        "enrolment_token_unavailable"
    }

    fn fault(&self) -> Fault {
        Fault::Plane
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn hint(&self) -> Option<String> {
        Some("check that the plane is reachable and that the gateway has not been deleted there".into())
    }
}

/// Gives out enrolment tokens. The plane makes them; the installer asks the plane.
#[async_trait]
pub trait Enrolment: Send + Sync {
    /// A fresh token for the node of this name; a token that was given out for the same name before becomes invalid.
    ///
    /// # Errors
    /// [`EnrolmentError`] says why there is none.
    async fn token(&self, node: &Name) -> Result<SecretString, EnrolmentError>;
}

/// For clusters whose nodes are no gateways: no token is ever asked for, and none is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEnrolment;

#[async_trait]
impl Enrolment for NoEnrolment {
    async fn token(&self, node: &Name) -> Result<SecretString, EnrolmentError> {
        Err(EnrolmentError {
            node: node.to_string(),
            detail: "this engine builds no gateways".into(),
            retry: Retry::No,
        })
    }
}
