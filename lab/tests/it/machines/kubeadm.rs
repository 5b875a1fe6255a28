//! Clusters form by kubeadm from the product's own user-data alone.

use super::{
    kubeadm_support::{Cluster, SHARED, VERSION},
    support::eventually,
};
use ferrogate_engine::{Kind, Role};

#[tokio::test(start_paused = true)]
async fn one_server_and_its_workers_become_a_cluster() {
    let cluster = Cluster::memory(Kind::Tenant).await;
    let (machine, address, kube) = cluster.first().await;
    let node = kube.get("/api/v1/nodes/cp-0").await.unwrap();
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], VERSION);
    assert_eq!(node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"], "");
    assert_eq!(node["metadata"]["labels"]["ferrogate.io/machine"], machine.0);
    assert_eq!(kube.get("/version").await.unwrap()["gitVersion"], VERSION);
    cluster.deploy("w-0", &Role::Agent(address)).await;
    cluster.deploy("w-1", &Role::Agent(address)).await;
    kube.until_ready(&["cp-0", "w-0", "w-1"]).await;
    let worker = kube.get("/api/v1/nodes/w-0").await.unwrap();
    assert_eq!(worker["metadata"]["labels"]["tier"], "front");
    assert_eq!(worker["spec"]["taints"][0]["key"], "dedicated");
    for (namespace, set) in [("kube-flannel", "kube-flannel-ds"), ("kube-system", "kube-proxy")] {
        eventually(set, async || {
            let set = kube.get(&format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{set}")).await?;
            if set["status"]["numberReady"] == 3 { Ok(()) } else { Err(set["status"].to_string()) }
        })
        .await;
    }
    // What a server runs by itself shows, and goes nowhere.
    let pods = kube.get("/api/v1/namespaces/kube-system/pods").await.unwrap();
    let names: Vec<&str> =
        pods["items"].as_array().unwrap().iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    for name in ["etcd-cp-0", "kube-apiserver-cp-0", "kube-controller-manager-cp-0", "kube-scheduler-cp-0"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // Nothing of kubeadm's own token lasts.
    let secrets = kube.get("/api/v1/namespaces/kube-system/secrets").await.unwrap();
    let lasting = secrets["items"].as_array().unwrap().iter().filter(|secret| secret["data"]["expiration"].is_null());
    assert_eq!(lasting.count(), 1);
    cluster.bench.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn three_servers_behind_a_shared_address_outlive_any_of_them() {
    let mut cluster = Cluster::memory(Kind::Tenant).await;
    cluster.names = vec![SHARED.to_owned(), "prod.maas".to_owned()];
    let (_, address, kube) = cluster.first().await;
    for name in ["cp-1", "cp-2"] {
        let (machine, _) = cluster.deploy(name, &Role::Server(address)).await;
        cluster.bench.until_said(&machine, "Started ferrogate-kubeadm.service").await;
    }
    cluster.deploy("w-0", &Role::Agent(address)).await;
    kube.until_ready(&["cp-0", "cp-1", "cp-2", "w-0"]).await;
    let shared = cluster.bench.admin(SHARED.parse().unwrap());
    shared.until_ready(&["cp-0", "cp-1", "cp-2", "w-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_gateways_node_runs_the_gateway_and_neither_dns_nor_a_pod_network() {
    let cluster = Cluster::memory(Kind::Gateway).await;
    let (_, address, kube) = cluster.first().await;
    eventually("gateway ready", async || {
        let set = kube.get("/apis/apps/v1/namespaces/ferrogate-system/daemonsets/ferrogate-gateway").await?;
        if set["status"]["numberReady"] == 1 { Ok(()) } else { Err(set["status"].to_string()) }
    })
    .await;
    let (_, args, env, config) = cluster.bench.programs.seen.lock().unwrap()[0].clone();
    assert_eq!(args.join(" "), "run --config /etc/ferrogate/gateway.toml");
    assert_eq!(env["HOST_IP"], address.to_string());
    assert!(config.contains("cp-0"));
    let sets = kube.get("/apis/apps/v1/daemonsets").await.unwrap();
    assert_eq!(sets["items"].as_array().unwrap().len(), 1);
    assert!(kube.get("/apis/apps/v1/deployments").await.unwrap()["items"].as_array().unwrap().is_empty());
}
