//! Cloud accounts and clusters, checked through the gateway against a simulated MAAS.

use crate::{
    fixture::{self, Objects, Site},
    plane::TestPlane,
};
use async_trait::async_trait;
use ferrogate_api::{Account, AccountProperties, Cluster, ClusterAccepted, ClusterPlan, Machine, OperationKind, Page};
use ferrogate_lab::{maas, seed::Seed};
use ferrogate_model::state::ClusterState;
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

struct World {
    plane: TestPlane,
    admin: String,
    objects: Objects,
    maas: maas::Maas,
}

async fn world() -> World {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let seed = Seed::demo("10.20.0.0/24".parse().unwrap());
    let listen = "10.20.0.2:5240".parse().unwrap();
    let options = maas::Options::new(plane.site.network.clone(), seed).listen(listen);
    let maas = maas::Maas::start(options).await.unwrap();
    let site = Site { maas_endpoint: maas.url(), maas_key: maas.api_key("admin").unwrap(), ..Site::default() };
    let objects = fixture::objects(&plane, &admin, site).await;
    World { plane, admin, objects, maas }
}

fn request(name: &str, workers: u32) -> Value {
    json!({"name": name, "account": "maas-pcg-1", "spec": {
        "control_plane": {"count": 1, "resource_pool": "default"},
        "workers": [{"name": "workers", "count": workers, "resource_pool": "default"}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_saved_only_when_maas_accepts_its_key() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let key = secrecy::ExposeSecret::expose_secret(&world.maas.api_key("admin").unwrap()).to_owned();
    let body = |name: &str, key: &str| json!({"name": name, "gateway": "maas-pcg-1", "endpoint": "10.20.0.2:5240", "api_key": key});
    let wrong = plane.post("/accounts").token(admin).json(body("second", "wrong:wrong:wrong")).await;
    assert_eq!(wrong.response.status(), 422, "{}", wrong.text());
    plane.post("/accounts").token(admin).json(body("second", "one:two")).await.problem(422, "bad_maas_key");
    plane.get("/accounts/second").token(admin).await.problem(404, "account_not_found");
    let account: Account = plane.post("/accounts").token(admin).json(body("second", &key)).await.read(201);
    assert_eq!((account.gateway_id, account.auto_created, account.clusters), (world.objects.gateway, false, 0));
    plane.post("/accounts").token(admin).json(body("second", &key)).await.problem(409, "name_taken");
    let shown = plane.get("/accounts/second").token(admin).await;
    assert!(!shown.text().contains(&key));

    let wrong = json!({"api_key": "wrong:wrong:wrong"});
    assert_eq!(plane.patch("/accounts/second").token(admin).json(wrong).await.response.status(), 422);
    let renamed: Account = plane.patch("/accounts/second").token(admin).json(json!({"name": "third"})).await.read(200);
    assert_eq!(renamed.id, account.id);
    // The key that is kept goes nowhere else, and machines of ours keep their MAAS.
    let elsewhere = json!({"endpoint": "10.20.0.9:5240"});
    plane.patch("/accounts/third").token(admin).json(elsewhere.clone()).await.problem(422, "api_key_needed");
    let moved = plane.patch("/accounts/maas-pcg-1").token(admin).json(elsewhere).await.problem(409, "account_in_use");
    assert!(moved.errors[0].detail.contains("`web`"), "{moved:?}");
    let same = json!({"endpoint": "10.20.0.2:5240"});
    let _: Account = plane.patch("/accounts/maas-pcg-1").token(admin).json(same).await.read(200);
    plane.delete("/accounts/third").token(admin).await.status(204);
    plane.get("/accounts/third").token(admin).await.problem(404, "account_not_found");
    let used = plane.delete("/accounts/maas-pcg-1").token(admin).await.problem(409, "account_in_use");
    assert!(used.errors[0].detail.contains("`web`"), "{used:?}");
    assert!(used.detail.contains("gateway `maas-pcg-1`"), "{used:?}");
}

/// Does something once, while MAAS is asked whose the key is.
struct Meanwhile(Mutex<Option<BoxFuture<'static, ()>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[async_trait]
impl maas::Gate for Meanwhile {
    async fn before(&self, call: &maas::Call) -> maas::Verdict {
        let todo = if call.op.as_deref() == Some("whoami") { self.0.lock().unwrap().take() } else { None };
        if let Some(todo) = todo {
            todo.await;
        }
        maas::Verdict::Pass
    }

    async fn after(&self, _call: &maas::Call) -> maas::Verdict {
        maas::Verdict::Pass
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_change_an_account_at_once_the_second_is_told() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let key = secrecy::ExposeSecret::expose_secret(&world.maas.api_key("admin").unwrap()).to_owned();
    let body = json!({"name": "second", "gateway": "maas-pcg-1", "endpoint": "10.20.0.2:5240", "api_key": key});
    let account: Account = plane.post("/accounts").token(admin).json(body).await.read(201);
    assert_eq!((account.state, account.reason.as_str()), (ferrogate_api::AccountState::Ready, ""));
    let (store, now) = (plane.running.context.store.clone(), plane.running.context.now());
    let other = async move {
        let mut account = ferrogate_store::accounts::get(&store, account.id).await.unwrap().unwrap();
        account.name = "renamed".parse().unwrap();
        ferrogate_store::accounts::change(&store, &account, now).await.unwrap();
    };
    world.maas.set_gate(Some(Arc::new(Meanwhile(Mutex::new(Some(other.boxed()))))));
    let rotated = plane.patch("/accounts/second").token(admin).json(json!({"api_key": key})).await;
    rotated.problem(409, "changed_meanwhile");
    let after: Account = plane.get("/accounts/renamed").token(admin).await.read(200);
    assert_eq!(after.id, account.id, "what the first wrote stands");
}

/// A cluster would be left with an account that nobody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_not_made_with_an_account_that_was_deleted_meanwhile() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let key = secrecy::ExposeSecret::expose_secret(&world.maas.api_key("admin").unwrap()).to_owned();
    let body = json!({"name": "second", "gateway": "maas-pcg-1", "endpoint": "10.20.0.2:5240", "api_key": key});
    let account: Account = plane.post("/accounts").token(admin).json(body).await.read(201);
    let (store, now) = (plane.running.context.store.clone(), plane.running.context.now());
    let other = async move {
        assert!(ferrogate_store::accounts::delete(&store, account.id, now).await.unwrap());
    };
    world.maas.set_gate(Some(Arc::new(Meanwhile(Mutex::new(Some(other.boxed()))))));
    let mut cluster = request("fresh", 1);
    cluster["account"] = json!("second");
    plane.post("/clusters").token(admin).json(cluster).await.problem(409, "changed_meanwhile");
    plane.get("/clusters/fresh").token(admin).await.problem(404, "cluster_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_in_one_place_and_a_gateways_own_account_stays_with_it() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let store = &plane.running.context.store;
    let fresh = world.maas.rotate_api_key("admin").unwrap();
    let properties = plane.get("/accounts/maas-pcg-1/properties").token(admin).await;
    assert!(properties.text().contains("maas_key_refused"), "{}", properties.text());
    let key = json!({"api_key": format!("  {} ", secrecy::ExposeSecret::expose_secret(&fresh))});
    let _: Account = plane.patch("/accounts/maas-pcg-1").token(admin).json(key).await.read(200);
    let _: AccountProperties = plane.get("/accounts/maas-pcg-1/properties").token(admin).await.read(200);
    let gateway = ferrogate_store::gateways::get(store, world.objects.gateway).await.unwrap().unwrap();
    let account = ferrogate_store::accounts::get(store, gateway.account).await.unwrap().unwrap();
    use secrecy::ExposeSecret as _;
    assert_eq!(account.api_key.expose_secret(), fresh.expose_secret());

    // Without any cluster it is the gateway's still: its own machines are in that MAAS.
    let now = plane.running.context.now();
    ferrogate_store::clusters::request_deletion(store, world.objects.cluster, "", now).await.unwrap();
    let gone = ferrogate_store::clusters::Observed {
        from: ClusterState::Deleting,
        to: ClusterState::Deleted,
        reason: String::new(),
        memory: Value::Null,
        api_endpoint: None,
        generation: 2,
        converged: false,
    };
    ferrogate_store::clusters::record(store, world.objects.cluster, &gone, now).await.unwrap();
    let used = plane.delete("/accounts/maas-pcg-1").token(admin).await.problem(409, "account_in_use");
    assert!(used.detail.contains("used by gateway `maas-pcg-1`"), "{used:?}");
    let elsewhere = json!({"endpoint": "10.20.0.9:5240", "api_key": fresh.expose_secret()});
    plane.patch("/accounts/maas-pcg-1").token(admin).json(elsewhere).await.problem(409, "account_in_use");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_properties_are_what_maas_has_now() {
    let world = world().await;
    let path = "/accounts/maas-pcg-1/properties";
    let seen: AccountProperties = world.plane.get(path).token(&world.admin).await.read(200);
    assert!(seen.ready_machines > 2, "{seen:?}");
    assert!(seen.zones.iter().map(|zone| zone.ready_machines).sum::<u32>() == seen.ready_machines, "{seen:?}");
    assert!(seen.images.iter().any(|image| image.starts_with("ubuntu/noble")), "{seen:?}");
    world.plane.site.network.cut("10.20.0.2:5240".parse().unwrap());
    world.maas.shutdown().await;
    let away = world.plane.get(path).token(&world.admin).await;
    assert!(matches!(away.response.status().as_u16(), 502 | 503), "{}", away.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_planned_without_taking_anything_and_then_queued() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let before = world.maas.machines();
    let plan: ClusterPlan = plane.post("/clusters/plan").token(admin).json(request("shop", 2)).await.read(200);
    assert!(plan.ok, "{plan:?}");
    assert_eq!(plan.machines.len(), 3);
    let accepted: ClusterAccepted = plane.post("/clusters").token(admin).json(request("shop", 2)).await.read(202);
    assert_eq!(accepted.cluster.desired_machines, 3);
    assert_eq!((accepted.operation.kind, accepted.operation.subject.as_str()), (OperationKind::CreateCluster, "shop"));
    plane.post("/clusters").token(admin).json(request("shop", 2)).await.problem(409, "name_taken");
    // What the reconcilers do with it is theirs; planning and asking took nothing.
    assert_eq!(before.len(), world.maas.machines().len());
    let cluster: Cluster = plane.get("/clusters/shop").token(admin).await.read(200);
    assert_eq!(cluster.id, accepted.cluster.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_built_is_refused_with_every_reason() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let contradictory = json!({"name": "shop", "account": "maas-pcg-1", "spec": {
        "pod_cidr": "10.43.0.0/16", "control_plane": {"count": 2, "resource_pool": "default"}}});
    let problem = plane.post("/clusters").token(admin).json(contradictory).await.problem(422, "bad_spec");
    let fields: Vec<_> = problem.errors.iter().map(|item| item.at.as_str()).collect();
    assert_eq!(fields, ["spec.control_plane.count", "spec.pod_cidr"]);

    let too_many = plane.post("/clusters").token(admin).json(request("shop", 400)).await;
    let problem = too_many.problem(422, "preflight_failed");
    assert!(problem.errors.iter().any(|item| item.at == "machines"), "{problem:?}");
    let mut overlapping = request("shop", 1);
    overlapping["spec"]["pod_cidr"] = json!("10.20.0.0/16");
    let problem = plane.post("/clusters").token(admin).json(overlapping).await.problem(422, "preflight_failed");
    assert!(problem.errors.iter().any(|item| item.detail.contains("10.20.0.0")), "{problem:?}");
    let mut versioned = request("shop", 1);
    versioned["spec"]["kubernetes_version"] = json!("v1.1.1");
    plane.post("/clusters").token(admin).json(versioned).await.problem(422, "kubernetes_version_unknown");
    plane.get("/clusters/shop").token(admin).await.problem(404, "cluster_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_deleted_only_under_its_own_name() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let wrong = json!({"confirm_name": "shop"});
    plane.delete("/clusters/web").token(admin).json(wrong).await.problem(422, "name_not_confirmed");
    let cluster: Cluster = plane.get("/clusters/web").token(admin).await.read(200);
    assert_eq!(cluster.state, ClusterState::Running);
    let machines: Page<Machine> = plane.get("/clusters/web/machines").token(admin).await.read(200);
    assert_eq!(machines.items[0].hostname, "node03");
    let all: Page<Machine> = plane.get("/machines?limit=1").token(admin).await.read(200);
    assert_eq!(all.items, machines.items);

    let gateway = plane.delete("/gateways/maas-pcg-1").token(admin).await.problem(409, "gateway_in_use");
    assert!(gateway.errors[0].detail.contains("`web`"), "{gateway:?}");
    let right = json!({"confirm_name": "web"});
    let accepted: ClusterAccepted = plane.delete("/clusters/web").token(admin).json(right).await.read(202);
    assert_eq!(accepted.operation.kind, OperationKind::DeleteCluster);
    assert_eq!(accepted.cluster.desired_machines, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_refused_when_it_is_impossible_or_somebody_was_faster() {
    let world = world().await;
    let (plane, admin) = (&world.plane, &world.admin);
    let spec = json!({"control_plane": {"count": 1, "resource_pool": "default"},
        "workers": [{"name": "workers", "count": 1, "resource_pool": "default"}]});
    let stale = json!({"spec": spec, "if_generation": 7});
    plane.patch("/clusters/web").token(admin).json(stale).await.problem(409, "changed_meanwhile");
    let mut other = spec.clone();
    other["pod_cidr"] = json!("172.16.0.0/16");
    let problem =
        plane.patch("/clusters/web").token(admin).json(json!({"spec": other})).await.problem(422, "unchangeable");
    assert_eq!(problem.errors[0].at, "spec.pod_cidr");
    let body = json!({"spec": spec, "if_generation": 1});
    let accepted: ClusterAccepted = plane.patch("/clusters/web").token(admin).json(body).await.read(202);
    assert_eq!((accepted.cluster.generation, accepted.cluster.desired_machines), (2, 2));
    // As many machines as before, but of a pool that this site cannot build: nothing is begun.
    for pool in [json!({"name": "fresh", "min_cpu": 512}), json!({"name": "fresh", "zones": ["nowhere"]})] {
        let mut swapped = spec.clone();
        swapped["workers"][0].as_object_mut().unwrap().extend(pool.as_object().unwrap().clone());
        let refused = plane.patch("/clusters/web").token(admin).json(json!({"spec": swapped})).await;
        let problem = refused.problem(422, "preflight_failed");
        assert!(problem.errors.iter().any(|item| ["machines", "placement"].contains(&item.at.as_str())), "{problem:?}");
    }
}
