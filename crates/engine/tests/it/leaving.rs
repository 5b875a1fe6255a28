//! Servers of kubeadm that leave, on machines that obey their user-data: etcd keeps a member until it is told.

use crate::{site::Site, world::spec};
use ferrogate_engine::{Memory, Outcome, Pass};
use ferrogate_join::ClusterKind;
use ferrogate_lab::Backend as _;
use serde_json::json;
use std::time::Duration;

async fn three() -> (Site, Memory, Pass) {
    let mut three = spec(0);
    three["control_plane"]["count"] = json!(3);
    let site = Site::start(ClusterKind::Tenant, three).await;
    let mut memory = Memory::default();
    let pass = site.converge(&mut memory).await;
    (site, memory, pass)
}

/// Passes until it has converged; what was told on the way.
async fn told(site: &Site, memory: &mut Memory) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..600 {
        let pass = site.engine.pass(&site.desired, memory).await;
        told.extend(pass.events.iter().map(|event| format!("{}: {}", event.reason, event.message)));
        match pass.outcome {
            Outcome::Converged => return told,
            Outcome::Working { check_again, .. } => tokio::time::sleep(check_again).await,
            Outcome::Blocked { .. } => tokio::time::sleep(Duration::from_secs(30)).await,
        }
    }
    panic!("not converged: {told:#?}");
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_too_many_are_taken_out_of_etcd_by_a_pod_on_one_that_stays() {
    let (mut site, mut memory, _) = three().await;
    site.desired.configuration.spec.control_plane.count = 1;
    let told = told(&site, &mut memory).await;
    let removed = told.iter().filter(|line| line.starts_with("EtcdMemberRemoved")).count();
    assert_eq!(removed, 2, "{told:#?}");
    // Alone it has the majority, which it had not if one of the others were still counted.
    let pass = site.converge(&mut memory).await;
    assert_eq!((pass.machines.len(), pass.api_members.len()), (1, 1));
    site.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_broke_is_replaced_and_its_member_with_it() {
    let (site, mut memory, before) = three().await;
    let broken = &before.machines[0];
    // Whatever is tried, it does not come back.
    site.lab.machines().wipe(&broken.system_id).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(3600);
    let mut all = Vec::new();
    let is_replaced = |pass: &Pass| pass.machines.iter().all(|machine| machine.system_id != broken.system_id);
    loop {
        site.lab.machines().power_cut(&broken.system_id).await;
        let pass = site.engine.pass(&site.desired, &mut memory).await;
        all.extend(pass.events.iter().map(|event| format!("{}: {}", event.reason, event.message)));
        if pass.is_converged() && is_replaced(&pass) {
            assert_eq!((pass.machines.len(), pass.api_members.len()), (3, 3));
            break;
        }
        assert!(tokio::time::Instant::now() < until, "never: {:?} {all:#?}", pass.outcome);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(all.iter().any(|line| line.starts_with("EtcdMemberRemoved")), "{all:#?}");
    site.lab.shutdown().await;
}
