//! A key whose user may not see the cluster's machines: MAAS answers with a list that lacks them, and no error.

use crate::world::{World, spec};
use ferrogate_engine::{Memory, Outcome};

/// The cluster as an administrator made it, and MAAS as it was then.
async fn built() -> (World, Memory) {
    let world = World::new(spec(1)).await;
    let mut memory = Memory::default();
    world.converge(&world.engine(), &mut memory).await;
    (world, memory)
}

/// Passes of an engine with the key of a user who is no administrator.
async fn with_the_other_key(world: &mut World, memory: &mut Memory) -> Outcome {
    let administrator = std::mem::replace(&mut world.client, world.operator.clone());
    let engine = world.engine();
    world.client = administrator;
    let mut last = None;
    for _ in 0..5 {
        last = Some(engine.pass(&world.desired, memory).await.outcome);
    }
    last.unwrap()
}

fn assert_names_the_key(outcome: &Outcome) {
    let Outcome::Blocked { cause, hint } = outcome else { panic!("{outcome:?}") };
    assert!(cause.contains("this key's user may not see it"), "{cause}");
    assert!(hint.as_deref().unwrap().contains("administrator"), "{hint:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_sees_no_machine_is_not_done() {
    let (mut world, mut memory) = built().await;
    world.desired.absent = true;
    let before = world.ours();
    assert_names_the_key(&with_the_other_key(&mut world, &mut memory).await);
    assert_eq!(world.ours(), before);
    world.converge(&world.engine(), &mut memory).await;
    world.assert_gone();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_machines_are_hidden_is_not_built_a_second_time() {
    let (mut world, mut memory) = built().await;
    let before = world.maas.machines();
    assert_names_the_key(&with_the_other_key(&mut world, &mut memory).await);
    assert_eq!(world.maas.machines(), before, "nothing is taken in their place");
    world.converge(&world.engine(), &mut memory).await;
    world.assert_complete();
}

/// Somebody released it in MAAS: an administrator sees that, and another machine takes its place.
#[tokio::test(start_paused = true)]
async fn a_machine_that_was_taken_away_is_replaced() {
    let (world, mut memory) = built().await;
    let lost = world.ours().into_iter().find(|machine| machine.owner_data["ferrogate-pool"] == "work").unwrap();
    world.client.release(&lost.system_id, &ferrogate_maas::Release::default()).await.unwrap();
    world.settle().await;
    let theirs = ferrogate_maas::Allocate {
        system_id: Some(lost.system_id.clone()),
        agent_name: Some("juju-7".into()),
        ..ferrogate_maas::Allocate::default()
    };
    world.operator.allocate(&theirs).await.unwrap();
    world.converge(&world.engine(), &mut memory).await;
    world.assert_complete();
    assert!(world.ours().iter().all(|machine| machine.system_id != lost.system_id));
}
