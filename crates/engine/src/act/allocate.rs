//! Taking machines.

use super::{Executor, Report};
use crate::{
    mark, observe,
    plan::{fit, words},
};
use ferrogate_maas::{Allocate, MaasError, MachineFilter, types};
use ferrogate_model::{Explain, Name, SystemId, cluster::PoolSpec, fault};
use std::collections::BTreeMap;

/// Takes one machine for a pool, with the mark in the same call.
pub(super) async fn allocate(executor: &Executor<'_>, pool: &Name, zones: &[String]) -> Report {
    let Some(spec) = executor.desired.spec.pools().find(|spec| spec.name == *pool) else { return Report::default() };
    let wanted = constraints(executor, spec);
    let result = if executor.cooling.is_empty() {
        by_constraints(executor, wanted, zones).await
    } else {
        by_name(executor, spec, wanted, zones).await
    };
    match result {
        Ok(Some(machine)) => note(executor, pool, &machine).await,
        Ok(None) => none_left(executor, spec, None),
        Err(error) if error.is_no_machine() => none_left(executor, spec, Some(&error)),
        Err(error) => Report::maas(executor.now, &format!("pool `{pool}`"), &error),
    }
}

fn constraints(executor: &Executor<'_>, spec: &PoolSpec) -> Allocate {
    let desired = executor.desired;
    // MAAS takes one architecture or all; where the release has one, no other may come.
    let architecture = match desired.release.architectures.as_slice() {
        [only] => Some(only.name.clone()),
        _ => None,
    };
    Allocate {
        agent_name: Some(mark::agent_name(&desired.cluster)),
        architecture,
        cpu_count: spec.min_cpu,
        memory_mib: spec.min_memory_mib,
        storage: spec.min_disk_gib.map(|gib| format!("root:{}", gib_to_gb(gib))),
        pool: Some(spec.resource_pool.clone()),
        tags: spec.tags.clone(),
        comment: Some(format!("ferrogate: for pool {} of cluster {}", spec.name, desired.name)),
        ..Allocate::default()
    }
}

/// MAAS counts disks in GB (10⁹ bytes); rounded up, so that nothing smaller comes.
fn gib_to_gb(gib: u64) -> u64 {
    gib.saturating_mul(fit::GIB).div_ceil(1_000_000_000)
}

/// Lets MAAS choose, in one zone after the other.
async fn by_constraints(
    executor: &Executor<'_>,
    wanted: Allocate,
    zones: &[String],
) -> Result<Option<types::Machine>, MaasError> {
    if zones.is_empty() {
        return executor.engine.maas().allocate(&wanted).await.map(Some);
    }
    let mut last = None;
    for zone in zones {
        let wanted = Allocate { zones: vec![zone.clone()], ..wanted.clone() };
        match executor.engine.maas().allocate(&wanted).await {
            Ok(machine) => return Ok(Some(machine)),
            Err(error) if error.is_no_machine() => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    last.map_or(Ok(None), Err)
}

/// Chooses itself, because some machines are left alone for a while and MAAS cannot be told which.
async fn by_name(
    executor: &Executor<'_>,
    spec: &PoolSpec,
    wanted: Allocate,
    zones: &[String],
) -> Result<Option<types::Machine>, MaasError> {
    let filter = MachineFilter {
        pools: vec![spec.resource_pool.clone()],
        status: Some("ready".into()),
        ..MachineFilter::default()
    };
    let mut candidates: Vec<_> = executor.engine.maas().machines(&filter).await?.iter().map(observe::machine).collect();
    candidates.retain(|machine| {
        !machine.locked
            && !executor.cooling.contains_key(&machine.id)
            && fit::fits(spec, machine, &executor.desired.release)
    });
    let zone_rank = |zone: &str| zones.iter().position(|wanted| wanted == zone).unwrap_or(zones.len());
    // As MAAS does it: the smallest that fits.
    candidates.sort_by_key(|machine| {
        (zone_rank(&machine.zone), machine.cpu_count, machine.memory_mib, machine.disk_bytes, machine.id.clone())
    });
    for candidate in candidates {
        let wanted = Allocate { system_id: Some(candidate.id), ..wanted.clone() };
        match executor.engine.maas().allocate(&wanted).await {
            Ok(machine) => return Ok(Some(machine)),
            // Somebody else was faster.
            Err(error) if error.is_no_machine() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
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
