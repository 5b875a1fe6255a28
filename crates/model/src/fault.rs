//! What every error of Ferrogate must be able to say: whose fault it is, whether trying again can help, and what to do.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who has to act before the same thing can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The person or program that asked: a wrong value, a missing right, a name that does not exist.
    Caller,
    /// The site's MAAS, or the machines it owns.
    Maas,
    /// The network between two parts: DNS, firewall, proxy, TLS inspection.
    Network,
    /// The management plane.
    Plane,
    /// The gateway in the site.
    Gateway,
    /// The Kubernetes cluster that is being built or talked to.
    Cluster,
    /// A defect in Ferrogate itself.
    Ferrogate,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "your request",
            Self::Maas => "MAAS",
            Self::Network => "the network",
            Self::Plane => "the plane",
            Self::Gateway => "the gateway",
            Self::Cluster => "the cluster",
            Self::Ferrogate => "Ferrogate itself",
        })
    }
}

/// Whether doing the same thing again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never: the same request will fail the same way.
    No,
    /// Yes, after a back-off; the cause is expected to pass by itself.
    Later,
    /// Only after looking at the other side again: the request may have taken effect although no answer arrived.
    AfterLooking,
}

/// Implemented by every error that can reach a person.
pub trait Explain: std::error::Error {
    /// A stable, greppable code such as `maas_key_refused`; part of the API's contract.
    fn code(&self) -> &'static str;
    /// Who has to act.
    fn fault(&self) -> Fault;
    /// Whether trying again can help.
    fn retry(&self) -> Retry;
    /// What to do next, as one sentence in the imperative; `None` where the message already says it.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The whole chain of an error's causes on one line, outermost first, for logs and terminals.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their source inside their own message.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
