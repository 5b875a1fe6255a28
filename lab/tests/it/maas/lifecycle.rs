//! From Ready to Ready: taking, deploying, releasing, and what comes in between.

use super::fixture::{Diary, Site, json, pass, text};
use ferrogate_lab::{Power, Seed, Speed};
use ferrogate_maas::{Allocate, Deploy, MachineFilter, Release, types::MachineStatus};
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn the_products_client_takes_deploys_and_gives_back_a_machine() {
    let site = Site::new().await;
    let client = site.client("admin");
    let wanted = Allocate { agent_name: Some("ferrogate/cls_1".into()), cpu_count: Some(8), ..Allocate::default() };
    let machine = client.allocate(&wanted).await.unwrap();
    client
        .deploy(&machine.system_id, &Deploy { user_data: Some("#cloud-config\n".into()), ..Deploy::default() })
        .await
        .unwrap();
    pass(300).await;
    let found = client.machines(&MachineFilter::agent("ferrogate/cls_1")).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].status, MachineStatus::Deployed);
    let snapshot = site.machine(&machine.hostname);
    assert_eq!(snapshot.user_data.as_deref(), Some(b"#cloud-config\n".as_slice()));
    assert_eq!(site.maas.resolve(&snapshot.fqdn), Some(snapshot.addresses.clone()));
    client.release(&machine.system_id, &Release::default()).await.unwrap();
    assert_eq!(site.machine(&machine.hostname).status, "Releasing");
    assert_eq!(
        client.machines(&MachineFilter::agent("ferrogate/cls_1")).await.unwrap().len(),
        0,
        "the mark goes first"
    );
    pass(2).await;
    let snapshot = site.machine(&machine.hostname);
    assert_eq!((snapshot.status, snapshot.owner, snapshot.addresses.len()), ("Ready", None, 0));
    assert_eq!((snapshot.allocations, snapshot.deploys, snapshot.releases), (1, 1, 1));
    assert_eq!(site.maas.resolve(&snapshot.fqdn), None);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_ask_at_once_each_gets_another_machine_until_none_is_left() {
    let site = Site::new().await;
    let client = site.client("admin");
    let wanted = Allocate::default();
    let answers = futures::future::join_all((0..12).map(|_| client.allocate(&wanted))).await;
    let mut ids: Vec<_> = answers.iter().flatten().map(|machine| machine.system_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    assert!(answers.iter().filter_map(|answer| answer.as_ref().err()).all(|error| error.is_no_machine()));
}

#[tokio::test(start_paused = true)]
async fn a_release_during_a_deployment_is_not_undone_by_its_late_end() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    pass(100).await;
    site.send("admin", "POST", &format!("machines/{id}/?op=release"), &[]).await;
    pass(10).await;
    assert_eq!(site.machine("node01").status, "Ready");
    pass(600).await;
    let machine = site.machine("node01");
    assert_eq!((machine.status, machine.addresses.len(), machine.power), ("Ready", 0, Power::Off));
}

#[tokio::test(start_paused = true)]
async fn a_second_deployment_is_not_ended_by_the_first_ones_timer() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    pass(200).await;
    site.send("admin", "POST", &format!("machines/{id}/?op=release"), &[]).await;
    pass(10).await;
    site.deploy("node01").await;
    pass(60).await;
    assert_eq!(site.machine("node01").status, "Deploying", "the first would have ended 29 s ago");
    pass(240).await;
    assert_eq!(site.machine("node01").status, "Deployed");
}

#[tokio::test(start_paused = true)]
async fn erasing_takes_its_time_and_wipes_before_the_machine_is_free() {
    let diary = Arc::new(Diary::default());
    let site = Site::with(Seed::recorded(), |options| options.speed(Speed::Real)).await;
    let id = site.deploy("node01").await;
    pass(300).await;
    site.maas.set_backend(Some(Arc::clone(&diary) as _));
    site.send("admin", "POST", &format!("machines/{id}/?op=release"), &[("erase", "true")]).await;
    pass(60).await;
    assert_eq!(site.machine("node01").status, "Disk erasing");
    pass(120).await;
    assert_eq!(site.machine("node01").status, "Ready");
    assert_eq!(diary.lines(), [format!("off {id}"), format!("wipe {id}")]);
}

#[tokio::test(start_paused = true)]
async fn a_locked_machine_is_neither_released_nor_changed_until_it_is_unlocked() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    pass(300).await;
    let path = |op: &str| format!("machines/{id}/?op={op}");
    assert_eq!(json(&site.send("admin", "POST", &path("lock"), &[]).await)["locked"], true);
    assert_eq!(site.send("admin", "POST", &path("release"), &[]).await.status(), 403);
    assert_eq!(site.send("admin", "POST", "machines/?op=release", &[("machines", &id.0)]).await.status(), 403);
    assert_eq!(site.send("admin", "PUT", &format!("machines/{id}/"), &[("description", "x")]).await.status(), 403);
    assert_eq!(site.send("admin", "POST", &path("unlock"), &[]).await.status(), 200);
    assert_eq!(site.send("admin", "POST", &path("release"), &[]).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_release_of_several_is_all_or_nothing() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    let new = site.machine("node09").system_id;
    let answer = site.send("admin", "POST", "machines/?op=release", &[("machines", &id.0), ("machines", &new.0)]).await;
    assert_eq!(answer.status(), 409);
    assert!(text(&answer).ends_with(&format!("{new} ('New').")), "{}", text(&answer));
    assert_eq!(site.machine("node01").status, "Deploying");
    let answer =
        site.send("admin", "POST", "machines/?op=release", &[("machines", &id.0), ("machines", "zzzzzz")]).await;
    assert_eq!((answer.status().as_u16(), text(&answer).as_str()), (400, "Unknown machine(s): zzzzzz."));
    let answer = site.send("admin", "POST", "machines/?op=release", &[("system_ids", &id.0)]).await;
    assert_eq!((answer.status().as_u16(), text(&answer).as_str()), (200, "[]"));
    assert_eq!(site.machine("node01").status, "Deploying");
}

#[tokio::test(start_paused = true)]
async fn aborting_a_deployment_leaves_the_machine_allocated_and_without_address() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    pass(10).await;
    assert_eq!(site.send("admin", "POST", &format!("machines/{id}/?op=abort"), &[]).await.status(), 200);
    pass(600).await;
    let machine = site.machine("node01");
    assert_eq!((machine.status, machine.addresses.len()), ("Allocated", 0));
    assert_eq!(machine.agent_name, "mark");
}

#[tokio::test(start_paused = true)]
async fn a_machine_released_behind_its_owners_back_is_free_and_bears_no_mark() {
    let site = Site::new().await;
    let id = site.deploy("node01").await;
    pass(300).await;
    assert!(site.maas.release_by_admin(&id));
    pass(2).await;
    let machine = site.machine("node01");
    assert_eq!((machine.status, machine.agent_name.as_str(), machine.owner), ("Ready", "", None));
    assert!(!site.maas.release_by_admin(&id), "there is nothing left to release");
}

#[tokio::test(start_paused = true)]
async fn commissioning_ends_with_a_machine_that_can_be_deployed_again() {
    let site = Site::new().await;
    let id = site.machine("node09").system_id;
    assert_eq!(site.send("admin", "POST", &format!("machines/{id}/?op=commission"), &[]).await.status(), 200);
    pass(300).await;
    assert_eq!(site.machine("node09").status, "Ready");
    site.deploy("node09").await;
    assert_eq!(site.machine("node09").addresses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn power_commands_reach_the_machine_in_their_order() {
    let diary = Arc::new(Diary::default());
    let site = Site::with(Seed::recorded(), |options| options.speed(Speed::Real)).await;
    let id = site.deploy("node01").await;
    pass(300).await;
    site.maas.set_backend(Some(Arc::clone(&diary) as _));
    for op in ["power_off", "power_on", "power_off", "power_on"] {
        site.send("admin", "POST", &format!("machines/{id}/?op={op}"), &[]).await;
        pass(2).await;
    }
    assert_eq!(diary.lines(), [format!("off {id}"), format!("on {id}"), format!("off {id}"), format!("on {id}")]);
    assert_eq!(site.machine("node01").power, Power::On);
}
