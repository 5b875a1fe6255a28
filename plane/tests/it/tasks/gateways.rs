//! The reconciler of gateways: connections, the first one of all, and the look at the machines.

use crate::tasks::harness::Harness;
use ferrogate_model::{
    GatewayId,
    state::{ClusterState, GatewayHealth, GatewayState, MachineState, OperationState, Severity},
};
use ferrogate_plane::tasks::{Done, Gateways, Reconciler};
use ferrogate_store::{
    Page,
    accounts::{self, AccountState},
    gateway_nodes, machines, operations,
};
use std::{sync::Arc, time::Duration};

async fn run(harness: &Harness, gateway: GatewayId) -> Done {
    Gateways::new(Arc::clone(&harness.context)).reconcile(&gateway.to_string()).await.unwrap()
}

#[tokio::test]
async fn a_gateway_runs_when_its_first_node_connects() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 3).await;
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.state, GatewayState::Provisioning, "nobody is there");
    assert_eq!(harness.reasons(gateway.id).await, Vec::<String>::new());

    harness.node(gateway.id, "paris-1").await;
    run(&harness, gateway.id).await;
    let found = harness.read_gateway(gateway.id).await;
    assert_eq!(
        (found.state, found.health, found.version.as_deref()),
        (GatewayState::Running, GatewayHealth::Degraded, Some("0.1.0"))
    );
    let installing = operations::open_on(&harness.store, &gateway.id.into()).await.unwrap();
    assert_eq!(installing.len(), 1, "two nodes are missing yet");

    for node in ["paris-2", "paris-3"] {
        harness.node(gateway.id, node).await;
    }
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.health, GatewayHealth::Healthy);
    assert_eq!(harness.read_operation(installing[0].id).await.state, OperationState::Succeeded);
    let own = harness.read_cluster(gateway.cluster).await;
    assert_eq!((own.state, own.observed_generation), (ClusterState::Running, 1));
    assert_eq!(harness.reasons(gateway.id).await, ["Degraded", "Running", "Healthy"]);
    run(&harness, gateway.id).await;
    assert_eq!(harness.reasons(gateway.id).await.len(), 3, "everything is told once");
}

#[tokio::test]
async fn a_node_that_was_revoked_through_another_replica_is_cut_here() {
    let harness = Harness::new().await;
    let (gateway, _) = harness.running_gateway("paris").await;
    let node = harness.sites_node(gateway.id);
    run(&harness, gateway.id).await;
    assert!(harness.sites.disconnected.lock().unwrap().is_empty());
    gateway_nodes::revoke(&harness.store, gateway.id, node, harness.context.now()).await.unwrap();
    run(&harness, gateway.id).await;
    assert_eq!(*harness.sites.disconnected.lock().unwrap(), [node]);
}

#[tokio::test]
async fn a_lost_connection_is_told_once_and_so_is_its_return() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 1).await;
    let node = harness.node(gateway.id, "paris-1").await;
    run(&harness, gateway.id).await;
    let seen = harness.context.now();
    let stored = || async { gateway_nodes::get(&harness.store, node).await.unwrap().unwrap() };
    assert_eq!((stored().await.replica.as_deref(), stored().await.last_seen), (Some("plane-a"), Some(seen)));

    harness.sites.cut(gateway.id);
    harness.clock.advance(Duration::from_secs(30));
    run(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    let found = harness.read_gateway(gateway.id).await;
    assert_eq!(
        (found.state, found.health, found.last_seen),
        (GatewayState::Running, GatewayHealth::Unreachable, Some(seen))
    );
    assert_eq!(stored().await.replica, None);
    let told = harness.told(gateway.id).await;
    let lost: Vec<_> = told.iter().filter(|event| event.reason == "Unreachable").collect();
    assert_eq!((lost.len(), lost[0].severity), (1, Severity::Error));

    harness.sites.connect(gateway.id, node, "paris-1", harness.context.now());
    run(&harness, gateway.id).await;
    let found = harness.read_gateway(gateway.id).await;
    assert_eq!((found.health, found.last_seen), (GatewayHealth::Healthy, Some(harness.context.now())));
}

#[tokio::test]
async fn a_gateway_that_lost_one_node_of_three_runs_on_degraded_and_names_it_until_it_is_back() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 3).await;
    let machines = harness.take_machines(gateway.cluster, &["paris-1", "paris-2", "paris-3"]).await;
    let mut nodes = Vec::new();
    for name in ["paris-1", "paris-2", "paris-3"] {
        nodes.push(harness.node(gateway.id, name).await);
    }
    let reconciler = Gateways::new(Arc::clone(&harness.context));
    let id = gateway.id.to_string();
    reconciler.reconcile(&id).await.unwrap();
    let seen = harness.context.now();

    harness.sites.cut_node(gateway.id, nodes[1]);
    harness.clock.advance(Duration::from_secs(30));
    reconciler.reconcile(&id).await.unwrap();
    let found = harness.read_gateway(gateway.id).await;
    assert_eq!((found.state, found.health), (GatewayState::Running, GatewayHealth::Degraded));
    let told = harness.told(gateway.id).await;
    let last = told.iter().find(|event| event.reason == "Degraded").unwrap();
    assert_eq!(last.severity, Severity::Warning);
    assert_eq!(
        last.message,
        format!(
            "node paris-2 is not connected, it was last heard at {seen:.0}; the site is reached through paris-1 and paris-3"
        )
    );

    // Another one instead: the health is the same, the news is not.
    harness.sites.connect(gateway.id, nodes[1], "paris-2", harness.context.now());
    harness.sites.cut_node(gateway.id, nodes[2]);
    reconciler.reconcile(&id).await.unwrap();
    reconciler.reconcile(&id).await.unwrap();
    let degraded = |told: &[ferrogate_store::events::Event]| told.iter().filter(|e| e.reason == "Degraded").count();
    assert_eq!(degraded(&harness.told(gateway.id).await), 2);

    // Its machine and the gateway's own cluster say the same; a fresh look, as the next one that is due.
    run(&harness, gateway.id).await;
    let own = harness.read_cluster(gateway.cluster).await;
    assert_eq!(own.state, ClusterState::Degraded);
    assert!(own.reason.starts_with("node paris-3 is not connected"), "{}", own.reason);
    let rows = machines::list(&harness.store, gateway.cluster, &Page::default()).await.unwrap().items;
    let lost = rows.iter().find(|row| row.hostname == machines[2]).unwrap();
    assert_eq!(lost.state, MachineState::Failed, "{}", lost.reason);
    assert!(lost.reason.contains("it was last heard at") && lost.reason.contains("power is on"), "{}", lost.reason);

    harness.sites.connect(gateway.id, nodes[2], "paris-3", harness.context.now());
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.health, GatewayHealth::Healthy);
    assert_eq!(harness.read_cluster(gateway.cluster).await.state, ClusterState::Running);
}

#[tokio::test]
async fn a_node_that_is_connected_to_another_replica_counts_as_long_as_that_one_lives() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 1).await;
    let node = harness.node(gateway.id, "paris-1").await;
    run(&harness, gateway.id).await;
    harness.sites.cut(gateway.id);
    gateway_nodes::seen(&harness.store, node, "0.1.0", "plane-b", harness.context.now()).await.unwrap();
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.health, GatewayHealth::Healthy);
    harness.clock.advance(Duration::from_secs(61));
    run(&harness, gateway.id).await;
    assert_eq!(harness.read_gateway(gateway.id).await.health, GatewayHealth::Unreachable);
}

#[tokio::test]
async fn the_machines_of_a_gateway_and_its_account_are_looked_at_through_it() {
    let harness = Harness::new().await;
    let gateway = harness.gateway("paris", 2).await;
    let names = harness.take_machines(gateway.cluster, &["paris-1", "paris-2"]).await;
    harness.node(gateway.id, "paris-1").await;
    run(&harness, gateway.id).await;
    let list = || async { machines::list(&harness.store, gateway.cluster, &Page::default()).await.unwrap().items };
    let mut seen: Vec<_> = list().await.into_iter().map(|m| (m.hostname, m.node.unwrap(), m.state)).collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let mut wanted = vec![
        (names[0].clone(), "paris-1".to_owned(), MachineState::Running),
        (names[1].clone(), "paris-2".to_owned(), MachineState::Joining),
    ];
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(seen, wanted);
    let account = harness.read_gateway(gateway.id).await.account;
    let state = || async {
        let found = accounts::get(&harness.store, account).await.unwrap().unwrap();
        (found.state, found.reason)
    };
    assert_eq!(state().await, (AccountState::Ready, String::new()));

    // Somebody takes the key away in MAAS.
    harness.maas.rotate_api_key("admin").unwrap();
    run(&harness, gateway.id).await;
    let (refused, reason) = state().await;
    assert_eq!(refused, AccountState::Refused, "{reason}");
    assert_eq!(list().await.len(), 2, "what cannot be looked at is not forgotten");
    let calls = harness.maas.calls();
    assert!(calls.iter().rev().take(2).all(|call| call.method == "GET"), "looking changes nothing");
}
