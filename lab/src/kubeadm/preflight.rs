//! What kubeadm checks before it does anything.

use super::{ETCD_DATA, KUBERNETES, MANIFESTS, configuration::Registration, containerd};
use crate::machine::{self, Machine};

/// What a check is about.
pub(super) struct Preflight<'a> {
    pub(super) is_server: bool,
    pub(super) joins: bool,
    /// Images that this node runs by itself.
    pub(super) images: &'a [String],
}

impl Preflight<'_> {
    /// Checks everything that is not ignored.
    ///
    /// # Errors
    /// All that is wrong.
    pub(super) fn check(&self, machine: &Machine, registration: &Registration) -> Result<(), String> {
        let mut wrong = Vec::new();
        let mut must = |name: &str, holds: bool, why: &str| {
            let key = name.to_lowercase();
            if !holds && !registration.ignored.iter().any(|ignored| *ignored == key || ignored == "all") {
                wrong.push(format!("\t[ERROR {name}]: {why}"));
            }
        };
        let disk = &machine.disk;
        must("CRI", machine::is_active(machine, containerd::UNIT), "container runtime is not running");
        let forwards = machine::setting(machine, "net.ipv4.ip_forward").as_deref() == Some("1");
        let file = "FileContent--proc-sys-net-ipv4-ip_forward";
        must(file, forwards, "/proc/sys/net/ipv4/ip_forward contents are not set to 1");
        let kubelet = disk.stat("/usr/local/bin/kubelet").is_ok_and(|(size, mode)| size > 0 && mode & 0o111 != 0);
        must("FileExisting-kubelet", kubelet, "kubelet not found in system path");
        let available = |path: &str| !disk.exists(path);
        if self.is_server {
            must("NumCPU", machine.boot.cpu_count >= 2, "the number of available CPUs is less than the required 2");
            must("Mem", machine.boot.memory_mib >= 1700, "the system RAM is less than the minimum 1700 MB");
            for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
                let path = format!("{MANIFESTS}/{name}.yaml");
                let check = format!("FileAvailable--etc-kubernetes-manifests-{name}.yaml");
                must(&check, available(&path), &format!("{path} already exists"));
            }
            must("DirAvailable--var-lib-etcd", disk.list(ETCD_DATA).is_empty(), "/var/lib/etcd is not empty");
        }
        if self.joins {
            for name in ["kubelet.conf", "bootstrap-kubelet.conf"] {
                let path = format!("{KUBERNETES}/{name}");
                must(
                    &format!("FileAvailable--etc-kubernetes-{name}"),
                    available(&path),
                    &format!("{path} already exists"),
                );
            }
            if !self.is_server {
                let path = "/etc/kubernetes/pki/ca.crt";
                must(
                    "FileAvailable--etc-kubernetes-pki-ca.crt",
                    available(path),
                    "/etc/kubernetes/pki/ca.crt already exists",
                );
            }
        }
        for image in self.images.iter().filter(|image| !containerd::has(machine, image)) {
            let why = format!("failed to pull image {image}: there is no registry in the lab");
            must("ImagePull", false, &why);
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("[preflight] Some fatal errors occurred:\n{}", wrong.join("\n")))
    }
}
