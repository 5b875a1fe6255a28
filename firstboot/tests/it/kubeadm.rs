//! The user-data of a kubeadm node, as kubeadm, containerd and the kubelet read it.

use crate::cluster::{Case, cluster, render};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ferrogate_join::{ClusterKind, Role, cloud_config::Mode};
use ferrogate_model::{ImageRef, release::Release};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const HOME: &str = "/var/lib/ferrogate-node";

fn case(kind: ClusterKind, role: Role, names: &[&str]) -> Case {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    render(cluster(kind), role, &names)
}

fn server() -> Role {
    Role::Server("10.20.0.10".parse().unwrap())
}

fn agent() -> Role {
    Role::Agent("10.20.0.10".parse().unwrap())
}

/// The documents of a file, by their kind.
fn documents(text: &str) -> serde_json::Map<String, Value> {
    text.split("---\n")
        .map(|document| {
            let value: Value = serde_saphyr::from_str(document).unwrap();
            (value["kind"].as_str().unwrap().to_owned(), value)
        })
        .collect()
}

fn configuration(case: &Case) -> serde_json::Map<String, Value> {
    documents(case.file(&format!("{HOME}/kubeadm.yaml")))
}

#[test]
fn the_first_server_begins_the_cluster_of_the_release() {
    let case = case(ClusterKind::Tenant, Role::FirstServer, &[]);
    let all = configuration(&case);
    let cluster = &all["ClusterConfiguration"];
    assert_eq!(cluster["apiVersion"], "kubeadm.k8s.io/v1beta4");
    assert_eq!(cluster["kubernetesVersion"], "v1.36.4");
    assert_eq!(cluster["controlPlaneEndpoint"], "10.20.0.77:6443");
    assert_eq!(cluster["networking"], json!({"podSubnet": "192.168.0.0/16", "serviceSubnet": "10.43.0.0/16"}));
    let images = Release::example().images;
    let tag = |image: &ImageRef| format!("{}@{}", image.tag(), image.digest());
    assert_eq!(cluster["etcd"]["local"]["imageTag"], tag(&images.etcd));
    assert_eq!(cluster["dns"]["imageTag"], tag(&images.coredns));
    assert_eq!(cluster["proxy"]["disabled"], false);
    assert_eq!(all["KubeProxyConfiguration"]["mode"], "nftables");
    let init = &all["InitConfiguration"];
    assert_eq!(init["localAPIEndpoint"]["advertiseAddress"], "10.20.0.77");
    assert_eq!(init["nodeRegistration"]["taints"], json!([]), "servers take pods");
    // A slow machine needs more than kubeadm's minute.
    assert_eq!(init["timeouts"]["kubernetesAPICall"], "5m0s");
    // kubeadm shows every token it is told of.
    assert!(!case.file(&format!("{HOME}/kubeadm.yaml")).contains("token:"));
    let token = case.configuration.materials.bootstrap_token();
    let manifest = documents(case.file(&format!("{HOME}/manifests/bootstrap-token.yaml")));
    let data = &manifest["Secret"]["stringData"];
    let joined = format!("{}.{}", data["token-id"].as_str().unwrap(), data["token-secret"].as_str().unwrap());
    assert_eq!(joined, token.expose_secret());
}

#[test]
fn a_gateways_cluster_has_neither_dns_nor_services_nor_a_pod_network() {
    let case = case(ClusterKind::Gateway, Role::FirstServer, &[]);
    let all = configuration(&case);
    assert_eq!(all["ClusterConfiguration"]["dns"], json!({"disabled": true}));
    assert_eq!(all["ClusterConfiguration"]["proxy"], json!({"disabled": true}));
    assert!(!all.contains_key("KubeProxyConfiguration"));
    assert!(!case.config.files.iter().any(|file| file.path.ends_with("flannel.yaml")));
    let network: Value = serde_json::from_str(case.file("/etc/cni/net.d/10-ferrogate.conflist")).unwrap();
    assert_eq!(network["plugins"][0]["type"], "bridge");
    // Its pod sees `/etc/ferrogate`; the cluster's keys are elsewhere.
    for file in case.config.files.iter().filter(|file| file.path.starts_with("/etc/ferrogate/")) {
        assert!(!file.content.contains("PRIVATE KEY"), "{}", file.path);
    }
}

#[test]
fn who_joins_trusts_the_authority_and_nothing_else() {
    for role in [server(), agent()] {
        let case = case(ClusterKind::Tenant, role, &[]);
        let all = configuration(&case);
        assert_eq!(all.len(), 1);
        let join = &all["JoinConfiguration"];
        let token = case.configuration.materials.bootstrap_token();
        assert_eq!(join["discovery"]["tlsBootstrapToken"], token.expose_secret());
        assert!(join["discovery"].get("bootstrapToken").is_none());
        let path = join["discovery"]["file"]["kubeConfigPath"].as_str().unwrap();
        let discovery: Value = serde_saphyr::from_str(case.file(path)).unwrap();
        let cluster = &discovery["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://10.20.0.10:6443");
        let authority = STANDARD.decode(cluster["certificate-authority-data"].as_str().unwrap()).unwrap();
        assert_eq!(authority, case.configuration.materials.server_ca.certificate_pem.as_bytes());
        assert_eq!(join.get("controlPlane").is_some(), matches!(case.role, Role::Server(_)));
    }
}

#[test]
fn a_worker_has_the_taints_and_labels_of_its_pool() {
    let case = case(ClusterKind::Tenant, agent(), &[]);
    let registration = &configuration(&case)["JoinConfiguration"]["nodeRegistration"];
    assert_eq!(
        registration["taints"],
        json!([
            {"key": "dedicated", "value": "db", "effect": "NoSchedule"},
            {"key": "solo", "value": "", "effect": "NoExecute"},
        ])
    );
    let arguments = registration["kubeletExtraArgs"].as_array().unwrap();
    let labels = "ferrogate.io/machine=4y3hb3,ferrogate.io/pool=work,topology.kubernetes.io/zone=zone-a,tier=front";
    assert_eq!(arguments[0], json!({"name": "node-labels", "value": labels}));
    assert_eq!(arguments[1], json!({"name": "node-ip", "value": "10.20.0.77"}));
}

#[test]
fn every_server_has_the_authorities_and_the_plane_is_believed() {
    for role in [Role::FirstServer, server()] {
        let case = case(ClusterKind::Tenant, role, &[]);
        let materials = &case.configuration.materials;
        let pki = |name: &str| case.file(&format!("{HOME}/kubernetes/pki/{name}"));
        assert_eq!(pki("ca.crt"), materials.server_ca.certificate_pem);
        assert_eq!(pki("etcd/ca.key"), materials.etcd_server_ca.key_pem.expose_secret());
        assert_eq!(pki("front-proxy-ca.crt"), materials.request_header_ca.certificate_pem);
        assert_eq!(pki("sa.pub"), materials.service_account_public_pem().unwrap());
        assert!(pki("client-ca.crt").contains(&materials.client_ca.certificate_pem));
        assert!(pki("client-ca.crt").contains(&materials.server_ca.certificate_pem));
        let encryption: Value = serde_saphyr::from_str(pki("encryption.yaml")).unwrap();
        let key = &encryption["resources"][0]["providers"][0]["secretbox"]["keys"][0]["secret"];
        assert_eq!(key, materials.secrets_encryption_key().expose_secret());
        let keys = case.config.files.iter().filter(|file| file.path.ends_with(".key"));
        assert!(keys.into_iter().all(|file| file.mode == Mode::Private));
    }
    let case = case(ClusterKind::Tenant, Role::FirstServer, &[]);
    let arguments = &configuration(&case)["ClusterConfiguration"]["apiServer"]["extraArgs"];
    for (name, file) in [("client-ca-file", "client-ca.crt"), ("encryption-provider-config", "encryption.yaml")] {
        let wanted = json!({"name": name, "value": format!("/etc/kubernetes/pki/{file}")});
        assert!(arguments.as_array().unwrap().contains(&wanted), "{arguments}");
    }
}

#[test]
fn servers_with_a_shared_address_hold_it_and_everybody_goes_there() {
    let names = ["10.20.0.200", "prod-0123.maas"];
    let first = case(ClusterKind::Tenant, Role::FirstServer, &names);
    let all = configuration(&first);
    assert_eq!(all["ClusterConfiguration"]["controlPlaneEndpoint"], "10.20.0.200:6443");
    let certificate = all["ClusterConfiguration"]["apiServer"]["certSANs"].as_array().unwrap();
    assert!(names.iter().all(|name| certificate.contains(&json!(name))), "{certificate:?}");
    for role in [Role::FirstServer, server(), agent()] {
        let case = case(ClusterKind::Tenant, role.clone(), &names);
        let path = format!("{HOME}/kubernetes/manifests/kube-vip.yaml");
        let pod = case.config.files.iter().find(|file| file.path == path);
        if let Role::Server(_) = role {
            // One server that becomes three: so far nobody holds the address.
            assert!(case.file(&format!("{HOME}/discovery.conf")).contains("https://10.20.0.10:6443"));
        }
        let Some(pod) = pod else {
            assert!(matches!(role, Role::Agent(_)));
            assert!(case.file(&format!("{HOME}/discovery.conf")).contains("https://10.20.0.200:6443"));
            continue;
        };
        let pod: Value = serde_saphyr::from_str(&pod.content).unwrap();
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["image"], Release::example().images.kube_vip.to_string());
        assert_eq!(container["imagePullPolicy"], "Never");
        assert!(container["env"].as_array().unwrap().contains(&json!({"name": "address", "value": "10.20.0.200"})));
        // `admin.conf` has no rights before the first server is done.
        let identity = if role == Role::FirstServer { "super-admin.conf" } else { "admin.conf" };
        assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["path"], format!("/etc/kubernetes/{identity}"));
    }
}

#[test]
fn the_first_server_gives_its_address_holder_less_rights_once_the_cluster_stands() {
    let lasting = format!("{HOME}/kube-vip.yaml");
    let link =
        format!("\nExecStart=/usr/bin/ln --symbolic --force {lasting} /etc/kubernetes/manifests/kube-vip.yaml\n");
    let unit = |case: &Case| case.file("/etc/systemd/system/ferrogate-kubeadm.service").to_owned();
    let names = ["10.20.0.200", "prod-0123.maas"];
    let first = case(ClusterKind::Tenant, Role::FirstServer, &names);
    let begins: Value =
        serde_saphyr::from_str(first.file(&format!("{HOME}/kubernetes/manifests/kube-vip.yaml"))).unwrap();
    let mut then: Value = serde_saphyr::from_str(first.file(&lasting)).unwrap();
    let identity = &mut then["spec"]["volumes"][0]["hostPath"]["path"];
    assert_eq!(*identity, "/etc/kubernetes/admin.conf");
    *identity = json!("/etc/kubernetes/super-admin.conf");
    assert_eq!(then, begins, "nothing else is different");
    let text = unit(&first);
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("no `{words}` in\n{text}"));
    // After kubeadm and kubectl, which need the rights; before the mark, so that a cut makes it happen at the next boot.
    assert!(place("start ferrogate-join.service") < place("kubectl") && place("kubectl") < place(&link), "{text}");
    assert!(place(&link) < place("/dev/null /var/lib/ferrogate-node/ready"), "{text}");
    for (role, names) in [(Role::FirstServer, [].as_slice()), (server(), &names), (agent(), &names)] {
        let other = case(ClusterKind::Tenant, role, names);
        assert!(!unit(&other).contains("kube-vip"), "{}", unit(&other));
        assert!(!other.config.files.iter().any(|file| file.path == lasting));
    }
}

/// A power cut at any point of the start is followed by another start.
#[test]
fn a_start_is_taken_up_again_and_a_member_of_etcd_is_never_cleared() {
    for role in [Role::FirstServer, server(), agent()] {
        let case = case(ClusterKind::Tenant, role.clone(), &[]);
        let unit = |name: &str| case.file(&format!("/etc/systemd/system/{name}.service"));
        let reset = unit("ferrogate-reset");
        assert!(reset.contains("\nConditionPathExists=!/var/lib/etcd/member\n"), "{reset}");
        assert!(reset.contains("--skip-phases remove-etcd-member"), "{reset}");
        let clearing = case.config.files.iter().filter(|file| file.content.contains("kubeadm reset"));
        assert_eq!(clearing.count(), 1);
        let join = unit("ferrogate-join");
        assert!(join.contains("\nConditionPathExists=!/var/lib/ferrogate-node/joined\n"), "{join}");
        let command = if role == Role::FirstServer { "init" } else { "join" };
        assert!(join.contains(&format!("/usr/local/bin/kubeadm {command} --config")), "{join}");
        // What the reset clears is put there again.
        assert_eq!(join.contains("/usr/bin/cp --archive"), !matches!(role, Role::Agent(_)), "{join}");
        let resume = case.config.files.iter().find(|file| file.path.ends_with("ferrogate-resume.service"));
        assert_eq!(resume.is_some(), matches!(role, Role::Server(_)));
        assert_eq!(join.contains("!/var/lib/etcd/member"), resume.is_some(), "{join}");
        if let Some(resume) = resume {
            assert!(resume.content.contains("--skip-phases kubelet-start,kubelet-wait-bootstrap"));
            // Nobody is a member of etcd before what was prepared is on the disk, and nothing is joined before that.
            assert!(join.contains("--skip-phases etcd-join,") && join.trim_end().ends_with("/usr/bin/sync"), "{join}");
            assert!(!join.contains("/var/lib/ferrogate-node/joined\nExecStart"), "{join}");
            assert!(join.contains("\nExecStart=-/usr/bin/chattr +S /etc/kubernetes/manifests\n"), "{join}");
        }
        let membership = unit("ferrogate-kubeadm");
        assert!(membership.contains("\nRestart=on-failure\n") && membership.contains("\nStartLimitIntervalSec=0\n"));
        assert!(membership.contains("\nWantedBy=multi-user.target\n"), "{membership}");
        assert_eq!(membership.contains("kubectl"), role == Role::FirstServer);
    }
}

#[test]
fn containerd_holds_pods_with_the_bundles_image_and_alone_uses_the_proxy() {
    let case = case(ClusterKind::Tenant, agent(), &[]);
    let settings: toml::Value = toml::from_str(case.file("/etc/containerd/config.toml")).unwrap();
    assert_eq!(settings["version"].as_integer(), Some(3));
    let images = &settings["plugins"]["io.containerd.cri.v1.images"];
    assert_eq!(images["pinned_images"]["sandbox"].as_str(), Some(Release::example().images.pause.pinned().as_str()));
    let runc = &settings["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"]["runc"];
    assert_eq!(runc["options"]["SystemdCgroup"].as_bool(), Some(true));
    for (unit, uses) in [("containerd", true), ("ferrogate-node", true), ("kubelet", false), ("ferrogate-join", false)]
    {
        let text = case.file(&format!("/etc/systemd/system/{unit}.service"));
        assert_eq!(text.contains("EnvironmentFile=/etc/ferrogate/proxy.env"), uses, "{unit}");
    }
}
