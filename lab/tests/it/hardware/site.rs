//! A network namespace with a bridge, the simulated MAAS on it, and a rack of real machines.

use crate::tier;
use async_trait::async_trait;
use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{
    ClusterMaterials, Node, NodeConfiguration, Role,
    cloud_config::{CloudConfig, Mode},
};
use ferrogate_lab::{
    Backend, Boot, HardwareError, Maas, Power, Processor, QemuOptions, Rack, RackOptions, Seed, Speed, UmlOptions,
    host::Tool, maas::Options,
};
use ferrogate_maas::{
    Client, ClientOptions, Endpoint,
    request::{Allocate, Deploy},
};
use ferrogate_model::{Clock as _, ClusterId, SystemClock, SystemId, proxy::ProxySettings, release::Release};
use ferrogate_net::{HttpClient, Limits, Network};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::File,
    os::fd::AsFd as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What machines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// User Mode Linux.
    Uml,
    /// Virtual machines.
    Virtual(Processor),
}

impl Kind {
    /// What `cargo xtask test` calls their tests.
    const fn tier(self) -> &'static str {
        match self {
            Self::Uml => "machines",
            Self::Virtual(Processor::Emulated) => "emulated",
            Self::Virtual(Processor::Kvm) => "kvm",
        }
    }

    /// The variable that names their kernel.
    const fn kernel(self) -> &'static str {
        match self {
            Self::Uml => "FERROGATE_LAB_KERNEL",
            Self::Virtual(_) => "FERROGATE_LAB_PC_KERNEL",
        }
    }

    /// How long anything may take that a machine does, beside other tests.
    const fn patience(self) -> Duration {
        match self {
            Self::Uml | Self::Virtual(Processor::Kvm) => Duration::from_secs(120),
            Self::Virtual(Processor::Emulated) => Duration::from_secs(900),
        }
    }
}

/// What namespaces of these tests begin with; the number of their process follows.
const PREFIX: &str = "fgtest-";
/// Where `ip` has the namespaces that have a name.
const NAMESPACES: &str = "/run/netns";
/// What a unit of ours writes to the console on every boot.
pub(crate) const PROOF: &str = "THE UNIT RUNS";

const PROOF_UNIT: &str = "[Unit]\nDescription=Proof\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
    ExecStart=/bin/sh -c 'echo THE UNIT RUNS > /dev/console'\n[Install]\nWantedBy=multi-user.target\n";

/// The user-data of a first server as the product renders it, with one unit more.
pub(crate) fn user_data() -> CloudConfig {
    let spec = json!({
        "control_plane": {"count": 1, "resource_pool": "default"},
        "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC8wnTrY0Ih0pX2cXnUj6w4m2Q7f0mHj6bX7XcE1Q5bK test@ferrogate.test"],
    });
    let desired = NodeConfiguration {
        cluster: ClusterId::new(),
        name: "prod".parse().unwrap(),
        kind: ferrogate_join::ClusterKind::Tenant,
        spec: serde_json::from_value(spec).unwrap(),
        release: Release { os_image: "custom/debian-13".to_owned(), ..Release::example() },
        materials: ClusterMaterials::generate("prod", SystemClock.now()).unwrap(),
        artifacts_url: "https://plane.ferrogate.test/artifacts/".parse().unwrap(),
        plane_ca_pem: None,
        proxy: ProxySettings::default(),
        gateway: None,
    };
    let name = "prod-cp-0".parse().unwrap();
    let node = Node {
        system_id: "abc123",
        name: &name,
        fqdn: "prod-cp-0.maas",
        zone: "default",
        architecture: "amd64/generic",
        address: None,
        pool: &desired.spec.control_plane,
    };
    let mut config = Kubeadm.cloud_config(&desired, &node, &Role::FirstServer, &[], None).unwrap();
    config.file("/etc/systemd/system/proof.service", Mode::Public, PROOF_UNIT);
    let command = ["systemctl", "enable", "--now", "--no-block", "proof.service"];
    config.commands.push(command.map(str::to_owned).to_vec());
    // Linux keeps what is written in memory for up to half a minute, and the tests cut the power before.
    config.commands.push(vec!["sync".to_owned()]);
    config
}

/// A namespace that is removed with everything in it, however the test ends. Only a process that is killed leaves its own,
/// and the next run of the tests takes that away.
struct Namespace(String);

/// The process of the tests that made a namespace, by its name.
fn owner(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes the namespaces of tests whose process is gone; those of a run beside this one stay.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if owner(&name).is_some_and(|process| !PathBuf::from(format!("/proc/{process}")).exists()) {
            // Another test may have been faster.
            drop(Namespace(name));
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Namespace {
    fn new(test: &str) -> Self {
        let name = &format!("{PREFIX}{}-{test}", std::process::id());
        remove_leftovers();
        ip(&["netns", "add", name]);
        let made = Self(name.clone());
        for line in [
            "link set lo up",
            "link add br0 type bridge forward_delay 0",
            "addr add 10.77.0.2/24 dev br0",
            "link set br0 up",
        ] {
            let words: Vec<&str> = ["-n", name.as_str()].into_iter().chain(line.split(' ')).collect();
            ip(&words);
        }
        made
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).env("PATH", "/usr/sbin:/sbin:/usr/bin").output();
    }
}

pub(crate) struct Site {
    pub(crate) simulated: Maas,
    pub(crate) maas: Client,
    pub(crate) rack: Arc<Rack>,
    pub(crate) folder: tempfile::TempDir,
    kind: Kind,
    wires: Arc<Wires>,
}

/// The rack, and what each machine was last booted with.
#[derive(Debug)]
struct Wires {
    rack: Arc<Rack>,
    boots: Mutex<BTreeMap<SystemId, Boot>>,
}

#[async_trait]
impl Backend for Wires {
    async fn power_on(&self, boot: Boot) {
        self.boots.lock().unwrap().insert(boot.system_id.clone(), boot.clone());
        self.rack.power_on(boot).await;
    }

    async fn power_off(&self, machine: &SystemId) {
        self.rack.power_off(machine).await;
    }

    async fn power_cut(&self, machine: &SystemId) {
        self.rack.power_cut(machine).await;
    }

    async fn power_state(&self, machine: &SystemId) -> Power {
        self.rack.power_state(machine).await
    }

    async fn console_log(&self, machine: &SystemId) -> String {
        self.rack.console_log(machine).await
    }

    async fn wipe(&self, machine: &SystemId) {
        self.rack.wipe(machine).await;
    }
}

/// Runs a test inside a namespace of its own, or says why it cannot.
pub(crate) fn in_a_site(
    kind: Kind,
    name: &str,
    deploy_timeout: Duration,
    change: impl FnOnce(&mut RackOptions) + Send,
    test: impl AsyncFnOnce(&Site) + Send,
) {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(kernel), Some(image), true) =
        (from(kind.kernel()), from("FERROGATE_LAB_ROOT_IMAGE"), rustix::process::geteuid().is_root())
    else {
        let kernel = kind.kernel();
        let needed = format!("set {kernel} and FERROGATE_LAB_ROOT_IMAGE (`cargo xtask test` does), and run as root");
        return tier::skipped(kind.tier(), needed);
    };
    let namespace = Namespace::new(&format!("{name}-{}", kind.tier()));
    let namespace_file = File::open(PathBuf::from(NAMESPACES).join(&namespace.0)).unwrap();
    let unsupported = std::thread::scope(|scope| {
        let work = || {
            // Everything that this thread starts, the runtime's threads among it, is in the namespace.
            move_into_link_name_space(namespace_file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let site = match Site::start(kind, &namespace.0, kernel, image, deploy_timeout, change).await {
                    Ok(site) => site,
                    Err(error @ HardwareError::Unsupported { .. }) => return Some(error),
                    Err(error) => panic!("{error}"),
                };
                Box::pin(test(&site)).await;
                site.simulated.shutdown().await;
                site.rack.shutdown().await;
                None
            })
        };
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    match unsupported {
        Some(error) => tier::skipped(kind.tier(), error),
        None => tier::ran(kind.tier()),
    }
}

impl Site {
    async fn start(
        kind: Kind,
        namespace: &str,
        kernel: PathBuf,
        image: PathBuf,
        deploy_timeout: Duration,
        change: impl FnOnce(&mut RackOptions),
    ) -> Result<Self, HardwareError> {
        let folder = tempfile::tempdir().unwrap();
        let mut options = RackOptions::new(image, folder.path().join("rack"));
        options.namespace = Some(namespace.to_owned());
        options.memory_limit_mib = 1024;
        change(&mut options);
        let rack = match kind {
            Kind::Uml => Rack::uml(UmlOptions { kernel, plain_disks: false, rack: options }).await?,
            Kind::Virtual(processor) => {
                let qemu = Tool::Qemu.find().unwrap();
                Rack::qemu(QemuOptions { qemu, processor, kernel, rack: options }).await?
            }
        };
        let wires = Arc::new(Wires { rack: Arc::clone(&rack), boots: Mutex::default() });
        let network = Network::sockets();
        let seed = Seed::demo("10.77.0.0/24".parse().unwrap());
        let options = Options::new(network.clone(), seed)
            .listen("10.77.0.2:5240".parse().unwrap())
            .backend(Arc::clone(&wires) as Arc<dyn Backend>)
            .deploy_timeout(deploy_timeout)
            .speed(Speed::Instant);
        let simulated = Maas::start(options).await.unwrap();
        let (endpoint, _) = Endpoint::parse(&simulated.url()).unwrap();
        let key = simulated.api_key("admin").unwrap().expose_secret().parse().unwrap();
        let maas = Client::new(ClientOptions::new(endpoint, key, network.connector(), Arc::new(SystemClock))).unwrap();
        Ok(Self { simulated, maas, rack, folder, kind, wires })
    }

    /// The machine that the next allocation takes.
    pub(crate) fn next_machine(&self) -> SystemId {
        self.simulated.machines().into_iter().find(|machine| machine.status == "Ready").unwrap().system_id
    }

    pub(crate) async fn deploy(&self, user_data: &str) -> SystemId {
        let what = Allocate { system_id: Some(self.next_machine()), ..Allocate::default() };
        let machine = self.maas.allocate(&what).await.unwrap();
        let what = Deploy { user_data: Some(user_data.into()), ..Deploy::default() };
        self.maas.deploy(&machine.system_id, &what).await.unwrap();
        machine.system_id
    }

    pub(crate) async fn until(&self, machine: &SystemId, wanted: &str) {
        let done = async || self.simulated.machine(&machine.0).unwrap().status == wanted;
        self.eventually(machine, wanted, done).await;
    }

    /// Waits until a machine's console has these words so often.
    pub(crate) async fn until_said(&self, machine: &SystemId, words: &str, times: usize) {
        self.eventually(machine, words, async || self.said(machine, words).await >= times).await;
    }

    /// Waits until it holds; in the end it is a failure that shows the machine's console.
    async fn eventually(&self, machine: &SystemId, what: &str, mut check: impl AsyncFnMut() -> bool) {
        let started = tokio::time::Instant::now();
        while !check().await {
            if started.elapsed() > self.kind.patience() {
                panic!("{machine} never: {what}\n{}", self.rack.console_log(machine).await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How often a machine's console has these words.
    pub(crate) async fn said(&self, machine: &SystemId, words: &str) -> usize {
        self.rack.console_log(machine).await.matches(words).count()
    }

    /// The status of a request that nobody signed.
    pub(crate) async fn unsigned(&self, path: &str) -> u16 {
        let client = HttpClient::builder(Network::sockets().connector()).build().unwrap();
        let request = http::Request::get(format!("{}/{path}", self.simulated.url())).body(bytes::Bytes::new());
        client.send(request.unwrap(), Limits::default()).await.unwrap().status().as_u16()
    }

    /// Everybody on this computer can read a process's arguments and a machine's log file's name, but none of its keys.
    pub(crate) fn assert_no_keys_in_arguments(&self, machine: &SystemId) {
        let boot = self.last_boot(machine);
        let pid = self.rack.running(machine).unwrap().pid;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let line = String::from_utf8_lossy(&line);
        assert!(line.contains(self.folder.path().to_str().unwrap()), "{line}");
        for secret in [boot.token_secret.expose_secret(), boot.token_key.as_str(), boot.consumer_key.as_str()] {
            assert!(!line.contains(secret), "a key is among the arguments");
        }
    }

    /// What a machine was last switched on with, as a plain power on.
    pub(crate) fn last_boot(&self, machine: &SystemId) -> Boot {
        Boot { install: false, ..self.wires.boots.lock().unwrap()[machine].clone() }
    }

    /// Whether a file of a folder of the rack has these bytes.
    pub(crate) fn has_files_with(&self, folder: &str, bytes: &[u8]) -> bool {
        let entries = std::fs::read_dir(self.folder.path().join("rack").join(folder)).unwrap();
        entries.flatten().any(|entry| {
            let content = std::fs::read(entry.path()).unwrap_or_default();
            content.windows(bytes.len()).any(|window| window == bytes)
        })
    }
}

#[test]
fn a_killed_run_leaves_nothing_to_the_next_and_a_run_beside_keeps_its_own() {
    if !rustix::process::geteuid().is_root()
        || Command::new("ip").arg("-V").env("PATH", "/usr/sbin:/sbin:/usr/bin").output().is_err()
    {
        return tier::skipped("networks", "namespaces are made by root with `ip` (Debian: apt-get install iproute2)");
    }
    tier::ran("networks");
    assert_eq!(owner("fgtest-12-life"), Some(12));
    assert_eq!([owner("fgtest-life"), owner("fg-lab-site")], [None, None]);
    // Its number is not given to another process before it was waited for, and hardly soon after.
    let mut ended = Command::new("true").spawn().unwrap();
    let dead = format!("{PREFIX}{}-killed", ended.id());
    ip(&["netns", "add", &dead]);
    ended.wait().unwrap();
    let mine = Namespace::new("beside");
    remove_leftovers();
    assert!(!PathBuf::from(NAMESPACES).join(&dead).exists());
    assert!(PathBuf::from(NAMESPACES).join(&mine.0).exists());
}
