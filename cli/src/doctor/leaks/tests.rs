//! Leaks in a simulated MAAS, with a plane that knows what the test says.

use super::*;
use ferrogate_engine::mark;
use ferrogate_lab::{Seed, maas::Maas, maas::Options};
use ferrogate_maas::{Allocate, ApiKey, ClientOptions, CreateDnsResource, Endpoint, ReserveIp};
use ferrogate_model::{GatewayId, SystemClock};
use ferrogate_net::Network;
use secrecy::ExposeSecret;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Knows {
    exists: Mutex<BTreeSet<ClusterId>>,
    deleted: Vec<ClusterId>,
    orphans: Mutex<Vec<Orphan>>,
}

#[async_trait]
impl Plane for Knows {
    async fn known(&self, clusters: &[ClusterId]) -> std::result::Result<BTreeMap<ClusterId, Known>, ApiError> {
        let exists = self.exists.lock().unwrap();
        let known = |id: &ClusterId| match (exists.contains(id), self.deleted.contains(id)) {
            (true, _) => Known::Exists,
            (false, true) => Known::Deleted,
            (false, false) => Known::Unknown,
        };
        Ok(clusters.iter().map(|id| (*id, known(id))).collect())
    }

    async fn orphans(&self) -> std::result::Result<Vec<Orphan>, ApiError> {
        Ok(self.orphans.lock().unwrap().clone())
    }

    async fn deleted(&self) -> std::result::Result<Vec<ClusterId>, ApiError> {
        Ok(self.deleted.clone())
    }

    async fn resolve(&self, orphan: OrphanId) -> std::result::Result<(), ApiError> {
        self.orphans.lock().unwrap().retain(|known| known.id != orphan);
        Ok(())
    }
}

struct Site {
    lab: Maas,
    network: Network,
    maas: Client,
}

fn client(lab: &Maas, network: &Network, user: &str) -> Client {
    let key: ApiKey = lab.api_key(user).unwrap().expose_secret().parse().unwrap();
    let (endpoint, _) = Endpoint::parse(&lab.url()).unwrap();
    Client::new(ClientOptions::new(endpoint, key, network.connector(), Arc::new(SystemClock))).unwrap()
}

impl Site {
    async fn new() -> Self {
        let network = Network::memory();
        let listen = "10.20.0.2:5240".parse().unwrap();
        let seed = Seed::demo("10.20.0.0/24".parse().unwrap());
        let lab = Maas::start(Options::new(network.clone(), seed).listen(listen)).await.unwrap();
        let maas = client(&lab, &network, "admin");
        Self { lab, network, maas }
    }

    fn client(&self, user: &str) -> Client {
        client(&self.lab, &self.network, user)
    }

    /// A machine as the engine takes it; without the written mark as a crash leaves it.
    async fn take(&self, cluster: ClusterId, is_written: bool) -> String {
        let wanted = Allocate { agent_name: Some(mark::agent_name(&cluster)), ..Allocate::default() };
        let machine = self.maas.allocate(&wanted).await.unwrap();
        if is_written {
            let id = cluster.to_string();
            let data = [(mark::CLUSTER, id.as_str()), (mark::CLUSTER_NAME, "web")];
            self.maas.set_owner_data(&machine.system_id, data).await.unwrap();
        }
        machine.hostname
    }

    /// The name and address of a cluster's API.
    async fn name(&self, cluster: ClusterId) -> String {
        let fqdn = mark::endpoint_fqdn(&cluster, &"web".parse().unwrap(), "maas");
        let subnet = Some("10.20.0.0/24".parse().unwrap());
        let reserved = self.maas.reserve_ip(&ReserveIp { subnet, ..ReserveIp::default() }).await.unwrap();
        let resource = CreateDnsResource { fqdn: fqdn.clone(), addresses: vec![reserved.ip], ttl: None };
        self.maas.create_dns_resource(&resource).await.unwrap();
        fqdn
    }

    fn status(&self, machine: &str) -> &'static str {
        self.lab.machine(machine).unwrap().status
    }
}

fn orphan(cluster: ClusterId, endpoint: &str, name: &str) -> Orphan {
    Orphan {
        id: OrphanId::new(),
        kind: OrphanKind::Machine,
        name: name.to_owned(),
        hostname: "node03".to_owned(),
        maas_endpoint: endpoint.to_owned(),
        gateway_id: GatewayId::new(),
        gateway: "paris".parse().unwrap(),
        cluster_id: cluster,
        reason: String::new(),
        recorded_by: "admin@example.com".to_owned(),
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn clusters(findings: &Findings) -> Vec<ClusterId> {
    findings.leaks.iter().map(|leak| leak.marked.cluster).collect()
}

#[tokio::test]
async fn what_the_plane_does_not_know_is_listed_and_what_exists_is_not() {
    let site = Site::new().await;
    let (alive, deleted, unknown) = (ClusterId::new(), ClusterId::new(), ClusterId::new());
    let theirs = site.maas.allocate(&Allocate::default()).await.unwrap().hostname;
    site.take(alive, true).await;
    let bare = site.take(deleted, false).await;
    let fqdn = site.name(deleted).await;
    let written = site.take(unknown, true).await;
    let plane = Knows { exists: Mutex::new([alive].into()), deleted: vec![deleted], ..Knows::default() };

    let found = look(&site.maas, Some(&plane), &[]).await.unwrap();
    assert_eq!(clusters(&found), [deleted, unknown]);
    assert_eq!(found.leaks[0].marked.machines[0].hostname, bare);
    assert_eq!(found.leaks[0].marked.names[0].fqdn, fqdn);
    assert_eq!((found.leaks[0].known, found.leaks[1].known), (Some(Known::Deleted), Some(Known::Unknown)));
    assert_eq!(
        (found.leaks[1].marked.machines[0].hostname.as_str(), found.leaks[1].marked.name.as_str()),
        (&*written, "web")
    );
    assert!(what_it_does(&found.leaks[1]).contains("ANOTHER PLANE"));
    assert!(chosen(&found, &[alive]).is_err(), "what exists cannot be chosen");

    // Without a plane everything is listed that says of itself whose it is.
    let alone = look(&site.maas, None, &[]).await.unwrap();
    assert_eq!(clusters(&alone), [alive, unknown]);
    assert!(!alone.plane_asked && alone.names_like_ours == [fqdn]);
    let all = serde_json::to_string(&found).unwrap();
    assert!(!all.contains(&theirs));
}

#[tokio::test]
async fn only_the_cluster_that_was_chosen_is_given_back_and_its_record_closed() {
    let site = Site::new().await;
    let (gone, other) = (ClusterId::new(), ClusterId::new());
    let (bare, written, fqdn) = (site.take(gone, false).await, site.take(gone, true).await, site.name(gone).await);
    let kept = site.take(other, true).await;
    let id = site.lab.machine(&written).unwrap().system_id.to_string();
    let here = orphan(gone, &site.maas.endpoint().to_string(), &id);
    let elsewhere = orphan(gone, "http://10.9.9.9:5240/MAAS", "other1");
    let plane = Knows { orphans: Mutex::new(vec![here, elsewhere.clone()]), ..Knows::default() };

    let done = release(&site.maas, &plane, &[gone]).await.unwrap();
    for machine in [&bare, &written] {
        assert!(matches!(site.status(machine), "Ready" | "Releasing"), "{machine}: {done:#?}");
    }
    assert_eq!(site.status(&kept), "Allocated");
    assert_eq!(site.lab.resolve(&fqdn), None);
    assert!(site.lab.ip_addresses().iter().all(|address| !address.reserved), "{done:#?}");
    assert_eq!(plane.orphans().await.unwrap(), [elsewhere], "a record of another MAAS stays: {done:#?}");
    let after = look(&site.maas, Some(&plane), &[gone]).await.unwrap();
    assert_eq!(held(&after, &[gone]), 0);
    assert_eq!(held(&after, &[other]), 1);
}

#[tokio::test]
async fn a_cluster_that_came_to_exist_meanwhile_is_left_alone() {
    let site = Site::new().await;
    let cluster = ClusterId::new();
    let machine = site.take(cluster, true).await;
    let plane = Knows::default();
    assert_eq!(clusters(&look(&site.maas, Some(&plane), &[]).await.unwrap()), [cluster]);
    // Somebody answers the question while the plane learns of it.
    plane.exists.lock().unwrap().insert(cluster);
    let done = release(&site.maas, &plane, &[cluster]).await.unwrap();
    assert!(done[0].contains("the plane knows it now"), "{done:?}");
    assert_eq!(site.status(&machine), "Allocated");
}

#[tokio::test]
async fn a_locked_machine_is_told_and_the_rest_goes_on() {
    let site = Site::new().await;
    let cluster = ClusterId::new();
    let (locked, free) = (site.take(cluster, true).await, site.take(cluster, true).await);
    let id = site.lab.machine(&locked).unwrap().system_id;
    let release_of = ferrogate_lab::maas::Pattern {
        op: Some("release".into()),
        path: Some(format!("machines/{id}")),
        ..Default::default()
    };
    let refused = ferrogate_lab::maas::Fault::Status(403, "Cannot release: the machine is locked.".into());
    site.lab.faults().add(release_of, ferrogate_lab::maas::When::Always, refused);
    let done = release(&site.maas, &Knows::default(), &[cluster]).await.unwrap();
    assert!(done.iter().any(|line| line.contains(&locked) && line.contains("not released")), "{done:?}");
    assert!(matches!(site.status(&free), "Ready" | "Releasing"));
    let after = look(&site.maas, Some(&Knows::default()), &[cluster]).await.unwrap();
    assert_eq!(held(&after, &[cluster]), 1);
}

/// MAAS shows nobody's machines but its own to a plain user: an empty list is no proof that nothing is held.
#[tokio::test]
async fn a_key_that_may_not_see_the_machine_closes_no_record() {
    let site = Site::new().await;
    let cluster = ClusterId::new();
    let machine = site.take(cluster, true).await;
    let id = site.lab.machine(&machine).unwrap().system_id.to_string();
    let recorded = orphan(cluster, &site.maas.endpoint().to_string(), &id);
    let plane = Knows { orphans: Mutex::new(vec![recorded.clone()]), ..Knows::default() };
    let plain = site.client("operator");
    let done = release(&plain, &plane, &[cluster]).await.unwrap();
    assert!(done.iter().any(|line| line.contains("could not be looked at") && line.ends_with("it stays")), "{done:?}");
    assert_eq!(plane.orphans().await.unwrap(), [recorded]);
    let seen = look(&plain, Some(&plane), &[cluster]).await.unwrap();
    assert_eq!(seen.only_of_user.as_deref(), Some("operator"));
    release(&site.maas, &plane, &[cluster]).await.unwrap();
    assert_eq!(plane.orphans().await.unwrap(), []);
}
