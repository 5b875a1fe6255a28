//! The last page: what exists, where, and what next; or what is kept, and how to go on or go back.

use super::prepare::Installation;
use crate::{
    InstallError,
    prompt::Tone,
    screen::{Screen, clock},
    state::Progress,
};
use ferrogate_api::{InstallStatus, PairResponse};
use ferrogate_engine::Pass;
use ferrogate_model::Timestamp;
use std::time::Duration;

/// After a good end.
pub(crate) fn finished(
    installation: &Installation,
    paired: &PairResponse,
    pass: &Pass,
    status: &InstallStatus,
    elapsed: Duration,
    screen: &dyn Screen,
) {
    let say = |text: &str| screen.line(Tone::Plain, text);
    say("");
    screen.line(Tone::Good, &format!("Gateway {} is running and healthy, after {}.", status.name, clock(elapsed)));
    say("");
    say(&format!("  Gateway     {} ({})", status.name, paired.gateway_id));
    say(&format!("  Plane       {}", paired.plane_url));
    for machine in &pass.machines {
        let addresses: Vec<_> = machine.addresses.iter().map(ToString::to_string).collect();
        say(&format!("  Machine     {}  {}  zone {}", machine.fqdn, addresses.join(", "), machine.zone));
    }
    if let Some(endpoint) = &pass.api_endpoint {
        say(&format!("  Kubernetes  {endpoint}"));
    }
    say(&format!("  Files       {}", installation.folder.path().display()));
    say("");
    say("What next:");
    say(&format!("  The cloud account {} was made for this MAAS. Create a cluster in it:", status.name));
    say(&format!("    ferrogate create cluster NAME --account {}", status.name));
    if installation.config.plane.username.is_some() {
        say("  The account used here is no longer needed by the gateway; it may be disabled.");
    }
    say("  This host is no longer needed. The folder holds sealed secrets: keep it for");
    say("  --config, or remove it.");
}

/// After a run that found everything done.
pub(crate) fn already(
    installation: &Installation,
    paired: &PairResponse,
    status: &InstallStatus,
    since: Timestamp,
    screen: &dyn Screen,
) {
    let say = |text: &str| screen.line(Tone::Plain, text);
    say("");
    let text = format!("Gateway {} was installed already, at {since}, and is running and healthy.", status.name);
    screen.line(Tone::Good, &text);
    say(&format!("  Gateway     {} ({})", status.name, paired.gateway_id));
    say(&format!("  Plane       {}", paired.plane_url));
    say(&format!("  Files       {}", installation.folder.path().display()));
    say("The plane keeps it from here on; nothing was changed. What is to change now is changed there.");
}

/// After a bad end: what is kept, and the two ways on.
pub(crate) fn kept(installation: &Installation, error: &InstallError, screen: &dyn Screen) {
    let say = |text: &str| screen.line(Tone::Plain, text);
    let config = installation.folder.config();
    let progress = installation.folder.read(&installation.sealer, installation.config.name.as_str()).ok().flatten();
    say("");
    match &progress {
        Some(progress) if progress.paired.is_some() => say(&taken(progress)),
        _ => say("No machine was taken."),
    }
    match error {
        InstallError::Preflight { .. } | InstallError::Answer { .. } => say("Once it is corrected, run again:"),
        _ => say("Everything needed to go on is kept. Go on where it stopped:"),
    }
    say(&format!("  ferrogate install --config {}", config.display()));
    if progress.is_some_and(|progress| progress.pairing_begun) {
        say("Or give everything back:");
        say(&format!("  ferrogate install cleanup --config {}", config.display()));
    }
    say(&format!("Log: {}", installation.folder.log().display()));
}

fn taken(progress: &Progress) -> String {
    let machines: Vec<_> =
        progress.memory.views.iter().map(|machine| format!("{} ({})", machine.hostname, machine.state)).collect();
    match machines.as_slice() {
        [] => "No machine is known to have been taken.".into(),
        machines => format!("Taken so far, and kept: {}.", machines.join(", ")),
    }
}
