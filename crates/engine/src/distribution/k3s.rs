//! k3s on the stock Ubuntu image.

mod virtual_address;

use super::{
    API_PORT, API_SERVER_NAME, Distribution, Node, RenderError, Role,
    artifacts::{Fetch, PROXY_ENV, Place, SYNC, Steps, add_node_unit},
    base, gateway,
};
use crate::{
    cloud_config::{CloudConfig, Mode},
    desired::{Desired, Kind},
    manifests,
    units::Unit,
    yaml::Document,
};
use ferrogate_model::release::{Architecture, Artifact};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;

const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const TOKEN: &str = "/etc/rancher/k3s/token";
const AGENT_TOKEN: &str = "/etc/rancher/k3s/agent-token";
/// What a node proves with that it is the one that first joined under its name.
const NODE_PASSWORD: &str = "/etc/rancher/node/password";
const TLS: &str = "/var/lib/rancher/k3s/server/tls";
const MANIFESTS: &str = "/var/lib/rancher/k3s/server/manifests";
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images";
const BINARY: &str = "/usr/local/bin/k3s";
const SERVICE: &str = "k3s.service";

/// The k3s distribution.
#[derive(Clone, Copy, Debug, Default)]
pub struct K3s;

impl Distribution for K3s {
    fn cloud_config(
        &self,
        desired: &Desired,
        node: &Node<'_>,
        role: &Role,
        names: &[String],
        enrolment: Option<&SecretString>,
    ) -> Result<CloudConfig, RenderError> {
        let files = base::architecture(desired, node)?;
        let binary = base::of_release(desired, files.k3s.as_ref(), "k3s")?;
        let mut config = base::begin(desired, role);
        add_membership(&mut config, desired, node, role, names);
        if *role == Role::FirstServer {
            add_authorities(&mut config, desired);
        }
        if !matches!(role, Role::Agent(_)) {
            add_manifests(&mut config, desired, names);
        }
        if desired.kind == Kind::Gateway {
            gateway::add(&mut config, desired, node, enrolment)?;
        }
        config.file(&format!("/etc/systemd/system/{SERVICE}"), Mode::Public, service(role));
        add_node_unit(
            &mut config,
            &desired.artifacts_url,
            desired.plane_ca_pem.is_some(),
            &fetches(desired, files, binary, role),
            &Steps {
                prepare: &[&["/usr/bin/systemctl", "enable", SERVICE]],
                start: &[&["/usr/bin/systemctl", "start", "--no-block", SERVICE]],
            },
        )?;
        Ok(config)
    }
}

fn add_membership(config: &mut CloudConfig, desired: &Desired, node: &Node<'_>, role: &Role, names: &[String]) {
    let materials = &desired.materials;
    let mut settings = Document::default();
    settings.set("node-name", node.name.as_str());
    if let Some(address) = node.address {
        settings.set("node-ip", &address.to_string());
    }
    settings.set("token-file", TOKEN);
    let token = match role {
        Role::FirstServer => {
            // Embedded etcd from the start, so that one server can become three.
            settings.flag("cluster-init");
            materials.server_token.clone()
        }
        Role::Server(address) => {
            settings.set("server", &server_url(*address));
            materials.server_join_token()
        }
        Role::Agent(address) => {
            settings.set("server", &server_url(*address));
            materials.agent_join_token()
        }
    };
    config.file(TOKEN, Mode::Private, format!("{}\n", token.expose_secret()));
    // k3s would make it when it joins and not sync it; a machine that loses power then could never join again.
    let password = materials.node_password(node.system_id, node.name.as_str());
    config.file(NODE_PASSWORD, Mode::Private, format!("{}\n", password.expose_secret()));
    if !matches!(role, Role::Agent(_)) {
        settings.set("agent-token-file", AGENT_TOKEN);
        config.file(AGENT_TOKEN, Mode::Private, format!("{}\n", materials.agent_token.expose_secret()));
        add_server_settings(&mut settings, desired, node, names);
    }
    settings.list("node-label", base::labels(node));
    settings.list("node-taint", &node.pool.taints);
    config.file(CONFIG, Mode::Private, settings.text());
}

fn add_server_settings(settings: &mut Document, desired: &Desired, node: &Node<'_>, names: &[String]) {
    settings.set("cluster-cidr", &desired.spec.pod_cidr.to_string());
    settings.set("service-cidr", &desired.spec.service_cidr.to_string());
    settings.set("write-kubeconfig-mode", "0600");
    let own = [API_SERVER_NAME, node.name.as_str(), node.fqdn];
    settings.list("tls-san", own.into_iter().map(str::to_owned).chain(names.iter().cloned()));
    match desired.kind {
        Kind::Gateway => {
            // Nothing but the gateway on the host's network: no overlay, no DNS, no ingress, no load balancer.
            settings.list("disable", ["traefik", "servicelb", "coredns", "metrics-server", "local-storage"]);
            settings.flag("disable-helm-controller");
            settings.flag("disable-network-policy");
            settings.set("flannel-backend", "host-gw");
        }
        Kind::Tenant => {
            // Ingress and load balancing are for the cluster's owner to choose.
            settings.list("disable", ["traefik", "servicelb"]);
            settings.flag("secrets-encryption");
        }
    }
}

fn server_url(address: IpAddr) -> String {
    format!("https://{}", std::net::SocketAddr::new(address, API_PORT))
}

/// The authorities stand where k3s takes them from instead of making its own.
fn add_authorities(config: &mut CloudConfig, desired: &Desired) {
    let materials = &desired.materials;
    for (name, authority) in [
        ("server-ca", &materials.server_ca),
        ("client-ca", &materials.client_ca),
        ("request-header-ca", &materials.request_header_ca),
        ("etcd/server-ca", &materials.etcd_server_ca),
        ("etcd/peer-ca", &materials.etcd_peer_ca),
    ] {
        config.file(&format!("{TLS}/{name}.crt"), Mode::Public, authority.certificate_pem.clone());
        config.file(&format!("{TLS}/{name}.key"), Mode::Private, authority.key_pem.expose_secret());
    }
    config.file(&format!("{TLS}/service.key"), Mode::Private, materials.service_account_key.expose_secret());
}

fn add_manifests(config: &mut CloudConfig, desired: &Desired, names: &[String]) {
    config.file(&format!("{MANIFESTS}/ferrogate-rbac.yaml"), Mode::Private, manifests::rbac());
    if desired.kind == Kind::Gateway {
        let image = &desired.release.gateway_image_ref;
        config.file(&format!("{MANIFESTS}/ferrogate-gateway.yaml"), Mode::Private, manifests::gateway(image));
    }
    // The plane reserves it before the first server of several is installed.
    let shared = names.iter().find_map(|name| name.parse::<IpAddr>().ok());
    if let (Some(address), Some(image)) = (shared, &desired.release.kube_vip_image_ref) {
        let file = format!("{MANIFESTS}/{}", virtual_address::FILE);
        config.file(&file, Mode::Private, virtual_address::manifest(image, address));
    }
}

fn fetches<'a>(desired: &Desired, files: &'a Architecture, binary: &'a Artifact, role: &Role) -> Vec<Fetch<'a>> {
    let image = |artifact: &'a Artifact, name: &str| {
        // containerd's import goes by the ending.
        let ending = [".tar.zst", ".tar.gz"].into_iter().find(|e| artifact.path.ends_with(e)).unwrap_or(".tar");
        let name = format!("{name}{ending}");
        let place = Place::Install { target: format!("{IMAGES}/{name}"), mode: "0644" };
        Fetch { artifact, name, place }
    };
    let mut all = Vec::new();
    if let Some(images) = &files.k3s_images {
        all.push(image(images, "k3s-images"));
    }
    if desired.kind == Kind::Gateway {
        all.push(image(&files.gateway_image, "ferrogate-gateway"));
    }
    // A single server has it too: it may become one of three.
    if let (Some(archive), false) = (&files.kube_vip_image, matches!(role, Role::Agent(_))) {
        all.push(image(archive, "kube-vip"));
    }
    let place = Place::Install { target: BINARY.into(), mode: "0755" };
    all.push(Fetch { artifact: binary, name: "k3s".into(), place });
    all
}

fn service(role: &Role) -> String {
    let (command, kind) = if matches!(role, Role::Agent(_)) { ("agent", "exec") } else { ("server", "notify") };
    let unit = Unit::default()
        .section("Unit")
        .set("Description", &format!("Kubernetes (k3s {command})"))
        .set("Documentation", "https://docs.k3s.io")
        .set("Wants", "network-online.target")
        .set("After", "network-online.target")
        .section("Service")
        .set("Type", kind)
        .set("EnvironmentFile", PROXY_ENV)
        .exec([BINARY, command]);
    // A further server is handed the authorities when it joins, and does not start again with what a power cut leaves of
    // them. An agent is handed everything anew at each start.
    let unit = if kind == "notify" { unit.set("ExecStartPost", &SYNC.join(" ")) } else { unit };
    unit
        // Containers outlive a restart of k3s; the limits are those that containers need.
        .set("KillMode", "process")
        .set("Delegate", "yes")
        .set("LimitNOFILE", "1048576")
        .set("LimitNPROC", "infinity")
        .set("LimitCORE", "infinity")
        .set("TasksMax", "infinity")
        .set("TimeoutStartSec", "0")
        .set("Restart", "always")
        .set("RestartSec", "5")
        .section("Install")
        .set("WantedBy", "multi-user.target")
        .text()
}
