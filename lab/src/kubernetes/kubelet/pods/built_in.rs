//! The programs of other people's images that nodes run, as far as a cluster without real pods needs them.

use super::{etcdctl, virtual_address};
use crate::{machine::Machine, programs::Container};
use serde_json::Value;
use std::sync::Arc;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    /// kube-vip.
    VirtualAddress,
    /// The pod network.
    Flannel,
    /// Services.
    KubeProxy,
    /// etcd's own tool; etcd itself is started by the kubelet alone.
    Etcd,
}

impl BuiltIn {
    /// The program of an image.
    pub(crate) fn of(image: &str) -> Option<Self> {
        let last = image.rsplit('/').next().unwrap_or(image);
        match last.split([':', '@']).next().unwrap_or(last) {
            "kube-vip" if image.contains('/') => Some(Self::VirtualAddress),
            "flannel" => Some(Self::Flannel),
            "kube-proxy" => Some(Self::KubeProxy),
            "etcd" => Some(Self::Etcd),
            _ => None,
        }
    }

    /// Runs it until it ends or is cancelled; what it said.
    pub(crate) async fn run(self, machine: Arc<Machine>, container: Container) -> Result<String, String> {
        match self {
            Self::VirtualAddress => {
                let network = machine.site.options.network.clone();
                virtual_address::run(container, network).await.map(|()| String::new())
            }
            Self::Flannel => flannel(container).await,
            Self::KubeProxy => stay(container).await,
            Self::Etcd => etcdctl::run(&machine, &container),
        }
    }
}

async fn stay(container: Container) -> Result<String, String> {
    container.cancel.cancelled().await;
    Ok(String::new())
}

/// Reads the network's settings and writes what its plugin needs to know.
async fn flannel(container: Container) -> Result<String, String> {
    let settings = container.root.join("etc/kube-flannel/net-conf.json");
    let text = std::fs::read_to_string(settings).map_err(|error| format!("net-conf.json: {error}"))?;
    let settings: Value = serde_json::from_str(&text).map_err(|error| format!("net-conf.json: {error}"))?;
    let range = settings["Network"].as_str().or_else(|| settings["IPv6Network"].as_str());
    let range: ipnet::IpNet =
        range.and_then(|range| range.parse().ok()).ok_or("net-conf.json: it names no network to divide")?;
    let env = format!("FLANNEL_NETWORK={range}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
    std::fs::write(container.root.join("run/flannel/subnet.env"), env)
        .map_err(|error| format!("/run/flannel/subnet.env: {error}"))?;
    stay(container).await
}
