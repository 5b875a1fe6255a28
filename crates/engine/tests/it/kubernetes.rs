//! A Kubernetes API that is where the machines of the simulated MAAS are: a connection to a deployed server is answered
//! over TLS with the authority that its user-data brought, and every machine that was told to join it is a node.

use async_trait::async_trait;
use bytes::Bytes;
use ferrogate_lab::maas::{Maas, MachineSnapshot};
use ferrogate_model::SystemId;
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Target};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_rustls::TlsAcceptor;

/// A machine's life: its id and how often it was deployed.
type Life = (SystemId, u32);

/// All clusters of the site.
#[derive(Clone, Debug)]
pub(crate) struct Kubernetes {
    maas: Maas,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    clusters: BTreeMap<Life, Cluster>,
    acceptors: BTreeMap<Life, Acceptor>,
    silent: BTreeSet<String>,
    never_join: BTreeSet<String>,
    /// Pods that no eviction moves, as node names.
    stubborn: BTreeSet<String>,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

#[derive(Debug, Default)]
struct Cluster {
    registered: BTreeSet<Life>,
    nodes: BTreeMap<String, (Life, Value)>,
    pods: BTreeMap<String, Vec<String>>,
    evicted: Vec<String>,
    /// Members of etcd by name; servers enter when they join and leave only by `etcdctl member remove`.
    etcd: Vec<String>,
    /// Pods that were made over the API, by name: what they say in the end.
    jobs: BTreeMap<String, Value>,
}

impl Cluster {
    /// What `etcdctl` does with these arguments.
    fn etcdctl(&mut self, arguments: &[&str]) -> (bool, String) {
        let id = |name: &str| name.bytes().fold(7_u64, |id, byte| id.wrapping_mul(31).wrapping_add(u64::from(byte)));
        match arguments {
            [.., "member", "list", "--write-out=json"] => {
                let members: Vec<Value> = self
                    .etcd
                    .iter()
                    .map(|name| json!({"ID": id(name), "name": name, "peerURLs": ["https://10.99.0.1:2380"]}))
                    .collect();
                (true, json!({"members": members}).to_string())
            }
            [.., "member", "remove", wanted] => {
                let before = self.etcd.len();
                self.etcd.retain(|name| format!("{:x}", id(name)) != *wanted);
                (self.etcd.len() < before, "Error: etcdserver: member not found".to_owned())
            }
            other => panic!("etcdctl {other:?}"),
        }
    }

    /// Runs a pod to its end at once.
    fn run(&mut self, pod: &Value) -> Value {
        let spec = &pod["spec"];
        let place = spec["nodeName"].as_str().unwrap();
        assert!(self.etcd.iter().any(|name| name == place), "{place} is a server: {:?}", self.etcd);
        let command: Vec<&str> =
            spec["containers"][0]["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let (is_well, said) = self.etcdctl(&command);
        let phase = if is_well { "Succeeded" } else { "Failed" };
        json!({"metadata": pod["metadata"], "status": {"phase": phase}, "said": said})
    }
}

impl Kubernetes {
    pub(crate) fn new(maas: Maas) -> Self {
        Self { maas, state: Arc::default() }
    }

    /// A machine that no longer answers on 6443.
    pub(crate) fn silence(&self, hostname: &str, silent: bool) {
        let mut state = self.state.lock().unwrap();
        if silent {
            state.silent.insert(hostname.into())
        } else {
            state.silent.remove(hostname)
        };
    }

    /// A machine whose Kubernetes never comes up.
    pub(crate) fn never_joins(&self, hostname: &str) {
        self.state.lock().unwrap().never_join.insert(hostname.into());
    }

    /// A node whose pods cannot be moved.
    pub(crate) fn make_stubborn(&self, node: &str) {
        self.state.lock().unwrap().stubborn.insert(node.into());
    }

    /// The nodes of every cluster whose server lives, with their labels.
    pub(crate) fn nodes(&self) -> BTreeMap<String, Value> {
        let machines = self.maas.machines();
        let mut state = self.state.lock().unwrap();
        let lives: Vec<Life> =
            machines.iter().filter(|machine| is_up(machine)).map(|m| (m.system_id.clone(), m.deploys)).collect();
        for life in &lives {
            if state.clusters.contains_key(life) {
                state.sync(life, &machines);
            }
        }
        let living = state.clusters.iter().filter(|(life, _)| lives.contains(life));
        living
            .flat_map(|(_, cluster)| cluster.nodes.iter().map(|(name, (_, node))| (name.clone(), node.clone())))
            .collect()
    }

    /// Every pod that was moved.
    pub(crate) fn evicted(&self) -> Vec<String> {
        self.state.lock().unwrap().clusters.values().flat_map(|cluster| cluster.evicted.clone()).collect()
    }

    /// The members of etcd in each cluster whose server lives.
    pub(crate) fn etcd(&self) -> Vec<Vec<String>> {
        let machines = self.maas.machines();
        let is_alive = |life: &Life| machines.iter().any(|m| m.system_id == life.0 && m.deploys == life.1 && is_up(m));
        let state = self.state.lock().unwrap();
        state.clusters.iter().filter(|(life, _)| is_alive(life)).map(|(_, cluster)| cluster.etcd.clone()).collect()
    }

    fn acceptor(&self, life: &Life, user_data: &UserData, name: &str) -> Acceptor {
        let mut state = self.state.lock().unwrap();
        state.acceptors.entry(life.clone()).or_insert_with(|| user_data.acceptor(name)).clone()
    }

    async fn serve(self, io: tokio::io::DuplexStream, life: Life, acceptor: Acceptor) {
        let Ok(stream) = acceptor.0.accept(io).await else { return };
        let service = service_fn(move |request: Request<Incoming>| {
            let (site, life) = (self.clone(), life.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let (status, answer) = site.answer(&life, &parts.method, &parts.uri.to_string(), &body);
                let response = Response::builder().status(status).body(Full::new(Bytes::from(answer.to_string())));
                Ok::<_, Infallible>(response.unwrap())
            }
        });
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    fn answer(&self, life: &Life, method: &Method, uri: &str, body: &[u8]) -> (StatusCode, Value) {
        let machines = self.maas.machines();
        let mut state = self.state.lock().unwrap();
        state.sync(life, &machines);
        let stubborn = state.stubborn.clone();
        let cluster = state.clusters.get_mut(life).unwrap();
        let path: Vec<&str> = uri.split('?').next().unwrap().trim_start_matches('/').split('/').collect();
        let missing = (StatusCode::NOT_FOUND, json!({"message": "not found"}));
        match (method.as_str(), path.as_slice()) {
            ("GET", ["api", "v1", "nodes"]) => {
                let items: Vec<&Value> = cluster.nodes.values().map(|(_, node)| node).collect();
                (StatusCode::OK, json!({"kind": "NodeList", "items": items}))
            }
            ("PATCH", ["api", "v1", "nodes", name]) => match cluster.nodes.get_mut(*name) {
                Some((_, node)) => {
                    merge(node, &serde_json::from_slice(body).unwrap());
                    (StatusCode::OK, node.clone())
                }
                None => missing,
            },
            ("DELETE", ["api", "v1", "nodes", name]) => match cluster.nodes.remove(*name) {
                Some(_) => (StatusCode::OK, json!({})),
                None => missing,
            },
            ("GET", ["api", "v1", "pods"]) => {
                let node = uri.split("%3D").nth(1).unwrap();
                let items: Vec<Value> = cluster.pods.get(node).into_iter().flatten().map(|pod| {
                    json!({"metadata": {"name": pod, "namespace": "default"}, "status": {"phase": "Running"}})
                }).collect();
                (StatusCode::OK, json!({"items": items}))
            }
            ("POST", ["api", "v1", "namespaces", _, "pods", pod, "eviction"]) => {
                for (node, pods) in &mut cluster.pods {
                    if stubborn.contains(node) && pods.iter().any(|there| there == pod) {
                        return (StatusCode::TOO_MANY_REQUESTS, json!({"message": "disruption budget"}));
                    }
                    pods.retain(|there| there != pod);
                }
                cluster.evicted.push((*pod).to_owned());
                (StatusCode::CREATED, json!({}))
            }
            ("POST", ["api", "v1", "namespaces", "kube-system", "pods"]) => {
                let pod: Value = serde_json::from_slice(body).unwrap();
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                if cluster.jobs.contains_key(&name) {
                    return (StatusCode::CONFLICT, json!({"message": "already exists"}));
                }
                let ended = cluster.run(&pod);
                cluster.jobs.insert(name, ended);
                (StatusCode::CREATED, pod)
            }
            ("GET", ["api", "v1", "namespaces", "kube-system", "pods", pod]) => {
                cluster.jobs.get(*pod).map_or(missing, |pod| (StatusCode::OK, pod.clone()))
            }
            ("GET", ["api", "v1", "namespaces", "kube-system", "pods", pod, "log"]) => {
                let said = cluster.jobs.get(*pod).and_then(|pod| pod["said"].as_str());
                said.map_or(missing, |said| (StatusCode::OK, serde_json::from_str(said).unwrap_or(json!(said))))
            }
            ("DELETE", ["api", "v1", "namespaces", "kube-system", "pods", pod]) => {
                cluster.jobs.remove(*pod).map_or(missing, |_| (StatusCode::OK, json!({})))
            }
            _ => missing,
        }
    }
}

impl State {
    /// Lets every machine that was told to join this server appear, once in its life.
    fn sync(&mut self, server: &Life, machines: &[MachineSnapshot]) {
        let addresses: Vec<IpAddr> = machines
            .iter()
            .filter(|machine| machine.system_id == server.0)
            .flat_map(|machine| machine.addresses.clone())
            .collect();
        let never_join = self.never_join.clone();
        let cluster = self.clusters.entry(server.clone()).or_default();
        for machine in machines.iter().filter(|machine| is_up(machine) && !never_join.contains(&machine.hostname)) {
            let life = (machine.system_id.clone(), machine.deploys);
            let Some(user_data) = UserData::of(machine) else { continue };
            let member =
                life == *server || joins(&user_data, machine, machines).is_some_and(|to| addresses.contains(&to));
            if member && cluster.registered.insert(life.clone()) {
                let name = user_data.name();
                if user_data.is_server() {
                    cluster.etcd.push(name.clone());
                }
                cluster.pods.insert(name.clone(), vec![format!("web-{name}")]);
                cluster.nodes.insert(name.clone(), (life, user_data.node(&name)));
            }
        }
        // A kubelet that is gone stops posting.
        for (life, node) in cluster.nodes.values_mut() {
            let up = machines.iter().any(|m| m.system_id == life.0 && m.deploys == life.1 && is_up(m));
            node["status"]["conditions"] = condition(up);
        }
    }
}

/// The machine that a machine joins, by its address. A shared address, which is no machine's, leads to the server that was
/// noted for it.
fn joins(user_data: &UserData, machine: &MachineSnapshot, machines: &[MachineSnapshot]) -> Option<IpAddr> {
    let told = user_data.joins()?;
    if machines.iter().any(|machine| machine.addresses.contains(&told)) {
        return Some(told);
    }
    machine.owner_data.get(ferrogate_engine::mark::SERVER)?.parse().ok()
}

fn condition(up: bool) -> Value {
    let (status, message) = if up { ("True", "") } else { ("Unknown", "kubelet stopped posting node status") };
    json!([{"type": "Ready", "status": status, "message": message}])
}

fn is_up(machine: &MachineSnapshot) -> bool {
    machine.status == "Deployed"
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

#[async_trait]
impl Connector for Kubernetes {
    async fn connect(&self, target: &Target, _deadline: Duration) -> Result<BoxIo, ConnectError> {
        let refused = ConnectError {
            failure: ConnectFailure::Refused,
            target: target.clone(),
            via: None,
            detail: "nothing listens there".into(),
        };
        let address = target.address().ok_or_else(|| refused.clone())?;
        let machines = self.maas.machines();
        let machine = machines.iter().find(|machine| machine.addresses.contains(&address) && is_up(machine));
        let machine = machine.ok_or_else(|| refused.clone())?;
        let user_data = UserData::of(machine).filter(UserData::is_server).ok_or_else(|| refused.clone())?;
        {
            let state = self.state.lock().unwrap();
            if state.silent.contains(&machine.hostname) || state.never_join.contains(&machine.hostname) {
                return Err(refused);
            }
        }
        let life = (machine.system_id.clone(), machine.deploys);
        let acceptor = self.acceptor(&life, &user_data, &machine.fqdn);
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(self.clone().serve(theirs, life, acceptor));
        Ok(Box::new(ours))
    }
}

/// The files of a machine's user-data.
pub(crate) struct UserData(BTreeMap<String, String>);

impl UserData {
    pub(crate) fn of(machine: &MachineSnapshot) -> Option<Self> {
        let text = String::from_utf8(machine.user_data.clone()?).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        let files = value["write_files"].as_array().unwrap().iter().map(|file| {
            assert!(file.get("encoding").is_none(), "the files of these tests are plain");
            (file["path"].as_str().unwrap().to_owned(), file["content"].as_str().unwrap().to_owned())
        });
        Some(Self(files.collect()))
    }

    pub(crate) fn file(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// The document by which kubeadm begins a cluster or joins one.
    pub(crate) fn configuration(&self) -> Value {
        let documents = self.file("/var/lib/ferrogate-node/kubeadm.yaml").split("---\n");
        let mut documents = documents.map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
        documents.find(|document| document.get("nodeRegistration").is_some()).unwrap()
    }

    fn is_server(&self) -> bool {
        let configuration = self.configuration();
        configuration["kind"] == "InitConfiguration" || configuration.get("controlPlane").is_some()
    }

    fn name(&self) -> String {
        self.configuration()["nodeRegistration"]["name"].as_str().unwrap().to_owned()
    }

    /// Where whoever joins finds the cluster.
    pub(crate) fn joins(&self) -> Option<IpAddr> {
        let configuration = self.configuration();
        let file = configuration["discovery"]["file"]["kubeConfigPath"].as_str()?;
        let discovery: Value = serde_saphyr::from_str(self.file(file)).unwrap();
        let url: url::Url = discovery["clusters"][0]["cluster"]["server"].as_str()?.parse().unwrap();
        assert_eq!(url.port(), Some(6443));
        url.host_str()?.parse().ok()
    }

    fn node(&self, name: &str) -> Value {
        let configuration = self.configuration();
        let arguments = configuration["nodeRegistration"]["kubeletExtraArgs"].as_array().unwrap().iter();
        let labels = arguments.filter(|argument| argument["name"] == "node-labels");
        let labels: serde_json::Map<String, Value> = labels
            .flat_map(|argument| argument["value"].as_str().unwrap().split(','))
            .filter_map(|label| label.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        json!({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"conditions": condition(true)}})
    }

    fn acceptor(&self, name: &str) -> Acceptor {
        let file = |name: &str| self.file(&format!("/var/lib/ferrogate-node/kubernetes/pki/{name}")).to_owned();
        let issuer_key = KeyPair::from_pem(&file("ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&file("ca.crt"), issuer_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["kubernetes".to_owned(), name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let mut clients = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(file("client-ca.crt").as_bytes()) {
            clients.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider)).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            )
            .unwrap();
        Acceptor(TlsAcceptor::from(Arc::new(config)))
    }
}
