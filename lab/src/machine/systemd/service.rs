//! One service from its start to its end, and the starts after that.

use super::{AFTER_CLOUD_INIT, Entry, Job};
use crate::machine::{
    Machine, environment,
    exec_line::ExecLine,
    process::{self, Exit, Process},
    unit::{Kind, Restart, Unit},
};
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};
use tokio::{sync::watch, time::Instant};

/// How one run of a service ended.
enum Ended {
    Success,
    Failed(String),
    /// It was told to stop.
    Stopped,
}

/// Waits for what must come first, then runs the service until it needs no further start.
///
/// Boxed, because a service can run `systemctl`, which starts services.
pub(super) fn supervise(machine: Arc<Machine>, entry: Entry) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let unit = Arc::clone(&entry.unit);
        let stop = entry.stop.clone();
        let fail = |why: String| {
            machine.console.say("systemd", format!("Failed to start {}: {why}", unit.name));
            entry.job.send_replace(Job::Failed(why));
        };
        let waited = tokio::select! {
            waited = wait_for_others(&machine, &unit) => waited,
            () = stop.cancelled() => return,
        };
        if let Err(why) = waited {
            return fail(why);
        }
        if let Some(condition) = unmet(&machine, &unit) {
            machine.console.say("systemd", format!("{} skipped: condition {condition} is not met", unit.name));
            entry.job.send_replace(Job::Done);
            return;
        }
        let mut starts: VecDeque<Instant> = VecDeque::new();
        let mut failures = 0;
        loop {
            if !may_start(&unit, &mut starts) {
                return fail("start request repeated too quickly (start-limit-hit)".into());
            }
            machine.console.say("systemd", format!("Starting {} - {}", unit.name, unit.description));
            let ended = Box::pin(attempt(&machine, &entry)).await;
            entry.active.store(false, Ordering::Release);
            match ended {
                Ended::Stopped => {
                    machine.console.say("systemd", format!("Stopped {}", unit.name));
                    return;
                }
                Ended::Success => {
                    machine.console.say("systemd", format!("{}: Deactivated successfully.", unit.name));
                    entry.job.send_replace(Job::Done);
                    if unit.restart != Restart::Always {
                        return;
                    }
                }
                Ended::Failed(why) => {
                    machine.console.say("systemd", format!("{}: Failed: {why}", unit.name));
                    if unit.restart == Restart::No || !unit.restart_direct {
                        entry.job.send_replace(Job::Failed(why));
                    }
                    if unit.restart == Restart::No {
                        return;
                    }
                }
            }
            failures += 1;
            let pause = unit.pause(failures);
            machine.console.say("systemd", format!("{}: Scheduled restart in {pause:?}", unit.name));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            entry.job.send_replace(Job::Running);
        }
    })
}

/// Waits for the units of `After=` that are starting. One that is required must have started.
async fn wait_for_others(machine: &Machine, unit: &Unit) -> Result<(), String> {
    for name in &unit.after {
        if AFTER_CLOUD_INIT.contains(&name.as_str()) {
            let mut done = machine.systemd.cloud_init_done.subscribe();
            // The sender lives as long as the machine.
            let _ = done.wait_for(|done| *done).await;
            continue;
        }
        let job = machine.systemd.units().get(name).map(|entry| entry.job.subscribe());
        let Some(mut job) = job else { continue };
        let ended = job.wait_for(|job| *job != Job::Running).await.map(|job| job.clone());
        if let (Ok(Job::Failed(why)), true) = (ended, unit.requires.contains(name)) {
            return Err(format!("dependency failed: {name}: {why}"));
        }
    }
    Ok(())
}

fn unmet(machine: &Machine, unit: &Unit) -> Option<String> {
    let missing = unit.condition_exists.iter().find(|path| !machine.disk.exists(path));
    let present = unit.condition_missing.iter().find(|path| machine.disk.exists(path));
    missing
        .map(|path| format!("ConditionPathExists={path}"))
        .or_else(|| present.map(|path| format!("ConditionPathExists=!{path}")))
}

/// Counts a start; false where there were too many in the interval.
fn may_start(unit: &Unit, starts: &mut VecDeque<Instant>) -> bool {
    if unit.start_limit_interval.is_zero() || unit.start_limit_burst == 0 {
        return true;
    }
    let now = Instant::now();
    while starts.front().is_some_and(|first| now.duration_since(*first) >= unit.start_limit_interval) {
        starts.pop_front();
    }
    starts.push_back(now);
    starts.len() <= unit.start_limit_burst
}

/// Runs the service once.
async fn attempt(machine: &Arc<Machine>, entry: &Entry) -> Ended {
    let unit = &entry.unit;
    let environment = match environment_of(machine, unit) {
        Ok(environment) => environment,
        Err(why) => return Ended::Failed(why),
    };
    let run = async {
        for line in &unit.start_pre {
            command(machine, entry, line, &environment).await?;
        }
        match unit.kind {
            Kind::Oneshot => {
                for line in &unit.start {
                    command(machine, entry, line, &environment).await?;
                }
                Ok(())
            }
            Kind::Simple | Kind::Exec | Kind::Notify => Ok(()),
        }
    };
    let limit = unit.start_timeout;
    let prepared = tokio::select! {
        prepared = within(limit, run) => prepared,
        () = entry.stop.cancelled() => return Ended::Stopped,
    };
    if let Err(why) = prepared {
        return Ended::Failed(why);
    }
    if unit.kind == Kind::Oneshot {
        started(machine, entry);
        if unit.remain_after_exit {
            entry.stop.cancelled().await;
            return Ended::Stopped;
        }
        return Ended::Success;
    }
    Box::pin(main_process(machine, entry, &environment)).await
}

/// Runs the one process of a service that stays.
async fn main_process(machine: &Arc<Machine>, entry: &Entry, environment: &BTreeMap<String, String>) -> Ended {
    let unit = &entry.unit;
    let Some(line) = unit.start.first() else { return Ended::Success };
    let argv = line.argv(environment);
    if unit.kind == Kind::Exec
        && let Err(exit) = process::check(machine, &argv[0])
    {
        return Ended::Failed(exit.why);
    }
    let ready = watch::Sender::new(false);
    let mut is_ready = ready.subscribe();
    let mut process = process(entry, argv, environment);
    process.ready = ready;
    let mut run = std::pin::pin!(process::run(machine, process));
    let exit = if unit.kind == Kind::Notify {
        tokio::select! {
            exit = &mut run => Some(exit),
            () = entry.stop.cancelled() => return Ended::Stopped,
            timed = within(unit.start_timeout, async { let _ = is_ready.wait_for(|ready| *ready).await; Ok(()) }) => {
                if let Err(why) = timed {
                    return Ended::Failed(why);
                }
                None
            }
        }
    } else {
        None
    };
    let exit = match exit {
        Some(exit) if exit.code == 0 => return Ended::Failed("ended before it was ready (protocol)".into()),
        Some(exit) => exit,
        None => {
            started(machine, entry);
            let after = async {
                for line in &unit.start_post {
                    command(machine, entry, line, environment).await?;
                }
                std::future::pending::<Result<(), String>>().await
            };
            tokio::select! {
                exit = &mut run => exit,
                () = entry.stop.cancelled() => return Ended::Stopped,
                Err(why) = after => return Ended::Failed(why),
            }
        }
    };
    if entry.stop.is_cancelled() {
        return Ended::Stopped;
    }
    if exit.code == 0 || line.ignore_failure { Ended::Success } else { Ended::Failed(shown(line, &exit)) }
}

fn started(machine: &Machine, entry: &Entry) {
    entry.active.store(true, Ordering::Release);
    machine.console.say("systemd", format!("Started {}", entry.unit.name));
    entry.job.send_replace(Job::Done);
}

/// Runs a command to its end; an error unless it succeeds or may fail.
async fn command(
    machine: &Arc<Machine>,
    entry: &Entry,
    line: &ExecLine,
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let exit = process::run(machine, process(entry, line.argv(environment), environment)).await;
    if exit.code == 0 || line.ignore_failure { Ok(()) } else { Err(shown(line, &exit)) }
}

fn shown(line: &ExecLine, exit: &Exit) -> String {
    format!("`{}` exited with code {}: {}", line.shown(), exit.code, exit.why)
}

fn process(entry: &Entry, argv: Vec<String>, environment: &BTreeMap<String, String>) -> Process {
    let mut process = Process::new(&entry.unit.name, argv, entry.stop.child_token());
    process.environment.clone_from(environment);
    process.working_directory.clone_from(&entry.unit.working_directory);
    process
}

fn environment_of(machine: &Machine, unit: &Unit) -> Result<BTreeMap<String, String>, String> {
    let mut all = unit.environment.clone();
    for (path, may_be_missing) in &unit.environment_files {
        match machine.disk.read_text(path) {
            Ok(text) => {
                let variables = environment::parse(&text)
                    .map_err(|why| format!("Failed to load environment file {path}: {why}"))?;
                all.extend(variables);
            }
            Err(_) if *may_be_missing && !machine.disk.exists(path) => {}
            Err(error) => return Err(format!("Failed to load environment file {path}: {error}")),
        }
    }
    Ok(all)
}

async fn within(
    limit: Option<std::time::Duration>,
    work: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(format!("start operation timed out after {limit:?} (TimeoutStartSec)"))),
    }
}
