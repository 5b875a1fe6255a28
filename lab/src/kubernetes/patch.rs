//! Patches: merge (RFC 7396), strategic merge as far as lists with a known merge key go, and JSON patch (RFC 6902).

use super::refusal::Refusal;
use serde_json::{Map, Value};

/// Lists that a strategic merge patch merges by the value of a key instead of replacing them.
const MERGE_KEYS: [(&str, &str); 9] = [
    ("conditions", "type"),
    ("addresses", "type"),
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("env", "name"),
    ("ownerReferences", "uid"),
    ("imagePullSecrets", "name"),
];

/// Applies a patch of the given media type.
pub(crate) fn apply(target: &mut Value, media: &str, patch: &Value) -> Result<(), Refusal> {
    match media {
        "application/merge-patch+json" => {
            merge(target, patch);
            Ok(())
        }
        "application/strategic-merge-patch+json" | "application/apply-patch+yaml" => {
            strategic(target, patch, "");
            Ok(())
        }
        "application/json-patch+json" => {
            let steps = patch.as_array().ok_or_else(|| Refusal::bad_request("a JSON patch is a list"))?;
            steps.iter().try_for_each(|step| json_patch(target, step))
        }
        other => Err(Refusal::unsupported_media_type(other)),
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        target.clone_from(patch);
        return;
    };
    for (key, value) in patch {
        let map = as_map(target);
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

fn strategic(target: &mut Value, patch: &Value, field: &str) {
    match patch {
        Value::Object(patch) if patch.get("$patch").is_some_and(|what| what == "replace") => {
            let mut whole = patch.clone();
            whole.remove("$patch");
            *target = Value::Object(whole);
        }
        Value::Object(patch) => {
            for (key, value) in patch {
                // `$setElementOrder` and `$retainKeys` change only the order, or what nobody here sends.
                if key.starts_with('$') {
                    continue;
                }
                let map = as_map(target);
                if value.is_null() {
                    map.remove(key);
                } else {
                    strategic(map.entry(key.clone()).or_insert(Value::Null), value, key);
                }
            }
        }
        Value::Array(items) => match MERGE_KEYS.iter().find(|(name, _)| *name == field) {
            Some((_, key)) => merge_list(target, items, key),
            None => target.clone_from(patch),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => target.clone_from(patch),
    }
}

fn merge_list(target: &mut Value, items: &[Value], key: &str) {
    let mut list = target.as_array().cloned().unwrap_or_default();
    for item in items {
        let place = list.iter().position(|have| have[key] == item[key]);
        match (place, item["$patch"] == "delete") {
            (Some(at), true) => drop(list.remove(at)),
            (Some(at), false) => strategic(&mut list[at], item, ""),
            (None, true) => {}
            (None, false) => list.push(item.clone()),
        }
    }
    *target = Value::Array(list);
}

fn json_patch(target: &mut Value, step: &Value) -> Result<(), Refusal> {
    let bad = || Refusal::bad_request("the JSON patch cannot be applied");
    let path = step["path"].as_str().ok_or_else(bad)?;
    let (parent, last) = path.rsplit_once('/').ok_or_else(bad)?;
    let last = last.replace("~1", "/").replace("~0", "~");
    if step["op"] == "test" {
        return if target.pointer(path) == Some(&step["value"]) { Ok(()) } else { Err(bad()) };
    }
    let parent = target.pointer_mut(parent).ok_or_else(bad)?;
    match (step["op"].as_str(), parent) {
        (Some("add" | "replace"), Value::Object(map)) => drop(map.insert(last, step["value"].clone())),
        (Some("remove"), Value::Object(map)) => drop(map.remove(&last).ok_or_else(bad)?),
        (Some("add"), Value::Array(list)) if last == "-" => list.push(step["value"].clone()),
        (Some(op), Value::Array(list)) => {
            let at: usize = last.parse().map_err(|_| bad())?;
            match op {
                "add" if at <= list.len() => list.insert(at, step["value"].clone()),
                "replace" if at < list.len() => list[at] = step["value"].clone(),
                "remove" if at < list.len() => drop(list.remove(at)),
                _ => return Err(bad()),
            }
        }
        _ => return Err(bad()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_merged_by_type_and_other_lists_replaced() {
        let mut node = json!({"spec": {"taints": [{"key": "a"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Disk", "status": "False"}]}});
        let patch = json!({"spec": {"unschedulable": true, "taints": []}, "status": {"$setElementOrder/conditions": [],
            "conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "Disk", "$patch": "delete"}]}});
        apply(&mut node, "application/strategic-merge-patch+json", &patch).unwrap();
        let want = json!({"spec": {"taints": [], "unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        assert_eq!(node, want);
    }

    #[test]
    fn a_merge_patch_removes_with_null_and_a_json_patch_by_path() {
        let mut node = json!({"metadata": {"labels": {"a/b": "1", "c": "2"}}});
        apply(&mut node, "application/merge-patch+json", &json!({"metadata": {"labels": {"c": null, "d": "3"}}}))
            .unwrap();
        let steps = json!([{"op": "remove", "path": "/metadata/labels/a~1b"},
            {"op": "add", "path": "/metadata/labels/e", "value": "4"}]);
        apply(&mut node, "application/json-patch+json", &steps).unwrap();
        assert_eq!(node, json!({"metadata": {"labels": {"d": "3", "e": "4"}}}));
        assert!(
            apply(&mut node, "application/json-patch+json", &json!([{"op": "remove", "path": "/nope/x"}])).is_err()
        );
        assert!(apply(&mut node, "text/plain", &json!({})).is_err());
    }
}
