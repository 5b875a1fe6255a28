//! What is too old is forgotten, and nothing else.

use crate::tasks::harness::Harness;
use ferrogate_model::{
    EventId,
    state::{ClusterState, GatewayState, Severity},
};
use ferrogate_plane::tasks::{Done, Housekeeping, Reconciler};
use ferrogate_store::{
    accounts, clusters,
    clusters::Observed,
    events::{self, Event},
    gateways,
};
use std::{sync::Arc, time::Duration};

async fn run(harness: &Harness) -> Done {
    Housekeeping::new(Arc::clone(&harness.context)).reconcile("everything").await.unwrap()
}

#[tokio::test]
async fn deleted_things_are_listed_for_72_hours_and_then_forgotten_together() {
    let harness = Harness::new().await;
    let (gateway, account) = harness.running_gateway("paris").await;
    let (cluster, _) = harness.cluster("c1", gateway.id, account).await;
    let now = harness.context.now();
    for id in [cluster, gateway.cluster] {
        clusters::request_deletion(&harness.store, id, "", now).await.unwrap();
        let gone = Observed {
            from: ClusterState::Deleting,
            to: ClusterState::Deleted,
            reason: String::new(),
            memory: serde_json::Value::Null,
            api_endpoint: None,
            generation: 2,
            converged: false,
        };
        clusters::record(&harness.store, id, &gone, now).await.unwrap();
    }
    for (from, to) in [(GatewayState::Running, GatewayState::Deleting), (GatewayState::Deleting, GatewayState::Deleted)]
    {
        gateways::transition(&harness.store, gateway.id, from, to, "", now).await.unwrap();
    }
    assert!(accounts::delete(&harness.store, account, now).await.unwrap(), "after the gateway whose it is");
    let event = Event {
        id: EventId::new(),
        tenant: harness.tenant,
        subject: cluster.into(),
        severity: Severity::Info,
        reason: "Deleted".into(),
        message: String::new(),
        at: now,
    };
    events::append(&harness.store, &[event]).await.unwrap();

    harness.clock.advance(Duration::from_secs(72 * 3600));
    assert_eq!(run(&harness).await.said, "nothing was too old");
    harness.clock.advance(Duration::from_secs(1));
    let said = run(&harness).await.said;
    assert_eq!(said, "forgot 2 clusters, 1 cloud accounts, 1 gateways");
    assert!(gateways::get(&harness.store, gateway.id).await.unwrap().is_none());
    assert_eq!(harness.told(cluster).await.len(), 1, "what happened is remembered longer");
    harness.clock.advance(Duration::from_secs(28 * 24 * 3600));
    assert!(run(&harness).await.said.contains("1 events"));
}
