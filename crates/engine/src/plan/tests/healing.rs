//! Machines that fail, and machines that must not be lost.

use super::{Site, at};
use crate::{
    mark,
    memory::Memory,
    observed::{Api, Status},
    plan::Action,
};
use ferrogate_model::{SystemId, state::MachineState};

fn allocations(plan: &super::super::Plan) -> usize {
    plan.actions.iter().filter(|action| matches!(action, Action::Allocate { .. })).count()
}

#[test]
fn a_machine_that_failed_to_install_cools_down_and_another_is_taken() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("b", Status::DeployFailed, "work");
    site.of("b").message = "no disk".into();
    let plan = site.plan();
    assert_eq!(site.released(&plan), [("b".to_owned(), "MAAS failed to install it: no disk".to_owned(), true, false)]);
    assert_eq!(allocations(&plan), 1);
    assert!(plan.events.iter().any(|event| event.message == "b: MAAS failed to install it: no disk"));
}

#[test]
fn an_installation_that_takes_too_long_is_given_up() {
    let mut site = Site::new(0);
    site.machine("a", Status::Deploying, "control-plane");
    let memory = site.plan().memory;
    assert_eq!(site.released(&site.plan_after(&memory, 40 * 60)), []);
    let late = site.plan_after(&memory, 40 * 60 + 1);
    assert_eq!(site.released(&late)[0].1, "MAAS did not finish installing it within 40 min");
    assert_eq!(allocations(&late), 1);
}

#[test]
fn the_clock_of_joining_runs_for_a_worker_only_while_the_api_answers() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("b", Status::Deployed, "work");
    let joining = site.plan().memory;
    assert_eq!(joining.machines[&SystemId("idb".into())].joining_since, Some(at(0)));
    let (joining, _) = site.watched(&joining, 60, 15 * 60);
    assert_eq!(site.released(&site.plan_after(&joining, 15 * 60 + 1)).len(), 1);
    site.observed.api = Api::Silent("no answer".into());
    let silent = site.plan_after(&joining, 600);
    assert_eq!(site.released(&site.plan_after(&silent.memory, 6000)), []);
    assert_eq!(silent.memory.machines[&SystemId("idb".into())].joining_since, None);
}

#[test]
fn a_member_is_never_given_back_because_it_cannot_be_reached() {
    for api in [Api::Silent("no route".into()), Api::NotYet] {
        let mut site = Site::new(1);
        site.member("a", "control-plane");
        site.member("b", "work");
        site.observed.api = api;
        let mut memory = Memory::default();
        for hours in 0..48 {
            let plan = site.plan_after(&memory, hours * 3600);
            assert_eq!((site.released(&plan), allocations(&plan)), (vec![], 0));
            memory = plan.memory;
        }
    }
}

#[test]
fn a_member_whose_node_is_not_ready_is_shown_and_kept() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    site.node("b").not_ready = Some("kubelet stopped posting".into());
    let plan = site.plan();
    assert_eq!(plan.actions, []);
    assert_eq!(plan.machines[1].state, MachineState::Failed);
    assert_eq!(plan.waits[0].reason, "b is in trouble: its node is not ready: kubelet stopped posting");
}

#[test]
fn a_member_whose_node_left_the_cluster_is_replaced_after_the_deadline_without_blame() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    site.node("b").machine = None;
    let (memory, _) = site.watched(&Memory::default(), 0, 15 * 60);
    let late = site.plan_after(&memory, 15 * 60 + 1);
    assert_eq!(site.released(&late).len(), 1);
    assert!(!site.released(&late)[0].2, "it does not cool down");
}

/// Whoever answers is that machine: what is on it is all there is of the cluster.
#[test]
fn the_only_server_is_kept_although_its_node_left_the_cluster() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    site.node("a").machine = None;
    let (memory, actions) = site.watched(&Memory::default(), 0, 3 * 3600);
    assert!(!actions.iter().any(|action| matches!(action, Action::Release { .. })), "{actions:?}");
    let plan = site.plan_after(&memory, 3 * 3600);
    assert_eq!((site.released(&plan), allocations(&plan)), (vec![], 0));
    let reason = &plan.waits[0].reason;
    assert!(reason.starts_with("a is left alone: it is the cluster's only server, and it answers"), "{reason}");
}

#[test]
fn machines_that_were_told_of_a_server_that_is_gone_are_taken_anew() {
    let mut site = Site::new(2);
    site.member("a", "control-plane");
    for (name, joined) in [("b", false), ("c", true)] {
        site.machine(name, Status::Deployed, "work");
        site.of(name).owner_data.insert(mark::SERVER.into(), "10.0.0.77".into());
        if joined {
            site.of(name).owner_data.insert(mark::JOINED.into(), at(-10).to_string());
        }
    }
    let plan = site.plan();
    let released = site.released(&plan);
    assert_eq!(released.len(), 2);
    assert!(released.iter().all(|(_, why, cool, _)| why.contains("10.0.0.77, which is gone") && !cool));
    // A member keeps its place while nobody can say whether it still is one.
    site.observed.api = Api::Silent("no route".into());
    assert_eq!(site.released(&site.plan()).len(), 1);
    // While the new server's address is not known, nobody is judged by it.
    site.of("a").addresses.clear();
    assert_eq!(site.released(&site.plan()), []);
}

#[test]
fn a_machine_somebody_works_on_is_left_alone_and_replaced_unless_it_is_the_server() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    site.of("b").status = Status::Other("Rescue mode".into());
    let plan = site.plan();
    assert_eq!((site.released(&plan), allocations(&plan)), (vec![], 1));
    site.of("b").status = Status::Deployed;
    site.of("a").status = Status::Other("Rescue mode".into());
    site.observed.api = Api::NotYet;
    let plan = site.plan();
    assert_eq!((site.released(&plan), allocations(&plan)), (vec![], 0), "a second server would be a second cluster");
}

#[test]
fn a_locked_machine_that_should_go_is_in_the_way_by_name() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("b", Status::DeployFailed, "work");
    site.of("b").locked = true;
    let plan = site.plan();
    assert_eq!(site.released(&plan), []);
    assert_eq!(plan.blocks[0].cause, "b is locked in MAAS, so it cannot be given back");
}

#[test]
fn an_installed_machine_without_notes_is_the_server_where_there_is_none_and_nobody_otherwise() {
    let mut site = Site::new(0);
    site.machine("a", Status::Deployed, "");
    site.observed.api = Api::Silent("no answer yet".into());
    let plan = site.plan();
    assert_eq!((site.released(&plan), allocations(&plan)), (vec![], 0));
    assert!(matches!(&plan.actions[..], [Action::Note { notes, .. }] if notes[mark::POOL] == "control-plane"));
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.machine("b", Status::Deployed, "");
    assert_eq!(site.released(&site.plan())[0].1, "nobody knows what it was taken for");
    site.observed.api = Api::Silent("no answer".into());
    assert_eq!(site.released(&site.plan()), []);
}

#[test]
fn a_machine_that_was_taken_and_not_noted_goes_to_the_pool_it_fits() {
    let mut site = Site::new(1);
    site.desired.configuration.spec.workers[0].min_cpu = Some(16);
    for name in ["a", "b", "c"] {
        site.machine(name, Status::Allocated, "");
    }
    site.of("b").cpu_count = 32;
    let plan = site.plan();
    assert_eq!(site.deployed(&plan).len(), 1);
    let noted = plan.actions.iter().find_map(|action| match action {
        Action::Note { machine, notes } => Some((machine.0.as_str(), notes[mark::POOL].as_str())),
        _ => None,
    });
    assert_eq!(noted, Some(("idb", "work")));
    assert_eq!(site.released(&plan).len(), 1, "the third fits no place that is left");
    assert_eq!(allocations(&plan), 0);
}

#[test]
fn a_machine_that_was_taken_and_not_noted_leaves_a_pool_to_what_is_free_where_only_it_fits_the_other() {
    let mut site = Site::new(1);
    site.desired.configuration.spec.workers[0].tags = vec!["ssd".into()];
    site.machine("a", Status::Allocated, "");
    site.of("a").tags = vec!["ssd".into()];
    let noted = |site: &Site| {
        let plan = site.plan();
        let pools = plan.actions.iter().find_map(|action| match action {
            Action::Note { notes, .. } | Action::Deploy { notes, .. } => Some(notes[mark::POOL].clone()),
            _ => None,
        });
        pools.unwrap()
    };
    assert_eq!(noted(&site), "control-plane", "nothing else is there");
    site.machine("b", Status::Allocated, "");
    site.observed.free = site.observed.machines.split_off(1);
    assert_eq!(noted(&site), "work");
}

#[test]
fn a_machine_that_vanished_is_told_once_unless_we_gave_it_back() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.member("b", "work");
    let memory = site.plan().memory;
    site.observed.machines.retain(|machine| machine.hostname != "b");
    let plan = site.plan_after(&memory, 1);
    let lost = |plan: &super::super::Plan| plan.events.iter().filter(|event| event.reason == "MachineLost").count();
    assert_eq!(lost(&plan), 1);
    assert!(plan.actions.iter().any(|action| matches!(action, Action::DeleteNode { node, .. } if node == "b")));
    assert_eq!(lost(&site.plan_after(&plan.memory, 2)), 0);
    let mut given_back = memory;
    let leaving = crate::memory::Leaving { hostname: "b".into(), since: at(0) };
    given_back.releasing.insert(SystemId("idb".into()), leaving);
    assert_eq!(lost(&site.plan_after(&given_back, 1)), 0);
}
