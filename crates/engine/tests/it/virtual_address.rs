//! The address that several servers share: one of them answers for it, and another when that one is gone.

use crate::{site::Site, world::spec};
use ferrogate_engine::{
    Memory,
    kube::{self, Client},
};
use ferrogate_join::ClusterKind;
use ferrogate_lab::Backend as _;
use serde_json::json;
use std::{net::IpAddr, time::Duration};

/// Whether the API answers at an address, within some time.
async fn answers(site: &Site, address: IpAddr, within: Duration) -> bool {
    let client = Client::new(kube::Options {
        connector: site.lab.connector(),
        members: vec![address],
        server_ca_pem: site.desired.configuration.materials.server_ca.certificate_pem.clone(),
        identity: site
            .desired
            .configuration
            .materials
            .admin_identity(site.desired.configuration.materials.created, Duration::from_secs(72_000))
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

#[tokio::test(start_paused = true)]
async fn the_shared_address_answers_and_outlives_any_server() {
    let mut three = spec(0);
    three["control_plane"]["count"] = json!(3);
    let site = Site::start(ClusterKind::Tenant, three).await;
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

#[tokio::test(start_paused = true)]
async fn one_server_that_becomes_three_gets_an_address_under_the_name_it_always_had() {
    let mut site = Site::start(ClusterKind::Tenant, spec(0)).await;
    let mut memory = Memory::default();
    site.converge(&mut memory).await;
    site.desired.configuration.spec.control_plane.count = 3;
    let pass = site.converge(&mut memory).await;
    let address = address_of(&site, &pass.api_endpoint.unwrap());
    assert!(answers(&site, address, Duration::from_secs(120)).await);
    site.lab.shutdown().await;
}
