//! Power cycles, cuts, and what is left afterwards.

use super::{cluster::Cluster, support::eventually};
use ferrogate_join::{ClusterKind, Role};
use ferrogate_lab::{Backend as _, Power};
use http::Method;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_machine_without_power_becomes_not_ready_and_comes_back_with_what_was_on_its_disk() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let bench = &cluster.bench;
    let (_, address, kube) = cluster.first().await;
    let (worker, _) = cluster.deploy("w-0", &Role::Agent(address)).await;
    kube.until_ready(&["cp-0", "w-0"]).await;
    bench.lab.machines().power_cut(&worker).await;
    assert_eq!(bench.lab.machines().power_state(&worker).await, Power::Off);
    kube.until_ready(&["cp-0"]).await;
    let node = kube.get("/api/v1/nodes/w-0").await.unwrap();
    assert!(node["spec"]["taints"].to_string().contains("node.kubernetes.io/unreachable"));
    let downloads = bench.lab.proxy().log().len();
    bench.maas.power_on(&worker, None).await.unwrap();
    kube.until_ready(&["cp-0", "w-0"]).await;
    assert_eq!(bench.lab.proxy().log().len(), downloads, "a reboot downloads nothing");
    let node = kube.get("/api/v1/nodes/w-0").await.unwrap();
    assert!(!node["spec"]["taints"].to_string().contains("unreachable"), "{node}");
}

#[tokio::test(start_paused = true)]
async fn a_lone_server_that_is_rebooted_still_has_its_objects_and_one_that_is_wiped_has_not() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let bench = &cluster.bench;
    let (machine, _, kube) = cluster.first().await;
    let body = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    let path = "/api/v1/namespaces/default/configmaps";
    kube.send(Method::POST, path, &[], Some(&body)).await.unwrap();
    bench.lab.machines().power_cut(&machine).await;
    assert!(kube.get("/version").await.is_err());
    bench.maas.power_on(&machine, None).await.unwrap();
    eventually("the object is there", async || kube.get(&format!("{path}/kept")).await).await;
    let root = bench.lab.machines().root(&machine).unwrap();
    bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
    bench.until_status(&machine, "Ready").await;
    // The same machine comes first again, with a new disk.
    let (again, _, kube) = cluster.first().await;
    assert_eq!(again, machine);
    assert!(!root.exists(), "the disk outlives the next deployment");
    assert!(kube.get(&format!("{path}/kept")).await.unwrap_err().starts_with("404"));
}

#[tokio::test(start_paused = true)]
async fn three_servers_outlive_one_and_answer_nothing_with_one() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let bench = &cluster.bench;
    let (first, address, kube) = cluster.first().await;
    let mut others = Vec::new();
    for name in ["cp-1", "cp-2"] {
        others.push(cluster.server(name, address).await);
    }
    kube.until_ready(&["cp-0", "cp-1", "cp-2"]).await;
    bench.lab.machines().power_cut(&first).await;
    let second = bench.admin(bench.address(&others[0]).await);
    second.until_ready(&["cp-1", "cp-2"]).await;
    bench.lab.machines().power_cut(&others[1]).await;
    eventually("no majority", async || match second.send(Method::GET, "/readyz", &[], None).await? {
        (500, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(second.send(Method::GET, "/api/v1/nodes", &[], None).await.unwrap().0, 500);
    bench.maas.power_on(&first, None).await.unwrap();
    second.until_ready(&["cp-0", "cp-1"]).await;
}
