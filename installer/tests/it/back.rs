//! What happens when an installation does not come to its end, and the way back.

use crate::world::{LONG, World, edit};
use ferrogate_installer::{InstallError, Outcome};
use ferrogate_lab::maas::MachineFault;
use std::path::PathBuf;

/// A site whose machines never report after a deployment.
async fn stuck() -> World {
    let world = World::new().await;
    for machine in world.lab.maas().machines() {
        world.lab.maas().faults().machine(machine.hostname, MachineFault::NeverReports);
    }
    world
}

/// An installation that was interrupted while a machine was being deployed.
async fn interrupted() -> (World, PathBuf) {
    let world = stuck().await;
    let config = world.write_config().await;
    world.interrupt_while_deploying(&config).await;
    (world, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_never_ends_is_said_within_the_deadline_and_everything_can_be_given_back() {
    let (world, config) = interrupted().await;
    edit(&config, "    machines: 1h 30m", "    machines: 2s");
    let machine = world.taken();
    let error = tokio::time::timeout(LONG, world.install_with(&config)).await.unwrap().unwrap_err();
    assert_eq!(error.exit_code(), 124);
    let message = error.to_string();
    let wanted = "Kubernetes and the gateway on the gateway's machine did not happen within 2s; last seen: ";
    assert!(message.starts_with(wanted), "{message}");
    assert!(message.contains(&format!("{} Deploying", machine[0])), "{message}");
    let screen = world.screen.text();
    assert!(screen.contains(&format!("  ferrogate install --config {}", config.display())), "{screen}");
    assert!(screen.contains(&format!("  ferrogate install cleanup --config {}", config.display())), "{screen}");
    assert!(screen.contains(&format!("Taken so far, and kept: {} (Deploying).", machine[0])), "{screen}");
    assert_eq!(world.taken(), machine, "the machine is kept for going on, and no second one was taken");
    assert_eq!(world.allocations(), 1);
    assert_eq!(world.plane.asked("POST /api/v1/pair"), 1);

    let cleaned = world.cleanup(&config).await.unwrap();
    assert_eq!(cleaned.machines, machine);
    assert!(cleaned.plane_told);
    assert_eq!(world.taken(), Vec::<String>::new());
    assert!(world.plane.knows.lock().unwrap().abandoned);
    let left: Vec<_> =
        world.lab.maas().ip_addresses().into_iter().filter(|address| address.machine.is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_gives_back_nothing_of_others() {
    let world = stuck().await;
    let theirs = world.lab.maas().machines().into_iter().find(|machine| machine.zone == "zone-b").unwrap();
    take_by_hand(&world, &theirs.hostname).await;
    let config = world.write_config().await;
    world.interrupt_while_deploying(&config).await;
    assert_eq!(world.taken().len(), 2);
    world.cleanup(&config).await.unwrap();
    assert_eq!(world.taken(), [theirs.hostname]);
}

async fn take_by_hand(world: &World, hostname: &str) {
    use ferrogate_maas::{Allocate, ApiKey, Client, ClientOptions, Endpoint};
    let endpoint = Endpoint::parse(&world.lab.maas_endpoint()).unwrap().0;
    let key: ApiKey = secrecy::ExposeSecret::expose_secret(&world.lab.api_key()).parse().unwrap();
    let host = world.host();
    let client = Client::new(ClientOptions::new(endpoint, key, host.connector, host.clock)).unwrap();
    let wanted = Allocate { name: Some(hostname.to_owned()), agent_name: Some("juju-7".into()), ..Allocate::default() };
    client.allocate(&wanted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_works_when_the_plane_is_gone_and_says_so() {
    let (mut world, config) = interrupted().await;
    world.plane.stop();
    let cleaned = world.cleanup(&config).await.unwrap();
    assert!(!cleaned.plane_told);
    assert_eq!(world.taken(), Vec::<String>::new());
    let screen = world.screen.text();
    assert!(screen.contains("the plane could not be told: "), "{screen}");
    assert!(screen.contains("ferrogate delete gateway maas-pcg-1"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_twice_or_before_anything_was_taken_is_no_error() {
    let world = World::new().await;
    let config = world.write_config().await;
    assert!(world.cleanup(&config).await.unwrap().machines.is_empty());
    assert!(world.screen.text().contains("Nothing was begun with this configuration, so nothing was taken."));

    let (stuck, config) = interrupted().await;
    stuck.cleanup(&config).await.unwrap();
    stuck.cleanup(&config).await.unwrap();
    assert_eq!(stuck.taken(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_is_not_taken_apart_by_cleaning_up() {
    let world = World::new().await;
    let Ok(Outcome::Installed { config, .. }) = world.install(world.args()).await else {
        panic!("{}", world.screen.text())
    };
    let error = world.cleanup(&config).await.unwrap_err();
    assert_eq!(error.to_string(), "gateway `maas-pcg-1` is installed and running; clusters may depend on it");
    assert_eq!(world.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_installed_is_not_taken_apart_while_the_plane_cannot_be_asked() {
    let mut world = World::new().await;
    let Ok(Outcome::Installed { config, .. }) = world.install(world.args()).await else {
        panic!("{}", world.screen.text())
    };
    world.plane.stop();
    let error = world.cleanup(&config).await.unwrap_err();
    assert!(error.to_string().contains("the plane does not say whether clusters depend on it"), "{error}");
    assert_eq!(world.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_that_the_plane_deleted_left_can_be_given_back_without_its_keys() {
    let world = World::new().await;
    let Ok(Outcome::Installed { config, .. }) = world.install(world.args()).await else {
        panic!("{}", world.screen.text())
    };
    world.plane.knows.lock().unwrap().gone = true;
    world.cleanup(&config).await.unwrap_or_else(|error| panic!("{error}\n{}", world.screen.text()));
    assert_eq!(world.taken(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_at_once_keeps_what_was_begun_and_says_how_to_go_on() {
    let world = stuck().await;
    let config = world.write_config().await;
    let error = world.interrupt_while_deploying(&config).await;
    assert!(matches!(error, InstallError::Interrupted { .. }), "{error}");
    assert_eq!(error.exit_code(), 130);
    let screen = world.screen.text();
    assert!(screen.contains("Everything needed to go on is kept. Go on where it stopped:"), "{screen}");
    assert!(screen.contains("ferrogate install cleanup --config"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_maas_is_refused_while_machines_of_the_first_are_taken() {
    let (world, config) = interrupted().await;
    edit(&config, &world.lab.maas_endpoint(), "http://127.20.251.2:5240/MAAS");
    for error in [world.install_with(&config).await.unwrap_err(), world.cleanup(&config).await.unwrap_err()] {
        assert!(error.to_string().contains("they would be left behind"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installers_do_not_work_on_the_same_configuration() {
    let (world, config) = interrupted().await;
    edit(&config, "    machines: 1h 30m", "    machines: 2s");
    let (first, second) = tokio::join!(world.install_with(&config), world.install_with(&config));
    let errors = [first.unwrap_err(), second.unwrap_err()];
    assert_eq!(errors.iter().filter(|error| matches!(error, InstallError::Busy { .. })).count(), 1, "{errors:?}");
    assert_eq!(world.allocations(), 1);
}
