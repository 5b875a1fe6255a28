//! Lists as kubectl prints them: the server chooses columns and cells.

use super::kinds::Kind;
use ferrogate_model::Timestamp;
use serde_json::{Value, json};

/// A column: its name, and whether it is shown only with `-o wide`.
type Column = (&'static str, bool);
/// Makes the cells of one object.
type Cells = fn(&Value, Timestamp) -> Vec<Value>;

/// Objects as a `Table`.
pub(crate) fn table(kind: &Kind, items: &[Value], now: Timestamp) -> Value {
    let (columns, cells): (&[Column], Cells) = match kind.plural {
        "nodes" => (&NODE, node),
        "pods" => (&POD, pod),
        "namespaces" => (&NAMESPACE, namespace),
        "daemonsets" => (&DAEMONSET, daemonset),
        "deployments" => (&DEPLOYMENT, deployment),
        "events" => (&EVENT, event),
        "services" => (&SERVICE, service),
        "leases" => (&LEASE, lease),
        "configmaps" | "secrets" => (&DATA, data),
        _ => (&OTHER, other),
    };
    let definitions: Vec<Value> = columns
        .iter()
        .map(|(name, wide)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": i32::from(*wide)})
        })
        .collect();
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let object =
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]});
            json!({"cells": cells(item, now), "object": object})
        })
        .collect();
    let revision = match items {
        [one] => one["metadata"]["resourceVersion"].clone(),
        _ => Value::String(String::new()),
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision},
        "columnDefinitions": definitions, "rows": rows})
}

const NODE: [Column; 10] = [
    ("Name", false),
    ("Status", false),
    ("Roles", false),
    ("Age", false),
    ("Version", false),
    ("Internal-IP", true),
    ("External-IP", true),
    ("OS-Image", true),
    ("Kernel-Version", true),
    ("Container-Runtime", true),
];
const POD: [Column; 9] = [
    ("Name", false),
    ("Ready", false),
    ("Status", false),
    ("Restarts", false),
    ("Age", false),
    ("IP", true),
    ("Node", true),
    ("Nominated Node", true),
    ("Readiness Gates", true),
];
const NAMESPACE: [Column; 3] = [("Name", false), ("Status", false), ("Age", false)];
const DAEMONSET: [Column; 11] = [
    ("Name", false),
    ("Desired", false),
    ("Current", false),
    ("Ready", false),
    ("Up-to-date", false),
    ("Available", false),
    ("Node Selector", false),
    ("Age", false),
    ("Containers", true),
    ("Images", true),
    ("Selector", true),
];
const DEPLOYMENT: [Column; 5] =
    [("Name", false), ("Ready", false), ("Up-to-date", false), ("Available", false), ("Age", false)];
const EVENT: [Column; 6] =
    [("Last Seen", false), ("Type", false), ("Reason", false), ("Object", false), ("Message", false), ("Name", true)];
const SERVICE: [Column; 6] = [
    ("Name", false),
    ("Type", false),
    ("Cluster-IP", false),
    ("External-IP", false),
    ("Port(s)", false),
    ("Age", false),
];
const LEASE: [Column; 3] = [("Name", false), ("Holder", false), ("Age", false)];
const DATA: [Column; 3] = [("Name", false), ("Data", false), ("Age", false)];
const OTHER: [Column; 2] = [("Name", false), ("Age", false)];

fn text(value: &Value) -> Value {
    match value {
        Value::String(text) if !text.is_empty() => Value::String(text.clone()),
        Value::Number(number) => Value::String(number.to_string()),
        _ => "<none>".into(),
    }
}

fn name(item: &Value) -> Value {
    item["metadata"]["name"].clone()
}

fn age(item: &Value, now: Timestamp) -> Value {
    since(&item["metadata"]["creationTimestamp"], now)
}

fn since(at: &Value, now: Timestamp) -> Value {
    let at = at.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    at.map_or_else(|| "<unknown>".into(), |at| duration(now.as_second() - at.as_second()).into())
}

/// As kubectl writes ages: `45s`, `3m20s`, `5h10m`, `3d`.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

fn condition<'a>(item: &'a Value, kind: &str) -> &'a Value {
    let conditions = item["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn node(item: &Value, now: Timestamp) -> Vec<Value> {
    let mut status = match condition(item, "Ready")["status"].as_str() {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if item["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let labels = item["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")).collect();
    roles.sort_unstable();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let addresses = item["status"]["addresses"].as_array().into_iter().flatten();
        addresses
            .into_iter()
            .find(|address| address["type"] == kind)
            .map_or(&Value::Null, |address| &address["address"])
    };
    let info = &item["status"]["nodeInfo"];
    vec![
        name(item),
        status.into(),
        roles.into(),
        age(item, now),
        text(&info["kubeletVersion"]),
        text(address("InternalIP")),
        text(address("ExternalIP")),
        text(&info["osImage"]),
        text(&info["kernelVersion"]),
        text(&info["containerRuntimeVersion"]),
    ]
}

fn pod(item: &Value, now: Timestamp) -> Vec<Value> {
    let status = &item["status"];
    let states = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = item["spec"]["containers"].as_array().map_or(0, Vec::len);
    let ready = states.iter().filter(|state| state["ready"] == true).count();
    let restarts: u64 = states.iter().filter_map(|state| state["restartCount"].as_u64()).sum();
    let waiting = states.iter().find_map(|state| {
        state["state"]["waiting"]["reason"].as_str().or_else(|| state["state"]["terminated"]["reason"].as_str())
    });
    let shown = if item["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else {
        waiting.or_else(|| status["reason"].as_str()).or_else(|| status["phase"].as_str()).unwrap_or("Unknown")
    };
    vec![
        name(item),
        format!("{ready}/{wanted}").into(),
        shown.into(),
        restarts.to_string().into(),
        age(item, now),
        text(&status["podIP"]),
        text(&item["spec"]["nodeName"]),
        text(&status["nominatedNodeName"]),
        "<none>".into(),
    ]
}

fn namespace(item: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(item), text(&item["status"]["phase"]), age(item, now)]
}

fn count(value: &Value) -> Value {
    value.as_u64().unwrap_or(0).to_string().into()
}

fn pairs(map: &Value) -> Value {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}

fn daemonset(item: &Value, now: Timestamp) -> Vec<Value> {
    let status = &item["status"];
    let template = &item["spec"]["template"]["spec"];
    let of_containers = |field: &str| {
        let containers = template["containers"].as_array().into_iter().flatten();
        containers.filter_map(|container| container[field].as_str()).collect::<Vec<_>>().join(",")
    };
    vec![
        name(item),
        count(&status["desiredNumberScheduled"]),
        count(&status["currentNumberScheduled"]),
        count(&status["numberReady"]),
        count(&status["updatedNumberScheduled"]),
        count(&status["numberAvailable"]),
        pairs(&template["nodeSelector"]),
        age(item, now),
        of_containers("name").into(),
        of_containers("image").into(),
        pairs(&item["spec"]["selector"]["matchLabels"]),
    ]
}

fn deployment(item: &Value, now: Timestamp) -> Vec<Value> {
    let status = &item["status"];
    let ready =
        format!("{}/{}", status["readyReplicas"].as_u64().unwrap_or(0), item["spec"]["replicas"].as_u64().unwrap_or(1));
    vec![
        name(item),
        ready.into(),
        count(&status["updatedReplicas"]),
        count(&status["availableReplicas"]),
        age(item, now),
    ]
}

fn event(item: &Value, now: Timestamp) -> Vec<Value> {
    let about = &item["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let object = format!("{kind}/{}", about["name"].as_str().unwrap_or_default());
    vec![
        since(&item["lastTimestamp"], now),
        text(&item["type"]),
        text(&item["reason"]),
        object.into(),
        text(&item["message"]),
        name(item),
    ]
}

fn service(item: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &item["spec"];
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports: Vec<String> =
        ports.map(|port| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))).collect();
    vec![
        name(item),
        text(&spec["type"]),
        text(&spec["clusterIP"]),
        "<none>".into(),
        ports.join(",").into(),
        age(item, now),
    ]
}

fn lease(item: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(item), text(&item["spec"]["holderIdentity"]), age(item, now)]
}

fn data(item: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(item), item["data"].as_object().map_or(0, serde_json::Map::len).to_string().into(), age(item, now)]
}

fn other(item: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(item), age(item, now)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        let ages = [0, 119, 125, 180, 3600, 10_860, 90_000, 180_000, 1_000_000].map(duration);
        assert_eq!(ages, ["0s", "119s", "2m5s", "3m", "60m", "3h1m", "25h", "2d2h", "11d"]);
    }

    #[test]
    fn a_pod_that_waits_shows_why() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{}]}, "status": {"phase": "Pending",
            "containerStatuses": [{"ready": false, "state": {"waiting": {"reason": "ErrImageNeverPull"}}}]}});
        let table = table(Kind::plural("pods"), &[pod], Timestamp::UNIX_EPOCH);
        assert_eq!(table["rows"][0]["cells"][1], "0/1");
        assert_eq!(table["rows"][0]["cells"][2], "ErrImageNeverPull");
    }
}
