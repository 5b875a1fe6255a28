//! What nobody may do with rights they have for something else.

use super::{clusters, install, pairing_codes, tokens, users};
use crate::{
    Options, Running, Server,
    auth::{Installer, Principal, caller::Credentials},
};
use ferrogate_api::{EnrolmentTokenCreate, PairingCodeCreate, Role, TokenCreate, UserUpdate};
use ferrogate_model::{
    ClusterId, GatewayId, SessionId, TenantId, UserId,
    release::Release,
    state::{ClusterState, GatewayHealth, GatewayState},
};
use ferrogate_store::{
    SecretHash, clusters as records,
    gateways::{self, Gateway},
    sessions, tenants, users as stored,
};
use secrecy::SecretString;

struct Plane {
    running: Running,
    tenant: TenantId,
    _folder: tempfile::TempDir,
}

impl Plane {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = Server::start(Options::new(
            folder.path(),
            "127.0.0.1:0".parse().unwrap(),
            Release::example(),
            std::sync::Arc::new(ferrogate_firstboot::Kubeadm),
        ))
        .await
        .unwrap();
        let tenant = tenants::Tenant { id: TenantId::new(), name: "acme".into(), created: running.context.now() };
        tenants::insert(&running.context.store, &tenant).await.unwrap();
        Self { running, tenant: tenant.id, _folder: folder }
    }

    async fn user(&self, email: &str, role: stored::Role, platform_admin: bool) -> Principal {
        let user = stored::User {
            id: UserId::new(),
            tenant: self.tenant,
            email: email.into(),
            password_hash: None,
            role,
            platform_admin,
            disabled: false,
            created: self.running.context.now(),
        };
        stored::insert(&self.running.context.store, &user).await.unwrap();
        let session = sessions::Session {
            id: SessionId::new(),
            user: user.id,
            token_hash: SecretHash::of(&SecretString::from(email)),
            kind: sessions::SessionKind::Cli,
            created: user.created,
            expires: user.created + std::time::Duration::from_secs(3600),
            last_used: user.created,
            from_ip: None,
        };
        sessions::insert(&self.running.context.store, &session).await.unwrap();
        Principal {
            user: user.id,
            email: user.email,
            tenant: self.tenant,
            role: crate::roles::role(role),
            platform_admin,
            credentials: Credentials::Session(session.id),
        }
    }

    async fn gateway(&self) -> Gateway {
        let now = self.running.context.now();
        let gateway = Gateway {
            id: GatewayId::new(),
            tenant: self.tenant,
            name: "paris".parse().unwrap(),
            state: GatewayState::Running,
            reason: String::new(),
            health: GatewayHealth::Degraded,
            desired_nodes: 1,
            version: None,
            cluster: ClusterId::new(),
            account: ferrogate_model::AccountId::new(),
            install_token_hash: Some(SecretHash::of(&SecretString::from("fg_inst_1"))),
            settings: serde_json::json!({}),
            proxy: None,
            created: now,
            updated: now,
            last_seen: None,
            deleted: None,
        };
        gateways::insert(&self.running.context.store, &gateway).await.unwrap();
        let own = records::Cluster {
            id: gateway.cluster,
            tenant: self.tenant,
            gateway: gateway.id,
            account: None,
            kind: records::ClusterKind::Gateway,
            name: gateway.name.clone(),
            spec: serde_json::from_str(r#"{"control_plane": {"count": 1, "resource_pool": "default"}}"#).unwrap(),
            state: ClusterState::Running,
            reason: String::new(),
            release: self.running.context.release.clone(),
            materials: None,
            settings: None,
            memory: serde_json::Value::Null,
            absent: false,
            api_endpoint: None,
            generation: 1,
            observed_generation: 1,
            created: now,
            updated: now,
            deleted: None,
        };
        records::insert(&self.running.context.store, &own).await.unwrap();
        gateway
    }
}

#[tokio::test]
async fn a_tenant_admin_does_not_become_the_planes_by_setting_a_password() {
    let plane = Plane::start().await;
    let context = &plane.running.context;
    let root = plane.user("root@example.com", stored::Role::Admin, true).await;
    let admin = plane.user("admin@example.com", stored::Role::Admin, false).await;
    let password = || UserUpdate { password: Some("a new long password".to_owned().into()), ..UserUpdate::default() };
    let refused = users::update(context, &admin, &root.user.to_string(), password()).await.unwrap_err();
    assert_eq!(refused.problem().status, 403, "{refused}");
    let by_token = Principal { platform_admin: false, ..root.clone() };
    let refused = users::update(context, &by_token, &root.user.to_string(), password()).await.unwrap_err();
    assert_eq!(refused.problem().status, 403, "not with a token of the same user: {refused}");
    users::update(context, &root, &admin.user.to_string(), password()).await.unwrap();
    users::update(context, &root, &root.user.to_string(), password()).await.unwrap();
}

#[tokio::test]
async fn what_ended_while_its_request_was_under_way_makes_nothing_any_more() {
    let plane = Plane::start().await;
    let context = &plane.running.context;
    let who = plane.user("admin@example.com", stored::Role::Admin, false).await;
    // It was let in, and its session is gone by the time it makes something.
    sessions::remove_all(&context.store, who.user, None).await.unwrap();
    let request = TokenCreate { name: "late".into(), role: Role::Viewer, expires_in_hours: None };
    let refused = tokens::create(context, &who, request).await.unwrap_err();
    assert_eq!((refused.problem().status, refused.problem().code.as_str()), (401, "not_signed_in"));
    let refused = pairing_codes::create(context, &who, PairingCodeCreate::default()).await.unwrap_err();
    assert_eq!(refused.problem().status, 401);
    let request = UserUpdate { role: Some(Role::Viewer), ..UserUpdate::default() };
    let other = plane.user("other@example.com", stored::Role::Admin, false).await;
    let refused = users::update(context, &who, &other.user.to_string(), request).await.unwrap_err();
    assert_eq!(refused.problem().status, 401);
}

#[tokio::test]
async fn only_admins_reach_the_kubernetes_api_of_a_gateways_own_cluster() {
    let plane = Plane::start().await;
    let context = &plane.running.context;
    let own = plane.gateway().await.cluster.to_string();
    for (role, may) in [(Role::Viewer, false), (Role::Operator, false), (Role::Admin, true)] {
        let who = plane.user(&format!("{role:?}@example.com"), crate::roles::stored_role(role), false).await;
        let found = clusters::reachable(context, &who, &own).await;
        assert_eq!(found.is_ok(), may, "{role:?}");
    }
}

#[tokio::test]
async fn an_installers_token_adds_no_node_to_a_gateway_that_is_complete() {
    let plane = Plane::start().await;
    let context = &plane.running.context;
    let gateway = plane.gateway().await;
    let installer = Installer { gateway: gateway.id, tenant: plane.tenant };
    let wanted = || EnrolmentTokenCreate { node_name: "paris-1".parse().unwrap() };
    install::enrolment_token(context, &installer, wanted()).await.unwrap();
    gateways::set_health(&context.store, gateway.id, GatewayHealth::Healthy, None, None).await.unwrap();
    let refused = install::enrolment_token(context, &installer, wanted()).await.unwrap_err();
    assert_eq!(refused.problem().code, "gateway_complete");
}
