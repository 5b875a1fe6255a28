//! Tries each step between this node and the plane, and says which one fails. Changes nothing, and registers nothing.

use crate::{config::ConfigError, credentials::Files, node::RunOptions};
use ferrogate_tunnel::{Identity, probe};

/// One step and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub title: String,
    /// What was seen, or what is wrong.
    pub result: Result<String, String>,
}

/// Goes through the steps in order; the first failure that later ones rest on is the last one listed.
pub async fn examine(options: &RunOptions) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut note = |title: &str, result: Result<String, String>| {
        let good = result.is_ok();
        checks.push(Check { title: title.into(), result });
        good
    };
    let configuration = options.read();
    let described = configuration.as_ref().map(|checked| format!("{} allow rules", checked.file.allow.len()));
    note("configuration", described.map_err(explained));
    let Ok(checked) = configuration else { return checks };

    let files = Files::new(&checked);
    let key = files.key().map(|key| format!("public key {}", key.public_key()));
    let identity = files.identity().map(|identity| match identity {
        Identity::Known(node) => format!("registered as {node}"),
        Identity::Enrol { .. } => "not registered yet, the enrolment token is there".into(),
    });
    note("node key", key);
    note("registration", identity);
    let trust = files.trust();
    let described = trust.as_ref().map(|trust| match trust.extra_ca_pem.len() {
        0 => "the system's authorities".to_owned(),
        _ => "the system's authorities and the plane's own".to_owned(),
    });
    note("trusted authorities", described.map_err(Clone::clone));
    let tls = trust.and_then(|trust| trust.client_config(&[]).map_err(|error| error.to_string()));
    if let Ok(tls) = tls {
        for step in probe(&checked.file.plane_url, &*options.way_out(&checked), &tls).await {
            note(step.title, step.result);
        }
    }
    checks
}

fn explained(error: &ConfigError) -> String {
    match &error.hint {
        Some(hint) => format!("{error} (hint: {hint})"),
        None => error.to_string(),
    }
}
