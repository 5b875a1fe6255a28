//! User-data that a real machine would choke on, and sites that hold a node up.

use super::{
    cluster::{BUNDLE, Cluster, STARTED, bundle_without, images, remove, replace},
    support::Bench,
};
use ferrogate_join::{ClusterKind, Role, cloud_config::CloudConfig};

const CONFIG: &str = "/var/lib/ferrogate-node/kubeadm.yaml";
const NODE: &str = "/etc/systemd/system/ferrogate-node.service";
const JOIN: &str = "/etc/systemd/system/ferrogate-join.service";
const SEED: &str = "/var/lib/ferrogate-node/kubernetes";

type Change = Box<dyn Fn(&mut CloudConfig)>;

fn changed(path: &'static str, from: &'static str, to: &'static str) -> Change {
    Box::new(move |config| replace(config, path, from, to))
}

#[tokio::test(start_paused = true)]
async fn a_first_server_with_one_thing_wrong_never_comes_up_and_says_why() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let cases: Vec<(Change, &str)> = vec![
        (
            Box::new(|config| remove(config, &format!("{SEED}/pki/ca.key"))),
            "couldn't load the private key file /etc/kubernetes/pki/ca.key",
        ),
        (Box::new(|config| remove(config, &format!("{SEED}/pki/sa.pub"))), "open /etc/kubernetes/pki/sa.pub"),
        (changed(NODE, "ExecStart=/usr/bin/curl", "ExecStart=curl"), "absolute path"),
        (changed(NODE, "[Install]", "[Instal]"), "unknown section `[Instal]`"),
        (changed(NODE, "Restart=on-failure", "Restart=sometimes"), "Restart=sometimes"),
        (changed(CONFIG, "certSANs", "certSans"), "unknown field \"ClusterConfiguration.apiServer.certSans\""),
        (changed(CONFIG, "kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3"), "uses \"kubeadm.k8s.io/v1beta3\""),
        (changed(CONFIG, "v1.36.4", "v1.35.1"), "cannot make a cluster of v1.35.1"),
        (changed(CONFIG, "unix:///run/containerd", "unix:///run/other"), "no container runtime listens on"),
        (changed(NODE, "/usr/bin/tar --extract", "/usr/bin/tar --extrct"), "unrecognized option '--extrct'"),
        (changed(NODE, "k8s.io images import", "k8s.io image imports"), "ctr: `--namespace k8s.io image imports"),
        (
            changed(NODE, "--namespace k8s.io", "--namespace default"),
            "failed to pull image registry.k8s.io/kube-apiserver",
        ),
        (
            changed("/etc/sysctl.d/90-ferrogate.conf", "ip_forward = 1", "ip_forward = 0"),
            "ip_forward contents are not set to 1",
        ),
        (changed(JOIN, "--no-target-directory", "--no-target"), "unrecognized option '--no-target'"),
        (changed("/etc/containerd/config.toml", "sandbox", "sandbax"), "no sandbox image is pinned"),
        (
            changed(
                "/etc/systemd/system/ferrogate-reset.service",
                "--skip-phases remove-etcd-member",
                "--skip-phases etcd",
            ),
            "invalid phase name: etcd",
        ),
    ];
    for (change, reason) in cases {
        let (machine, _) = cluster.deploy_changed("cp-0", &Role::FirstServer, change).await;
        cluster.bench.until_said(&machine, reason).await;
        let console = cluster.bench.console(&machine).await;
        assert!(!console.contains(STARTED), "{reason}: {console}");
        cluster.bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        cluster.bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_the_bundle_lacks_is_named() {
    let cluster = Cluster::with_bundle(ClusterKind::Tenant, bundle_without("flannel")).await;
    let (machine, _, _) = cluster.first().await;
    let flannel = images().flannel;
    let words = format!("ErrImageNeverPull: Container image \"{flannel}\" is not present with pull policy of Never");
    cluster.bench.until_said(&machine, &words).await;
    let images = images();
    for image in [&images.etcd, &images.coredns, &images.pause] {
        let cluster = Cluster::with_bundle(ClusterKind::Tenant, bundle_without(image.short_name())).await;
        let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
        let name = if image == &images.pause { image.pinned() } else { image.to_string() };
        cluster.bench.until_said(&machine, &format!("failed to pull image {name}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_with_a_wrong_token_or_another_authority_is_refused() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let (_, address, kube) = cluster.first().await;
    let token = secrecy::ExposeSecret::expose_secret(&cluster.desired.materials.bootstrap_token()).to_owned();
    let (wrong, _) = cluster
        .deploy_changed("w-0", &Role::Agent(address), |config| {
            replace(config, CONFIG, &token, "abcdef.0123456789abcdef");
        })
        .await;
    cluster.bench.until_said(&wrong, "failed to get config map kubeadm-config: Unauthorized").await;
    let other = ferrogate_join::ClusterMaterials::generate("other", cluster.desired.materials.created).unwrap();
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let (from, to) = (&cluster.desired.materials.server_ca.certificate_pem, &other.server_ca.certificate_pem);
    let (stranger, _) = cluster
        .deploy_changed("w-1", &Role::Agent(address), |config| {
            replace(config, "/var/lib/ferrogate-node/discovery.conf", &encode(from), &encode(to));
        })
        .await;
    cluster.bench.until_said(&stranger, "[discovery] https://").await;
    assert_eq!(kube.ready_nodes().await.unwrap(), ["cp-0"]);
    let console = cluster.bench.console(&wrong).await;
    assert!(!console.contains("0123456789abcdef"), "{console}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_before_its_token_is_refused_and_tries_again() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let token = "/var/lib/ferrogate-node/manifests/bootstrap-token.yaml";
    let mut late = String::new();
    let (first, address) = cluster
        .deploy_changed("cp-0", &Role::FirstServer, |config| {
            late = config.files.iter().find(|file| file.path == token).unwrap().content.clone();
            remove(config, token);
        })
        .await;
    cluster.bench.until_said(&first, STARTED).await;
    let (worker, _) = cluster.deploy("w-0", &Role::Agent(address)).await;
    cluster.bench.until_said(&worker, "kubeadm-config: Unauthorized").await;
    let kube = cluster.bench.admin(address);
    let secret: serde_json::Value = serde_saphyr::from_str(&late).unwrap();
    let made = kube.send(http::Method::POST, "/api/v1/namespaces/kube-system/secrets", &[], Some(&secret)).await;
    assert_eq!(made.unwrap().0, 201);
    kube.until_ready(&["cp-0", "w-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn broken_user_data_fails_the_deployment_with_the_reason_on_the_console() {
    let bench = Bench::memory().await;
    for (user_data, reason) in [
        ("#cloud-config\nwrite_files: [\n", "failed loading yaml"),
        ("#cloud-config\nwrite_file: []\n", "did you mean 'write_files'?"),
        ("hello\n", "must begin with the line `#cloud-config`"),
        ("#cloud-config\nruncmd:\n- [kubeadm, init]\n", "kubeadm: no such program on this machine"),
        ("#cloud-config\nruncmd:\n- echo hello > /etc/motd\n", "/bin/sh: no such program"),
        ("#cloud-config\nruncmd:\n- [systemctl, enable, --now, nothing.service]\n", "Unit nothing.service not found"),
        ("#cloud-config\nwrite_files:\n- {path: /etc/x, owner: 'sarah:sarah'}\n", "unknown user or group"),
    ] {
        let machine = bench.deploy(user_data).await;
        bench.until_status(&machine, "Failed deployment").await;
        let console = bench.console(&machine).await;
        assert!(console.contains(reason), "{user_data}: {console}");
        bench.maas.release(&machine, &ferrogate_maas::request::Release::default()).await.unwrap();
        bench.until_status(&machine, "Ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_with_another_checksum_is_never_installed() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let whole = cluster.bench.replace_file(BUNDLE, b"something else".to_vec());
    let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
    cluster.bench.until_said(&machine, "computed checksum did NOT match").await;
    let root = cluster.bench.lab.machines().root(&machine).unwrap();
    assert!(!root.join("usr/local/bin/kubeadm").exists());
    // The right file appears, the unit's own restart heals it.
    cluster.bench.replace_file(BUNDLE, whole);
    cluster.bench.until_said(&machine, STARTED).await;
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_down_delays_a_node_and_no_more() {
    let cluster = Cluster::memory(ClusterKind::Tenant).await;
    let bench = &cluster.bench;
    bench.lab.proxy().stop().await;
    let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
    bench.until_status(&machine, "Deployed").await;
    bench.until_said(&machine, "Scheduled restart").await;
    assert!(bench.console(&machine).await.contains("curl: (7)"));
    bench.lab.proxy().resume().unwrap();
    bench.until_said(&machine, STARTED).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_proxy_there_is_no_way_out_of_the_site() {
    let mut cluster = Cluster::memory(ClusterKind::Tenant).await;
    cluster.desired.proxy.https = None;
    let (machine, _) = cluster.deploy("cp-0", &Role::FirstServer).await;
    cluster.bench.until_said(&machine, "curl: (6)").await;
    assert!(cluster.bench.lab.proxy().log().is_empty());
}
