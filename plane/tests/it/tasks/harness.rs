//! The harness in which the reconcilers are tested: a real store, a simulated MAAS in memory, a gateway whose nodes connect when the test
//! says so, and a clock that the test moves.

use async_trait::async_trait;
use ferrogate_engine::mark;
use ferrogate_lab::{
    Seed,
    maas::{Maas, Options},
};
use ferrogate_maas::{Allocate, ApiKey, Client, ClientOptions, Deploy, Endpoint};
use ferrogate_model::{
    AccountId, Clock, ClusterId, GatewayId, NodeId, OperationId, SystemClock, TenantId, Timestamp,
    cluster::ClusterSpec,
    release::Release,
    state::{ClusterState, GatewayHealth, GatewayState, OperationState},
};
use ferrogate_net::{BoxIo, ConnectError, ConnectFailure, Connector, Network, Target};
use ferrogate_plane::{
    SiteNetwork,
    tasks::{Builder, EngineBuilder, TaskContext},
};
use ferrogate_store::{
    MasterKey, Page, SecretHash, Store, Subject,
    accounts::{self, Account, AccountState},
    clusters::{self, Cluster, ClusterKind},
    events::{self, Event},
    gateway_nodes::{self, GatewayNode},
    gateways::{self, Gateway},
    operations::{self, Operation},
    tenants::{self, Tenant},
};
use ferrogate_tunnel::{DisconnectReason, HubEvent, NodeStatus};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{broadcast, watch},
};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn advance(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A tunnel whose nodes connect when the test says so.
#[derive(Debug)]
pub(crate) struct TestSites {
    network: Network,
    connected: Arc<Mutex<BTreeMap<GatewayId, Vec<NodeStatus>>>>,
    pub(crate) disconnected: Mutex<Vec<NodeId>>,
    news: broadcast::Sender<HubEvent>,
}

impl TestSites {
    pub(crate) fn connect(&self, gateway: GatewayId, node: NodeId, name: &str, now: Timestamp) {
        self.connected.lock().unwrap().entry(gateway).or_default().push(NodeStatus {
            node_id: node,
            name: name.parse().unwrap(),
            connected_since: now,
            last_seen: now,
            carriers: 2,
            refusals: 0,
            version: "0.1.0".into(),
            streams: 0,
            bytes: 0,
        });
    }

    /// One node of several is lost.
    pub(crate) fn cut_node(&self, gateway: GatewayId, node: NodeId) {
        self.connected.lock().unwrap().entry(gateway).or_default().retain(|status| status.node_id != node);
    }

    pub(crate) fn cut(&self, gateway: GatewayId) {
        self.connected.lock().unwrap().remove(&gateway);
    }
}

impl SiteNetwork for TestSites {
    fn connector(&self, gateway: GatewayId) -> Arc<dyn Connector> {
        let inner = self.network.connector();
        Arc::new(Tunnel { inner, gateway, connected: Arc::clone(&self.connected) })
    }

    fn nodes(&self, gateway: GatewayId) -> Vec<NodeStatus> {
        self.connected.lock().unwrap().get(&gateway).cloned().unwrap_or_default()
    }

    fn watch(&self) -> broadcast::Receiver<HubEvent> {
        self.news.subscribe()
    }

    fn disconnect(&self, node: NodeId, reason: DisconnectReason) {
        assert_eq!(reason, DisconnectReason::Revoked);
        self.disconnected.lock().unwrap().push(node);
    }
}

/// Connects only while a node of the gateway does.
#[derive(Debug)]
struct Tunnel {
    inner: Arc<dyn Connector>,
    gateway: GatewayId,
    connected: Arc<Mutex<BTreeMap<GatewayId, Vec<NodeStatus>>>>,
}

#[async_trait]
impl Connector for Tunnel {
    async fn connect(&self, target: &Target, deadline: Duration) -> Result<BoxIo, ConnectError> {
        if !self.connected.lock().unwrap().contains_key(&self.gateway) {
            return Err(ConnectError {
                failure: ConnectFailure::NoCarrier,
                target: target.clone(),
                via: None,
                detail: "no node is connected".into(),
            });
        }
        let inner = self.inner.connect(target, deadline).await?;
        let (gateway, connected) = (self.gateway, Arc::clone(&self.connected));
        Ok(Box::new(Stream { inner, gateway, connected, answered: false }))
    }
}

/// A connection through the tunnel. When the tunnel ends, what is on the way arrives, and then it is closed: a kept connection
/// is of no use to the next request, which must dial anew.
struct Stream {
    inner: BoxIo,
    gateway: GatewayId,
    connected: Arc<Mutex<BTreeMap<GatewayId, Vec<NodeStatus>>>>,
    /// Something came back since the last request.
    answered: bool,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.answered = true;
        } else if self.answered && !self.connected.lock().unwrap().contains_key(&self.gateway) {
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.answered = false;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

pub(crate) struct Harness {
    pub(crate) context: Arc<TaskContext>,
    pub(crate) store: Store,
    pub(crate) sites: Arc<TestSites>,
    pub(crate) maas: Maas,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) network: Network,
    pub(crate) tenant: TenantId,
    _folder: tempfile::TempDir,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        Self::with_builder(Arc::new(EngineBuilder::new(Arc::new(ferrogate_firstboot::Kubeadm)))).await
    }

    pub(crate) async fn with_builder(builder: Arc<dyn Builder>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_file(&folder.path().join("plane.db"), MasterKey::generate()).await.unwrap();
        // From today, because the answers of the simulated MAAS are dated; in milliseconds, as the store keeps them.
        let today = Timestamp::from_millisecond(SystemClock.now().as_millisecond()).unwrap();
        let clock = Arc::new(TestClock(Mutex::new(today)));
        let network = Network::memory();
        let seed = Seed::demo("10.20.0.0/24".parse().unwrap());
        let listen = "10.20.0.2:5240".parse().unwrap();
        let maas = Maas::start(Options::new(network.clone(), seed).listen(listen).clock(clock.clone())).await.unwrap();
        let sites = Arc::new(TestSites {
            network: network.clone(),
            connected: Arc::default(),
            disconnected: Mutex::default(),
            news: broadcast::Sender::new(16),
        });
        let context = Arc::new(TaskContext {
            store: store.clone(),
            site_network: sites.clone(),
            builder,
            clock: clock.clone(),
            replica: "plane-a".into(),
            public_url: "https://plane.example.com".parse().unwrap(),
            artifacts_url: "https://plane.example.com/artifacts/".parse().unwrap(),
            plane_ca_pem: None,
            nudge: watch::Sender::new(()),
            events: watch::Sender::new(()),
        });
        let tenant = Tenant { id: TenantId::new(), name: "acme".into(), created: clock.now() };
        tenants::insert(&store, &tenant).await.unwrap();
        Self { context, store, sites, maas, clock, network, tenant: tenant.id, _folder: folder }
    }

    /// The same plane, another replica.
    pub(crate) fn replica(&self, name: &str) -> Arc<TaskContext> {
        Arc::new(TaskContext { replica: name.into(), ..(*self.context).clone() })
    }

    /// A gateway with its account, the record of its own cluster and the operation that installs it, as pairing leaves them.
    pub(crate) async fn gateway(&self, name: &str, nodes: u32) -> Gateway {
        let now = self.clock.now();
        let gateway = Gateway {
            id: GatewayId::new(),
            tenant: self.tenant,
            name: name.parse().unwrap(),
            state: GatewayState::Provisioning,
            reason: "the installer builds it".into(),
            health: GatewayHealth::Unknown,
            desired_nodes: nodes,
            version: None,
            cluster: ClusterId::new(),
            account: AccountId::new(),
            install_token_hash: Some(SecretHash::of(&SecretString::from(format!("install {name}")))),
            settings: serde_json::json!({}),
            proxy: Some(SecretString::from(r#"{"https_proxy": "http://10.20.0.3:3128"}"#)),
            created: now,
            updated: now,
            last_seen: None,
            deleted: None,
        };
        gateways::insert(&self.store, &gateway).await.unwrap();
        let account = Account {
            id: gateway.account,
            tenant: self.tenant,
            name: gateway.name.clone(),
            gateway: gateway.id,
            endpoint: self.maas.url(),
            api_key: self.maas.api_key("admin").unwrap(),
            ca_pem: None,
            state: AccountState::Unknown,
            reason: String::new(),
            auto_created: true,
            created: now,
            updated: now,
            deleted: None,
        };
        accounts::insert(&self.store, &account).await.unwrap();
        let mut own = self.cluster_record(name, gateway.id, None);
        own.id = gateway.cluster;
        own.kind = ClusterKind::Gateway;
        own.state = ClusterState::Provisioning;
        own.spec.control_plane.count = nodes;
        clusters::insert(&self.store, &own).await.unwrap();
        self.operation("install_gateway", gateway.id.into()).await;
        gateway
    }

    /// Registers a node and connects it.
    pub(crate) async fn node(&self, gateway: GatewayId, name: &str) -> NodeId {
        let node = GatewayNode {
            id: NodeId::new(),
            gateway,
            name: name.into(),
            public_key: format!("key of {name} {gateway}"),
            version: "0.1.0".into(),
            registered: self.clock.now(),
            last_seen: None,
            revoked: None,
            replica: None,
        };
        gateway_nodes::register(&self.store, &node).await.unwrap();
        self.sites.connect(gateway, node.id, name, self.clock.now());
        node.id
    }

    /// A gateway that runs, with one node connected and an account.
    pub(crate) async fn running_gateway(&self, name: &str) -> (Gateway, AccountId) {
        let gateway = self.gateway(name, 1).await;
        let now = self.clock.now();
        let (from, to) = (GatewayState::Provisioning, GatewayState::Running);
        gateways::transition(&self.store, gateway.id, from, to, "", now).await.unwrap();
        self.node(gateway.id, &format!("{name}-1")).await;
        (self.read_gateway(gateway.id).await, gateway.account)
    }

    /// The one node of a gateway that is connected.
    pub(crate) fn sites_node(&self, gateway: GatewayId) -> NodeId {
        self.sites.nodes(gateway)[0].node_id
    }

    fn cluster_record(&self, name: &str, gateway: GatewayId, account: Option<AccountId>) -> Cluster {
        let now = self.clock.now();
        Cluster {
            id: ClusterId::new(),
            tenant: self.tenant,
            gateway,
            account,
            kind: ClusterKind::Tenant,
            name: name.parse().unwrap(),
            spec: spec(),
            state: ClusterState::Queued,
            reason: "waits for its turn".into(),
            release: Release::example(),
            materials: None,
            settings: None,
            memory: serde_json::Value::Null,
            absent: false,
            api_endpoint: None,
            generation: 1,
            observed_generation: 0,
            created: now,
            updated: now,
            deleted: None,
        }
    }

    /// A cluster that was just asked for, and the operation that creates it.
    pub(crate) async fn cluster(&self, name: &str, gateway: GatewayId, account: AccountId) -> (ClusterId, OperationId) {
        let cluster = self.cluster_record(name, gateway, Some(account));
        clusters::insert(&self.store, &cluster).await.unwrap();
        (cluster.id, self.operation("create_cluster", cluster.id.into()).await)
    }

    pub(crate) async fn operation(&self, kind: &str, subject: Subject) -> OperationId {
        let operation = Operation {
            id: OperationId::new(),
            tenant: self.tenant,
            kind: kind.into(),
            subject,
            state: OperationState::Queued,
            reason: String::new(),
            created_by: "usr_1".into(),
            created: self.clock.now(),
            started: None,
            finished: None,
        };
        operations::insert(&self.store, &operation).await.unwrap();
        operation.id
    }

    pub(crate) async fn read_gateway(&self, id: GatewayId) -> Gateway {
        gateways::get(&self.store, id).await.unwrap().unwrap()
    }

    pub(crate) async fn read_cluster(&self, id: ClusterId) -> Cluster {
        clusters::get(&self.store, id).await.unwrap().unwrap()
    }

    pub(crate) async fn read_operation(&self, id: OperationId) -> Operation {
        operations::find(&self.store, self.tenant, id).await.unwrap().unwrap()
    }

    /// The steps of an operation: name, state, detail.
    pub(crate) async fn steps(&self, id: OperationId) -> Vec<(String, OperationState, String)> {
        let steps = operations::steps(&self.store, id).await.unwrap();
        steps.into_iter().map(|step| (step.name, step.state, step.detail)).collect()
    }

    /// What was told about a thing, oldest first.
    pub(crate) async fn told(&self, subject: impl Into<Subject>) -> Vec<Event> {
        let filter = events::Filter { subject: Some(subject.into()), ..events::Filter::default() };
        events::since(&self.store, &filter, None, Page::MAX).await.unwrap()
    }

    /// The words of what was told, in order.
    pub(crate) async fn reasons(&self, subject: impl Into<Subject>) -> Vec<String> {
        self.told(subject).await.into_iter().map(|event| event.reason).collect()
    }

    /// A client of the site's MAAS that is somebody else.
    pub(crate) fn operator(&self, user: &str) -> Client {
        let (endpoint, _) = Endpoint::parse(&self.maas.url()).unwrap();
        let key: ApiKey = self.maas.api_key(user).unwrap().expose_secret().parse().unwrap();
        Client::new(ClientOptions::new(endpoint, key, self.network.connector(), self.clock.clone())).unwrap()
    }

    /// Machines that bear a cluster's mark and are deployed, as an installer leaves them; their names.
    pub(crate) async fn take_machines(&self, cluster: ClusterId, nodes: &[&str]) -> Vec<String> {
        let maas = self.operator("admin");
        let mut names = Vec::new();
        for node in nodes {
            let wanted = Allocate { agent_name: Some(mark::agent_name(&cluster)), ..Allocate::default() };
            let machine = maas.allocate(&wanted).await.unwrap();
            let id = cluster.to_string();
            let notes = [(mark::CLUSTER, id.as_str()), (mark::NODE, *node), (mark::POOL, "control-plane")];
            maas.set_owner_data(&machine.system_id, notes).await.unwrap();
            maas.deploy(&machine.system_id, &Deploy::default()).await.unwrap();
            names.push(machine.hostname);
        }
        self.until(|harness| names.iter().all(|name| harness.status(name) == "Deployed")).await;
        names
    }

    /// A machine's state in MAAS.
    pub(crate) fn status(&self, machine: &str) -> &'static str {
        self.maas.machine(machine).unwrap().status
    }

    /// Lets everybody else work until something is so.
    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !holds(self) {
                tokio::task::yield_now().await;
            }
        });
        waited.await.expect("it never came to be so");
    }
}

pub(crate) fn spec() -> ClusterSpec {
    serde_json::from_str(
        r#"{"control_plane": {"count": 1, "resource_pool": "default"},
            "workers": [{"name": "w", "count": 2, "resource_pool": "default"}]}"#,
    )
    .unwrap()
}
