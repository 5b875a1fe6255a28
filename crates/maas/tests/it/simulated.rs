//! The client against the simulated MAAS: whole lives of machines, addresses and names, over a network in this process.

use ferrogate_lab::{
    Maas, Seed,
    maas::{Fault, Options, Pattern, When},
};
use ferrogate_maas::{
    Allocate, Client, ClientOptions, CreateDnsResource, Deploy, DnsResourceFilter, EventFilter, MaasFailure,
    MachineFilter, Release, ReserveIp, UpdateDnsResource,
    types::{MachineStatus, Power},
};
use ferrogate_model::{Clock, Explain as _, SystemClock, SystemId, Timestamp};
use ferrogate_net::Network;
use secrecy::ExposeSecret as _;
use std::{sync::Arc, time::Duration};

const MARK: &str = "ferrogate/cls_01990f3e6b0a7c31a5d2c0ffee123456";

#[derive(Debug)]
struct Behind(i64);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        SystemClock.now() - Duration::from_secs(self.0.unsigned_abs())
    }
}

struct Site {
    network: Network,
    maas: Maas,
}

impl Site {
    async fn new() -> Self {
        let network = Network::memory();
        let options = Options::new(network.clone(), Seed::recorded()).listen("10.20.0.2:5240".parse().unwrap());
        let maas = Maas::start(options).await.unwrap();
        Self { network, maas }
    }

    fn options(&self, user: &str) -> ClientOptions {
        let key = self.maas.api_key(user).unwrap().expose_secret().parse().unwrap();
        ClientOptions::new(self.maas.url().parse().unwrap(), key, self.network.connector(), Arc::new(SystemClock))
    }

    fn client(&self, user: &str) -> Client {
        Client::new(self.options(user)).unwrap()
    }
}

fn marked() -> Allocate {
    Allocate { agent_name: Some(MARK.into()), ..Allocate::default() }
}

/// Reads a machine until it has this status; gives up after far more reads than any step takes.
async fn wait_for(client: &Client, id: &SystemId, status: MachineStatus) -> ferrogate_maas::types::Machine {
    for _ in 0..10_000 {
        let machine = client.machine(id).await.unwrap();
        if machine.status == status {
            return machine;
        }
        tokio::task::yield_now().await;
    }
    panic!("machine {id} never became {status:?}")
}

#[tokio::test]
async fn a_site_can_be_read() {
    let site = Site::new().await;
    let client = site.client("admin");
    assert_eq!(client.version().await.unwrap().version, "3.6.5");
    assert!(client.whoami().await.unwrap().is_superuser);
    assert!(!site.client("bob").whoami().await.unwrap().is_superuser);
    let names = |all: Vec<String>| all.join(" ");
    assert_eq!(
        names(client.zones().await.unwrap().into_iter().map(|zone| zone.name).collect()),
        "default zone-a zone-b"
    );
    assert!(client.pools().await.unwrap().iter().any(|pool| pool.id == 0 && pool.name == "default"));
    assert!(client.domains().await.unwrap().iter().any(|domain| domain.is_default && domain.name == "maas"));
    assert!(client.tags().await.unwrap().iter().any(|tag| tag.name == "gpu"));
    assert!(client.boot_resources().await.unwrap().iter().any(|image| image.name == "ubuntu/noble"));
    assert_eq!(client.config("default_osystem").await.unwrap(), "ubuntu");
    let subnets = client.subnets().await.unwrap();
    let lab = subnets.iter().find(|subnet| subnet.name == "lab").unwrap();
    let free = client.subnet_statistics(lab.id).await.unwrap();
    assert_eq!((free.num_available, free.total_addresses), (771, 1022));
    assert!(client.subnet_unreserved(lab.id).await.unwrap().iter().any(|run| run.num_addresses == 717));
    assert!(client.subnet_reserved(lab.id).await.unwrap().iter().any(|run| run.purpose == ["gateway-ip"]));
    let ready = MachineFilter { status: Some("ready".into()), ..MachineFilter::default() };
    assert_eq!(client.machines(&ready).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_machine_is_taken_marked_installed_and_given_back() {
    let site = Site::new().await;
    let client = site.client("admin");
    let wanted = Allocate { cpu_count: Some(8), zones: vec!["zone-a".into()], ..marked() };
    let would = client.allocate(&Allocate { dry_run: true, ..wanted.clone() }).await.unwrap();
    assert!(client.machines(&MachineFilter::agent(MARK)).await.unwrap().is_empty(), "a dry run took a machine");
    let machine = client.allocate(&wanted).await.unwrap();
    let id = machine.system_id.clone();
    assert_eq!((&id, machine.status), (&would.system_id, MachineStatus::Allocated));

    let ours = client.machines(&MachineFilter::agent(MARK)).await.unwrap();
    assert_eq!(ours.iter().map(|machine| &machine.system_id).collect::<Vec<_>>(), [&id]);
    let named =
        client.set_owner_data(&id, [("ferrogate-cluster-name", "demo"), ("ferrogate-pool", "workers")]).await.unwrap();
    assert_eq!(named.owner_data["ferrogate-cluster-name"], "demo");
    let named = client.set_owner_data(&id, [("ferrogate-pool", "")]).await.unwrap();
    assert_eq!(named.owner_data.len(), 1, "an empty value removes one and leaves the others");

    let what = Deploy {
        distro_series: Some("noble".into()),
        user_data: Some("#cloud-config\nhostname: ü\n".into()),
        ..Deploy::default()
    };
    assert_eq!(client.deploy(&id, &what).await.unwrap().status, MachineStatus::Deploying);
    let deployed = wait_for(&client, &id, MachineStatus::Deployed).await;
    assert_eq!((deployed.osystem.as_str(), deployed.distro_series.as_str()), ("ubuntu", "noble"));
    assert_eq!((deployed.power_state, deployed.ip_addresses.len()), (Power::On, 1));
    assert_eq!(client.power_state(&id).await.unwrap().state, Power::On);
    let error = client.deploy(&id, &what).await.unwrap_err();
    assert!(matches!(*error.failure, MaasFailure::WrongState(_)), "{error}");
    let events = client.events(&EventFilter { ids: vec![id.clone()], ..EventFilter::default() }).await.unwrap();
    assert!(events.events.iter().any(|event| event.kind == "Deployed" && event.created.is_some()));
    // Few are asked for: they are the newest, the newest first.
    let few = EventFilter { ids: vec![id.clone()], limit: Some(2), ..EventFilter::default() };
    let ids = |page: &ferrogate_maas::types::EventPage| page.events.iter().map(|event| event.id).collect::<Vec<_>>();
    let newest = ids(&client.events(&few).await.unwrap());
    assert!(newest.len() == 2 && newest[0] > newest[1] && ids(&events).len() > 2, "{newest:?}");
    assert_eq!(newest, ids(&events)[..2]);

    client.release(&id, &Release { comment: Some("done".into()), ..Release::default() }).await.unwrap();
    let free = wait_for(&client, &id, MachineStatus::Ready).await;
    assert!(free.owner.is_none() && free.owner_data.is_empty() && free.ip_addresses.is_empty());
    assert!(client.machines(&MachineFilter::agent(MARK)).await.unwrap().is_empty());
    client.release(&id, &Release::default()).await.expect("releasing a free machine is a success");
}

#[tokio::test]
async fn the_three_ways_of_finding_none_are_told_apart() {
    let site = Site::new().await;
    let client = site.client("admin");
    let error = client.allocate(&Allocate { cpu_count: Some(1000), ..marked() }).await.unwrap_err();
    assert_eq!(error.to_string(), "could not allocate a machine: no free machine fits: cpu_count=1000.0");
    let mut taken = Vec::new();
    for _ in 0..8 {
        taken.push(client.allocate(&marked()).await.unwrap().system_id);
    }
    let error = client.allocate(&marked()).await.unwrap_err();
    assert!(matches!(*error.failure, MaasFailure::NoneFree), "{error}");
    let error = client.allocate(&Allocate { system_id: Some(taken[0].clone()), ..marked() }).await.unwrap_err();
    assert!(matches!(&*error.failure, MaasFailure::MachineNotFree(id) if *id == taken[0]), "{error}");
    let error = client.allocate(&Allocate { zones: vec!["nosuch".into()], ..marked() }).await.unwrap_err();
    assert!(matches!(&*error.failure, MaasFailure::Invalid(fields) if fields.contains_key("zone")), "{error}");

    let stranger = site.client("bob");
    assert_eq!(stranger.release(&taken[0], &Release::default()).await.unwrap_err().code(), "maas_not_allowed");
    let mut released = client.release_many(&taken, Some("all of them")).await.unwrap();
    released.sort();
    taken.sort();
    assert_eq!(released, taken);
}

#[tokio::test]
async fn an_answer_that_got_lost_may_have_taken_a_machine_and_the_mark_finds_it() {
    let site = Site::new().await;
    let client = site.client("admin");
    site.maas.faults().add(Pattern::op("allocate"), When::First(1), Fault::DropAfter);
    let error = client.allocate(&marked()).await.unwrap_err();
    assert!(error.may_have_happened() && !error.is_no_machine(), "{error}");
    assert_eq!(client.machines(&MachineFilter::agent(MARK)).await.unwrap().len(), 1);
    site.maas.faults().clear();
    site.maas.faults().add(Pattern::op("allocate"), When::First(1), Fault::ProxyPage);
    assert_eq!(client.allocate(&marked()).await.unwrap_err().code(), "maas_intercepted");
    assert_eq!(client.machines(&MachineFilter::agent(MARK)).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_survives_a_maas_that_stumbles() {
    let site = Site::new().await;
    let client = site.client("admin");
    for fault in [Fault::Unavailable, Fault::ProxyPage, Fault::DropBefore, Fault::DropAfter] {
        site.maas.faults().add(Pattern::path("GET", "/zones/"), When::First(2), fault.clone());
        assert_eq!(client.zones().await.unwrap().len(), 3, "{fault:?}");
        site.maas.faults().clear();
    }
}

#[tokio::test]
async fn a_broken_machine_can_only_be_reported_by_who_holds_it() {
    let site = Site::new().await;
    let client = site.client("admin");
    let machine = client.allocate(&marked()).await.unwrap();
    let stranger = site.client("bob").mark_broken(&machine.system_id, "no disk").await.unwrap_err();
    assert_eq!(stranger.code(), "maas_not_allowed");
    let broken = client.mark_broken(&machine.system_id, "no disk").await.unwrap();
    assert_eq!(broken.status, MachineStatus::Broken);
    assert!(client.machine(&SystemId("zzzzzz".into())).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn addresses_and_names_come_and_go() {
    let site = Site::new().await;
    let client = site.client("admin");
    let address = client
        .reserve_ip(&ReserveIp { subnet: Some("10.20.0.0/22".parse().unwrap()), ..ReserveIp::default() })
        .await
        .unwrap();
    assert_eq!(client.ip_addresses().await.unwrap().len(), 1);
    let again = client.reserve_ip(&ReserveIp { ip: Some(address.ip), ..ReserveIp::default() }).await.unwrap_err();
    assert!(matches!(*again.failure, MaasFailure::AddressTaken(_)), "{again}");
    let dynamic = ReserveIp { ip: Some([10, 20, 3, 10].into()), ..ReserveIp::default() };
    assert_eq!(client.reserve_ip(&dynamic).await.unwrap_err().code(), "maas_address_taken");

    let wanted = CreateDnsResource { fqdn: "demo.maas".into(), addresses: vec![address.ip], ttl: Some(30) };
    let name = client.create_dns_resource(&wanted).await.unwrap();
    assert_eq!((name.addresses(), name.address_ttl), (vec![address.ip], Some(30)));
    assert_eq!(client.create_dns_resource(&wanted).await.unwrap_err().code(), "maas_value_refused");
    let two = vec!["10.20.1.61".parse().unwrap(), "10.20.1.62".parse().unwrap()];
    let change = UpdateDnsResource { addresses: Some(two), ..UpdateDnsResource::default() };
    assert_eq!(client.update_dns_resource(name.id, &change).await.unwrap().addresses().len(), 2);
    let filter = DnsResourceFilter { fqdn: Some("demo.maas".into()), ..DnsResourceFilter::default() };
    assert_eq!(client.dns_resources(&filter).await.unwrap().len(), 1);
    client.delete_dns_resource(name.id).await.unwrap();
    assert!(client.delete_dns_resource(name.id).await.unwrap_err().is_not_found());
    assert_eq!(site.client("bob").create_dns_resource(&wanted).await.unwrap_err().code(), "maas_not_allowed");

    for address in client.ip_addresses().await.unwrap() {
        client.release_ip(address.ip).await.unwrap();
    }
    assert!(client.release_ip(address.ip).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_clock_are_told_apart() {
    let site = Site::new().await;
    let mut options = site.options("admin");
    options.clock = Arc::new(Behind(1000));
    let error = Client::new(options).unwrap().whoami().await.unwrap_err();
    assert_eq!(error.code(), "maas_clock_skew");
    let real = site.maas.api_key("admin").unwrap();
    let (front, secret) = real.expose_secret().rsplit_once(':').unwrap();
    for key in [format!("{front}:WrongSecret"), "No:Such:Key".to_owned()] {
        let mut options = site.options("admin");
        options.key = key.parse().unwrap();
        let error = Client::new(options).unwrap().whoami().await.unwrap_err();
        assert_eq!(error.code(), "maas_key_refused");
        assert!(!format!("{error:?}").contains(secret), "MAAS's words gave the right secret away");
    }
}

#[tokio::test]
async fn a_wrong_path_is_named() {
    let site = Site::new().await;
    let mut options = site.options("admin");
    options.endpoint = format!("http://{}/other/MAAS", site.maas.local_addr()).parse().unwrap();
    let error = Client::new(options).unwrap().version().await.unwrap_err();
    assert!(["maas_wrong_path", "not_maas"].contains(&error.code()), "{error}");
}
