//! Are there enough machines, and which would be taken?

use super::{Check, GATEWAY_GOOD_DISK_GIB, place::Place};
use crate::{
    mark, observe,
    observed::Machine,
    ownership,
    plan::fit::{self, GIB},
};
use ferrogate_maas::{MaasError, MachineFilter, types};
use ferrogate_model::{Explain, cluster::PoolSpec, fault};

pub(super) const TITLE: &str = "Machines";
const ID: &str = "machines";

/// A machine that would be taken, or is held already.
pub(super) struct Chosen {
    pub(super) record: types::Machine,
    pub(super) held: bool,
}

/// The check, and the machines that would be taken.
pub(super) async fn check(place: &Place<'_>, gateway: bool) -> (Check, Vec<Chosen>) {
    match choose(place).await {
        Err(error) => (Check::fail(ID, TITLE, fault::chain(&error), hint(&error)), Vec::new()),
        Ok((chosen, missing, free)) if missing.is_empty() => (enough(place, &chosen, &free, gateway), chosen),
        Ok((chosen, missing, free)) => (too_few(place, &missing, &free), chosen),
    }
}

pub(super) fn hint(error: &MaasError) -> String {
    error.hint().unwrap_or_else(|| "correct the cause and check again".into())
}

/// The machines chosen, the numbers of the pools that stay short (once for each machine), and all that are free.
async fn choose(place: &Place<'_>) -> Result<(Vec<Chosen>, Vec<usize>, Vec<types::Machine>), MaasError> {
    let mut free =
        place.maas.machines(&MachineFilter { status: Some("ready".into()), ..MachineFilter::default() }).await?;
    // Whatever the list shows: only what is free can be had.
    free.retain(|machine| machine.status == types::MachineStatus::Ready && !machine.locked);
    // As MAAS hands them out: the smallest that fits.
    free.sort_by_key(|machine| (machine.cpu_count, machine.memory, machine.hostname.clone()));
    let held = match place.cluster {
        Some(cluster) => ownership::machines_of(place.maas, &cluster).await?,
        None => Vec::new(),
    };
    let pools: Vec<&PoolSpec> = place.spec.pools().collect();
    let mut places = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        let there = held.iter().filter(|machine| noted_pool(machine) == Some(pool.name.as_str())).count();
        places.extend(std::iter::repeat_n(number, (pool.count as usize).saturating_sub(there)));
    }
    let machines: Vec<Machine> = free.iter().map(observe::machine).collect();
    let fits: Vec<Vec<usize>> = machines
        .iter()
        .map(|machine| {
            let fits = |pool: usize| fit::fits(pools[pool], machine, place.release);
            places.iter().enumerate().filter(|(_, pool)| fits(**pool)).map(|(index, _)| index).collect()
        })
        .collect();
    let seats = fit::matching(&fits, places.len());
    let missing = (0..places.len()).filter(|index| !seats.contains(&Some(*index))).map(|index| places[index]).collect();
    let mut chosen: Vec<Chosen> = held.into_iter().map(|record| Chosen { record, held: true }).collect();
    let taken = free.iter().zip(&seats).filter(|(_, seat)| seat.is_some());
    chosen.extend(taken.map(|(record, _)| Chosen { record: record.clone(), held: false }));
    Ok((chosen, missing, free))
}

fn noted_pool(machine: &types::Machine) -> Option<&str> {
    machine.owner_data.get(mark::POOL).or_else(|| machine.workload_annotations.get(mark::POOL)).map(String::as_str)
}

fn enough(place: &Place<'_>, chosen: &[Chosen], free: &[types::Machine], gateway: bool) -> Check {
    let names = |held: bool| {
        let list: Vec<String> =
            chosen.iter().filter(|one| one.held == held).map(|one| size_in_words(&one.record)).collect();
        list.join("; ")
    };
    let mut seen = Vec::new();
    if chosen.iter().any(|one| one.held) {
        seen.push(format!("already taken: {}", names(true)));
    }
    if chosen.iter().any(|one| !one.held) {
        seen.push(format!("would take {} of {} free: {}", place.spec.machine_count(), free.len(), names(false)));
    }
    let seen = seen.join("; ");
    if !gateway {
        return Check::pass(ID, TITLE, seen);
    }
    let small: Vec<&str> = chosen
        .iter()
        .filter(|one| !one.record.has_disk_of(GATEWAY_GOOD_DISK_GIB))
        .map(|one| one.record.hostname.as_str())
        .collect();
    let mut advice = Vec::new();
    if !small.is_empty() {
        advice.push(format!(
            "{} has less than {GATEWAY_GOOD_DISK_GIB} GiB of disk, which fills up in long use",
            small.join(", ")
        ));
    }
    if place.spec.control_plane.count == 1 {
        advice.push("one node has no spare: use 3 nodes in production".to_owned());
    }
    if advice.is_empty() { Check::pass(ID, TITLE, seen) } else { Check::warn(ID, TITLE, seen, advice.join("; ")) }
}

fn too_few(place: &Place<'_>, missing: &[usize], free: &[types::Machine]) -> Check {
    let pools: Vec<&PoolSpec> = place.spec.pools().collect();
    let mut seen = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        let short = missing.iter().filter(|missing| **missing == number).count();
        if short > 0 {
            seen.push(format!(
                "pool `{}` needs {} ({}), {short} too many for what is free; {}",
                pool.name,
                pool.count,
                asked_in_words(pool),
                near_misses(place, pool, free)
            ));
        }
    }
    let fix =
        "add machines or commission more in MAAS, free some, choose another zone or resource pool, or ask for less";
    Check::fail(ID, TITLE, seen.join("; "), fix)
}

fn near_misses(place: &Place<'_>, pool: &PoolSpec, free: &[types::Machine]) -> String {
    let mut others: Vec<&types::Machine> =
        free.iter().filter(|record| !fit::fits(pool, &observe::machine(record), place.release)).collect();
    // A machine in the right place that is only too small tells more than one that was never meant.
    others.sort_by_key(|record| {
        let machine = observe::machine(record);
        (machine.resource_pool != pool.resource_pool, !pool.zones.is_empty() && !pool.zones.contains(&machine.zone))
    });
    let near: Vec<String> = others
        .into_iter()
        .take(5)
        .map(|record| format!("{} does not fit: {}", record.hostname, why_not(place, pool, record)))
        .collect();
    if near.is_empty() { format!("{} machines are free", free.len()) } else { near.join(", ") }
}

fn why_not(place: &Place<'_>, pool: &PoolSpec, record: &types::Machine) -> String {
    let machine = observe::machine(record);
    if machine.resource_pool != pool.resource_pool {
        return format!("resource pool {}", machine.resource_pool);
    }
    if !pool.zones.is_empty() && !pool.zones.contains(&machine.zone) {
        return format!("zone {}", machine.zone);
    }
    if let Some(least) = pool.min_cpu.filter(|least| machine.cpu_count < *least) {
        return format!("{} CPU, {least} are needed", machine.cpu_count);
    }
    if let Some(least) = pool.min_memory_mib.filter(|least| machine.memory_mib < *least) {
        return format!("{} MiB of memory, {least} are needed", machine.memory_mib);
    }
    if let Some(least) = pool.min_disk_gib.filter(|least| machine.disk_bytes < least.saturating_mul(GIB)) {
        return format!("{} GiB of disk, {least} are needed", machine.disk_bytes / GIB);
    }
    if let Some(tag) = pool.tags.iter().find(|tag| !machine.tags.contains(tag)) {
        return format!("no tag `{tag}`");
    }
    if place.release.for_architecture(&machine.architecture).is_none() {
        return format!("architecture {}", machine.architecture);
    }
    "it fits".into()
}

fn asked_in_words(pool: &PoolSpec) -> String {
    let mut parts = vec![format!("resource pool {}", pool.resource_pool)];
    if !pool.zones.is_empty() {
        parts.push(format!("zone {}", pool.zones.join(" or ")));
    }
    parts.extend(pool.min_cpu.map(|least| format!("at least {least} CPU")));
    parts.extend(pool.min_memory_mib.map(|least| format!("{least} MiB")));
    parts.extend(pool.min_disk_gib.map(|least| format!("{least} GiB")));
    parts.join(", ")
}

fn size_in_words(record: &types::Machine) -> String {
    let disk = observe::machine(record).disk_bytes / GIB;
    format!("{} ({} CPU, {} MiB, {disk} GiB, {})", record.hostname, record.cpu_count, record.memory, record.zone.name)
}
