//! k3s on the stock Ubuntu image.

use super::{
    API_PORT, API_SERVER_NAME, Distribution, MACHINE_LABEL, Node, POOL_LABEL, RenderError, Role,
    artifacts::{Fetch, NODE_UNIT, PLANE_CA, PROXY_ENV, add_node_unit},
};
use crate::{
    cloud_config::{CloudConfig, Mode},
    desired::{Desired, Kind},
    manifests,
    units::{Unit, environment_line},
    yaml::Document,
};
use ferrogate_model::{
    gateway_config::{GATEWAY_CONFIG_PATH, GATEWAY_STATE_DIR, GatewayConfig},
    release::{Architecture, Artifact},
};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;

const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const TOKEN: &str = "/etc/rancher/k3s/token";
const AGENT_TOKEN: &str = "/etc/rancher/k3s/agent-token";
const TLS: &str = "/var/lib/rancher/k3s/server/tls";
const MANIFESTS: &str = "/var/lib/rancher/k3s/server/manifests";
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images";
const BINARY: &str = "/usr/local/bin/k3s";
const SERVICE: &str = "k3s.service";
const ENROLMENT_TOKEN: &str = "/etc/ferrogate/enrolment-token";

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
        let files = architecture(desired, node)?;
        let mut config = CloudConfig {
            ssh_keys: desired.spec.ssh_keys.clone(),
            ntp_servers: desired.spec.ntp_servers.clone(),
            ..CloudConfig::default()
        };
        config.file(PROXY_ENV, Mode::Private, proxy_environment(desired, role));
        if let Some(ca) = &desired.plane_ca_pem {
            config.file(PLANE_CA, Mode::Public, with_final_newline(ca));
        }
        add_membership(&mut config, desired, node, role, names);
        if *role == Role::FirstServer {
            add_authorities(&mut config, desired);
        }
        if !matches!(role, Role::Agent(_)) {
            add_manifests(&mut config, desired);
        }
        if desired.kind == Kind::Gateway {
            add_gateway(&mut config, desired, node, enrolment)?;
        }
        config.file(&format!("/etc/systemd/system/{SERVICE}"), Mode::Public, service(role));
        add_node_unit(
            &mut config,
            &desired.artifacts_url,
            desired.plane_ca_pem.is_some(),
            &fetches(desired, files),
            SERVICE,
        )?;
        config.commands = [
            ["systemctl", "daemon-reload"].as_slice(),
            // Without waiting: a download that takes long must not hold up the machine's report to MAAS.
            ["systemctl", "enable", "--now", "--no-block", NODE_UNIT].as_slice(),
        ]
        .map(|command| command.iter().map(|&argument| argument.to_owned()).collect())
        .to_vec();
        Ok(config)
    }
}

fn architecture<'a>(desired: &'a Desired, node: &Node<'_>) -> Result<&'a Architecture, RenderError> {
    desired.release.for_architecture(node.architecture).ok_or_else(|| RenderError::Architecture {
        release: desired.release.version.clone(),
        machine: node.fqdn.to_owned(),
        architecture: node.architecture.to_owned(),
        supported: desired.release.architectures.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Programs disagree on the spelling of these variables, so both are set.
fn proxy_environment(desired: &Desired, role: &Role) -> String {
    let proxy = &desired.proxy;
    if proxy.is_empty() {
        return "# no proxy\n".to_owned();
    }
    let mut no_proxy = proxy.no_proxy.completed(desired.spec.pod_cidr, desired.spec.service_cidr, &[], "");
    if let Role::Server(address) | Role::Agent(address) = role {
        no_proxy.add([address.to_string()]);
    }
    let https = proxy.https.as_ref().map(|url| url.expose().expose_secret().to_owned());
    let http = proxy.http.as_ref().map(|url| url.expose().expose_secret().to_owned());
    let values = [("https_proxy", https), ("http_proxy", http), ("no_proxy", Some(no_proxy.to_string()))];
    let mut text = String::new();
    for (key, value) in values {
        if let Some(value) = value {
            text.push_str(&environment_line(key, &value));
            text.push_str(&environment_line(&key.to_ascii_uppercase(), &value));
        }
    }
    text
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
    if !matches!(role, Role::Agent(_)) {
        settings.set("agent-token-file", AGENT_TOKEN);
        config.file(AGENT_TOKEN, Mode::Private, format!("{}\n", materials.agent_token.expose_secret()));
        add_server_settings(&mut settings, desired, node, names);
    }
    settings.list("node-label", labels(node));
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

/// The labels a node may give to itself. Kubernetes lets it set only some of its own; the others are set over the API.
fn labels(node: &Node<'_>) -> Vec<String> {
    let mut labels = vec![format!("{MACHINE_LABEL}={}", node.system_id), format!("{POOL_LABEL}={}", node.pool.name)];
    if is_label_value(node.zone) {
        labels.push(format!("topology.kubernetes.io/zone={}", node.zone));
    }
    let own = |key: &str| {
        key.split_once('/').is_none_or(|(front, _)| !front.ends_with("kubernetes.io") && !front.ends_with("k8s.io"))
    };
    labels.extend(node.pool.labels.iter().filter(|(key, _)| own(key)).map(|(key, value)| format!("{key}={value}")));
    labels
}

/// Whether a text may be a label's value.
fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
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

fn add_manifests(config: &mut CloudConfig, desired: &Desired) {
    config.file(&format!("{MANIFESTS}/ferrogate-rbac.yaml"), Mode::Private, manifests::rbac());
    if desired.kind == Kind::Gateway {
        let image = &desired.release.gateway_image_ref;
        config.file(&format!("{MANIFESTS}/ferrogate-gateway.yaml"), Mode::Private, manifests::gateway(image));
    }
}

fn add_gateway(
    config: &mut CloudConfig,
    desired: &Desired,
    node: &Node<'_>,
    enrolment: Option<&SecretString>,
) -> Result<(), RenderError> {
    let missing = |what| RenderError::Gateway { machine: node.fqdn.to_owned(), what };
    let payload = desired.gateway.as_ref().ok_or_else(|| missing("plane address"))?;
    let token = enrolment.ok_or_else(|| missing("enrolment token"))?;
    let proxy = &desired.proxy;
    let no_proxy = proxy.no_proxy.completed(desired.spec.pod_cidr, desired.spec.service_cidr, &[], "");
    let gateway = GatewayConfig {
        plane_url: payload.plane_url.clone(),
        plane_ca_file: desired.plane_ca_pem.as_ref().map(|_| PLANE_CA.into()),
        node_name: node.name.clone(),
        state_dir: GATEWAY_STATE_DIR.into(),
        enrolment_token_file: ENROLMENT_TOKEN.into(),
        admin_listen: None,
        https_proxy: proxy.https.as_ref().map(|url| url.expose().expose_secret().to_owned()),
        no_proxy: if proxy.https.is_some() { no_proxy.to_string() } else { String::new() },
        allow: payload.allow.clone(),
    };
    config.file(GATEWAY_CONFIG_PATH, Mode::Private, toml::to_string(&gateway)?);
    config.file(ENROLMENT_TOKEN, Mode::Private, format!("{}\n", token.expose_secret()));
    Ok(())
}

fn fetches<'a>(desired: &Desired, files: &'a Architecture) -> Vec<Fetch<'a>> {
    let image = |artifact: &'a Artifact, name: &str| {
        // containerd's import goes by the ending.
        let ending = [".tar.zst", ".tar.gz"].into_iter().find(|e| artifact.path.ends_with(e)).unwrap_or(".tar");
        let name = format!("{name}{ending}");
        Fetch { artifact, target: format!("{IMAGES}/{name}"), name, mode: "0644" }
    };
    let mut all = Vec::new();
    if let Some(images) = &files.k3s_images {
        all.push(image(images, "k3s-images"));
    }
    if desired.kind == Kind::Gateway {
        all.push(image(&files.gateway_image, "ferrogate-gateway"));
    }
    all.push(Fetch { artifact: &files.k3s, name: "k3s".into(), target: BINARY.into(), mode: "0755" });
    all
}

fn service(role: &Role) -> String {
    let (command, kind) = if matches!(role, Role::Agent(_)) { ("agent", "exec") } else { ("server", "notify") };
    Unit::default()
        .section("Unit")
        .set("Description", &format!("Kubernetes (k3s {command})"))
        .set("Documentation", "https://docs.k3s.io")
        .set("Wants", "network-online.target")
        .set("After", "network-online.target")
        .section("Service")
        .set("Type", kind)
        .set("EnvironmentFile", PROXY_ENV)
        .exec([BINARY, command])
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

fn with_final_newline(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}
