//! A deletion that is stuck is ended by force: by whom, when, and with what on record.

use crate::{
    fixture::{self, Site},
    plane::TestPlane,
};
use ferrogate_api::{ClusterLookup, Gateway, Known, KnownCluster, Operation, OperationKind, Orphan, Page};
use ferrogate_model::{
    ClusterId,
    state::{ClusterState, GatewayState},
};
use ferrogate_store::{audit, clusters, gateways};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_stuck_deletion_is_forced_with_its_name_and_the_audit_has_it() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    let (store, now) = (&plane.running.context.store, plane.running.context.now());
    let path = format!("/gateways/{}/force-delete", objects.gateway);
    let named = json!({"confirm_name": "maas-pcg-1"});
    let other = json!({"confirm_name": "maas-pcg-2"});
    plane.post(&path).token(&admin).json(other).await.problem(422, "name_not_confirmed");
    plane.post(&path).token(&admin).json(named.clone()).await.problem(409, "deletion_not_stuck");

    clusters::request_deletion(store, objects.cluster, "", now).await.unwrap();
    let gone = clusters::Observed {
        from: ClusterState::Deleting,
        to: ClusterState::Deleted,
        reason: String::new(),
        memory: serde_json::Value::Null,
        api_endpoint: None,
        generation: 2,
        converged: false,
    };
    clusters::record(store, objects.cluster, &gone, now).await.unwrap();
    let (from, deleting) = (GatewayState::Provisioning, GatewayState::Deleting);
    gateways::transition(store, objects.gateway, from, deleting, "", now).await.unwrap();
    plane.post(&path).token(&admin).json(named.clone()).await.problem(409, "deletion_not_stuck");
    gateways::transition(store, objects.gateway, deleting, GatewayState::DeletionStuck, "lost", now).await.unwrap();
    let shown: Gateway = plane.get("/gateways/maas-pcg-1").token(&admin).await.read(200);
    assert_eq!(shown.state, GatewayState::DeletionStuck);

    let operation: Operation = plane.post(&path).token(&admin).json(named).await.read(202);
    assert_eq!((operation.kind, operation.subject.as_str()), (OperationKind::ForceDeleteGateway, "maas-pcg-1"));
    let entries = audit::list(store, &audit::Filter::default(), &ferrogate_store::Page::first(100)).await.unwrap();
    let forced = entries.items.iter().find(|entry| entry.action == "gateway.force_delete").unwrap();
    assert_eq!((forced.result, forced.subject.clone()), (audit::AuditResult::Done, Some(objects.gateway.into())));
    let events = plane.get("/events").token(&admin).await.text();
    assert!(events.contains("DeletionForced"), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_record_is_listed_and_closed_and_marks_are_looked_up() {
    let plane = TestPlane::start().await;
    let admin = plane.set_up().await;
    let objects = fixture::objects(&plane, &admin, Site::default()).await;
    let listed: Page<Orphan> = plane.get("/orphans").token(&admin).await.read(200);
    assert_eq!((listed.items[0].id, listed.items[0].hostname.as_str()), (objects.orphan, "node03"));
    assert_eq!(listed.items[0].recorded_by, crate::plane::EMAIL);
    plane.delete(&format!("/orphans/{}", objects.orphan)).token(&admin).await.status(204);
    plane.delete(&format!("/orphans/{}", objects.orphan)).token(&admin).await.problem(404, "orphan_not_found");

    let unknown = ClusterId::new();
    let asked = ClusterLookup { clusters: vec![objects.cluster, unknown] };
    let body = serde_json::to_value(&asked).unwrap();
    let known: Page<KnownCluster> = plane.post("/clusters/lookup").token(&admin).json(body).await.read(200);
    let known: Vec<_> = known.items.iter().map(|cluster| (cluster.id, cluster.known)).collect();
    assert_eq!(known, [(objects.cluster, Known::Exists), (unknown, Known::Unknown)]);
    let many = json!({"clusters": vec![unknown; 501]});
    plane.post("/clusters/lookup").token(&admin).json(many).await.problem(422, "too_many_clusters");
}
