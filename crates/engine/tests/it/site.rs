//! The rendered user-data on simulated machines, which do what the files say and nothing else: download through the
//! site's only way out, check, install, start, join.

use crate::{
    releases::Installable,
    world::{TestClock, spec},
};
use async_trait::async_trait;
use bytes::Bytes;
use ferrogate_engine::{Desired, Engine, Enrolment, EnrolmentError, Memory, Outcome, Pass};
use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{
    ClusterKind, ClusterMaterials, GatewayPayload, NodeConfiguration,
    gateway_config::{GATEWAY_CONFIG_PATH, GatewayConfig},
};
use ferrogate_lab::{Container, Lab, LabOptions, Programs};
use ferrogate_maas::{ApiKey, Client, ClientOptions, Endpoint};
use ferrogate_model::{
    ClusterId, Name,
    allow::AllowRule,
    cluster::ClusterSpec,
    proxy::{NoProxy, ProxySettings},
};
use ferrogate_net::Network;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_rustls::TlsAcceptor;

const PLANE: &str = "plane.demo.internal";

/// A plane that hands out files: on an address no machine has a route to.
struct Plane {
    ca_pem: String,
    address: IpAddr,
}

impl Plane {
    fn start(network: &Network, files: BTreeMap<String, Vec<u8>>) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(params, ca_key);
        let leaf = CertificateParams::new(vec![PLANE.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let address = IpAddr::from([203, 0, 113, 10]);
        let listener = network.listen(SocketAddr::new(address, 443)).unwrap();
        let files = Arc::new(files);
        tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                let (acceptor, files) = (acceptor.clone(), Arc::clone(&files));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(io).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let file = files.get(request.uri().path().trim_start_matches("/artifacts/")).cloned();
                        let status = if file.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                        let response = Response::builder().status(status);
                        let response = response.body(Full::new(Bytes::from(file.unwrap_or_default()))).unwrap();
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { ca_pem: ca.pem(), address }
    }
}

/// Writes down what each gateway container was given.
#[derive(Debug, Default)]
struct Recorder {
    started: Mutex<Vec<(GatewayConfig, String, String)>>,
}

#[async_trait]
impl Programs for Recorder {
    async fn start(&self, container: Container) -> Result<(), String> {
        let read = |path: &str| std::fs::read_to_string(container.root.join(path.trim_start_matches('/')));
        let config = read(GATEWAY_CONFIG_PATH).map_err(|error| error.to_string())?;
        let config: GatewayConfig = toml::from_str(&config).map_err(|error| error.to_string())?;
        let token = read(config.enrolment_token_file.to_str().unwrap()).map_err(|error| error.to_string())?;
        let host = container.env.get("HOST_IP").cloned().unwrap_or_default();
        self.started.lock().unwrap().push((config, token, host));
        container.cancel.cancelled().await;
        Ok(())
    }
}

struct Tokens;

#[async_trait]
impl Enrolment for Tokens {
    async fn token(&self, node: &Name) -> Result<SecretString, EnrolmentError> {
        Ok(format!("enrol-{node}").into())
    }
}

pub(crate) struct Site {
    pub(crate) lab: Lab,
    pub(crate) engine: Engine,
    pub(crate) desired: Desired,
    recorder: Arc<Recorder>,
}

impl Site {
    /// A site for a cluster.
    pub(crate) async fn start(kind: ClusterKind, spec: serde_json::Value) -> Self {
        let clock = Arc::new(TestClock::start());
        let network = Network::memory();
        let Installable { release, files } = Installable::new();
        let plane = Plane::start(&network, files);
        let recorder = Arc::new(Recorder::default());
        let lab = Lab::start(LabOptions {
            network: Some(network),
            programs: recorder.clone(),
            proxy_hosts: [(PLANE.to_owned(), plane.address)].into(),
            proxy_credentials: Some(("site".into(), "p%ss w#rd".into())),
            clock: clock.clone(),
            ..LabOptions::default()
        })
        .await
        .unwrap();
        let (endpoint, _) = Endpoint::parse(&lab.maas_endpoint()).unwrap();
        let key: ApiKey = lab.api_key().expose_secret().parse().unwrap();
        let client = Client::new(ClientOptions::new(endpoint, key, lab.connector(), clock.clone())).unwrap();
        let engine = Engine::new(client, lab.connector(), clock.clone(), Arc::new(Tokens), Arc::new(Kubeadm));
        let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
        let proxy: ferrogate_model::proxy::ProxyUrl = "http://site:p%25ss%20w%23rd@10.20.0.3:3128".parse().unwrap();
        let no_proxy = NoProxy::default().completed(
            spec.pod_cidr,
            spec.service_cidr,
            &["10.20.0.0/24".parse().unwrap()],
            "10.20.0.2",
        );
        let desired = Desired {
            configuration: NodeConfiguration {
                cluster: ClusterId::new(),
                name: "site".parse().unwrap(),
                kind,
                spec,
                release,
                materials: ClusterMaterials::generate("site", ferrogate_model::Clock::now(&*clock)).unwrap(),
                artifacts_url: format!("https://{PLANE}/artifacts/").parse().unwrap(),
                plane_ca_pem: Some(plane.ca_pem),
                proxy: ProxySettings { https: Some(proxy.clone()), http: Some(proxy), no_proxy },
                gateway: (kind == ClusterKind::Gateway).then(|| GatewayPayload {
                    plane_url: format!("https://{PLANE}").parse().unwrap(),
                    allow: vec![AllowRule { host: "10.20.0.0/24".into(), ports: vec![6443, 5240] }],
                }),
            },
            absent: false,
        };
        Self { lab, engine, desired, recorder }
    }

    /// A client of MAAS, for what people do there.
    pub(crate) fn maas(&self) -> Client {
        let (endpoint, _) = Endpoint::parse(&self.lab.maas_endpoint()).unwrap();
        let key: ApiKey = self.lab.api_key().expose_secret().parse().unwrap();
        Client::new(ClientOptions::new(endpoint, key, self.lab.connector(), Arc::new(TestClock::start()))).unwrap()
    }

    pub(crate) async fn converge(&self, memory: &mut Memory) -> Pass {
        for _ in 0..300 {
            let pass = self.engine.pass(&self.desired, memory).await;
            let pause = match &pass.outcome {
                Outcome::Converged => return pass,
                Outcome::Working { check_again, .. } => *check_again,
                Outcome::Blocked { .. } => Duration::from_secs(30),
            };
            tokio::time::sleep(pause).await;
        }
        let pass = self.engine.pass(&self.desired, memory).await;
        let mut consoles = String::new();
        for machine in self.lab.maas().machines() {
            let log = ferrogate_lab::Backend::console_log(&**self.lab.machines(), &machine.system_id).await;
            consoles.push_str(&format!("\n== {} {}\n{log}", machine.hostname, machine.status));
        }
        panic!("not converged: {:?}{consoles}", pass.outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn machines_that_obey_the_user_data_form_the_cluster() {
    let mut site = Site::start(ClusterKind::Tenant, spec(2)).await;
    let mut memory = Memory::default();
    let pass = site.converge(&mut memory).await;
    assert_eq!(pass.machines.len(), 3);
    let client = ferrogate_engine::kube::Client::new(ferrogate_engine::kube::Options {
        connector: site.lab.connector(),
        // The first member is dead; the next one is asked then.
        members: [IpAddr::from([10, 20, 0, 99])].into_iter().chain(pass.api_members).collect(),
        server_ca_pem: site.desired.configuration.materials.server_ca.certificate_pem.clone(),
        identity: site
            .desired
            .configuration
            .materials
            .admin_identity(site.desired.configuration.materials.created, Duration::from_secs(7200))
            .unwrap(),
        deadline: Duration::from_secs(5),
    })
    .unwrap();
    let nodes = client.nodes().await.unwrap();
    let front = nodes.iter().filter(|node| node.metadata.labels.get("tier").is_some_and(|tier| tier == "front"));
    assert_eq!((nodes.len(), front.count()), (3, 2));
    let versions = nodes.iter().map(|node| node.status.node_info.kubelet_version.as_str());
    assert!(
        versions.clone().all(|version| version == site.desired.configuration.release.kubernetes),
        "{:?}",
        versions.collect::<Vec<_>>()
    );
    assert_eq!(client.node("nobody").await.unwrap(), None);
    site.desired.configuration.spec.workers[0].count = 1;
    site.converge(&mut memory).await;
    assert_eq!(client.nodes().await.unwrap().len(), 2);
    site.desired.absent = true;
    site.converge(&mut memory).await;
    assert!(site.lab.maas().machines().iter().all(|machine| machine.status == "Ready"));
    site.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_gateways_pod_is_started_with_its_configuration_and_its_own_token() {
    let gateway = json!({"control_plane": {"count": 1, "resource_pool": "default"}});
    let mut site = Site::start(ClusterKind::Gateway, gateway).await;
    let mut memory = Memory::default();
    let pass = site.converge(&mut memory).await;
    let machine = &pass.machines[0];
    for _ in 0..100 {
        if !site.recorder.started.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (config, token, host) = site.recorder.started.lock().unwrap().first().cloned().expect("the pod was started");
    assert_eq!(token.trim(), format!("enrol-{}", machine.hostname));
    assert_eq!(host, machine.addresses[0].to_string());
    assert_eq!(config.plane_url.host_str(), Some(PLANE));
    assert_eq!(config.https_proxy.as_deref(), Some("http://site:p%25ss%20w%23rd@10.20.0.3:3128"));
    assert_eq!(config.allow[0].ports, [6443, 5240]);
    site.desired.absent = true;
    site.converge(&mut memory).await;
    site.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn three_servers_join_one_after_the_other_behind_a_reserved_address_that_is_given_back() {
    let mut three = spec(1);
    three["control_plane"]["count"] = json!(3);
    let mut site = Site::start(ClusterKind::Tenant, three).await;
    let mut memory = Memory::default();
    let pass = site.converge(&mut memory).await;
    assert_eq!((pass.machines.len(), pass.api_members.len()), (4, 3));
    let endpoint = pass.api_endpoint.unwrap();
    let name = endpoint.trim_start_matches("https://").trim_end_matches(":6443");
    let address = site.lab.maas().resolve(name).expect("the name is in MAAS's zone")[0];
    assert!(site.lab.maas().ip_addresses().iter().any(|reserved| reserved.ip == address));
    site.desired.absent = true;
    site.converge(&mut memory).await;
    assert_eq!(site.lab.maas().resolve(name), None);
    assert!(site.lab.maas().ip_addresses().iter().all(|address| !address.reserved));
    assert!(site.lab.maas().machines().iter().all(|machine| machine.status == "Ready"));
    site.lab.shutdown().await;
}
