use super::*;
use ferrogate_model::{ClusterId, GatewayId, TenantId, Timestamp, release::Release};
use ferrogate_store::clusters::ClusterKind;
use std::time::Duration;

fn cluster(state: ClusterState, generation: i64, observed: i64) -> Cluster {
    Cluster {
        id: ClusterId::new(),
        tenant: TenantId::new(),
        gateway: GatewayId::new(),
        account: None,
        kind: ClusterKind::Tenant,
        name: "c1".parse().unwrap(),
        spec: serde_json::from_str(r#"{"control_plane": {"count": 1, "resource_pool": "default"}}"#).unwrap(),
        state,
        reason: String::new(),
        release: Release::example(),
        materials: None,
        settings: None,
        memory: serde_json::Value::Null,
        absent: state == ClusterState::Deleting,
        api_endpoint: None,
        generation,
        observed_generation: observed,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        deleted: None,
    }
}

fn outcomes() -> [Outcome; 3] {
    [
        Outcome::Converged,
        Outcome::Working { reason: "node01 is being installed".into(), check_again: Duration::from_secs(1) },
        Outcome::Blocked { cause: "no machine fits".into(), hint: Some("add one".into()) },
    ]
}

#[test]
fn every_state_a_pass_leads_to_is_allowed() {
    for state in ClusterState::ALL {
        for (generation, observed) in [(1, 0), (1, 1), (2, 1), (3, 0)] {
            for outcome in outcomes() {
                let cluster = cluster(*state, generation, observed);
                assert!(state.may_become(after(&cluster, &outcome)), "{state} {generation}/{observed} {outcome:?}");
            }
        }
    }
}

#[test]
fn a_cluster_says_what_it_is() {
    use ClusterState::{Degraded, Deleted, Deleting, Failed, Provisioning, Running, Updating};
    let [converged, working, blocked] = outcomes();
    for (state, generation, observed, outcome, wanted) in [
        (Provisioning, 1, 0, &working, Provisioning),
        (Provisioning, 1, 0, &blocked, Failed),
        (Failed, 1, 0, &working, Provisioning),
        (Provisioning, 1, 0, &converged, Running),
        (Failed, 1, 0, &converged, Running),
        (Running, 1, 1, &working, Degraded),
        (Running, 1, 1, &blocked, Degraded),
        (Degraded, 1, 1, &converged, Running),
        (Running, 2, 1, &working, Updating),
        (Updating, 2, 1, &working, Updating),
        (Updating, 2, 1, &blocked, Degraded),
        (Degraded, 2, 1, &working, Updating),
        (Updating, 2, 1, &converged, Running),
        (Deleting, 2, 1, &working, Deleting),
        (Deleting, 2, 1, &blocked, Deleting),
        (Deleting, 2, 1, &converged, Deleted),
    ] {
        assert_eq!(after(&cluster(state, generation, observed), outcome), wanted, "{state} {generation}/{observed}");
    }
}

#[test]
fn the_reason_names_cause_and_hint() {
    let [_, working, blocked] = outcomes();
    let cluster = cluster(ClusterState::Provisioning, 1, 0);
    assert_eq!(reason(&cluster, &working), "node01 is being installed");
    assert_eq!(reason(&cluster, &blocked), "no machine fits; add one");
}
