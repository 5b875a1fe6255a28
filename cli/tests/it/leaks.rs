//! `ferrogate doctor leaks` with a real plane beside a simulated MAAS: each kind of mark, and each thing that a plane can say
//! of its cluster.

use crate::{ferrogate, parts};
use ferrogate_api::{Client, ClientOptions, PairRequest, PairResponse, PairedMaas, PairingCodeCreate, SetupRequest};
use ferrogate_engine::mark;
use ferrogate_lab::{Maas, Seed, maas::Options, release::Simulated};
use ferrogate_maas::{Allocate, CreateDnsResource, Endpoint, ReserveIp};
use ferrogate_model::{ClusterId, SystemClock, proxy::ProxySettings};
use ferrogate_net::{Network, Trust};
use ferrogate_plane::{Running, Server};
use secrecy::ExposeSecret;
use std::{path::PathBuf, sync::Arc};

struct Site {
    home: tempfile::TempDir,
    lab: Maas,
    maas: ferrogate_maas::Client,
    plane: Running,
    admin: Client,
}

impl Site {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let network = Network::loopback();
        let seed = Seed::demo("10.20.0.0/24".parse().unwrap());
        let lab = Maas::start(Options::new(network.clone(), seed)).await.unwrap();
        let (endpoint, _) = Endpoint::parse(&lab.url()).unwrap();
        let key = lab.api_key("admin").unwrap().expose_secret().parse().unwrap();
        let options = ferrogate_maas::ClientOptions::new(endpoint, key, network.connector(), Arc::new(SystemClock));
        let maas = ferrogate_maas::Client::new(options).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let (simulated, mirror) = (Simulated::new(), home.path().join("mirror"));
        simulated.write(&mirror).unwrap();
        let mut options = ferrogate_plane::Options::new(
            home.path().join("plane"),
            listen,
            simulated.release,
            Arc::new(ferrogate_firstboot::Kubeadm),
        );
        options.mirror_dir = Some(mirror);
        // It is asked what it knows; nothing is to be done behind the test's back.
        options.reconcile = false;
        let plane = Server::start(options).await.unwrap();
        let client = Client::new(ClientOptions {
            url: plane.url.clone(),
            token: None,
            trust: Trust::ca(plane.ca_pem.clone()),
            proxy: ProxySettings::default(),
            hosts: Vec::new(),
            user_agent: "test".to_owned(),
        })
        .unwrap();
        let setup = SetupRequest {
            setup_token: plane.setup_token.clone().unwrap().into(),
            tenant: "acme".to_owned(),
            email: "admin@example.com".to_owned(),
            password: "a long enough password".to_owned().into(),
        };
        let token = client.setup(&setup).await.unwrap().token.into_inner();
        for (name, text) in [
            ("maas.key", lab.api_key("admin").unwrap()),
            ("token", token.clone()),
            ("ca.pem", plane.ca_pem.clone().into()),
        ] {
            std::fs::write(home.path().join(name), text.expose_secret()).unwrap();
        }
        Self { home, lab, maas, plane, admin: client.with_token(Some(token)) }
    }

    /// A gateway that the plane knows, with a cluster of its own.
    async fn pair(&self, name: &str) -> PairResponse {
        let code = self.admin.create_pairing_code(&PairingCodeCreate { note: None }).await.unwrap().code;
        let request = PairRequest {
            code,
            request_key: "0123456789abcdef0123456789abcdef".repeat(2).into(),
            name: name.parse().unwrap(),
            nodes: 1,
            maas: PairedMaas {
                endpoint: self.lab.url(),
                api_key: self.lab.api_key("admin").unwrap().expose_secret().into(),
                ca_pem: None,
            },
            domain: "maas".to_owned(),
            zone: "default".to_owned(),
            resource_pool: "default".to_owned(),
            pod_cidr: "192.168.0.0/16".parse().unwrap(),
            service_cidr: "10.43.0.0/16".parse().unwrap(),
            proxy: Default::default(),
            installer_version: "test".to_owned(),
        };
        self.admin.pair(&request).await.unwrap()
    }

    /// A machine as the engine takes it; without the written mark as a crash leaves it.
    async fn take(&self, cluster: ClusterId, is_written: bool) -> String {
        let wanted = Allocate { agent_name: Some(mark::agent_name(&cluster)), ..Allocate::default() };
        let machine = self.maas.allocate(&wanted).await.unwrap();
        if is_written {
            let id = cluster.to_string();
            self.maas.set_owner_data(&machine.system_id, [(mark::CLUSTER, id.as_str())]).await.unwrap();
        }
        machine.hostname
    }

    /// The name and the address of a cluster's API.
    async fn name(&self, cluster: ClusterId) -> String {
        let fqdn = mark::endpoint_fqdn(&cluster, &"web".parse().unwrap(), "maas");
        let subnet = Some("10.20.0.0/24".parse().unwrap());
        let reserved = self.maas.reserve_ip(&ReserveIp { subnet, ..ReserveIp::default() }).await.unwrap();
        let resource = CreateDnsResource { fqdn: fqdn.clone(), addresses: vec![reserved.ip], ttl: None };
        self.maas.create_dns_resource(&resource).await.unwrap();
        fqdn
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn leaks(&self, more: &[&str]) -> (i32, String, String) {
        let mut command = ferrogate(self.home.path());
        command.args(["doctor", "leaks", "--endpoint", &self.lab.url(), "--api-key-file"]).arg(self.file("maas.key"));
        command.args(["--server", self.plane.url.as_str(), "--token-file"]).arg(self.file("token"));
        command.arg("--ca-file").arg(self.file("ca.pem")).args(more);
        parts(&tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
    }

    fn is_taken(&self, machine: &str) -> bool {
        !matches!(self.lab.machine(machine).unwrap().status, "Ready" | "Releasing")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_any_mark_of_ours_is_given_back_unless_the_plane_has_its_cluster() {
    let site = Site::new().await;
    let (alive, gone) = (site.pair("paris").await, site.pair("rome").await);
    let installer = site.admin.clone().with_token(Some(gone.install_token.clone().into_inner()));
    installer.abandon_install(gone.gateway_id).await.unwrap();
    let (alive, gone, unknown) = (alive.cluster_id, gone.cluster_id, ClusterId::new());
    let theirs = site.maas.allocate(&Allocate::default()).await.unwrap().hostname;
    let kept = site.take(alive, true).await;
    // The three marks: in the call that took a machine, written on it, and a name with its address.
    let (bare, written, fqdn) =
        (site.take(gone, false).await, site.take(unknown, true).await, site.name(unknown).await);

    let (code, out, err) = site.leaks(&["--output", "json", "--release", &alive.to_string(), "--yes"]).await;
    assert_eq!(code, 3, "what exists is no leak: {out} {err}");
    let (code, out, err) = site.leaks(&["--output", "json"]).await;
    assert_eq!(code, 1, "{err}");
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |cluster: ClusterId| {
        let leaks = found["leaks"].as_array().unwrap();
        leaks.iter().find(|leak| leak["cluster"] == cluster.to_string().as_str())
    };
    assert_eq!(found["plane_asked"], true);
    assert_eq!(of(alive), None);
    let leak = of(unknown).unwrap();
    assert_eq!((&leak["known"], &leak["names"][0]["fqdn"]), (&"unknown".into(), &fqdn.as_str().into()));
    assert_eq!(
        (&leak["machines"][0]["hostname"], &leak["machines"][0]["mark"]),
        (&written.as_str().into(), &"owner_data".into())
    );
    assert!([&theirs, &kept, &bare, &written].iter().all(|machine| site.is_taken(machine)), "a look changes nothing");

    let both = ["--release", &gone.to_string(), "--release", &unknown.to_string(), "--yes", "--output", "json"];
    let (code, out, err) = site.leaks(&both).await;
    assert_eq!(code, 0, "{out} {err}");
    assert!(!site.is_taken(&bare) && !site.is_taken(&written), "{out}");
    assert_eq!(site.lab.resolve(&fqdn), None);
    assert!(site.lab.ip_addresses().iter().all(|address| !address.reserved), "{out}");
    assert!(site.is_taken(&theirs) && site.is_taken(&kept), "{out}");
    site.plane.shutdown().await;
    site.lab.shutdown().await;
}
