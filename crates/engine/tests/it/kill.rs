//! Nothing leaks: the engine is killed at each of its calls to MAAS, and what comes after it finishes the work.

use crate::world::{Kill, World, spec};
use ferrogate_engine::Memory;
use ferrogate_lab::Speed;

/// What is under way when the engine is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Create,
    /// Created halfway, then not wanted any more.
    Abandon,
    Grow,
    Shrink,
    Delete,
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_while_creating_it_converges_and_nothing_is_left_over() {
    every_call(Phase::Create, Speed::Instant).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_while_creating_the_rest_can_be_given_back() {
    every_call(Phase::Abandon, Speed::Instant).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_change_while_creating_on_slow_machines_it_converges() {
    every_call(Phase::Create, Speed::Real).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_change_while_deleting_slow_machines_it_converges() {
    every_call(Phase::Delete, Speed::Real).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_while_growing_it_converges_and_nothing_is_left_over() {
    every_call(Phase::Grow, Speed::Instant).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_while_shrinking_it_converges_and_nothing_is_left_over() {
    every_call(Phase::Shrink, Speed::Instant).await;
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_while_deleting_it_converges_and_nothing_is_left_over() {
    every_call(Phase::Delete, Speed::Instant).await;
}

/// On machines that take their time, passes mostly look; there only calls that change something are tried.
async fn every_call(phase: Phase, speed: Speed) {
    let mut kills = 0;
    for at in 1.. {
        let mut reached = false;
        for after in [false, true] {
            for keep_memory in [false, true] {
                reached |=
                    one_run(phase, speed, Kill { at, after, changes_only: speed == Speed::Real }, keep_memory).await;
            }
        }
        if !reached {
            // The work was done before this call came.
            break;
        }
        kills += 1;
    }
    // All machines are given back in one call.
    let least = if phase == Phase::Delete && speed == Speed::Real { 1 } else { 4 };
    assert!(kills >= least, "only {kills} calls were made, so hardly anything was tried");
}

/// Whether the engine was killed at all.
async fn one_run(phase: Phase, speed: Speed, kill: Kill, keep_memory: bool) -> bool {
    let workers = if phase == Phase::Shrink { 2 } else { 1 };
    let mut world = World::new(spec(workers)).await;
    world.maas.set_speed(speed);
    let mut memory = Memory::default();
    if !matches!(phase, Phase::Create | Phase::Abandon) {
        let engine = world.engine();
        world.converge(&engine, &mut memory).await;
    }
    match phase {
        Phase::Create | Phase::Abandon => {}
        Phase::Grow => world.desired.configuration.spec.workers[0].count = 2,
        Phase::Shrink => world.desired.configuration.spec.workers[0].count = 1,
        Phase::Delete => world.desired.absent = true,
    }
    world.watcher.arm(Some(kill));
    let killed = {
        let engine = world.engine();
        tokio::select! {
            biased;
            () = world.watcher.killed.notified() => true,
            _ = world.converge(&engine, &mut memory) => false,
        }
    };
    world.watcher.arm(None);
    if phase == Phase::Abandon {
        world.desired.absent = true;
    }
    if killed || phase == Phase::Abandon {
        if !keep_memory {
            memory = Memory::default();
        }
        let engine = world.engine();
        world.converge(&engine, &mut memory).await;
    }
    if world.desired.absent {
        world.settle().await;
        world.assert_gone();
    } else {
        world.assert_complete();
        world.desired.absent = true;
        let engine = world.engine();
        world.converge(&engine, &mut Memory::default()).await;
        world.settle().await;
        world.assert_gone();
    }
    world.maas.shutdown().await;
    killed
}
