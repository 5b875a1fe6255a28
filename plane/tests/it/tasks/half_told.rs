//! The end of a gateway where MAAS tells less than there is, or nothing for a moment.

use crate::tasks::{
    deletion::{assert_nothing_is_left, big_gateway, delete, force, recorded, run, until_deleted, until_stuck},
    harness::Harness,
};
use ferrogate_lab::maas::{Fault, Pattern, When};
use ferrogate_model::{AccountId, state::GatewayState};
use ferrogate_store::accounts;
use secrecy::SecretString;

async fn set_key(harness: &Harness, account: AccountId, key: SecretString) {
    let mut account = accounts::get(&harness.store, account).await.unwrap().unwrap();
    account.api_key = key;
    accounts::change(&harness.store, &account, harness.context.now()).await.unwrap();
}

/// MAAS shows a plain user nobody's machines but its own, without a word.
#[tokio::test]
async fn a_key_that_may_not_see_the_machines_ends_nothing() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    set_key(&harness, gateway.account, harness.maas.api_key("operator").unwrap()).await;
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    let found = harness.read_gateway(gateway.id).await;
    assert!(found.reason.contains("this key's user may not see it"), "{}", found.reason);
    assert_eq!(found.state, GatewayState::Deleting);
    assert!(machines.iter().all(|machine| harness.status(machine) == "Deployed"));
    assert!(harness.maas.resolve(&fqdn).is_some(), "its API keeps its name");
    set_key(&harness, gateway.account, harness.maas.api_key("admin").unwrap()).await;
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}

/// As MAAS answers a release whose list of machines did not come through.
#[tokio::test]
async fn a_release_that_names_no_machine_gave_none_back() {
    let harness = Harness::new().await;
    let (gateway, machines, _) = big_gateway(&harness).await;
    let release = Pattern { op: Some("release".into()), path: Some("/machines/".into()), ..Pattern::default() };
    harness.maas.faults().add(release, When::Always, Fault::Status(200, "[]".into()));
    delete(&harness, gateway.id).await;
    let said = run(&harness, gateway.id).await.said;
    assert!(said.contains("names fewer"), "{said}");
    harness.sites.cut(gateway.id);
    until_stuck(&harness, gateway.id).await;
    assert!(machines.iter().all(|machine| harness.status(machine) == "Deployed"));
}

#[tokio::test]
async fn a_forced_deletion_tries_on_while_maas_is_reached() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let lists = || Pattern::path("GET", "/machines/");
    harness.maas.faults().add(lists(), When::Always, Fault::DropsFilter("agent_name".into()));
    delete(&harness, gateway.id).await;
    until_stuck(&harness, gateway.id).await;
    harness.maas.faults().clear();
    // It is forced although the gateway is here, and the next list is no answer once more.
    harness.maas.faults().add(lists(), When::First(1), Fault::DropsFilter("agent_name".into()));
    force(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
    assert!(recorded(&harness).await.is_empty());
}

#[tokio::test]
async fn a_maas_that_cannot_serve_is_asked_again_and_nothing_is_lost() {
    let harness = Harness::new().await;
    let (gateway, machines, fqdn) = big_gateway(&harness).await;
    let release = Pattern { op: Some("release".into()), path: Some("/machines/".into()), ..Pattern::default() };
    let refused = Fault::Status(409, "Machine(s) cannot be released in their current state.".into());
    harness.maas.faults().add(release, When::First(2), refused);
    delete(&harness, gateway.id).await;
    run(&harness, gateway.id).await;
    let reason = harness.read_gateway(gateway.id).await.reason;
    assert!(reason.contains("cannot be released in their current state"), "MAAS's own words: {reason}");
    until_deleted(&harness, gateway.id).await;
    assert_nothing_is_left(&harness, &machines, &fqdn);
}
