//! What a cluster should be, as a person states it: the specification a plan is made from. The same words are used in
//! the API, in the store and by the engine; the gateway's own cluster is stated in them too.

use crate::{Name, address};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the pool that holds the control plane; no worker pool may have it.
pub const CONTROL_PLANE_POOL: &str = "control-plane";

/// A Kubernetes cluster as asked for (specification 7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ClusterSpec {
    /// MAAS domain in which the machines' names stand.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// Kubernetes version such as `v1.36.4`; `None` takes the plane's newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// Operating system image as MAAS names it, such as `ubuntu/noble`; `None` takes the release's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Public SSH keys that may sign in to the machines; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// Time servers of the machines; empty leaves what MAAS sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp_servers: Vec<String>,
    /// Where pods get their addresses.
    #[serde(default = "default_pod_cidr")]
    #[schema(value_type = String, example = "192.168.0.0/16")]
    pub pod_cidr: IpNet,
    /// Where services get their addresses.
    #[serde(default = "default_service_cidr")]
    #[schema(value_type = String, example = "10.43.0.0/16")]
    pub service_cidr: IpNet,
    /// The machines that run the control plane: 1, 3 or 5.
    pub control_plane: PoolSpec,
    /// The machines that run the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<PoolSpec>,
}

/// A group of alike machines of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct PoolSpec {
    /// Name of the pool, unique in the cluster; the control plane's is always `control-plane`.
    #[serde(default = "control_plane_name")]
    pub name: Name,
    /// How many machines.
    pub count: u32,
    /// MAAS resource pool to take them from.
    pub resource_pool: String,
    /// MAAS availability zones to spread over, in order; empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Fewest processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_cpu: Option<u32>,
    /// Least memory in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_memory_mib: Option<u64>,
    /// Least storage in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_disk_gib: Option<u64>,
    /// MAAS tags that a machine must all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Kubernetes labels for the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints for the nodes, as `key=value:Effect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<String>,
}

/// A specification that contradicts itself. `field` is the path a person would look for, such as `workers[1].count`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadSpec {
    /// Where in the specification.
    pub field: String,
    /// What is wrong, with the value seen.
    pub problem: String,
}

fn default_domain() -> String {
    "maas".to_owned()
}

fn default_pod_cidr() -> IpNet {
    address::DEFAULT_POD_CIDR.into()
}

fn default_service_cidr() -> IpNet {
    address::DEFAULT_SERVICE_CIDR.into()
}

/// The control plane's pool name.
#[must_use]
pub fn control_plane_name() -> Name {
    CONTROL_PLANE_POOL.parse().expect("the constant is a DNS label")
}

impl ClusterSpec {
    /// Every pool, the control plane first.
    pub fn pools(&self) -> impl Iterator<Item = &PoolSpec> {
        std::iter::once(&self.control_plane).chain(&self.workers)
    }

    /// How many machines the whole cluster has.
    #[must_use]
    pub fn machine_count(&self) -> u32 {
        self.pools().map(|pool| pool.count).sum()
    }

    /// Everything that is wrong with the specification by itself, without asking MAAS. Empty means none.
    #[must_use]
    pub fn problems(&self) -> Vec<BadSpec> {
        let mut found = Vec::new();
        let mut bad = |field: String, problem: String| found.push(BadSpec { field, problem });
        if !matches!(self.control_plane.count, 1 | 3 | 5) {
            bad(
                "control_plane.count".into(),
                format!(
                    "{} control-plane nodes cannot keep a majority sensibly; use 1, 3 or 5",
                    self.control_plane.count
                ),
            );
        }
        if self.control_plane.name.as_str() != CONTROL_PLANE_POOL {
            bad("control_plane.name".into(), format!("the control plane's pool is always `{CONTROL_PLANE_POOL}`"));
        }
        if self.domain.is_empty() {
            bad("domain".into(), "is empty; name a domain of MAAS, such as `maas`".into());
        }
        let mut names = vec![CONTROL_PLANE_POOL];
        for (index, pool) in self.workers.iter().enumerate() {
            if names.contains(&pool.name.as_str()) {
                bad(format!("workers[{index}].name"), format!("`{}` is used twice", pool.name));
            }
            names.push(pool.name.as_str());
            if pool.count > 500 {
                bad(format!("workers[{index}].count"), format!("{} is more than the 500 a pool may have", pool.count));
            }
            for taint in &pool.taints {
                let effect = taint.rsplit_once(':').map(|(_, effect)| effect);
                if !matches!(effect, Some("NoSchedule" | "PreferNoSchedule" | "NoExecute")) {
                    bad(
                        format!("workers[{index}].taints"),
                        format!("`{taint}` is not `key=value:Effect` with NoSchedule, PreferNoSchedule or NoExecute"),
                    );
                }
            }
        }
        for (index, pool) in self.pools().enumerate() {
            if pool.resource_pool.is_empty() {
                let field = if index == 0 { "control_plane".to_owned() } else { format!("workers[{}]", index - 1) };
                bad(
                    format!("{field}.resource_pool"),
                    "is empty; name a resource pool of MAAS, such as `default`".into(),
                );
            }
        }
        for overlap in address::find_overlaps(self.pod_cidr, self.service_cidr, &[]) {
            bad("pod_cidr".into(), overlap.to_string());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> ClusterSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_short_specification_is_completed() {
        let spec = spec(r#"{"control_plane": {"count": 1, "resource_pool": "default"}}"#);
        assert_eq!(spec.domain, "maas");
        assert_eq!(spec.pod_cidr.to_string(), "192.168.0.0/16");
        assert_eq!(spec.problems(), []);
    }

    #[test]
    fn every_contradiction_is_found_at_once() {
        let spec = spec(
            r#"{"pod_cidr": "10.43.0.0/24", "control_plane": {"count": 2, "resource_pool": "default"},
                "workers": [{"name": "a", "count": 1, "resource_pool": ""}, {"name": "a", "count": 1, "resource_pool": "x", "taints": ["dedicated"]}]}"#,
        );
        let fields: Vec<_> = spec.problems().into_iter().map(|p| p.field).collect();
        assert_eq!(
            fields,
            ["control_plane.count", "workers[1].name", "workers[1].taints", "workers[0].resource_pool", "pod_cidr"]
        );
    }
}
