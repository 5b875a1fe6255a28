//! Clusters form from files alone.

use super::either::{Distribution, Site, over_both};
use super::support::{Bench, IMAGE, NodeFiles, Role, VERSION, eventually};
use ferrogate_net::Trust;
use http::Method;
use serde_json::json;

/// A first server that is Ready, and where its API is.
async fn first(bench: &Bench) -> (ferrogate_model::SystemId, std::net::IpAddr) {
    let machine = bench.deploy(&NodeFiles::new(bench, "cp-0", &Role::First).text()).await;
    bench.until_status(&machine, "Deployed").await;
    let address = bench.address(&machine).await;
    bench.admin(address).until_ready(&["cp-0"]).await;
    (machine, address)
}

#[tokio::test(start_paused = true)]
async fn one_machine_becomes_a_cluster_that_runs_the_gateway_from_its_image() {
    let bench = Bench::memory().await;
    let (machine, address) = first(&bench).await;
    let kube = bench.admin(address);
    let node = kube.get("/api/v1/nodes/cp-0").await.unwrap();
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], VERSION);
    assert_eq!(node["status"]["addresses"][0]["address"], address.to_string());
    assert_eq!(node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"], "true");
    assert_eq!(kube.get("/version").await.unwrap()["gitVersion"], VERSION);
    eventually("gateway ready", async || {
        let set = kube.get("/apis/apps/v1/namespaces/ferrogate-system/daemonsets/ferrogate-gateway").await?;
        if set["status"]["numberReady"] == 1 { Ok(()) } else { Err(set["status"].to_string()) }
    })
    .await;
    let (image, args, env, config) = bench.programs.seen.lock().unwrap()[0].clone();
    assert_eq!((image.as_str(), args.join(" ")), (IMAGE, "run --config /etc/ferrogate/gateway.toml".to_owned()));
    assert_eq!(env["HOST_IP"], address.to_string());
    assert!(config.contains("cp-0"));
    // The program wrote into the machine's own folder.
    let root = bench.lab.machines().root(&machine).unwrap();
    assert!(root.join("var/lib/ferrogate/key").exists());
    // Everything from outside came through the proxy.
    let log = bench.lab.proxy().log();
    assert!(log.iter().filter(|entry| entry.target.starts_with("plane.test:") && entry.status == 200).count() == 2);
    bench.lab.shutdown().await;
    assert!(!root.exists(), "files of a machine are left over");
}

#[tokio::test(start_paused = true)]
async fn an_agent_joins_by_its_token_and_the_server_token_alone_makes_a_server() {
    let bench = Bench::memory().await;
    let (_, address) = first(&bench).await;
    let url = format!("https://{address}:6443");
    bench.deploy(&NodeFiles::new(&bench, "w-0", &Role::Agent(&url)).text()).await;
    bench.deploy(&NodeFiles::new(&bench, "cp-1", &Role::Server(&url)).text()).await;
    bench.admin(address).until_ready(&["cp-0", "cp-1", "w-0"]).await;
    // The agent's token does not make a server.
    let mut files = NodeFiles::new(&bench, "cp-2", &Role::Server(&url));
    let token = secrecy::ExposeSecret::expose_secret(&bench.materials.agent_join_token()).to_owned();
    files.set("/etc/rancher/k3s/token", "0600", &token);
    let machine = bench.deploy(&files.text()).await;
    bench.until_said(&machine, "401 Unauthorized").await;
    assert_eq!(bench.admin(address).ready_nodes().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_or_another_clusters_authority_is_refused_and_said() {
    let bench = Bench::memory().await;
    let (_, address) = first(&bench).await;
    let url = format!("https://{address}:6443");
    let mut files = NodeFiles::new(&bench, "w-0", &Role::Agent(&url));
    files.set("/etc/rancher/k3s/token", "0600", "wrong");
    let wrong = bench.deploy(&files.text()).await;
    bench.until_said(&wrong, "401 Unauthorized").await;
    let hash = "0".repeat(64);
    files.set("/etc/rancher/k3s/token", "0600", &format!("K10{hash}::node:secret"));
    let other = bench.deploy(&files.text()).await;
    bench.until_said(&other, "token CA hash does not match the Cluster CA certificate hash").await;
    // MAAS knows nothing of that: the machines themselves are well.
    bench.until_status(&wrong, "Deployed").await;
    let console = bench.console(&other).await;
    assert!(!console.contains("node:secret"), "{console}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_wiped_may_come_back_under_its_name_only_after_it_was_deleted() {
    let bench = Bench::memory().await;
    let (_, address) = first(&bench).await;
    let url = format!("https://{address}:6443");
    let kube = bench.admin(address);
    let old = bench.deploy(&NodeFiles::new(&bench, "w-0", &Role::Agent(&url)).text()).await;
    kube.until_ready(&["cp-0", "w-0"]).await;
    bench.maas.release(&old, &ferrogate_maas::request::Release::default()).await.unwrap();
    bench.until_status(&old, "Ready").await;
    let new = bench.deploy(&NodeFiles::new(&bench, "w-0", &Role::Agent(&url)).text()).await;
    bench.until_said(&new, "Node password rejected").await;
    kube.send(Method::DELETE, "/api/v1/nodes/w-0", &[], None).await.unwrap();
    bench.until_said(&new, "joined").await;
    kube.until_ready(&["cp-0", "w-0"]).await;
}

async fn who_asks_decides_what_is_answered(distribution: Distribution) {
    let site = Site::memory(distribution).await;
    let (_, address, _) = site.first().await;
    let bench = site.bench();
    let ca = || Trust::ca(bench.materials.server_ca.certificate_pem.clone());
    let anonymous = bench.kube_with(address, ca());
    for path in ["/readyz", "/api/v1/nodes", "/version", "/nothing"] {
        assert_eq!(anonymous.send(Method::GET, path, &[], None).await.unwrap().0, 401, "{path}");
    }
    // A certificate of another authority does not even get through TLS.
    let other = ferrogate_engine::materials::ClusterMaterials::generate("x", bench.materials.created).unwrap();
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

#[tokio::test(start_paused = true)]
async fn an_image_that_is_missing_shows_in_the_pods_state_and_heals_when_it_comes() {
    let bench = Bench::memory().await;
    let mut files = NodeFiles::new(&bench, "cp-0", &Role::First);
    files.replace("/etc/systemd/system/ferrogate-node.service", "agent/images/gateway.tar", "agent/elsewhere.tar");
    let machine = bench.deploy(&files.text()).await;
    bench.until_status(&machine, "Deployed").await;
    let kube = bench.admin(bench.address(&machine).await);
    let waiting = "/api/v1/namespaces/ferrogate-system/pods";
    eventually("ErrImageNeverPull", async || {
        let pods = kube.get(waiting).await?;
        let state = &pods["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"];
        if state["reason"] == "ErrImageNeverPull" { Ok(()) } else { Err(pods.to_string()) }
    })
    .await;
    assert!(bench.programs.seen.lock().unwrap().is_empty());
    let images = bench.lab.machines().root(&machine).unwrap().join("var/lib/rancher/k3s/agent/images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::write(images.join("late.tar"), "an image").unwrap();
    eventually("the pod runs", async || {
        let pods = kube.get(waiting).await?;
        if pods["items"][0]["status"]["phase"] == "Running" { Ok(()) } else { Err(pods.to_string()) }
    })
    .await;
}

over_both!(who_asks_decides_what_is_answered);
