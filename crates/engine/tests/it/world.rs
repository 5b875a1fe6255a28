//! A site for the engine: the simulated MAAS, a Kubernetes where its machines are, and somebody else's machines.

use crate::kubernetes::Kubernetes;
use async_trait::async_trait;
use ferrogate_engine::{Desired, Engine, Memory, NoEnrolment, Outcome, Pass, mark};
use ferrogate_firstboot::Kubeadm;
use ferrogate_join::{ClusterKind, ClusterMaterials, NodeConfiguration};
use ferrogate_lab::{
    Seed,
    maas::{Call, Gate, Maas, MachineSnapshot, Options, Verdict},
};
use ferrogate_maas::{Allocate, ApiKey, Client, ClientOptions, Endpoint};
use ferrogate_model::{
    Clock, ClusterId, SystemClock, SystemId, Timestamp, cluster::ClusterSpec, proxy::ProxySettings, release::Release,
};
use ferrogate_net::Network;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, OnceLock},
    time::Duration,
};

/// Making keys takes a while; all worlds may have the same ones.
static MATERIALS: LazyLock<ClusterMaterials> =
    LazyLock::new(|| ClusterMaterials::generate("prod", SystemClock.now()).unwrap());
/// As many passes as no healthy run needs.
const MANY: usize = 400;

/// Wall-clock time that moves with tokio's paused one, so that certificates are valid.
#[derive(Debug)]
pub(crate) struct TestClock {
    begin: Timestamp,
    started: tokio::time::Instant,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.begin + jiff::SignedDuration::try_from(self.started.elapsed()).unwrap()
    }
}

impl TestClock {
    pub(crate) fn start() -> Self {
        Self { begin: SystemClock.now(), started: tokio::time::Instant::now() }
    }
}

pub(crate) struct World {
    pub(crate) maas: Maas,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) client: Client,
    pub(crate) operator: Client,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) desired: Desired,
    pub(crate) watcher: Arc<Watcher>,
}

impl World {
    /// Eight free machines, two of which somebody else takes at once.
    pub(crate) async fn new(spec: serde_json::Value) -> Self {
        let clock = Arc::new(TestClock::start());
        let network = Network::memory();
        let listen = "10.20.0.2:5240".parse().unwrap();
        let seed = Seed::demo("10.20.0.0/24".parse().unwrap());
        let maas = Maas::start(Options::new(network.clone(), seed).listen(listen).clock(clock.clone())).await.unwrap();
        let client = client_of(&maas, &network, &clock, "admin");
        let operator = client_of(&maas, &network, &clock, "operator");
        for _ in 0..2 {
            let theirs = Allocate { agent_name: Some("juju-7".into()), ..Allocate::default() };
            operator.allocate(&theirs).await.unwrap();
        }
        let desired = desired(spec);
        let watcher = Arc::new(Watcher::new(maas.clone(), &desired.configuration.cluster));
        maas.set_gate(Some(watcher.clone()));
        Self { kubernetes: Kubernetes::new(maas.clone()), maas, client, operator, clock, desired, watcher }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(
            self.client.clone(),
            Arc::new(self.kubernetes.clone()),
            self.clock.clone(),
            Arc::new(NoEnrolment),
            Arc::new(Kubeadm),
        )
    }

    /// Passes until nothing is left to do; the passes on the way.
    pub(crate) async fn converge(&self, engine: &Engine, memory: &mut Memory) -> Vec<Pass> {
        let mut passes = Vec::new();
        for _ in 0..MANY {
            let pass = engine.pass(&self.desired, memory).await;
            let pause = match &pass.outcome {
                Outcome::Converged => {
                    passes.push(pass);
                    return passes;
                }
                Outcome::Working { check_again, .. } => *check_again,
                Outcome::Blocked { .. } => Duration::from_secs(30),
            };
            passes.push(pass);
            tokio::time::sleep(pause).await;
        }
        panic!("not converged after {MANY} passes; the last outcomes: {:#?}", {
            passes.iter().rev().take(3).map(|pass| (&pass.outcome, &pass.machines)).collect::<Vec<_>>()
        });
    }

    /// The machines that bear the cluster's mark.
    pub(crate) fn ours(&self) -> Vec<MachineSnapshot> {
        let mark = mark::agent_name(&self.desired.configuration.cluster);
        self.maas.machines().into_iter().filter(|machine| machine.agent_name == mark).collect()
    }

    /// Fails unless exactly what was asked for is there, each with its notes and its node.
    pub(crate) fn assert_complete(&self) {
        let ours = self.ours();
        let mut per_pool: BTreeMap<String, u32> = BTreeMap::new();
        let nodes = self.kubernetes.nodes();
        for machine in &ours {
            assert_eq!(machine.status, "Deployed", "{machine:?}");
            assert_eq!(machine.owner_data[mark::CLUSTER], self.desired.configuration.cluster.to_string());
            assert!(machine.owner_data.contains_key(mark::JOINED), "{machine:?}");
            *per_pool.entry(machine.owner_data[mark::POOL].clone()).or_default() += 1;
            let node = &nodes[&machine.owner_data[mark::NODE]];
            assert_eq!(node["metadata"]["labels"]["ferrogate.io/machine"], machine.system_id.0);
            assert_eq!(node["status"]["conditions"][0]["status"], "True");
            assert!(node["spec"].get("unschedulable").is_none(), "{node}");
        }
        assert_eq!(nodes.len(), ours.len(), "every node is one of our machines");
        let wanted: BTreeMap<String, u32> = self
            .desired
            .configuration
            .spec
            .pools()
            .filter(|pool| pool.count > 0)
            .map(|p| (p.name.to_string(), p.count))
            .collect();
        assert_eq!(per_pool, wanted);
        self.watcher.assert_innocent();
    }

    /// Without memory nobody waits for machines that are on their way back; MAAS finishes that by itself.
    pub(crate) async fn settle(&self) {
        for _ in 0..1000 {
            if self.maas.machines().iter().all(|machine| machine.status != "Releasing") {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("machines stay `Releasing`");
    }

    /// Fails unless nothing of ours is left.
    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.ours(), []);
        for machine in self.maas.machines() {
            let theirs = machine.agent_name == "juju-7";
            let expected = if theirs { "Allocated" } else { "Ready" };
            assert_eq!(machine.status, expected, "{machine:?}");
            assert!(machine.owner_data.is_empty() && machine.addresses.is_empty(), "{machine:?}");
        }
        let reserved: Vec<_> = self.maas.ip_addresses().into_iter().filter(|address| address.reserved).collect();
        assert_eq!(reserved, []);
        assert_eq!(self.maas.dns_records(), []);
        self.watcher.assert_innocent();
    }
}

pub(crate) fn client_of(maas: &Maas, network: &Network, clock: &Arc<TestClock>, user: &str) -> Client {
    let (endpoint, _) = Endpoint::parse(&maas.url()).unwrap();
    let key: ApiKey = maas.api_key(user).unwrap().expose_secret().parse().unwrap();
    Client::new(ClientOptions::new(endpoint, key, network.connector(), clock.clone())).unwrap()
}

/// One server and as many workers, which may be anywhere.
pub(crate) fn spec(workers: u32) -> serde_json::Value {
    json!({
        "control_plane": {"count": 1, "resource_pool": "default"},
        "workers": [{"name": "work", "count": workers, "resource_pool": "workers", "labels": {"tier": "front"}}],
    })
}

/// A server that may be anywhere in a resource pool, and workers of the same resource pool that are wanted in a zone with
/// just as many free machines, the smallest of all among them: whoever takes the server's machine first and looks no
/// further takes that.
pub(crate) fn overlapping() -> serde_json::Value {
    json!({
        "control_plane": {"count": 1, "resource_pool": "default"},
        "workers": [{"name": "far", "count": 2, "resource_pool": "default", "zones": ["zone-b"]}],
    })
}

pub(crate) fn desired(spec: serde_json::Value) -> Desired {
    let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
    Desired {
        configuration: NodeConfiguration {
            cluster: ClusterId::new(),
            name: "prod".parse().unwrap(),
            kind: ClusterKind::Tenant,
            spec,
            release: Release::example(),
            materials: MATERIALS.clone(),
            artifacts_url: "https://plane.demo.internal/artifacts/".parse().unwrap(),
            plane_ca_pem: None,
            proxy: ProxySettings::default(),
            gateway: None,
        },
        absent: false,
    }
}

/// Where a run is to be killed: at this call of the API, before or after it took effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) at: usize,
    pub(crate) after: bool,
    /// Whether only calls that change something are counted.
    pub(crate) changes_only: bool,
}

/// Watches every call: no machine may change that does not bear the mark, and at one call the engine is killed.
#[derive(Debug)]
pub(crate) struct Watcher {
    maas: Maas,
    mark: String,
    inner: Mutex<Watched>,
    pub(crate) killed: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Watched {
    machines: Vec<MachineSnapshot>,
    crimes: Vec<String>,
    calls: usize,
    kill: Option<Kill>,
    done: OnceLock<()>,
}

impl Watcher {
    fn new(maas: Maas, cluster: &ClusterId) -> Self {
        let inner = Watched { machines: maas.machines(), ..Watched::default() };
        Self { maas, mark: mark::agent_name(cluster), inner: Mutex::new(inner), killed: tokio::sync::Notify::new() }
    }

    /// From the next call on, counting from 1.
    pub(crate) fn arm(&self, kill: Option<Kill>) {
        let mut inner = self.inner.lock().unwrap();
        inner.calls = 0;
        inner.kill = kill;
    }

    /// The test itself changed machines.
    pub(crate) fn forgive(&self) {
        self.look("the test", true);
    }

    pub(crate) fn assert_innocent(&self) {
        assert_eq!(self.inner.lock().unwrap().crimes, Vec::<String>::new());
    }

    fn look(&self, call: &str, forgiven: bool) {
        let machines = self.maas.machines();
        let mut inner = self.inner.lock().unwrap();
        if !forgiven {
            for (before, now) in inner.machines.iter().zip(&machines) {
                // What was given back loses its notes when MAAS is done with it.
                let notes = before.status != "Releasing" && before.owner_data != now.owner_data;
                let touched = notes
                    || (before.deploys, before.releases) != (now.deploys, now.releases)
                    || (before.allocations != now.allocations && now.agent_name != self.mark);
                if touched && before.agent_name != self.mark && now.agent_name != self.mark {
                    let crime = format!("{call} touched {before:?}");
                    inner.crimes.push(crime);
                    break;
                }
            }
        }
        inner.machines = machines;
    }
}

#[async_trait]
impl Gate for Watcher {
    async fn before(&self, call: &Call) -> Verdict {
        self.look("something before a call", false);
        let now = {
            let mut inner = self.inner.lock().unwrap();
            let counted = call.method != "GET" || !inner.kill.is_some_and(|kill| kill.changes_only);
            inner.calls += usize::from(counted);
            let calls = inner.calls;
            inner.kill.is_some_and(|kill| counted && kill.at == calls && !kill.after)
        };
        if now {
            tracing::debug!(?call, "killed before");
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        // What somebody else does is not ours to answer for.
        let forgiven = call.user.as_deref() == Some("operator");
        self.look(&format!("{} {} {:?}", call.method, call.path, call.op), forgiven);
        let now = {
            let inner = self.inner.lock().unwrap();
            let counted = call.method != "GET" || !inner.kill.is_some_and(|kill| kill.changes_only);
            inner.kill.is_some_and(|kill| counted && kill.at == inner.calls && kill.after) && inner.done.set(()).is_ok()
        };
        if now {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        Verdict::Pass
    }
}

/// A machine of ours by its place: the first of a pool.
pub(crate) fn first_of(world: &World, pool: &str) -> MachineSnapshot {
    let mut found: Vec<_> =
        world.ours().into_iter().filter(|m| m.owner_data.get(mark::POOL).map(String::as_str) == Some(pool)).collect();
    found.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    found.remove(0)
}

pub(crate) fn ids(machines: &[MachineSnapshot]) -> Vec<SystemId> {
    machines.iter().map(|machine| machine.system_id.clone()).collect()
}
