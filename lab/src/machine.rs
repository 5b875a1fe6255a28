//! Machines that are simulated in this process. They obey the cloud-config they are given and nothing else: what is not
//! written by it is not there, what is not started by it does not run.
//!
//! A machine is a folder (its disk), a console and, while it has power, a set of tasks. It knows none of Ferrogate's
//! types: only the files that were rendered for it.

mod cloud_config;
mod cloud_init;
mod console;
mod coreutils;
mod curl;
mod disk;
mod environment;
mod exec_line;
mod files;
mod find;
mod kernel;
mod metadata;
mod names;
mod process;
mod systemctl;
mod systemd;
#[cfg(test)]
mod testing;
mod unit;

pub use names::SiteConnector;
pub(crate) use {
    console::Console,
    disk::Disk,
    files::empty,
    kernel::setting,
    process::{Exit, Process},
    systemd::{is_active, reload, restart, stop},
};

use crate::{
    backend::{Backend, Boot, Power},
    dns::Zone,
    kubernetes::{Datastores, Timing, logs::Logs},
    programs::Programs,
};
use async_trait::async_trait;
use ferrogate_model::{Clock, SystemId};
use ferrogate_net::{Connector, Network};
use ipnet::IpNet;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use systemd::Systemd;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a machine that is switched off the orderly way may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// What all simulated machines of a site share.
#[derive(Clone, Debug)]
pub struct SimulatedOptions {
    /// The network the machines are on.
    pub network: Network,
    /// The names they can look up.
    pub zone: Arc<dyn Zone>,
    /// The networks they have a route to; `None`: everywhere.
    pub reach: Option<Vec<IpNet>>,
    /// What runs in containers.
    pub programs: Arc<dyn Programs>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// From power on to the first line of cloud-init.
    pub boot_time: Duration,
    /// How fast Kubernetes does its rounds.
    pub timing: Timing,
    /// Where the machines' folders are made; the system's temporary folder unless given.
    pub folder: Option<PathBuf>,
}

/// The simulated machines of one site.
#[derive(Debug)]
pub struct SimulatedMachines {
    site: Arc<SharedState>,
    slots: Mutex<BTreeMap<SystemId, Slot>>,
}

/// What machines share while they run.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) options: SimulatedOptions,
    pub(crate) datastores: Datastores,
    pub(crate) logs: Logs,
}

/// One machine's place in the rack.
#[derive(Debug)]
struct Slot {
    console: Console,
    disk: Option<Arc<Disk>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    machine: Arc<Machine>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody waits any more, but nothing may run on without its machine.
        self.cancel.cancel();
    }
}

/// A machine that has power.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) boot: Boot,
    pub(crate) disk: Arc<Disk>,
    pub(crate) console: Console,
    pub(crate) site: Arc<SharedState>,
    pub(crate) clock: Arc<dyn Clock>,
    systemd: Systemd,
}

impl Machine {
    /// The way out of the machine, without any proxy.
    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        let options = &self.site.options;
        let zone = Arc::clone(&options.zone);
        Arc::new(SiteConnector::new(options.network.connector(), zone, options.reach.clone()))
    }

    /// The name the machine has given itself.
    pub(crate) fn hostname(&self) -> String {
        let given = self.disk.read_text("/etc/hostname").ok();
        given.map_or_else(|| self.boot.hostname.clone(), |name| name.trim().to_owned())
    }
}

impl SimulatedMachines {
    /// Machines that come into being when they are first switched on.
    #[must_use]
    pub fn new(options: SimulatedOptions) -> Arc<Self> {
        let site = Arc::new(SharedState { options, datastores: Datastores::default(), logs: Logs::default() });
        Arc::new(Self { site, slots: Mutex::default() })
    }

    /// The folder that holds a machine's files; `None` while it has none.
    #[must_use]
    pub fn root(&self, machine: &SystemId) -> Option<PathBuf> {
        self.slots().get(machine)?.disk.as_ref().map(|disk| disk.root().to_path_buf())
    }

    /// Switches all machines off and removes their files.
    pub async fn shutdown(&self) {
        let all: Vec<SystemId> = self.slots().keys().cloned().collect();
        for machine in &all {
            self.stop(machine).await;
        }
        self.slots().clear();
    }

    /// Takes the power and the disks away from all machines without waiting for anything.
    pub(crate) fn abort(&self) {
        self.slots().clear();
    }

    /// Takes the power away and waits until nothing of the machine runs; whether anything did.
    async fn stop(&self, machine: &SystemId) -> bool {
        let running = self.slots().get_mut(machine).and_then(|slot| slot.running.take());
        let Some(running) = running else { return false };
        running.cancel.cancel();
        running.tasks.close();
        let ended = async {
            running.tasks.wait().await;
            running.machine.systemd.ended().await;
        };
        if tokio::time::timeout(SHUTDOWN_LIMIT, ended).await.is_err() {
            tracing::warn!(%machine, "a program of a simulated machine did not end in time");
        }
        true
    }

    /// What a machine had in memory alone is gone.
    fn lose_memory(&self, machine: &SystemId) {
        let disk = self.slots().get(machine).and_then(|slot| slot.disk.clone());
        disk.iter().for_each(|disk| disk.lose_memory());
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<SystemId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot's console and disk for a boot; a new, empty disk where one is to be installed or there is none.
    fn prepare(&self, boot: &Boot) -> std::io::Result<(Console, Arc<Disk>)> {
        let mut slots = self.slots();
        let slot = slots.entry(boot.system_id.clone()).or_insert_with(|| Slot {
            console: Console::new(boot.hostname.clone()),
            disk: None,
            running: None,
        });
        if boot.install {
            slot.console.clear();
            if let Some(disk) = slot.disk.take() {
                self.site.datastores.disk_is_gone(&disk);
            }
        }
        let disk = match &slot.disk {
            Some(disk) => Arc::clone(disk),
            None => Arc::new(Disk::new(self.site.options.folder.as_deref())?),
        };
        slot.disk = Some(Arc::clone(&disk));
        Ok((slot.console.clone(), disk))
    }
}

/// From the kernel's first line to the end of cloud-init; what systemd started runs on.
async fn run(machine: Arc<Machine>, cancel: CancellationToken) {
    tokio::time::sleep(machine.site.options.boot_time).await;
    let boot = &machine.boot;
    let addresses: Vec<String> = boot.addresses.iter().map(ToString::to_string).collect();
    machine.console.boot(&format!(
        "{} ({}) booting {}, addresses {}",
        boot.fqdn,
        boot.architecture,
        boot.image,
        addresses.join(" ")
    ));
    kernel::boot(&machine);
    systemd::boot(&machine);
    cloud_init::run(&machine, &cancel).await;
    machine.systemd.cloud_init_is_done();
}

#[async_trait]
impl Backend for SimulatedMachines {
    async fn power_on(&self, boot: Boot) {
        if self.stop(&boot.system_id).await {
            // The power supply's button knows of no orderly end.
            self.lose_memory(&boot.system_id);
        }
        let (console, disk) = match self.prepare(&boot) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(machine = %boot.system_id, %error, "a simulated machine got no disk");
                return;
            }
        };
        let cancel = CancellationToken::new();
        let machine = Arc::new(Machine {
            disk,
            console,
            site: Arc::clone(&self.site),
            clock: Arc::clone(&self.site.options.clock),
            systemd: Systemd::new(cancel.child_token()),
            boot,
        });
        let tasks = TaskTracker::new();
        let id = machine.boot.system_id.clone();
        tasks.spawn(cancel.clone().run_until_cancelled_owned(Box::pin(run(Arc::clone(&machine), cancel.clone()))));
        let now = Running { machine, cancel, tasks };
        // Where somebody else pressed the switch at the same time, the later one wins.
        if let Some(slot) = self.slots().get_mut(&id) {
            slot.running = Some(now);
        }
    }

    async fn power_off(&self, machine: &SystemId) {
        self.stop(machine).await;
        if let Some(slot) = self.slots().get(machine) {
            slot.disk.iter().for_each(|disk| disk.sync());
            slot.console.say("systemd", "Reached target poweroff.target.");
        }
    }

    async fn power_cut(&self, machine: &SystemId) {
        self.stop(machine).await;
        self.lose_memory(machine);
    }

    async fn power_state(&self, machine: &SystemId) -> Power {
        let on = self.slots().get(machine).is_some_and(|slot| slot.running.is_some());
        if on { Power::On } else { Power::Off }
    }

    async fn console_log(&self, machine: &SystemId) -> String {
        self.slots().get(machine).map(|slot| slot.console.text()).unwrap_or_default()
    }

    async fn wipe(&self, machine: &SystemId) {
        self.stop(machine).await;
        let disk = self.slots().get_mut(machine).and_then(|slot| slot.disk.take());
        if let Some(disk) = disk {
            self.site.datastores.disk_is_gone(&disk);
        }
    }
}
