//! DaemonSets: one pod on each node that fits.

use super::names;
use crate::kubernetes::{kinds::Kind, objects::Objects, refusal::Refusal};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Label with the hash of the template that a pod was made from.
const TEMPLATE: &str = "controller-revision-hash";
/// Taints that the pods of every DaemonSet tolerate.
const TOLERATED: [&str; 6] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
];

/// Makes the pods agree with the sets.
pub(super) fn round(objects: Objects<'_>) -> Result<(), Refusal> {
    let nodes = objects.list(Kind::plural("nodes"), "")?;
    let pods = objects.list(Kind::plural("pods"), "")?;
    for set in objects.list(Kind::plural("daemonsets"), "")? {
        one(objects, &set, &nodes, &pods)?;
    }
    Ok(())
}

fn one(objects: Objects<'_>, set: &Value, nodes: &[Value], pods: &[Value]) -> Result<(), Refusal> {
    let kind = Kind::plural("pods");
    let (namespace, name) = names(set);
    let uid = &set["metadata"]["uid"];
    let template = &set["spec"]["template"];
    let hash = ferrogate_files::hex(Sha256::digest(template.to_string()))[..10].to_owned();
    let owned = |pod: &&Value| {
        pod["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
    };
    let own: Vec<&Value> = pods.iter().filter(owned).collect();
    let wanted: Vec<&Value> = nodes.iter().filter(|node| fits(node, &template["spec"])).collect();
    let on = |node: &Value| own.iter().find(|pod| pod["spec"]["nodeName"] == node["metadata"]["name"]);
    for node in &wanted {
        if on(node).is_none() {
            objects.create(kind, &namespace, pod(set, node, &name, &hash))?;
        }
    }
    let leaving = own.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string()).count();
    let mut unavailable = leaving + own.iter().filter(|pod| !is_ready(pod) && is_current(pod, &hash)).count();
    for pod in &own {
        let (namespace, name) = names(pod);
        let stays = wanted.iter().any(|node| node["metadata"]["name"] == pod["spec"]["nodeName"]);
        // One pod after the other is replaced, as `maxUnavailable: 1` has it.
        let old = !is_current(pod, &hash) && pod["metadata"]["deletionTimestamp"].is_null();
        let replace = old && (unavailable == 0 || !is_ready(pod));
        if (!stays || replace) && pod["metadata"]["deletionTimestamp"].is_null() {
            objects.delete(kind, &namespace, &name, None)?;
            unavailable += 1;
        }
    }
    let ready = own.iter().filter(|pod| is_ready(pod)).count();
    let updated = own.iter().filter(|pod| is_current(pod, &hash)).count();
    let status = json!({"desiredNumberScheduled": wanted.len(), "currentNumberScheduled": own.len(),
        "numberReady": ready, "numberAvailable": ready, "updatedNumberScheduled": updated, "numberMisscheduled": 0,
        "numberUnavailable": wanted.len().saturating_sub(ready), "observedGeneration": set["metadata"]["generation"]});
    if set["status"] != status {
        objects.modify(Kind::plural("daemonsets"), &namespace, &name, |set| {
            let mut set = set.clone();
            set["status"] = status;
            Ok(set)
        })?;
    }
    Ok(())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn is_current(pod: &Value, hash: &str) -> bool {
    pod["metadata"]["labels"][TEMPLATE] == hash
}

fn pod(set: &Value, node: &Value, name: &str, hash: &str) -> Value {
    let template = &set["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels[TEMPLATE] = hash.into();
    labels["pod-template-generation"] = set["metadata"]["generation"].to_string().into();
    let mut spec = template["spec"].clone();
    spec["nodeName"] = node["metadata"]["name"].clone();
    json!({"metadata": {"generateName": format!("{name}-"), "labels": labels, "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": set["metadata"]["uid"],
                "controller": true, "blockOwnerDeletion": true}]},
        "spec": spec, "status": {"phase": "Pending"}})
}

/// Whether a pod of this template belongs on a node: its selector, and taints it does not tolerate.
fn fits(node: &Value, template: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selected = template["nodeSelector"]
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value));
    let tolerations = template["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tolerated = |taint: &Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        taint["effect"] == "PreferNoSchedule"
            || TOLERATED.contains(&key)
            || tolerations.iter().any(|toleration| tolerates(toleration, taint))
    };
    selected && node["spec"]["taints"].as_array().into_iter().flatten().all(tolerated)
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let effect =
        toleration["effect"].is_null() || toleration["effect"] == "" || toleration["effect"] == taint["effect"];
    let exists = toleration["operator"] == "Exists";
    let any_key = exists && (toleration["key"].is_null() || toleration["key"] == "");
    let value =
        exists || toleration["value"].as_str().unwrap_or_default() == taint["value"].as_str().unwrap_or_default();
    effect && (any_key || (toleration["key"] == taint["key"] && value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_belongs_where_it_is_selected_and_tolerates_every_taint() {
        let node = json!({"metadata": {"labels": {"disk": "ssd"}}, "spec": {"taints": [
            {"key": "role", "value": "db", "effect": "NoSchedule"}, {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]}});
        for (template, wanted) in [
            (json!({}), false),
            (json!({"tolerations": [{"operator": "Exists"}]}), true),
            (json!({"tolerations": [{"key": "role", "value": "db"}]}), true),
            (json!({"tolerations": [{"key": "role", "value": "web"}]}), false),
            (json!({"tolerations": [{"key": "role", "operator": "Exists", "effect": "NoExecute"}]}), false),
            (json!({"tolerations": [{"operator": "Exists"}], "nodeSelector": {"disk": "ssd"}}), true),
            (json!({"tolerations": [{"operator": "Exists"}], "nodeSelector": {"disk": "hdd"}}), false),
        ] {
            assert_eq!(fits(&node, &template), wanted, "{template}");
        }
    }
}
