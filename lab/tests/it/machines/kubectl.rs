//! The real `kubectl` against the simulated API, where it is installed.

use super::cluster::{Cluster, VERSION};
use crate::tier;
use ferrogate_join::{ClusterKind, Role};
use ferrogate_model::{Clock as _, SystemClock};
use secrecy::ExposeSecret as _;
use std::{path::Path, process::Stdio, time::Duration};

/// Runs kubectl; what it printed, or what it complained about.
async fn kubectl(config: &Path, arguments: &str) -> Result<String, String> {
    let output = tokio::process::Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(config)
        .args(arguments.split(' '))
        // Nothing of the one who runs the test: no cache, no settings, no proxy.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", config.parent().unwrap())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.map_err(|_| "took too long".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_kubectl_lists_describes_labels_drains_and_deletes() {
    if tokio::process::Command::new("kubectl").arg("--help").output().await.is_err() {
        tier::skipped("kubectl", "kubectl is not installed (Debian: apt-get install kubernetes-client)");
        return;
    }
    tier::ran("kubectl");
    let cluster = Cluster::sockets(ClusterKind::Gateway).await;
    let (_, address, admin) = cluster.first().await;
    let url = format!("https://{address}:6443");
    cluster.deploy("w-0", &Role::Agent(address)).await;
    admin.until_ready(&["cp-0", "w-0"]).await;

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let identity = cluster.bench.materials.admin_identity(SystemClock.now(), Duration::from_secs(3600)).unwrap();
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{url}', certificate-authority-data: {}}}}}]\n\
         users: [{{name: u, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n",
        encode(&cluster.bench.materials.server_ca.certificate_pem),
        encode(&identity.certificate_pem),
        encode(identity.key_pem.expose_secret())
    );
    std::fs::write(&config, text).unwrap();
    let run = |arguments: &'static str| {
        let config = config.clone();
        async move { kubectl(&config, arguments).await.unwrap_or_else(|why| panic!("kubectl {arguments}: {why}")) }
    };

    let nodes = run("get nodes -o wide").await;
    let head: Vec<&str> = nodes.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head[..6], ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"], "{nodes}");
    assert!(nodes.contains("control-plane") && nodes.contains(&address.to_string()), "{nodes}");
    let all = run("get nodes,ns,pods -A -o wide").await;
    for part in ["node/cp-0", "node/w-0", "namespace/ferrogate-system", "pod/ferrogate-gateway-", "Running"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert!(run("version").await.contains(&format!("Server Version: {VERSION}")));
    assert_eq!(run("get --raw /readyz").await, "ok");
    let described = run("describe node w-0").await;
    for part in ["KubeletReady", "Non-terminated Pods:", "ferrogate-gateway-", "Ubuntu 24.04"] {
        assert!(described.contains(part), "{part}: {described}");
    }
    assert!(described.contains("Starting kubelet."), "{described}");
    run("wait --for=condition=Ready node/w-0 --timeout=30s").await;
    let rolled = run("rollout status daemonset/ferrogate-gateway -n ferrogate-system --timeout=30s").await;
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    assert!(run("get events -n ferrogate-system").await.contains("Started container gateway"));
    run("label node w-0 disk=ssd").await;
    assert!(run("get nodes -l disk=ssd -o name").await.trim() == "node/w-0");
    run("cordon w-0").await;
    assert!(run("get node w-0").await.contains("Ready,SchedulingDisabled"));
    run("uncordon w-0").await;
    let map = folder.path().join("map.json");
    std::fs::write(&map, r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"}}"#).unwrap();
    kubectl(&config, &format!("create --validate=false -f {}", map.display())).await.unwrap();
    assert_eq!(run("get configmap c -o jsonpath={.data.a}").await, "b");
    // A pod that a drain has to move.
    let pod = folder.path().join("pod.json");
    let spec = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"nodeName":"w-0",
        "terminationGracePeriodSeconds":1,"containers":[{"name":"web","image":"x"}]}}"#;
    std::fs::write(&pod, spec).unwrap();
    kubectl(&config, &format!("create --validate=false -f {}", pod.display())).await.unwrap();
    let drained = run("drain w-0 --ignore-daemonsets --force --timeout=40s").await;
    assert!(drained.contains("node/w-0 drained"), "{drained}");
    assert!(!run("get pods -A").await.contains("web"));
    let deleted = run("delete node w-0").await;
    assert!(deleted.contains("node \"w-0\" deleted"), "{deleted}");
    let refused = kubectl(&config, "get secrets --as=eva --as-group=ferrogate:viewers").await.unwrap_err();
    assert!(refused.contains("Error from server (Forbidden): secrets is forbidden: User \"eva\""), "{refused}");
    let missing = kubectl(&config, "get node nobody").await.unwrap_err();
    assert!(missing.contains("Error from server (NotFound): nodes \"nobody\" not found"), "{missing}");
    cluster.bench.lab.shutdown().await;
}
