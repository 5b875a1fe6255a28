//! `kubeadm reset`: takes away what an earlier init or join has left on this node, and nothing in the cluster.

use super::{ETCD_DATA, KUBERNETES, containerd::SOCKET};
use crate::machine::{self, Machine};
use std::sync::Arc;

/// Runs it.
pub(super) async fn run(machine: &Arc<Machine>, words: &[&str]) -> Result<(), String> {
    let (mut force, mut skipped) = (false, Vec::new());
    let mut rest = words.iter();
    while let Some(flag) = rest.next() {
        let mut value = || rest.next().copied().ok_or(format!("flag needs an argument: {flag}"));
        match *flag {
            "--force" | "-f" => force = true,
            "--skip-phases" => skipped.extend(value()?.split(',')),
            "--cri-socket" => {
                let socket = value()?;
                if socket != SOCKET {
                    return Err(format!("[reset] no container runtime listens on {socket}"));
                }
            }
            other => return Err(format!("unknown flag: {other} (or not simulated)")),
        }
    }
    if let Some(unknown) = skipped.iter().find(|phase| !matches!(**phase, "remove-etcd-member" | "cleanup-node")) {
        return Err(format!("invalid phase name: {unknown}"));
    }
    if !force {
        return Err("[reset] Are you sure you want to proceed? [y/N]: aborted reset operation: nobody answers".into());
    }
    let said = |path: &'static str| move |error: std::io::Error| format!("[reset] {path}: {error}");
    if !skipped.contains(&"remove-etcd-member") && machine.disk.is_dir(ETCD_DATA) {
        // Whatever is in it. The member stays one of the cluster's, without its data.
        machine.site.datastores.disk_is_gone(&machine.disk);
        machine::empty(machine, ETCD_DATA).map_err(said(ETCD_DATA))?;
        machine.console.say("kubeadm", format!("[reset] Deleted contents of the etcd data directory: {ETCD_DATA}"));
    }
    if !skipped.contains(&"cleanup-node") {
        machine::stop(machine, "kubelet.service").await;
        for folder in ["/etc/kubernetes/manifests", "/etc/kubernetes/pki", "/var/lib/kubelet"] {
            machine::empty(machine, folder).map_err(said(folder))?;
        }
        for name in ["admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler"] {
            let path = format!("{KUBERNETES}/{name}.conf");
            machine.disk.remove(&path).map_err(|error| format!("[reset] {path}: {error}"))?;
        }
    }
    Ok(())
}
