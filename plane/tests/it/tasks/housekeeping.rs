//! What is too old is forgotten, and nothing else.

use crate::tasks::stage::Stage;
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

async fn run(stage: &Stage) -> Done {
    Housekeeping::new(Arc::clone(&stage.ground)).reconcile("everything").await.unwrap()
}

#[tokio::test]
async fn deleted_things_are_listed_for_72_hours_and_then_forgotten_together() {
    let stage = Stage::new().await;
    let (gateway, account) = stage.running_gateway("paris").await;
    let (cluster, _) = stage.cluster("c1", gateway.id, account).await;
    let now = stage.ground.now();
    for id in [cluster, gateway.cluster] {
        clusters::request_deletion(&stage.store, id, "", now).await.unwrap();
        let gone = Observed {
            from: ClusterState::Deleting,
            to: ClusterState::Deleted,
            reason: String::new(),
            memory: serde_json::Value::Null,
            api_endpoint: None,
            generation: 2,
            converged: false,
        };
        clusters::record(&stage.store, id, &gone, now).await.unwrap();
    }
    for (from, to) in [(GatewayState::Running, GatewayState::Deleting), (GatewayState::Deleting, GatewayState::Deleted)]
    {
        gateways::transition(&stage.store, gateway.id, from, to, "", now).await.unwrap();
    }
    assert!(accounts::delete(&stage.store, account, now).await.unwrap(), "after the gateway whose it is");
    let event = Event {
        id: EventId::new(),
        tenant: stage.tenant,
        subject: cluster.into(),
        severity: Severity::Info,
        reason: "Deleted".into(),
        message: String::new(),
        at: now,
    };
    events::append(&stage.store, &[event]).await.unwrap();

    stage.clock.advance(Duration::from_secs(72 * 3600));
    assert_eq!(run(&stage).await.said, "nothing was too old");
    stage.clock.advance(Duration::from_secs(1));
    let said = run(&stage).await.said;
    assert_eq!(said, "forgot 2 clusters, 1 cloud accounts, 1 gateways");
    assert!(gateways::get(&stage.store, gateway.id).await.unwrap().is_none());
    assert_eq!(stage.told(cluster).await.len(), 1, "what happened is remembered longer");
    stage.clock.advance(Duration::from_secs(28 * 24 * 3600));
    assert!(run(&stage).await.said.contains("1 events"));
}
