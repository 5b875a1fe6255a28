//! Clusters form from the product's own user-data alone.

use super::{
    cluster::{Cluster, SHARED, VERSION},
    support::{IMAGE, eventually},
};
use ferrogate_join::{ClusterKind, Role};
use ferrogate_lab::{Backend as _, kubeadm::simulated_image};
use ferrogate_net::Trust;
use http::Method;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn one_server_and_its_workers_become_a_cluster() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
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
    let mut cluster = Cluster::memory(ClusterKind::Tenant).await;
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
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let (machine, address, kube) = cluster.first().await;
    eventually("gateway ready", async || {
        let set = kube.get("/apis/apps/v1/namespaces/ferrogate-system/daemonsets/ferrogate-gateway").await?;
        if set["status"]["numberReady"] == 1 { Ok(()) } else { Err(set["status"].to_string()) }
    })
    .await;
    let (image, args, env, config) = cluster.bench.programs.seen.lock().unwrap()[0].clone();
    assert_eq!(
        (image.as_str(), args.join(" ")),
        (simulated_image(IMAGE).0.to_string().as_str(), "run --config /etc/ferrogate/gateway.toml".to_owned())
    );
    assert_eq!(env["HOST_IP"], address.to_string());
    assert!(config.contains("cp-0"));
    let sets = kube.get("/apis/apps/v1/daemonsets").await.unwrap();
    assert_eq!(sets["items"].as_array().unwrap().len(), 1);
    assert!(kube.get("/apis/apps/v1/deployments").await.unwrap()["items"].as_array().unwrap().is_empty());
    // The program wrote into the machine's own folder.
    let root = cluster.bench.lab.machines().root(&machine).unwrap();
    assert!(root.join("var/lib/ferrogate/key").exists());
    // Everything from outside came through the proxy.
    let log = cluster.bench.lab.proxy().log();
    let downloads = log.iter().filter(|entry| entry.target.starts_with("plane.test:") && entry.status == 200);
    assert_eq!(downloads.count(), 2);
    cluster.bench.lab.shutdown().await;
    assert!(!root.exists(), "files of a machine are left over");
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_under_a_name_that_is_taken_is_refused_until_the_first_is_deleted() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let (old, _) = cluster.deploy("w-0", &Role::Agent(address)).await;
    kube.until_ready(&["cp-0", "w-0"]).await;
    let (new, at) = cluster.deploy("w-0", &Role::Agent(address)).await;
    let words = "a Node with name \"w-0\" and status \"Ready\" already exists in the cluster";
    cluster.bench.until_said(&new, words).await;
    cluster.bench.lab.machines().power_cut(&old).await;
    kube.send(Method::DELETE, "/api/v1/nodes/w-0", &[], None).await.unwrap();
    kube.until_ready(&["cp-0", "w-0"]).await;
    let node = kube.get("/api/v1/nodes/w-0").await.unwrap();
    assert_eq!(node["status"]["addresses"][0]["address"], at.to_string());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_missing_shows_in_the_pods_state_and_heals_when_it_comes() {
    let mut cluster = Cluster::memory(ClusterKind::Gateway).await;
    let other = simulated_image("docker.io/ferrogate/other:0.1.0").1;
    let image = &mut cluster.desired.release.architectures[0].gateway_image;
    image.sha256 = ferrogate_files::sha256(&other);
    cluster.bench.replace_file(&image.path, other);
    let (machine, _, kube) = cluster.first().await;
    let pods = "/api/v1/namespaces/ferrogate-system/pods";
    eventually("ErrImageNeverPull", async || {
        let pods = kube.get(pods).await?;
        let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"];
        if state["reason"] == "ErrImageNeverPull" { Ok(()) } else { Err(pods.to_string()) }
    })
    .await;
    assert!(cluster.bench.programs.seen.lock().unwrap().is_empty());
    // As `ctr images import` leaves it.
    let images = cluster.bench.lab.machines().root(&machine).unwrap().join("var/lib/containerd/k8s.io");
    std::fs::write(images.join("late.tar"), simulated_image(IMAGE).1).unwrap();
    eventually("the pod runs", async || {
        let pods = kube.get(pods).await?;
        if pods["items"][0]["status"]["phase"] == "Running" { Ok(()) } else { Err(pods.to_string()) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_decides_what_is_answered() {
    let cluster = Cluster::memory(ClusterKind::Gateway).await;
    let (_, address, _) = cluster.first().await;
    let bench = &cluster.bench;
    let ca = || Trust::ca(bench.materials.server_ca.certificate_pem.clone());
    let anonymous = bench.kube_with(address, ca());
    for path in ["/readyz", "/api/v1/nodes", "/version", "/nothing"] {
        assert_eq!(anonymous.send(Method::GET, path, &[], None).await.unwrap().0, 401, "{path}");
    }
    // A certificate of another authority does not even get through TLS.
    let other = ferrogate_join::materials::ClusterMaterials::generate("x", bench.materials.created).unwrap();
    let identity = other.admin_identity(other.created, std::time::Duration::from_secs(3600)).unwrap();
    let stranger = bench.kube_with(address, ca().with_identity(identity.certificate_pem, identity.key_pem));
    assert!(stranger.get("/readyz").await.is_err());
    let admin = bench.admin(address);
    let as_viewer = [("impersonate-user", "eva"), ("impersonate-group", "ferrogate:viewers")];
    let list = |path: &'static str| admin.send(Method::GET, path, &as_viewer, None);
    assert_eq!(list("/api/v1/pods").await.unwrap().0, 200);
    let (status, refusal) = list("/api/v1/secrets").await.unwrap();
    assert_eq!((status, refusal["reason"].as_str()), (403, Some("Forbidden")));
    let words =
        "secrets is forbidden: User \"eva\" cannot list resource \"secrets\" in API group \"\" at the cluster scope";
    assert_eq!(refusal["message"], words);
    let viewer = bench.kube(address, "eva", "ferrogate:viewers");
    let body = json!({"metadata": {"name": "x"}});
    let made = viewer.send(Method::POST, "/api/v1/namespaces/default/configmaps", &[], Some(&body)).await.unwrap();
    assert_eq!(made.0, 403);
    for (resource, allowed) in [("pods", true), ("secrets", false)] {
        let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": resource}}});
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let (_, answer) = viewer.send(Method::POST, path, &[], Some(&review)).await.unwrap();
        assert_eq!(answer["status"]["allowed"], allowed, "{resource}");
    }
    // Nobody but an administrator speaks for others.
    assert_eq!(viewer.send(Method::GET, "/api/v1/pods", &as_viewer, None).await.unwrap().0, 403);
}
