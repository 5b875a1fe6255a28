//! `kubectl` through the plane, against a stub of an API server behind a network in memory.

use crate::{
    fixture::{self, Objects, Site},
    plane::TestPlane,
};
use bytes::Bytes;
use ferrogate_api::KubeconfigCreated;
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_model::{Clock as _, SystemClock};
use ferrogate_net::BoxIo;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

const MEMBER: &str = "10.20.0.13:6443";
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// An API server that remembers what it was asked.
#[derive(Default)]
pub(crate) struct Stub {
    seen: Mutex<Vec<Value>>,
    /// So many connections are closed before an answer.
    failing: AtomicUsize,
    /// What the next answer is made of, piece by piece; where there is nothing, it is what was asked.
    pub(crate) watch: Mutex<Option<mpsc::Receiver<Bytes>>>,
    /// Tells that a piece of a request's body has come.
    pub(crate) read: tokio::sync::Notify,
}

pub(crate) struct World {
    pub(crate) plane: TestPlane,
    pub(crate) admin: String,
    pub(crate) objects: Objects,
    pub(crate) stub: Arc<Stub>,
}

pub(crate) async fn world() -> World {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let materials = ClusterMaterials::generate("web", SystemClock.now()).unwrap();
    let stub = Arc::new(Stub::default());
    serve(&plane, &materials, &stub);
    let site = Site { materials: Some(materials), ..Site::default() };
    let objects = fixture::objects(&plane, &admin, site).await;
    World { plane, admin, objects, stub }
}

fn tls(materials: &ClusterMaterials) -> TlsAcceptor {
    let ca_key = rcgen::KeyPair::from_pem(materials.server_ca.key_pem.expose_secret()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&materials.server_ca.certificate_pem, ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["kubernetes".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(materials.client_ca.certificate_pem.as_bytes()).unwrap()).unwrap();
    let provider = ferrogate_net::trust::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn serve(plane: &TestPlane, materials: &ClusterMaterials, stub: &Arc<Stub>) {
    let listener = plane.site.network.listen(MEMBER.parse().unwrap()).unwrap();
    let (acceptor, stub) = (tls(materials), Arc::clone(stub));
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let (acceptor, stub) = (acceptor.clone(), Arc::clone(&stub));
            tokio::spawn(connection(io, acceptor, stub));
        }
    });
}

async fn connection(io: BoxIo, acceptor: TlsAcceptor, stub: Arc<Stub>) {
    let Ok(mut tls) = acceptor.accept(io).await else { return };
    if stub.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        // The request arrives, and nothing comes back.
        let _ = tls.read_u8().await;
        return;
    }
    let service = service_fn(move |request| {
        let stub = Arc::clone(&stub);
        async move { Ok::<_, Infallible>(stub.answer(request).await) }
    });
    let _ =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).with_upgrades().await;
}

impl Stub {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let headers: serde_json::Map<String, Value> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        let seen = json!({"method": request.method().as_str(), "uri": request.uri().to_string(), "headers": headers});
        if request.headers().contains_key("upgrade") {
            self.seen.lock().unwrap().push(seen);
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut piece = [0; 64];
                while let Ok(read @ 1..) = io.read(&mut piece).await {
                    io.write_all(&piece[..read].to_ascii_uppercase()).await.unwrap();
                }
            });
            let empty = Full::new(Bytes::new()).boxed();
            let response =
                Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "SPDY/3.1");
            return response.body(empty).unwrap();
        }
        let mut whole = Vec::new();
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            // Whoever sends may be cut off.
            let Ok(frame) = frame else { break };
            whole.extend_from_slice(frame.data_ref().unwrap());
            self.read.notify_one();
        }
        let mut seen = seen;
        seen["body"] = json!(String::from_utf8_lossy(&whole));
        self.seen.lock().unwrap().push(seen.clone());
        if let Some(pieces) = self.watch.lock().unwrap().take() {
            let stream = futures::stream::unfold(pieces, |mut pieces| async {
                pieces.recv().await.map(|piece| (Ok::<_, Infallible>(Frame::data(piece)), pieces))
            });
            return Response::new(http_body_util::BodyExt::boxed(StreamBody::new(stream)));
        }
        Response::new(Full::new(Bytes::from(seen.to_string())).boxed())
    }

    fn last(&self) -> Value {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

impl World {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("//k8s/clusters/{}{rest}", self.objects.cluster)
    }

    async fn kubeconfig(&self, user: &str) -> Value {
        let created: KubeconfigCreated =
            self.plane.post("/clusters/web/kubeconfig").token(user).json(json!({})).await.read(201);
        serde_json::from_str(created.kubeconfig.expose()).unwrap()
    }

    pub(crate) async fn kube_token(&self, user: &str) -> String {
        self.kubeconfig(user).await["users"][0]["user"]["token"].as_str().unwrap().to_owned()
    }

    /// An answer that comes piece by piece, of which the first has come.
    pub(crate) async fn stream(&self, token: &str, rest: &str) -> (mpsc::Sender<Bytes>, ferrogate_net::BodyStream) {
        let (pieces, answer) = mpsc::channel(4);
        *self.stub.watch.lock().unwrap() = Some(answer);
        let ask = self.plane.get(&self.path(rest)).token(token);
        let mut body = self.plane.http().send_streaming(ask.build(), DEADLINE).await.unwrap().into_body();
        pieces.send("first words\n".into()).await.unwrap();
        let piece = tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap().unwrap().unwrap();
        assert_eq!(piece, "first words\n", "{rest}");
        (pieces, body)
    }

    /// The beginning of a request, sent over a connection of its own.
    pub(crate) async fn open(
        &self,
        token: &str,
        request: &str,
        headers: &str,
    ) -> tokio_rustls::client::TlsStream<BoxIo> {
        let path = format!("/k8s/clusters/{}/api/v1/namespaces/a/pods/b/{request}", self.objects.cluster);
        self.begin(token, &format!("POST {path}"), headers).await
    }

    /// The head of a request on a connection of its own.
    pub(crate) async fn begin(
        &self,
        token: &str,
        request: &str,
        headers: &str,
    ) -> tokio_rustls::client::TlsStream<BoxIo> {
        let target = ferrogate_net::Target::new("127.0.0.1", self.plane.running.local_addr.port());
        let config = ferrogate_net::Trust::ca(&self.plane.running.ca_pem).client_config(&[b"http/1.1"]).unwrap();
        let io = ferrogate_net::Connector::connect(&ferrogate_net::Direct::new(), &target, DEADLINE).await.unwrap();
        let mut tls = ferrogate_net::connect_tls(io, &target, None, config, DEADLINE).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}\r\n\r\n");
        tls.write_all(head.as_bytes()).await.unwrap();
        tls
    }

    /// A session in a container, begun.
    pub(crate) async fn exec(&self, token: &str) -> tokio_rustls::client::TlsStream<BoxIo> {
        let headers = "connection: Upgrade\r\nupgrade: SPDY/3.1\r\ncontent-length: 0";
        let mut tls = self.open(token, "exec?command=sh", headers).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tokio::time::timeout(DEADLINE, tls.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: spdy/3.1"), "{head}");
        tls
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_reaches_the_api_server_as_the_one_who_asks() {
    let world = world().await;
    let operator = world.plane.user(&world.admin, "operator").await;
    for (user, email, group) in [
        (&world.admin, "admin@example.com", "system:masters"),
        (&operator, "operator@example.com", "ferrogate:operators"),
    ] {
        let token = world.kube_token(user).await;
        let answer = world
            .plane
            .get(&world.path("/api/v1/pods?labelSelector=a%3Db"))
            .token(&token)
            .header("impersonate-user", "system:admin")
            .header("impersonate-group", "system:masters")
            .await;
        let seen: Value = answer.read(200);
        assert_eq!(seen["uri"], "/api/v1/pods?labelSelector=a%3Db");
        assert_eq!(seen["headers"]["impersonate-user"], email);
        assert_eq!(seen["headers"]["impersonate-group"], group);
        assert!(seen["headers"]["authorization"].is_null(), "{seen}");
        assert_eq!(seen["headers"]["audit-id"].as_str(), answer.header("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_names_the_plane_its_ca_and_a_token_for_this_cluster_only() {
    let world = world().await;
    let config = world.kubeconfig(&world.admin).await;
    let cluster = &config["clusters"][0]["cluster"];
    assert_eq!(
        cluster["server"].as_str().unwrap(),
        format!("https://{}/k8s/clusters/{}", world.plane.running.local_addr, world.objects.cluster)
    );
    assert!(cluster["certificate-authority-data"].is_string());
    let token = config["users"][0]["user"]["token"].as_str().unwrap();
    world.plane.get(&world.path("/version")).token(token).await.status(200);
    world.plane.get("/clusters").token(token).await.problem(403, "not_permitted");
    let other = format!("//k8s/clusters/{}/version", ferrogate_model::ClusterId::new());
    let status: Value = world.plane.get(&other).token(token).await.read(404);
    assert_eq!((status["kind"].as_str(), status["reason"].as_str()), (Some("Status"), Some("NotFound")));
    world.plane.clock.advance(Duration::from_secs(8 * 3600 + 1));
    let status: Value = world.plane.get(&world.path("/version")).token(token).await.read(401);
    assert_eq!(status["reason"], "Unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_cluster_s_kubeconfigs_are_worth_nothing() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    let body = json!({"confirm_name": "web"});
    world.plane.delete("/clusters/web").token(&world.admin).json(body).await.status(202);
    world.plane.get(&world.path("/version")).token(&token).await.status(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_go_through_and_changes_are_audited() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    let pod = json!({"kind": "Pod"});
    let ask = world.plane.post(&world.path("/api/v1/namespaces/default/pods")).token(&token).json(pod.clone());
    let seen: Value = ask.header("x-request-id", "kubectl-apply").await.read(200);
    assert_eq!(seen["body"].as_str(), Some(pod.to_string().as_str()));
    world.plane.get(&world.path("/api/v1/pods")).token(&token).header("x-request-id", "kubectl-read").await.status(200);
    let audit = world.plane.get("/audit?action=kubernetes.request").token(&world.admin).await.text();
    assert!(audit.contains("kubectl-apply") && audit.contains(&world.objects.cluster.to_string()), "{audit}");
    assert!(!audit.contains("kubectl-read"), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_be_sent_twice_is_sent_twice() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    world.stub.failing.store(1, Ordering::SeqCst);
    world.plane.get(&world.path("/api/v1/pods")).token(&token).await.status(200);
    world.stub.failing.store(1, Ordering::SeqCst);
    let post = world.plane.post(&world.path("/api/v1/pods")).token(&token).json(json!({})).await;
    let status: Value = post.read(502);
    assert_eq!(status["details"]["causes"][0]["reason"], "connection_lost");
    world.stub.failing.store(2, Ordering::SeqCst);
    world.plane.get(&world.path("/api/v1/pods")).token(&token).await.status(502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_comes_piece_by_piece_and_ends_with_the_plane() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    let (pieces, watch) = mpsc::channel(4);
    *world.stub.watch.lock().unwrap() = Some(watch);
    let ask = world.plane.get(&world.path("/api/v1/pods?watch=true")).token(&token);
    let mut body = world.plane.http().send_streaming(ask.build(), DEADLINE).await.unwrap().into_body();
    for number in 0..3 {
        pieces.send(Bytes::from(format!("event {number}\n"))).await.unwrap();
        let piece = tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap().unwrap().unwrap();
        assert_eq!(piece, format!("event {number}\n"));
    }
    let TestPlane { running, .. } = world.plane;
    running.shutdown().await;
    let end = tokio::time::timeout(DEADLINE, body.chunk()).await.unwrap();
    assert!(end.is_err(), "what was cut off must not look whole: {end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_stream_is_carried_both_ways() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    let mut tls = world.exec(&token).await;
    for text in ["hello", "world"] {
        tls.write_all(text.as_bytes()).await.unwrap();
        let mut answer = [0; 5];
        tokio::time::timeout(DEADLINE, tls.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, text.to_uppercase().as_bytes());
    }
    assert_eq!(world.stub.last()["headers"]["upgrade"], "SPDY/3.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_is_said_in_kubernetes_own_words() {
    let world = world().await;
    let token = world.kube_token(&world.admin).await;
    world.plane.site.network.cut(MEMBER.parse().unwrap());
    let answer = world.plane.get(&world.path("/version")).token(&token).await;
    let status: Value = answer.read(502);
    assert_eq!(status["details"]["causes"][0]["reason"], "cluster_unreachable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_away_tells_when_to_come_again() {
    // Here the way into the site is the real hub, to which nobody is connected.
    let plane = TestPlane::start_with(|options| {
        options.site_network = None;
        options.hub.carrier_wait = Duration::from_millis(50);
    })
    .await;
    let admin = plane.set_up().await;
    let materials = ClusterMaterials::generate("web", SystemClock.now()).unwrap();
    let objects = fixture::objects(&plane, &admin, Site { materials: Some(materials), ..Site::default() }).await;
    let path = format!("//k8s/clusters/{}/version", objects.cluster);
    let answer = plane.get(&path).token(&admin).await;
    let status: Value = answer.read(503);
    assert_eq!(status["details"]["causes"][0]["reason"], "gateway_not_connected");
    assert_eq!(answer.header("retry-after"), Some("5"));
}
