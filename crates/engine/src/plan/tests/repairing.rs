//! Members that stop working: restarted, replaced, and left alone where it is not their fault.

use super::{Site, at};
use crate::{
    memory::{Memory, RepairStep},
    observed::Api,
    plan::Action,
};
use ferrogate_model::SystemId;

/// A control plane of this many and workers of that many, all healthy: servers a, b, c …, workers p, q, r …
fn healthy(servers: u32, workers: u32) -> Site {
    let mut site = Site::new(workers);
    site.desired.configuration.spec.control_plane.count = servers;
    site.observed.endpoint.addresses = vec!["10.0.0.99".parse().unwrap()];
    for (first, count, pool) in [(b'a', servers, "control-plane"), (b'p', workers, "work")] {
        for number in 0..count {
            site.member(&char::from(first + u8::try_from(number).unwrap()).to_string(), pool);
        }
    }
    site
}

fn silence(site: &mut Site, names: &[&str]) {
    for name in names {
        site.node(name).not_ready = Some("kubelet stopped posting".into());
    }
}

fn switched(actions: &[Action]) -> Vec<(&str, bool)> {
    let switched = actions.iter().filter_map(|action| match action {
        Action::Switch { machine, on, .. } => Some((machine.0.as_str(), *on)),
        _ => None,
    });
    switched.collect()
}

fn is_touched(actions: &[Action]) -> bool {
    actions.iter().any(|action| !matches!(action, Action::Note { .. }))
}

#[test]
fn a_silent_worker_is_restarted_once_and_then_replaced_by_another_machine() {
    let mut site = healthy(1, 2);
    silence(&mut site, &["p"]);
    let (memory, actions) = site.watched(&Memory::default(), 0, 300);
    assert_eq!(actions, []);
    let plan = site.plan_after(&memory, 301);
    assert_eq!(switched(&plan.actions), [("idp", false)]);
    assert_eq!(plan.events[0].message, "p is restarted, because its node has not been ready for 5 min");
    // It goes on as soon as it is off, not before.
    let early = site.plan_after(&plan.memory, 303);
    assert_eq!(early.actions, []);
    site.of("p").powered = Some(false);
    let plan = site.plan_after(&early.memory, 305);
    assert_eq!(switched(&plan.actions), [("idp", true)]);
    site.of("p").powered = Some(true);
    let (memory, actions) = site.watched(&plan.memory, 320, 305 + 600);
    assert_eq!(actions, []);
    let plan = site.plan_after(&memory, 906);
    let released = site.released(&plan);
    assert_eq!(released.len(), 1, "{:?}", plan.actions);
    let (name, why, cool, node) = &released[0];
    assert_eq!((name.as_str(), *cool, *node), ("p", true, true));
    assert_eq!(
        why,
        "its node was not ready within 10 min after a restart: its node is not ready: kubelet stopped posting"
    );
    assert!(plan.actions.iter().any(|action| matches!(action, Action::Allocate { .. })));
}

#[test]
fn a_machine_without_power_is_switched_on_at_once_and_one_that_recovers_is_left_alone() {
    let mut site = healthy(1, 2);
    silence(&mut site, &["p"]);
    site.of("p").powered = Some(false);
    let (memory, actions) = site.watched(&Memory::default(), 0, 360);
    assert_eq!(switched(&actions), [("idp", true)]);
    site.node("p").not_ready = None;
    let (memory, actions) = site.watched(&memory, 370, 1200);
    assert_eq!(actions, []);
    assert_eq!(memory.repairs[&SystemId("idp".into())].step, RepairStep::Recovered);
    // The second time within the hour a restart is no help.
    silence(&mut site, &["p"]);
    let (_, actions) = site.watched(&memory, 1260, 1260 + 360);
    assert_eq!(switched(&actions), []);
    assert!(actions.iter().any(|action| matches!(action, Action::Release { cool: true, .. })), "{actions:?}");
    site.node("p").not_ready = None;
    let (memory, _) = site.watched(&memory, 1260, 6000);
    assert!(memory.repairs.is_empty(), "an hour later it is forgotten");
}

#[test]
fn where_no_member_answers_or_most_are_silent_nothing_is_touched() {
    for servers in [1, 3] {
        let mut site = healthy(servers, 2);
        site.observed.api = Api::Silent("no route".into());
        let (_, actions) = site.watched(&Memory::default(), 0, 7200);
        assert_eq!(actions, [], "{servers} servers, none answers");
        let mut site = healthy(servers, 2);
        let names: Vec<String> = site.observed.machines.iter().map(|machine| machine.hostname.clone()).collect();
        silence(&mut site, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let (_, actions) = site.watched(&Memory::default(), 0, 7200);
        assert!(!is_touched(&actions), "{servers} servers, all silent: {actions:?}");
    }
    let mut site = healthy(1, 2);
    silence(&mut site, &["p", "q"]);
    let (memory, actions) = site.watched(&Memory::default(), 0, 7200);
    assert!(!is_touched(&actions), "both workers at once: {actions:?}");
    let plan = site.plan_after(&memory, 7260);
    assert!(plan.waits[0].reason.starts_with("2 of 3 nodes are not ready at once"), "{:?}", plan.waits);
}

#[test]
fn time_in_which_nobody_looked_does_not_count() {
    let mut site = healthy(1, 2);
    silence(&mut site, &["p"]);
    let (memory, _) = site.watched(&Memory::default(), 0, 60);
    // The site is cut off for ten minutes; the first look afterwards still shows what was last reported.
    let plan = site.plan_after(&memory, 60 + 600);
    assert_eq!(plan.actions, []);
    let (memory, actions) = site.watched(&plan.memory, 661, 661 + 60);
    assert_eq!(actions, []);
    site.node("p").not_ready = None;
    let plan = site.plan_after(&memory, 780);
    assert_eq!((plan.actions, plan.memory.repairs.len()), (vec![], 0));
    // The same for a machine that could not download while the plane was away.
    let mut site = healthy(1, 1);
    site.machine("q", crate::observed::Status::Deployed, "work");
    site.desired.configuration.spec.workers[0].count = 2;
    let (memory, _) = site.watched(&Memory::default(), 0, 600);
    assert_eq!(site.released(&site.plan_after(&memory, 600 + 3600)), []);
    assert_eq!(memory.looked, Some(at(600)));
}

#[test]
fn one_machine_at_a_time_and_none_while_another_comes() {
    let mut site = healthy(1, 5);
    silence(&mut site, &["p", "q"]);
    let (memory, actions) = site.watched(&Memory::default(), 0, 360);
    assert_eq!(switched(&actions), [("idp", false)]);
    // The second has its turn when the first is well again.
    site.node("p").not_ready = None;
    let (_, actions) = site.watched(&memory, 361, 361);
    assert_eq!(switched(&actions), [("idq", false)]);
    let mut site = healthy(1, 2);
    silence(&mut site, &["p"]);
    site.desired.configuration.spec.workers[0].count = 3;
    site.machine("r", crate::observed::Status::Deploying, "work");
    let (_, actions) = site.watched(&Memory::default(), 0, 600);
    assert_eq!(switched(&actions), []);
}

#[test]
fn a_server_is_repaired_only_while_the_others_have_the_majority() {
    let mut site = healthy(3, 0);
    silence(&mut site, &["c"]);
    let (memory, actions) = site.watched(&Memory::default(), 0, 360);
    assert_eq!(switched(&actions), [("idc", false)]);
    let (_, actions) = site.watched(&memory, 420, 1200);
    assert!(actions.iter().any(|a| matches!(a, Action::Release { machine, .. } if machine.0 == "idc")), "{actions:?}");
    // One of two that remain is not a majority.
    let mut site = healthy(3, 4);
    silence(&mut site, &["b", "c"]);
    let (_, actions) = site.watched(&Memory::default(), 0, 7200);
    assert!(!is_touched(&actions), "{actions:?}");
    // A single server is its cluster.
    let mut site = healthy(1, 2);
    silence(&mut site, &["a"]);
    let (_, actions) = site.watched(&Memory::default(), 0, 7200);
    assert!(!is_touched(&actions), "{actions:?}");
}

#[test]
fn a_server_whose_node_is_gone_is_kept_while_the_majority_needs_it() {
    let mut site = healthy(3, 0);
    site.node("b").machine = None;
    silence(&mut site, &["c"]);
    let (memory, actions) = site.watched(&Memory::default(), 0, 3600);
    assert!(!actions.iter().any(|action| matches!(action, Action::Release { .. })), "{actions:?}");
    let plan = site.plan_after(&memory, 3660);
    assert!(plan.waits.iter().any(|wait| wait.reason.contains("too few for etcd's majority")), "{:?}", plan.waits);
}

#[test]
fn a_locked_machine_is_not_repaired() {
    let mut site = healthy(1, 2);
    silence(&mut site, &["p"]);
    site.of("p").locked = true;
    let (_, actions) = site.watched(&Memory::default(), 0, 7200);
    assert!(!is_touched(&actions), "{actions:?}");
}
