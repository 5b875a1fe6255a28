//! Objects of a tenant, written as the plane itself would have.

use crate::plane::TestPlane;
use ferrogate_api::Identity;
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_model::{
    AccountId, ClusterId, EventId, GatewayId, NodeId, OperationId, OrphanId, PairingCodeId, SystemId, TenantId, UserId,
    cluster::ClusterSpec,
    release::{Architecture, Artifact, Release},
    state::{ClusterState, GatewayHealth, GatewayState, MachineState, OperationState, Severity},
};
use ferrogate_store::{
    SecretHash, Store, accounts, clusters, events, gateway_nodes, gateways, machines, operations, orphans,
    pairing_codes,
};
use secrecy::SecretString;
use std::{net::IpAddr, path::Path};

/// The token with which the fixture's gateway is installed.
pub(crate) const INSTALL_TOKEN: &str = "fg_inst_fixture";

/// Where the nodes' programs and images are, below `/artifacts/`.
pub(crate) const BUNDLE: &str = "kubeadm/amd64/bundle.tar.zst";
/// Where the gateway's image is.
pub(crate) const GATEWAY_IMAGE: &str = "gateway/amd64.tar";

/// What the fixture's files hold.
const FILES: [(&str, &[u8]); 2] = [(BUNDLE, b"the bundle"), (GATEWAY_IMAGE, b"the gateway image")];

/// A release of [`FILES`].
pub(crate) fn release() -> Release {
    let [bundle, gateway] =
        FILES.map(|(path, content)| Artifact { path: path.to_owned(), sha256: sha256(content), upstream: None });
    let release = Release::example();
    let [architecture] = release.architectures.as_slice() else { unreachable!("the example is for one") };
    let architecture = Architecture { name: architecture.name.clone(), kubeadm: bundle, gateway_image: gateway };
    Release { architectures: vec![architecture], ..release }
}

/// Puts the release's files below a folder.
pub(crate) fn write_files(folder: &Path) {
    for (path, content) in FILES {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
}

pub(crate) fn sha256(content: &[u8]) -> String {
    ferrogate_net::Fingerprint::of(content).to_string().trim_start_matches("sha256:").to_owned()
}

/// Ids of one object of each kind.
pub(crate) struct Objects {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) gateway: GatewayId,
    pub(crate) node: NodeId,
    pub(crate) account: AccountId,
    pub(crate) cluster: ClusterId,
    pub(crate) operation: OperationId,
    pub(crate) orphan: OrphanId,
    pub(crate) pairing_code: PairingCodeId,
    pub(crate) event: EventId,
}

/// What the fixture's site looks like.
pub(crate) struct Site {
    pub(crate) maas_endpoint: String,
    pub(crate) maas_key: SecretString,
    pub(crate) member: IpAddr,
    pub(crate) materials: Option<ClusterMaterials>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            maas_endpoint: "http://10.20.0.2:5240/MAAS".into(),
            maas_key: "consumer:token:secret".to_owned().into(),
            member: "10.20.0.13".parse().unwrap(),
            materials: None,
        }
    }
}

/// Writes one object of each kind into the tenant of `admin`.
pub(crate) async fn objects(plane: &TestPlane, admin: &str, site: Site) -> Objects {
    let identity: Identity = plane.get("/me").token(admin).await.read(200);
    let store = &plane.running.context.store;
    let now = plane.running.context.now();
    let all = Objects {
        tenant: identity.tenant_id,
        user: identity.user_id,
        gateway: GatewayId::new(),
        node: NodeId::new(),
        account: AccountId::new(),
        cluster: ClusterId::new(),
        operation: OperationId::new(),
        orphan: OrphanId::new(),
        pairing_code: PairingCodeId::new(),
        event: EventId::new(),
    };
    write_gateway(store, &all, &site, now).await;
    write_cluster(store, &all, &site, now).await;
    write_records(store, &all, now).await;
    all
}

async fn write_gateway(store: &Store, all: &Objects, site: &Site, now: ferrogate_model::Timestamp) {
    let gateway = gateways::Gateway {
        id: all.gateway,
        tenant: all.tenant,
        name: "maas-pcg-1".parse().unwrap(),
        state: GatewayState::Provisioning,
        reason: String::new(),
        health: GatewayHealth::Unknown,
        desired_nodes: 1,
        version: None,
        cluster: ClusterId::new(),
        account: all.account,
        install_token_hash: Some(SecretHash::of(&INSTALL_TOKEN.to_owned().into())),
        settings: serde_json::Value::Null,
        proxy: None,
        created: now,
        updated: now,
        last_seen: None,
        deleted: None,
    };
    gateways::insert(store, &gateway).await.unwrap();
    let own = clusters::Cluster {
        id: gateway.cluster,
        account: None,
        kind: clusters::ClusterKind::Gateway,
        state: ClusterState::Provisioning,
        ..cluster(all, site, "maas-pcg-1", now)
    };
    clusters::insert(store, &own).await.unwrap();
    let node = gateway_nodes::GatewayNode {
        id: all.node,
        gateway: all.gateway,
        name: "node02".into(),
        public_key: ferrogate_tunnel::NodeKey::generate().unwrap().public_key().to_string(),
        version: "0.1.0".into(),
        registered: now,
        last_seen: None,
        revoked: None,
        replica: None,
    };
    gateway_nodes::register(store, &node).await.unwrap();
    let account = accounts::Account {
        id: all.account,
        tenant: all.tenant,
        name: "maas-pcg-1".parse().unwrap(),
        gateway: all.gateway,
        endpoint: site.maas_endpoint.clone(),
        api_key: site.maas_key.clone(),
        ca_pem: None,
        state: accounts::AccountState::Ready,
        reason: String::new(),
        auto_created: true,
        created: now,
        updated: now,
        deleted: None,
    };
    accounts::insert(store, &account).await.unwrap();
}

fn cluster(all: &Objects, site: &Site, name: &str, now: ferrogate_model::Timestamp) -> clusters::Cluster {
    let spec: ClusterSpec =
        serde_json::from_str(r#"{"control_plane": {"count": 1, "resource_pool": "default"}}"#).unwrap();
    clusters::Cluster {
        id: all.cluster,
        tenant: all.tenant,
        gateway: all.gateway,
        account: Some(all.account),
        kind: clusters::ClusterKind::Tenant,
        name: name.parse().unwrap(),
        spec,
        state: ClusterState::Running,
        reason: String::new(),
        release: release(),
        materials: site.materials.as_ref().map(|materials| serde_json::to_string(materials).unwrap().into()),
        settings: None,
        memory: serde_json::Value::Null,
        absent: false,
        api_endpoint: Some("https://node03.maas:6443".into()),
        generation: 1,
        observed_generation: 1,
        created: now,
        updated: now,
        deleted: None,
    }
}

async fn write_cluster(store: &Store, all: &Objects, site: &Site, now: ferrogate_model::Timestamp) {
    clusters::insert(store, &cluster(all, site, "web", now)).await.unwrap();
    let machine = machines::Machine {
        cluster: all.cluster,
        system_id: SystemId("4y3hb3".into()),
        hostname: "node03".into(),
        fqdn: "node03.maas".into(),
        addresses: vec![site.member],
        zone: "default".into(),
        pool: "control-plane".into(),
        node: Some("node03".into()),
        state: MachineState::Running,
        reason: String::new(),
        since: now,
        updated: now,
    };
    let mut tx = store.begin().await.unwrap();
    machines::replace(&mut tx, all.cluster, &[machine]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn write_records(store: &Store, all: &Objects, now: ferrogate_model::Timestamp) {
    let operation = operations::Operation {
        id: all.operation,
        tenant: all.tenant,
        kind: "create_cluster".into(),
        subject: all.cluster.into(),
        state: OperationState::Running,
        reason: String::new(),
        created_by: all.user.to_string(),
        created: now,
        started: Some(now),
        finished: None,
    };
    operations::insert(store, &operation).await.unwrap();
    operations::set_step(store, all.operation, 1, "machines", OperationState::Running, "", now).await.unwrap();
    let orphan = orphans::Orphan {
        id: all.orphan,
        tenant: all.tenant,
        gateway: GatewayId::new(),
        gateway_name: "berlin".parse().unwrap(),
        cluster: ClusterId::new(),
        maas_endpoint: "http://10.20.0.2:5240/MAAS".into(),
        kind: orphans::OrphanKind::Machine,
        name: "4y3hb3".into(),
        hostname: "node03".into(),
        reason: "its gateway was lost".into(),
        recorded_by: all.user.to_string(),
        recorded: now,
    };
    orphans::insert(store, &orphan).await.unwrap();
    let code = pairing_codes::PairingCode {
        id: all.pairing_code,
        tenant: all.tenant,
        created_by: all.user,
        made_by: ferrogate_store::Maker::Session(ferrogate_model::SessionId::new()),
        name_hint: None,
        code_hash: SecretHash::of(&all.pairing_code.to_string().into()),
        created: now,
        expires: now + std::time::Duration::from_secs(3600),
        used: None,
        used_by_gateway: None,
        revoked: None,
    };
    pairing_codes::insert(store, &code).await.unwrap();
    events::append(store, &[event(all, all.event, "Requested", now)]).await.unwrap();
}

/// An event of the fixture's cluster.
pub(crate) fn event(all: &Objects, id: EventId, reason: &str, at: ferrogate_model::Timestamp) -> events::Event {
    events::Event {
        id,
        tenant: all.tenant,
        subject: all.cluster.into(),
        severity: Severity::Info,
        reason: reason.into(),
        message: "it was".into(),
        at,
    }
}

/// Deletes the fixture's cluster, as its reconciler would.
pub(crate) async fn end_cluster(plane: &TestPlane, all: &Objects) {
    let context = &plane.running.context;
    for (from, to) in [(ClusterState::Running, ClusterState::Deleting), (ClusterState::Deleting, ClusterState::Deleted)]
    {
        let observed = clusters::Observed {
            from,
            to,
            reason: String::new(),
            memory: serde_json::Value::Null,
            api_endpoint: None,
            generation: 1,
            converged: true,
        };
        clusters::record(&context.store, all.cluster, &observed, context.now()).await.unwrap();
    }
}
