//! Pools that change places: nothing is taken apart before what takes its place stands. First by hand, then every little
//! world there is.

use super::{Site, at};
use crate::{
    limits::Limits,
    mark,
    memory::Memory,
    observed::{Api, Status},
    plan::{Action, plan},
};
use ferrogate_model::{Name, SystemId};
use serde_json::json;

/// The specification's worker pools, as names and sizes.
fn workers(site: &mut Site, pools: &[(&str, usize)]) {
    let pools: Vec<_> =
        pools.iter().map(|(name, count)| json!({"name": name, "count": count, "resource_pool": "default"})).collect();
    site.desired.configuration.spec.workers = serde_json::from_value(json!(pools)).unwrap();
}

fn two_old_and_two_new_wanted() -> Site {
    let mut site = Site::new(2);
    site.member("a", "control-plane");
    site.member("b", "old");
    site.member("c", "old");
    workers(&mut site, &[("new", 2)]);
    site
}

fn cordoned(actions: &[Action]) -> Vec<&str> {
    let cordoned = actions.iter().filter_map(|action| match action {
        Action::Cordon { node } => Some(node.as_str()),
        _ => None,
    });
    cordoned.collect()
}

#[test]
fn a_pool_swapped_for_another_stays_until_the_other_is_ready() {
    let mut site = two_old_and_two_new_wanted();
    let plan = site.plan();
    assert_eq!(cordoned(&plan.actions), [] as [&str; 0]);
    assert_eq!(plan.actions.iter().filter(|action| matches!(action, Action::Allocate { .. })).count(), 2);
    let said = "2 machines that are too many stay until 2 workers are ready without them (2 are, with them)";
    assert!(plan.waits.iter().any(|wait| wait.reason == said), "{:?}", plan.waits);
    assert!(plan.machines.iter().any(|view| view.pool.as_deref() == Some("old")), "it is shown in its pool");
    site.member("d", "new");
    assert_eq!(cordoned(&site.plan().actions), ["b"]);
    site.member("e", "new");
    assert_eq!(cordoned(&site.plan().actions), ["b", "c"]);
}

/// One pool becomes another while a third shrinks: the machine that the third can spare is the third's.
#[test]
fn a_pool_that_shrinks_does_not_pay_for_one_that_is_swapped() {
    for kept_at_zero in [false, true] {
        let mut site = Site::new(0);
        site.member("a", "control-plane");
        site.member("b", "gpu");
        for name in ["c", "d", "e"] {
            site.member(name, "web");
        }
        let mut pools = vec![("gpu2", 1), ("web", 2)];
        pools.extend(kept_at_zero.then_some(("gpu", 0)));
        workers(&mut site, &pools);
        let goes = cordoned(&site.plan().actions).join(" ");
        assert_eq!(goes, "e", "the only machine of `gpu` stays until `gpu2` has one");
        site.member("f", "gpu2");
        let mut both: Vec<String> = cordoned(&site.plan().actions).into_iter().map(str::to_owned).collect();
        both.sort();
        assert_eq!(both, ["b", "e"]);
    }
}

#[test]
fn where_no_machine_is_free_they_change_one_at_a_time_and_only_after_a_while() {
    let mut site = two_old_and_two_new_wanted();
    let mut memory = Memory::default();
    memory.note_none_free(&["new".parse().unwrap()], at(0));
    assert_eq!(cordoned(&site.plan_after(&memory, 60).actions), [] as [&str; 0]);
    assert_eq!(cordoned(&site.plan_after(&memory, 120).actions), ["b"]);
    // While the freed one is installed for its new pool, the other stays.
    site.observed.machines.retain(|machine| machine.hostname != "b");
    if let Api::Answers(nodes) = &mut site.observed.api {
        nodes.retain(|node| node.name != "b");
    }
    assert_eq!(cordoned(&site.plan_after(&memory, 200).actions), [] as [&str; 0]);
    site.machine("b", Status::Deploying, "new");
    assert_eq!(cordoned(&site.plan_after(&memory, 200).actions), [] as [&str; 0]);
}

#[test]
fn a_machine_that_would_not_fit_the_new_pool_is_not_given_up_for_it() {
    let mut site = two_old_and_two_new_wanted();
    site.desired.configuration.spec.workers[0].min_cpu = Some(64);
    let mut memory = Memory::default();
    memory.note_none_free(&["new".parse().unwrap()], at(0));
    assert_eq!(cordoned(&site.plan_after(&memory, 3600).actions), [] as [&str; 0]);
}

/// A site as the planner sees it, with a MAAS that hands out what is free.
struct World {
    site: Site,
    free: Vec<String>,
    /// Taken back by MAAS, free at the next step.
    leaving: Vec<String>,
    /// Failed to install; free again from this step on.
    cooling: Vec<(String, i64)>,
    fails_once: Option<String>,
    memory: Memory,
    none_was_free: bool,
}

impl World {
    fn name(&self, id: &SystemId) -> String {
        self.site.observed.machines.iter().find(|machine| machine.id == *id).unwrap().hostname.clone()
    }

    fn remove_node(&mut self, name: &str) {
        if let Api::Answers(nodes) = &mut self.site.observed.api {
            nodes.retain(|node| node.name != name);
        }
    }

    /// A minute goes by: what was begun ends, then one pass. Whether it found anything to do.
    fn step(&mut self, step: i64) -> bool {
        self.free.append(&mut self.leaving);
        let (warm, cooling) = std::mem::take(&mut self.cooling).into_iter().partition(|(_, until)| *until <= step);
        self.cooling = cooling;
        self.free.extend(Vec::into_iter(warm).map(|(name, _): (String, i64)| name));
        let installed: Vec<(String, String)> = self
            .site
            .observed
            .machines
            .iter()
            .filter(|machine| machine.status == Status::Deploying)
            .map(|machine| (machine.hostname.clone(), machine.note(mark::POOL).unwrap().to_owned()))
            .collect();
        for (name, pool) in installed {
            if self.fails_once.as_ref() == Some(&name) {
                self.fails_once = None;
                self.site.of(&name).status = Status::DeployFailed;
            } else {
                self.site.member(&name, &pool);
            }
        }
        let now = at(step * 60);
        let plan = plan(&self.site.desired, &self.site.observed, &self.memory, &Limits::default(), now);
        self.memory = plan.memory;
        let acted = !plan.actions.is_empty();
        let mut none_free: Vec<Name> = Vec::new();
        for action in plan.actions {
            match action {
                Action::Allocate { pool, .. } => match self.free.pop() {
                    Some(name) => self.site.machine(&name, Status::Allocated, pool.as_str()),
                    None => none_free.push(pool),
                },
                Action::Deploy { machine, pool, .. } => {
                    let name = self.name(&machine);
                    let notes = mark::notes(&self.site.desired, pool.as_str(), &name);
                    let machine = self.site.of(&name);
                    machine.status = Status::Deploying;
                    machine.owner_data = notes;
                }
                Action::Release { machine, cool, .. } => {
                    let name = self.name(&machine);
                    self.remove_node(&name);
                    self.site.observed.machines.retain(|seen| seen.id != machine);
                    if cool {
                        self.cooling.push((name, step + 20));
                    } else {
                        self.leaving.push(name);
                    }
                }
                Action::Cordon { node } => self.site.node(&node).draining_since = Some(now),
                Action::Uncordon { node } => self.site.node(&node).draining_since = None,
                Action::DeleteNode { node, .. } => self.remove_node(&node),
                _ => {}
            }
        }
        self.none_was_free |= !none_free.is_empty();
        self.memory.note_none_free(&none_free, now);
        acted
    }

    /// Workers that are ready and take pods.
    fn ready(&self) -> usize {
        let of_a_worker = |id: &SystemId| {
            let found = self.site.observed.machines.iter().find(|machine| machine.id == *id);
            found.is_some_and(|machine| machine.note(mark::POOL) != Some("control-plane"))
        };
        let nodes = self.site.observed.api.nodes().iter();
        nodes
            .filter(|node| node.draining_since.is_none() && node.not_ready.is_none())
            .filter(|node| node.machine.as_ref().is_some_and(of_a_worker))
            .count()
    }

    fn sizes(&self) -> (usize, usize) {
        let of = |pool: &str| {
            self.site.observed.machines.iter().filter(|machine| machine.note(mark::POOL) == Some(pool)).count()
        };
        (of("one"), of("two"))
    }
}

/// Two pools, every size before and after, named or not where nothing is wanted of it, every number of free machines, a
/// machine that fails to install, and a memory that is lost on the way.
#[test]
fn in_every_little_world_no_more_is_taken_apart_than_the_site_needs() {
    let sizes = || (0..=2_usize).flat_map(|one| (0..=2_usize).map(move |two| (one, two)));
    let mut worlds = 0;
    for before in sizes() {
        for after in sizes() {
            for free in 0..=3_usize {
                for bits in 0..8_u8 {
                    let (named, fails, forgets) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
                    live(before, after, free, named, fails, forgets);
                    worlds += 1;
                }
            }
        }
    }
    assert_eq!(worlds, 9 * 9 * 4 * 8);
}

fn live(before: (usize, usize), after: (usize, usize), free: usize, named: bool, fails: bool, forgets: bool) {
    let told = format!("{before:?} to {after:?}, {free} free, named {named}, fails {fails}, forgets {forgets}");
    let mut site = Site::new(0);
    site.member("a", "control-plane");
    let mut names = ('b'..='z').map(String::from);
    for pool in std::iter::repeat_n("one", before.0).chain(std::iter::repeat_n("two", before.1)) {
        site.member(&names.next().unwrap(), pool);
    }
    let pools: Vec<(&str, usize)> =
        [("one", after.0), ("two", after.1)].into_iter().filter(|(_, count)| named || *count > 0).collect();
    workers(&mut site, &pools);
    let free: Vec<String> = names.take(free).collect();
    let fails_once = free.last().filter(|_| fails).cloned();
    let (old, new) = (before.0 + before.1, after.0 + after.1);
    let needed = after.0.saturating_sub(before.0) + after.1.saturating_sub(before.1);
    let can_spare = needed <= free.len() && fails_once.is_none();
    let enough = new <= old + free.len();
    let (memory, leaving, cooling) = (Memory::default(), Vec::new(), Vec::new());
    let mut world = World { site, free, leaving, cooling, fails_once, memory, none_was_free: false };
    let mut quiet = 0;
    for step in 0..120 {
        if quiet > 10 {
            break;
        }
        if forgets && step % 7 == 6 {
            world.memory = Memory::default();
        }
        quiet = if world.step(step) || !world.cooling.is_empty() { 0 } else { quiet + 1 };
        let floor = old.min(new);
        let floor = if world.none_was_free { floor.saturating_sub(1) } else { floor };
        assert!(world.ready() >= floor, "{told}: {} ready at step {step}", world.ready());
        assert!(!(can_spare && world.none_was_free), "{told}: it took what it need not");
    }
    if enough {
        assert_eq!(world.sizes(), after, "{told}");
        assert_eq!(world.ready(), new, "{told}");
    }
}
