//! `/etc/rancher/k3s/config.yaml`, read as k3s reads it: an unknown key or a wrong type ends the program.

use crate::kubernetes::registration::{Taint, check_label};
use ipnet::IpNet;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Which part of k3s runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Agent,
}

/// The settings that the simulation obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) token: Option<String>,
    pub(crate) token_file: Option<String>,
    pub(crate) agent_token: Option<String>,
    pub(crate) agent_token_file: Option<String>,
    /// The server to join.
    pub(crate) server: Option<String>,
    pub(crate) cluster_init: bool,
    pub(crate) node_name: Option<String>,
    pub(crate) node_ip: Option<IpAddr>,
    pub(crate) node_labels: Vec<(String, String)>,
    pub(crate) node_taints: Vec<Taint>,
    pub(crate) tls_san: Vec<String>,
    pub(crate) cluster_cidr: IpNet,
    pub(crate) service_cidr: IpNet,
    pub(crate) kubeconfig_mode: u32,
    /// Settings that must be the same on every server, in a fixed order, as text.
    pub(crate) critical: Vec<(String, String)>,
}

/// Keys that are valid and have no effect here, those of a server only marked so.
const WITHOUT_EFFECT: [(&str, bool); 27] = [
    ("disable", true),
    ("disable-helm-controller", true),
    ("disable-network-policy", true),
    ("disable-kube-proxy", true),
    ("disable-cloud-controller", true),
    ("disable-scheduler", true),
    ("flannel-backend", true),
    ("flannel-iface", false),
    ("secrets-encryption", true),
    ("cluster-dns", true),
    ("cluster-domain", true),
    ("advertise-address", true),
    ("bind-address", true),
    ("kube-apiserver-arg", true),
    ("kube-controller-manager-arg", true),
    ("kube-scheduler-arg", true),
    ("etcd-arg", true),
    ("etcd-expose-metrics", true),
    ("etcd-disable-snapshots", true),
    ("egress-selector-mode", true),
    ("kubelet-arg", false),
    ("kube-proxy-arg", false),
    ("node-external-ip", false),
    ("protect-kernel-defaults", false),
    ("selinux", false),
    ("snapshotter", false),
    ("debug", false),
];
/// Settings that k3s compares when a server joins.
const CRITICAL: [&str; 12] = [
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "disable",
    "disable-cloud-controller",
    "disable-helm-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "egress-selector-mode",
    "flannel-backend",
    "secrets-encryption",
    "service-cidr",
];
impl Config {
    /// Reads the file's text.
    ///
    /// # Errors
    /// In k3s's manner: one line that names the key.
    pub(crate) fn parse(text: &str, role: Role) -> Result<Self, String> {
        let value: Value = if text.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            serde_saphyr::from_str(text).map_err(|error| format!("config.yaml: {error}"))?
        };
        let map = value.as_object().ok_or("config.yaml: it is not a map of keys and values")?;
        let mut config = Self::empty();
        for (key, value) in map {
            config.set(key, value, role).map_err(|why| format!("config.yaml: {key}: {why}"))?;
        }
        if role == Role::Server {
            let shown = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
            config.critical = CRITICAL.iter().map(|key| ((*key).to_owned(), shown(key))).collect();
        }
        config.check(role)?;
        Ok(config)
    }

    fn empty() -> Self {
        Self {
            token: None,
            token_file: None,
            agent_token: None,
            agent_token_file: None,
            server: None,
            cluster_init: false,
            node_name: None,
            node_ip: None,
            node_labels: Vec::new(),
            node_taints: Vec::new(),
            tls_san: Vec::new(),
            // k3s's defaults.
            cluster_cidr: IpNet::V4(ipnet::Ipv4Net::new_assert([10, 42, 0, 0].into(), 16)),
            service_cidr: IpNet::V4(ipnet::Ipv4Net::new_assert([10, 43, 0, 0].into(), 16)),
            kubeconfig_mode: 0o600,
            critical: Vec::new(),
        }
    }

    fn set(&mut self, key: &str, value: &Value, role: Role) -> Result<(), String> {
        let only_server = || match role {
            Role::Server => Ok(()),
            Role::Agent => Err("flag provided but not defined for `k3s agent`".to_owned()),
        };
        match key {
            "token" => self.token = Some(text(value)?),
            "token-file" => self.token_file = Some(text(value)?),
            "agent-token" => only_server().and(text(value)).map(|text| self.agent_token = Some(text))?,
            "agent-token-file" => only_server().and(text(value)).map(|text| self.agent_token_file = Some(text))?,
            "server" => self.server = Some(text(value)?),
            "cluster-init" => only_server().and(boolean(value)).map(|flag| self.cluster_init = flag)?,
            "node-name" => self.node_name = Some(text(value)?),
            "node-ip" => {
                let given = list(value)?;
                let [one] = given.as_slice() else { return Err("one address is simulated".into()) };
                self.node_ip = Some(one.parse().map_err(|_| format!("invalid node-ip `{one}`"))?);
            }
            "node-label" => {
                for label in list(value)? {
                    let (key, value) = label.split_once('=').unwrap_or((label.as_str(), ""));
                    self.node_labels.push((key.to_owned(), value.to_owned()));
                }
            }
            "node-taint" => {
                for taint in list(value)? {
                    self.node_taints.push(Taint::parse(&taint)?);
                }
            }
            "tls-san" => only_server().and(list(value)).map(|names| self.tls_san = names)?,
            "cluster-cidr" => self.cluster_cidr = only_server().and(range(value))?,
            "service-cidr" => self.service_cidr = only_server().and(range(value))?,
            "write-kubeconfig-mode" => {
                only_server()?;
                let mode = text(value)?;
                self.kubeconfig_mode =
                    u32::from_str_radix(&mode, 8).map_err(|_| format!("`{mode}` is not an octal mode"))?;
            }
            key => match WITHOUT_EFFECT.iter().find(|(known, _)| *known == key) {
                Some((_, true)) => only_server()?,
                Some((_, false)) => {}
                None => return Err("flag provided but not defined".into()),
            },
        }
        Ok(())
    }

    fn check(&self, role: Role) -> Result<(), String> {
        if self.token.is_none() && self.token_file.is_none() && (role == Role::Agent || self.server.is_some()) {
            return Err("--token is required".into());
        }
        if role == Role::Agent && self.server.is_none() {
            return Err("--server is required".into());
        }
        if self.cluster_init && self.server.is_some() {
            return Err("cannot use both cluster-init and server".into());
        }
        if let Some(url) = &self.server {
            let parsed = url::Url::parse(url).map_err(|error| format!("server: {error}"))?;
            if parsed.scheme() != "https" {
                return Err(format!("server: only https:// URLs are supported, invalid scheme: {url}"));
            }
        }
        for (key, value) in &self.node_labels {
            check_label("node-label", key, value)?;
        }
        let overlap = self.cluster_cidr.contains(&self.service_cidr) || self.service_cidr.contains(&self.cluster_cidr);
        if overlap {
            return Err(format!("cluster-cidr {} overlaps service-cidr {}", self.cluster_cidr, self.service_cidr));
        }
        Ok(())
    }
}

/// Scalars are command-line values, so numbers and booleans are texts too.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("one value is expected".into()),
    }
}

fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        one => Ok(text(one)?.split(',').map(str::to_owned).collect()),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        other => text(other)?.parse().map_err(|_| "invalid boolean value".into()),
    }
}

fn range(value: &Value) -> Result<IpNet, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("`{text}` is not a range of addresses"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_an_agent_are_read() {
        let text = "node-name: n1\nnode-ip: 127.20.1.10\ntoken-file: /t\ncluster-init: true\ntls-san: [a, b]\n\
                    cluster-cidr: 192.168.0.0/16\nnode-label: [\"a/b=c\", topology.kubernetes.io/zone=z]\n\
                    node-taint: [\"k=v:NoSchedule\"]\ndisable: [traefik]\nwrite-kubeconfig-mode: \"0600\"\n";
        let config = Config::parse(text, Role::Server).unwrap();
        assert!(config.cluster_init && config.tls_san == ["a", "b"] && config.kubeconfig_mode == 0o600);
        assert_eq!(config.node_taints[0].effect, "NoSchedule");
        assert_eq!(config.node_labels[1], ("topology.kubernetes.io/zone".to_owned(), "z".to_owned()));
        assert!(config.critical.iter().any(|(key, value)| key == "disable" && value.contains("traefik")));
        let agent = Config::parse("server: https://10.0.0.1:6443\ntoken: x\n", Role::Agent).unwrap();
        assert_eq!(agent.server.as_deref(), Some("https://10.0.0.1:6443"));
    }

    #[test]
    fn what_k3s_would_die_of_is_named() {
        for (text, role, reason) in [
            ("nodename: x\n", Role::Server, "nodename: flag provided but not defined"),
            ("server: https://a:6443\ntoken: t\ntls-san: [x]\n", Role::Agent, "tls-san: flag provided but not defined"),
            ("token: t\n", Role::Agent, "--server is required"),
            ("server: https://a:6443\n", Role::Agent, "--token is required"),
            ("server: http://a:6443\ntoken: t\n", Role::Agent, "only https"),
            ("server: https://a:6443\ntoken: t\ncluster-init: true\n", Role::Server, "both cluster-init and server"),
            ("node-ip: nowhere\n", Role::Server, "invalid node-ip"),
            ("node-taint: [\"a=b\"]\n", Role::Server, "invalid taint"),
            ("node-taint: [\"a=b:Never\"]\n", Role::Server, "invalid taint effect"),
            ("node-label: [\"node-role.kubernetes.io/worker=\"]\n", Role::Server, "unknown 'kubernetes.io'"),
            ("cluster-cidr: 10.43.0.0/16\n", Role::Server, "overlaps service-cidr"),
            ("cluster-init: perhaps\n", Role::Server, "invalid boolean"),
            ("- a\n", Role::Server, "not a map"),
            ("a: [\n", Role::Server, "config.yaml"),
        ] {
            let error = Config::parse(text, role).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
