//! An installer that is killed in the middle of its work, and the one that goes on.

use crate::world::{LONG, World};
use async_trait::async_trait;
use ferrogate_installer::{InstallArgs, Outcome};
use ferrogate_lab::maas::{Call, Gate, MachineFault, Verdict};
use std::sync::Arc;
use tokio::sync::Notify;

/// Lets the first release of a machine take effect, and nobody learn of it.
#[derive(Debug, Default)]
struct KilledAtRelease {
    reached: Notify,
}

#[async_trait]
impl Gate for KilledAtRelease {
    async fn before(&self, _call: &Call) -> Verdict {
        Verdict::Pass
    }

    async fn after(&self, call: &Call) -> Verdict {
        if call.op.as_deref() == Some("release") {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        Verdict::Pass
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
    let gate = Arc::new(KilledAtRelease::default());
    maas.set_gate(Some(Arc::clone(&gate) as Arc<dyn Gate>));
    let args = InstallArgs { config: Some(config.clone()), ..InstallArgs::default() };
    let killed = async {
        tokio::select! {
            ended = world.install(args) => panic!("it came to an end: {ended:?}\n{}", world.screen.text()),
            () = gate.reached.notified() => {}
        }
    };
    tokio::time::timeout(LONG, killed).await.unwrap();
    maas.set_gate(None);
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
