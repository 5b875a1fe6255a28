//! The steps of init and join that are about this node alone.

use super::{
    KUBELET_CONFIG,
    certificates::{load_kubeconfig, local_server},
    configuration::{Registration, Timeouts, kubelet_defaults},
    containerd::SOCKET,
    until, write,
};
use crate::machine::{self, Machine};
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};

/// What the node is called and where it is.
pub(super) fn identity(
    machine: &Machine,
    registration: &Registration,
    endpoint: Option<IpAddr>,
) -> Result<(String, IpAddr), String> {
    let own = &machine.boot.addresses;
    let wanted = match endpoint {
        Some(address) => Some(address),
        None => registration.node_ip()?,
    };
    let address = match wanted {
        Some(address) if own.contains(&address) => address,
        Some(address) => return Err(format!("{address} is not an address of this machine")),
        None => *own.first().ok_or("this machine has no address")?,
    };
    let name = registration.name.clone().unwrap_or_else(|| machine.hostname().to_lowercase());
    Ok((name, address))
}

/// Tells the kubelet how to work, starts it again and waits until it runs.
pub(super) async fn start_kubelet(
    machine: &Arc<Machine>,
    registration: &Registration,
    timeouts: Timeouts,
    config: Option<&Value>,
) -> Result<(), String> {
    let config = kubelet_defaults(config);
    write(machine, KUBELET_CONFIG, &format!("{config:#}\n"), 0o644)?;
    let mut arguments = vec![format!("--container-runtime-endpoint={SOCKET}")];
    if let Some(name) = registration.name.as_ref().filter(|name| **name != machine.hostname()) {
        arguments.push(format!("--hostname-override={name}"));
    }
    if !registration.taints.is_empty() {
        let taints: Vec<String> =
            registration.taints.iter().map(|taint| format!("{}={}:{}", taint.key, taint.value, taint.effect)).collect();
        arguments.push(format!("--register-with-taints={}", taints.join(",")));
    }
    arguments.extend(registration.arguments.iter().map(|(name, value)| format!("--{name}={value}")));
    let line = format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", arguments.join(" "));
    write(machine, "/var/lib/kubelet/kubeadm-flags.env", &line, 0o644)?;
    machine::reload(machine);
    machine::restart(machine, "kubelet.service").await.map_err(|why| format!("[kubelet-start] {why}"))?;
    until(machine, "kubeadm", timeouts.kubelet, || {
        let runs = machine::is_active(machine, "kubelet.service");
        let why = "[kubelet-check] The kubelet is not healthy: http://127.0.0.1:10248/healthz: connection refused";
        Box::pin(std::future::ready(if runs { Ok(()) } else { Err(why.to_owned()) }))
    })
    .await
}

/// Whether a server's own API answers, as one that has it and may ask.
pub(super) async fn wait_for_api(machine: &Machine, at: IpAddr, timeouts: Timeouts, user: &str) -> Result<(), String> {
    let config = load_kubeconfig(machine, user)?;
    let caller = config.with_server(local_server(at)).caller(machine.connector())?;
    until(machine, "kubeadm", timeouts.control_plane, || {
        Box::pin(async {
            let answer = caller.call(http::Method::GET, "/api/v1/namespaces/kube-system", None).await;
            answer.map(drop).map_err(|failed| format!("[control-plane-check] kube-apiserver: {}", failed.why))
        })
    })
    .await
}
