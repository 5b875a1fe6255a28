//! Whatever happens in a site in whatever order: once it stops happening, the cluster is what it should be, nothing is
//! left over and nobody else's machine was touched.

use crate::world::{World, spec};
use ferrogate_engine::{Memory, Outcome};
use ferrogate_lab::maas::{Fault, MachineFault, Pattern, When};
use ferrogate_maas::{Allocate, Client, Release};
use ferrogate_model::SystemId;
use proptest::prelude::*;
use std::time::Duration;

/// Something that happens between two passes.
#[derive(Clone, Debug)]
enum Happening {
    /// The next calls go wrong.
    Maas {
        op: Option<&'static str>,
        fault: Fault,
        times: u64,
    },
    /// A machine will fail to install, or never report.
    BadMachine {
        number: usize,
        fault: MachineFault,
    },
    /// An administrator releases one of our machines.
    AdminReleases {
        number: usize,
    },
    /// Somebody else takes a machine, or gives one back.
    SomebodyTakes,
    SomebodyReturns,
    /// Somebody changes their mind.
    Workers(u32),
    Absent(bool),
    /// The engine dies, and with it perhaps its memory.
    Restart {
        forget: bool,
    },
    /// Nothing, for a while.
    Time(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let op =
        prop::sample::select(vec![None, Some("allocate"), Some("deploy"), Some("release"), Some("set_owner_data")]);
    let fault = prop::sample::select(vec![
        Fault::Unavailable,
        Fault::ProxyPage,
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Conflict,
        Fault::DropsFilter("agent_name".into()),
        Fault::Slow(Duration::from_secs(20)),
        Fault::Slow(Duration::from_secs(90)),
        Fault::Status(500, "internal".into()),
    ]);
    let machine_fault = prop::sample::select(vec![MachineFault::FailsToDeploy, MachineFault::NeverReports]);
    prop_oneof![
        4 => (op, fault, 1..4_u64).prop_map(|(op, fault, times)| Happening::Maas { op, fault, times }),
        2 => (0..8_usize, machine_fault).prop_map(|(number, fault)| Happening::BadMachine { number, fault }),
        2 => (0..8_usize).prop_map(|number| Happening::AdminReleases { number }),
        1 => Just(Happening::SomebodyTakes),
        1 => Just(Happening::SomebodyReturns),
        2 => (0..3_u32).prop_map(Happening::Workers),
        1 => any::<bool>().prop_map(Happening::Absent),
        2 => any::<bool>().prop_map(|forget| Happening::Restart { forget }),
        3 => (1..3000_u64).prop_map(Happening::Time),
    ]
}

/// Forty lives unless the environment asks for more.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(40),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    // Each case is a whole life of a cluster.
    #![proptest_config(config())]

    #[test]
    fn any_life_of_a_cluster_ends_as_it_should(happenings in prop::collection::vec(happening(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(Box::pin(life(happenings)));
    }
}

async fn life(happenings: Vec<Happening>) {
    let mut world = World::new(spec(2)).await;
    let mut memory = Memory::default();
    let mut engine = world.engine();
    for happening in happenings {
        let pass = engine.pass(&world.desired, &mut memory).await;
        let pause = match pass.outcome {
            Outcome::Working { check_again, .. } => check_again,
            Outcome::Converged | Outcome::Blocked { .. } => Duration::from_secs(30),
        };
        tokio::time::sleep(pause).await;
        if let Happening::Restart { forget } = happening {
            engine = world.engine();
            if forget {
                memory = Memory::default();
            }
        } else {
            happen(&mut world, happening).await;
        }
    }
    world.maas.faults().clear();
    while let Some(machine) = theirs(&world) {
        give_back(&world.operator, &machine).await;
    }
    world.desired.absent = false;
    world.converge(&engine, &mut memory).await;
    world.assert_complete();
    world.desired.absent = true;
    world.converge(&engine, &mut memory).await;
    world.settle().await;
    world.assert_gone();
    world.maas.shutdown().await;
}

/// A machine that somebody took on the way; an answer may have been lost, so MAAS is asked.
fn theirs(world: &World) -> Option<SystemId> {
    world.maas.machines().into_iter().find(|machine| machine.agent_name == "juju-8").map(|machine| machine.system_id)
}

async fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Maas { op, fault, times } => {
            let pattern = op.map_or_else(Pattern::default, Pattern::op);
            world.maas.faults().add(pattern, When::First(times), fault);
        }
        Happening::BadMachine { number, fault } => {
            let machines = world.maas.machines();
            world.maas.faults().machine(machines[number].hostname.clone(), fault);
        }
        Happening::AdminReleases { number } => {
            let ours = world.ours();
            if let Some(machine) = ours.get(number % ours.len().max(1)) {
                world.maas.release_by_admin(&machine.system_id);
                world.watcher.forgive();
            }
        }
        Happening::SomebodyTakes => {
            let wanted = Allocate { agent_name: Some("juju-8".into()), ..Allocate::default() };
            // Whether it worked is not of interest.
            let _ = world.operator.allocate(&wanted).await;
        }
        Happening::SomebodyReturns => {
            if let Some(machine) = theirs(world) {
                give_back(&world.operator, &machine).await;
            }
        }
        Happening::Workers(count) => world.desired.configuration.spec.workers[0].count = count,
        Happening::Absent(absent) => world.desired.absent = absent,
        Happening::Restart { .. } => {}
        Happening::Time(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

async fn give_back(operator: &Client, machine: &SystemId) {
    for _ in 0..20 {
        if operator.release(machine, &Release::default()).await.is_ok() {
            return;
        }
    }
    panic!("{machine} could not be given back");
}
