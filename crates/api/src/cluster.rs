//! Clusters and their machines.

use crate::{Operation, Secret};
use ferrogate_model::cluster::ClusterSpec;
use ferrogate_model::state::{ClusterState, MachineState};
use ferrogate_model::{AccountId, ClusterId, GatewayId, Name, SystemId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A cluster (specification 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// Id.
    pub id: ClusterId,
    /// Name.
    pub name: Name,
    /// Cloud account it is built with.
    pub account_id: AccountId,
    /// The account's name.
    pub account: Name,
    /// Gateway it is reached through.
    pub gateway_id: GatewayId,
    /// What was asked for.
    pub spec: ClusterSpec,
    /// State.
    pub state: ClusterState,
    /// Why it is in that state, for people.
    pub reason: String,
    /// Kubernetes version.
    pub kubernetes_version: String,
    /// Address of its API inside the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_endpoint: Option<String>,
    /// Machines asked for.
    pub desired_machines: u32,
    /// Machines that are healthy members.
    pub running_machines: u32,
    /// Counts the changes of `spec`.
    pub generation: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// When it was gone; listed for 72 hours after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// Asks for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterCreate {
    /// Name.
    pub name: Name,
    /// Id or name of the cloud account.
    #[schema(example = "maas-pcg-1")]
    pub account: String,
    /// What it should be.
    pub spec: ClusterSpec,
}

/// Changes what a cluster should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterUpdate {
    /// The whole new specification. Ranges, domain and the control plane's count cannot change.
    pub spec: ClusterSpec,
    /// Refuse unless the cluster's generation is still this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<i64>,
}

/// Deletes a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterDelete {
    /// The cluster's name once more, so that nobody deletes the wrong one.
    pub confirm_name: String,
}

/// What would happen if the cluster were created now; nothing is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterPlan {
    /// The checks, every one with the value seen.
    pub checks: Vec<Check>,
    /// The machines that would be taken, as far as can be told.
    pub machines: Vec<PlannedMachine>,
    /// Whether nothing failed.
    pub ok: bool,
}

/// One check before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Stable word.
    pub id: String,
    /// What is checked.
    pub title: String,
    /// How it came out.
    pub status: CheckStatus,
    /// The value seen.
    pub seen: String,
    /// What to do where it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Pass,
    /// Works, but a person should know.
    Warn,
    /// Must be mended first.
    Fail,
    /// Could not be looked at.
    Skip,
}

/// A machine a plan would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedMachine {
    /// Pool of the cluster.
    pub pool: Name,
    /// Host name.
    pub hostname: String,
    /// Availability zone.
    pub zone: String,
    /// Processor cores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Storage in GiB.
    pub disk_gib: u64,
}

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    /// MAAS's id of it.
    pub system_id: SystemId,
    /// Host name.
    pub hostname: String,
    /// Full name in MAAS's DNS.
    pub fqdn: String,
    /// Addresses.
    pub addresses: Vec<String>,
    /// Cluster it belongs to.
    pub cluster_id: ClusterId,
    /// The cluster's name; for a gateway's machine the gateway's.
    pub cluster: Name,
    /// Pool of the cluster.
    pub pool: String,
    /// Availability zone.
    pub zone: String,
    /// State.
    pub state: MachineState,
    /// Why it is in that state, for people.
    pub reason: String,
    /// Since when it is in that state.
    pub since: Timestamp,
}

/// Asks for a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeconfigCreate {
    /// Lifetime of its token in hours, 1 to 720; 8 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 8)]
    pub expires_in_hours: Option<u32>,
}

/// A kubeconfig that reaches the cluster through the plane.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KubeconfigCreated {
    /// The document (YAML). It holds a token.
    pub kubeconfig: Secret,
    /// Name of its context.
    pub context: String,
    /// When its token ends.
    pub expires_at: Timestamp,
}

/// A cluster with the operation that brings it to what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterAccepted {
    /// The cluster.
    pub cluster: Cluster,
    /// The operation to follow.
    pub operation: Operation,
}

/// Asks which clusters the plane knows, whosever they are: what bears the mark of one that it does not know may be a leak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterLookup {
    /// Ids, as marks in MAAS have them; at most 500.
    pub clusters: Vec<ClusterId>,
}

/// What the plane knows of a cluster's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KnownCluster {
    /// The id.
    pub id: ClusterId,
    /// How it is.
    pub known: Known,
}

/// Whether the plane knows a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// It exists: nothing of it is a leak. It may be another tenant's.
    Exists,
    /// It existed, and is deleted.
    Deleted,
    /// The plane has never heard of it, or has forgotten it.
    Unknown,
}
