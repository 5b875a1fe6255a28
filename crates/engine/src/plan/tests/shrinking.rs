//! Fewer machines, and none.

use super::{Site, at};
use crate::{
    memory::{Leaving, Memory},
    observed::{Api, Endpoint, Status},
    plan::Action,
};
use ferrogate_model::{SystemId, state::MachineState};

#[test]
fn the_machine_that_costs_least_leaves_first() {
    let mut site = Site::new(3);
    site.member("a", "control-plane");
    for name in ["b", "c", "d"] {
        site.member(name, "work");
    }
    site.machine("e", Status::Allocated, "work");
    let plan = site.plan();
    assert_eq!(site.released(&plan).iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["e"]);
    site.observed.machines.retain(|machine| machine.hostname != "e");
    site.desired.configuration.spec.workers[0].count = 2;
    site.node("c").not_ready = Some("dead".into());
    assert_eq!(site.plan().actions, [Action::Cordon { node: "c".into() }]);
}

#[test]
fn a_node_is_cordoned_emptied_removed_and_given_back_in_this_order() {
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.member("b", "work");
    assert_eq!(site.plan().actions, [Action::Cordon { node: "b".into() }]);
    site.node("b").draining_since = Some(at(0));
    site.node("b").pods = vec![("default".into(), "web".into())];
    let plan = site.plan_after(&Memory::default(), 120);
    assert_eq!(plan.actions, [Action::Evict { namespace: "default".into(), pod: "web".into() }]);
    assert_eq!(
        plan.waits[0].reason,
        "b is being drained for 2 min (deadline 10 min): 1 pods left, the first is default/web"
    );
    let late = site.plan_after(&Memory::default(), 601);
    assert_eq!(site.released(&late).len(), 1);
    assert!(late.events.iter().any(|event| event.reason == "DrainIncomplete"));
    site.node("b").pods.clear();
    let plan = site.plan_after(&Memory::default(), 130);
    let why = "pool `work` has one machine too many".to_owned();
    assert_eq!(site.released(&plan), [("b".to_owned(), why, false, true)]);
}

#[test]
fn a_member_is_not_given_back_undrained_while_the_api_is_silent() {
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.member("b", "work");
    site.observed.api = Api::Silent("no route".into());
    let plan = site.plan();
    assert_eq!(plan.actions, []);
    assert!(plan.waits.iter().any(|wait| wait.reason.starts_with("b cannot be drained")));
}

#[test]
fn a_pool_that_is_gone_from_the_specification_is_drained() {
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    site.member("b", "old");
    assert_eq!(site.plan().actions, [Action::Cordon { node: "b".into() }]);
}

#[test]
fn surplus_servers_leave_one_at_a_time() {
    let mut site = Site::new(0);
    for name in ["a", "b", "c"] {
        site.member(name, "control-plane");
    }
    assert_eq!(site.plan().actions, [Action::Cordon { node: "c".into() }]);
}

#[test]
fn an_absent_cluster_gives_everything_back_but_what_somebody_works_on() {
    let mut site = Site::new(1);
    site.member("a", "control-plane");
    site.machine("b", Status::Deploying, "work");
    site.machine("c", Status::Allocated, "");
    site.machine("d", Status::Other("Broken".into()), "work");
    site.member("e", "work");
    site.of("e").locked = true;
    site.desired.absent = true;
    site.observed.endpoint = Endpoint { dns: Some(3), addresses: Vec::new() };
    let plan = site.plan();
    assert_eq!(site.released(&plan).iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(plan.actions.contains(&Action::ReleaseEndpoint));
    let causes: Vec<&str> = plan.blocks.iter().map(|block| block.cause.as_str()).collect();
    assert_eq!(
        causes,
        [
            "d is `Broken` in MAAS, so somebody works on it; it is not touched",
            "e is locked in MAAS, so it cannot be given back"
        ]
    );
}

#[test]
fn an_absent_cluster_waits_until_maas_is_done_and_blocks_where_it_never_is() {
    let mut site = Site::new(0);
    site.desired.absent = true;
    let mut memory = Memory::default();
    memory.releasing.insert(SystemId("ida".into()), Leaving { hostname: "a".into(), since: at(0) });
    site.observed.leaving = vec![SystemId("ida".into())];
    let plan = site.plan_after(&memory, 180);
    assert_eq!(plan.waits[0].reason, "MAAS has been taking a back for 3 min (deadline 60 min)");
    let late = site.plan_after(&memory, 3601);
    assert!(late.waits.is_empty() && late.blocks[0].cause.starts_with("a was given back 60 min ago"), "{late:?}");
    site.observed.leaving.clear();
    let done = site.plan_after(&memory, 200);
    assert!(done.waits.is_empty() && done.blocks.is_empty() && done.memory.releasing.is_empty());
    assert_eq!(done.events[0].message, "a is free again");
}

#[test]
fn machines_on_their_way_back_are_shown_as_such() {
    let mut site = Site::new(0);
    site.desired.absent = true;
    site.machine("a", Status::Releasing, "control-plane");
    let plan = site.plan();
    assert_eq!(plan.actions, []);
    assert_eq!(plan.machines[0].state, MachineState::Releasing);
    assert_eq!(plan.waits.len(), 1);
}
