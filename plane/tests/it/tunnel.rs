//! A real gateway node connects to a real plane: from the pairing code to MAAS answered through the tunnel.

use crate::plane::TestPlane;
use ferrogate_api::{
    AccountProperties, EnrolmentTokenCreated, Gateway, GatewayNode, Page, PairResponse, PairingCodeCreated,
};
use ferrogate_gateway::RunOptions;
use ferrogate_join::gateway_config::GatewayConfig;
use ferrogate_lab::{maas, seed::Seed};
use ferrogate_model::{
    allow::AllowRule,
    state::{GatewayHealth, GatewayState},
};
use ferrogate_net::Network;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::{path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// Far longer than it takes; a busy machine must not fail the test.
const DEADLINE: Duration = Duration::from_secs(60);

async fn paired(plane: &TestPlane, admin: &str, maas: &maas::Maas) -> PairResponse {
    let code: PairingCodeCreated = plane.post("/pairing-codes").token(admin).json(json!({})).await.read(201);
    let key = maas.api_key("admin").unwrap();
    let request = json!({"code": code.code.expose(), "request_key": "0123456789abcdef0123456789abcdef", "name": "maas-pcg-1",
        "nodes": 1, "maas": {"endpoint": maas.url(), "api_key": key.expose_secret()}, "domain": "maas", "zone": "default",
        "resource_pool": "default", "pod_cidr": "192.168.0.0/16", "service_cidr": "10.43.0.0/16", "installer_version": "0.1.0"});
    plane.post("/pair").json(request).await.read(201)
}

async fn configure(plane: &TestPlane, paired: &PairResponse, allow: Vec<AllowRule>, folder: &Path) {
    let path = format!("/install/{}/enrolment-tokens", paired.gateway_id);
    let token: EnrolmentTokenCreated =
        plane.post(&path).token(paired.install_token.expose()).json(json!({"node_name": "node02"})).await.read(201);
    std::fs::write(folder.join("enrolment-token"), token.token.expose()).unwrap();
    std::fs::write(folder.join("plane-ca.pem"), paired.plane_ca_pem.as_ref().unwrap()).unwrap();
    let config = GatewayConfig {
        plane_url: paired.plane_url.parse().unwrap(),
        plane_ca_file: Some(folder.join("plane-ca.pem")),
        node_name: "node02".parse().unwrap(),
        state_dir: folder.join("state"),
        enrolment_token_file: folder.join("enrolment-token"),
        admin_listen: Some("127.0.0.1:0".parse().unwrap()),
        https_proxy: None,
        no_proxy: String::new(),
        allow,
    };
    let text = toml::to_string(&config).unwrap();
    std::fs::write(folder.join("gateway.toml"), text).unwrap();
    for file in ["gateway.toml", "enrolment-token"] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Asks until `is` holds; the plane's live events would be faster, but this is what a person does.
async fn until(plane: &TestPlane, admin: &str, is: impl Fn(&Gateway) -> bool) -> Gateway {
    tokio::time::timeout(DEADLINE, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            let gateway: Gateway = plane.get("/gateways/maas-pcg-1").token(admin).await.read(200);
            if is(&gateway) {
                return gateway;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_registers_is_running_gets_its_account_and_carries_maas() {
    let plane = TestPlane::start_with(|options| {
        options.site_network = None;
        options.reconcile = true;
    })
    .await;
    let admin = plane.set_up().await;
    let seed = Seed::demo("127.0.0.0/24".parse().unwrap());
    let maas = maas::Maas::start(maas::Options::new(Network::sockets(), seed)).await.unwrap();
    let paired = paired(&plane, &admin, &maas).await;
    let folder = tempfile::tempdir().unwrap();
    let allow = vec![AllowRule { host: "127.0.0.1".into(), ports: vec![maas.local_addr().port()] }];
    configure(&plane, &paired, allow, folder.path()).await;

    let stop = CancellationToken::new();
    let node = tokio::spawn(ferrogate_gateway::run(RunOptions::new(folder.path().join("gateway.toml")), stop.clone()));
    let gateway = until(&plane, &admin, |gateway| {
        gateway.state == GatewayState::Running && gateway.health == GatewayHealth::Healthy
    })
    .await;
    assert_eq!((gateway.connected_nodes, gateway.id), (1, paired.gateway_id));
    let nodes: Page<GatewayNode> = plane.get("/gateways/maas-pcg-1/nodes").token(&admin).await.read(200);
    assert_eq!((nodes.items[0].name.as_str(), nodes.items[0].connected), ("node02", true));
    let path = "/accounts/maas-pcg-1/properties";
    let seen: AccountProperties = plane.get(path).token(&admin).await.read(200);
    assert!(seen.ready_machines > 0, "{seen:?}");

    // What the site does not permit is refused in the site, and said as such.
    let elsewhere = json!({"name": "second", "gateway": "maas-pcg-1", "endpoint": "http://127.0.0.1:9/MAAS",
        "api_key": "consumer:token:secret"});
    let refused = plane.post("/accounts").token(&admin).json(elsewhere).await;
    assert_eq!(refused.problem(502, "target_not_allowed").fault, ferrogate_model::Fault::Gateway);

    stop.cancel();
    node.await.unwrap().unwrap();
    let lost = until(&plane, &admin, |gateway| gateway.health == GatewayHealth::Unreachable).await;
    assert!(lost.health_reason.starts_with("node node02 is not connected, it was last heard at "), "{lost:?}");
    let away = plane.get(path).token(&admin).await;
    away.problem(503, "gateway_not_connected");
    assert!(away.header("retry-after").is_some());
    let TestPlane { running, .. } = plane;
    running.shutdown().await;
}
