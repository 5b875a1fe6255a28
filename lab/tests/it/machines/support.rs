//! A site with a place to download from, and cloud-configs in the style of the product's own.

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ferrogate_engine::materials::ClusterMaterials;
use ferrogate_lab::{Backend as _, Container, Lab, LabOptions, Programs, k3s::simulated_binary};
use ferrogate_maas::{
    ApiKey, Client, ClientOptions, Endpoint,
    request::{Allocate, Deploy},
};
use ferrogate_model::{Clock as _, SystemClock, SystemId};
use ferrogate_net::{HttpClient, Limits, Listener, Network, Trust};
use http::Method;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) const VERSION: &str = "v1.34.2+k3s1";
pub(super) const IMAGE: &str = "ferrogate/gateway:0.1.0";
const PLANE: &str = "10.9.0.1:443";

/// A site in memory, a server for downloads behind its proxy, and a program for the gateway's image.
pub(super) struct Bench {
    pub(super) lab: Lab,
    pub(super) maas: Client,
    pub(super) programs: Arc<Recorder>,
    pub(super) materials: ClusterMaterials,
    pub(super) ca_pem: String,
    pub(super) files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Bench {
    /// In memory; use it with a paused clock.
    pub(super) async fn memory() -> Self {
        let network = Network::memory();
        Self::start(
            LabOptions { network: Some(network.clone()), ..LabOptions::default() },
            &network,
            PLANE.parse().unwrap(),
        )
        .await
    }

    /// On sockets.
    pub(super) async fn sockets() -> Self {
        Self::start(LabOptions::default(), &Network::sockets(), "127.0.0.1:0".parse().unwrap()).await
    }

    async fn start(options: LabOptions, network: &Network, plane: SocketAddr) -> Self {
        let files = Arc::new(Mutex::new(BTreeMap::from([
            ("/artifacts/k3s".to_owned(), simulated_binary(VERSION)),
            ("/artifacts/gateway.tar".to_owned(), b"an image".to_vec()),
        ])));
        let listener = network.listen(plane).unwrap();
        let plane = listener.local_addr().unwrap();
        let ca_pem = serve_files(listener, Arc::clone(&files));
        let programs = Arc::new(Recorder { network: network.clone(), seen: Mutex::default() });
        let lab = Lab::start(LabOptions {
            programs: Arc::clone(&programs) as Arc<dyn Programs>,
            proxy_credentials: Some(("site".into(), "s@cret".into())),
            proxy_hosts: BTreeMap::from([("plane.test".to_owned(), plane.ip())]),
            ..options
        })
        .await
        .unwrap();
        // The port is part of the address that machines are given, so the proxy passes it on as it is.
        files.lock().unwrap().insert("port".into(), plane.port().to_string().into_bytes());
        let (endpoint, _) = Endpoint::parse(&lab.maas_endpoint()).unwrap();
        let key: ApiKey = lab.api_key().expose_secret().parse().unwrap();
        let maas = Client::new(ClientOptions::new(endpoint, key, lab.connector(), Arc::new(SystemClock))).unwrap();
        let materials = ClusterMaterials::generate("test", SystemClock.now()).unwrap();
        Self { lab, maas, programs, materials, ca_pem, files }
    }

    pub(super) fn artifacts(&self) -> String {
        let port = String::from_utf8(self.files.lock().unwrap()["port"].clone()).unwrap();
        format!("https://plane.test:{port}/artifacts")
    }

    /// Allocates and deploys one machine.
    pub(super) async fn deploy(&self, user_data: &str) -> SystemId {
        let machine = self.maas.allocate(&Allocate::default()).await.unwrap();
        let what = Deploy { user_data: Some(user_data.into()), ..Deploy::default() };
        self.maas.deploy(&machine.system_id, &what).await.unwrap();
        machine.system_id
    }

    pub(super) async fn console(&self, machine: &SystemId) -> String {
        self.lab.machines().console_log(machine).await
    }

    pub(super) async fn status(&self, machine: &SystemId) -> String {
        self.maas.machine(machine).await.unwrap().status_name
    }

    pub(super) async fn address(&self, machine: &SystemId) -> IpAddr {
        self.maas.machine(machine).await.unwrap().ip_addresses[0]
    }

    /// Waits until the console has these words.
    pub(super) async fn until_said(&self, machine: &SystemId, words: &str) {
        eventually(words, async || {
            let console = self.console(machine).await;
            if console.contains(words) { Ok(()) } else { Err(console) }
        })
        .await;
    }

    pub(super) async fn until_status(&self, machine: &SystemId, wanted: &str) {
        eventually(wanted, async || {
            let status = self.status(machine).await;
            if status == wanted { Ok(()) } else { Err(format!("{status}\n{}", self.console(machine).await)) }
        })
        .await;
    }

    /// A client of the API at an address, as this user of these groups.
    pub(super) fn kube(&self, address: IpAddr, user: &str, group: &str) -> Kube {
        let identity =
            self.materials.client_identity(user, group, SystemClock.now(), Duration::from_secs(3600)).unwrap();
        let trust = Trust::ca(self.materials.server_ca.certificate_pem.clone())
            .with_identity(identity.certificate_pem, identity.key_pem);
        self.kube_with(address, trust)
    }

    pub(super) fn kube_with(&self, address: IpAddr, trust: Trust) -> Kube {
        let client = HttpClient::builder(self.lab.connector()).trust(trust).build().unwrap();
        Kube { client, base: format!("https://{}", SocketAddr::new(address, 6443)) }
    }

    pub(super) fn admin(&self, address: IpAddr) -> Kube {
        self.kube(address, "admin", "system:masters")
    }
}

/// Tries until it succeeds; after five minutes (of the test's clock) it is a failure that shows what was seen last.
pub(super) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        match check().await {
            Ok(done) => return done,
            Err(seen) => assert!(started.elapsed() < Duration::from_secs(300), "never: {what}; seen:\n{seen}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A raw client of a Kubernetes API.
pub(super) struct Kube {
    client: HttpClient,
    base: String,
}

impl Kube {
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(u16, Value), String> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let limits = Limits { deadline: Duration::from_secs(5), ..Limits::default() };
        let answer = self.client.send(request.body(body).unwrap(), limits).await.map_err(|error| error.to_string())?;
        let value = serde_json::from_slice(answer.body())
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(answer.body()).into_owned()));
        Ok((answer.status().as_u16(), value))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        match self.send(Method::GET, path, &[], None).await? {
            (200, value) => Ok(value),
            (status, value) => Err(format!("{status}: {value}")),
        }
    }

    /// Names of the nodes that are Ready.
    pub(super) async fn ready_nodes(&self) -> Result<Vec<String>, String> {
        let list = self.get("/api/v1/nodes").await?;
        let is_ready = |node: &&Value| {
            let conditions = node["status"]["conditions"].as_array().unwrap();
            conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        };
        let nodes = list["items"].as_array().unwrap().iter().filter(is_ready);
        Ok(nodes.map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect())
    }

    pub(super) async fn until_ready(&self, wanted: &[&str]) {
        eventually(&format!("{wanted:?} Ready"), async || {
            let ready = self.ready_nodes().await?;
            if ready == wanted { Ok(()) } else { Err(format!("{ready:?}")) }
        })
        .await;
    }
}

/// Image, arguments, environment, and the gateway's settings as the program read them.
pub(super) type Seen = (String, Vec<String>, BTreeMap<String, String>, String);

/// A program that serves the gateway's admin port and remembers what it was started with.
#[derive(Debug)]
pub(super) struct Recorder {
    network: Network,
    pub(super) seen: Mutex<Vec<Seen>>,
}

#[async_trait]
impl Programs for Recorder {
    async fn start(&self, container: Container) -> Result<(), String> {
        let config = container.root.join("etc/ferrogate/gateway.toml");
        let config = std::fs::read_to_string(config).map_err(|error| format!("gateway.toml: {error}"))?;
        if container.root.join("etc/rancher").exists() {
            return Err("a container sees what it has not mounted".into());
        }
        std::fs::write(container.root.join("var/lib/ferrogate/key"), "key").map_err(|error| error.to_string())?;
        let listener = self
            .network
            .listen(SocketAddr::new(container.node_address, 9470))
            .map_err(|error| format!("port 9470: {error}"))?;
        self.seen.lock().unwrap().push((container.image, container.args, container.env, config));
        let serve = async {
            while let Ok((mut io, _)) = listener.accept().await {
                let _ = io.read(&mut [0; 1024]).await;
                let _ = io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
        };
        container.cancel.run_until_cancelled(serve).await;
        Ok(())
    }
}

/// Serves files over TLS; the PEM of the certificate.
fn serve_files(listener: Listener, files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["plane.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let (acceptor, files) = (acceptor.clone(), Arc::clone(&files));
            tokio::spawn(async move {
                let Ok(mut io) = acceptor.accept(io).await else { return };
                let mut head = vec![0; 4096];
                let n = io.read(&mut head).await.unwrap_or(0);
                let path = String::from_utf8_lossy(&head[..n]).split(' ').nth(1).unwrap_or_default().to_owned();
                let file = files.lock().unwrap().get(&path).cloned();
                let (status, body) = file.map_or(("404 Not Found", Vec::new()), |file| ("200 OK", file));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = io.write_all(&[head.as_bytes(), &body].concat()).await;
                let _ = io.shutdown().await;
            });
        }
    });
    certificate.pem()
}

/// What a node is to become.
pub(super) enum Role<'a> {
    First,
    Server(&'a str),
    Agent(&'a str),
}

/// The files of one node's cloud-config; tests change them before they render.
pub(super) struct NodeFiles {
    pub(super) files: Vec<(String, &'static str, String)>,
    pub(super) commands: Vec<Vec<String>>,
}

impl NodeFiles {
    pub(super) fn new(bench: &Bench, name: &str, role: &Role<'_>) -> Self {
        let materials = &bench.materials;
        let mut all = Self {
            files: Vec::new(),
            commands: vec![
                vec!["systemctl".into(), "daemon-reload".into()],
                ["systemctl", "enable", "--now", "--no-block", "ferrogate-node.service"].map(str::to_owned).to_vec(),
                // Without it the machine that loses its power comes back with empty files.
                vec!["sync".into()],
            ],
        };
        let proxy = bench.lab.proxy().url();
        let proxy = proxy.expose_secret();
        let subnet = bench.lab.subnet();
        all.set("/etc/ferrogate/proxy.env", "0600", &format!("https_proxy={proxy}\nno_proxy={subnet},.maas\n"));
        all.set("/etc/ferrogate/plane-ca.pem", "0644", &bench.ca_pem);
        for (file, url) in [("k3s", "k3s"), ("gateway.tar", "gateway.tar")] {
            let sum = hex(&Sha256::digest(&bench.files.lock().unwrap()[&format!("/artifacts/{url}")]));
            all.set(&format!("/etc/ferrogate/{file}.sha256"), "0644", &format!("{sum}  /var/cache/ferrogate/{file}\n"));
        }
        let secret = |text: &secrecy::SecretString| text.expose_secret().to_owned();
        let (settings, token) = match role {
            Role::First => ("cluster-init: true\n".to_owned(), secret(&materials.server_token)),
            Role::Server(url) => (format!("server: {url}\n"), secret(&materials.server_join_token())),
            Role::Agent(url) => (format!("server: {url}\n"), secret(&materials.agent_join_token())),
        };
        all.set("/etc/rancher/k3s/token", "0600", &token);
        // k3s would make it and leave it in memory.
        all.set("/etc/rancher/node/password", "0600", &format!("{:032x}\n", rand::random::<u128>()));
        let mut config = format!("node-name: {name}\ntoken-file: /etc/rancher/k3s/token\n{settings}");
        let agent = matches!(role, Role::Agent(_));
        if !agent {
            config.push_str("agent-token-file: /etc/rancher/k3s/agent-token\ntls-san: [kubernetes, api.test]\n");
            all.set("/etc/rancher/k3s/agent-token", "0600", &secret(&materials.agent_token));
            all.set("/var/lib/rancher/k3s/server/manifests/gateway.yaml", "0600", DAEMONSET);
        }
        all.set("/etc/rancher/k3s/config.yaml", "0600", &config);
        if matches!(role, Role::First) {
            for (file, authority) in [
                ("server-ca", &materials.server_ca),
                ("client-ca", &materials.client_ca),
                ("request-header-ca", &materials.request_header_ca),
                ("etcd/server-ca", &materials.etcd_server_ca),
                ("etcd/peer-ca", &materials.etcd_peer_ca),
            ] {
                let path = format!("/var/lib/rancher/k3s/server/tls/{file}");
                all.set(&format!("{path}.crt"), "0644", &authority.certificate_pem);
                all.set(&format!("{path}.key"), "0600", &secret(&authority.key_pem));
            }
            let key = secret(&materials.service_account_key);
            all.set("/var/lib/rancher/k3s/server/tls/service.key", "0600", &key);
        }
        all.set("/etc/ferrogate/gateway.toml", "0600", &format!("node_name = \"{name}\"\n"));
        let artifacts = bench.artifacts();
        all.set("/etc/systemd/system/ferrogate-node.service", "0644", &NODE_UNIT.replace("@ARTIFACTS@", &artifacts));
        let command = if agent { "agent" } else { "server" };
        let kind = if agent { "exec" } else { "notify" };
        let unit = K3S_UNIT.replace("@COMMAND@", command).replace("@TYPE@", kind);
        all.set("/etc/systemd/system/k3s.service", "0644", &unit);
        all
    }

    /// Adds or replaces a file.
    pub(super) fn set(&mut self, path: &str, mode: &'static str, content: &str) {
        self.files.retain(|(known, _, _)| known != path);
        self.files.push((path.to_owned(), mode, content.to_owned()));
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.files.retain(|(known, _, _)| known != path);
    }

    /// Replaces words in a file.
    pub(super) fn replace(&mut self, path: &str, from: &str, to: &str) {
        let file = self.files.iter_mut().find(|(known, _, _)| known == path).unwrap();
        assert!(file.2.contains(from), "{path} has no {from}");
        file.2 = file.2.replace(from, to);
    }

    pub(super) fn text(&self) -> String {
        let mut text = "#cloud-config\nwrite_files:\n".to_owned();
        for (path, mode, content) in &self.files {
            writeln!(
                text,
                "- path: {path}\n  permissions: '{mode}'\n  owner: root:root\n  encoding: b64\n  content: {}",
                STANDARD.encode(content)
            )
            .unwrap();
        }
        text.push_str("runcmd:\n");
        for command in &self.commands {
            writeln!(text, "- [{}]", command.join(", ")).unwrap();
        }
        text
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const NODE_UNIT: &str = "[Unit]
Description=Fetch and check
Wants=network-online.target
After=network-online.target
ConditionPathExists=!/var/lib/ferrogate-node/installed
[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/ferrogate/proxy.env
Restart=on-failure
RestartSec=5
ExecStart=/usr/bin/curl --fail --silent --show-error --location --create-dirs --retry 2 --retry-all-errors --cacert /etc/ferrogate/plane-ca.pem --output /var/cache/ferrogate/k3s @ARTIFACTS@/k3s
ExecStart=/usr/bin/curl --fail --silent --show-error --location --create-dirs --retry 2 --retry-all-errors --cacert /etc/ferrogate/plane-ca.pem --output /var/cache/ferrogate/gateway.tar @ARTIFACTS@/gateway.tar
ExecStart=/usr/bin/sha256sum --check --strict /etc/ferrogate/k3s.sha256
ExecStart=/usr/bin/sha256sum --check --strict /etc/ferrogate/gateway.tar.sha256
ExecStart=/usr/bin/install -D -m 0644 /var/cache/ferrogate/gateway.tar /var/lib/rancher/k3s/agent/images/gateway.tar
ExecStart=/usr/bin/install -D -m 0755 /var/cache/ferrogate/k3s /usr/local/bin/k3s
ExecStart=/usr/bin/systemctl enable k3s.service
ExecStart=/usr/bin/sync
ExecStart=/usr/bin/install -D -m 0644 /dev/null /var/lib/ferrogate-node/installed
ExecStart=/usr/bin/sync
ExecStart=/usr/bin/systemctl start --no-block k3s.service
[Install]
WantedBy=multi-user.target
";

const K3S_UNIT: &str = "[Unit]
Description=Kubernetes
Wants=network-online.target
After=network-online.target
[Service]
Type=@TYPE@
EnvironmentFile=-/etc/ferrogate/proxy.env
ExecStart=/usr/local/bin/k3s @COMMAND@
KillMode=process
Restart=always
RestartSec=5
TimeoutStartSec=0
[Install]
WantedBy=multi-user.target
";

const DAEMONSET: &str = "apiVersion: v1
kind: Namespace
metadata: {name: ferrogate-system}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ferrogate-gateway, namespace: ferrogate-system}
spec:
  selector: {matchLabels: {app: gateway}}
  template:
    metadata: {labels: {app: gateway}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 5
      tolerations: [{operator: Exists}]
      containers:
      - name: gateway
        image: ferrogate/gateway:0.1.0
        imagePullPolicy: Never
        args: [run, --config, /etc/ferrogate/gateway.toml]
        env:
        - {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        readinessProbe: {httpGet: {path: /readyz, port: 9470}, periodSeconds: 2, failureThreshold: 1}
        livenessProbe: {httpGet: {path: /livez, port: 9470}, initialDelaySeconds: 5}
        volumeMounts:
        - {name: config, mountPath: /etc/ferrogate}
        - {name: state, mountPath: /var/lib/ferrogate}
      volumes:
      - {name: config, hostPath: {path: /etc/ferrogate, type: Directory}}
      - {name: state, hostPath: {path: /var/lib/ferrogate, type: DirectoryOrCreate}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: 'ferrogate:viewers'}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'ferrogate:viewers'}]
";
