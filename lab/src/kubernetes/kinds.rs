//! The resources that the simulated API serves, and how they are announced.

use serde_json::{Value, json};

/// One resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub(crate) in_all: bool,
}

const fn kind(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
) -> Kind {
    let version = "v1";
    Kind { group, version, plural, kind, namespaced, short, in_all: false }
}

const fn workload(
    group: &'static str,
    plural: &'static str,
    name: &'static str,
    short: &'static [&'static str],
) -> Kind {
    let mut workload = kind(group, plural, name, true, short);
    workload.in_all = true;
    workload
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Everything that is served.
pub(crate) static KINDS: [Kind; 25] = [
    kind("", "nodes", "Node", false, &["no"]),
    kind("", "namespaces", "Namespace", false, &["ns"]),
    workload("", "pods", "Pod", &["po"]),
    workload("", "services", "Service", &["svc"]),
    kind("", "endpoints", "Endpoints", true, &["ep"]),
    kind("", "events", "Event", true, &["ev"]),
    kind("", "configmaps", "ConfigMap", true, &["cm"]),
    kind("", "secrets", "Secret", true, &[]),
    kind("", "serviceaccounts", "ServiceAccount", true, &["sa"]),
    kind("", "persistentvolumes", "PersistentVolume", false, &["pv"]),
    kind("", "persistentvolumeclaims", "PersistentVolumeClaim", true, &["pvc"]),
    workload("apps", "daemonsets", "DaemonSet", &["ds"]),
    workload("apps", "deployments", "Deployment", &["deploy"]),
    workload("apps", "replicasets", "ReplicaSet", &["rs"]),
    workload("apps", "statefulsets", "StatefulSet", &["sts"]),
    kind("coordination.k8s.io", "leases", "Lease", true, &[]),
    kind(RBAC, "clusterroles", "ClusterRole", false, &[]),
    kind(RBAC, "clusterrolebindings", "ClusterRoleBinding", false, &[]),
    kind(RBAC, "roles", "Role", true, &[]),
    kind(RBAC, "rolebindings", "RoleBinding", true, &[]),
    kind("policy", "poddisruptionbudgets", "PodDisruptionBudget", true, &["pdb"]),
    kind("scheduling.k8s.io", "priorityclasses", "PriorityClass", false, &["pc"]),
    kind("storage.k8s.io", "storageclasses", "StorageClass", false, &["sc"]),
    kind("storage.k8s.io", "csinodes", "CSINode", false, &[]),
    kind("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest", false, &["csr"]),
];

impl Kind {
    /// Group and plural: the first part of a [`super::datastore::Key`].
    pub(crate) fn resource(&self) -> String {
        format!("{}/{}", self.group, self.plural)
    }

    /// As objects name it: `v1` or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of one object in the API.
    pub(crate) fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let place = if self.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
        format!("{root}/{}{place}/{}/{name}", self.api_version(), self.plural)
    }

    /// By group and plural.
    pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    }

    /// By what an object says about itself.
    pub(crate) fn of_object(object: &Value) -> Option<&'static Self> {
        let (version, name) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        KINDS.iter().find(|kind| kind.api_version() == version && kind.kind == name)
    }

    /// The one with this plural, whatever its group.
    pub(crate) fn plural(plural: &str) -> &'static Self {
        KINDS.iter().find(|kind| kind.plural == plural).unwrap_or(&KINDS[0])
    }
}

/// `/api`.
pub(crate) fn core_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// `/apis`.
pub(crate) fn groups() -> Value {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.group).filter(|group| !group.is_empty()).collect();
    names.push("authorization.k8s.io");
    names.sort_unstable();
    names.dedup();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": names.iter().map(|name| group(name)).collect::<Vec<_>>()})
}

/// `/apis/<group>`.
pub(crate) fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version})
}

/// `/api/v1` and `/apis/<group>/v1`; `None` for a group that is not served.
pub(crate) fn resources(group: &str, version: &str) -> Option<Value> {
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let mut all = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.group == group && kind.version == version) {
        let categories: &[&str] = if kind.in_all { &["all"] } else { &[] };
        all.push(json!({"name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs, "shortNames": kind.short, "categories": categories}));
        all.push(json!({"name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": ["get", "patch", "update"]}));
        if kind.plural == "pods" {
            all.push(json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy",
                "version": "v1", "kind": "Eviction", "verbs": ["create"]}));
        }
    }
    if group == "authorization.k8s.io" && version == "v1" {
        all.push(json!({"name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview",
            "namespaced": false, "kind": "SelfSubjectAccessReview", "verbs": ["create"]}));
    }
    let named = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!all.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": all}))
}
