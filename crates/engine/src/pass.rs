//! What one pass found, did and waits for.

use ferrogate_model::{
    SystemId, Timestamp,
    state::{MachineState, Severity},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};

/// How far the cluster is from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Everything is as it should be; for an absent cluster: nothing of it is left.
    Converged,
    /// Something is under way.
    Working {
        /// What is being waited for, for how long already and until when, in words.
        reason: String,
        /// When another pass makes sense.
        check_again: Duration,
    },
    /// Nothing more will happen by itself until a person removes the cause. Passes may go on: they notice when it is gone.
    Blocked {
        /// What is in the way, with the value seen.
        cause: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// A machine of the cluster, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineView {
    /// MAAS's id.
    pub system_id: SystemId,
    /// MAAS's name, without the domain.
    pub hostname: String,
    /// The full name.
    pub fqdn: String,
    /// Its addresses as MAAS lists them, the one its node is reached at first.
    pub addresses: Vec<IpAddr>,
    /// Availability zone.
    pub zone: String,
    /// The pool of the cluster it belongs to (`control-plane` or a worker pool's name); `None` while that is undecided.
    pub pool: Option<String>,
    /// Its node's name in Kubernetes, once decided.
    pub node: Option<String>,
    /// Where it is in its life.
    pub state: MachineState,
    /// Why it is in this state, or what it waits for; empty when there is nothing to say.
    pub reason: String,
    /// Since when it has been in this state, as far as is remembered.
    pub since: Timestamp,
}

/// Something worth telling, for the cluster's list of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// How serious.
    pub severity: Severity,
    /// A stable word in CamelCase, such as `DeployFailed`.
    pub reason: String,
    /// A sentence, lower case, no full stop.
    pub message: String,
    /// The machine it is about.
    pub machine: Option<SystemId>,
}

/// The result of one pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// How far things are.
    pub outcome: Outcome,
    /// The cluster's machines, the control plane first, then by name.
    pub machines: Vec<MachineView>,
    /// What happened since the last pass.
    pub events: Vec<Event>,
    /// Where people reach the Kubernetes API from inside the site, such as `https://node01.maas:6443`; `None` until known.
    pub api_endpoint: Option<String>,
    /// Addresses of the control-plane machines that run; whoever dials the API tries them in this order, on port 6443.
    pub api_members: Vec<IpAddr>,
}

impl Pass {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.outcome == Outcome::Converged
    }
}
