//! Clusters that are complete, and what then happens to them: lost power, a site that is cut off.

use crate::{site::Site, world::spec};
use ferrogate_engine::{Memory, Outcome, Pass};
use ferrogate_join::ClusterKind;
use ferrogate_lab::{
    Backend as _,
    maas::{Fault, Pattern, When},
};
use std::time::Duration;

/// Passes for so long, as the plane makes them.
async fn for_minutes(site: &Site, memory: &mut Memory, minutes: u64) -> Vec<Pass> {
    let until = tokio::time::Instant::now() + Duration::from_secs(minutes * 60);
    let mut passes = Vec::new();
    while tokio::time::Instant::now() < until {
        let pass = site.engine.pass(&site.desired, memory).await;
        let pause = match &pass.outcome {
            Outcome::Working { check_again, .. } => *check_again,
            Outcome::Converged | Outcome::Blocked { .. } => Duration::from_secs(30),
        };
        passes.push(pass);
        tokio::time::sleep(pause).await;
    }
    passes
}

fn events(passes: &[Pass]) -> Vec<String> {
    passes.iter().flat_map(|pass| &pass.events).map(|event| format!("{}: {}", event.reason, event.message)).collect()
}

/// What changed MAAS, by operation.
fn changes(site: &Site, after: usize) -> Vec<String> {
    let calls = site.lab.maas().calls();
    let ours = calls.iter().skip(after).filter(|call| call.method != "GET" && call.user.is_some());
    ours.filter(|call| !call.path.contains("metadata")).map(|call| call.op.clone().unwrap_or_default()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_power_is_switched_on_again_and_keeps_its_place() {
    let site = Site::start(ClusterKind::Tenant, spec(2)).await;
    let mut memory = Memory::default();
    let before = site.converge(&mut memory).await;
    let calls = site.lab.maas().calls().len();
    let worker = before.machines.iter().find(|machine| machine.pool.as_deref() == Some("work")).unwrap();
    site.lab.machines().power_cut(&worker.system_id).await;
    let passes = for_minutes(&site, &mut memory, 20).await;
    let told = events(&passes);
    let restarted = format!("MachineRestarted: {} is restarted, because", worker.hostname);
    assert!(told.iter().any(|line| line.starts_with(&restarted)), "{told:#?}");
    let last = passes.last().unwrap();
    assert!(last.is_converged(), "{:?}", last.outcome);
    let ids = |pass: &Pass| pass.machines.iter().map(|machine| machine.system_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(last), ids(&before), "no machine was taken or given back");
    assert_eq!(changes(&site, calls), ["power_off", "power_on"]);
    site.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_cut_off_for_ten_minutes_is_left_as_it_is() {
    let site = Site::start(ClusterKind::Tenant, spec(2)).await;
    let mut memory = Memory::default();
    let before = site.converge(&mut memory).await;
    let calls = site.lab.maas().calls().len();
    // The worst case: just before, a worker was silent, and every later look at it fails.
    let worker = before.machines.iter().find(|machine| machine.pool.as_deref() == Some("work")).unwrap();
    site.lab.machines().power_cut(&worker.system_id).await;
    let passes = for_minutes(&site, &mut memory, 2).await;
    assert!(!passes.last().unwrap().is_converged());
    let cut = site.lab.maas().faults().add(Pattern::default(), When::Always, Fault::DropBefore);
    let passes = for_minutes(&site, &mut memory, 10).await;
    assert!(passes.iter().all(|pass| !pass.is_converged() && pass.machines.len() == 3));
    site.lab.maas().faults().remove(cut);
    // The first looks afterwards are not the end of its patience.
    let passes = for_minutes(&site, &mut memory, 1).await;
    assert_eq!(changes(&site, calls), Vec::<String>::new(), "{:#?}", events(&passes));
    site.lab.shutdown().await;
}
