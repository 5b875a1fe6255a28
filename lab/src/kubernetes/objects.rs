//! Creating, changing and removing objects as an API server does.

use super::{
    datastore::{Datastore, Key},
    kinds::Kind,
    patch,
    refusal::Refusal,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_model::Timestamp;
use serde_json::{Value, json};

/// Parts of an object that requests for the object itself cannot change, only those for its `status`.
const STATUS: &str = "status";
/// Resources whose `spec` counts changes in `metadata.generation`.
const WITH_GENERATION: [&str; 4] = ["daemonsets", "deployments", "replicasets", "statefulsets"];
/// Namespaces that every cluster has.
pub(crate) const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The objects of a cluster at one point in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Objects<'a> {
    pub(crate) store: &'a Datastore,
    pub(crate) now: Timestamp,
}

/// A time as objects have it.
pub(crate) fn time(now: Timestamp) -> String {
    format!("{now:.0}")
}

pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.namespaced { namespace } else { "" };
    Key { resource: kind.resource(), namespace: namespace.to_owned(), name: name.to_owned() }
}

impl Objects<'_> {
    pub(crate) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Value, Refusal> {
        self.store.get(&key(kind, namespace, name))?.ok_or_else(|| Refusal::not_found(kind, name))
    }

    pub(crate) fn list(&self, kind: &Kind, namespace: &str) -> Result<Vec<Value>, Refusal> {
        Ok(self.store.list(&kind.resource(), namespace)?.0)
    }

    /// Creates an object; the name may be left to be made up.
    pub(crate) fn create(&self, kind: &Kind, namespace: &str, mut object: Value) -> Result<Value, Refusal> {
        let name = self.prepare(kind, namespace, &mut object)?;
        if kind.plural == "namespaces" {
            object[STATUS] = json!({"phase": "Active"});
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = Value::String(name.clone());
        }
        let created = self.store.change(&key(kind, namespace, &name), |before| match before {
            Some(_) => Err(Refusal::exists(kind, &name)),
            None => Ok(Some(object)),
        })?;
        Ok(created.unwrap_or_default())
    }

    /// Checks a new object and fills in what the server sets; its name.
    fn prepare(&self, kind: &Kind, namespace: &str, object: &mut Value) -> Result<String, Refusal> {
        if !object.is_object() {
            return Err(Refusal::bad_request("the object is not a map"));
        }
        let says = (object["apiVersion"].as_str(), object["kind"].as_str());
        let version = kind.api_version();
        if says.0.is_some_and(|given| given != version) || says.1.is_some_and(|given| given != kind.kind) {
            let words = format!("{} in version {version} cannot be handled as a {}", says.1.unwrap_or(""), kind.kind);
            return Err(Refusal::bad_request(words));
        }
        object["apiVersion"] = Value::String(version);
        object["kind"] = Value::String(kind.kind.into());
        let metadata = &mut object["metadata"];
        let prefix = metadata["generateName"].as_str().map(|prefix| format!("{prefix}{}", random_suffix()));
        let name = metadata["name"].as_str().map(str::to_owned).or(prefix).unwrap_or_default();
        if !is_name(&name, kind) {
            let why = "metadata.name: Required value or not a lowercase RFC 1123 subdomain";
            return Err(Refusal::invalid(kind, &name, why));
        }
        metadata["name"] = Value::String(name.clone());
        if kind.namespaced {
            if metadata["namespace"].as_str().is_some_and(|given| given != namespace) {
                return Err(Refusal::bad_request("the namespace of the object does not match the one of the request"));
            }
            self.get(Kind::plural("namespaces"), "", namespace)?;
            metadata["namespace"] = Value::String(namespace.into());
        }
        metadata["uid"] = Value::String(uuid::Uuid::new_v4().to_string());
        metadata["creationTimestamp"] = Value::String(time(self.now));
        if WITH_GENERATION.contains(&kind.plural) {
            metadata["generation"] = json!(1);
        }
        fill_in(kind, object);
        fold_string_data(kind, object);
        check(kind, &name, object)?;
        Ok(name)
    }

    /// Replaces an object, or its status.
    pub(crate) fn update(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        subresource: &str,
        object: &Value,
    ) -> Result<Value, Refusal> {
        self.modify(kind, namespace, name, |before| {
            let version = object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
            if version.is_some_and(|version| before["metadata"]["resourceVersion"] != version) {
                return Err(Refusal::conflict(kind, name));
            }
            if object["metadata"]["name"].as_str().is_some_and(|given| given != name) {
                return Err(Refusal::bad_request("the name of the object does not match the name on the URL"));
            }
            let mut after = if subresource == STATUS { before.clone() } else { object.clone() };
            let status = if subresource == STATUS { object } else { before };
            after[STATUS] = status[STATUS].clone();
            Ok(after)
        })
    }

    /// Patches an object, or its status.
    pub(crate) fn patch(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        subresource: &str,
        (media, body): (&str, &Value),
    ) -> Result<Value, Refusal> {
        self.modify(kind, namespace, name, |before| {
            let mut after = before.clone();
            patch::apply(&mut after, media, body)?;
            let (from_patch, other) = if subresource == STATUS { (&after, before) } else { (before, &after) };
            let mut merged = other.clone();
            merged[STATUS] = from_patch[STATUS].clone();
            if subresource == STATUS {
                // Annotations and labels may be set along with the status.
                for field in ["labels", "annotations"] {
                    merged["metadata"][field] = after["metadata"][field].clone();
                }
            }
            Ok(merged)
        })
    }

    /// Changes an object in one step.
    pub(crate) fn modify(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        work: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let changed = self.store.change(&key(kind, namespace, name), |before| {
            let before = before.ok_or_else(|| Refusal::not_found(kind, name))?;
            let mut after = work(before)?;
            for field in ["uid", "creationTimestamp", "name", "namespace", "resourceVersion", "generation"] {
                after["metadata"][field] = before["metadata"][field].clone();
            }
            without_nulls(&mut after);
            fold_string_data(kind, &mut after);
            if WITH_GENERATION.contains(&kind.plural) && after["spec"] != before["spec"] {
                after["metadata"]["generation"] = json!(before["metadata"]["generation"].as_u64().unwrap_or(1) + 1);
            }
            check(kind, name, &after)?;
            Ok::<_, Refusal>(Some(after))
        })?;
        Ok(changed.unwrap_or_default())
    }

    /// Removes an object. A pod on a node is only marked, unless no time is given to it; its node removes it.
    pub(crate) fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        grace: Option<u64>,
    ) -> Result<Value, Refusal> {
        let mut last = Value::Null;
        let now = time(self.now);
        self.store.change(&key(kind, namespace, name), |before| {
            let before = before.ok_or_else(|| Refusal::not_found(kind, name))?;
            last = before.clone();
            let on_node = kind.plural == "pods" && before["spec"]["nodeName"].is_string();
            let seconds = grace.or_else(|| before["spec"]["terminationGracePeriodSeconds"].as_u64()).unwrap_or(30);
            if !on_node || seconds == 0 {
                return Ok::<_, Refusal>(None);
            }
            let mut marked = before.clone();
            if marked["metadata"]["deletionTimestamp"].is_null() {
                marked["metadata"]["deletionTimestamp"] = Value::String(now);
                marked["metadata"]["deletionGracePeriodSeconds"] = json!(seconds);
            }
            last = marked.clone();
            Ok(Some(marked))
        })?;
        match kind.plural {
            "nodes" => {
                let _ = self.delete(Kind::plural("leases"), "kube-node-lease", name, None);
            }
            "namespaces" => {
                for kind in super::kinds::KINDS.iter().filter(|kind| kind.namespaced) {
                    for object in self.list(kind, name)? {
                        let object = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                        let _ = self.delete(kind, name, &object, None);
                    }
                }
            }
            _ => {}
        }
        Ok(last)
    }

    /// Creates an object, or merges it into the one that is there.
    pub(crate) fn apply(&self, kind: &Kind, namespace: &str, object: &Value) -> Result<Value, Refusal> {
        match self.create(kind, namespace, object.clone()) {
            Err(refusal) if refusal.code == 409 => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let media = "application/strategic-merge-patch+json";
                self.patch(kind, namespace, &name, "", (media, object))
            }
            other => other,
        }
    }
}

/// Removes `null`s, which JSON objects of Kubernetes do not have.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

fn is_name(name: &str, kind: &Kind) -> bool {
    let rbac = kind.group == "rbac.authorization.k8s.io";
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' || (rbac && c != '/');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || rbac);
    name.len() <= 253 && name.chars().all(letter) && edge(name.chars().next()) && edge(name.chars().next_back())
}

/// Defaults of the API that clients rely on.
fn fill_in(kind: &Kind, object: &mut Value) {
    let spec = &mut object["spec"];
    match kind.plural {
        "daemonsets" if spec["updateStrategy"]["type"].is_null() => {
            spec["updateStrategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
        }
        "pods" if spec["restartPolicy"].is_null() => spec["restartPolicy"] = "Always".into(),
        _ => {}
    }
}

/// What a Secret has as text is kept as its data.
fn fold_string_data(kind: &Kind, object: &mut Value) {
    let texts = match object.as_object_mut() {
        Some(map) if kind.plural == "secrets" => map.remove("stringData"),
        _ => None,
    };
    for (name, text) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        object["data"][name] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// The rules that mistakes in our manifests would break.
fn check(kind: &Kind, name: &str, object: &Value) -> Result<(), Refusal> {
    let wrong = |why: &str| Err(Refusal::invalid(kind, name, why));
    for field in ["labels", "annotations"] {
        if let Some(map) = object["metadata"][field].as_object()
            && map.values().any(|value| !value.is_string())
        {
            return Err(Refusal::bad_request(format!("metadata.{field}: every value must be a text")));
        }
    }
    let template = match kind.plural {
        "pods" => &object["spec"],
        "daemonsets" | "deployments" | "replicasets" | "statefulsets" => {
            let spec = &object["spec"];
            let selector = spec["selector"]["matchLabels"].as_object();
            let labels = &spec["template"]["metadata"]["labels"];
            match selector {
                None => return wrong("spec.selector: Required value"),
                Some(selector) if selector.iter().any(|(key, value)| labels[key] != *value) => {
                    return wrong("spec.template.metadata.labels: `selector` does not match template `labels`");
                }
                Some(_) => {}
            }
            &spec["template"]["spec"]
        }
        "rolebindings" | "clusterrolebindings" => {
            let role = &object["roleRef"];
            return if role["kind"].is_string() && role["name"].is_string() {
                Ok(())
            } else {
                wrong("roleRef: Required value")
            };
        }
        _ => return Ok(()),
    };
    let containers = template["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        return wrong("spec.containers: Required value");
    }
    let volumes: Vec<&Value> = template["volumes"].as_array().into_iter().flatten().map(|v| &v["name"]).collect();
    for container in containers {
        if !container["name"].is_string() || !container["image"].is_string() {
            return wrong("spec.containers: name and image: Required value");
        }
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        for mount in mounts {
            if !mount["mountPath"].is_string() || !volumes.contains(&&mount["name"]) {
                return wrong("spec.containers.volumeMounts: Not found: a volume of that name, or no mountPath");
            }
        }
    }
    Ok(())
}
