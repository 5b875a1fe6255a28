//! What goes wrong in a site, and what the engine makes of it.

use crate::world::{World, first_of, spec};
use async_trait::async_trait;
use ferrogate_engine::{Memory, Outcome, Pass, mark};
use ferrogate_lab::maas::MachineFault;
use ferrogate_lab::maas::{Call, Gate, Maas, Verdict};
use ferrogate_maas::{Allocate, EventFilter, Release};
use ferrogate_model::SystemId;
use ferrogate_model::state::{MachineState, Severity};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

fn told<'a>(passes: &'a [Pass], reason: &'a str) -> Vec<&'a str> {
    let events = passes.iter().flat_map(|pass| &pass.events);
    events.filter(|event| event.reason == reason).map(|event| event.message.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_to_install_is_named_cools_down_and_is_replaced() {
    let world = World::new(spec(1)).await;
    // The first that fits is taken first.
    let bad = world.maas.machines().into_iter().find(|machine| machine.pool == "workers" && machine.status == "Ready");
    let bad = bad.unwrap();
    world.maas.faults().machine(bad.hostname.clone(), MachineFault::FailsToDeploy);
    let engine = world.engine();
    let mut memory = Memory::default();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    let after = world.maas.machine(&bad.hostname).unwrap();
    assert_eq!((after.status, after.deploys), ("Ready", 1), "{after:?}");
    let replaced = told(&passes, "MachineReplaced");
    assert_eq!(replaced.len(), 1);
    assert!(replaced[0].contains(&bad.hostname) && replaced[0].contains("failed to install"), "{replaced:?}");
    assert!(replaced[0].contains("the last MAAS knows of it: `") && replaced[0].contains("Failed"), "{replaced:?}");
    assert_eq!(memory.cooling[&bad.system_id].hostname, bad.hostname);
}

#[tokio::test(start_paused = true)]
async fn of_a_machine_with_a_long_history_only_the_newest_events_are_read_and_told() {
    let world = World::new(spec(1)).await;
    let bad = world.maas.machines().into_iter().find(|machine| machine.pool == "workers" && machine.status == "Ready");
    let bad = bad.unwrap();
    for _ in 0..5 {
        let theirs = Allocate { system_id: Some(bad.system_id.clone()), ..Allocate::default() };
        world.operator.allocate(&theirs).await.unwrap();
        world.operator.release(&bad.system_id, &Release::default()).await.unwrap();
        world.settle().await;
    }
    world.watcher.forgive();
    world.maas.faults().machine(bad.hostname.clone(), MachineFault::FailsToDeploy);
    let passes = world.converge(&world.engine(), &mut Memory::default()).await;
    let replaced = told(&passes, "MachineReplaced");
    let (_, words) = replaced[0].split_once("; the last MAAS knows of it: ").unwrap();
    let words: Vec<&str> = words.split(';').next().unwrap().split(", then ").collect();
    let filter = EventFilter { ids: vec![bad.system_id], limit: Some(1000), ..EventFilter::default() };
    let noted: Vec<String> = world.client.events(&filter).await.unwrap().events.iter().rev().map(in_words).collect();
    let end = noted.iter().rposition(|event| event.starts_with("`Failed deployment")).unwrap() + 1;
    assert!(end > 10, "{noted:#?}");
    assert_eq!(words, noted[end - 4..end], "the newest four when it was given back, oldest first");
}

fn in_words(event: &ferrogate_maas::types::Event) -> String {
    match event.description.as_str() {
        "" => format!("`{}`", event.kind),
        description => format!("`{} ({description})`", event.kind),
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_boots_is_named_with_the_last_maas_knows_of_it_and_another_is_taken() {
    let world = World::new(spec(1)).await;
    let bad = world.maas.machines().into_iter().find(|machine| machine.pool == "workers" && machine.status == "Ready");
    let bad = bad.unwrap();
    world.maas.faults().machine(bad.hostname.clone(), MachineFault::NeverReports);
    let passes = world.converge(&world.engine(), &mut Memory::default()).await;
    world.assert_complete();
    let replaced = told(&passes, "MachineReplaced");
    assert_eq!(replaced.len(), 1);
    let start = format!("{} is given back: MAAS failed to install it: ", bad.hostname);
    assert!(replaced[0].starts_with(&start) && replaced[0].contains("timed out"), "{replaced:?}");
    assert!(replaced[0].contains("; the last MAAS knows of it: `") && replaced[0].contains("console"), "{replaced:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_joins_is_replaced_after_its_deadline() {
    let world = World::new(spec(1)).await;
    let ready = world.maas.machines().into_iter().filter(|m| m.pool == "workers" && m.status == "Ready");
    let bad = ready.into_iter().next().unwrap();
    world.kubernetes.never_joins(&bad.hostname);
    let engine = world.engine();
    let mut memory = Memory::default();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    assert!(told(&passes, "MachineReplaced")[0].contains("did not join the cluster within 15 min"));
    let reasons: Vec<String> = passes
        .iter()
        .filter_map(|pass| match &pass.outcome {
            Outcome::Working { reason, .. } => Some(reason.clone()),
            Outcome::Converged | Outcome::Blocked { .. } => None,
        })
        .collect();
    let expected = format!("{} is installed and joining for 5 min (deadline 15 min)", bad.hostname);
    assert!(reasons.iter().any(|reason| reason.starts_with(&expected)), "{reasons:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_server_that_never_comes_up_is_replaced() {
    let world = World::new(spec(1)).await;
    let ready = world.maas.machines().into_iter().filter(|m| m.pool == "default" && m.status == "Ready");
    let bad = ready.into_iter().next().unwrap();
    world.kubernetes.never_joins(&bad.hostname);
    let engine = world.engine();
    let mut memory = Memory::default();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    assert_ne!(first_of(&world, "control-plane").hostname, bad.hostname);
    assert!(told(&passes, "MachineReplaced")[0].contains("did not join the cluster within 15 min"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_an_administrator_released_is_replaced_and_its_node_removed() {
    let world = World::new(spec(2)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let lost = first_of(&world, "work");
    assert!(world.maas.release_by_admin(&lost.system_id));
    world.watcher.forgive();
    let passes = world.converge(&engine, &mut memory).await;
    world.assert_complete();
    let message = told(&passes, "MachineLost");
    assert!(message.len() == 1 && message[0].contains(&lost.hostname), "{message:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_single_server_is_replaced_and_the_workers_join_the_new_one() {
    let world = World::new(spec(1)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let lost = first_of(&world, "control-plane");
    world.maas.release_by_admin(&lost.system_id);
    world.watcher.forgive();
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_api_is_silent_loses_nothing_however_long_it_lasts() {
    let world = World::new(spec(1)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let before = world.ours();
    let server = first_of(&world, "control-plane");
    world.kubernetes.silence(&server.hostname, true);
    let mut last = None;
    for round in 0..200 {
        // Nothing remembered must not make it harsher.
        if round % 50 == 0 {
            memory = Memory::default();
        }
        // A new engine has no connection left open.
        last = Some(world.engine().pass(&world.desired, &mut memory).await);
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    assert_eq!(crate::world::ids(&world.ours()), crate::world::ids(&before));
    let last = last.unwrap();
    let Outcome::Working { reason, .. } = &last.outcome else { panic!("{last:?}") };
    assert!(reason.starts_with("the Kubernetes API has not answered for 98 min"), "{reason}");
    let shown = last.machines.iter().find(|machine| machine.hostname == server.hostname).unwrap();
    assert_eq!(shown.state, MachineState::Failed);
    world.kubernetes.silence(&server.hostname, false);
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_maas_refuses_blocks_and_says_so_once() {
    let world = World::new(spec(1)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    use ferrogate_lab::maas::{Fault, Pattern, When};
    world.maas.faults().add(Pattern::default(), When::Always, Fault::Status(403, String::new()));
    let first = engine.pass(&world.desired, &mut memory).await;
    let second = engine.pass(&world.desired, &mut memory).await;
    assert!(matches!(first.outcome, Outcome::Blocked { .. }), "{first:?}");
    assert_eq!(first.machines.len(), 2, "the machines are shown as they were last seen");
    assert_eq!(first.events.iter().filter(|event| event.severity == Severity::Error).count(), 1);
    assert_eq!(second.events, []);
}

#[tokio::test(start_paused = true)]
async fn machines_of_an_engine_that_died_are_adopted_by_the_pool_they_fit() {
    let world = World::new(spec(1)).await;
    // What a crash between the allocate call and the notes leaves behind, one more than is needed.
    for pool in ["workers", "workers", "default"] {
        let wanted = ferrogate_maas::Allocate {
            agent_name: Some(mark::agent_name(&world.desired.configuration.cluster)),
            pool: Some(pool.into()),
            ..ferrogate_maas::Allocate::default()
        };
        world.client.allocate(&wanted).await.unwrap();
    }
    world.watcher.forgive();
    let engine = world.engine();
    let passes = world.converge(&engine, &mut Memory::default()).await;
    world.assert_complete();
    assert_eq!(told(&passes, "MachineGivenBack").len(), 1);
    let allocations: u32 = world.maas.machines().iter().map(|machine| machine.allocations).sum();
    assert_eq!(allocations, 3 + 2, "nothing further was taken");
}

/// Right after the engine has listed its machines, one of them changes hands.
#[derive(Debug)]
struct ChangesHands {
    maas: Maas,
    operator: ferrogate_maas::Client,
    machine: SystemId,
    done: AtomicBool,
}

#[async_trait]
impl Gate for ChangesHands {
    async fn before(&self, _call: &Call) -> Verdict {
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        if call.user.as_deref() != Some("admin") || self.done.swap(true, Ordering::SeqCst) {
            return Verdict::Pass;
        }
        assert_eq!((call.method.as_str(), call.op.as_deref()), ("GET", None), "{call:?}");
        self.maas.release_by_admin(&self.machine);
        let wanted = ferrogate_maas::Allocate {
            system_id: Some(self.machine.clone()),
            agent_name: Some("juju-7".into()),
            ..ferrogate_maas::Allocate::default()
        };
        while self.operator.allocate(&wanted).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Verdict::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_changed_hands_since_the_engine_looked_is_not_released() {
    let mut world = World::new(spec(1)).await;
    let engine = world.engine();
    let mut memory = Memory::default();
    world.converge(&engine, &mut memory).await;
    let machine = first_of(&world, "work");
    world.maas.set_gate(Some(std::sync::Arc::new(ChangesHands {
        maas: world.maas.clone(),
        operator: world.operator.clone(),
        machine: machine.system_id.clone(),
        done: AtomicBool::new(false),
    })));
    world.desired.absent = true;
    world.converge(&engine, &mut memory).await;
    let after = world.maas.machine(&machine.hostname).unwrap();
    assert_eq!((after.status, after.agent_name.as_str()), ("Allocated", "juju-7"), "{after:?}");
    assert_eq!(after.releases, machine.releases + 1, "only the administrator released it");
    assert_eq!(world.ours(), []);
}

#[tokio::test(start_paused = true)]
async fn a_machine_noted_as_another_clusters_is_not_given_back_whatever_the_list_says() {
    let mut world = World::new(spec(0)).await;
    let listed =
        Allocate { agent_name: Some(mark::agent_name(&world.desired.configuration.cluster)), ..Allocate::default() };
    let machine = world.client.allocate(&listed).await.unwrap();
    world.client.set_owner_data(&machine.system_id, [(mark::CLUSTER, "cls_another")]).await.unwrap();
    world.desired.absent = true;
    let pass = world.engine().pass(&world.desired, &mut Memory::default()).await;
    let ferrogate_engine::Outcome::Blocked { cause, hint } = pass.outcome else { panic!("{pass:?}") };
    assert!(cause.contains(&machine.hostname) && cause.contains("is noted as of cls_another"), "{cause}");
    assert!(hint.unwrap().contains("agent_name"));
    assert_eq!(world.maas.machine(&machine.hostname).unwrap().status, "Allocated");
}
