//! The real engine behind the reconciler: machines are taken and given back through the gateway.

use crate::tasks::harness::Harness;
use ferrogate_engine::mark;
use ferrogate_model::{
    ClusterId,
    state::{ClusterState, MachineState},
};
use ferrogate_plane::tasks::{Clusters, Done, Reconciler};
use ferrogate_store::{Page, clusters, machines};
use std::sync::Arc;

async fn run(harness: &Harness, cluster: ClusterId) -> Done {
    Clusters::new(Arc::clone(&harness.context)).reconcile(&cluster.to_string()).await.unwrap()
}

#[tokio::test]
async fn machines_are_taken_under_the_clusters_mark_and_all_of_them_given_back() {
    let harness = Harness::new().await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (id, _) = harness.cluster("c1", gateway.id, account).await;
    let ours = || {
        let mark = mark::agent_name(&id);
        harness.maas.machines().into_iter().filter(|machine| machine.agent_name == mark).collect::<Vec<_>>()
    };
    for _ in 0..100 {
        run(&harness, id).await;
        if ours().iter().any(|machine| machine.status == "Deployed") {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!ours().is_empty());
    run(&harness, id).await;
    let cluster = harness.read_cluster(id).await;
    assert_eq!(cluster.state, ClusterState::Provisioning, "{}", cluster.reason);
    let seen = machines::list(&harness.store, id, &Page::default()).await.unwrap().items;
    assert_eq!(seen.len(), ours().len());
    assert!(seen.iter().any(|machine| machine.state == MachineState::Joining), "{seen:?}");

    clusters::request_deletion(&harness.store, id, "asked for", harness.context.now()).await.unwrap();
    for _ in 0..100 {
        run(&harness, id).await;
        if harness.read_cluster(id).await.state == ClusterState::Deleted {
            break;
        }
        tokio::task::yield_now().await;
    }
    let cluster = harness.read_cluster(id).await;
    assert_eq!(cluster.state, ClusterState::Deleted, "{}", cluster.reason);
    assert!(harness.maas.machines().iter().all(|machine| machine.status == "Ready"));
    assert!(machines::list(&harness.store, id, &Page::default()).await.unwrap().items.is_empty());
}
