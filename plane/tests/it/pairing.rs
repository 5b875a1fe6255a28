//! Pairing codes and installers.

use crate::{
    fixture::BUNDLE,
    plane::{Answer, TestPlane},
};
use ferrogate_api::{
    EnrolmentTokenCreated, Gateway, InstallStatus, Operation, Page, PairResponse, PairingCode, PairingCodeCreated,
    PairingCodeState,
};
use ferrogate_join::materials::ClusterMaterials;
use ferrogate_model::state::{GatewayHealth, GatewayState, OperationState};
use ferrogate_tunnel::{Authenticator, EnrolRefused, Enrolment, NodeKey};
use serde_json::{Value, json};
use std::time::Duration;

const REQUEST_KEY: &str = "0123456789abcdef0123456789abcdef";

fn request(code: &str, name: &str, key: &str) -> Value {
    json!({"code": code, "request_key": key, "name": name, "nodes": 1,
        "maas": {"endpoint": "10.11.12.13", "api_key": "consumer:token:secret"}, "domain": "maas", "zone": "default",
        "resource_pool": "default", "pod_cidr": "192.168.0.0/16", "service_cidr": "10.43.0.0/16",
        "proxy": {"https_proxy": "http://site:s3cret@10.20.0.3:3128"}, "installer_version": "0.1.0"})
}

async fn code(plane: &TestPlane, admin: &str) -> PairingCodeCreated {
    plane.post("/pairing-codes").token(admin).json(json!({"note": "Paris"})).await.read(201)
}

async fn pair(plane: &TestPlane, code: &str) -> Answer {
    plane.post("/pair").json(request(code, "maas-pcg-1", REQUEST_KEY)).await
}

async fn state(plane: &TestPlane, admin: &str) -> PairingCodeState {
    let codes: Page<PairingCode> = plane.get("/pairing-codes").token(admin).await.read(200);
    codes.items[0].state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_makes_a_gateway_and_hands_its_installer_what_it_needs() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    assert!(created.command.contains(&plane.running.fingerprint), "{}", created.command);
    assert!(!created.command.contains(created.code.expose()), "a secret is no argument");
    let listed = plane.get("/pairing-codes").token(&admin).await;
    assert!(!listed.text().contains(created.code.expose()));

    // As somebody might type it.
    let typed = created.code.expose().to_lowercase().replace('-', " ");
    let paired: PairResponse = pair(&plane, &typed).await.read(201);
    let materials: ClusterMaterials = serde_json::from_str(paired.materials.expose()).unwrap();
    assert!(materials.server_ca.certificate_pem.contains("BEGIN CERTIFICATE"));
    assert_eq!(paired.plane_ca_pem.as_deref(), Some(plane.running.ca_pem.as_str()));
    assert!(paired.artifacts_url.ends_with("/artifacts"));
    let gateway: Gateway = plane.get("/gateways/maas-pcg-1").token(&admin).await.read(200);
    assert_eq!((gateway.id, gateway.state), (paired.gateway_id, GatewayState::Provisioning));
    assert_eq!(gateway.maas_endpoint, "http://10.11.12.13:5240/MAAS", "the endpoint is repaired");
    let accounts: Page<ferrogate_api::Account> = plane.get("/accounts").token(&admin).await.read(200);
    assert_eq!((accounts.items.len(), accounts.items[0].id), (1, gateway.account_id), "the key stands in its account");
    assert!(accounts.items[0].auto_created && accounts.items[0].name == gateway.name);
    assert_eq!(state(&plane, &admin).await, PairingCodeState::Used);

    let path = format!("/install/{}", paired.gateway_id);
    let token = paired.install_token.expose();
    let status: InstallStatus = plane.get(&path).token(token).await.read(200);
    assert_eq!((status.desired_nodes, status.connected_nodes.len()), (1, 0));
    for (step, step_state) in [("machines", "Running"), ("machines", "Succeeded"), ("gateway", "Running")] {
        let body = json!({"step": step, "state": step_state, "detail": "node02"});
        plane.post(&format!("{path}/progress")).token(token).json(body).await.status(204);
    }
    let operations: Page<Operation> = plane.get("/operations").token(&admin).await.read(200);
    let path = format!("/operations/{}", operations.items[0].id);
    let operation: Operation = plane.get(&path).token(&admin).await.read(200);
    let steps: Vec<_> = operation.steps.iter().map(|step| (step.name.as_str(), step.state)).collect();
    assert_eq!(steps, [("machines", OperationState::Succeeded), ("gateway", OperationState::Running)]);
    assert_eq!(operation.subject, "maas-pcg-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_name_is_taken_gets_the_next_one() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let first = code(&plane, &admin).await;
    let _: PairResponse = pair(&plane, first.code.expose()).await.read(201);
    let renamed = json!({"name": "lille"});
    let _: ferrogate_api::Account = plane.patch("/accounts/maas-pcg-1").token(&admin).json(renamed).await.read(200);
    let second = code(&plane, &admin).await;
    let lille = request(second.code.expose(), "lille", REQUEST_KEY);
    let paired: PairResponse = plane.post("/pair").json(lille).await.read(201);
    let made: ferrogate_api::Account = plane.get("/accounts/lille-2").token(&admin).await.read(200);
    assert_eq!(made.gateway_id, paired.gateway_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_installer_gets_the_same_answer_and_any_other_is_refused() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let code = created.code.expose();
    let first: PairResponse = pair(&plane, code).await.read(201);
    let again: PairResponse = pair(&plane, code).await.read(201);
    assert_eq!(first.gateway_id, again.gateway_id);
    assert_eq!(first.install_token.expose(), again.install_token.expose());
    assert_eq!(first.materials.expose(), again.materials.expose());

    let stranger = request(code, "maas-pcg-1", "another request key of a stranger");
    plane.post("/pair").json(stranger).await.problem(403, "pairing_code_used");
    let renamed = request(code, "maas-pcg-2", REQUEST_KEY);
    plane.post("/pair").json(renamed).await.problem(403, "pairing_code_used");
    let gateways: Page<Gateway> = plane.get("/gateways").token(&admin).await.read(200);
    assert_eq!(gateways.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_installation_its_installer_gets_the_keys_only_while_nodes_are_missing() {
    use ferrogate_store::{Subject, gateways, operations};
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let first: PairResponse = pair(&plane, created.code.expose()).await.read(201);
    let (store, now) = (&plane.running.context.store, plane.running.context.now());
    let open = operations::open_on(store, &Subject::from(first.gateway_id)).await.unwrap();
    for state in [OperationState::Running, OperationState::Succeeded] {
        operations::transition(store, open[0].id, state, "", now).await.unwrap();
    }
    gateways::set_health(store, first.gateway_id, GatewayHealth::Healthy, Some(now), None).await.unwrap();
    pair(&plane, created.code.expose()).await.problem(403, "pairing_code_used");

    gateways::set_health(store, first.gateway_id, GatewayHealth::Unreachable, None, None).await.unwrap();
    let again: PairResponse = pair(&plane, created.code.expose()).await.read(201);
    assert_eq!(first.materials.expose(), again.materials.expose());
    let events = plane.get("/events").token(&admin).await.text();
    assert!(events.contains("PairedAgain"), "{events}");
    let stranger = request(created.code.expose(), "maas-pcg-1", "another request key of a stranger");
    plane.post("/pair").json(stranger).await.problem(403, "pairing_code_used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_a_revoked_and_a_wrong_code_are_each_said_as_such() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let old = code(&plane, &admin).await;
    plane.clock.advance(Duration::from_secs(24 * 3600 + 1));
    pair(&plane, old.code.expose()).await.problem(403, "pairing_code_expired");
    let admin = plane.sign_in(crate::plane::EMAIL, crate::plane::PASSWORD).await;
    assert_eq!(state(&plane, &admin).await, PairingCodeState::Expired);

    let withdrawn = code(&plane, &admin).await;
    let path = format!("/pairing-codes/{}", withdrawn.pairing_code.id);
    plane.delete(&path).token(&admin).await.status(204);
    pair(&plane, withdrawn.code.expose()).await.problem(403, "pairing_code_revoked");
    assert_eq!(state(&plane, &admin).await, PairingCodeState::Revoked);

    pair(&plane, "00000-00000-00000-00000").await.problem(403, "pairing_code_unknown");
    let gateways: Page<Gateway> = plane.get("/gateways").token(&admin).await.read(200);
    assert!(gateways.items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_codes_is_slowed_down() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let good = code(&plane, &admin).await;
    for _ in 0..10 {
        pair(&plane, "00000-00000-00000-00000").await.problem(403, "pairing_code_unknown");
    }
    let refused = pair(&plane, good.code.expose()).await;
    refused.problem(429, "too_many_tries");
    assert!(refused.header("retry-after").is_some());
    plane.clock.advance(Duration::from_secs(31));
    pair(&plane, good.code.expose()).await.status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_used_leaves_the_code_good() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let code = created.code.expose();
    let with = |at: &str, value: Value| {
        let mut request = request(code, "maas-pcg-1", REQUEST_KEY);
        *request.pointer_mut(at).unwrap() = value;
        request
    };
    let wrong = [
        (with("/nodes", json!(2)), "bad_nodes"),
        (with("/maas/api_key", json!("only:two")), "bad_maas_key"),
        (with("/pod_cidr", json!("10.43.0.0/16")), "bad_spec"),
        (with("/request_key", json!("short")), "bad_request_key"),
        (with("/proxy/https_proxy", json!("ftp://x")), "bad_proxy"),
        (with("/name", json!("Not A Label")), "bad_request_body"),
    ];
    for (request, code) in wrong {
        plane.post("/pair").json(request).await.problem(422, code);
        plane.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(state(&plane, &admin).await, PairingCodeState::Active);
    pair(&plane, code).await.status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_name_leaves_the_code_good() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let first = code(&plane, &admin).await;
    pair(&plane, first.code.expose()).await.status(201);
    let second = code(&plane, &admin).await;
    let key = "another installer's own request key";
    let taken = request(second.code.expose(), "maas-pcg-1", key);
    plane.post("/pair").json(taken).await.problem(409, "name_taken");
    let free = request(second.code.expose(), "maas-pcg-2", key);
    plane.post("/pair").json(free).await.status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_installation_leaves_nothing_but_its_record() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let paired: PairResponse = pair(&plane, created.code.expose()).await.read(201);
    let path = format!("/install/{}", paired.gateway_id);
    let token = paired.install_token.expose();
    plane.post(&format!("{path}/abandon")).token(token).await.status(204);
    let gateways: Page<Gateway> = plane.get("/gateways").token(&admin).await.read(200);
    assert!(gateways.items.is_empty());
    plane.get(&path).token(token).await.problem(401, "not_signed_in");
    pair(&plane, created.code.expose()).await.problem(403, "pairing_code_used");
    // Its name is free again.
    let next = code(&plane, &admin).await;
    pair(&plane, next.code.expose()).await.status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_registers_one_key_with_its_token() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let paired: PairResponse = pair(&plane, created.code.expose()).await.read(201);
    let path = format!("/install/{}/enrolment-tokens", paired.gateway_id);
    let token: EnrolmentTokenCreated =
        plane.post(&path).token(paired.install_token.expose()).json(json!({"node_name": "node02"})).await.read(201);
    let registry = plane.running.registry();
    let enrol = |name: &str, key: &NodeKey| Enrolment {
        token: token.token.clone().into_inner(),
        public_key: key.public_key(),
        node_name: name.parse().unwrap(),
        version: "0.1.0".into(),
    };
    let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    assert_eq!(registry.enrol(enrol("node03", &key)).await, Err(EnrolRefused::WrongNode));
    let (gateway, node) = registry.enrol(enrol("node02", &key)).await.unwrap();
    assert_eq!(gateway, paired.gateway_id);
    assert_eq!(registry.enrol(enrol("node02", &key)).await, Ok((gateway, node)), "the first answer may be lost");
    assert_eq!(registry.enrol(enrol("node02", &other)).await, Err(EnrolRefused::Used));
    let known = registry.node(node).await.unwrap().unwrap();
    assert_eq!((known.public_key, known.revoked), (key.public_key(), false));

    let revoke = format!("/gateways/maas-pcg-1/nodes/{node}/revoke");
    plane.post(&revoke).token(&admin).await.status(204);
    assert!(registry.node(node).await.unwrap().unwrap().revoked);
    assert_eq!(*plane.site.disconnected.lock().unwrap(), [node]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plane_that_lacks_a_file_of_its_release_pairs_with_nobody_until_it_is_there() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let created = code(&plane, &admin).await;
    let file = plane.data_dir().join("images").join(BUNDLE);
    let aside = plane.data_dir().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    let problem = pair(&plane, created.code.expose()).await.problem(503, "release_file_missing");
    assert!(problem.detail.contains(BUNDLE), "{problem:?}");
    assert_eq!(state(&plane, &admin).await, PairingCodeState::Active);
    std::fs::rename(&aside, &file).unwrap();
    pair(&plane, created.code.expose()).await.status(201);
}
