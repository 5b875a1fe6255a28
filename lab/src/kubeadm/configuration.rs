//! kubeadm's configuration file, as far as it has an effect here.

use super::{containerd::SOCKET, schema};
use crate::kubernetes::{
    API_PORT,
    registration::{Taint, check_label},
};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};

/// The documents of one file.
pub(super) struct Documents(Vec<Value>);

/// What this node is told of itself.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    pub(super) name: Option<String>,
    pub(super) taints: Vec<Taint>,
    pub(super) ignored: Vec<String>,
    /// Arguments of the kubelet.
    pub(super) arguments: Vec<(String, String)>,
}

/// How long kubeadm waits for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) control_plane: Duration,
    pub(super) kubelet: Duration,
    pub(super) etcd: Duration,
    pub(super) bootstrap: Duration,
    pub(super) discovery: Duration,
    pub(super) api: Duration,
}

/// What the cluster is.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) version: String,
    /// Where everybody finds the API, `HOST:PORT`; empty where that is not said.
    pub(super) endpoint: String,
    pub(super) services: IpNet,
    pub(super) pods: IpNet,
    pub(super) cert_sans: Vec<String>,
    pub(super) api_arguments: Vec<(String, String)>,
    pub(super) etcd_arguments: Vec<(String, String)>,
    pub(super) etcd_tag: String,
    /// CoreDNS's tag; `None`: there is no DNS.
    pub(super) dns_tag: Option<String>,
    pub(super) proxy: bool,
}

impl Documents {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let all: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| format!("error unmarshaling configuration: {error}"))?;
        let all: Vec<Value> = all.into_iter().filter(|document| !document.is_null()).collect();
        if all.is_empty() {
            return Err("no configuration documents are in the file".into());
        }
        for (at, document) in all.iter().enumerate() {
            schema::check(document)?;
            if all[..at].iter().any(|other| other["kind"] == document["kind"]) {
                return Err(format!("found two documents of the kind {}", document["kind"]));
            }
        }
        Ok(Self(all))
    }

    pub(super) fn get(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|document| document["kind"] == kind)
    }

    /// Refuses documents of other kinds than these.
    pub(super) fn only(&self, kinds: &[&str]) -> Result<(), String> {
        let other = self.0.iter().find(|document| !kinds.iter().any(|kind| document["kind"] == *kind));
        other.map_or(Ok(()), |other| Err(format!("a document of the kind {} has no place here", other["kind"])))
    }
}

impl Registration {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let place = "nodeRegistration";
        if let Some(socket) = value["criSocket"].as_str()
            && socket != SOCKET
        {
            return Err(format!("{place}.criSocket: no container runtime listens on {socket}"));
        }
        let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let mut taints = Vec::new();
        for taint in value["taints"].as_array().into_iter().flatten() {
            let (key, value, effect) = (text(taint, "key"), text(taint, "value"), text(taint, "effect"));
            taints.push(
                Taint::parse(&format!("{key}={value}:{effect}")).map_err(|why| format!("{place}.taints: {why}"))?,
            );
        }
        let arguments = arguments(&value["kubeletExtraArgs"]);
        for (_, labels) in arguments.iter().filter(|(name, _)| name == "node-labels") {
            for label in labels.split(',') {
                let (key, value) = label.split_once('=').ok_or(format!("{place}: `{label}` is not a label"))?;
                check_label("node-labels", key, value)?;
            }
        }
        let ignored = value["ignorePreflightErrors"].as_array().into_iter().flatten();
        Ok(Self {
            name: value["name"].as_str().map(str::to_lowercase),
            taints,
            ignored: ignored.filter_map(|check| Some(check.as_str()?.to_lowercase())).collect(),
            arguments,
        })
    }

    /// The address that the kubelet is to have.
    pub(super) fn node_ip(&self) -> Result<Option<IpAddr>, String> {
        let given = self.arguments.iter().find(|(name, _)| name == "node-ip");
        given
            .map(|(_, text)| text.parse().map_err(|_| format!("kubeletExtraArgs: node-ip `{text}` is no address")))
            .transpose()
    }
}

impl Timeouts {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let span = |field: &str, default: u64| match value[field].as_str() {
            Some(text) => duration(text).ok_or(format!("timeouts.{field}: `{text}` is not a span of time")),
            None => Ok(Duration::from_secs(default)),
        };
        // kubeadm's defaults.
        Ok(Self {
            control_plane: span("controlPlaneComponentHealthCheck", 240)?,
            kubelet: span("kubeletHealthCheck", 240)?,
            etcd: span("etcdAPICall", 120)?,
            bootstrap: span("tlsBootstrap", 300)?,
            discovery: span("discovery", 300)?,
            api: span("kubernetesAPICall", 60)?,
        })
    }
}

impl Cluster {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let range = |field: &str, default: &str| {
            let text = value["networking"][field].as_str().unwrap_or(default);
            text.parse::<IpNet>().map_err(|_| format!("networking.{field}: `{text}` is not a range of addresses"))
        };
        let endpoint = value["controlPlaneEndpoint"].as_str().unwrap_or_default().to_owned();
        if let Some((host, port)) = endpoint.rsplit_once(':')
            && (host.is_empty() || port.parse::<u16>().is_err())
        {
            return Err(format!("controlPlaneEndpoint: Invalid value: \"{endpoint}\""));
        }
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let tag = |value: &Value, default: &str| value["imageTag"].as_str().unwrap_or(default).to_owned();
        let version = value["kubernetesVersion"].as_str().unwrap_or_default().to_owned();
        if !version.starts_with('v') || version.split('.').count() != 3 {
            return Err(format!("kubernetesVersion: `{version}`: a version such as v1.36.4 is simulated"));
        }
        let data = value["etcd"]["local"]["dataDir"].as_str().unwrap_or(super::ETCD_DATA);
        if data != super::ETCD_DATA {
            return Err(format!("etcd.local.dataDir: only {} is simulated", super::ETCD_DATA));
        }
        Ok(Self {
            version,
            endpoint,
            services: range("serviceSubnet", "10.96.0.0/12")?,
            pods: range("podSubnet", "10.244.0.0/16")?,
            cert_sans: texts(&value["apiServer"]["certSANs"]),
            api_arguments: arguments(&value["apiServer"]["extraArgs"]),
            etcd_arguments: arguments(&value["etcd"]["local"]["extraArgs"]),
            etcd_tag: tag(&value["etcd"]["local"], "unknown"),
            dns_tag: (value["dns"]["disabled"] != true).then(|| tag(&value["dns"], "unknown")),
            proxy: value["proxy"]["disabled"] != true,
        })
    }

    /// Where everybody finds the API; this server's own address where nothing else is said.
    pub(super) fn server(&self, own: IpAddr) -> String {
        let own = std::net::SocketAddr::new(own, API_PORT).to_string();
        let place = if self.endpoint.is_empty() { &own } else { &self.endpoint };
        if place.contains(':') { format!("https://{place}") } else { format!("https://{place}:{API_PORT}") }
    }

    /// One of Kubernetes' own images.
    pub(super) fn image(&self, component: &str) -> String {
        format!("registry.k8s.io/{component}:{}", self.version)
    }

    pub(super) fn etcd_image(&self) -> String {
        format!("registry.k8s.io/etcd:{}", self.etcd_tag)
    }
}

/// The address that an API server is reached at; `None`: the machine's first.
pub(super) fn endpoint(value: &Value) -> Result<Option<IpAddr>, String> {
    if let Some(port) = value["bindPort"].as_u64()
        && port != u64::from(API_PORT)
    {
        return Err(format!("localAPIEndpoint.bindPort: only {API_PORT} is simulated"));
    }
    let given = value["advertiseAddress"].as_str();
    given.map(|text| text.parse().map_err(|_| format!("advertiseAddress: `{text}` is no address"))).transpose()
}

/// The default of what a kubelet is told by kubeadm.
pub(super) fn kubelet_defaults(given: Option<&Value>) -> Value {
    let mut kubelet = given
        .cloned()
        .unwrap_or_else(|| json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}));
    for (field, value) in [("staticPodPath", json!(super::MANIFESTS)), ("rotateCertificates", json!(true))] {
        if kubelet[field].is_null() {
            kubelet[field] = value;
        }
    }
    kubelet
}

fn arguments(value: &Value) -> Vec<(String, String)> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    value.as_array().into_iter().flatten().map(|item| (text(item, "name"), text(item, "value"))).collect()
}

/// A span as Go writes it: `10m0s`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut number) = (0, String::new());
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total += number.parse::<u64>().ok()? * unit;
        number.clear();
    }
    (number.is_empty() && !text.is_empty()).then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_writes_them() {
        assert_eq!(duration("10m0s"), Some(Duration::from_secs(600)));
        assert_eq!(duration("43800h0m0s"), Some(Duration::from_secs(43_800 * 3600)));
        for bad in ["", "10", "m", "1 h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_is_refused_what_the_kubelet_would_refuse() {
        for (value, reason) in [
            (json!({"criSocket": "/run/docker.sock"}), "no container runtime"),
            (json!({"taints": [{"key": "a", "effect": "Never"}]}), "invalid taint effect"),
            (
                json!({"kubeletExtraArgs": [{"name": "node-labels", "value": "node-role.kubernetes.io/x=y"}]}),
                "unknown 'kubernetes.io'",
            ),
        ] {
            let error = Registration::parse(&value).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
