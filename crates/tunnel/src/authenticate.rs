//! What the plane must answer so that the hub can tell who connects.

use crate::key::PublicKey;
use async_trait::async_trait;
use ferrogate_model::{Explain, Fault, GatewayId, Name, NodeId, Retry};
use secrecy::SecretString;

/// A node whose key is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// The gateway it belongs to.
    pub gateway: GatewayId,
    /// Its name.
    pub name: Name,
    /// The key it registered.
    pub public_key: PublicKey,
    /// Whether it may no longer connect. The only thing that makes a gateway stop trying.
    pub revoked: bool,
}

/// The registration of a node's key. The proof of possession of the key has been checked already.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The one-time token that was rendered for this machine alone.
    pub token: SecretString,
    /// The key to register.
    pub public_key: PublicKey,
    /// The node's name; must be the one the token was made for.
    pub node_name: Name,
    /// The gateway's version.
    pub version: String,
}

/// The store behind the plane cannot answer now. The node is told to come again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the node's registration cannot be checked now: {0}")]
pub struct Unavailable(pub String);

/// Why a key was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolRefused {
    /// No such token.
    #[error("the enrolment token is not known")]
    Unknown,
    /// Too old.
    #[error("the enrolment token has expired")]
    Expired,
    /// Used before, with another key.
    #[error("the enrolment token was used before, with another key")]
    Used,
    /// Made for a node of another name.
    #[error("the enrolment token was made for another node")]
    WrongNode,
    /// The gateway is deleted or may not connect any more.
    #[error("the gateway this node belongs to is gone")]
    GatewayGone,
    /// The store behind the plane cannot answer now.
    #[error("the enrolment token cannot be checked now: {0}")]
    Unavailable(String),
}

impl Explain for EnrolRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "enrolment_token_unknown",
            Self::Expired => "enrolment_token_expired",
            Self::Used => "enrolment_token_used",
            Self::WrongNode => "enrolment_token_of_another_node",
            Self::GatewayGone => "gateway_gone",
            Self::Unavailable(_) => "plane_unavailable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) => Fault::Plane,
            Self::Unknown | Self::Expired | Self::Used | Self::WrongNode | Self::GatewayGone => Fault::Gateway,
        }
    }

    fn retry(&self) -> Retry {
        // A new token may be written into the same file while the gateway keeps trying.
        Retry::Later
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable(_) => None,
            Self::Unknown | Self::Expired | Self::Used | Self::WrongNode => {
                Some("let the plane rebuild this node, which renders a fresh token for it".into())
            }
            Self::GatewayGone => Some("run the installer again with the gateway's name".into()),
        }
    }
}

/// The plane's knowledge about nodes. Implemented over its store.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// What is registered for a node; `None` where there is no such node.
    ///
    /// # Errors
    /// [`Unavailable`] where the store cannot answer; never where the node is merely unknown.
    async fn node(&self, node: NodeId) -> Result<Option<KnownNode>, Unavailable>;

    /// Registers a node's key for a one-time token.
    ///
    /// Must answer the *same ids again* for the same token and the same key: the first answer may have been lost on
    /// the way to the gateway. Any other second use is [`EnrolRefused::Used`].
    ///
    /// # Errors
    /// [`EnrolRefused`] says why not.
    async fn enrol(&self, enrolment: Enrolment) -> Result<(GatewayId, NodeId), EnrolRefused>;
}
