//! A site with a place to download from, and a program for the gateway.

use async_trait::async_trait;
use bytes::Bytes;
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_lab::{Backend as _, Container, Lab, LabOptions, Programs};
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
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) const IMAGE: &str = "docker.io/ferrogate/gateway:0.1.0";
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
        let files = Arc::new(Mutex::new(BTreeMap::new()));
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

    /// Puts another file where machines download one from; what was there.
    pub(super) fn replace_file(&self, name: &str, content: Vec<u8>) -> Vec<u8> {
        self.files.lock().unwrap().insert(format!("/artifacts/{name}"), content).unwrap()
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
        if container.root.join("etc/kubernetes").exists() {
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
