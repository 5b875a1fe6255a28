//! Power that is lost while machines become nodes, seen by the engine: nobody is replaced.

use crate::{site::Site, world::spec};
use ferrogate_engine::Memory;
use ferrogate_join::ClusterKind;
use ferrogate_lab::Backend as _;
use ferrogate_model::SystemId;
use std::{collections::BTreeSet, time::Duration};

/// Cuts the power of each machine once, so long after it called itself Deployed. The way to the downloads opens when the
/// first machine has lost its power, so that what it has then is what cloud-init wrote.
async fn cut_each(site: &Site, after: Duration) {
    site.lab.proxy().stop().await;
    let mut cut: BTreeSet<SystemId> = BTreeSet::new();
    loop {
        let machines = site.lab.maas().machines();
        let new = machines.iter().find(|machine| machine.status == "Deployed" && !cut.contains(&machine.system_id));
        if let Some(machine) = new {
            tokio::time::sleep(after).await;
            site.lab.machines().power_cut(&machine.system_id).await;
            if cut.is_empty() {
                site.lab.proxy().resume().unwrap();
            }
            site.maas().power_on(&machine.system_id, None).await.unwrap();
            cut.insert(machine.system_id.clone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn machines_that_lose_power_after_they_were_deployed_form_the_cluster_and_none_is_replaced() {
    for seconds in [0, 3, 10] {
        let site = Site::start(ClusterKind::Tenant, spec(2)).await;
        let mut memory = Memory::default();
        let pass = tokio::select! {
            () = cut_each(&site, Duration::from_secs(seconds)) => unreachable!("it goes on for ever"),
            pass = site.converge(&mut memory) => pass,
        };
        let deploys: u32 = site.lab.maas().machines().iter().map(|machine| machine.deploys).sum();
        assert_eq!((pass.machines.len(), deploys), (3, 3), "{seconds} s: {:?}", pass.machines);
        site.lab.shutdown().await;
    }
}
