//! Addresses: claimed, exhausted, given back.

use super::fixture::{Site, json, text};
use ferrogate_lab::{Seed, Speed};

/// A site whose machines have one address between them.
fn narrow() -> Seed {
    let mut seed = Seed::recorded();
    for machine in &mut seed.machines {
        for link in machine.interfaces.iter_mut().flat_map(|interface| &mut interface.links) {
            link.subnet = "tiny".into();
        }
    }
    seed
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_gets_no_address_stays_allocated() {
    let site = Site::with(narrow(), |options| options.speed(Speed::Real)).await;
    site.deploy("node01").await;
    assert_eq!(site.machine("node01").addresses, ["10.40.0.2".parse::<std::net::IpAddr>().unwrap()]);
    let id = site.machine("node02").system_id;
    site.send("admin", "POST", "machines/?op=allocate", &[("system_id", &id.0)]).await;
    let answer = site.send("admin", "POST", &format!("machines/{id}/?op=deploy"), &[]).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(text(&answer), "No more IPs available in subnet: 10.40.0.0/30.");
    let machine = site.machine("node02");
    assert_eq!((machine.status, machine.deploys, machine.addresses.len()), ("Allocated", 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_given_back_can_be_had_again() {
    let site = Site::with(narrow(), |options| options).await;
    let reserve = || site.send("bob", "POST", "ipaddresses/?op=reserve", &[("subnet", "tiny")]);
    assert_eq!(json(&reserve().await)["ip"], "10.40.0.2");
    assert_eq!(reserve().await.status(), 503);
    let release = site.send("bob", "POST", "ipaddresses/?op=release", &[("ip", "10.40.0.2")]).await;
    assert_eq!(release.status(), 204);
    assert_eq!(json(&reserve().await)["ip"], "10.40.0.2");
    let reserved: Vec<_> = site.maas.ip_addresses().into_iter().filter(|address| address.reserved).collect();
    assert_eq!(reserved.len(), 1);
    assert_eq!(reserved[0].owner.as_deref(), Some("bob"));
}

#[tokio::test(start_paused = true)]
async fn the_demo_has_eight_machines_that_can_carry_a_gateway_from_address_ten_on() {
    let site = Site::with(Seed::demo("127.20.7.0/24".parse().unwrap()), |options| options).await;
    let machines = site.maas.machines();
    assert_eq!(machines.len(), 8);
    assert!(machines.iter().all(|machine| machine.status == "Ready" && machine.fqdn.ends_with(".maas")));
    let zones: std::collections::BTreeSet<_> = machines.iter().map(|machine| &machine.zone).collect();
    let pools: std::collections::BTreeSet<_> = machines.iter().map(|machine| &machine.pool).collect();
    assert_eq!((zones.len(), pools.len()), (2, 2));
    let client = site.client("admin");
    let mut taken = Vec::new();
    for _ in 0..8 {
        let wanted = ferrogate_maas::Allocate {
            cpu_count: Some(4),
            memory_mib: Some(8192),
            storage: Some("root:100".into()),
            ..Default::default()
        };
        let machine = client.allocate(&wanted).await.unwrap();
        client.deploy(&machine.system_id, &ferrogate_maas::Deploy::default()).await.unwrap();
        taken.extend(site.machine(&machine.hostname).addresses);
    }
    let expected: Vec<std::net::IpAddr> = (10..18).map(|n| format!("127.20.7.{n}").parse().unwrap()).collect();
    assert_eq!(taken, expected);
}

#[test]
fn a_seed_with_a_misspelt_field_or_an_unknown_name_is_refused() {
    let good = include_str!("../../../seeds/recorded.json");
    Seed::from_json(good).unwrap();
    let error = Seed::from_json(&good.replacen("\"memory\"", "\"memry\"", 1)).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("memry"));
    let error = Seed::from_json(&good.replacen("\"zone\": \"zone-a\"", "\"zone\": \"zone-x\"", 1)).unwrap_err();
    assert_eq!(error.to_string(), "the seed's machine `node01` names the zone `zone-x`, which is not in the seed");
}

#[test]
fn every_field_of_a_seed_is_in_the_reference() {
    let reference = include_str!("../../../../docs/reference/lab-seed.md");
    let types = include_str!("../../../src/seed/types.rs");
    let documents = types.split("pub enum SeedError").nth(1).unwrap().split("fn default_maas_name").next().unwrap();
    let fields: Vec<&str> = documents
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": ").map(|(name, _)| name))
        .collect();
    assert!(fields.len() > 50, "{}", fields.len());
    for field in fields {
        assert!(reference.contains(&format!("`{field}`")), "docs/reference/lab-seed.md does not say what `{field}` is");
    }
}
