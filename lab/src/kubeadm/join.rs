//! `kubeadm join`: a further server, or an agent.

use super::{
    Flags, KUBERNETES,
    certificates::{Authorities, load_kubeconfig, local_server},
    configuration::{Cluster, Documents, Registration, Timeouts, endpoint},
    first_objects::mark,
    init::{cluster_images, same_minor},
    manifests, node,
    preflight::Preflight,
    read, until, write,
};
use crate::{
    kubernetes::{
        API_PORT,
        caller::{Caller, Failed},
        datastore::Datastore,
        kinds::Kind,
        kubeconfig::{Credentials, Kubeconfig},
    },
    machine::Machine,
};
use http::Method;
use serde_json::Value;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// What may be left out.
const PHASES: [&str; 5] =
    ["kubelet-start", "etcd-join", "kubelet-wait-bootstrap", "control-plane-join", "wait-control-plane"];

/// A join under way.
struct Join<'a> {
    machine: &'a Arc<Machine>,
    name: String,
    at: IpAddr,
    registration: Registration,
    timeouts: Timeouts,
    skipped: &'a [String],
    /// The cluster as a node without a certificate sees it.
    discovered: Kubeconfig,
    cluster: Cluster,
    kubelet: Value,
}

/// Runs it.
pub(super) async fn run(machine: &Arc<Machine>, version: &str, flags: &Flags) -> Result<(), String> {
    let documents = Documents::parse(&read(machine, &flags.config)?)?;
    documents.only(&["JoinConfiguration"])?;
    let document = documents.get("JoinConfiguration").unwrap_or(&Value::Null);
    if let Some(unknown) = flags.skipped.iter().find(|phase| !PHASES.contains(&phase.as_str())) {
        return Err(format!("invalid phase name: {unknown} (or leaving it out is not simulated)"));
    }
    let registration = Registration::parse(&document["nodeRegistration"])?;
    let timeouts = Timeouts::parse(&document["timeouts"])?;
    let control_plane = &document["controlPlane"];
    let (name, at) = node::identity(machine, &registration, endpoint(&control_plane["localAPIEndpoint"])?)?;
    let is_server = control_plane.is_object();
    Preflight { is_server, joins: true, images: &[] }.check(machine, &registration)?;
    let discovered = discover(machine, &document["discovery"], timeouts).await?;
    let caller = discovered.caller(machine.connector())?;
    let cluster = Cluster::parse(&fetch(&caller, "kubeadm-config", "ClusterConfiguration").await?)?;
    let kubelet = fetch(&caller, "kubelet-config", "kubelet").await?;
    if !same_minor(version, &cluster.version) {
        return Err(format!("this version of kubeadm ({version}) cannot join a cluster of {}", cluster.version));
    }
    let join =
        Join { machine, name, at, registration, timeouts, skipped: &flags.skipped, discovered, cluster, kubelet };
    if is_server {
        join.server(&caller).await?;
    } else {
        join.agent(&caller).await?;
    }
    machine.console.say("kubeadm", "This node has joined the cluster");
    Ok(())
}

/// The server and its authority from a file, the token from the configuration.
async fn discover(machine: &Machine, discovery: &Value, timeouts: Timeouts) -> Result<Kubeconfig, String> {
    let path = discovery["file"]["kubeConfigPath"].as_str();
    let path = path.ok_or("discovery: Invalid value: only discovery.file is simulated, and it must be set")?;
    let token = discovery["tlsBootstrapToken"].as_str().unwrap_or_default();
    let part =
        |text: &str, length| text.len() == length && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9'));
    if !token.split_once('.').is_some_and(|(id, secret)| part(id, 6) && part(secret, 16)) {
        return Err("discovery.tlsBootstrapToken: Invalid value: the bootstrap token is invalid".into());
    }
    let file = Kubeconfig::parse(&read(machine, path)?).map_err(|why| format!("{path}: {why}"))?;
    let nobody = Kubeconfig { user: Credentials::Nobody, ..file.clone() }.caller(machine.connector())?;
    // Who it is does not matter yet: an answer proves that the server has a certificate of this authority.
    until(machine, "kubeadm", timeouts.discovery, || {
        Box::pin(async {
            match nobody.call(Method::GET, "/api/v1/namespaces/kube-public/configmaps/cluster-info", None).await {
                Err(Failed { status: None, why }) => Err(format!("[discovery] {}: {why}", file.server)),
                _ => Ok(()),
            }
        })
    })
    .await?;
    Ok(Kubeconfig { user: Credentials::Token(token.into()), ..file })
}

async fn fetch(caller: &Caller, name: &str, field: &str) -> Result<Value, String> {
    let path = Kind::plural("configmaps").path("kube-system", name);
    let map = caller.call(Method::GET, &path, None).await;
    let map = map.map_err(|failed| format!("failed to get config map {name}: {}", failed.why))?;
    let text = map["data"][field].as_str().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| format!("config map {name}: {field}: {error}"))
}

impl Join<'_> {
    fn skips(&self, phase: &str) -> bool {
        self.skipped.iter().any(|skipped| skipped == phase)
    }

    async fn agent(&self, caller: &Caller) -> Result<(), String> {
        write(self.machine, "/etc/kubernetes/pki/ca.crt", &self.discovered.ca_pem, 0o644)?;
        if !self.skips("kubelet-start") {
            self.start_kubelet(caller, self.cluster.server(self.at)).await?;
        }
        self.wait_for_kubelet().await
    }

    async fn server(&self, caller: &Caller) -> Result<(), String> {
        let (machine, cluster) = (self.machine, &self.cluster);
        if cluster.endpoint.is_empty() {
            return Err("unable to add a new control plane instance to a cluster that doesn't have a stable \
                        controlPlaneEndpoint address"
                .into());
        }
        let images = cluster_images(cluster);
        Preflight { is_server: true, joins: true, images: &images }.check(machine, &self.registration)?;
        let authorities = Authorities::load(machine)?;
        authorities.issue(machine, cluster, &self.name, self.at)?;
        authorities.kubeconfigs(machine, cluster, self.at, false)?;
        manifests::control_plane(machine, cluster, self.at)?;
        let admin = load_kubeconfig(machine, "admin")?.caller(machine.connector())?;
        let store = self.etcd(&admin).await?;
        if !self.skips("kubelet-start") {
            self.start_kubelet(caller, local_server(self.at)).await?;
        }
        if !self.skips("etcd-join") {
            self.join_etcd(&store).await?;
        }
        self.wait_for_kubelet().await?;
        if !self.skips("control-plane-join") {
            until(machine, "kubeadm", self.timeouts.api, || Box::pin(mark(&admin, &self.name, &self.registration)))
                .await?;
        }
        if self.skips("wait-control-plane") {
            return Ok(());
        }
        node::wait_for_api(machine, self.at, self.timeouts, "admin").await
    }

    /// The etcd of the cluster, which must have a majority.
    async fn etcd(&self, admin: &Caller) -> Result<Arc<Datastore>, String> {
        let path = Kind::plural("endpoints").path("default", "kubernetes");
        let endpoints =
            admin.call(Method::GET, &path, None).await.map_err(|failed| format!("[check-etcd] {}", failed.why))?;
        let addresses = endpoints["subsets"][0]["addresses"].as_array().into_iter().flatten();
        let stores = &self.machine.site.datastores;
        let store = addresses.filter_map(|address| address["ip"].as_str()?.parse().ok()).find_map(|ip| stores.at(ip));
        let store = store.ok_or("[check-etcd] etcd cluster is not healthy: no member answers")?;
        store
            .list_members()
            .map_err(|_| "[check-etcd] etcd cluster is not healthy: there is no majority".to_owned())?;
        Ok(store)
    }

    /// Tells the others of this member, has the kubelet start it, and asks for its vote.
    async fn join_etcd(&self, store: &Arc<Datastore>) -> Result<(), String> {
        let machine = self.machine;
        machine.disk.create_dirs(super::ETCD_DATA).map_err(|error| format!("{}: {error}", super::ETCD_DATA))?;
        let words = |why: String| format!("[etcd] {why}");
        until(machine, "kubeadm", self.timeouts.etcd, || {
            Box::pin(std::future::ready(store.announce(&self.name, self.at).map_err(words)))
        })
        .await?;
        let members = store.list_members().map_err(|_| words("there is no majority".into()))?;
        let others: Vec<(String, IpAddr)> = members
            .into_iter()
            .filter(|member| member.name != self.name)
            .map(|member| (member.name, member.address))
            .collect();
        manifests::etcd(machine, &self.cluster, (&self.name, self.at), &others)?;
        machine.console.say("kubeadm", "[etcd] Waiting for the new etcd member to join the cluster");
        until(machine, "kubeadm", self.timeouts.etcd, || {
            Box::pin(std::future::ready(store.promote(&self.name).map_err(words)))
        })
        .await?;
        machine.console.say("kubeadm", format!("[etcd] Promoted the member {} to a voting member", self.name));
        Ok(())
    }

    async fn start_kubelet(&self, caller: &Caller, server: String) -> Result<(), String> {
        let path = Kind::plural("nodes").path("", &self.name);
        match caller.call(Method::GET, &path, None).await {
            Ok(node) if is_ready(&node) => {
                return Err(format!(
                    "[kubelet-start] a Node with name \"{}\" and status \"Ready\" already exists in the cluster. You must \
                     delete the existing Node or change the name of this new joining Node",
                    self.name
                ));
            }
            Ok(_) => {}
            Err(failed) if failed.status == Some(404) => {}
            Err(failed) => return Err(format!("[kubelet-start] cannot get Node \"{}\": {}", self.name, failed.why)),
        }
        let bootstrap = self.discovered.clone().with_server(server);
        let path = format!("{KUBERNETES}/bootstrap-kubelet.conf");
        write(self.machine, &path, &bootstrap.text("tls-bootstrap-token-user"), 0o600)?;
        node::start_kubelet(self.machine, &self.registration, self.timeouts, Some(&self.kubelet)).await
    }

    /// Waits until the kubelet has a certificate of its own.
    async fn wait_for_kubelet(&self) -> Result<(), String> {
        if self.skips("kubelet-wait-bootstrap") {
            return Ok(());
        }
        until(self.machine, "kubeadm", self.timeouts.bootstrap, || {
            let there = load_kubeconfig(self.machine, "kubelet");
            Box::pin(std::future::ready(there.map(drop).map_err(|why| format!("[kubelet-wait-bootstrap] {why}"))))
        })
        .await?;
        let path = format!("{KUBERNETES}/bootstrap-kubelet.conf");
        self.machine.disk.remove(&path).map_err(|error| format!("{path}: {error}"))
    }
}

fn is_ready(node: &Value) -> bool {
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The addresses of a list `NAME=https://ADDRESS:PORT,…` of etcd's, but for one.
pub(super) fn peers(list: &str, but: &str) -> Vec<IpAddr> {
    let address = |item: &str| {
        let (name, url) = item.split_once('=')?;
        let place: SocketAddr = url.strip_prefix("https://")?.parse().ok()?;
        (name != but && place.port() != API_PORT).then_some(place.ip())
    };
    list.split(',').filter_map(address).collect()
}
