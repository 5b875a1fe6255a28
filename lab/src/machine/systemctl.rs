//! `systemctl`, as far as a node's cloud-config needs it.

use super::{
    Machine,
    process::{Exit, Process},
    systemd::{self, Job},
};
use std::sync::Arc;

/// Runs systemctl.
pub(super) async fn run(machine: &Arc<Machine>, process: &Process) -> Exit {
    let (mut now, mut no_block, mut words) = (false, false, Vec::new());
    for argument in process.argv.iter().skip(1) {
        match argument.as_str() {
            "--now" => now = true,
            "--no-block" => no_block = true,
            "--quiet" | "-q" | "--no-pager" | "--system" => {}
            option if option.starts_with('-') => {
                return Exit::failure(1, format!("systemctl: unrecognized option '{option}'"));
            }
            word => words.push(word.to_owned()),
        }
    }
    let mut words = words.into_iter();
    let verb = words.next().unwrap_or_default();
    let units: Vec<String> =
        words.map(|name| if name.contains('.') { name } else { format!("{name}.service") }).collect();
    if verb == "daemon-reload" {
        machine.systemd.reload();
        return Exit::SUCCESS;
    }
    if units.is_empty() {
        return Exit::failure(1, format!("systemctl: `{verb}` is not simulated, or needs a unit"));
    }
    for unit in &units {
        if let Err(why) = one(machine, &verb, unit, now, no_block).await {
            return Exit::failure(1, why);
        }
    }
    Exit::SUCCESS
}

async fn one(machine: &Arc<Machine>, verb: &str, unit: &str, now: bool, no_block: bool) -> Result<(), String> {
    match verb {
        "enable" | "reenable" => systemd::enable(machine, unit)?,
        "disable" => systemd::disable(machine, unit)?,
        "stop" => systemd::stop(machine, unit).await,
        "restart" | "try-restart" => systemd::stop(machine, unit).await,
        "start" => {}
        "is-active" => {
            return if systemd::is_active(machine, unit) { Ok(()) } else { Err("inactive".into()) };
        }
        "reset-failed" => return Ok(()),
        other => return Err(format!("unknown command verb '{other}'")),
    }
    if verb == "disable" && now {
        systemd::stop(machine, unit).await;
    }
    let starts = matches!(verb, "start" | "restart") || (now && verb != "disable");
    if !starts {
        return Ok(());
    }
    let mut job = systemd::start(machine, unit)?;
    if no_block {
        return Ok(());
    }
    let ended = job.wait_for(|job| !matches!(job, Job::Running)).await;
    match ended.as_deref() {
        Ok(Job::Failed(why)) => Err(format!("Job for {unit} failed: {why}")),
        _ => Ok(()),
    }
}
