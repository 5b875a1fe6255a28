//! The site's machines, whatever they are made of.

use super::Options;
use crate::{
    artifacts::Artifacts,
    backend::{Backend, Boot, Power},
    control::Namespaces,
    dns::Zone,
    folder::Folder,
    hardware::{Rack, RackOptions},
    host::{HostError, Run, Tool},
    kubernetes::Timing,
    machine::{SimulatedMachines, SimulatedOptions},
    netns,
    programs::NoPrograms,
    qemu::{Processor, QemuOptions},
    uml::UmlOptions,
};
use async_trait::async_trait;
use ferrogate_model::{SystemClock, SystemId};
use ferrogate_net::Network;
use ipnet::IpNet;
use std::{
    collections::BTreeSet,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The addresses that machines get, as ranges that together leave out those of edge and MAAS.
const MACHINE_RANGES: [&str; 6] =
    ["10.77.0.10/31", "10.77.0.12/30", "10.77.0.16/28", "10.77.0.32/27", "10.77.0.64/26", "10.77.0.128/25"];
/// From power on to the first line of cloud-init, of a simulated machine.
const SIMULATED_BOOT: Duration = Duration::from_millis(200);

/// What the machines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendKind {
    /// User Mode Linux: a kernel as a process.
    Uml,
    /// Virtual machines of QEMU on this computer's processor.
    Kvm,
    /// Virtual machines of QEMU that is the processor, too: slow, and runs everywhere.
    Emulated,
    /// Machines in the daemon's process.
    Simulated,
}

impl BackendKind {
    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Uml => "uml",
            Self::Kvm => "kvm",
            Self::Emulated => "emulated",
            Self::Simulated => "simulated",
        }
    }
}

impl FromStr for BackendKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Uml, Self::Kvm, Self::Emulated, Self::Simulated]
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| format!("`{text}` is none of uml, kvm, emulated, simulated"))
    }
}

/// What this computer knows of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) pid: Option<u32>,
    pub(super) host_cpu: Option<u32>,
    pub(super) rss_mib: Option<u64>,
    pub(super) booted_seconds: Option<u64>,
    pub(super) disk_has_data: bool,
}

/// The machines, and those of them that are told not to boot.
#[derive(Debug)]
pub(super) struct Machines {
    kind: Kind,
    dead: Mutex<BTreeSet<SystemId>>,
}

#[derive(Debug)]
enum Kind {
    Simulated(Arc<SimulatedMachines>),
    Real(Arc<Rack>),
}

impl Machines {
    pub(super) async fn start(
        options: &Options,
        folder: &Folder,
        namespaces: &Namespaces,
        artifacts: Option<&Artifacts>,
        zone: &Arc<dyn Zone>,
    ) -> Result<Arc<Self>, HostError> {
        let kind = match options.backend {
            BackendKind::Simulated => {
                for range in MACHINE_RANGES {
                    // Simulated machines share the site's own interface: whatever they bind to is to be this host's.
                    let words = ["-n", &namespaces.site, "route", "add", "local", range, "dev", netns::BRIDGE];
                    Run::new(Tool::Ip, words).done().await?;
                }
                Kind::Simulated(SimulatedMachines::new(SimulatedOptions {
                    network: Network::sockets(),
                    zone: Arc::clone(zone),
                    reach: Some(vec![IpNet::V4(netns::SUBNET)]),
                    programs: Arc::new(NoPrograms),
                    clock: Arc::new(SystemClock),
                    boot_time: SIMULATED_BOOT,
                    timing: Timing::QUICK,
                    folder: None,
                }))
            }
            BackendKind::Uml => {
                let artifacts = artifacts.ok_or_else(no_artifacts)?;
                let rack = rack(options, folder, namespaces, artifacts);
                let uml = UmlOptions { kernel: artifacts.kernel.clone(), plain_disks: false, rack };
                Kind::Real(Rack::uml(uml).await?)
            }
            BackendKind::Kvm => virtual_machines(options, folder, namespaces, artifacts, Processor::Kvm).await?,
            BackendKind::Emulated => {
                virtual_machines(options, folder, namespaces, artifacts, Processor::Emulated).await?
            }
        };
        Ok(Arc::new(Self { kind, dead: Mutex::default() }))
    }

    /// Lets a machine stay dark when it is switched on, or not any more.
    pub(super) fn set_dead(&self, machine: &SystemId, dead: bool) {
        if let Kind::Real(rack) = &self.kind {
            rack.never_boots(machine, dead);
        }
        let mut set = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        if dead {
            set.insert(machine.clone());
        } else {
            set.remove(machine);
        }
    }

    pub(super) fn is_dead(&self, machine: &SystemId) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).contains(machine)
    }

    pub(super) fn facts(&self, machine: &SystemId) -> Facts {
        match &self.kind {
            Kind::Simulated(machines) => Facts { disk_has_data: machines.root(machine).is_some(), ..Facts::default() },
            Kind::Real(rack) => {
                let disk_has_data = rack.has_disk(machine);
                let Some(running) = rack.running(machine) else { return Facts { disk_has_data, ..Facts::default() } };
                Facts {
                    pid: Some(running.pid),
                    host_cpu: running.host_cpu.and_then(|cpu| u32::try_from(cpu).ok()),
                    rss_mib: running.rss_mib,
                    booted_seconds: Some(running.up.as_secs()),
                    disk_has_data,
                }
            }
        }
    }

    /// Takes power and disks away from all of them.
    pub(super) async fn end(&self) {
        match &self.kind {
            Kind::Simulated(machines) => machines.shutdown().await,
            Kind::Real(rack) => rack.shutdown().await,
        }
    }

    fn backend(&self) -> &dyn Backend {
        match &self.kind {
            Kind::Simulated(machines) => machines.as_ref(),
            Kind::Real(rack) => rack.as_ref(),
        }
    }
}

/// What real machines of every kind are made with.
fn rack(options: &Options, folder: &Folder, namespaces: &Namespaces, artifacts: &Artifacts) -> RackOptions {
    let mut rack = RackOptions::new(&artifacts.root_image, folder.disks());
    rack.consoles = Some(folder.machines());
    rack.namespace = Some(namespaces.site.clone());
    netns::BRIDGE.clone_into(&mut rack.bridge);
    rack.hosts_folder = Some(folder.dhcp_hosts());
    rack.memory_limit_mib = options.machine_memory_mib;
    rack
}

async fn virtual_machines(
    options: &Options,
    folder: &Folder,
    namespaces: &Namespaces,
    artifacts: Option<&Artifacts>,
    processor: Processor,
) -> Result<Kind, HostError> {
    let artifacts = artifacts.ok_or_else(no_artifacts)?;
    let no_kernel = || HostError::Artifacts {
        why: "the kernel of virtual machines is missing (`cargo xtask lab build --pc-kernel`)".into(),
    };
    let kernel = artifacts.pc_kernel.clone().ok_or_else(no_kernel)?;
    let qemu = Tool::Qemu.find()?;
    let rack = rack(options, folder, namespaces, artifacts);
    Ok(Kind::Real(Rack::qemu(QemuOptions { qemu, processor, kernel, rack }).await?))
}

fn no_artifacts() -> HostError {
    HostError::Part { part: "machines", why: "there are no artifacts".into() }
}

#[async_trait]
impl Backend for Machines {
    async fn power_on(&self, boot: Boot) {
        // A real machine gets power and shows on its console why it does not come up.
        if self.is_dead(&boot.system_id) && matches!(self.kind, Kind::Simulated(_)) {
            tracing::info!(machine = %boot.hostname, "stays dark, as it was told");
            self.backend().power_cut(&boot.system_id).await;
            return;
        }
        self.backend().power_on(boot).await;
    }

    async fn power_off(&self, machine: &SystemId) {
        self.backend().power_off(machine).await;
    }

    async fn power_cut(&self, machine: &SystemId) {
        self.backend().power_cut(machine).await;
    }

    async fn power_state(&self, machine: &SystemId) -> Power {
        self.backend().power_state(machine).await
    }

    async fn console_log(&self, machine: &SystemId) -> String {
        self.backend().console_log(machine).await
    }

    async fn wipe(&self, machine: &SystemId) {
        self.backend().wipe(machine).await;
    }
}
