//! What every scenario starts from: an empty store, and records with something in every column.

use ferrogate_model::{
    AccountId, ClusterId, GatewayId, Name, NodeId, TenantId, Timestamp, UserId,
    cluster::ClusterSpec,
    release::Release,
    state::{ClusterState, GatewayHealth, GatewayState},
};
use ferrogate_store::{
    MasterKey, SecretHash, Store,
    accounts::{self, Account, AccountState},
    clusters::{self, Cluster, ClusterKind},
    gateway_nodes::GatewayNode,
    gateways::{self, Gateway},
    tenants::{self, Tenant},
    users::{self, Role, User},
};
use secrecy::SecretString;
use sqlx::{Connection, Executor, PgConnection, Row, SqliteConnection};

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) key: MasterKey,
    pub(crate) location: SecretString,
}

/// The start of every scenario's time, in whole milliseconds as the store keeps them.
pub(crate) fn start() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

/// That many seconds after the start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    start() + jiff::SignedDuration::from_secs(seconds)
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

impl Fixture {
    pub(crate) async fn open(location: String) -> Self {
        let key = MasterKey::generate();
        let location = SecretString::from(location);
        let store = Store::open(&location, key.clone()).await.unwrap();
        Self { store, key, location }
    }

    /// Runs a statement behind the store's back.
    pub(crate) async fn raw(&self, sql: &'static str) {
        use secrecy::ExposeSecret;
        let location = self.location.expose_secret();
        if location.starts_with("postgres") {
            PgConnection::connect(location).await.unwrap().execute(sql).await.unwrap();
        } else {
            let mut connection = SqliteConnection::connect(&format!("sqlite:{location}")).await.unwrap();
            connection.execute(sql).await.unwrap();
        }
    }

    /// Every value of a column of bytes, read behind the store's back.
    pub(crate) async fn raw_bytes(&self, sql: &'static str) -> Vec<Vec<u8>> {
        use secrecy::ExposeSecret;
        let location = self.location.expose_secret();
        if location.starts_with("postgres") {
            let rows = PgConnection::connect(location).await.unwrap().fetch_all(sql).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        } else {
            let mut connection = SqliteConnection::connect(&format!("sqlite:{location}")).await.unwrap();
            connection.fetch_all(sql).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
    }

    pub(crate) async fn tenant(&self, name: &str) -> TenantId {
        let tenant = Tenant { id: TenantId::new(), name: name.to_owned(), created: start() };
        tenants::insert(&self.store, &tenant).await.unwrap();
        tenant.id
    }

    pub(crate) async fn user(&self, tenant: TenantId, email: &str) -> UserId {
        let user = user(tenant, email);
        users::insert(&self.store, &user).await.unwrap();
        user.id
    }

    pub(crate) async fn gateway(&self, tenant: TenantId, text: &str) -> GatewayId {
        let gateway = gateway(tenant, text);
        gateways::insert(&self.store, &gateway).await.unwrap();
        gateway.id
    }

    pub(crate) async fn account(&self, tenant: TenantId, gateway: GatewayId, text: &str) -> AccountId {
        let account = account(tenant, gateway, text);
        accounts::insert(&self.store, &account).await.unwrap();
        account.id
    }

    pub(crate) async fn cluster(&self, tenant: TenantId, gateway: GatewayId, text: &str) -> ClusterId {
        let cluster = cluster(tenant, gateway, text);
        clusters::insert(&self.store, &cluster).await.unwrap();
        cluster.id
    }
}

pub(crate) fn user(tenant: TenantId, email: &str) -> User {
    User {
        id: UserId::new(),
        tenant,
        email: email.to_owned(),
        password_hash: Some(secret("$argon2id$v=19$…")),
        role: Role::Operator,
        platform_admin: true,
        disabled: false,
        created: start(),
    }
}

pub(crate) fn gateway(tenant: TenantId, text: &str) -> Gateway {
    Gateway {
        id: GatewayId::new(),
        tenant,
        name: name(text),
        state: GatewayState::Provisioning,
        reason: "waiting for its first node".to_owned(),
        health: GatewayHealth::Unknown,
        desired_nodes: 3,
        version: None,
        cluster: ClusterId::new(),
        account: AccountId::new(),
        install_token_hash: Some(SecretHash::of(&secret("install"))),
        settings: serde_json::json!({"no_proxy": "10.0.0.0/8"}),
        proxy: Some(secret("http://user:proxy-secret@10.20.0.3:3128")),
        created: start(),
        updated: start(),
        last_seen: None,
        deleted: None,
    }
}

pub(crate) fn node(gateway: GatewayId, text: &str, public_key: &str) -> GatewayNode {
    GatewayNode {
        id: NodeId::new(),
        gateway,
        name: text.to_owned(),
        public_key: public_key.to_owned(),
        version: "0.1.0".to_owned(),
        registered: at(10),
        last_seen: Some(at(10)),
        revoked: None,
        replica: Some("plane-a".to_owned()),
    }
}

pub(crate) fn account(tenant: TenantId, gateway: GatewayId, text: &str) -> Account {
    Account {
        id: AccountId::new(),
        tenant,
        name: name(text),
        gateway,
        endpoint: "http://10.20.0.2:5240/MAAS".to_owned(),
        api_key: secret("consumer:token:account-secret"),
        ca_pem: None,
        state: AccountState::Unknown,
        reason: String::new(),
        auto_created: true,
        created: start(),
        updated: start(),
        deleted: None,
    }
}

pub(crate) fn spec() -> ClusterSpec {
    serde_json::from_str(r#"{"control_plane": {"count": 1, "resource_pool": "default"}}"#).unwrap()
}

pub(crate) fn release() -> Release {
    Release::example()
}

pub(crate) fn cluster(tenant: TenantId, gateway: GatewayId, text: &str) -> Cluster {
    Cluster {
        id: ClusterId::new(),
        tenant,
        gateway,
        account: None,
        kind: ClusterKind::Tenant,
        name: name(text),
        spec: spec(),
        state: ClusterState::Queued,
        reason: "waiting for its turn".to_owned(),
        release: release(),
        materials: Some(secret("{\"token\": \"materials-secret\"}")),
        settings: Some(secret("{\"https_proxy\": \"settings-secret\"}")),
        memory: serde_json::json!({"first_seen": {}}),
        absent: false,
        api_endpoint: None,
        generation: 1,
        observed_generation: 0,
        created: start(),
        updated: start(),
        deleted: None,
    }
}
