//! What counts as the same answer.

use super::exchange::Exchange;
use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields whose values differ from run to run: ids, moments, random names.
const MASKED: [&str; 14] = [
    "id",
    "uuid",
    "created",
    "updated",
    "device_id",
    "user_id",
    "dnsresource_id",
    "dnsdata_id",
    "sha256",
    "filename_on_disk",
    "current_commissioning_result_id",
    "current_testing_result_id",
    "current_installation_result_id",
    "fabric_id",
];
/// Headers that are about the connection, not the answer.
const OTHER_HEADERS: [&str; 2] = ["Content-Length", "Transfer-Encoding"];

/// Recorded ids and those of the simulated MAAS in their place, learnt from answers.
#[derive(Debug, Default)]
pub(super) struct Ids {
    uris: BTreeMap<String, String>,
    words: BTreeMap<String, String>,
}

impl Ids {
    /// Learns from a pair of answers: where a recorded object has another address here.
    pub(super) fn learn(&mut self, exchange: &Exchange, body: &Bytes) {
        if let (Some(recorded), Ok(ours)) = (&exchange.json, serde_json::from_slice::<Value>(body)) {
            self.learn_objects(recorded, &ours);
        }
    }

    fn learn_objects(&mut self, recorded: &Value, ours: &Value) {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        for name in ["resource_uri", "system_id", "token_key"] {
            if let (Some(theirs), Some(own)) = (text(recorded, name), text(ours, name))
                && theirs != own
            {
                let map = if name == "resource_uri" { &mut self.uris } else { &mut self.words };
                map.insert(theirs, own);
            }
        }
    }

    pub(super) fn path(&self, path: &str) -> String {
        self.uris
            .get(path)
            .cloned()
            .unwrap_or_else(|| path.split('/').map(|part| self.word(part)).collect::<Vec<_>>().join("/"))
    }

    pub(super) fn word(&self, word: &str) -> String {
        self.words.get(word).cloned().unwrap_or_else(|| word.to_owned())
    }
}

/// Everything in which an answer is not the recorded one; with `shape`, JSON is compared by names and types alone.
pub(super) fn differences(exchange: &Exchange, answer: &Response<Bytes>, ids: &Ids, shape: bool) -> Vec<String> {
    let mut found = Vec::new();
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    if answer.status().as_u16() != exchange.status {
        found.push(format!("status {} is not {}: {:.300}", answer.status(), exchange.status, body));
        return found;
    }
    if answer.status().canonical_reason() != Some(exchange.reason.as_str()) {
        found.push(format!("reason {:?} is not {:?}", answer.status().canonical_reason(), exchange.reason));
    }
    for (name, value) in exchange.headers.iter().filter(|(name, _)| !OTHER_HEADERS.contains(&name.as_str())) {
        let ours = answer.headers().get(name).and_then(|value| value.to_str().ok());
        if ours != Some(value) {
            found.push(format!("header {name} is {ours:?}, recorded {value:?}"));
        }
    }
    for name in answer.headers().keys().filter(|name| !matches!(name.as_str(), "content-length" | "date")) {
        if !exchange.headers.keys().any(|known| known.eq_ignore_ascii_case(name.as_str())) {
            found.push(format!("header {name} was not recorded"));
        }
    }
    match (&exchange.json, &exchange.body) {
        (Some(recorded), _) => match serde_json::from_str::<Value>(&body) {
            Ok(ours) => compare("", &canonical(recorded, "", ids), &canonical(&ours, "", ids), shape, &mut found),
            Err(_) => found.push(format!("not JSON: {body:.200}")),
        },
        (None, Some(recorded)) if *recorded != body => found.push(format!("body {body:?}, recorded {recorded:?}")),
        _ => {}
    }
    found
}

/// A value with what differs from run to run made equal and lists of objects in one order.
fn canonical(value: &Value, name: &str, ids: &Ids) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), canonical(value, name, ids))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| canonical(item, name, ids)).collect();
            if items.iter().all(Value::is_object) || name == "tag_names" {
                items.sort_by_cached_key(sort_key);
            }
            Value::Array(items)
        }
        Value::String(_) if MASKED.contains(&name) => Value::String("*".into()),
        Value::Number(number) if MASKED.contains(&name) && !number.is_f64() => Value::from(0),
        Value::String(text) if matches!(name, "resource_uri" | "next_uri" | "prev_uri") => {
            Value::String(mask_numbers(&ids.path(text)))
        }
        Value::String(text) if name == "system_id" => Value::String(ids.word(text)),
        other => other.clone(),
    }
}

/// Objects in the order of their text, names sorted.
fn sort_key(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, String> = map.iter().map(|(name, value)| (name, sort_key(value))).collect();
            // Names that tell objects apart come first, so that one wrong field does not shuffle the whole list.
            let first: Vec<String> = ["hostname", "name", "ip", "type", "fqdn", "cidr", "mac_address", "start"]
                .iter()
                .filter_map(|name| map.get(*name).map(ToString::to_string))
                .collect();
            format!("{first:?}{sorted:?}")
        }
        other => other.to_string(),
    }
}

/// Numbers in an address stand for ids; those of the API's version do not.
fn mask_numbers(uri: &str) -> String {
    uri.split(['/', '=', '&'])
        .map(|part| if !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()) { "#" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn compare(at: &str, recorded: &Value, ours: &Value, shape: bool, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => compare_objects(at, recorded, ours, shape, found),
        (Value::Array(recorded), Value::Array(ours)) => {
            if recorded.len() != ours.len() && !shape {
                found.push(format!("{at} has {} items, recorded {}", ours.len(), recorded.len()));
            }
            for (n, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                compare(&format!("{at}[{n}]"), recorded, ours, shape, found);
            }
        }
        _ if kind(recorded) != kind(ours) => {
            found.push(format!("{at} is {} {ours:.60}, recorded {} {recorded:.60}", kind(ours), kind(recorded)));
        }
        _ if !shape && recorded != ours => found.push(format!("{at} is {ours}, recorded {recorded}")),
        _ => {}
    }
}

fn compare_objects(
    at: &str,
    recorded: &Map<String, Value>,
    ours: &Map<String, Value>,
    shape: bool,
    found: &mut Vec<String>,
) {
    for (name, value) in recorded {
        match ours.get(name) {
            Some(own) => compare(&format!("{at}.{name}"), value, own, shape, found),
            None => found.push(format!("{at}.{name} is missing, recorded {value:.80}")),
        }
    }
    for name in ours.keys().filter(|name| !recorded.contains_key(*name)) {
        found.push(format!("{at}.{name} was not recorded"));
    }
}

#[test]
fn a_wrong_name_type_value_or_length_is_a_difference() {
    let recorded = serde_json::json!({"a": 1, "b": "x", "c": [1, 2], "storage": 1.0, "id": 4});
    let count = |ours: Value, shape| {
        let mut found = Vec::new();
        compare(
            "",
            &canonical(&recorded, "", &Ids::default()),
            &canonical(&ours, "", &Ids::default()),
            shape,
            &mut found,
        );
        found.len()
    };
    let same = serde_json::json!({"a": 1, "b": "x", "c": [1, 2], "storage": 1.0, "id": 9});
    assert_eq!(count(same, false), 0);
    let wrong = serde_json::json!({"a": "1", "b": "y", "c": [1], "storage": 1, "other": null, "id": null});
    assert_eq!(count(wrong.clone(), false), 6, "type of a, storage and id, value of b, length of c, one field more");
    assert_eq!(count(wrong, true), 4, "values and lengths do not count in shape alone");
}
