//! Situations and what is done in them.

mod changing;
mod fixture;
mod healing;
mod repairing;
mod shrinking;

use super::{Action, plan};
use crate::{
    limits::Limits,
    mark,
    memory::Memory,
    observed::{Api, Status},
};
use ferrogate_join::Role;
use ferrogate_model::state::MachineState;
use fixture::{Site, at};

#[test]
fn an_empty_site_takes_every_machine_at_once() {
    let site = Site::new(2);
    let plan = site.plan();
    let pools: Vec<String> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::Allocate { pool, zones } if zones.is_empty() => pool.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pools, ["control-plane", "work", "work"]);
}

#[test]
fn the_first_server_is_installed_and_the_workers_wait_for_its_address() {
    let mut site = Site::new(1);
    site.machine("a", Status::Allocated, "control-plane");
    site.machine("b", Status::Allocated, "work");
    let plan = site.plan();
    assert_eq!(site.deployed(&plan), [("a".to_owned(), Role::FirstServer)]);
    assert_eq!(plan.waits[0].reason, "b is taken; it waits for the address of the control-plane machine");
    // MAAS answers a deployment before it has an address.
    site.of("a").status = Status::Deploying;
    assert_eq!(site.deployed(&site.plan()), []);
    site.of("a").addresses = vec!["10.0.0.1".parse().unwrap()];
    let plan = site.plan();
    assert_eq!(site.deployed(&plan), [("b".to_owned(), Role::Agent("10.0.0.1".parse().unwrap()))]);
    let Action::Deploy { notes, .. } = &plan.actions[0] else { panic!("{:?}", plan.actions) };
    assert_eq!(notes[mark::SERVER], "10.0.0.1");
    assert_eq!((notes[mark::POOL].as_str(), notes[mark::NODE].as_str()), ("work", "b"));
}

#[test]
fn a_wait_says_who_for_how_long_and_until_when() {
    let mut site = Site::new(0);
    site.machine("node02", Status::Deploying, "control-plane");
    let memory = site.plan().memory;
    let later = plan(&site.desired, &site.observed, &memory, &Limits::default(), at(180));
    assert_eq!(later.waits[0].reason, "node02 is being installed by MAAS for 3 min (deadline 40 min)");
    assert_eq!(later.machines[0].since, at(0));
}

#[test]
fn everything_ready_and_noted_is_nothing_to_do() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    let plan = site.plan();
    assert_eq!((plan.actions.as_slice(), plan.waits.as_slice(), plan.blocks.as_slice()), (&[][..], &[][..], &[][..]));
    assert!(plan.machines.iter().all(|machine| machine.state == MachineState::Running));
    assert_eq!(plan.api_endpoint.as_deref(), Some("https://a.maas:6443"));
}

#[test]
fn the_first_time_a_node_is_ready_is_noted_in_maas() {
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.of("a").owner_data.remove(mark::JOINED);
    let plan = site.plan();
    let [Action::Note { notes, .. }] = plan.actions.as_slice() else { panic!("{:?}", plan.actions) };
    assert_eq!(notes[mark::JOINED], at(0).to_string());
}

#[test]
fn new_machines_go_where_fewest_are() {
    let mut site = Site::new(4);
    site.desired.configuration.spec.workers[0].zones = vec!["x".into(), "y".into(), "z".into()];
    site.member("a", "control-plane");
    site.member("b", "work");
    site.of("b").zone = "x".into();
    let zones: Vec<String> = site
        .plan()
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Allocate { zones, .. } => Some(zones[0].clone()),
            _ => None,
        })
        .collect();
    assert_eq!(zones, ["y", "z", "x"]);
}

#[test]
fn a_left_over_node_is_removed_before_its_machine_is_installed_again() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    let node = site.of("b").id.clone();
    site.of("b").status = Status::Allocated;
    site.of("b").owner_data.remove(mark::JOINED);
    let plan = site.plan();
    assert!(
        matches!(plan.actions.as_slice(), [Action::DeleteNode { node, .. }] if node == "b"),
        "{node}: {:?}",
        plan.actions
    );
}

#[test]
fn labels_that_are_missing_are_set_and_foreign_nodes_are_left_alone() {
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.desired.configuration.spec.control_plane.labels =
        [("node-role.kubernetes.io/db".to_owned(), "yes".to_owned())].into();
    site.node("theirs").machine = None;
    let plan = site.plan();
    assert!(matches!(plan.actions.as_slice(), [Action::Label { node, .. }] if node == "a"), "{:?}", plan.actions);
}

#[test]
fn two_machines_of_one_name_become_two_nodes() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("w", Status::Allocated, "work");
    site.observed.machines[1].id = ferrogate_model::SystemId("id1".into());
    site.machine("w", Status::Allocated, "work");
    site.desired.configuration.spec.workers[0].count = 2;
    let plan = site.plan();
    let mut nodes: Vec<String> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Deploy { node, .. } => Some(node.to_string()),
            _ => None,
        })
        .collect();
    nodes.sort();
    assert_eq!(nodes, ["w", "w-idw"]);
}

#[test]
fn further_servers_wait_for_the_address_and_join_one_at_a_time() {
    let mut site = Site::new(0);
    site.desired.configuration.spec.control_plane.count = 3;
    for name in ["a", "b", "c"] {
        site.machine(name, Status::Allocated, "control-plane");
        site.of(name).subnet = Some("10.0.0.0/24".parse().unwrap());
    }
    let plan = site.plan();
    assert!(matches!(plan.actions.as_slice(), [Action::ReserveEndpoint { fqdn, .. }] if fqdn.starts_with("prod-")));
    site.observed.endpoint.addresses = vec!["10.0.0.9".parse().unwrap()];
    assert_eq!(site.deployed(&site.plan()), [("a".to_owned(), Role::FirstServer)]);
    site.member("a", "control-plane");
    let plan = site.plan();
    assert_eq!(site.deployed(&plan), [("b".to_owned(), Role::Server("10.0.0.1".parse().unwrap()))]);
    assert!(plan.api_names.contains(&"10.0.0.9".to_owned()));
    // While one joins, the next waits.
    site.of("b").status = Status::Deployed;
    assert_eq!(site.deployed(&site.plan()), []);
    // And nobody starts a second cluster while the first one cannot be asked.
    site.observed.api = Api::Silent("no route".into());
    assert_eq!(site.deployed(&site.plan()), []);
}

#[test]
fn a_pass_without_memory_decides_as_one_with_it() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("b", Status::DeployFailed, "work");
    let first = site.plan();
    let second = plan(&site.desired, &site.observed, &first.memory, &Limits::default(), at(0));
    let fresh = plan(&site.desired, &site.observed, &Memory::default(), &Limits::default(), at(0));
    assert_eq!(first.actions, second.actions);
    assert_eq!(first.actions, fresh.actions);
    assert_eq!(second.events, [], "nothing is told twice");
}
