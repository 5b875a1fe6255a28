//! Creating, growing, shrinking and deleting when nothing goes wrong.

use crate::{
    kubernetes::UserData,
    world::{World, first_of, spec},
};
use ferrogate_engine::{Memory, Outcome};
use ferrogate_model::state::MachineState;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_cluster_is_built_shown_and_given_back() {
    let mut world = World::new(spec(2)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    let last = passes.last().unwrap();
    assert_eq!(last.machines.len(), 3);
    assert!(last.machines.iter().all(|machine| machine.state == MachineState::Running), "{last:#?}");
    let server = first_of(&world, "control-plane");
    assert_eq!(last.api_endpoint, Some(format!("https://{}:6443", server.fqdn)));
    assert_eq!(last.api_members, server.addresses);
    let told: Vec<&str> = passes.iter().flat_map(|pass| &pass.events).map(|event| event.reason.as_str()).collect();
    for reason in ["MachineTaken", "MachineJoined"] {
        assert_eq!(told.iter().filter(|told| **told == reason).count(), 3, "{told:?}");
    }
    for worker in world.ours().iter().filter(|machine| machine.system_id != server.system_id) {
        let user_data = UserData::of(worker).unwrap();
        assert_eq!(user_data.joins(), Some(server.addresses[0]));
        assert!(user_data.configuration()["discovery"]["tlsBootstrapToken"].is_string());
    }
    world.desired.absent = true;
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_gone();
    assert_eq!(passes.last().unwrap().machines, []);
    assert!(memory.releasing.is_empty() && memory.machines.is_empty(), "{memory:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_before_its_machine_is_given_back() {
    let mut world = World::new(spec(2)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let before = world.ours();
    world.desired.configuration.spec.workers[0].count = 1;
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
    let after = world.ours();
    let gone = before.iter().find(|machine| !after.iter().any(|there| there.system_id == machine.system_id)).unwrap();
    assert_eq!(world.kubernetes.evicted(), [format!("web-{}", gone.hostname)]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_may_not_leave_holds_its_node_only_until_the_deadline() {
    let mut world = World::new(spec(2)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    for machine in world.ours() {
        world.kubernetes.make_stubborn(&machine.hostname);
    }
    world.desired.configuration.spec.workers[0].count = 1;
    let begin = tokio::time::Instant::now();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    let waited = begin.elapsed().as_secs();
    assert!((600..700).contains(&waited), "{waited}");
    let reasons = passes.iter().filter_map(|pass| match &pass.outcome {
        Outcome::Working { reason, .. } => Some(reason.clone()),
        Outcome::Converged | Outcome::Blocked { .. } => None,
    });
    assert!(reasons.into_iter().any(|reason| reason.contains("disruption budget")));
    assert!(passes.iter().flat_map(|pass| &pass.events).any(|event| event.reason == "DrainIncomplete"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_shrinks_and_grows_again_uncordons_its_node() {
    let mut world = World::new(spec(2)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let before = world.ours();
    world.desired.configuration.spec.workers[0].count = 1;
    engine.pass(&world.desired, &mut memory).await;
    assert!(world.kubernetes.nodes().values().any(|node| node["spec"]["unschedulable"] == true));
    world.desired.configuration.spec.workers[0].count = 2;
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
    assert_eq!(crate::world::ids(&world.ours()), crate::world::ids(&before));
}

#[tokio::test(start_paused = true)]
async fn machines_are_spread_over_the_zones() {
    let mut pool = spec(3);
    pool["workers"][0]["resource_pool"] = json!("default");
    pool["workers"][0]["zones"] = json!(["zone-b", "default"]);
    pool["control_plane"]["resource_pool"] = json!("workers");
    let world = World::new(pool).await;
    let engine = world.engine();
    world.converge(&engine, &mut Memory::default()).await;
    world.assert_complete();
    let zones: Vec<String> = world
        .ours()
        .into_iter()
        .filter(|machine| machine.owner_data["ferrogate-pool"] == "work")
        .map(|machine| machine.zone)
        .collect();
    assert!(zones.contains(&"zone-b".to_owned()) && zones.contains(&"default".to_owned()), "{zones:?}");
}

#[tokio::test(start_paused = true)]
async fn too_few_machines_block_with_the_pool_named_and_go_on_by_themselves_later() {
    let mut world = World::new(spec(7)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    let mut last = engine.pass(&world.desired, &mut memory).await;
    for _ in 0..30 {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        last = engine.pass(&world.desired, &mut memory).await;
    }
    let Outcome::Blocked { cause, hint } = &last.outcome else { panic!("{:?}", last.outcome) };
    assert!(cause.contains("pool `work`") && cause.contains("resource pool workers"), "{cause}");
    assert!(hint.is_some());
    world.desired.configuration.spec.workers[0].count = 2;
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
}
