//! The manifests folder of a server: what stands in it is applied.

use crate::{
    kubernetes::{kinds::Kind, objects::Objects},
    machine::{Console, Disk},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where k3s takes manifests from.
const MANIFESTS: &str = "/var/lib/rancher/k3s/server/manifests";

/// What was applied already, by file.
#[derive(Debug, Default)]
pub(super) struct Applied(BTreeMap<String, Vec<u8>>);

impl Applied {
    /// Applies files that are new or changed; a file that fails is tried again in the next round.
    pub(super) fn round(&mut self, disk: &Disk, objects: Objects<'_>, console: &Console) {
        for name in disk.list(MANIFESTS) {
            if !name.ends_with(".yaml") && !name.ends_with(".yml") && !name.ends_with(".json") {
                continue;
            }
            let Ok(content) = disk.read(&format!("{MANIFESTS}/{name}")) else { continue };
            let failed_before = self.0.get(&format!("!{name}")) == Some(&content);
            if self.0.get(&name) == Some(&content) {
                continue;
            }
            match apply(&content, objects) {
                Ok(count) => {
                    console.say("k3s", format!("manifest {name}: applied {count} objects"));
                    self.0.insert(name, content);
                }
                Err(why) => {
                    if !failed_before {
                        console.say("k3s", format!("manifest {name}: {why}"));
                    }
                    self.0.insert(format!("!{name}"), content);
                }
            }
        }
    }
}

fn apply(content: &[u8], objects: Objects<'_>) -> Result<usize, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let mut count = 0;
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let named = || {
            let kind = document["kind"].as_str().unwrap_or("?");
            format!("{kind} {}", document["metadata"]["name"].as_str().unwrap_or("?"))
        };
        let kind = Kind::of_object(&document)
            .ok_or_else(|| format!("no matches for kind \"{}\" in version {}", named(), document["apiVersion"]))?;
        let namespace = document["metadata"]["namespace"].as_str().unwrap_or("default");
        objects
            .apply(kind, namespace, &document)
            .map_err(|refusal| format!("{}: {}", named(), refusal.status()["message"]))?;
        count += 1;
    }
    Ok(count)
}
