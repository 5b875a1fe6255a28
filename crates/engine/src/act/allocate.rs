//! Taking machines: those that were chosen, each by its id.

use super::{Executor, Report};
use crate::{
    mark, observe,
    observed::Machine,
    plan::{
        Action,
        fit::{self, Slot},
        words,
    },
};
use ferrogate_maas::{Allocate, MaasError, types};
use ferrogate_model::{Explain, Name, SystemId, cluster::PoolSpec, fault};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use std::collections::{BTreeMap, BTreeSet};

/// How often the choice is made anew in one pass where somebody else takes what was chosen; the next pass goes on.
const ROUNDS: usize = 4;

/// What came of asking for one machine.
enum Asked<'a> {
    /// It was taken, or something else than this machine is in the way.
    Done(Report),
    /// It cannot be had: the slot is still open.
    Refused(Slot<'a>, SystemId, MaasError),
}

/// Takes a machine for each slot that the plan found open, with the mark in the same call. Which one is decided for all
/// slots together and as preflight decides it, so that no pool takes what only another could use. MAAS alone cannot: it
/// sees one call at a time.
pub(super) async fn allocate(executor: &Executor<'_>) -> Report {
    let mut report = Report::default();
    let mut open = slots(executor);
    let mut refused: BTreeSet<SystemId> = BTreeSet::new();
    let mut refusals: BTreeMap<Name, MaasError> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut free = match observe::free(executor.engine.maas(), executor.cooling, executor.now).await {
            Ok(free) => free,
            Err(error) => {
                report.merge(Report::maas(executor.now, "the free machines", &error));
                return report;
            }
        };
        free.retain(|machine| !refused.contains(&machine.id));
        let wishes = fit::wishes(&open, &free.iter().collect::<Vec<_>>(), &executor.desired.configuration.release);
        let mut work: Vec<BoxFuture<'_, Asked<'_>>> = Vec::new();
        let mut short = Vec::new();
        for (slot, machine) in open.into_iter().zip(fit::choose(&wishes, free.len(), free.len())) {
            match machine {
                Some(machine) => work.push(take(executor, slot, free[machine].clone()).boxed()),
                None => short.push(slot),
            }
        }
        let before = refused.len();
        let mut running = stream::iter(work).buffer_unordered(executor.engine.limits().parallel.max(1));
        open = short;
        while let Some(asked) = running.next().await {
            match asked {
                Asked::Done(done) => report.merge(done),
                Asked::Refused(slot, machine, error) => {
                    refused.insert(machine);
                    refusals.insert(slot.spec.name.clone(), error);
                    open.push(slot);
                }
            }
        }
        open.sort_by_key(|slot| slot.pool);
        if open.is_empty() {
            return report;
        }
        if refused.len() == before {
            open.dedup_by_key(|slot| slot.pool);
            for slot in open {
                report.merge(none_left(executor, slot.spec, refusals.get(&slot.spec.name)));
            }
            return report;
        }
    }
    report.merge(Report::wait(executor.now, "somebody else takes machines at the same time".into()));
    report
}

/// What the plan asks for, in the order of the pools.
fn slots<'a>(executor: &Executor<'a>) -> Vec<Slot<'a>> {
    let pools: Vec<&PoolSpec> = executor.desired.configuration.spec.pools().collect();
    let mut slots = Vec::new();
    for action in &executor.plan.actions {
        let Action::Allocate { pool: name, zones } = action else { continue };
        let Some(pool) = pools.iter().position(|spec| spec.name == *name) else { continue };
        slots.push(Slot { pool, spec: pools[pool], zones: zones.clone() });
    }
    slots
}

/// Takes one machine and writes down what it is for.
async fn take<'a>(executor: &Executor<'_>, slot: Slot<'a>, machine: Machine) -> Asked<'a> {
    let wanted = Allocate { system_id: Some(machine.id.clone()), ..constraints(executor, slot.spec) };
    match executor.engine.maas().allocate(&wanted).await {
        Ok(machine) => Asked::Done(note(executor, &slot.spec.name, &machine).await),
        // Somebody else was faster, or it is not any more what it was when it was listed.
        Err(error) if error.is_no_machine() => Asked::Refused(slot, machine.id, error),
        Err(error) => Asked::Done(Report::maas(executor.now, &format!("pool `{}`", slot.spec.name), &error)),
    }
}

fn constraints(executor: &Executor<'_>, spec: &PoolSpec) -> Allocate {
    let desired = executor.desired;
    // MAAS takes one architecture or all; where the release has one, no other may come.
    let architecture = match desired.configuration.release.architectures.as_slice() {
        [only] => Some(only.name.clone()),
        _ => None,
    };
    Allocate {
        agent_name: Some(mark::agent_name(&desired.configuration.cluster)),
        architecture,
        cpu_count: spec.min_cpu,
        memory_mib: spec.min_memory_mib,
        storage: spec.min_disk_gib.map(|gib| format!("root:{}", gib_to_gb(gib))),
        pool: Some(spec.resource_pool.clone()),
        tags: spec.tags.clone(),
        comment: Some(format!("ferrogate: for pool {} of cluster {}", spec.name, desired.configuration.name)),
        ..Allocate::default()
    }
}

/// MAAS counts disks in GB (10⁹ bytes); rounded up, so that nothing smaller comes.
fn gib_to_gb(gib: u64) -> u64 {
    gib.saturating_mul(fit::GIB).div_ceil(1_000_000_000)
}

/// Writes down what the machine is for. If this is never done, the mark is enough to find it again.
async fn note(executor: &Executor<'_>, pool: &Name, machine: &types::Machine) -> Report {
    let mut notes = mark::notes(executor.desired, pool.as_str(), "");
    notes.remove(mark::NODE);
    let mut report = Report::changed();
    report.merge(executor.note(&machine.system_id, &notes).await);
    report
}

fn none_left(executor: &Executor<'_>, spec: &PoolSpec, error: Option<&MaasError>) -> Report {
    let wanted = wanted_in_words(spec);
    let cooling = cooling_in_words(executor.cooling, executor);
    let cause = match error {
        Some(error) if cooling.is_empty() => {
            format!("no free machine for pool `{}` ({wanted}): {}", spec.name, fault::chain(error))
        }
        Some(_) | None => format!("no free machine for pool `{}` ({wanted}){cooling}", spec.name),
    };
    let hint = error
        .and_then(Explain::hint)
        .unwrap_or_else(|| format!("add or free a machine in resource pool `{}`, or ask for less", spec.resource_pool));
    Report { none_free: vec![spec.name.clone()], ..Report::block(cause, Some(hint)) }
}

fn wanted_in_words(spec: &PoolSpec) -> String {
    let mut parts = vec![format!("resource pool {}", spec.resource_pool)];
    if !spec.zones.is_empty() {
        parts.push(format!("zone {}", spec.zones.join(" or ")));
    }
    parts.extend(spec.min_cpu.map(|least| format!("{least} CPU or more")));
    parts.extend(spec.min_memory_mib.map(|least| format!("{least} MiB or more")));
    parts.extend(spec.min_disk_gib.map(|least| format!("a disk of {least} GiB or more")));
    if !spec.tags.is_empty() {
        parts.push(format!("tags {}", spec.tags.join(" and ")));
    }
    parts.join(", ")
}

fn cooling_in_words(cooling: &BTreeMap<SystemId, crate::memory::Cooling>, executor: &Executor<'_>) -> String {
    let each: Vec<String> = cooling
        .values()
        .map(|machine| {
            let left = words::in_words(words::elapsed(executor.now, machine.until));
            format!("{} is left alone for another {left} ({})", machine.hostname, machine.reason)
        })
        .collect();
    if each.is_empty() { String::new() } else { format!("; {}", each.join("; ")) }
}
