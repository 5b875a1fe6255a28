//! Pools that change places in a real life of a cluster: what is ready never becomes less than it need.

use crate::world::{World, spec};
use ferrogate_engine::{Memory, Outcome, preflight};
use ferrogate_maas::{Allocate, MachineFilter};
use ferrogate_model::cluster::ClusterSpec;
use std::time::Duration;

/// Workers of one pool, all in the resource pool that has the most machines.
fn workers(pool: &str, count: usize) -> serde_json::Value {
    let mut all = spec(0);
    all["workers"] = serde_json::json!([{"name": pool, "count": count, "resource_pool": "default"}]);
    all
}

/// Swaps a pool of so many workers for another, in a site with so many free machines beside them. The least number of
/// workers that was ready on the way.
async fn swap(count: usize, free: usize) -> usize {
    let mut world = World::new(workers("old", count)).await;
    let mut memory = Memory::default();
    let engine = world.engine();
    world.converge(&engine, &mut memory).await;
    world.maas.set_gate(None);
    let filter =
        MachineFilter { pools: vec!["default".into()], status: Some("ready".into()), ..MachineFilter::default() };
    let there = world.operator.machines(&filter).await.unwrap();
    assert!(there.len() >= free, "{} are free", there.len());
    for machine in there.iter().skip(free) {
        let name = Some(machine.hostname.clone());
        let theirs = Allocate { name, agent_name: Some("juju-7".into()), ..Allocate::default() };
        world.operator.allocate(&theirs).await.unwrap();
    }
    world.watcher.forgive();
    world.maas.set_gate(Some(world.watcher.clone()));
    world.desired.configuration.spec = serde_json::from_value::<ClusterSpec>(workers("fresh", count)).unwrap();
    let place = preflight::Placement {
        maas: &world.client,
        spec: &world.desired.configuration.spec,
        release: &world.desired.configuration.release,
        cluster: Some(world.desired.configuration.cluster),
    };
    let found = preflight::cluster(place).await;
    let machines = found.checks.iter().find(|check| check.id == "machines").unwrap();
    assert!(preflight::all_hold(&found.checks), "{:#?}", found.checks);
    assert_eq!(machines.status == preflight::Status::Warn, free < count, "{machines:?}");
    let handed = found.machines.iter().filter(|one| one.how == preflight::How::Handed).count();
    assert_eq!(handed, count.saturating_sub(free), "{machines:?}");
    let mut least = usize::MAX;
    for _ in 0..400 {
        let pass = engine.pass(&world.desired, &mut memory).await;
        let nodes = world.kubernetes.nodes();
        let is_up = |node: &&serde_json::Value| {
            node["status"]["conditions"][0]["status"] == "True" && node["spec"].get("unschedulable").is_none()
        };
        // The server is one of them.
        least = least.min(nodes.values().filter(is_up).count().saturating_sub(1));
        match pass.outcome {
            Outcome::Converged => {
                world.assert_complete();
                world.maas.shutdown().await;
                return least;
            }
            Outcome::Working { check_again, .. } => tokio::time::sleep(check_again).await,
            Outcome::Blocked { .. } => tokio::time::sleep(Duration::from_secs(30)).await,
        }
    }
    panic!("the pools did not change places");
}

#[tokio::test(start_paused = true)]
async fn beside_free_machines_the_new_pool_is_built_before_the_old_one_goes() {
    assert_eq!(swap(1, 1).await, 1);
    // One is enough: it becomes the first of the new, and what it replaces the second.
    assert_eq!(swap(2, 1).await, 2);
}

#[tokio::test(start_paused = true)]
async fn on_a_full_site_they_change_places_one_at_a_time() {
    assert_eq!(swap(1, 0).await, 0);
    assert_eq!(swap(2, 0).await, 1);
}
