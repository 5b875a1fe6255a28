//! Who may do what: the roles and bindings among the objects, and the groups that Kubernetes itself knows.

use super::{
    datastore::NoQuorum,
    kinds::Kind,
    objects::Objects,
    refusal::{Refusal, qualified},
};
use serde_json::{Value, json};

/// May do everything.
pub(crate) const MASTERS: &str = "system:masters";
/// The kubelets.
pub(crate) const NODES: &str = "system:nodes";
/// The role of those whose first certificate is approved.
pub(crate) const NODE_CLIENT: &str = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
/// Group of the API of certificates.
pub(crate) const CERTIFICATES: &str = "certificates.k8s.io";
const AUTHENTICATED: &str = "system:authenticated";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    pub(crate) fn new(name: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        groups.push(AUTHENTICATED.to_owned());
        Self { name: name.into(), groups }
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// Plural, with `/subresource` where there is one.
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// Whether a user may do something.
pub(crate) fn may(objects: Objects<'_>, user: &User, ask: Ask<'_>) -> Result<bool, NoQuorum> {
    if user.is_in(MASTERS) || (ask.resource == "selfsubjectaccessreviews" && ask.verb == "create") {
        return Ok(true);
    }
    if user.is_in(NODES) && node_may(ask) {
        return Ok(true);
    }
    let everywhere = objects.store.list(&Kind::plural("clusterrolebindings").resource(), "")?.0;
    let here = match ask.namespace {
        "" => Vec::new(),
        namespace => objects.store.list(&Kind::plural("rolebindings").resource(), namespace)?.0,
    };
    for binding in everywhere.iter().chain(&here) {
        let bound = binding["subjects"].as_array().into_iter().flatten().any(|subject| is_subject(subject, user));
        if !bound {
            continue;
        }
        let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
        let role = match binding["roleRef"]["kind"].as_str() {
            Some("ClusterRole") => super::objects::key(Kind::plural("clusterroles"), "", name),
            _ => super::objects::key(Kind::plural("roles"), ask.namespace, name),
        };
        let role = objects.store.get(&role)?.unwrap_or_default();
        if role["rules"].as_array().into_iter().flatten().any(|rule| permits(rule, ask)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The refusal in Kubernetes' words.
pub(crate) fn forbidden(user: &User, kind: &Kind, ask: Ask<'_>) -> Refusal {
    let place = match ask.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let object = match ask.name {
        "" => qualified(kind),
        name => format!("{} \"{name}\"", qualified(kind)),
    };
    Refusal::forbidden(format!(
        "{object} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        user.name, ask.verb, ask.resource, ask.group
    ))
}

fn is_subject(subject: &Value, user: &User) -> bool {
    let Some(name) = subject["name"].as_str() else { return false };
    match subject["kind"].as_str() {
        Some("Group") => user.is_in(name),
        Some("User") => user.name == name,
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or_default();
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn permits(rule: &Value, ask: Ask<'_>) -> bool {
    let has = |field: &str, wanted: &str| {
        rule[field].as_array().into_iter().flatten().any(|item| item == "*" || item == wanted)
    };
    let names = rule["resourceNames"].as_array();
    has("verbs", ask.verb)
        && has("apiGroups", ask.group)
        && has("resources", ask.resource)
        && names.is_none_or(|names| names.is_empty() || names.iter().any(|name| name == ask.name))
}

fn node_may(ask: Ask<'_>) -> bool {
    let resource = ask.resource.split('/').next().unwrap_or_default();
    let reads = matches!(ask.verb, "get" | "list" | "watch");
    reads || matches!(resource, "nodes" | "pods" | "leases" | "events")
}

/// Kubernetes' own roles, as far as their rules are about resources that are served here.
pub(crate) fn built_in_roles() -> Vec<Value> {
    let look = ["get", "list", "watch"];
    let change = ["create", "delete", "deletecollection", "patch", "update"];
    let everything = [look.as_slice(), change.as_slice()].concat();
    let core =
        ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "pods/status", "serviceaccounts", "services"];
    let apps = ["daemonsets", "deployments", "replicasets", "statefulsets"];
    let view = json!([
        {"apiGroups": [""], "resources": core, "verbs": look},
        {"apiGroups": [""], "resources": ["events", "namespaces"], "verbs": look},
        {"apiGroups": ["apps"], "resources": apps, "verbs": look},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": look},
    ]);
    let write = json!([
        {"apiGroups": [""], "resources": core, "verbs": change},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": everything},
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
        {"apiGroups": ["apps"], "resources": apps, "verbs": change},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": change},
    ]);
    let roles = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
        "verbs": everything}]);
    let join = |parts: &[&Value]| {
        Value::Array(parts.iter().flat_map(|part| part.as_array().cloned().unwrap_or_default()).collect())
    };
    [
        ("cluster-admin", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])),
        ("admin", join(&[&view, &write, &roles])),
        ("edit", join(&[&view, &write])),
        ("view", view),
        // With these a node asks for its first certificate, and is given it without anybody looking.
        ("system:node-bootstrapper", json!([{"apiGroups": [CERTIFICATES], "resources": ["certificatesigningrequests"],
            "verbs": ["create", "get", "list", "watch"]}])),
        (NODE_CLIENT, json!([{"apiGroups": [CERTIFICATES], "resources": ["certificatesigningrequests/nodeclient"],
            "verbs": ["create"]}])),
    ]
    .into_iter()
    .map(|(name, rules)| {
        json!({"metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}, "rules": rules})
    })
    .collect()
}
