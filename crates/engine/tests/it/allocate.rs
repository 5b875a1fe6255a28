//! Taking machines: exactly those that were chosen, for all pools together.

use crate::world::{World, overlapping};
use async_trait::async_trait;
use ferrogate_engine::{Memory, mark, preflight};
use ferrogate_lab::maas::{Call, Gate, Verdict};
use ferrogate_maas::Allocate;
use ferrogate_model::SystemId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Which machine is in which pool.
fn by_name(world: &World) -> BTreeMap<String, String> {
    world.ours().into_iter().map(|machine| (machine.hostname, machine.owner_data[mark::POOL].clone())).collect()
}

async fn chosen(world: &World) -> BTreeMap<String, String> {
    let (spec, release) = (&world.desired.configuration.spec, &world.desired.configuration.release);
    let found = preflight::cluster(preflight::Placement { maas: &world.client, spec, release, cluster: None }).await;
    assert!(preflight::all_hold(&found.checks), "{:#?}", found.checks);
    found.machines.into_iter().map(|one| (one.record.hostname, one.pool.unwrap().to_string())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_machines_that_were_shown_are_taken_also_where_one_pool_would_like_what_only_another_can_use() {
    let world = World::new(overlapping()).await;
    let shown = chosen(&world).await;
    assert_eq!(shown.len(), 3);
    let passes = world.converge(&world.engine(), &mut Memory::default()).await;
    world.assert_complete();
    assert_eq!(by_name(&world), shown);
    assert!(world.ours().iter().all(|machine| machine.allocations == 1 && machine.releases == 0), "{passes:#?}");
}

/// Somebody else takes a machine right after the engine has listed what is free.
#[derive(Debug)]
struct Faster {
    operator: ferrogate_maas::Client,
    machine: SystemId,
    lists: AtomicUsize,
}

#[async_trait]
impl Gate for Faster {
    async fn before(&self, _call: &Call) -> Verdict {
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        let is_list = call.method == "GET" && call.path.ends_with("/machines/");
        // The first is that of its own machines.
        if is_list && self.lists.fetch_add(1, Ordering::SeqCst) == 1 {
            let theirs = Allocate {
                system_id: Some(self.machine.clone()),
                agent_name: Some("juju-7".into()),
                ..Allocate::default()
            };
            self.operator.allocate(&theirs).await.unwrap();
        }
        Verdict::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_took_meanwhile_is_replaced_and_every_pool_is_still_filled() {
    let world = World::new(overlapping()).await;
    let shown = chosen(&world).await;
    let (lost, _) = shown.iter().find(|(_, pool)| *pool == "control-plane").unwrap();
    world.maas.set_gate(Some(Arc::new(Faster {
        operator: world.operator.clone(),
        machine: world.maas.machine(lost).unwrap().system_id,
        lists: AtomicUsize::new(0),
    })));
    world.converge(&world.engine(), &mut Memory::default()).await;
    let taken = by_name(&world);
    assert!(!taken.contains_key(lost), "{taken:?}");
    let far = |machines: &BTreeMap<String, String>| {
        let far = machines.iter().filter(|(_, pool)| *pool == "far");
        far.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(far(&taken), far(&shown), "only they are in the zone");
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(world.ours().iter().all(|machine| machine.allocations == 1 && machine.releases == 0));
}
