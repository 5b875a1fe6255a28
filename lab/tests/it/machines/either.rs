//! A site for tests that hold whichever distribution makes the cluster.

use super::{
    kubeadm_support::Cluster,
    support::{Bench, Kube, NodeFiles, Role, VERSION},
};
use ferrogate_engine::Kind;
use ferrogate_model::SystemId;
use std::net::IpAddr;

/// How machines become nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distribution {
    K3s,
    Kubeadm,
}

/// A site, and what its machines are handed: a gateway's cluster.
pub(super) enum Site {
    K3s(Box<Bench>),
    Kubeadm(Box<Cluster>),
}

impl Site {
    /// In memory; use it with a paused clock.
    pub(super) async fn memory(distribution: Distribution) -> Self {
        match distribution {
            Distribution::K3s => Self::K3s(Box::new(Bench::memory().await)),
            Distribution::Kubeadm => Self::Kubeadm(Box::new(Cluster::memory(Kind::Gateway).await)),
        }
    }

    /// On sockets.
    pub(super) async fn sockets(distribution: Distribution) -> Self {
        match distribution {
            Distribution::K3s => Self::K3s(Box::new(Bench::sockets().await)),
            Distribution::Kubeadm => Self::Kubeadm(Box::new(Cluster::sockets(Kind::Gateway).await)),
        }
    }

    pub(super) fn bench(&self) -> &Bench {
        match self {
            Self::K3s(bench) => bench,
            Self::Kubeadm(cluster) => &cluster.bench,
        }
    }

    pub(super) fn into_bench(self) -> Bench {
        match self {
            Self::K3s(bench) => *bench,
            Self::Kubeadm(cluster) => cluster.bench,
        }
    }

    /// Kubernetes, as the nodes report it.
    pub(super) fn version(&self) -> &'static str {
        match self {
            Self::K3s(_) => VERSION,
            Self::Kubeadm(_) => super::kubeadm_support::VERSION,
        }
    }

    /// A first server, `cp-0`, that is Ready.
    pub(super) async fn first(&self) -> (SystemId, IpAddr, Kube) {
        match self {
            Self::K3s(bench) => {
                let machine = bench.deploy(&NodeFiles::new(bench, "cp-0", &Role::First).text()).await;
                bench.until_status(&machine, "Deployed").await;
                let address = bench.address(&machine).await;
                let kube = bench.admin(address);
                kube.until_ready(&["cp-0"]).await;
                (machine, address, kube)
            }
            Self::Kubeadm(cluster) => cluster.first().await,
        }
    }

    /// A further server that has joined.
    pub(super) async fn server(&self, name: &str, first: IpAddr) -> SystemId {
        match self {
            Self::K3s(bench) => {
                let url = format!("https://{first}:6443");
                let machine = bench.deploy(&NodeFiles::new(bench, name, &Role::Server(&url)).text()).await;
                bench.until_said(&machine, "joined").await;
                machine
            }
            Self::Kubeadm(cluster) => {
                let (machine, _) = cluster.deploy(name, &ferrogate_engine::Role::Server(first)).await;
                cluster.bench.until_said(&machine, "Started ferrogate-kubeadm.service").await;
                machine
            }
        }
    }

    /// An agent that is about to join.
    pub(super) async fn agent(&self, name: &str, first: IpAddr) -> SystemId {
        match self {
            Self::K3s(bench) => {
                let url = format!("https://{first}:6443");
                bench.deploy(&NodeFiles::new(bench, name, &Role::Agent(&url)).text()).await
            }
            Self::Kubeadm(cluster) => cluster.deploy(name, &ferrogate_engine::Role::Agent(first)).await.0,
        }
    }
}

/// Runs tests over both distributions.
macro_rules! over_both {
    ($($test:ident),+ $(,)?) => {
        mod of_k3s {
            $(
                #[tokio::test(start_paused = true)]
                async fn $test() {
                    super::$test(super::Distribution::K3s).await;
                }
            )+
        }
        mod of_kubeadm {
            $(
                #[tokio::test(start_paused = true)]
                async fn $test() {
                    super::$test(super::Distribution::Kubeadm).await;
                }
            )+
        }
    };
}
pub(super) use over_both;
