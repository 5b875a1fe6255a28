//! From given answers to a healthy gateway, against a simulated MAAS with machines that obey their cloud-config.

use crate::world::{LONG, World, edit};
use ferrogate_installer::{
    InstallError, Outcome,
    seal::Sealer,
    state::{Folder, Progress},
};
use std::{os::unix::fs::PermissionsExt, path::Path};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_built_and_its_secrets_stand_nowhere_in_the_clear() {
    let world = World::new().await;
    let outcome = tokio::time::timeout(LONG, world.install(world.args())).await.unwrap();
    let screen = world.screen.text();
    let Outcome::Installed { config, .. } = outcome.unwrap_or_else(|error| panic!("{error}\n{screen}")) else {
        panic!("installed\n{screen}")
    };
    assert_eq!(world.taken().len(), 1, "{screen}");
    assert!(screen.contains("Gateway maas-pcg-1 is running and healthy"), "{screen}");
    assert!(screen.contains(&format!("Configuration written: {}", config.display())), "{screen}");
    let paired = world.plane.knows.lock().unwrap().paired.clone().unwrap();
    assert_eq!(paired["zone"], "default");
    let key = secrecy::ExposeSecret::expose_secret(&world.lab.api_key()).to_owned();
    assert_eq!(paired["maas"]["api_key"], key.as_str());
    for entry in std::fs::read_dir(config.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for secret in [key.as_str(), crate::plane::GOOD_CODE, "install-token"] {
            assert!(!text.contains(secret), "{} has a secret in it", path.display());
        }
    }
    assert!(!screen.contains(&key) && !screen.contains(crate::plane::GOOD_CODE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_takes_no_second_machine() {
    let world = World::new().await;
    let Ok(Outcome::Installed { config, .. }) = world.install(world.args()).await else {
        panic!("{}", world.screen.text())
    };
    let allocations = world.allocations();
    let again = world.install_with(&config).await;
    assert!(matches!(again, Ok(Outcome::Installed { .. })), "{:?}\n{}", again, world.screen.text());
    assert_eq!(world.allocations(), allocations);
    assert_eq!(world.plane.asked("POST /api/v1/pair"), 1, "the code is used once");
    let screen = world.screen.text();
    assert!(screen.contains("Gateway maas-pcg-1 was installed already, at "), "{screen}");
}

/// The notes beside a configuration.
fn notes(config: &Path) -> Progress {
    let folder = Folder::of(config);
    let sealer = Sealer::load(folder.path()).unwrap();
    folder.read(&sealer, "maas-pcg-1").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_installation_keeps_no_keys_and_asks_for_them_again_where_nodes_are_missing() {
    let world = World::new().await;
    world.plane.knows.lock().unwrap().healthy = false;
    let config = world.write_config().await;
    edit(&config, "    register: 15m", "    register: 300ms");
    world.install_with(&config).await.unwrap_err();
    assert!(notes(&config).paired_with_keys().is_some(), "what is needed to go on is kept");
    edit(&config, "    register: 300ms", "    register: 15m");
    world.plane.knows.lock().unwrap().healthy = true;
    world.install_with(&config).await.unwrap();
    let finished = notes(&config);
    assert!(finished.finished.is_some() && finished.paired.is_some() && finished.paired_with_keys().is_none());

    let allocations = world.allocations();
    world.plane.knows.lock().unwrap().healthy = false;
    let heals = async {
        while world.plane.asked("POST /api/v1/pair") < 2 {
            tokio::task::yield_now().await;
        }
        world.plane.knows.lock().unwrap().healthy = true;
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(LONG, world.install_with(&config)) => outcome.unwrap(),
        () = heals => unreachable!(),
    };
    let screen = world.screen.text();
    assert!(matches!(outcome, Ok(Outcome::Installed { .. })), "{outcome:?}\n{screen}");
    assert!(screen.contains("Installed before; now the plane calls it Provisioning, Unknown"), "{screen}");
    assert_eq!(world.allocations(), allocations, "the keys fit the machine that is there");
    assert!(notes(&config).paired_with_keys().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_given_again_goes_on_with_what_was_begun() {
    let world = World::new().await;
    world.plane.knows.lock().unwrap().healthy = false;
    let config = world.write_config().await;
    edit(&config, "    register: 15m", "    register: 300ms");
    let error = world.install_with(&config).await.unwrap_err();
    assert_eq!(error.exit_code(), 124, "{error}");
    let message = error.to_string();
    assert!(
        message.starts_with("gateway `maas-pcg-1` running and healthy on the plane did not happen within 300ms"),
        "{message}"
    );
    assert!(message.contains("the plane calls it Provisioning"), "{message}");
    world.plane.knows.lock().unwrap().healthy = true;
    let outcome = world.install(world.args()).await;
    let Ok(Outcome::Installed { config: resumed, .. }) = outcome else {
        panic!("{outcome:?}\n{}", world.screen.text())
    };
    assert_eq!(resumed, config);
    assert_eq!(world.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_the_pairing_code_that_was_lost_is_asked_for_again() {
    let world = World::new().await;
    world.plane.knows.lock().unwrap().lose_pair_answers = 1;
    let outcome = world.install(world.args()).await;
    assert!(matches!(outcome, Ok(Outcome::Installed { .. })), "{outcome:?}\n{}", world.screen.text());
    assert_eq!(world.plane.asked("POST /api/v1/pair"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_code_that_is_not_good_takes_nothing() {
    let world = World::new().await;
    for (code, words) in [
        ("EXPIRED", "the pairing code was not accepted: the pairing code expired at 2026-11-22T08:00:00Z"),
        ("REVOKED", "the pairing code was not accepted: the pairing code was revoked"),
        ("NONSENSE", "the pairing code was not accepted: there is no such pairing code"),
    ] {
        let mut args = world.args();
        args.given.name = Some(format!("gw-{}", code.to_lowercase()));
        args.given.pairing_code_file = Some(world.secret("code", code));
        let error = world.install(args).await.unwrap_err();
        assert_eq!(error.to_string(), words);
        assert_eq!(error.exit_code(), 4);
        let hint = ferrogate_model::Explain::hint(&error).unwrap();
        assert_eq!(hint, "make a new one with `ferrogate pairing create`");
    }
    assert_eq!((world.taken(), world.allocations()), (vec![], 0));
    assert!(world.plane.knows.lock().unwrap().paired.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_someone_else_used_is_refused_and_takes_nothing() {
    let world = World::new().await;
    let first = world.install(world.args()).await;
    assert!(first.is_ok(), "{}", world.screen.text());
    let allocations = world.allocations();
    let mut args = world.args();
    args.given.name = Some("other".into());
    let error = world.install(args).await.unwrap_err();
    assert_eq!(error.to_string(), "the pairing code was not accepted: the pairing code was used already");
    assert_eq!(world.allocations(), allocations);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_stops_before_the_code_is_used_and_says_what_to_do() {
    let world = World::new().await;
    let mut args = world.args();
    args.given.nodes = Some("3".into());
    args.given.resource_pool = Some("workers".into());
    let error = world.install(args).await.unwrap_err();
    assert!(matches!(error, InstallError::Preflight { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
    let screen = world.screen.text();
    assert!(screen.contains("    do this:               add machines or commission more in MAAS"), "{screen}");
    assert!(screen.contains("No machine was taken."), "{screen}");
    assert!(screen.contains("ferrogate install --config"), "{screen}");
    assert_eq!(world.plane.asked("POST"), 0);
    assert_eq!(world.allocations(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_delegation_is_named() {
    let world = World::new().await;
    let zone = ferrogate_lab::dns::FixedZone { domains: vec!["example".into()], ..Default::default() };
    let other =
        ferrogate_lab::dns::DnsServer::start("127.0.0.1:0".parse().unwrap(), std::sync::Arc::new(zone)).await.unwrap();
    let mut args = world.args();
    args.given.dns_servers = vec![other.local_addr()];
    let error = world.install(args).await.unwrap_err();
    assert!(error.to_string().contains("Names of machines"), "{error}");
    let screen = world.screen.text();
    assert!(screen.contains("does not answer for `maas`: the delegation to MAAS is missing"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plane_that_is_not_there_is_said_before_anything_is_begun() {
    let mut world = World::new().await;
    world.plane.stop();
    let error = world.install(world.args()).await.unwrap_err();
    assert!(matches!(error, InstallError::Preflight { .. }), "{error}");
    assert!(world.screen.text().contains("connection_refused") || world.screen.text().contains("could not connect"));
    assert_eq!(world.allocations(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_what_is_missing_is_named_with_the_ways_to_give_it() {
    let world = World::new().await;
    let mut args = world.args();
    (args.given.zone, args.given.maas_api_key_file) = (None, None);
    let error = world.install(args).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(
        error.to_string(),
        "standard input is not a terminal, and values are missing: maas api key, availability zone"
    );
    assert_eq!(
        ferrogate_model::Explain::hint(&error).unwrap(),
        "give --maas-api-key-file or FERROGATE_MAAS_API_KEY; --zone or FERROGATE_ZONE; or all of them in a file with --config"
    );
}
