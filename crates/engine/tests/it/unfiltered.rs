//! A proxy, or a MAAS, that drops the filter by our mark and answers with every machine there is: nothing of others is
//! touched, the cause is said, and once the filter works again the work goes on.

use crate::world::{Kill, World, spec};
use ferrogate_engine::{Memory, Outcome, mark, ownership};
use ferrogate_lab::maas::{Fault, Pattern, When};
use ferrogate_maas::{Allocate, Deploy, MachineFilter};
use ferrogate_model::Explain as _;
use std::time::Duration;

fn dropped(world: &World, when: When) {
    let lists = Pattern::path("GET", "/machines/");
    world.maas.faults().add(lists, when, Fault::DropsFilter("agent_name".into()));
}

/// A site in which others hold machines in every way: of another user and of our own, taken and installed.
async fn crowded() -> World {
    let world = World::new(spec(1)).await;
    world.maas.set_gate(None);
    let theirs = Allocate { agent_name: Some("juju-9".into()), ..Allocate::default() };
    world.client.allocate(&theirs).await.unwrap();
    let installed = world.client.allocate(&theirs).await.unwrap();
    world.client.deploy(&installed.system_id, &Deploy::default()).await.unwrap();
    while world.maas.machine(&installed.hostname).unwrap().status != "Deployed" {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.watcher.forgive();
    world.maas.set_gate(Some(world.watcher.clone()));
    world
}

/// Passes for a while, come what may.
async fn go_on(world: &World, memory: &mut Memory) -> Vec<Outcome> {
    let engine = world.engine();
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        outcomes.push(engine.pass(&world.desired, memory).await.outcome);
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    outcomes
}

/// What was somebody else's from the beginning is as it was.
fn assert_theirs_untouched(world: &World) {
    world.watcher.assert_innocent();
    let theirs: Vec<_> = world.maas.machines().into_iter().filter(|m| m.agent_name.starts_with("juju")).collect();
    assert_eq!(theirs.len(), 4);
    assert!(theirs.iter().all(|machine| machine.releases == 0), "{theirs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_whose_list_shows_everybodys_machines_gives_nothing_back_and_says_why() {
    let mut world = crowded().await;
    let mut memory = Memory::default();
    world.converge(&world.engine(), &mut memory).await;
    world.desired.absent = true;
    dropped(&world, When::Always);
    let before = world.maas.machines();
    let outcomes = go_on(&world, &mut memory).await;
    assert_eq!(world.maas.machines(), before, "nothing is given back, not even what is ours");
    let Some(Outcome::Blocked { cause, hint }) = outcomes.last() else { panic!("{outcomes:?}") };
    let theirs = before.iter().find(|machine| machine.agent_name == "juju-7").unwrap();
    assert!(
        cause.contains(&mark::agent_name(&world.desired.configuration.cluster)) && cause.contains(&theirs.hostname),
        "{cause}"
    );
    assert!(hint.as_deref().unwrap().contains("proxy"), "{hint:?}");
    world.maas.faults().clear();
    world.converge(&world.engine(), &mut memory).await;
    assert_eq!(world.ours(), []);
    assert_theirs_untouched(&world);
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_note_is_ours_only_where_the_filter_was_seen_to_work() {
    let world = World::new(spec(1)).await;
    // Nobody has anything but our own user, and it has one machine by hand: the answer to a list without its filter could
    // be the answer to ours.
    let cluster = world.desired.configuration.cluster;
    let by_hand = world.client.allocate(&Allocate::default()).await.unwrap();
    let only = MachineFilter { ids: vec![by_hand.system_id.clone()], ..MachineFilter::default() };
    let listed = world.client.machines(&only).await.unwrap().remove(0);
    let decide = |filter_works| {
        let asked = ownership::Asked { user: "admin", filter_works };
        ownership::decide(&cluster, ownership::Seen::of(&listed), Some(asked))
    };
    assert_eq!(decide(true), ownership::Ownership::Ours, "it was listed by our mark alone");
    assert!(matches!(decide(false), ownership::Ownership::Unclear(_)));
    assert_eq!(ownership::machines_of(&world.client, &cluster, &[]).await.unwrap(), [], "it does not bear our mark");
    dropped(&world, When::Always);
    let error = ownership::machines_of(&world.client, &cluster, &[]).await.unwrap_err();
    assert_eq!(error.code(), "maas_list_not_believed");
    world.maas.faults().clear();
    let ours = Allocate { agent_name: Some(mark::agent_name(&cluster)), ..Allocate::default() };
    let ours = world.client.allocate(&ours).await.unwrap();
    let listed = ownership::machines_of(&world.client, &cluster, &[]).await.unwrap();
    assert_eq!(listed.iter().map(|machine| &machine.system_id).collect::<Vec<_>>(), [&ours.system_id]);
}

/// The filter is dropped at one list, whichever it is, and the engine is killed at one change, whichever it is: a whole life.
#[tokio::test(start_paused = true)]
async fn whichever_list_is_not_filtered_nothing_of_others_is_touched() {
    for nth in 1..=14 {
        for kill in [None, Some(2), Some(4), Some(7)] {
            let mut world = crowded().await;
            dropped(&world, When::Nth(nth));
            world.watcher.arm(kill.map(|at| Kill { at, after: nth % 2 == 0, changes_only: true }));
            let mut memory = Memory::default();
            let engine = world.engine();
            tokio::select! {
                biased;
                () = world.watcher.killed.notified() => {}
                _ = world.converge(&engine, &mut memory) => {}
            }
            world.watcher.arm(None);
            world.converge(&world.engine(), &mut Memory::default()).await;
            world.assert_complete();
            world.desired.absent = true;
            dropped(&world, When::Nth(1 + nth % 3));
            world.converge(&world.engine(), &mut memory).await;
            world.settle().await;
            assert_eq!(world.ours(), []);
            assert_theirs_untouched(&world);
            world.maas.shutdown().await;
        }
    }
}
