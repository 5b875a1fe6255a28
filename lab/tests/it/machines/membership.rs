//! Nodes whose power is cut while they join, and servers that leave.

use super::{
    cluster::{Cluster, STARTED, replace},
    support::eventually,
};
use ferrogate_join::{ClusterKind, Role};
use ferrogate_lab::Backend as _;
use http::Method;

const JOIN: &str = "/etc/systemd/system/ferrogate-join.service";
const RESET: &str = "/etc/systemd/system/ferrogate-reset.service";
const RESUME: &str = "/etc/systemd/system/ferrogate-resume.service";
const NODE: &str = "/etc/systemd/system/ferrogate-node.service";
const MEMBERSHIP: &str = "/etc/systemd/system/ferrogate-kubeadm.service";

#[tokio::test(start_paused = true)]
async fn a_first_server_goes_on_where_it_was_cut_off_whenever_that_was() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    for words in ["containerd successfully booted", "imported ", "Using Kubernetes version", "API server listens"] {
        let (machine, address) = cluster.deploy("cp-0", &Role::FirstServer).await;
        cluster.bench.until_status(&machine, "Deployed").await;
        cluster.bench.until_said(&machine, words).await;
        cluster.bench.lab.machines().power_cut(&machine).await;
        let console = cluster.bench.console(&machine).await;
        assert!(!console.contains(STARTED), "{words}: it was too fast to be cut off: {console}");
        cluster.bench.maas.power_on(&machine, None).await.unwrap();
        cluster.bench.until_said(&machine, STARTED).await;
        cluster.bench.admin(address).until_ready(&["cp-0"]).await;
        cluster.bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        cluster.bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_server_that_is_cut_off_as_a_member_of_etcd_is_finished_at_its_next_boot() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    // With its vote, and before it has one.
    for (name, words) in [("cp-1", "[etcd] Promoted the member cp-1"), ("cp-2", "member cp-2 is up")] {
        let (machine, _) = cluster.deploy(name, &Role::Server(address)).await;
        cluster.bench.until_said(&machine, words).await;
        cluster.bench.lab.machines().power_cut(&machine).await;
        let console = cluster.bench.console(&machine).await;
        assert!(!console.contains(STARTED), "it was too fast to be cut off: {console}");
        let root = cluster.bench.lab.machines().root(&machine).unwrap();
        assert!(root.join("var/lib/etcd/member").exists());
        cluster.bench.maas.power_on(&machine, None).await.unwrap();
        cluster.bench.until_said(&machine, STARTED).await;
        let console = cluster.bench.console(&machine).await;
        assert!(
            console.contains("ferrogate-join.service skipped: condition ConditionPathExists=!/var/lib/etcd/member")
        );
    }
    kube.until_ready(&["cp-0", "cp-1", "cp-2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_server_whose_manifest_of_etcd_is_lost_takes_the_majority_with_it() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let (machine, _) = cluster
        .deploy_changed("cp-1", &Role::Server(address), |config| {
            replace(config, JOIN, "ExecStart=-/usr/bin/chattr +S /etc/kubernetes/manifests\n", "");
        })
        .await;
    cluster.bench.until_said(&machine, "[etcd] Promoted the member cp-1").await;
    cluster.bench.lab.machines().power_cut(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    cluster.bench.until_said(&machine, "please check config file etcd.yaml: it holds no Pod").await;
    assert_eq!(kube.send(Method::GET, "/readyz", &[], None).await.unwrap().0, 500);
}

#[tokio::test(start_paused = true)]
async fn without_the_sync_before_it_a_member_of_etcd_comes_back_without_its_keys() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let (machine, _) = cluster
        .deploy_changed("cp-1", &Role::Server(address), |config| {
            replace(config, JOIN, "ExecStart=/usr/bin/sync\n", "");
        })
        .await;
    cluster.bench.until_said(&machine, "member cp-1 is up").await;
    cluster.bench.lab.machines().power_cut(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    cluster.bench.until_said(&machine, "[certs] failure loading").await;
    assert_eq!(kube.ready_nodes().await.unwrap_or_default(), ["cp-0"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_sync_behind_it_what_was_unpacked_is_empty_after_a_power_cut() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (machine, _) = cluster
        .deploy_changed("cp-0", &Role::FirstServer, |config| {
            // Neither here nor by chance a moment later.
            for unit in [NODE, JOIN] {
                replace(config, unit, "ExecStart=/usr/bin/sync\n", "");
            }
        })
        .await;
    cluster.bench.until_status(&machine, "Deployed").await;
    cluster.bench.until_said(&machine, "Using Kubernetes version").await;
    cluster.bench.lab.machines().power_cut(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    cluster.bench.until_said(&machine, "exec format error (the file is empty)").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_stays_a_member_of_etcd_when_its_node_is_deleted() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let mut others = Vec::new();
    for name in ["cp-1", "cp-2"] {
        let (machine, _) = cluster.deploy(name, &Role::Server(address)).await;
        cluster.bench.until_said(&machine, STARTED).await;
        others.push(machine);
    }
    kube.until_ready(&["cp-0", "cp-1", "cp-2"]).await;
    for machine in &others {
        cluster.bench.lab.machines().power_cut(machine).await;
    }
    eventually("no majority", async || match kube.send(Method::GET, "/readyz", &[], None).await? {
        (500, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    cluster.bench.maas.power_on(&others[0], None).await.unwrap();
    kube.until_ready(&["cp-0", "cp-1"]).await;
    let gone = kube.send(Method::DELETE, "/api/v1/nodes/cp-2", &[], None).await.unwrap();
    assert_eq!(gone.0, 200);
    // Two of three, of which one has no node any more: without one of them there is no majority.
    cluster.bench.lab.machines().power_cut(&others[0]).await;
    eventually("no majority", async || match kube.send(Method::GET, "/readyz", &[], None).await? {
        (500, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_of_etcd_that_joins_from_the_beginning_is_refused() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let (machine, _) = cluster
        .deploy_changed("cp-1", &Role::Server(address), |config| {
            replace(config, JOIN, "ConditionPathExists=!/var/lib/etcd/member\n", "");
            // It never counts as joined.
            replace(
                config,
                RESUME,
                "/dev/null /var/lib/ferrogate-node/joined",
                "/dev/null /var/lib/ferrogate-node/other",
            );
        })
        .await;
    kube.until_ready(&["cp-0", "cp-1"]).await;
    cluster.bench.lab.machines().power_cut(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    let words = "a Node with name \"cp-1\" and status \"Ready\" already exists in the cluster";
    cluster.bench.until_said(&machine, words).await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_not_held_back_empties_etcd_whatever_is_in_it() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (machine, address) = cluster
        .deploy_changed("cp-0", &Role::FirstServer, |config| {
            replace(config, RESET, "ConditionPathExists=!/var/lib/etcd/member\n", "");
            replace(config, RESET, " --skip-phases remove-etcd-member", "");
            for (unit, mark) in [(JOIN, "joined"), (MEMBERSHIP, "ready")] {
                let mark = format!("/dev/null /var/lib/ferrogate-node/{mark}");
                replace(config, unit, &mark, "/dev/null /var/lib/ferrogate-node/other");
            }
        })
        .await;
    cluster.bench.until_said(&machine, STARTED).await;
    let kube = cluster.bench.admin(address);
    kube.until_ready(&["cp-0"]).await;
    let map = serde_json::json!({"metadata": {"name": "kept"}});
    let maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(kube.send(Method::POST, maps, &[], Some(&map)).await.unwrap().0, 201);
    cluster.bench.lab.machines().power_cut(&machine).await;
    cluster.bench.maas.power_on(&machine, None).await.unwrap();
    cluster.bench.until_said(&machine, "Deleted contents of the etcd data directory").await;
    eventually("another cluster, without what was in the first", async || {
        match kube.send(Method::GET, &format!("{maps}/kept"), &[], None).await? {
            (404, _) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
