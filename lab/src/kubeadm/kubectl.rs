//! `kubectl apply --server-side`, for the manifests that a first server brings along.

use crate::{
    kubernetes::{kinds::Kind, kubeconfig::Kubeconfig},
    machine::{Machine, Process},
};
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// Runs it: every file is tried, and one that was refused makes it fail.
pub(super) async fn run(machine: &Arc<Machine>, process: &Process) -> Result<(), String> {
    let (mut config, mut folder, mut manager, mut words) = (None, None, None, Vec::new());
    let (mut server_side, mut force) = (false, false);
    let mut rest = process.argv.iter().skip(1);
    while let Some(word) = rest.next() {
        let mut value = || rest.next().cloned().ok_or(format!("error: flag needs an argument: {word}"));
        match word.as_str() {
            "--kubeconfig" => config = Some(value()?),
            "--filename" | "-f" => folder = Some(value()?),
            "--field-manager" => manager = Some(value()?),
            "--server-side" => server_side = true,
            "--force-conflicts" => force = true,
            flag if flag.starts_with('-') => return Err(format!("error: unknown flag: {flag}")),
            word => words.push(word.to_owned()),
        }
    }
    if words != ["apply"] || !server_side {
        return Err(format!("kubectl: `{}` is not simulated, only `apply --server-side`", process.argv.join(" ")));
    }
    let config = config.ok_or("kubectl: The connection to the server localhost:8080 was refused (no --kubeconfig)")?;
    let folder = folder.ok_or("error: must specify one of -f and -k")?;
    let kubeconfig = Kubeconfig::parse(&super::read(machine, &config)?).map_err(|why| format!("{config}: {why}"))?;
    let caller = kubeconfig.caller(machine.connector())?;
    if !machine.disk.is_dir(&folder) {
        return Err(format!("error: the path \"{folder}\" does not exist"));
    }
    let mut refused = Vec::new();
    for name in machine.disk.list(&folder).iter().filter(|name| name.ends_with(".yaml") || name.ends_with(".json")) {
        let file = format!("{folder}/{name}");
        let text = super::read(machine, &file)?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| format!("error parsing {file}: {error}"))?;
        for object in documents.iter().filter(|document| !document.is_null()) {
            let path = match path(object) {
                Ok(path) => path,
                Err(why) => {
                    refused.push(format!("{file}: {why}"));
                    continue;
                }
            };
            let manager = manager.as_deref().unwrap_or("kubectl");
            let path = format!("{path}?fieldManager={manager}&force={force}");
            match caller.call(Method::PATCH, &path, Some(object)).await {
                Ok(_) => {
                    let what = object["kind"].as_str().unwrap_or_default().to_lowercase();
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    machine.console.say(&process.source, format!("{what}/{name} serverside-applied"));
                }
                Err(failed) => refused.push(format!("{file}: Error from server: {}", failed.why)),
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(refused.join("\n")) }
}

/// Where an object is in the API.
fn path(object: &Value) -> Result<String, String> {
    let name = object["metadata"]["name"].as_str().ok_or("the object has no name")?;
    let kind = Kind::of_object(object)
        .ok_or_else(|| format!("no matches for kind {} in version {}", object["kind"], object["apiVersion"]))?;
    Ok(kind.path(object["metadata"]["namespace"].as_str().unwrap_or("default"), name))
}
