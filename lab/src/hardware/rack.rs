//! All machines of one site, and the folder they live in.

use super::{
    HardwareError, Hypervisor, Start,
    image::Image,
    launcher::{Launcher, Program},
    leftovers::{self, HOST_PREFIX, TAP_PREFIX},
    probe,
    running::{Running, RunningMachine},
    screen::Screen,
    settings,
    slot::Slot,
};
use crate::backend::Boot;
use ferrogate_model::{SystemId, fault::chain};
use rustix::{
    fs::{FlockOperation, flock},
    thread::{CpuSet, sched_getaffinity},
};
use secrecy::ExposeSecret as _;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A machine has at least this much memory, in MiB: Debian with systemd and cloud-init needs about a third of it.
const LEAST_MEMORY: u64 = 256;

/// The longest path of a socket (`sun_path`, without the final zero), in bytes.
const SOCKET_PATH: usize = 107;
/// The longest name of a machine in its socket's path, in bytes.
pub(crate) const NAME_ROOM: usize = 32;

/// What all machines of a site share.
#[derive(Clone, Debug)]
pub struct RackOptions {
    /// A root file system: ext4 without partitions, sparse, with systemd and cloud-init.
    pub root_image: PathBuf,
    /// Where disks and sockets are; made if missing, for its owner alone. It belongs to one rack: what an earlier one left
    /// in it is removed.
    pub folder: PathBuf,
    /// Where consoles are logged, as `<hostname>/console.log`; in `folder` unless given.
    pub consoles: Option<PathBuf>,
    /// The network namespace with the site's bridge, as `ip netns` names it; our own unless given.
    pub namespace: Option<String>,
    /// The bridge that machines are plugged into.
    pub bridge: String,
    /// A folder that the site's DHCP server reads (dnsmasq's `--dhcp-hostsdir`): machines' addresses are written to it.
    pub hosts_folder: Option<PathBuf>,
    /// The most memory a machine gets, in MiB, however much MAAS believes it has.
    pub memory_limit_mib: u64,
    /// CPUs of this computer over which machines are spread, one for each machine; all that we may use where it is empty.
    pub host_cpus: Vec<usize>,
    /// How long a machine may take to switch itself off before its power is cut.
    pub shutdown_limit: Duration,
}

impl RackOptions {
    /// Machines from this image in this folder, on the bridge `br0` of our own namespace: 2 GiB each, a minute to switch
    /// themselves off.
    #[must_use]
    pub fn new(root_image: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            root_image: root_image.into(),
            folder: folder.into(),
            consoles: None,
            namespace: None,
            bridge: "br0".into(),
            hosts_folder: None,
            memory_limit_mib: 2048,
            host_cpus: Vec::new(),
            shutdown_limit: Duration::from_secs(60),
        }
    }
}

/// The machines of one site. [`Rack::shutdown`] switches them off and removes their files; dropping it ends them too, and
/// the next rack in the same folder removes what they left.
#[derive(Debug)]
pub struct Rack {
    pub(super) options: RackOptions,
    pub(super) hypervisor: Arc<dyn Hypervisor>,
    pub(super) launcher: Arc<Launcher>,
    image: Arc<Image>,
    host_cpus: Vec<usize>,
    slots: Mutex<BTreeMap<SystemId, Slot>>,
    _lock: File,
}

impl Rack {
    /// Makes the folder ready, removes what an earlier rack left, and prepares the image.
    pub(crate) async fn start(
        options: RackOptions,
        hypervisor: Arc<dyn Hypervisor>,
    ) -> Result<Arc<Self>, HardwareError> {
        let folder = &options.folder;
        private_folder(folder)?;
        let lock = folder.join("lock");
        let file = File::create(&lock).map_err(HardwareError::file("create", &lock))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| HardwareError::InUse { folder: folder.clone() })?;
        let launcher = Arc::new(Launcher::start(options.namespace.as_deref())?);
        leftovers::end_processes(&hypervisor.marker()).await?;
        leftovers::remove_taps(&launcher).await?;
        if let Some(hosts) = &options.hosts_folder {
            leftovers::remove_hosts(hosts)?;
        }
        for name in ["disks", "run"] {
            let path = folder.join(name);
            if path.exists() {
                fs::remove_dir_all(&path).map_err(HardwareError::file("remove", &path))?;
            }
            private_folder(&path)?;
        }
        let prepared = folder.join("prepared.img");
        if prepared.exists() {
            fs::remove_file(&prepared).map_err(HardwareError::file("remove", &prepared))?;
        }
        let files = [settings::DATA_SOURCE, settings::NETWORK];
        let image = Arc::new(Image::prepare(&options.root_image, &prepared, &files, settings::ROOM).await?);
        let probe = hypervisor.probe(image.path());
        probe::boot(&launcher, hypervisor.name(), probe, temporary(folder)).await?;
        let host_cpus = if options.host_cpus.is_empty() { our_cpus() } else { options.host_cpus.clone() };
        Ok(Arc::new(Self { options, hypervisor, launcher, image, host_cpus, slots: Mutex::default(), _lock: file }))
    }

    /// A machine that has power; `None` where it has none.
    #[must_use]
    pub fn running(&self, machine: &SystemId) -> Option<RunningMachine> {
        let slots = self.slots();
        let running = slots.get(machine)?.running.as_ref().filter(|running| running.is_on())?;
        Some(running.describe())
    }

    /// The machines whose disks have data: installed and not wiped.
    #[must_use]
    pub fn disks(&self) -> Vec<SystemId> {
        self.slots().keys().filter(|machine| self.disk(machine).exists()).cloned().collect()
    }

    /// Whether a machine's disk has data.
    #[must_use]
    pub fn has_disk(&self, machine: &SystemId) -> bool {
        self.disk(machine).exists()
    }

    /// Makes a machine fail to boot from its next start on, as one whose disk was pulled out: its kernel finds no root file
    /// system and stops. Or puts the disk back.
    pub fn never_boots(&self, machine: &SystemId, never: bool) {
        self.slot(machine, &machine.0).never_boots = never;
    }

    /// Writes the disk of a machine, which should be off, as a plain image for programs that read file systems.
    ///
    /// # Errors
    /// The machine has no disk, `to` is there already or cannot be written.
    pub async fn read_disk(&self, machine: &SystemId, to: &Path) -> Result<(), HardwareError> {
        let (hypervisor, disk, target) = (Arc::clone(&self.hypervisor), self.disk(machine), to.to_path_buf());
        let copied = tokio::task::spawn_blocking(move || hypervisor.read_disk(&disk, &target)).await;
        copied
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(HardwareError::file("copy a machine's disk to", to))
    }

    /// Cuts the power of all machines and removes their disks, cables and sockets. Console logs stay.
    pub async fn shutdown(&self) {
        let all: Vec<SystemId> = self.slots().keys().cloned().collect();
        for machine in &all {
            self.cut(machine).await;
            self.remove_disk(machine);
        }
        for path in [self.options.folder.join("disks"), self.options.folder.join("run")] {
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "a folder of the machines cannot be removed");
            }
        }
        let _ = fs::remove_file(self.image.path());
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<SystemId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine's slot, made where it has none, for a look or a change.
    fn slot(&self, machine: &SystemId, hostname: &str) -> SlotGuard<'_> {
        let mut slots = self.slots();
        slots.entry(machine.clone()).or_insert_with(|| {
            let consoles = self.options.consoles.clone().unwrap_or_else(|| self.options.folder.join("consoles"));
            Slot {
                screen: Screen::new(hostname, consoles.join(word(hostname)).join("console.log")),
                switch: Arc::default(),
                running: None,
                never_boots: false,
                starting_on: None,
            }
        });
        SlotGuard { slots, machine: machine.clone() }
    }

    /// A copy of a machine's slot, made where it has none.
    pub(super) fn slot_of(&self, boot: &Boot) -> Slot {
        Slot::clone(&self.slot(&boot.system_id, &boot.hostname))
    }

    /// A copy of a machine's slot.
    pub(super) fn known(&self, machine: &SystemId) -> Option<Slot> {
        self.slots().get(machine).cloned()
    }

    pub(super) fn disk(&self, machine: &SystemId) -> PathBuf {
        self.options.folder.join("disks").join(word(&machine.0))
    }

    /// The file in the DHCP server's folder.
    fn hosts_file(&self, machine: &SystemId) -> Option<PathBuf> {
        Some(self.options.hosts_folder.as_ref()?.join(format!("{HOST_PREFIX}{}", word(&machine.0))))
    }

    /// Removes a machine's disk and its address; true where there was a disk.
    pub(super) fn remove_disk(&self, machine: &SystemId) -> bool {
        if let Some(path) = self.hosts_file(machine) {
            let _ = fs::remove_file(path);
        }
        match fs::remove_file(self.disk(machine)) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(%machine, %error, "a machine's disk cannot be removed");
                }
                false
            }
        }
    }

    /// A new disk with what this machine needs to find MAAS.
    async fn write_disk(&self, boot: &Boot) -> Result<(), HardwareError> {
        self.remove_disk(&boot.system_id);
        let mut patches = self.image.patches(settings::DATA_SOURCE, settings::data_source(boot).expose_secret())?;
        patches.extend(self.image.patches(settings::NETWORK, &settings::network(boot))?);
        let (hypervisor, image) = (Arc::clone(&self.hypervisor), Arc::clone(&self.image));
        let path = self.disk(&boot.system_id);
        let disk = path.clone();
        let written = tokio::task::spawn_blocking(move || hypervisor.fresh_disk(&disk, image.path(), &patches)).await;
        written
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(HardwareError::file("write the disk", path))
    }

    /// Gives a machine its address in the DHCP server's folder.
    fn write_hosts(&self, boot: &Boot) -> Result<(), HardwareError> {
        let Some(path) = self.hosts_file(&boot.system_id) else { return Ok(()) };
        let Some(line) = hosts_line(boot) else { return Ok(()) };
        fs::write(&path, line).map_err(HardwareError::file("write", path))
    }

    /// The CPU with the fewest machines, which this one is counted for from now on.
    fn take_cpu(&self, machine: &SystemId) -> Option<usize> {
        let mut slots = self.slots();
        let used = |cpu: usize| slots.values().filter(|slot| slot.cpu() == Some(cpu)).count();
        let free = self.host_cpus.iter().copied().min_by_key(|cpu| used(*cpu));
        if let Some(slot) = slots.get_mut(machine) {
            slot.starting_on = free;
        }
        free
    }

    /// Plugs a machine in and switches it on; its power is off.
    pub(super) async fn switch_on(&self, boot: &Boot, slot: &Slot) -> Result<(), HardwareError> {
        let machine = &boot.system_id;
        if boot.install {
            slot.screen.clear();
            self.write_disk(boot).await?;
        }
        let disk = self.disk(machine);
        if !disk.exists() {
            slot.screen.boot("no bootable device: the disk is empty");
            return Ok(());
        }
        self.write_hosts(boot)?;
        let tap = tap(machine);
        // One may be left where removing it failed.
        let _ = self.launcher.run(&["ip", "link", "del", &tap]).await;
        self.launcher.run(&["ip", "tuntap", "add", "dev", &tap, "mode", "tap"]).await?;
        self.launcher.run(&["ip", "link", "set", &tap, "master", &self.options.bridge, "up"]).await?;
        let memory_mib = boot.memory_mib.min(self.options.memory_limit_mib).max(LEAST_MEMORY);
        let plugged = (!slot.never_boots).then_some(disk.as_path());
        let start = Start { boot, disk: plugged, image: self.image.path(), tap: &tap, memory_mib };
        let host_cpu = self.take_cpu(machine);
        let line = self.hypervisor.line(&start);
        let what = line.first().map(PathBuf::from).unwrap_or_default();
        let banner = format!("{} gets power, {memory_mib} MiB, host CPU {host_cpu:?}", boot.fqdn);
        slot.screen.boot(&banner);
        let program = Program { line, temporary: Some(temporary(&self.options.folder)), host_cpu };
        let child = self.launcher.spawn(program).await;
        if child.is_err() {
            self.slot(machine, &boot.hostname).starting_on = None;
        }
        let child = child.map_err(HardwareError::file("start", what))?;
        let running =
            Running::watch(child, host_cpu, memory_mib, tap, slot.screen.clone(), Arc::downgrade(&self.launcher));
        let mut slot = self.slot(machine, &boot.hostname);
        (slot.running, slot.starting_on) = (Some(running), None);
        Ok(())
    }

    /// Tells people and the console what went wrong.
    pub(super) fn complain(machine: &SystemId, slot: &Slot, error: &HardwareError) {
        tracing::error!(%machine, error = chain(error), "a machine could not be switched on");
        slot.screen.say("power", format!("FAILED: {}", chain(error)));
    }
}

/// A slot while the rack is locked.
struct SlotGuard<'a> {
    slots: MutexGuard<'a, BTreeMap<SystemId, Slot>>,
    machine: SystemId,
}

impl std::ops::Deref for SlotGuard<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slots[&self.machine]
    }
}

impl std::ops::DerefMut for SlotGuard<'_> {
    fn deref_mut(&mut self) -> &mut Slot {
        self.slots.get_mut(&self.machine).expect("the guard was made for a slot that is there")
    }
}

/// Makes a folder that only its owner may look into.
pub(crate) fn private_folder(path: &Path) -> Result<(), HardwareError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(HardwareError::file("create", path))
}

/// Where a hypervisor keeps a machine's memory: in memory, where there is such a place.
fn temporary(folder: &Path) -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() { shm } else { folder.join("run") }
}

/// The path from the root.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, HardwareError> {
    std::path::absolute(path).map_err(HardwareError::file("find", path))
}

/// Paths become parts of options that separate with commas, colons and blanks, and of sockets.
pub(crate) fn check_path(folder: &Path) -> Result<(), HardwareError> {
    let refused = |why| Err(HardwareError::Path { path: folder.to_path_buf(), why });
    let Some(text) = folder.to_str() else { return refused("is no text") };
    if text.contains([',', ':', ' ', '"', '\'']) {
        return refused("has a character that separates options of machines");
    }
    if text.len() + "/run//mconsole".len() + NAME_ROOM > SOCKET_PATH {
        return refused("is too long for the sockets of machines");
    }
    Ok(())
}

fn our_cpus() -> Vec<usize> {
    let all = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect()
}

/// A name that is safe in a path, an interface's name and a command line.
pub(crate) fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// The name of a machine's tap; Linux takes 15 characters.
fn tap(machine: &SystemId) -> String {
    format!("{TAP_PREFIX}{}", word(&machine.0)).chars().take(15).collect()
}

/// A line of dnsmasq's `--dhcp-hostsdir`; `None` for a machine without a fixed address.
fn hosts_line(boot: &Boot) -> Option<String> {
    let interface = boot.interfaces.first()?;
    let (address, _) = interface.addresses.first()?;
    Some(format!("{},{address},{},infinite\n", interface.mac_address, boot.hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_where_they_are_put() {
        assert_eq!(tap(&SystemId("abc123".into())), "fgt-abc123");
        assert_eq!(tap(&SystemId("../../etc/a-long-one".into())), "fgt-______etc_a");
        let boot = settings::example();
        assert_eq!(hosts_line(&boot).unwrap(), "02:77:00:00:00:01,10.77.0.11,amber-heron,infinite\n");
    }
}
