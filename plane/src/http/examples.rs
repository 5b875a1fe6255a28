//! An example of every type of the API, for its document. Each is read back as its type, so none can be wrong.

use ferrogate_api as api;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const AT: &str = "2026-11-23T08:00:00Z";
const LATER: &str = "2026-11-24T08:00:00Z";

struct Examples(BTreeMap<&'static str, Value>);

impl Examples {
    fn put<T: DeserializeOwned + Serialize>(&mut self, name: &'static str, example: Value) {
        let read: T = serde_json::from_value(example).unwrap_or_else(|error| panic!("the example of {name}: {error}"));
        self.0.insert(name, serde_json::to_value(read).expect("a wire type can be written"));
    }

    fn get(&self, name: &'static str) -> Value {
        self.0.get(name).cloned().unwrap_or_else(|| panic!("there is no example of {name} yet"))
    }
}

fn id(prefix: &str) -> String {
    format!("{prefix}_01990f3e6b0a7c31a5d2c0ffee123456")
}

/// Every example, by the name of its type.
pub(super) fn all() -> BTreeMap<&'static str, Value> {
    let mut all = Examples(BTreeMap::new());
    people(&mut all);
    sites(&mut all);
    clusters(&mut all);
    records(&mut all);
    all.0
}

fn people(all: &mut Examples) {
    all.put::<api::SetupRequest>(
        "SetupRequest",
        json!({"setup_token": "fg_setup_…", "tenant": "acme", "email": "admin@example.com", "password": "a long pass phrase"}),
    );
    all.put::<api::SessionCreate>(
        "SessionCreate",
        json!({"email": "admin@example.com", "password": "a long pass phrase"}),
    );
    all.put::<api::Session>(
        "Session",
        json!({"id": id("ses"), "created_at": AT, "expires_at": LATER, "last_used_at": AT, "from_ip": "192.0.2.10", "current": true}),
    );
    all.put::<api::Identity>(
        "Identity",
        json!({"user_id": id("usr"), "email": "admin@example.com", "tenant_id": id("ten"), "tenant": "acme", "role": "admin",
            "platform_admin": false}),
    );
    let (session, identity) = (all.get("Session"), all.get("Identity"));
    all.put::<api::SessionCreated>(
        "SessionCreated",
        json!({"session": session, "token": "fg_ses_…", "identity": identity}),
    );
    all.put::<api::Tenant>("Tenant", json!({"id": id("ten"), "name": "acme", "created_at": AT}));
    all.put::<api::TenantCreate>(
        "TenantCreate",
        json!({"name": "globex", "admin_email": "admin@globex.example", "admin_password": "another pass phrase"}),
    );
    all.put::<api::User>(
        "User",
        json!({"id": id("usr"), "email": "operator@example.com", "role": "operator", "platform_admin": false, "disabled": false,
            "created_at": AT}),
    );
    all.put::<api::UserCreate>(
        "UserCreate",
        json!({"email": "operator@example.com", "role": "operator", "password": "a long pass phrase"}),
    );
    all.put::<api::PasswordChange>(
        "PasswordChange",
        json!({"current": "a long pass phrase", "new": "another long pass phrase"}),
    );
    all.put::<api::UserUpdate>("UserUpdate", json!({"role": "viewer"}));
    all.put::<api::EndedCredentials>(
        "EndedCredentials",
        json!({"sessions": 1, "tokens": 2, "kubeconfigs": 1, "pairing_codes": 0}),
    );
    let (user, ended) = (all.get("User"), all.get("EndedCredentials"));
    all.put::<api::UserUpdated>("UserUpdated", json!({"user": user, "ended": ended}));
    all.put::<api::Token>(
        "Token",
        json!({"id": id("tok"), "name": "ci", "role": "operator", "created_at": AT, "expires_at": LATER}),
    );
    all.put::<api::TokenCreate>("TokenCreate", json!({"name": "ci", "role": "operator", "expires_in_hours": 720}));
    let token = all.get("Token");
    all.put::<api::TokenCreated>("TokenCreated", json!({"token": token, "secret": "fg_pat_…"}));
}

fn sites(all: &mut Examples) {
    all.put::<api::PairingCode>(
        "PairingCode",
        json!({"id": id("pair"), "state": "active", "note": "Paris, hall 2", "created_by": id("usr"), "created_at": AT,
            "expires_at": LATER}),
    );
    all.put::<api::PairingCodeCreate>("PairingCodeCreate", json!({"note": "Paris, hall 2"}));
    let code = all.get("PairingCode");
    all.put::<api::PairingCodeCreated>(
        "PairingCodeCreated",
        json!({"pairing_code": code, "code": "7K2QX-M94TD-0WBNE-5RHJC", "command": "ferrogate install --plane https://plane.example.com"}),
    );
    all.put::<api::PairRequest>(
        "PairRequest",
        json!({"code": "7K2QX-M94TD-0WBNE-5RHJC", "request_key": "a random text of the installer", "name": "maas-pcg-1", "nodes": 1,
            "maas": {"endpoint": "http://10.11.12.13:5240/MAAS", "api_key": "consumer:token:secret"}, "domain": "maas",
            "zone": "default", "resource_pool": "default", "pod_cidr": "192.168.0.0/16", "service_cidr": "10.43.0.0/16",
            "proxy": {"https_proxy": "http://proxy.example.com:3128", "no_proxy": "10.20.0.0/22"}, "installer_version": "0.1.0"}),
    );
    all.put::<api::PairResponse>(
        "PairResponse",
        json!({"gateway_id": id("gw"), "cluster_id": id("cls"), "install_token": "fg_inst_…", "materials": "{…}",
            "release": ferrogate_model::release::Release::example(),
            "plane_url": "https://plane.example.com", "artifacts_url": "https://plane.example.com/artifacts"}),
    );
    all.put::<api::EnrolmentTokenCreate>("EnrolmentTokenCreate", json!({"node_name": "node02"}));
    all.put::<api::EnrolmentTokenCreated>("EnrolmentTokenCreated", json!({"token": "fg_enr_…", "expires_at": LATER}));
    all.put::<api::InstallProgress>(
        "InstallProgress",
        json!({"step": "machines", "state": "Running", "detail": "node02 is being installed by MAAS"}),
    );
    all.put::<api::InstallStatus>(
        "InstallStatus",
        json!({"gateway_id": id("gw"), "name": "maas-pcg-1", "state": "Running", "health": "Healthy", "reason": "",
            "connected_nodes": ["node02"], "desired_nodes": 1}),
    );
    all.put::<api::Gateway>(
        "Gateway",
        json!({"id": id("gw"), "name": "maas-pcg-1", "cloud_type": "maas", "state": "Running", "reason": "", "health": "Healthy",
            "desired_nodes": 1, "connected_nodes": 1, "version": "0.1.0", "cluster_id": id("cls"), "account_id": id("acct"),
            "maas_endpoint": "http://10.11.12.13:5240/MAAS", "created_at": AT, "last_seen_at": AT}),
    );
    all.put::<api::GatewayNode>(
        "GatewayNode",
        json!({"id": id("gwn"), "name": "node02", "connected": true, "key_fingerprint": format!("sha256:{}", "00".repeat(32)),
            "version": "0.1.0", "registered_at": AT, "last_seen_at": AT, "carriers": 2, "streams": 3, "refused_dials": 0}),
    );
    all.put::<api::GatewayForceDelete>("GatewayForceDelete", json!({"confirm_name": "maas-pcg-1"}));
    all.put::<api::Orphan>(
        "Orphan",
        json!({"id": id("orph"), "kind": "machine", "name": "4y3hb3", "hostname": "node03",
            "maas_endpoint": "http://10.11.12.13:5240/MAAS", "gateway_id": id("gw"), "gateway": "maas-pcg-1",
            "cluster_id": id("cls"), "reason": "node03 was not given back, because no node of the gateway is connected",
            "recorded_by": "admin@example.com", "recorded_at": AT}),
    );
    all.put::<api::Account>(
        "Account",
        json!({"id": id("acct"), "name": "maas-pcg-1", "gateway_id": id("gw"), "gateway": "maas-pcg-1",
            "endpoint": "http://10.11.12.13:5240/MAAS", "auto_created": true, "clusters": 1, "state": "Ready", "reason": "", "created_at": AT, "updated_at": AT}),
    );
    all.put::<api::AccountCreate>(
        "AccountCreate",
        json!({"name": "second-key", "gateway": "maas-pcg-1", "endpoint": "http://10.11.12.13:5240/MAAS",
            "api_key": "consumer:token:secret"}),
    );
    all.put::<api::AccountUpdate>("AccountUpdate", json!({"api_key": "consumer:token:secret"}));
    all.put::<api::AccountProperties>(
        "AccountProperties",
        json!({"maas_version": "3.6.0", "maas_user": "ferrogate", "zones": [{"name": "default", "ready_machines": 5}],
            "resource_pools": [{"name": "default", "ready_machines": 5}], "domains": ["maas"], "subnets": ["lab 10.20.0.0/22"],
            "tags": ["ssd"], "images": ["ubuntu/noble amd64"], "ready_machines": 5}),
    );
}

fn clusters(all: &mut Examples) {
    let spec = json!({"domain": "maas", "pod_cidr": "192.168.0.0/16", "service_cidr": "10.43.0.0/16",
        "control_plane": {"name": "control-plane", "count": 1, "resource_pool": "default"},
        "workers": [{"name": "workers", "count": 2, "resource_pool": "default", "min_cpu": 4}]});
    all.put::<api::ClusterCreate>("ClusterCreate", json!({"name": "web", "account": "maas-pcg-1", "spec": spec}));
    all.put::<api::ClusterUpdate>("ClusterUpdate", json!({"spec": spec, "if_generation": 1}));
    all.put::<api::ClusterLookup>("ClusterLookup", json!({"clusters": [id("cls")]}));
    all.put::<api::KnownCluster>("KnownCluster", json!({"id": id("cls"), "known": "exists"}));
    all.put::<api::ClusterDelete>("ClusterDelete", json!({"confirm_name": "web"}));
    all.put::<api::Cluster>(
        "Cluster",
        json!({"id": id("cls"), "name": "web", "account_id": id("acct"), "account": "maas-pcg-1", "gateway_id": id("gw"), "spec": spec,
            "state": "Running", "reason": "", "kubernetes_version": "v1.36.4", "api_endpoint": "https://node03.maas:6443",
            "desired_machines": 3, "running_machines": 3, "generation": 1, "created_at": AT, "updated_at": AT}),
    );
    all.put::<api::Operation>(
        "Operation",
        json!({"id": id("op"), "kind": "create_cluster", "subject_kind": "cluster", "subject_id": id("cls"), "subject": "web",
            "state": "Running", "reason": "", "created_by": "admin@example.com", "created_at": AT, "started_at": AT,
            "steps": [{"name": "machines", "state": "Running", "detail": "2 of 3 machines are installed", "started_at": AT}]}),
    );
    let (cluster, operation) = (all.get("Cluster"), all.get("Operation"));
    all.put::<api::ClusterAccepted>("ClusterAccepted", json!({"cluster": cluster, "operation": operation}));
    all.put::<api::ClusterPlan>(
        "ClusterPlan",
        json!({"checks": [{"id": "machines", "title": "Machines", "status": "pass", "seen": "5 Ready machines fit"}],
            "machines": [{"pool": "control-plane", "hostname": "node03", "zone": "default", "cpu": 4, "memory_mib": 8192,
                "disk_gib": 100}], "ok": true}),
    );
    all.put::<api::Machine>(
        "Machine",
        json!({"system_id": "4y3hb3", "hostname": "node03", "fqdn": "node03.maas", "addresses": ["10.20.0.13"], "cluster_id": id("cls"),
            "cluster": "web", "pool": "control-plane", "zone": "default", "state": "Running", "reason": "", "since": AT}),
    );
    all.put::<api::KubeconfigCreate>("KubeconfigCreate", json!({"expires_in_hours": 8}));
    all.put::<api::KubeconfigCreated>(
        "KubeconfigCreated",
        json!({"kubeconfig": "apiVersion: v1\nkind: Config\n…", "context": "web", "expires_at": LATER}),
    );
}

fn records(all: &mut Examples) {
    all.put::<api::Event>(
        "Event",
        json!({"id": id("ev"), "at": AT, "subject_kind": "cluster", "subject_id": id("cls"), "subject": "web", "severity": "Info",
            "reason": "MachineDeployed", "message": "node03 runs Ubuntu and starts Kubernetes"}),
    );
    all.put::<api::AuditEntry>(
        "AuditEntry",
        json!({"id": "0000000000000042", "at": AT, "actor_kind": "user", "actor_id": id("usr"), "actor": "admin@example.com",
            "from_ip": "192.0.2.10", "action": "cluster.create", "subject": id("cls"), "result": "allowed",
            "detail": "POST /api/v1/clusters → 202", "request_id": "req_01990f3e6b0a7c31a5d2c0ffee123456"}),
    );
    all.put::<api::Version>(
        "Version",
        json!({"version": "0.1.0", "kubernetes_version": "v1.36.4", "os_image": "ubuntu/noble", "gateway_version": "0.1.0",
            "is_set_up": true, "time": AT}),
    );
    all.put::<api::Problem>(
        "Problem",
        json!({"type": "/problems/cluster_not_found", "title": "Not Found", "status": 404, "code": "cluster_not_found",
            "detail": "there is no cluster `web`", "hint": "check the spelling, and list the clusters you may see", "fault": "caller",
            "retry": "no", "request_id": "req_01990f3e6b0a7c31a5d2c0ffee123456"}),
    );
}
