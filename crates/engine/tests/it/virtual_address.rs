//! The address that several servers share: one of them answers for it, and another when that one is gone.

use crate::{site::Site, world::spec};
use ferrogate_engine::{
    Kind, Memory,
    kube::{self, Client},
};
use ferrogate_lab::Backend as _;
use ferrogate_model::release::DistributionKind;
use ferrogate_net::Target;
use serde_json::json;
use std::{net::IpAddr, time::Duration};

/// Whether the API answers at an address, within some time.
async fn answers(site: &Site, address: IpAddr, within: Duration) -> bool {
    let client = Client::new(kube::Options {
        connector: site.lab.connector(),
        members: vec![address],
        server_ca_pem: site.desired.materials.server_ca.certificate_pem.clone(),
        identity: site
            .desired
            .materials
            .admin_identity(site.desired.materials.created, Duration::from_secs(72_000))
            .unwrap(),
        deadline: Duration::from_secs(5),
    })
    .unwrap();
    let asking = async {
        while client.nodes().await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(within, asking).await.is_ok()
}

fn address_of(site: &Site, endpoint: &str) -> IpAddr {
    let name = endpoint.trim_start_matches("https://").trim_end_matches(":6443");
    site.lab.maas().resolve(name).expect("the name is in MAAS's zone")[0]
}

async fn the_shared_address_answers_and_outlives_any_server(distribution: DistributionKind) {
    let mut three = spec(0);
    three["control_plane"]["count"] = json!(3);
    let site = Site::of(distribution, Kind::Tenant, three).await;
    let pass = site.converge(&mut Memory::default()).await;
    let address = address_of(&site, &pass.api_endpoint.unwrap());
    for machine in &pass.machines {
        assert!(answers(&site, address, Duration::from_secs(120)).await);
        site.lab.machines().power_cut(&machine.system_id).await;
        assert!(answers(&site, address, Duration::from_secs(120)).await, "without {}", machine.hostname);
        site.maas().power_on(&machine.system_id, None).await.unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    site.lab.shutdown().await;
}

async fn one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had(distribution: DistributionKind) {
    let mut site = Site::of(distribution, Kind::Tenant, spec(0)).await;
    let mut memory = Memory::default();
    site.converge(&mut memory).await;
    site.desired.spec.control_plane.count = 3;
    let pass = site.converge(&mut memory).await;
    let address = address_of(&site, &pass.api_endpoint.unwrap());
    assert!(answers(&site, address, Duration::from_secs(120)).await);
    site.lab.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_anything_to_hold_it_no_address_is_reserved_and_people_are_told() {
    let mut three = spec(0);
    three["control_plane"]["count"] = json!(3);
    let mut site = Site::start(Kind::Tenant, three).await;
    site.desired.release.kube_vip_image_ref = None;
    site.desired.release.architectures[0].kube_vip_image = None;
    let mut memory = Memory::default();
    let first = site.engine.pass(&site.desired, &mut memory).await;
    assert_eq!(first.events.iter().filter(|event| event.reason == "NoSharedAddress").count(), 1);
    let pass = site.converge(&mut memory).await;
    let endpoint = pass.api_endpoint.unwrap();
    assert!(pass.machines.iter().any(|machine| endpoint.contains(&machine.fqdn)), "{endpoint}");
    assert!(site.lab.maas().ip_addresses().iter().all(|address| !address.reserved));
    // An address that nobody holds is silent, on this network as on a real one.
    let nobody: IpAddr = "10.20.0.250".parse().unwrap();
    let target = Target::new(nobody.to_string(), 6443);
    assert!(site.lab.connector().connect(&target, Duration::from_secs(5)).await.is_err());
    site.lab.shutdown().await;
}

mod of_k3s {
    use super::DistributionKind::K3s;

    #[tokio::test(start_paused = true)]
    async fn the_shared_address_answers_and_outlives_any_server() {
        super::the_shared_address_answers_and_outlives_any_server(K3s).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had() {
        super::one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had(K3s).await;
    }
}

mod of_kubeadm {
    use super::DistributionKind::Kubeadm;

    #[tokio::test(start_paused = true)]
    async fn the_shared_address_answers_and_outlives_any_server() {
        super::the_shared_address_answers_and_outlives_any_server(Kubeadm).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had() {
        super::one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had(Kubeadm).await;
    }
}
