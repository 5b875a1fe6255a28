//! A small systemd: which units there are, in which order they start, what is enabled.

mod service;

use super::{Machine, kernel, unit::Unit};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where units of the administrator and links of enabled ones are.
const UNITS: &str = "/etc/systemd/system";
/// Other folders in which units are found, in this order.
const OTHER_UNITS: [&str; 3] = ["/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
/// Targets whose `.wants` folders are started at boot.
const BOOT_TARGETS: [&str; 4] = ["default.target", "multi-user.target", "network-online.target", "basic.target"];
/// Units of the stock image that are up whenever ours start.
const STOCK: [&str; 18] = [
    "network.target",
    "network-online.target",
    "network-pre.target",
    "multi-user.target",
    "default.target",
    "basic.target",
    "sysinit.target",
    "local-fs.target",
    "remote-fs.target",
    "time-sync.target",
    "nss-lookup.target",
    "systemd-resolved.service",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "cloud-init.service",
    "cloud-config.service",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
];
/// Units of the stock image that are up when cloud-init has run the commands of the user-data.
const AFTER_CLOUD_INIT: [&str; 2] = ["cloud-final.service", "cloud-init.target"];

/// How far the last request to start a unit has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Running,
    Done,
    Failed(String),
}

/// The units of one boot.
#[derive(Debug)]
pub(crate) struct Systemd {
    units: Mutex<BTreeMap<String, Entry>>,
    cloud_init_done: watch::Sender<bool>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

#[derive(Clone, Debug)]
struct Entry {
    unit: Arc<Unit>,
    job: watch::Sender<Job>,
    active: Arc<AtomicBool>,
    stop: CancellationToken,
    /// The file may have changed since it was read.
    stale: bool,
}

impl Systemd {
    pub(crate) fn new(cancel: CancellationToken) -> Self {
        Self { units: Mutex::default(), cloud_init_done: watch::Sender::new(false), tasks: TaskTracker::new(), cancel }
    }

    /// Unit files are read again when they are next needed.
    pub(crate) fn reload(&self) {
        self.units().values_mut().for_each(|entry| entry.stale = true);
    }

    /// Cloud-init's last stage is over.
    pub(crate) fn cloud_init_is_done(&self) {
        self.cloud_init_done.send_replace(true);
    }

    /// Waits until everything that ran has ended; the token given to [`Systemd::new`] must be cancelled.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn units(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts what is enabled, as a boot does.
pub(crate) fn boot(machine: &Arc<Machine>) {
    let mut names: Vec<String> = Vec::new();
    for target in BOOT_TARGETS {
        names.extend(machine.disk.list(&format!("{UNITS}/{target}.wants")));
    }
    for name in enqueue(machine, &names).1 {
        machine.console.say("systemd", name);
    }
}

/// Starts a unit and what it needs.
///
/// # Errors
/// The unit or one that it requires does not exist or cannot be read.
pub(crate) fn start(machine: &Arc<Machine>, name: &str) -> Result<watch::Receiver<Job>, String> {
    if is_stock(name) {
        kernel::stock_unit(machine, name).map_err(|why| format!("Job for {name} failed: {why}"))?;
        return Ok(watch::Sender::new(Job::Done).subscribe());
    }
    let (mut jobs, mut wrong) = enqueue(machine, &[name.to_owned()]);
    match jobs.remove(name) {
        Some(job) if wrong.is_empty() => Ok(job),
        _ => Err(format!("Failed to start {name}: {}", wrong.pop().unwrap_or_else(|| "unit not found".into()))),
    }
}

/// Stops a unit and waits until it has ended.
pub(crate) async fn stop(machine: &Machine, name: &str) {
    let entry = machine.systemd.units().get(name).cloned();
    let Some(entry) = entry else { return };
    entry.stop.cancel();
    // The supervising task holds the job's sender through its own clone until it has ended.
    let mut job = entry.job.subscribe();
    drop(machine.systemd.units().remove(name));
    drop(entry);
    while job.changed().await.is_ok() {}
}

/// Unit files are read again when they are next needed.
pub(crate) fn reload(machine: &Machine) {
    machine.systemd.reload();
}

/// Stops a unit, starts it again and does not wait for that.
///
/// # Errors
/// It does not exist or cannot be read.
pub(crate) async fn restart(machine: &Arc<Machine>, name: &str) -> Result<(), String> {
    stop(machine, name).await;
    start(machine, name).map(drop)
}

/// Whether a unit is up.
pub(crate) fn is_active(machine: &Machine, name: &str) -> bool {
    is_stock(name) || machine.systemd.units().get(name).is_some_and(|entry| entry.active.load(Ordering::Acquire))
}

/// Makes the links that start a unit at boot.
pub(crate) fn enable(machine: &Machine, name: &str) -> Result<(), String> {
    let (path, unit) = load(machine, name)?;
    if unit.wanted_by.is_empty() {
        return Err(format!(
            "The unit files have no installation config: {name} has no WantedBy= in [Install] and cannot be enabled"
        ));
    }
    for target in &unit.wanted_by {
        let folder = format!("{UNITS}/{target}.wants");
        let link = format!("{folder}/{name}");
        machine.disk.create_dirs(&folder).map_err(|error| format!("{folder}: {error}"))?;
        machine
            .disk
            .remove(&link)
            .and_then(|()| machine.disk.symlink(&path, &link))
            .map_err(|e| format!("{link}: {e}"))?;
        machine.console.say("systemctl", format!("Created symlink {link} → {path}."));
    }
    Ok(())
}

/// Removes the links that start a unit at boot.
pub(crate) fn disable(machine: &Machine, name: &str) -> Result<(), String> {
    let (_, unit) = load(machine, name)?;
    for target in &unit.wanted_by {
        let link = format!("{UNITS}/{target}.wants/{name}");
        machine.disk.remove(&link).map_err(|error| format!("{link}: {error}"))?;
    }
    Ok(())
}

fn is_stock(name: &str) -> bool {
    STOCK.contains(&name) || AFTER_CLOUD_INIT.contains(&name)
}

/// Finds and reads a unit's file.
fn load(machine: &Machine, name: &str) -> Result<(String, Unit), String> {
    let folders = std::iter::once(UNITS).chain(OTHER_UNITS);
    let path = folders
        .map(|folder| format!("{folder}/{name}"))
        .find(|path| machine.disk.exists(path))
        .ok_or_else(|| format!("Unit {name} not found."))?;
    let text = machine.disk.read_text(&path).map_err(|error| format!("{path}: {error}"))?;
    let hostname = machine.hostname();
    Ok((path, Unit::parse(name, &text, &hostname)?))
}

/// Puts units and all they pull in on the list of what starts, then sets them going. Everything is on the list before
/// anything runs, so that `After=` orders units that start together whatever the order of the names.
fn enqueue(machine: &Arc<Machine>, roots: &[String]) -> (BTreeMap<String, watch::Receiver<Job>>, Vec<String>) {
    let (mut jobs, mut wrong, mut new) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut open: Vec<(String, bool)> = roots.iter().rev().map(|name| (name.clone(), true)).collect();
    let mut units = machine.systemd.units();
    while let Some((name, needed)) = open.pop() {
        if is_stock(&name) || !seen.insert(name.clone()) {
            continue;
        }
        if let Some(entry) = units.get(&name) {
            let runs = *entry.job.borrow() == Job::Running || entry.active.load(Ordering::Acquire);
            if runs {
                jobs.insert(name, entry.job.subscribe());
                continue;
            }
        }
        let known = units.get(&name).filter(|entry| !entry.stale).map(|entry| Arc::clone(&entry.unit));
        let unit = match known.map_or_else(|| load(machine, &name).map(|(_, unit)| Arc::new(unit)), Ok) {
            Ok(unit) => unit,
            Err(why) if needed => {
                wrong.push(why);
                continue;
            }
            Err(why) => {
                machine.console.say("systemd", format!("{why} (wanted, not required)"));
                continue;
            }
        };
        open.extend(unit.wants.iter().map(|name| (name.clone(), false)));
        open.extend(unit.requires.iter().map(|name| (name.clone(), true)));
        let entry = Entry {
            unit,
            job: watch::Sender::new(Job::Running),
            active: Arc::new(AtomicBool::new(false)),
            stop: machine.systemd.cancel.child_token(),
            stale: false,
        };
        // An older supervisor of the unit may be waiting to start it again: this start takes its place.
        if let Some(old) = units.insert(name.clone(), entry.clone()) {
            old.stop.cancel();
        }
        jobs.insert(name, entry.job.subscribe());
        new.push(entry);
    }
    if let Some(cycle) = new.iter().find_map(|entry| cycle(&units, &entry.unit.name)) {
        wrong.push(format!("ordering cycle: {}", cycle.join(" after ")));
    }
    if !wrong.is_empty() {
        // A transaction that cannot be built starts nothing.
        for entry in new {
            entry.job.send_replace(Job::Failed(wrong.join("; ")));
        }
        return (jobs, wrong);
    }
    drop(units);
    for entry in new {
        machine.systemd.tasks.spawn(service::supervise(Arc::clone(machine), entry));
    }
    (jobs, wrong)
}

/// The way from a unit back to itself along `After=`, if there is one.
fn cycle(units: &BTreeMap<String, Entry>, from: &str) -> Option<Vec<String>> {
    fn walk(units: &BTreeMap<String, Entry>, path: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
        let here = path.last().cloned().unwrap_or_default();
        for next in units.get(&here).iter().flat_map(|entry| &entry.unit.after) {
            if *next == path[0] {
                path.push(next.clone());
                return true;
            }
            if seen.insert(next.clone()) {
                path.push(next.clone());
                if walk(units, path, seen) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    let mut path = vec![from.to_owned()];
    walk(units, &mut path, &mut BTreeSet::new()).then_some(path)
}

#[cfg(test)]
mod tests;
