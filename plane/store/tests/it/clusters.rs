//! Clusters, machines and operations.

use crate::fixture::{Fixture, at, cluster, release, spec, start};
use ferrogate_model::{
    ClusterId, OperationId, SystemId,
    state::{ClusterState, GatewayState, MachineState, OperationState},
};
use ferrogate_store::{
    Page, StoreError,
    clusters::{self, ClusterKind, Filter, Observed},
    gateways,
    machines::{self, Machine},
    operations::{self, Operation},
};
use secrecy::ExposeSecret;

fn observed(from: ClusterState, to: ClusterState) -> Observed {
    Observed {
        from,
        to,
        reason: "2 of 3 machines are deploying".to_owned(),
        memory: serde_json::json!({"cool_down": ["4y3hb3"]}),
        api_endpoint: Some("https://10.20.0.10:6443".to_owned()),
        generation: 1,
        converged: to == ClusterState::Running,
    }
}

pub(crate) async fn a_cluster_is_read_back_whole(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let wanted = cluster(tenant, gateway, "c1");
    clusters::insert(&f.store, &wanted).await.unwrap();
    let found = clusters::by_name(&f.store, tenant, &wanted.name).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
    assert_eq!(found.materials.unwrap().expose_secret(), wanted.materials.as_ref().unwrap().expose_secret());
    assert_eq!(found.settings.unwrap().expose_secret(), wanted.settings.as_ref().unwrap().expose_secret());

    let error = clusters::insert(&f.store, &cluster(tenant, gateway, "c1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "cluster", ref name } if name == "c1"), "{error:?}");
    let mut own = cluster(tenant, gateway, "c1");
    own.kind = ClusterKind::Gateway;
    clusters::insert(&f.store, &own).await.expect("a gateway's own cluster does not take a tenant's name");
}

pub(crate) async fn a_change_made_to_an_old_generation_is_refused(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let id = f.cluster(tenant, gateway, "c1").await;
    let mut more = spec();
    more.control_plane.count = 3;
    let newest = release();
    let changes = (0..6).map(|_| clusters::change_spec(&f.store, id, 1, &more, &newest, at(1)));
    let results = futures::future::join_all(changes).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|result| matches!(result, Err(StoreError::Changed { .. }))).count(), 5);
    let found = clusters::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!((found.generation, found.spec.control_plane.count), (2, 3));
}

pub(crate) async fn what_a_pass_found_is_not_written_over_a_deletion(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let id = f.cluster(tenant, gateway, "c1").await;
    let pass = observed(ClusterState::Queued, ClusterState::Provisioning);
    clusters::record(&f.store, id, &pass, at(1)).await.unwrap();

    assert!(clusters::request_deletion(&f.store, id, "asked for", at(2)).await.unwrap());
    assert!(!clusters::request_deletion(&f.store, id, "asked for", at(3)).await.unwrap());
    let stale = observed(ClusterState::Provisioning, ClusterState::Running);
    let error = clusters::record(&f.store, id, &stale, at(4)).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error:?}");
    let found = clusters::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!((found.state, found.absent, found.generation), (ClusterState::Deleting, true, 2));
    let error = clusters::change_spec(&f.store, id, 2, &spec(), &release(), at(5)).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "what goes is not changed any more: {error:?}");

    clusters::record(&f.store, id, &observed(ClusterState::Deleting, ClusterState::Deleted), at(6)).await.unwrap();
    clusters::forget_secrets(&f.store, id).await.unwrap();
    let found = clusters::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!((found.deleted, found.materials.is_none(), found.settings.is_none()), (Some(at(6)), true, true));
    let error = clusters::request_deletion(&f.store, id, "again", at(7)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    f.cluster(tenant, gateway, "c1").await;
}

pub(crate) async fn states_follow_their_rules(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let id = f.cluster(tenant, gateway, "c1").await;
    let error = clusters::record(&f.store, id, &observed(ClusterState::Queued, ClusterState::Running), at(1))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotAllowed { .. }), "{error:?}");

    for (from, to) in [
        (ClusterState::Queued, ClusterState::Provisioning),
        (ClusterState::Provisioning, ClusterState::Provisioning),
        (ClusterState::Provisioning, ClusterState::Running),
    ] {
        assert_eq!(clusters::get(&f.store, id).await.unwrap().unwrap().observed_generation, 0);
        clusters::record(&f.store, id, &observed(from, to), at(2)).await.unwrap();
    }
    let found = clusters::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!((found.state, found.observed_generation, found.updated), (ClusterState::Running, 1, at(2)));
    assert_eq!(found.api_endpoint.as_deref(), Some("https://10.20.0.10:6443"));
    assert_eq!(found.memory, serde_json::json!({"cool_down": ["4y3hb3"]}));
}

pub(crate) async fn clusters_are_filtered_by_everything(f: &Fixture) {
    let (tenant, other) = (f.tenant("acme").await, f.tenant("other").await);
    let (here, there) = (f.gateway(tenant, "here").await, f.gateway(other, "there").await);
    let account = f.account(tenant, here, "a").await;
    let c1 = f.cluster(tenant, here, "c1").await;
    let mut with_account = cluster(tenant, here, "c2");
    with_account.account = Some(account);
    clusters::insert(&f.store, &with_account).await.unwrap();
    let mut own = cluster(tenant, here, "own");
    own.kind = ClusterKind::Gateway;
    own.state = ClusterState::Running;
    clusters::insert(&f.store, &own).await.unwrap();
    let mut gone = cluster(tenant, here, "gone");
    gone.state = ClusterState::Deleted;
    gone.deleted = Some(start());
    clusters::insert(&f.store, &gone).await.unwrap();
    let foreign = f.cluster(other, there, "c1").await;

    let c2 = with_account.id;
    let all = Filter::default();
    let cases: [(Filter, &[ClusterId]); 7] = [
        (all, &[c1, c2, own.id, foreign]),
        (Filter { tenant: Some(tenant), ..all }, &[c1, c2, own.id]),
        (Filter { tenant: Some(tenant), deleted: true, ..all }, &[c1, c2, own.id, gone.id]),
        (Filter { gateway: Some(there), ..all }, &[foreign]),
        (Filter { account: Some(account), ..all }, &[c2]),
        (Filter { kind: Some(ClusterKind::Gateway), ..all }, &[own.id]),
        (Filter { tenant: Some(tenant), state: Some(ClusterState::Queued), ..all }, &[c1, c2]),
    ];
    for (filter, wanted) in cases {
        let list = clusters::list(&f.store, &filter, &Page::default()).await.unwrap();
        assert_eq!(list.items.iter().map(|cluster| cluster.id).collect::<Vec<_>>(), wanted, "{filter:?}");
    }
}

fn machine(cluster: ClusterId, system_id: &str) -> Machine {
    Machine {
        cluster,
        system_id: SystemId(system_id.to_owned()),
        hostname: "alert-bee".to_owned(),
        fqdn: "alert-bee.maas".to_owned(),
        addresses: vec!["10.20.0.10".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        zone: "default".to_owned(),
        pool: "control-plane".to_owned(),
        node: None,
        state: MachineState::Deploying,
        reason: "MAAS installs the operating system".to_owned(),
        since: at(3),
        updated: at(4),
    }
}

pub(crate) async fn machines_are_what_the_last_pass_saw(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let (c1, c2) = (f.cluster(tenant, gateway, "c1").await, f.cluster(tenant, gateway, "c2").await);
    for (cluster, seen) in [(c1, vec!["b", "a"]), (c2, vec!["a"]), (c1, vec!["b", "c"])] {
        let seen: Vec<_> = seen.into_iter().map(|id| machine(cluster, id)).collect();
        let mut tx = f.store.begin().await.unwrap();
        machines::replace(&mut tx, cluster, &seen).await.unwrap();
        tx.commit().await.unwrap();
    }
    let list = machines::list(&f.store, c1, &Page::default()).await.unwrap();
    assert_eq!(list.items, [machine(c1, "b"), machine(c1, "c")]);
    let first = machines::list(&f.store, c1, &Page::first(1)).await.unwrap();
    let second = machines::list(&f.store, c1, &Page { after: first.next, limit: 1 }).await.unwrap();
    assert_eq!((second.items, second.next), (vec![machine(c1, "c")], None));
    assert_eq!(machines::list(&f.store, c2, &Page::default()).await.unwrap().items.len(), 1);
}

pub(crate) async fn an_operation_and_its_steps_keep_their_times(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let operation = Operation {
        id: OperationId::new(),
        tenant,
        kind: "create_cluster".to_owned(),
        subject: gateway.into(),
        state: OperationState::Queued,
        reason: String::new(),
        created_by: "usr_1".to_owned(),
        created: start(),
        started: None,
        finished: None,
    };
    let id = operation.id;
    operations::insert(&f.store, &operation).await.unwrap();
    assert_eq!(operations::open_on(&f.store, &gateway.into()).await.unwrap(), std::slice::from_ref(&operation));

    let running = OperationState::Running;
    assert!(operations::transition(&f.store, id, running, "", at(1)).await.unwrap());
    assert!(operations::transition(&f.store, id, running, "allocating", at(2)).await.unwrap());
    operations::set_step(&f.store, id, 1, "Allocate", OperationState::Queued, "", at(1)).await.unwrap();
    operations::set_step(&f.store, id, 2, "Deploy", OperationState::Queued, "", at(1)).await.unwrap();
    operations::set_step(&f.store, id, 1, "Allocate", running, "1 of 3", at(2)).await.unwrap();
    operations::set_step(&f.store, id, 1, "Allocate", OperationState::Succeeded, "3 of 3", at(3)).await.unwrap();
    operations::set_step(&f.store, id, 1, "Allocate", OperationState::Succeeded, "3 of 3", at(9)).await.unwrap();
    assert!(operations::transition(&f.store, id, OperationState::Succeeded, "", at(4)).await.unwrap());
    assert!(!operations::transition(&f.store, id, OperationState::Failed, "", at(5)).await.unwrap(), "it has ended");

    let found = operations::find(&f.store, tenant, id).await.unwrap().unwrap();
    assert_eq!((found.state, found.started, found.finished), (OperationState::Succeeded, Some(at(1)), Some(at(4))));
    let steps = operations::steps(&f.store, id).await.unwrap();
    assert_eq!(
        steps.iter().map(|step| (step.seq, step.name.as_str())).collect::<Vec<_>>(),
        [(1, "Allocate"), (2, "Deploy")]
    );
    assert_eq!(
        (steps[0].started, steps[0].finished, steps[0].detail.as_str(), steps[1].started),
        (Some(at(2)), Some(at(3)), "3 of 3", None)
    );
    assert!(operations::open_on(&f.store, &gateway.into()).await.unwrap().is_empty());
    let filter = operations::Filter { tenant: Some(tenant), subject: Some(gateway.into()), ..Default::default() };
    assert_eq!(operations::list(&f.store, &filter, &Page::default()).await.unwrap().items.len(), 1);
    assert_eq!(operations::purge(&f.store, at(5)).await.unwrap(), 1);
    assert!(operations::steps(&f.store, id).await.unwrap().is_empty());
    let lost = operations::set_step(&f.store, id, 1, "x", running, "", at(6)).await;
    assert!(matches!(lost, Err(StoreError::NotFound { .. })), "{lost:?}");
}

pub(crate) async fn deleted_things_are_forgotten_in_their_order(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let cluster = f.cluster(tenant, gateway, "c1").await;
    let mut tx = f.store.begin().await.unwrap();
    machines::replace(&mut tx, cluster, &[machine(cluster, "a")]).await.unwrap();
    tx.commit().await.unwrap();
    clusters::request_deletion(&f.store, cluster, "", at(1)).await.unwrap();
    clusters::record(&f.store, cluster, &observed(ClusterState::Deleting, ClusterState::Deleted), at(2)).await.unwrap();
    let deleting = GatewayState::Deleting;
    gateways::transition(&f.store, gateway, GatewayState::Provisioning, deleting, "", at(3)).await.unwrap();
    gateways::transition(&f.store, gateway, deleting, GatewayState::Deleted, "", at(4)).await.unwrap();

    assert_eq!(gateways::purge(&f.store, at(9)).await.unwrap(), 0, "its cluster is still remembered");
    assert_eq!(clusters::purge(&f.store, at(2)).await.unwrap(), 0, "not yet");
    assert_eq!(clusters::purge(&f.store, at(3)).await.unwrap(), 1);
    assert_eq!(gateways::purge(&f.store, at(9)).await.unwrap(), 1);
    assert!(gateways::get(&f.store, gateway).await.unwrap().is_none());
}
