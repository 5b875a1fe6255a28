//! An installer that is killed in the middle of its work, and the one that goes on.

use crate::world::{LONG, World};
use async_trait::async_trait;
use ferrogate_installer::{InstallArgs, Outcome};
use ferrogate_lab::maas::{Call, Gate, MachineFault, Verdict};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// Stops whoever makes this call for the nth time, before or after it took effect, and nobody learns of it.
#[derive(Debug)]
struct KilledAt {
    op: &'static str,
    nth: usize,
    after: bool,
    seen: AtomicUsize,
    reached: Notify,
}

impl KilledAt {
    fn new(op: &'static str, nth: usize, after: bool) -> Arc<Self> {
        Arc::new(Self { op, nth, after, seen: AtomicUsize::new(0), reached: Notify::new() })
    }

    async fn stop(&self, call: &Call, after: bool) {
        if call.op.as_deref() != Some(self.op) || after != self.after {
            return;
        }
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Gate for KilledAt {
    async fn before(&self, call: &Call) -> Verdict {
        self.stop(call, false).await;
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        self.stop(call, true).await;
        Verdict::Pass
    }
}

/// Installs until the gate stops it.
async fn install_until(world: &World, config: &Path, gate: &Arc<KilledAt>) {
    world.lab.maas().set_gate(Some(Arc::clone(gate) as Arc<dyn Gate>));
    let args = InstallArgs { config: Some(config.to_owned()), ..InstallArgs::default() };
    let killed = async {
        tokio::select! {
            ended = world.install(args) => panic!("it came to an end: {ended:?}\n{}", world.screen.text()),
            () = gate.reached.notified() => {}
        }
    };
    tokio::time::timeout(LONG, killed).await.unwrap();
    world.lab.maas().set_gate(None);
}

/// Leaves one machine free; whatever else is free in the site is taken by somebody else.
async fn one_free(world: &World) -> String {
    use ferrogate_maas::{Allocate, ApiKey, Client, ClientOptions, Endpoint, MachineFilter};
    let endpoint = Endpoint::parse(&world.lab.maas_endpoint()).unwrap().0;
    let key: ApiKey = secrecy::ExposeSecret::expose_secret(&world.lab.api_key()).parse().unwrap();
    let host = world.host();
    let client = Client::new(ClientOptions::new(endpoint, key, host.connector, host.clock)).unwrap();
    let filter = MachineFilter { status: Some("ready".into()), ..MachineFilter::default() };
    let mut kept = None;
    for machine in client.machines(&filter).await.unwrap() {
        let is_good = machine.zone.name == "default"
            && machine.pool.as_ref().is_some_and(|pool| pool.name == "default")
            && machine.cpu_count >= 4
            && machine.memory >= 8192
            && machine.has_disk_of(60);
        if kept.is_none() && is_good {
            kept = Some(machine.hostname);
            continue;
        }
        let (name, agent_name) = (Some(machine.hostname), Some("juju-7".into()));
        client.allocate(&Allocate { name, agent_name, ..Allocate::default() }).await.unwrap();
    }
    kept.expect("a machine that fits a gateway")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_allocate_call_on_a_tight_site_it_goes_on_with_the_machine_it_has() {
    for after in [false, true] {
        let world = World::new().await;
        let only = one_free(&world).await;
        let config = world.write_config().await;
        // Twice the checks ask on trial whether the key may allocate; then it is meant.
        install_until(&world, &config, &KilledAt::new("allocate", 3, after)).await;
        let machine = world.lab.maas().machine(&only).unwrap();
        assert_eq!((machine.status, machine.owner_data.is_empty()), (if after { "Allocated" } else { "Ready" }, true));
        let outcome = tokio::time::timeout(LONG, world.install_with(&config)).await.unwrap();
        assert!(matches!(outcome, Ok(Outcome::Installed { .. })), "{outcome:?}\n{}", world.screen.text());
        let machine = world.lab.maas().machine(&only).unwrap();
        assert_eq!((machine.allocations, machine.deploys, machine.releases), (1, 1, 0), "{machine:?}");
        let said = format!("already taken, installed next: {only}");
        assert_eq!(world.screen.text().contains(&said), after, "{}", world.screen.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_failed_is_not_taken_again_by_the_installer_that_goes_on() {
    let world = World::new().await;
    let maas = world.lab.maas();
    for machine in maas.machines() {
        maas.faults().machine(machine.hostname, MachineFault::FailsToDeploy);
    }
    let config = world.write_config().await;
    install_until(&world, &config, &KilledAt::new("release", 1, true)).await;
    maas.faults().clear();
    // The first that fits is taken first, so it would be this one again.
    let bad = maas.machines().into_iter().find(|machine| machine.allocations > 0).unwrap();
    let is_free = async {
        while maas.machine(&bad.hostname).unwrap().status != "Ready" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, is_free).await.unwrap();
    let outcome = tokio::time::timeout(LONG, world.install_with(&config)).await.unwrap();
    assert!(matches!(outcome, Ok(Outcome::Installed { .. })), "{outcome:?}\n{}", world.screen.text());
    let after = maas.machine(&bad.hostname).unwrap();
    assert_eq!((after.allocations, after.deploys), (1, 1), "{after:?}");
    assert_eq!(world.taken().len(), 1);
}
