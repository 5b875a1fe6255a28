//! The end of a gateway: everything is given back through the tunnel that runs on what is given back last.

use crate::tasks::harness::Harness;
use async_trait::async_trait;
use ferrogate_engine::mark;
use ferrogate_lab::maas::{Call, Fault, Gate, Pattern, Verdict, When};
use ferrogate_maas::{CreateDnsResource, ReserveIp};
use ferrogate_model::{
    GatewayId, OperationId,
    state::{ClusterState, GatewayState, OperationState, Severity},
};
use ferrogate_plane::tasks::{Done, Gateways, Reconciler};
use ferrogate_store::{
    Page,
    accounts::{self, AccountState},
    clusters, gateway_nodes, gateways,
    gateways::Gateway,
    orphans::{self, Orphan, OrphanKind},
};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

pub(super) async fn run(harness: &Harness, gateway: GatewayId) -> Done {
    Gateways::new(Arc::clone(&harness.context)).reconcile(&gateway.to_string()).await.unwrap()
}

/// As the API does it.
pub(super) async fn delete(harness: &Harness, gateway: GatewayId) -> OperationId {
    let found = harness.read_gateway(gateway).await;
    let now = harness.context.now();
    gateways::transition(&harness.store, gateway, found.state, GatewayState::Deleting, "asked for", now).await.unwrap();
    clusters::request_deletion(&harness.store, found.cluster, "asked for", now).await.unwrap();
    harness.operation("delete_gateway", gateway.into()).await
}

/// A gateway of three nodes that runs, with a name and an address for its API; and a machine of somebody else.
pub(super) async fn big_gateway(harness: &Harness) -> (Gateway, Vec<String>, String) {
    let gateway = harness.gateway("paris", 3).await;
    let nodes = ["paris-1", "paris-2", "paris-3"];
    let machines = harness.take_machines(gateway.cluster, &nodes).await;
    for node in nodes {
        harness.node(gateway.id, node).await;
    }
    run(harness, gateway.id).await;
    let maas = harness.operator("admin");
    let fqdn = mark::endpoint_fqdn(&gateway.cluster, &gateway.name, "maas");
    let reserved = maas
        .reserve_ip(&ReserveIp { subnet: Some("10.20.0.0/24".parse().unwrap()), ..ReserveIp::default() })
        .await
        .unwrap();
    let resource = CreateDnsResource { fqdn: fqdn.clone(), addresses: vec![reserved.ip], ttl: None };
    maas.create_dns_resource(&resource).await.unwrap();
    let theirs = harness.operator("operator").allocate(&Default::default()).await.unwrap().hostname;
    assert!(!machines.contains(&theirs));
    (harness.read_gateway(gateway.id).await, machines, fqdn)
}

/// Runs until the gateway is deleted; what the runs said.
pub(super) async fn until_deleted(harness: &Harness, gateway: GatewayId) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..200 {
        said.push(run(harness, gateway).await.said);
        if harness.read_gateway(gateway).await.state == GatewayState::Deleted {
            return said;
        }
        tokio::task::yield_now().await;
    }
    panic!("not deleted: {said:#?}");
}

pub(super) fn assert_nothing_is_left(harness: &Harness, machines: &[String], fqdn: &str) {
    for machine in machines {
        assert_eq!(harness.status(machine), "Ready", "{machine}");
    }
    assert!(harness.maas.machines().iter().all(|machine| !machine.agent_name.starts_with("ferrogate/")));
    assert!(harness.maas.ip_addresses().iter().all(|address| !address.reserved));
    assert_eq!(harness.maas.resolve(fqdn), None);
    let theirs: Vec<_> = harness.maas.machines().into_iter().filter(|machine| machine.status == "Allocated").collect();
    assert_eq!(theirs.len(), 1, "what belongs to somebody else is untouched");
}

#[tokio::test]
async fn a_list_that_shows_everybodys_machines_is_not_acted_on() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    // What holds for the lists of the deletion holds for the one that looks.
    let dropped = Fault::DropsFilter("agent_name".into());
    harness.maas.faults().add(Pattern::path("GET", "/machines/"), When::Always, dropped);
    delete(&harness, gateway.id).await;
    let said = run(&harness, gateway.id).await.said;
    assert!(said.contains("the answer shows what was not asked for"), "{said}");
    let reason = harness.read_gateway(gateway.id).await.reason;
    assert!(reason.contains("shows what was not asked for"), "{reason}");
    assert!(harness.maas.machines().iter().all(|machine| machine.releases == 0));
    assert!(harness.maas.resolve(&fqdn).is_some(), "its API keeps its name as long as its machines cannot go");
    harness.maas.faults().clear();
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn everything_is_given_back_in_one_call_that_is_the_last_to_change_anything() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let before = harness.maas.calls().len();
    let operation = delete(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);

    let calls = harness.maas.calls().split_off(before);
    let changes: Vec<_> = calls.iter().filter(|call| call.method != "GET").collect();
    let release = changes.last().unwrap();
    assert_eq!((release.op.as_deref(), release.path.ends_with("/machines/")), (Some("release"), true), "{changes:#?}");
    assert_eq!(
        calls.iter().filter(|call| call.op.as_deref() == Some("release") && call.path.contains("machines")).count(),
        1
    );

    let found = harness.read_gateway(gateway.id).await;
    assert!(found.proxy.is_none() && found.install_token_hash.is_none(), "its secrets are forgotten");
    let own = harness.read_cluster(gateway.cluster).await;
    assert_eq!((own.state, own.materials.is_none()), (ClusterState::Deleted, true));
    let account = accounts::get(&harness.store, gateway.account).await.unwrap().unwrap();
    assert_eq!((account.deleted.is_some(), account.api_key.expose_secret()), (true, ""), "and so is its key");
    assert!(gateway_nodes::list(&harness.store, gateway.id).await.unwrap().is_empty());
    assert_eq!(harness.sites.disconnected.lock().unwrap().len(), 3, "the nodes are told not to come back");
    assert_eq!(harness.read_operation(operation).await.state, OperationState::Succeeded);
    let steps = harness.steps(operation).await;
    let names: Vec<_> = steps.iter().map(|(name, state, _)| (name.as_str(), *state)).collect();
    let done = OperationState::Succeeded;
    assert_eq!(names, [("clusters", done), ("addresses", done), ("machines", done), ("verify", done)]);
    let last = harness.told(gateway.id).await.pop().unwrap();
    assert_eq!((last.reason.as_str(), last.severity), ("Deleted", Severity::Info));
    assert!(last.message.contains("are free in MAAS again"), "{}", last.message);
}

/// Cuts the tunnel when a release has taken effect: before the answer is sent, or after.
#[derive(Debug)]
struct TunnelRunsOnTheMachines {
    sites: Weak<crate::tasks::harness::TestSites>,
    gateway: GatewayId,
    answers: bool,
}

#[async_trait]
impl Gate for TunnelRunsOnTheMachines {
    async fn before(&self, _call: &Call) -> Verdict {
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        if call.op.as_deref() != Some("release") || !call.path.contains("machines") {
            return Verdict::Pass;
        }
        if let Some(sites) = self.sites.upgrade() {
            sites.cut(self.gateway);
        }
        if self.answers { Verdict::Pass } else { Verdict::Drop }
    }
}

#[tokio::test]
async fn a_tunnel_that_ends_with_the_machines_is_expected() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let gate = TunnelRunsOnTheMachines { sites: Arc::downgrade(&harness.sites), gateway: gateway.id, answers: true };
    harness.maas.set_gate(Some(Arc::new(gate)));
    delete(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    harness.until(|harness| machines.iter().all(|machine| harness.status(machine) == "Ready")).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
    let last = harness.told(gateway.id).await.pop().unwrap();
    assert_eq!(last.severity, Severity::Info);
    assert!(last.message.contains("the tunnel ended with them, as it must"), "{}", last.message);
}

/// Runs for as long as it takes until a person is called.
pub(super) async fn until_stuck(harness: &Harness, gateway: GatewayId) -> Gateway {
    for _ in 0..200 {
        run(harness, gateway).await;
        let found = harness.read_gateway(gateway).await;
        if found.state == GatewayState::DeletionStuck {
            return found;
        }
        assert_eq!(found.state, GatewayState::Deleting);
        harness.clock.advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    panic!("never stuck");
}

/// As the API does it.
pub(super) async fn force(harness: &Harness, gateway: GatewayId) -> OperationId {
    let now = harness.context.now();
    let (from, to) = (GatewayState::DeletionStuck, GatewayState::Deleting);
    gateways::transition(&harness.store, gateway, from, to, "forced", now).await.unwrap();
    harness.operation("force_delete_gateway", gateway.into()).await
}

pub(super) async fn recorded(harness: &Harness) -> Vec<Orphan> {
    orphans::list(&harness.store, harness.tenant, &Page::default()).await.unwrap().items
}

#[tokio::test]
async fn a_release_whose_answer_was_lost_is_not_believed_and_calls_a_person() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let nodes = gateway_nodes::list(&harness.store, gateway.id).await.unwrap();
    let gate = TunnelRunsOnTheMachines { sites: Arc::downgrade(&harness.sites), gateway: gateway.id, answers: false };
    harness.maas.set_gate(Some(Arc::new(gate)));
    let operation = delete(&harness, gateway.id).await;
    let found = until_stuck(&harness, gateway.id).await;
    assert!(found.reason.contains("was asked to take back") && found.reason.contains("--force"), "{}", found.reason);
    assert!(machines.iter().all(|machine| found.reason.contains(machine.as_str())), "{}", found.reason);
    let account = accounts::get(&harness.store, gateway.account).await.unwrap().unwrap();
    assert!(account.deleted.is_none() && !account.api_key.expose_secret().is_empty(), "its key is needed still");
    assert_eq!(harness.read_operation(operation).await.state, OperationState::Failed);
    let last = harness.told(gateway.id).await.pop().unwrap();
    assert_eq!((last.reason.as_str(), last.severity), ("DeletionStuck", Severity::Error));

    // A node comes back once more before MAAS switches it off: now MAAS can be looked at, and it did it.
    harness.until(|harness| machines.iter().all(|machine| harness.status(machine) == "Ready")).await;
    harness.sites.connect(gateway.id, nodes[0].id, &nodes[0].name, harness.context.now());
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
    assert!(recorded(&harness).await.is_empty());
}

#[tokio::test]
async fn a_stuck_deletion_is_forced_and_what_may_be_left_is_recorded() {
    let harness = Harness::new().await;
    let (gateway, machines, _) = big_gateway(&harness).await;
    let gate = TunnelRunsOnTheMachines { sites: Arc::downgrade(&harness.sites), gateway: gateway.id, answers: false };
    harness.maas.set_gate(Some(Arc::new(gate)));
    delete(&harness, gateway.id).await;
    until_stuck(&harness, gateway.id).await;
    let operation = force(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;

    let last = harness.told(gateway.id).await.pop().unwrap();
    assert_eq!(last.severity, Severity::Warning);
    assert!(last.message.contains("by force") && last.message.contains("was asked"), "{}", last.message);
    assert_eq!(harness.read_operation(operation).await.state, OperationState::Succeeded);
    let mut left: Vec<_> = recorded(&harness).await.into_iter().map(|orphan| orphan.hostname).collect();
    left.sort();
    let mut wanted = machines.clone();
    wanted.sort();
    assert_eq!(left, wanted, "its name and address were removed before");
    let one = recorded(&harness).await.remove(0);
    assert_eq!((one.cluster, one.gateway_name, one.kind), (gateway.cluster, gateway.name, OrphanKind::Machine));
    assert_eq!(one.name, harness.maas.machine(&one.hostname).unwrap().system_id.to_string());
    assert_eq!(one.maas_endpoint, harness.maas.url());
}

#[tokio::test]
async fn after_a_kill_between_note_and_call_nothing_is_believed_either() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let nodes = gateway_nodes::list(&harness.store, gateway.id).await.unwrap();
    // What stands in the store when the plane is killed there: the note, and no call.
    let ids: Vec<_> =
        machines.iter().map(|name| (harness.maas.machine(name).unwrap().system_id, name.clone())).collect();
    delete(&harness, gateway.id).await;
    let left: Vec<_> = ids.iter().map(|(id, name)| serde_json::json!({"system_id": id, "hostname": name})).collect();
    let note = serde_json::json!({"deletion": {"release":
        {"at": harness.context.now(), "machines": left, "call": "noted"}}});
    clusters::set_memory(&harness.store, gateway.cluster, &note).await.unwrap();
    harness.sites.cut(gateway.id);
    let found = until_stuck(&harness, gateway.id).await;
    assert!(found.reason.starts_with("whether MAAS was asked to take back"), "{}", found.reason);
    assert_eq!(releases(&harness), 0);
    assert!(machines.iter().all(|machine| harness.status(machine) == "Deployed"));

    harness.sites.connect(gateway.id, nodes[0].id, &nodes[0].name, harness.context.now());
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn a_proxys_504_is_no_answer_of_maas() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let release = Pattern { op: Some("release".into()), path: Some("/machines/".into()), ..Pattern::default() };
    harness.maas.faults().add(release, When::First(1), Fault::Status(504, "Gateway Timeout".into()));
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    assert!(run(&harness, gateway.id).await.said.contains("not begun yet"), "it may be under way behind the proxy");
    assert_eq!(releases(&harness), 1, "it is looked at before it is asked for again");
    harness.clock.advance(Duration::from_secs(11));
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn a_maas_that_never_answers_calls_a_person_although_the_gateway_is_connected() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let release = Pattern { op: Some("release".into()), path: Some("/machines/".into()), ..Pattern::default() };
    let rule = harness.maas.faults().add(release, When::Always, Fault::DropBefore);
    delete(&harness, gateway.id).await;
    until_stuck(&harness, gateway.id).await;
    assert!(releases(&harness) > 5, "it was asked again and again");
    assert!(machines.iter().all(|machine| harness.status(machine) == "Deployed"));
    harness.maas.faults().remove(rule);
    harness.clock.advance(Duration::from_secs(11));
    until_deleted(&harness, gateway.id).await;
    assert!(harness.reasons(gateway.id).await.contains(&"DeletionResumed".to_owned()));
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn a_release_that_never_arrived_is_made_again() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    // The plane could have been killed right before the call, too: the record of it stands, and nothing was released.
    let release = Pattern { op: Some("release".into()), path: Some("machines".into()), ..Pattern::default() };
    harness.maas.faults().add(release, When::First(1), Fault::DropBefore);
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    assert_eq!(harness.status(&machines[0]), "Deployed");
    assert!(run(&harness, gateway.id).await.said.contains("not begun yet"), "it may still be under way");
    harness.clock.advance(Duration::from_secs(11));
    assert!(run(&harness, gateway.id).await.said.contains("given back again"));
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn a_deletion_waits_for_the_clusters_and_names_them() {
    let harness = Harness::new().await;
    let (gateway, machines, _) = big_gateway(&harness).await;
    let (cluster, _) = harness.cluster("c1", gateway.id, gateway.account).await;
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.reason, "waits until its clusters are gone: `c1`");
    assert_eq!(harness.status(&machines[0]), "Deployed");

    // It is deleted on record, but a machine with its mark was left behind: nobody could reach it afterwards.
    let left = harness.take_machines(cluster, &["c1-cp"]).await;
    let now = harness.context.now();
    clusters::request_deletion(&harness.store, cluster, "", now).await.unwrap();
    let gone = clusters::Observed {
        from: ClusterState::Deleting,
        to: ClusterState::Deleted,
        reason: String::new(),
        memory: serde_json::Value::Null,
        api_endpoint: None,
        generation: 2,
        converged: false,
    };
    clusters::record(&harness.store, cluster, &gone, now).await.unwrap();
    run(&harness, gateway.id).await;
    let reason = harness.read_gateway(gateway.id).await.reason;
    assert_eq!(
        reason,
        format!("{} still bears the mark of cluster `c1`, which is deleted; release it in MAAS", left[0])
    );
    assert_eq!(harness.status(&machines[0]), "Deployed");
    let id = harness.maas.machine(&left[0]).unwrap().system_id;
    assert!(harness.maas.release_by_admin(&id));
    harness.until(|harness| harness.status(&left[0]) == "Ready").await;
    until_deleted(&harness, gateway.id).await;
}

#[tokio::test]
async fn a_gateway_that_never_connected_ends_without_a_call() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 1).await;
    delete(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    assert!(harness.maas.calls().is_empty());
    let last = harness.told(gateway.id).await.pop().unwrap();
    assert!(last.message.contains("ferrogate install cleanup"), "{}", last.message);
}

#[tokio::test]
async fn a_gateway_that_is_lost_is_stuck_with_its_machines_named_until_it_is_forced() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    harness.sites.cut(gateway.id);
    let first = delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    assert!(harness.read_gateway(gateway.id).await.reason.starts_with("waits until a node connects"));
    let found = until_stuck(&harness, gateway.id).await;
    assert!(machines.iter().all(|machine| found.reason.contains(machine.as_str())), "{}", found.reason);
    assert_eq!(harness.read_operation(first).await.state, OperationState::Failed);

    // Asking again tries again; it does not give up by itself.
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.state, GatewayState::Deleting);
    until_stuck(&harness, gateway.id).await;
    force(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    let mut left: Vec<_> = recorded(&harness).await.into_iter().map(|o| (o.kind, o.hostname + &o.name)).collect();
    assert_eq!(left.len(), machines.len() + 1);
    let (kind, name) = left.pop().unwrap();
    assert_eq!((kind, name), (OrphanKind::DnsName, fqdn));
    let last = harness.told(gateway.id).await.pop().unwrap();
    assert_eq!(last.severity, Severity::Warning);
    assert!(machines.iter().all(|machine| last.message.contains(machine.as_str())), "{}", last.message);
}

#[tokio::test]
async fn a_gateway_that_comes_back_after_it_was_stuck_is_given_back_in_the_ordinary_way() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let nodes = gateway_nodes::list(&harness.store, gateway.id).await.unwrap();
    harness.sites.cut(gateway.id);
    delete(&harness, gateway.id).await;
    until_stuck(&harness, gateway.id).await;
    harness.sites.connect(gateway.id, nodes[0].id, &nodes[0].name, harness.context.now());
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
    assert!(harness.reasons(gateway.id).await.contains(&"DeletionResumed".to_owned()));
}

/// Cuts the tunnel when the machines have been looked at for the last time before they are given back.
#[derive(Debug)]
struct TunnelEndsBeforeTheRelease {
    sites: Weak<crate::tasks::harness::TestSites>,
    gateway: GatewayId,
}

#[async_trait]
impl Gate for TunnelEndsBeforeTheRelease {
    async fn before(&self, _call: &Call) -> Verdict {
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        if call.method == "GET"
            && call.path.ends_with("/machines/")
            && let Some(sites) = self.sites.upgrade()
        {
            sites.cut(self.gateway);
        }
        Verdict::Pass
    }
}

fn releases(harness: &Harness) -> usize {
    let calls = harness.maas.calls();
    calls.iter().filter(|call| call.op.as_deref() == Some("release") && call.path.ends_with("/machines/")).count()
}

#[tokio::test]
async fn a_release_whose_dial_failed_was_never_asked_for_and_is_when_the_gateway_is_back() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let nodes = gateway_nodes::list(&harness.store, gateway.id).await.unwrap();
    let gate = TunnelEndsBeforeTheRelease { sites: Arc::downgrade(&harness.sites), gateway: gateway.id };
    harness.maas.set_gate(Some(Arc::new(gate)));
    delete(&harness, gateway.id).await;
    for _ in 0..12 {
        run(&harness, gateway.id).await;
        harness.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(releases(&harness), 0, "the call never left");
    assert_eq!(harness.read_gateway(gateway.id).await.state, GatewayState::Deleting, "nothing was given back");
    assert!(machines.iter().all(|machine| harness.status(machine) == "Deployed"));

    harness.maas.set_gate(None);
    harness.sites.connect(gateway.id, nodes[0].id, &nodes[0].name, harness.context.now());
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

#[tokio::test]
async fn a_gateway_whose_key_was_rotated_is_observed_and_deleted_with_the_new_one() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let mut account = accounts::get(&harness.store, gateway.account).await.unwrap().unwrap();
    account.api_key = harness.maas.rotate_api_key("admin").unwrap();
    accounts::change(&harness.store, &account, harness.context.now()).await.unwrap();

    run(&harness, gateway.id).await;
    let found = accounts::get(&harness.store, account.id).await.unwrap().unwrap();
    assert_eq!((found.state, found.reason.as_str()), (AccountState::Ready, ""));
    delete(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}
