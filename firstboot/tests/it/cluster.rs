//! A cluster to set nodes up for, and one node's user-data.

use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{
    ClusterKind, ClusterMaterials, GatewayPayload, Node, NodeConfiguration, Role, cloud_config::CloudConfig,
};
use ferrogate_model::{
    Clock as _, ClusterId, SystemClock,
    allow::AllowRule,
    proxy::{ProxySettings, ProxyUrl},
    release::Release,
};
use secrecy::SecretString;
use serde_json::json;
use std::sync::LazyLock;

/// Making keys takes a while; all clusters may have the same ones.
static MATERIALS: LazyLock<ClusterMaterials> =
    LazyLock::new(|| ClusterMaterials::generate("prod", SystemClock.now()).unwrap());

/// One node's user-data, and what it is made of.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) configuration: NodeConfiguration,
    pub(crate) role: Role,
    pub(crate) config: CloudConfig,
}

impl Case {
    pub(crate) fn file(&self, path: &str) -> &str {
        let file = self.config.files.iter().find(|file| file.path == path);
        &file.unwrap_or_else(|| panic!("{} has no {path}", self.name)).content
    }

    pub(crate) fn units(&self) -> impl Iterator<Item = (&str, &str)> {
        let unit = |path: &'_ str| path.starts_with("/etc/systemd/system/");
        self.config.files.iter().filter(move |file| unit(&file.path)).map(|file| {
            let name = file.path.rsplit('/').next().unwrap();
            (name, file.content.as_str())
        })
    }
}

/// A cluster of this kind behind a proxy, with a plane whose CA is its own.
pub(crate) fn cluster(kind: ClusterKind) -> NodeConfiguration {
    let proxy: ProxyUrl = "http://site:proxy-secret@10.20.0.3:3128".parse().unwrap();
    let spec = json!({
        "control_plane": {"count": 1, "resource_pool": "default"},
        "workers": [{"name": "work", "count": 1, "resource_pool": "workers", "labels": {"tier": "front"},
            "taints": ["dedicated=db:NoSchedule", "solo:NoExecute"]}],
        "ssh_keys": ["ssh-ed25519 AAAAC3 alice@example.com"],
    });
    NodeConfiguration {
        cluster: ClusterId::new(),
        name: "prod".parse().unwrap(),
        kind,
        spec: serde_json::from_value(spec).unwrap(),
        release: Release { os_image: "custom/debian-13".to_owned(), ..Release::example() },
        materials: MATERIALS.clone(),
        artifacts_url: "https://plane.demo.internal/artifacts/".parse().unwrap(),
        plane_ca_pem: Some("certificate of the plane".into()),
        proxy: ProxySettings { https: Some(proxy), http: None, no_proxy: "10.20.0.0/24".parse().unwrap() },
        gateway: (kind == ClusterKind::Gateway).then(|| GatewayPayload {
            plane_url: "https://plane.example.com".parse().unwrap(),
            allow: vec![AllowRule { host: "10.20.0.0/24".into(), ports: vec![6443] }],
        }),
    }
}

pub(crate) fn render(configuration: NodeConfiguration, role: Role, names: &[String]) -> Case {
    let name = "node01".parse().unwrap();
    let spec = &configuration.spec;
    let pool = if matches!(role, Role::Agent(_)) { &spec.workers[0] } else { &spec.control_plane };
    let node = Node {
        system_id: "4y3hb3",
        name: &name,
        fqdn: "node01.maas",
        zone: "zone-a",
        architecture: "amd64/generic",
        address: Some("10.20.0.77".parse().unwrap()),
        pool,
    };
    let token = SecretString::from("enrolment-secret");
    let config = Kubeadm.cloud_config(&configuration, &node, &role, names, Some(&token)).unwrap();
    let name = format!("{:?} {role:?} {names:?}", configuration.kind);
    Case { name, configuration, role, config }
}
