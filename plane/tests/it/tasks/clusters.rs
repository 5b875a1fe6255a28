//! The reconciler of clusters, with passes that say what the test wants.

use crate::tasks::harness::Harness;
use async_trait::async_trait;
use ferrogate_engine::{Checkpoint, Desired, Event, MachineView, Memory, Outcome, Pass};
use ferrogate_model::{
    ClusterId, SystemId, TokenId,
    state::{ClusterState, GatewayState, MachineState, OperationState, Severity},
};
use ferrogate_plane::tasks::{Builder, Clusters, Done, MaasAccess, Reconciler};
use ferrogate_store::{
    Page, SecretHash, accounts, clusters, gateways, machines,
    tokens::{self, Token},
    users::{self, Role, User},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Answers with the passes it was given, then with "converged".
#[derive(Debug)]
struct Script {
    passes: Mutex<VecDeque<Pass>>,
    desired: Mutex<Vec<Desired>>,
    /// Passes wait for a permit, so that a test can hold one.
    gate: Semaphore,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Script {
    fn new(passes: impl IntoIterator<Item = Pass>) -> Arc<Self> {
        Arc::new(Self {
            passes: Mutex::new(passes.into_iter().collect()),
            desired: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    /// Lets no pass end until permits are given.
    fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }
}

#[async_trait]
impl Builder for Script {
    async fn pass(
        &self,
        _access: &MaasAccess,
        desired: &Desired,
        memory: &mut Memory,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Pass, String> {
        memory.api_silent_since = Some("2026-11-23T08:00:00Z".parse().unwrap());
        checkpoint.save(memory).await;
        self.desired.lock().unwrap().push(desired.clone());
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(self.passes.lock().unwrap().pop_front().unwrap_or_else(|| pass(Outcome::Converged, &[])))
    }
}

fn pass(outcome: Outcome, machines: &[(&str, MachineState)]) -> Pass {
    let since = "2026-11-23T08:00:00Z".parse().unwrap();
    let view = |(id, state): &(&str, MachineState)| MachineView {
        system_id: SystemId((*id).into()),
        hostname: format!("host-{id}"),
        fqdn: format!("host-{id}.maas"),
        addresses: vec!["10.20.0.10".parse().unwrap()],
        zone: "default".into(),
        pool: Some("control-plane".into()),
        node: Some(format!("node-{id}")),
        state: *state,
        reason: String::new(),
        since,
    };
    let api_endpoint = Some("https://host-a.maas:6443".into());
    let machines = machines.iter().map(view).collect();
    Pass { outcome, machines, events: Vec::new(), api_endpoint, api_members: Vec::new() }
}

fn working(reason: &str) -> Outcome {
    Outcome::Working { reason: reason.into(), check_again: Duration::from_secs(3) }
}

fn blocked(cause: &str, hint: &str) -> Outcome {
    Outcome::Blocked { cause: cause.into(), hint: Some(hint.into()) }
}

async fn run(harness: &Harness, cluster: ClusterId) -> Done {
    Clusters::new(Arc::clone(&harness.context)).reconcile(&cluster.to_string()).await.unwrap()
}

#[tokio::test]
async fn a_cluster_waits_for_its_gateway_and_says_so() {
    let script = Script::new([]);
    let harness = Harness::with_builder(script.clone()).await;
    let gateway = harness.gateway("paris", 1).await;
    let (running, account) = harness.running_gateway("lyon").await;
    let (waits, operation) = harness.cluster("c1", gateway.id, account).await;
    let step = |from: GatewayState, to: GatewayState| {
        gateways::transition(&harness.store, gateway.id, from, to, "", "2026-11-23T08:00:00Z".parse().unwrap())
    };

    run(&harness, waits).await;
    let cluster = harness.read_cluster(waits).await;
    assert_eq!(
        (cluster.state, cluster.reason.as_str()),
        (ClusterState::Queued, "waits until gateway `paris` has been installed")
    );
    assert_eq!(harness.steps(operation).await[0], ("queue".into(), OperationState::Running, cluster.reason));

    step(GatewayState::Provisioning, GatewayState::Running).await.unwrap();
    run(&harness, waits).await;
    assert_eq!(harness.read_cluster(waits).await.reason, "gateway `paris` is not connected");

    step(GatewayState::Running, GatewayState::Updating).await.unwrap();
    harness.node(gateway.id, "paris-1").await;
    run(&harness, waits).await;
    assert_eq!(harness.read_cluster(waits).await.reason, "waits until gateway `paris` has been updated");

    // A cluster that was taken already goes on while its gateway is updated.
    let (goes_on, _) = harness.cluster("c2", running.id, account).await;
    run(&harness, goes_on).await;
    let now = harness.context.now();
    gateways::transition(&harness.store, running.id, GatewayState::Running, GatewayState::Updating, "", now)
        .await
        .unwrap();
    let passes = script.desired.lock().unwrap().len();
    run(&harness, goes_on).await;
    assert_eq!(script.desired.lock().unwrap().len(), passes + 1);

    step(GatewayState::Updating, GatewayState::Running).await.unwrap();
    run(&harness, waits).await;
    assert_eq!(harness.read_cluster(waits).await.state, ClusterState::Running);
    assert_eq!(harness.read_operation(operation).await.state, OperationState::Succeeded);
}

#[tokio::test]
async fn queued_clusters_take_their_turns_in_the_order_they_were_asked_for() {
    let script = Script::new((0..40).map(|_| pass(working("installing"), &[])));
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(harness.cluster(&format!("c{n}"), gateway.id, account).await.0);
    }
    for id in ids.iter().rev() {
        run(&harness, *id).await;
    }
    let mut states = Vec::new();
    for id in &ids {
        states.push(harness.read_cluster(*id).await.state);
    }
    let (taken, queued) = (ClusterState::Provisioning, ClusterState::Queued);
    assert_eq!(states, [taken, taken, taken, taken, queued, queued]);
    let reason = harness.read_cluster(ids[5]).await.reason;
    assert!(reason.starts_with("waits for its turn"), "{reason}");

    script.passes.lock().unwrap().push_front(pass(Outcome::Converged, &[]));
    run(&harness, ids[2]).await;
    run(&harness, ids[5]).await;
    assert_eq!(harness.read_cluster(ids[5]).await.state, queued, "another was before it");
    run(&harness, ids[4]).await;
    assert_eq!(harness.read_cluster(ids[4]).await.state, taken);
}

#[tokio::test]
async fn what_a_pass_found_is_written_down_until_everything_is_there() {
    use MachineState::{Deploying, Joining, Running};
    let mut second = pass(working("host-b joins"), &[("a", Running), ("b", Joining), ("c", Deploying)]);
    second.events.push(Event {
        severity: Severity::Warning,
        reason: "DeployFailed".into(),
        message: "host-x could not be deployed".into(),
        machine: None,
    });
    let script = Script::new([
        pass(working("installing"), &[("a", Deploying)]),
        second,
        pass(Outcome::Converged, &[("a", Running), ("b", Running), ("c", Running)]),
    ]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, operation) = harness.cluster("c1", gateway.id, account).await;

    assert_eq!(run(&harness, id).await.again, Duration::from_secs(3));
    let (state, reason) = {
        let c = harness.read_cluster(id).await;
        (c.state, c.reason)
    };
    assert_eq!((state, reason.as_str()), (ClusterState::Provisioning, "installing"));

    run(&harness, id).await;
    let found = machines::list(&harness.store, id, &Page::default()).await.unwrap().items;
    assert_eq!(found.iter().map(|machine| machine.state).collect::<Vec<_>>(), [Running, Joining, Deploying]);
    assert_eq!(found[0].node.as_deref(), Some("node-a"));
    let detail = |name: &str, state, detail: &str| (name.to_owned(), state, detail.to_owned());
    let (done, under_way) = (OperationState::Succeeded, OperationState::Running);
    assert_eq!(
        harness.steps(operation).await,
        [
            detail("queue", done, ""),
            detail("machines", done, "3 of 3"),
            detail("install", under_way, "2 of 3"),
            detail("join", under_way, "1 of 3"),
            detail("healthy", OperationState::Queued, ""),
        ]
    );
    assert_eq!(harness.read_operation(operation).await.state, under_way);

    run(&harness, id).await;
    let cluster = harness.read_cluster(id).await;
    assert_eq!((cluster.state, cluster.observed_generation), (ClusterState::Running, 1));
    assert_eq!(cluster.api_endpoint.as_deref(), Some("https://host-a.maas:6443"));
    assert_eq!(cluster.memory["api_silent_since"], "2026-11-23T08:00:00Z");
    assert!(harness.steps(operation).await.iter().all(|(_, state, _)| *state == done));
    assert_eq!(harness.read_operation(operation).await.state, done);
    assert_eq!(harness.reasons(id).await, ["Provisioning", "DeployFailed", "Running"]);
}

#[tokio::test]
async fn materials_are_made_once_and_every_node_learns_the_sites_proxy() {
    let script = Script::new([pass(working("x"), &[])]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    run(&harness, id).await;
    run(&harness, id).await;
    let desired = script.desired.lock().unwrap();
    let (first, second) = (&desired[0].configuration, &desired[1].configuration);
    assert_eq!(first.materials.server_ca.certificate_pem, second.materials.server_ca.certificate_pem);
    let proxy = &first.proxy;
    assert_eq!(proxy.https.as_ref().unwrap().host(), "10.20.0.3");
    for direct in ["10.20.0.2", "192.168.3.4", "10.43.0.1", "kubernetes.default.svc"] {
        assert!(proxy.no_proxy.matches(direct), "{direct}");
    }
    assert_eq!(first.artifacts_url.as_str(), "https://plane.example.com/artifacts/");
}

#[tokio::test]
async fn a_blocked_cluster_names_its_cause_and_recovers_by_itself() {
    let script = Script::new([pass(blocked("no machine fits", "add one to pool `default`"), &[])]);
    let harness = Harness::with_builder(script).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, operation) = harness.cluster("c1", gateway.id, account).await;
    run(&harness, id).await;
    let cluster = harness.read_cluster(id).await;
    assert_eq!(
        (cluster.state, cluster.reason.as_str()),
        (ClusterState::Failed, "no machine fits; add one to pool `default`")
    );
    let going = harness.read_operation(operation).await;
    assert_eq!((going.state, going.reason), (OperationState::Running, cluster.reason), "it keeps trying");
    let told = harness.told(id).await;
    assert_eq!((told[1].reason.as_str(), told[1].severity), ("Failed", Severity::Error));
    run(&harness, id).await;
    assert_eq!(harness.read_cluster(id).await.state, ClusterState::Running);
}

#[tokio::test]
async fn a_cluster_whose_account_is_gone_says_so() {
    let script = Script::new([]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    let mut wrong = accounts::get(&harness.store, account).await.unwrap().unwrap();
    wrong.api_key = "two:parts".into();
    accounts::change(&harness.store, &wrong, harness.context.now()).await.unwrap();
    // The scripted builder does not look at the key; the engine's does.
    let context = Arc::new(ferrogate_plane::tasks::TaskContext {
        builder: Arc::new(ferrogate_plane::tasks::EngineBuilder::new(Arc::new(ferrogate_firstboot::Kubeadm))),
        ..(*harness.context).clone()
    });
    Clusters::new(context).reconcile(&id.to_string()).await.unwrap();
    let reason = harness.read_cluster(id).await.reason;
    assert!(reason.starts_with("cloud account `paris` cannot be used"), "{reason}");
    assert!(!reason.contains("two:parts"), "{reason}");
}

#[tokio::test]
async fn a_deletion_that_comes_during_a_pass_is_not_written_over() {
    let script = Script::new([
        pass(working("installing"), &[("a", MachineState::Deploying)]),
        pass(working("a leaves"), &[("a", MachineState::Releasing)]),
    ]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, creation) = harness.cluster("c1", gateway.id, account).await;
    let user = User {
        id: ferrogate_model::UserId::new(),
        tenant: harness.tenant,
        email: "ann@example.com".into(),
        password_hash: None,
        role: Role::Admin,
        platform_admin: false,
        disabled: false,
        created: harness.context.now(),
    };
    users::insert(&harness.store, &user).await.unwrap();
    let token = Token {
        id: TokenId::new(),
        tenant: harness.tenant,
        user: user.id,
        name: "kubeconfig".into(),
        role: Role::Admin,
        token_hash: SecretHash::of(&"t".to_owned().into()),
        made_by: ferrogate_store::Maker::Session(ferrogate_model::SessionId::new()),
        scope_cluster: Some(id),
        created: harness.context.now(),
        expires: None,
        last_used: None,
        revoked: None,
    };
    tokens::insert(&harness.store, &token).await.unwrap();

    script.hold();
    let reconciler = Clusters::new(Arc::clone(&harness.context));
    let text = id.to_string();
    let held = reconciler.reconcile(&text);
    let delete = async {
        harness.until(|_| script.at_once.load(Ordering::SeqCst) == 1).await;
        let deletion = harness.operation("delete_cluster", id.into()).await;
        clusters::request_deletion(&harness.store, id, "asked for", harness.context.now()).await.unwrap();
        script.gate.add_permits(1000);
        deletion
    };
    let (stale, deletion) = tokio::join!(held, delete);
    assert!(stale.is_err(), "{stale:?}");
    let cluster = harness.read_cluster(id).await;
    assert_eq!((cluster.state, cluster.absent), (ClusterState::Deleting, true));
    let seen = machines::list(&harness.store, id, &Page::default()).await.unwrap().items;
    assert_eq!(seen[0].state, MachineState::Deploying, "what was seen is kept all the same");

    run(&harness, id).await;
    assert_eq!(harness.read_operation(creation).await.state, OperationState::Cancelled);
    assert_eq!(
        harness.steps(deletion).await[0],
        ("release".into(), OperationState::Running, "1 machines are left".into())
    );
    run(&harness, id).await;
    let cluster = harness.read_cluster(id).await;
    assert_eq!((cluster.state, cluster.deleted.is_some()), (ClusterState::Deleted, true));
    assert!(cluster.materials.is_none(), "its secrets are forgotten");
    assert!(tokens::by_token(&harness.store, &token.token_hash, harness.context.now()).await.unwrap().is_none());
    assert_eq!(harness.read_operation(deletion).await.state, OperationState::Succeeded);
    assert!(script.desired.lock().unwrap().last().unwrap().absent);
}

#[tokio::test]
async fn what_the_engine_is_about_to_do_is_noted_down_before_a_replica_dies_of_it() {
    let script = Script::new([]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    script.hold();
    let reconciler = Clusters::new(Arc::clone(&harness.context));
    let text = id.to_string();
    tokio::select! {
        done = reconciler.reconcile(&text) => panic!("{done:?}"),
        () = harness.until(|_| script.at_once.load(Ordering::SeqCst) == 1) => {}
    }
    assert_eq!(harness.read_cluster(id).await.memory["api_silent_since"], "2026-11-23T08:00:00Z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_never_work_on_one_cluster_at_once() {
    let script = Script::new((0..40).map(|_| pass(working("installing"), &[])));
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    let replicas = ["plane-a", "plane-b", "plane-c"].map(|name| Clusters::new(harness.replica(name)));
    let text = id.to_string();
    for _ in 0..5 {
        script.hold();
        let all = futures::future::join_all(replicas.iter().map(|replica| replica.reconcile(&text)));
        let let_go = async {
            harness.until(|_| script.at_once.load(Ordering::SeqCst) == 1).await;
            tokio::task::yield_now().await;
            script.gate.add_permits(1000);
        };
        let (results, ()) = tokio::join!(all, let_go);
        let elsewhere = |done: &Done| done.said == "another replica works on it";
        let worked = results.into_iter().map(Result::unwrap).filter(|done| !elsewhere(done)).count();
        assert!(worked >= 1);
    }
    assert_eq!(script.most_at_once.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_cluster_is_left_to_the_replica_that_holds_its_gateway() {
    let script = Script::new([]);
    let harness = Harness::with_builder(script.clone()).await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    let node = harness.sites_node(gateway.id);
    harness.sites.cut(gateway.id);
    let now = harness.context.now();
    ferrogate_store::gateway_nodes::seen(&harness.store, node, "0.1.0", "plane-b", now).await.unwrap();
    assert_eq!(run(&harness, id).await.said, "its gateway is connected to another replica");
    assert_eq!(harness.read_cluster(id).await.reason, "waits for its turn", "not for this replica to say");

    harness.clock.advance(Duration::from_secs(120));
    run(&harness, id).await;
    assert_eq!(
        harness.read_cluster(id).await.reason,
        "gateway `paris` is not connected",
        "the other has fallen silent"
    );
    assert!(script.desired.lock().unwrap().is_empty());
}
