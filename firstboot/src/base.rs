//! What every node is handed, whatever its role.

use crate::{
    artifacts::{NODE_UNIT, PLANE_CA, PROXY_ENV},
    units::environment_line,
};
use ferrogate_join::{
    Node, NodeConfiguration, Role, SetupError,
    cloud_config::{CloudConfig, Mode},
    names::{MACHINE_LABEL, POOL_LABEL},
};
use ferrogate_model::release::Architecture;
use secrecy::ExposeSecret;

/// People's keys, the time, the proxies, the CA of the downloads, and the start of the unit that does the rest.
pub(crate) fn begin(configuration: &NodeConfiguration, role: &Role) -> CloudConfig {
    let mut config = CloudConfig {
        ssh_keys: configuration.spec.ssh_keys.clone(),
        ntp_servers: configuration.spec.ntp_servers.clone(),
        ..CloudConfig::default()
    };
    config.file(PROXY_ENV, Mode::Private, proxy_environment(configuration, role));
    if let Some(ca) = &configuration.plane_ca_pem {
        config.file(PLANE_CA, Mode::Public, format!("{}\n", ca.trim_end()));
    }
    config.commands = [
        ["systemctl", "daemon-reload"].as_slice(),
        // Without waiting: a download that takes long must not hold up the machine's report to MAAS.
        ["systemctl", "enable", "--now", "--no-block", NODE_UNIT].as_slice(),
        // The machine calls itself Deployed next. What is not on the disk by then, a power cut takes: files come back empty,
        // units are not enabled, and nothing ever starts.
        ["sync"].as_slice(),
    ]
    .map(|command| command.iter().map(|&argument| argument.to_owned()).collect())
    .to_vec();
    config
}

pub(crate) fn architecture<'a>(
    configuration: &'a NodeConfiguration,
    node: &Node<'_>,
) -> Result<&'a Architecture, SetupError> {
    configuration.release.for_architecture(node.architecture).ok_or_else(|| SetupError::Architecture {
        release: configuration.release.version.clone(),
        machine: node.fqdn.to_owned(),
        architecture: node.architecture.to_owned(),
        supported: configuration.release.architectures.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Programs disagree on the spelling of these variables, so both are set.
fn proxy_environment(configuration: &NodeConfiguration, role: &Role) -> String {
    let proxy = &configuration.proxy;
    if proxy.is_empty() {
        return "# no proxy\n".to_owned();
    }
    let mut no_proxy = proxy.no_proxy.completed(configuration.spec.pod_cidr, configuration.spec.service_cidr, &[], "");
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

/// The labels a node may give to itself. Kubernetes lets it set only some of its own; the others are set over the API.
pub(crate) fn labels(node: &Node<'_>) -> Vec<String> {
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
