//! The metadata service: what a booting machine asks and what it reports, with its own OAuth key.

use super::answer::Answer;
use super::{
    MachineFault,
    lifecycle::Effect,
    oauth::Signature,
    request::Request,
    serve::Inner,
    state::{Machine, Status},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use ferrogate_model::SystemId;
use http::{StatusCode, request::Parts};
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::sync::Arc;

/// Everything below is the metadata service.
pub(crate) const ROOT: &str = "/MAAS/metadata/";
const OCTETS: &str = "application/octet-stream";
const TEXT: &str = "text/plain";

/// A report of cloud-init's webhook: each stage says when it begins and how it ended.
#[derive(Debug, Deserialize)]
struct Report {
    event_type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    result: Option<String>,
}

/// Answers a machine.
pub(crate) fn handle(inner: &Arc<Inner>, parts: &Parts, bytes: &Bytes) -> (Answer, Vec<Effect>) {
    let request = Request::read(parts, bytes);
    let Some(id) = sender(inner, &request) else {
        tracing::debug!(path = request.path, "a request to the metadata service bears no valid key");
        return (Answer::unauthorized(), Vec::new());
    };
    let rest = request.path.strip_prefix(ROOT).unwrap_or_default();
    let answer = match (request.method.as_str(), rest.trim_end_matches('/').split_once('/')) {
        ("POST", Some(("status", system_id))) if system_id == id.0 => report(inner, &id, bytes),
        ("POST", Some(("status", _))) => Answer::forbidden(),
        ("GET", Some(("2012-03-01" | "latest", what))) => read(inner, &id, what),
        ("POST", Some(("2012-03-01" | "latest", _))) => signal(inner, &id, &request),
        ("GET", None) if rest.is_empty() => Answer::binary(TEXT, b"2012-03-01\nlatest".to_vec()),
        ("GET", None) if rest.starts_with("2012-03-01") || rest.starts_with("latest") => {
            Answer::binary(TEXT, b"meta-data\nuser-data".to_vec())
        }
        _ => Answer::plain(StatusCode::NOT_FOUND, "Not Found"),
    };
    (answer, Vec::new())
}

/// Which machine signed the request.
fn sender(inner: &Inner, request: &Request) -> Option<SystemId> {
    let signature = Signature::of(request);
    let (consumer, token) = (signature.get("oauth_consumer_key")?, signature.get("oauth_token")?);
    let given = signature.get("oauth_signature")?;
    let state = inner.state();
    let matches = |machine: &&Machine| {
        machine.key.consumer == consumer
            && machine.key.token == token
            && given.strip_prefix('&') == Some(machine.key.secret.expose_secret())
    };
    state.machines.iter().find(matches).map(|machine| machine.system_id.clone())
}

/// `meta-data/…` and `user-data`.
fn read(inner: &Inner, id: &SystemId, what: &str) -> Answer {
    let state = inner.state();
    let Some(machine) = state.machine(&id.0) else { return Answer::plain(StatusCode::NOT_FOUND, "Not Found") };
    match what {
        "user-data" => match machine.user_data.as_deref() {
            Some(text) => Answer::binary(OCTETS, decode(text)),
            None => Answer::plain(StatusCode::NOT_FOUND, "No user data available for this node."),
        },
        "meta-data" => Answer::binary(TEXT, b"instance-id\nlocal-hostname\npublic-keys\nvendor-data".to_vec()),
        "meta-data/instance-id" => Answer::binary(TEXT, machine.system_id.0.clone().into_bytes()),
        "meta-data/local-hostname" => Answer::binary(TEXT, state.fqdn(machine).into_bytes()),
        "meta-data/public-keys" => {
            let keys = state.ssh_keys.iter().filter(|key| Some(key.user) == machine.owner);
            Answer::binary(TEXT, keys.map(|key| key.key.as_str()).collect::<Vec<_>>().join("\n").into_bytes())
        }
        "meta-data/vendor-data" => {
            let servers = state.config.get("ntp_servers").and_then(|value| value.as_str()).unwrap_or_default();
            Answer::binary(OCTETS, format!("#cloud-config\nntp:\n  pools: []\n  servers: [{servers}]\n").into_bytes())
        }
        _ => Answer::plain(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// `op=signal` with a status, and `op=netboot_off`: how an installer reports.
fn signal(inner: &Inner, id: &SystemId, request: &Request) -> Answer {
    match request.op.as_deref() {
        Some("netboot_off") => {
            if let Some(machine) = inner.state().machine_mut(&id.0) {
                machine.netboot = false;
            }
            Answer::plain(StatusCode::OK, "OK")
        }
        Some("signal") => {
            let status = request.form().ok().and_then(|form| form.get("status").map(str::to_owned));
            match status.as_deref() {
                Some("OK") => finished(inner, id, true, ""),
                Some("FAILED") => finished(inner, id, false, "the machine signalled a failure"),
                _ => {}
            }
            Answer::plain(StatusCode::OK, "OK")
        }
        op => Answer::unrecognised("POST", op),
    }
}

/// A report of cloud-init: the end of its last stage ends the deployment.
fn report(inner: &Inner, id: &SystemId, bytes: &Bytes) -> Answer {
    let Ok(report) = serde_json::from_slice::<Report>(bytes) else {
        return Answer::bad_request("Failed to decode JSON");
    };
    tracing::debug!(machine = %id, stage = report.name, kind = report.event_type, "a machine reported");
    let failed = report.result.as_deref().is_some_and(|result| result != "SUCCESS");
    if report.event_type == "finish" && (report.name == "modules-final" || (failed && report.name == "cmd-install")) {
        finished(inner, id, !failed, &report.description);
    }
    Answer::plain(StatusCode::NO_CONTENT, "")
}

/// The machine said how its deployment ended.
fn finished(inner: &Inner, id: &SystemId, well: bool, description: &str) {
    let epoch = {
        let state = inner.state();
        let Some(machine) = state.machine(&id.0) else { return };
        let ignored = inner.faults.of_machine(&machine.hostname, &id.0) == Some(MachineFault::NeverReports);
        if machine.status != Status::Deploying || ignored {
            return;
        }
        machine.epoch
    };
    if well {
        inner.finish_deployment(id, Some(epoch));
    } else {
        inner.fail_deployment(id, epoch, &format!("'cloudinit' {description}"));
    }
}

/// User data as the machine gets it: decoded where it is base64, else as it was given.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(packed.as_bytes()).unwrap_or_else(|_| text.as_bytes().to_vec())
}
