//! A plane that answers what an installer asks, over real TLS, and notes what it was told. What it answers can be changed
//! while it runs.

use ferrogate_api::{Problem, Secret};
use ferrogate_join::ClusterMaterials;
use ferrogate_lab::release::Simulated;
use ferrogate_model::{ClusterId, GatewayId, SystemClock};
use ferrogate_net::{BoxIo, Fingerprint, Network};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Making keys takes a while; all planes may have the same ones.
static MATERIALS: LazyLock<String> = LazyLock::new(|| {
    let materials = ClusterMaterials::generate("maas-pcg-1", ferrogate_model::Clock::now(&SystemClock)).unwrap();
    serde_json::to_string(&materials).unwrap()
});
/// What the planes hand out.
static RELEASE: LazyLock<Simulated> = LazyLock::new(Simulated::new);
/// The one pairing code that is good.
pub(crate) const GOOD_CODE: &str = "GOOD-CODE-0001";

/// What the plane knows and does.
#[derive(Debug, Default)]
pub(crate) struct Knows {
    /// Every request: method and path.
    pub(crate) asked: Vec<String>,
    /// The request key that used the code.
    used_by: Option<String>,
    /// What the installer said about the site.
    pub(crate) paired: Option<Value>,
    /// Loses the answer to this many pairing requests after they took effect.
    pub(crate) lose_pair_answers: u32,
    /// Whether the gateway is called running and healthy.
    pub(crate) healthy: bool,
    /// Whether the gateway was deleted, and its token with it.
    pub(crate) gone: bool,
    /// Whether the installation was abandoned.
    pub(crate) abandoned: bool,
    /// Enrolment tokens given out: node names.
    pub(crate) tokens: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct StubPlane {
    pub(crate) url: String,
    pub(crate) fingerprint: String,
    pub(crate) knows: Arc<Mutex<Knows>>,
    task: Option<AbortOnDropHandle<()>>,
}

struct Facts {
    gateway: GatewayId,
    cluster: ClusterId,
    url: String,
    ca_pem: String,
}

impl StubPlane {
    /// Starts it on this address of the host's loopback.
    pub(crate) fn start(address: IpAddr) -> Self {
        let network = Network::sockets();
        let listener = network.listen(SocketAddr::new(address, 0)).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (acceptor, ca_pem, fingerprint) = tls(address);
        let facts = Arc::new(Facts { gateway: GatewayId::new(), cluster: ClusterId::new(), url: url.clone(), ca_pem });
        let knows = Arc::new(Mutex::new(Knows { healthy: true, ..Knows::default() }));
        let shared = Arc::clone(&knows);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((io, _)) = listener.accept().await {
                let (acceptor, facts, knows) = (acceptor.clone(), Arc::clone(&facts), Arc::clone(&shared));
                connections.spawn(serve(io, acceptor, facts, knows));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, fingerprint, knows, task: Some(AbortOnDropHandle::new(task)) }
    }

    /// Ends it: nobody answers any more.
    pub(crate) fn stop(&mut self) {
        self.task = None;
    }

    pub(crate) fn asked(&self, what: &str) -> usize {
        self.knows.lock().unwrap().asked.iter().filter(|asked| asked.contains(what)).count()
    }
}

fn tls(address: IpAddr) -> (TlsAcceptor, String, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([address.to_string()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(ferrogate_net::trust::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), ca.der().clone()], private)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca.pem(), Fingerprint::of(ca.der()).to_string())
}

/// One request a connection.
async fn serve(io: BoxIo, acceptor: TlsAcceptor, facts: Arc<Facts>, knows: Arc<Mutex<Knows>>) {
    let Ok(mut stream) = acceptor.accept(io).await else { return };
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return,
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes.split_off(end + 4));
        }
    };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        body.extend_from_slice(&buffer[..count]);
    }
    let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some((status, kind, answer)) = answer(&request, &body, &facts, &knows) else { return };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

type Answer = (u16, &'static str, Vec<u8>);

fn answer(request: &str, body: &Value, facts: &Facts, knows: &Mutex<Knows>) -> Option<Answer> {
    let mut knows = knows.lock().unwrap();
    knows.asked.push(request.to_owned());
    let json = |value: Value| Some((200, "application/json", serde_json::to_vec(&value).unwrap()));
    let install = format!("/api/v1/install/{}", facts.gateway);
    match request.split_once(' ').unwrap() {
        ("POST", "/api/v1/pair") => pair(body, facts, &mut knows),
        ("GET", path) if path == install && !knows.gone => json(json!({
            "gateway_id": facts.gateway, "name": "maas-pcg-1", "desired_nodes": 1, "reason": "",
            "state": if knows.healthy { "Running" } else { "Provisioning" },
            "health": if knows.healthy { "Healthy" } else { "Unknown" },
            "connected_nodes": [],
        })),
        ("POST", path) if path == format!("{install}/enrolment-tokens") => {
            knows.tokens.push(body["node_name"].as_str().unwrap().to_owned());
            json(json!({"token": format!("token-{}", knows.tokens.len()), "expires_at": "2036-01-01T00:00:00Z"}))
        }
        ("POST", path) if path == format!("{install}/progress") => Some((204, "text/plain", Vec::new())),
        ("POST", path) if path == format!("{install}/abandon") => {
            knows.abandoned = true;
            Some((204, "text/plain", Vec::new()))
        }
        ("GET", path) if let Some(file) = path.strip_prefix("/artifacts/").and_then(|path| RELEASE.files.get(path)) => {
            Some((200, "application/octet-stream", file.clone()))
        }
        _ => problem(401, "not_signed_in", "sign in first"),
    }
}

fn pair(body: &Value, facts: &Facts, knows: &mut Knows) -> Option<Answer> {
    let key = body["request_key"].as_str().unwrap();
    match body["code"].as_str().unwrap() {
        GOOD_CODE => {}
        "EXPIRED" => return problem(403, "pairing_code_expired", "the pairing code expired at 2026-11-22T08:00:00Z"),
        "REVOKED" => return problem(403, "pairing_code_revoked", "the pairing code was revoked"),
        _ => return problem(403, "pairing_code_unknown", "there is no such pairing code"),
    }
    if knows.used_by.get_or_insert_with(|| key.to_owned()) != key {
        return problem(403, "pairing_code_used", "the pairing code was used already");
    }
    knows.paired = Some(body.clone());
    if knows.lose_pair_answers > 0 {
        knows.lose_pair_answers -= 1;
        return None;
    }
    let answer = json!({
        "gateway_id": facts.gateway, "cluster_id": facts.cluster, "install_token": "install-token",
        "materials": Secret::from(MATERIALS.as_str()), "release": RELEASE.release, "plane_url": facts.url,
        "plane_ca_pem": facts.ca_pem, "artifacts_url": format!("{}/artifacts", facts.url),
    });
    Some((200, "application/json", serde_json::to_vec(&answer).unwrap()))
}

fn problem(status: u16, code: &str, detail: &str) -> Option<Answer> {
    let problem = Problem::new(status, code, detail).with_hint("make a new one with `ferrogate pairing create`");
    Some((status, "application/problem+json", serde_json::to_vec(&problem).unwrap()))
}
