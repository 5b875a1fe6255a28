//! Servers leave etcd before their machines are given back, because removing a node does not do that.

use crate::world::{World, first_of, spec};
use ferrogate_engine::{Engine, Memory, Outcome};
use ferrogate_lab::maas::MachineSnapshot;
use serde_json::json;
use std::time::Duration;

/// Three servers that are all members.
async fn three() -> (World, Engine, Memory) {
    let mut wanted = spec(0);
    wanted["control_plane"]["count"] = json!(3);
    let world = World::new(wanted).await;
    let (engine, mut memory) = (world.engine(), Memory::default());
    world.converge(&engine, &mut memory).await;
    assert_eq!(world.kubernetes.etcd()[0].len(), 3);
    (world, engine, memory)
}

fn names(machines: &[MachineSnapshot]) -> Vec<String> {
    machines.iter().map(|machine| machine.hostname.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_too_many_leave_etcd_one_after_the_other() {
    let (mut world, engine, mut memory) = three().await;
    world.desired.configuration.spec.control_plane.count = 1;
    let mut told = Vec::new();
    for pass in world.converge(&engine, &mut memory).await {
        told.extend(pass.events.into_iter().filter(|event| event.reason == "EtcdMemberRemoved"));
        // Whoever was given back is no member any more.
        let ours = names(&world.ours());
        assert!(world.kubernetes.etcd()[0].iter().all(|member| ours.contains(member)));
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(world.kubernetes.etcd()[0], names(&world.ours()));
    world.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_somebody_else_released_is_taken_out_before_its_place_is_filled() {
    let (world, engine, mut memory) = three().await;
    // Not the first: the simulated API lives with it.
    let lost = world.kubernetes.etcd()[0][2].clone();
    let lost = world.maas.machine(&lost).unwrap();
    assert_ne!(lost.hostname, first_of(&world, "control-plane").hostname);
    world.maas.release_by_admin(&lost.system_id);
    world.watcher.forgive();
    world.converge(&engine, &mut memory).await;
    let members = world.kubernetes.etcd()[0].clone();
    assert_eq!(members.len(), 3, "{members:?}");
    assert!(!members.contains(&lost.hostname) || world.maas.machine(&lost.hostname).unwrap().deploys == 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_dies_at_any_point_of_the_removal_goes_on_where_it_stopped() {
    let (mut world, _, _) = three().await;
    world.desired.configuration.spec.control_plane.count = 1;
    // A new engine without memory for every pass, each cut short at another point.
    for millis in (0..400_u64).cycle().step_by(7).take(600) {
        let (engine, mut memory) = (world.engine(), Memory::default());
        let pass = engine.pass(&world.desired, &mut memory);
        if let Ok(pass) = tokio::time::timeout(Duration::from_millis(millis % 40), pass).await
            && pass.is_converged()
        {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.settle().await;
    assert_eq!(world.kubernetes.etcd()[0], names(&world.ours()));
    assert_eq!(world.ours().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_still_joining_stays_while_the_only_other_member_is_silent() {
    let mut world = World::new(spec(0)).await;
    let mut memory = Memory::default();
    world.converge(&world.engine(), &mut memory).await;
    let first = first_of(&world, "control-plane");
    for machine in world.maas.machines().iter().filter(|machine| machine.hostname != first.hostname) {
        world.kubernetes.never_joins(&machine.hostname);
    }
    world.desired.configuration.spec.control_plane.count = 3;
    let mut joining = None;
    while joining.is_none() {
        world.engine().pass(&world.desired, &mut memory).await;
        let ours = world.ours().into_iter();
        joining = ours.into_iter().find(|m| m.status == "Deployed" && m.hostname != first.hostname);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let joining = joining.unwrap();
    world.kubernetes.silence(&first.hostname, true);
    let mut reasons = Vec::new();
    // Its deadline passes, and that of leaving etcd.
    for _ in 0..90 {
        // A new engine has no connection left open.
        let pass = world.engine().pass(&world.desired, &mut memory).await;
        reasons.extend(match pass.outcome {
            Outcome::Working { reason, .. } | Outcome::Blocked { cause: reason, .. } => Some(reason),
            Outcome::Converged => None,
        });
        let now = world.maas.machine(&joining.hostname).unwrap();
        assert_eq!((now.status, now.releases), ("Deployed", joining.releases), "{reasons:#?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let why = format!(
        "{} does not answer for Kubernetes now, and only a server that does can take {} out of etcd",
        first.hostname, joining.hostname
    );
    assert!(reasons.iter().any(|reason| reason.contains(&why)), "{reasons:#?}");
    world.kubernetes.silence(&first.hostname, false);
    let mut reasons = Vec::new();
    for _ in 0..90 {
        let pass = world.engine().pass(&world.desired, &mut memory).await;
        if world.maas.machine(&joining.hostname).unwrap().releases > joining.releases {
            return;
        }
        reasons.push(pass.outcome);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    panic!("{} is kept for ever: {reasons:#?}", joining.hostname);
}
