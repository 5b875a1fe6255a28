//! The programs of a kubeadm bundle on simulated machines: `kubeadm`, `kubectl`, `kubelet`, `containerd` and `ctr`. They are
//! there once a bundle has brought them, read the files that real ones read, and what real ones refuse they refuse too.
//! What they bring about is [`crate::kubernetes`].

mod bundle;
mod certificates;
mod configuration;
mod containerd;
mod control_plane;
mod first_objects;
mod init;
mod join;
mod kubectl;
mod kubelet;
mod manifests;
mod node;
mod preflight;
mod reset;
mod schema;
mod static_pods;

pub use bundle::{BundleImage, simulated_bundle, simulated_image, simulated_images};

use crate::machine::{Exit, Machine, Process};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// Where kubeadm keeps everything of a node.
const KUBERNETES: &str = "/etc/kubernetes";
/// What the kubelet runs by itself.
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// etcd's data.
const ETCD_DATA: &str = "/var/lib/etcd";
/// Where a server keeps which cluster it is a member of.
const MEMBER: &str = "/var/lib/etcd/member/id";
/// The kubelet's configuration, as kubeadm writes it.
const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// What a program without a version in it counts as.
const UNKNOWN_VERSION: &str = "v0.0.0";

/// A program of the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Kubeadm,
    Kubectl,
    Kubelet,
    Containerd,
    Ctr,
}

impl Program {
    /// By the name of its file.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.rsplit('/').next()? {
            "kubeadm" => Some(Self::Kubeadm),
            "kubectl" => Some(Self::Kubectl),
            "kubelet" => Some(Self::Kubelet),
            "containerd" => Some(Self::Containerd),
            "ctr" => Some(Self::Ctr),
            _ => None,
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(self, machine: Arc<Machine>, path: &str, process: Process) -> Exit {
        let result = match self {
            Self::Kubeadm => Box::pin(kubeadm(&machine, path, &process)).await,
            Self::Kubectl => Box::pin(kubectl::run(&machine, &process)).await,
            Self::Kubelet => Box::pin(kubelet::run(&machine, path, &process)).await,
            Self::Containerd => containerd::run(&machine, &process).await,
            Self::Ctr => containerd::ctr(&machine, &process),
        };
        match result {
            Ok(()) => Exit::SUCCESS,
            Err(why) => Exit::failure(1, why),
        }
    }
}

async fn kubeadm(machine: &Arc<Machine>, path: &str, process: &Process) -> Result<(), String> {
    let words: Vec<&str> = process.argv.iter().skip(1).map(String::as_str).collect();
    let (command, flags) = words.split_first().ok_or("a command is needed: init, join or reset")?;
    let version = version_of(machine, path);
    match *command {
        "init" => match flags {
            ["phase", files @ ("certs" | "kubeconfig"), "all", flags @ ..] => {
                init::files(machine, files, &Flags::parse(flags)?)
            }
            flags => init::run(machine, &version, &Flags::parse(flags)?).await,
        },
        "join" => join::run(machine, &version, &Flags::parse(flags)?).await,
        "reset" => reset::run(machine, flags).await,
        other => Err(format!("unknown command \"{other}\" for \"kubeadm\"")),
    }
}

/// What init and join are told on the command line.
struct Flags {
    config: String,
    skipped: Vec<String>,
}

impl Flags {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let (mut config, mut skipped) = (None, Vec::new());
        let mut rest = words.iter();
        while let Some(flag) = rest.next() {
            let mut value = || rest.next().copied().ok_or(format!("flag needs an argument: {flag}"));
            match *flag {
                "--config" => config = Some(value()?.to_owned()),
                "--skip-phases" => skipped.extend(value()?.split(',').map(str::to_owned)),
                other => return Err(format!("unknown flag: {other} (or not simulated)")),
            }
        }
        Ok(Self { config: config.ok_or("only what is told by --config is simulated")?, skipped })
    }
}

/// Writes a file as these programs do: it is not on the disk before somebody syncs.
fn write(machine: &Machine, path: &str, text: &str, mode: u32) -> Result<(), String> {
    machine.disk.write(path, text.as_bytes(), mode).map_err(|error| format!("{path}: {error}"))
}

fn read(machine: &Machine, path: &str) -> Result<String, String> {
    machine.disk.read_text(path).map_err(|error| format!("open {path}: {error}"))
}

/// Tries until it succeeds or the time is over; what was in the way last is the error. Each new reason is said once.
async fn until<'a, T>(
    machine: &Machine,
    source: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, String>>,
) -> Result<T, String> {
    let end = tokio::time::Instant::now() + limit;
    let mut said = String::new();
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(why) if tokio::time::Instant::now() >= end => {
                return Err(format!("timed out after {limit:?}: {why}"));
            }
            Err(why) => {
                if said != why {
                    machine.console.say(source, format!("{why}; trying again"));
                    said = why;
                }
                tokio::time::sleep(machine.site.options.timing.heartbeat).await;
            }
        }
    }
}

/// The version that a program names: `v1.36.4`.
fn version_of(machine: &Machine, path: &str) -> String {
    let text = machine.disk.read_text(path).unwrap_or_default();
    let is_version = |word: &&str| {
        let parts: Vec<&str> = word.strip_prefix('v').unwrap_or_default().split('.').collect();
        parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.split_whitespace().find(is_version).unwrap_or(UNKNOWN_VERSION).to_owned()
}
