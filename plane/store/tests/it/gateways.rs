//! Gateways, their nodes, and cloud accounts.

use crate::fixture::{Fixture, account, at, cluster, gateway, name, node, secret};
use ferrogate_model::{
    ClusterId, Explain, GatewayId, OrphanId, Retry,
    state::{GatewayHealth, GatewayState},
};
use ferrogate_store::{
    Page, SecretHash, StoreError,
    accounts::{self, AccountState},
    clusters, gateway_nodes, gateways,
    orphans::{self, Orphan, OrphanKind},
};
use secrecy::ExposeSecret;

pub(crate) async fn a_gateway_is_read_back_with_its_secrets(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let wanted = gateway(tenant, "site");
    gateways::insert(&f.store, &wanted).await.unwrap();
    let found = gateways::by_name(&f.store, tenant, &wanted.name).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
    assert_eq!(found.proxy.unwrap().expose_secret(), wanted.proxy.as_ref().unwrap().expose_secret());

    let id = wanted.id;
    gateways::set_health(&f.store, id, GatewayHealth::Healthy, Some(at(6)), Some("0.2.0")).await.unwrap();
    gateways::set_health(&f.store, id, GatewayHealth::Unreachable, None, None).await.unwrap();
    gateways::set_install_token(&f.store, id, None::<&SecretHash>, at(8)).await.unwrap();
    let found = gateways::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!(
        (found.health, found.last_seen, found.version.as_deref()),
        (GatewayHealth::Unreachable, Some(at(6)), Some("0.2.0"))
    );
    assert_eq!((found.install_token_hash, found.updated, found.proxy.is_some()), (None, at(8), true));
    gateways::forget_secrets(&f.store, id).await.unwrap();
    assert!(gateways::get(&f.store, id).await.unwrap().unwrap().proxy.is_none());
    let other = f.tenant("other").await;
    assert!(gateways::find(&f.store, other, id).await.unwrap().is_none());
}

pub(crate) async fn a_gateways_name_is_free_again_once_it_is_deleted(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let first = f.gateway(tenant, "site").await;
    let error = gateways::insert(&f.store, &gateway(tenant, "site")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "gateway", ref name } if name == "site"), "{error:?}");
    let other = f.tenant("other").await;
    f.gateway(other, "site").await;

    let (from, to) = (GatewayState::Provisioning, GatewayState::Deleting);
    gateways::transition(&f.store, first, from, to, "asked for", at(1)).await.unwrap();
    gateways::transition(&f.store, first, to, GatewayState::Deleted, "", at(2)).await.unwrap();
    assert_eq!(gateways::get(&f.store, first).await.unwrap().unwrap().deleted, Some(at(2)));
    let second = f.gateway(tenant, "site").await;
    assert_eq!(gateways::by_name(&f.store, tenant, &name("site")).await.unwrap().unwrap().id, second);
    assert_eq!(gateways::list(&f.store, Some(tenant), &Page::default()).await.unwrap().items.len(), 2);
    assert_eq!(gateways::list(&f.store, None, &Page::default()).await.unwrap().items.len(), 3);
}

pub(crate) async fn of_many_gateways_of_one_name_one_is_made(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let candidates: Vec<_> = (0..8).map(|_| gateway(tenant, "site")).collect();
    let results = futures::future::join_all(candidates.iter().map(|one| gateways::insert(&f.store, one))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let conflicts = results.iter().filter(|result| matches!(result, Err(StoreError::Conflict { .. })));
    assert_eq!(conflicts.count(), 7);
}

pub(crate) async fn a_gateway_moves_only_from_the_state_that_was_seen(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let id = f.gateway(tenant, "site").await;
    let (provisioning, running) = (GatewayState::Provisioning, GatewayState::Running);
    gateways::transition(&f.store, id, provisioning, running, "first node connected", at(1)).await.unwrap();
    let error = gateways::transition(&f.store, id, provisioning, GatewayState::Failed, "", at(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::AfterLooking);
    let error = gateways::transition(&f.store, id, running, GatewayState::Pending, "", at(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAllowed { .. }), "{error:?}");
    let found = gateways::get(&f.store, id).await.unwrap().unwrap();
    assert_eq!((found.state, found.reason.as_str(), found.updated), (running, "first node connected", at(1)));
}

pub(crate) async fn a_replaced_node_loses_its_key(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let (old, new, second) = (node(gateway, "n1", "key-a"), node(gateway, "n1", "key-b"), node(gateway, "n2", "key-c"));
    for node in [&old, &second, &new] {
        gateway_nodes::register(&f.store, node).await.unwrap();
    }
    assert_eq!(gateway_nodes::list(&f.store, gateway).await.unwrap(), [new.clone(), second.clone()]);
    assert_eq!(gateway_nodes::get(&f.store, old.id).await.unwrap().unwrap().revoked, Some(new.registered));
    assert_eq!(gateway_nodes::by_key(&f.store, "key-b").await.unwrap().unwrap().id, new.id);
    let stolen = gateway_nodes::register(&f.store, &node(gateway, "n3", "key-a")).await;
    assert!(matches!(stolen, Err(StoreError::Conflict { .. })), "a key once revoked stays so: {stolen:?}");

    assert!(gateway_nodes::revoke(&f.store, gateway, second.id, at(20)).await.unwrap());
    assert!(!gateway_nodes::revoke(&f.store, gateway, second.id, at(21)).await.unwrap());
    assert_eq!(gateway_nodes::revoke_all(&f.store, gateway, at(22)).await.unwrap(), [new.id]);
    assert_eq!(gateway_nodes::list(&f.store, gateway).await.unwrap(), []);
}

pub(crate) async fn a_lost_node_is_not_taken_from_the_replica_it_moved_to(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let node = node(gateway, "n1", "key");
    gateway_nodes::register(&f.store, &node).await.unwrap();
    gateway_nodes::seen(&f.store, node.id, "0.2.0", "plane-b", at(30)).await.unwrap();
    gateway_nodes::lost(&f.store, node.id, "plane-a").await.unwrap();
    let found = gateway_nodes::get(&f.store, node.id).await.unwrap().unwrap();
    assert_eq!(
        (found.replica.as_deref(), found.version.as_str(), found.last_seen),
        (Some("plane-b"), "0.2.0", Some(at(30)))
    );
    gateway_nodes::lost(&f.store, node.id, "plane-b").await.unwrap();
    assert_eq!(gateway_nodes::get(&f.store, node.id).await.unwrap().unwrap().replica, None);
}

pub(crate) async fn an_account_in_use_is_not_deleted(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    let wanted = account(tenant, gateway, "site");
    accounts::insert(&f.store, &wanted).await.unwrap();
    let found = accounts::by_name(&f.store, tenant, &wanted.name).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{wanted:?}"));
    assert_eq!(found.api_key.expose_secret(), wanted.api_key.expose_secret());

    let mut user = cluster(tenant, gateway, "c1");
    user.account = Some(wanted.id);
    clusters::insert(&f.store, &user).await.unwrap();
    assert!(!accounts::delete(&f.store, wanted.id, at(1)).await.unwrap());
    f.raw("UPDATE clusters SET deleted = 1").await;
    assert!(accounts::delete(&f.store, wanted.id, at(2)).await.unwrap());
    assert_eq!(accounts::list(&f.store, tenant, Some(gateway), &Page::default()).await.unwrap().items.len(), 0);
    let found = accounts::get(&f.store, wanted.id).await.unwrap().unwrap();
    assert_eq!((found.deleted, found.api_key.expose_secret()), (Some(at(2)), ""), "its key is forgotten");

    let again = f.account(tenant, gateway, "site").await;
    accounts::set_state(&f.store, again, AccountState::Refused, "the key was refused", at(3)).await.unwrap();
    let mut changed = accounts::find(&f.store, tenant, again).await.unwrap().unwrap();
    assert_eq!((changed.state, changed.reason.as_str()), (AccountState::Refused, "the key was refused"));
    changed.name = name("renamed");
    changed.api_key = secret("d:e:f");
    accounts::change(&f.store, &changed, at(4)).await.unwrap();
    let found = accounts::get(&f.store, again).await.unwrap().unwrap();
    assert_eq!((found.name, found.api_key.expose_secret()), (name("renamed"), "d:e:f"));
}

pub(crate) async fn the_account_of_a_gateway_is_deleted_after_it(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let record = gateway(tenant, "site");
    gateways::insert(&f.store, &record).await.unwrap();
    let own = accounts::Account { id: record.account, ..account(tenant, record.id, "site") };
    accounts::insert(&f.store, &own).await.unwrap();
    assert!(!accounts::delete(&f.store, own.id, at(1)).await.unwrap());
    let (from, deleting) = (GatewayState::Provisioning, GatewayState::Deleting);
    gateways::transition(&f.store, record.id, from, deleting, "", at(2)).await.unwrap();
    gateways::transition(&f.store, record.id, deleting, GatewayState::DeletionStuck, "", at(3)).await.unwrap();
    assert!(!accounts::delete(&f.store, own.id, at(4)).await.unwrap(), "a deletion that is stuck needs the key");
    gateways::transition(&f.store, record.id, GatewayState::DeletionStuck, deleting, "", at(5)).await.unwrap();
    gateways::transition(&f.store, record.id, deleting, GatewayState::Deleted, "", at(6)).await.unwrap();
    assert!(accounts::delete(&f.store, own.id, at(7)).await.unwrap());
}

pub(crate) async fn what_was_left_behind_outlives_its_gateway(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let orphan = Orphan {
        id: OrphanId::new(),
        tenant,
        gateway: GatewayId::new(),
        gateway_name: name("site"),
        cluster: ClusterId::new(),
        maas_endpoint: "http://10.20.0.2:5240/MAAS".to_owned(),
        kind: OrphanKind::DnsName,
        name: "site-0123456789ab.maas".to_owned(),
        hostname: String::new(),
        reason: "the site was lost".to_owned(),
        recorded_by: "usr_1".to_owned(),
        recorded: at(1),
    };
    orphans::insert(&f.store, &orphan).await.unwrap();
    let listed = orphans::list(&f.store, tenant, &Page::default()).await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&orphan));
    let other = f.tenant("other").await;
    assert_eq!(orphans::list(&f.store, other, &Page::default()).await.unwrap().items, []);
    assert!(!orphans::delete(&f.store, other, orphan.id).await.unwrap());
    assert!(orphans::delete(&f.store, tenant, orphan.id).await.unwrap());
    assert!(!orphans::delete(&f.store, tenant, orphan.id).await.unwrap());
}

pub(crate) async fn nothing_of_a_transaction_remains_when_a_step_fails(f: &Fixture) {
    let tenant = f.tenant("acme").await;
    let gateway = f.gateway(tenant, "site").await;
    f.account(tenant, gateway, "site").await;
    let mut tx = f.store.begin().await.unwrap();
    gateway_nodes::register(&mut tx, &node(gateway, "n1", "key")).await.unwrap();
    let error = accounts::insert(&mut tx, &account(tenant, gateway, "site")).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }));
    drop(tx);
    assert_eq!(gateway_nodes::list(&f.store, gateway).await.unwrap(), []);

    let mut tx = f.store.begin().await.unwrap();
    gateway_nodes::register(&mut tx, &node(gateway, "n1", "key")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(gateway_nodes::list(&f.store, gateway).await.unwrap().len(), 1);
}
