//! Are there enough machines, and which would be taken?

use super::{Check, GATEWAY_GOOD_DISK_GIB, placement::Placement};
use crate::{
    mark, observe,
    observed::Machine,
    ownership,
    plan::fit::{self, GIB, Slot},
};
use ferrogate_maas::{MaasError, types};
use ferrogate_model::{Explain, Name, cluster::PoolSpec, fault};

pub(super) const TITLE: &str = "Machines";
const ID: &str = "machines";

/// A machine that the cluster has, or would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What MAAS shows of it.
    pub record: types::Machine,
    /// The pool it is for; `None` where its pool is not named any more, or nobody knows.
    pub pool: Option<Name>,
    /// How it comes to the pool.
    pub how: How,
}

/// How a machine comes to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The cluster has it already.
    Held,
    /// It was taken for the cluster, and nobody lived to write down what for: it is adopted.
    Adopted,
    /// It is free.
    Free,
    /// Another pool of the cluster has it now, and gives it up for this one.
    Handed,
}

impl Chosen {
    /// The size of the disk it starts from, in GiB; of all disks where MAAS does not say which that is.
    #[must_use]
    pub fn disk_gib(&self) -> u64 {
        observe::machine(&self.record).disk_bytes / GIB
    }
}

/// What was found.
struct Choice {
    chosen: Vec<Chosen>,
    /// The numbers of the pools that stay short, once for each machine.
    missing: Vec<usize>,
    /// All that are free.
    free: Vec<types::Machine>,
}

/// The check, and the machines that the cluster has and would take.
pub(super) async fn check(placement: &Placement<'_>, gateway: bool) -> (Check, Vec<Chosen>) {
    match look(placement).await {
        Err(error) => (Check::fail(ID, TITLE, fault::chain(&error), hint(&error)), Vec::new()),
        Ok((held, free)) => {
            let choice = choose(placement, held, free);
            let check = if choice.missing.is_empty() {
                enough(placement, &choice, gateway)
            } else {
                too_few(placement, &choice.missing, &choice.free)
            };
            (check, choice.chosen)
        }
    }
}

pub(super) fn hint(error: &MaasError) -> String {
    error.hint().unwrap_or_else(|| "correct the cause and check again".into())
}

/// What the cluster has, and what is free.
async fn look(placement: &Placement<'_>) -> Result<(Vec<types::Machine>, Vec<types::Machine>), MaasError> {
    let free = observe::free_records(placement.maas).await?;
    let held = match placement.cluster {
        Some(cluster) => ownership::machines_of(placement.maas, &cluster, &[]).await?,
        None => Vec::new(),
    };
    Ok((held, free))
}

/// The one choice of machines: what the engine will adopt, what it would take, and what one pool hands to another.
fn choose(placement: &Placement<'_>, mut held: Vec<types::Machine>, free: Vec<types::Machine>) -> Choice {
    let pools: Vec<&PoolSpec> = placement.spec.pools().collect();
    let number = |record: &types::Machine| {
        let noted = noted_pool(record)?;
        pools.iter().position(|pool| pool.name.as_str() == noted)
    };
    // The order in which the engine looks at them.
    held.sort_by(|a, b| (&a.hostname, &a.system_id).cmp(&(&b.hostname, &b.system_id)));
    let (noted, unnoted): (Vec<_>, Vec<_>) = held
        .into_iter()
        .partition(|record| noted_pool(record).is_some() || record.status != types::MachineStatus::Allocated);
    let there = |pool: usize| noted.iter().filter(|record| number(record) == Some(pool)).count();
    let short: Vec<usize> = (0..pools.len())
        .flat_map(|pool| std::iter::repeat_n(pool, (pools[pool].count as usize).saturating_sub(there(pool))))
        .collect();
    let own: Vec<Machine> = unnoted.iter().map(observe::machine).collect();
    // In the order in which the engine takes them.
    let mut machines: Vec<Machine> = free.iter().map(observe::machine).collect();
    fit::smallest_first(&mut machines);
    let (own, others): (Vec<&Machine>, Vec<&Machine>) = (own.iter().collect(), machines.iter().collect());
    let adopted = fit::adopt(&own, &others, &pools, &short, placement.release);
    let name = |pool: Option<usize>| pool.map(|pool| pools[pool].name.clone());
    let mut chosen: Vec<Chosen> = Vec::new();
    for record in &noted {
        chosen.push(Chosen { record: record.clone(), pool: name(number(record)), how: How::Held });
    }
    for (record, pool) in unnoted.into_iter().zip(adopted) {
        // What fits nowhere is given back.
        chosen.push(Chosen { record, pool: name(pool), how: if pool.is_some() { How::Adopted } else { How::Held } });
    }
    let handed = given_up(&pools, &noted, &number);
    machines.extend(handed.iter().map(observe::machine));
    let mut slots = Vec::new();
    for (pool, &spec) in pools.iter().enumerate() {
        let has = |one: &&Chosen| one.pool.as_ref() == Some(&spec.name);
        let zones: Vec<&str> = chosen.iter().filter(has).map(|one| one.record.zone.name.as_str()).collect();
        slots.extend(fit::zones_in_turn(spec, &zones).into_iter().map(|zones| Slot { pool, spec, zones }));
    }
    let mut wishes = fit::wishes(&slots, &machines.iter().collect::<Vec<_>>(), placement.release);
    for (slot, wishes) in slots.iter().zip(&mut wishes) {
        // A server's slot is not taken by what was a worker until a moment ago.
        wishes.retain(|machine| *machine < free.len() || slot.pool > 0);
    }
    let mut missing = Vec::new();
    for (slot, machine) in slots.iter().zip(fit::choose(&wishes, machines.len(), free.len())) {
        match machine {
            None => missing.push(slot.pool),
            Some(machine) => {
                let how = if machine < free.len() { How::Free } else { How::Handed };
                let record = free.iter().chain(&handed).find(|record| record.system_id == machines[machine].id);
                let pool = name(Some(slot.pool));
                chosen.extend(record.map(|record| Chosen { record: record.clone(), pool, how }));
            }
        }
    }
    Choice { chosen, missing, free }
}

/// Workers of pools that are not named any more or are to be smaller: what another pool may have instead.
fn given_up(
    pools: &[&PoolSpec],
    noted: &[types::Machine],
    number: &dyn Fn(&types::Machine) -> Option<usize>,
) -> Vec<types::Machine> {
    let is_usable = |record: &&types::Machine| record.status == types::MachineStatus::Deployed && !record.locked;
    let mut all: Vec<types::Machine> =
        noted.iter().filter(|record| noted_pool(record).is_some() && number(record).is_none()).cloned().collect();
    for (pool, spec) in pools.iter().enumerate().skip(1) {
        let there: Vec<&types::Machine> = noted.iter().filter(|record| number(record) == Some(pool)).collect();
        let surplus = there.len().saturating_sub(spec.count as usize);
        all.extend(there.into_iter().rev().take(surplus).cloned());
    }
    all.retain(|record| is_usable(&record));
    all
}

fn noted_pool(machine: &types::Machine) -> Option<&str> {
    machine.owner_data.get(mark::POOL).or_else(|| machine.workload_annotations.get(mark::POOL)).map(String::as_str)
}

fn enough(placement: &Placement<'_>, choice: &Choice, gateway: bool) -> Check {
    let chosen = &choice.chosen;
    let count = |how: How| chosen.iter().filter(|one| one.how == how).count();
    let names = |how: How| {
        let list: Vec<String> =
            chosen.iter().filter(|one| one.how == how).map(|one| size_in_words(&one.record)).collect();
        list.join("; ")
    };
    let mut seen = Vec::new();
    if count(How::Held) > 0 {
        seen.push(format!("already taken: {}", names(How::Held)));
    }
    if count(How::Adopted) > 0 {
        seen.push(format!("already taken, installed next: {}", names(How::Adopted)));
    }
    if count(How::Free) > 0 {
        seen.push(format!("would take {} of {} free: {}", count(How::Free), choice.free.len(), names(How::Free)));
    }
    if count(How::Handed) > 0 {
        seen.push(format!(
            "too few are free to build the new beside the old, so {} of the cluster's own change their pool, one at a time: {}",
            count(How::Handed),
            names(How::Handed)
        ));
    }
    let seen = seen.join("; ");
    if count(How::Handed) > 0 {
        let fix = "while they change, the cluster may have one ready worker less; free machines in MAAS first where it must not";
        return Check::warn(ID, TITLE, seen, fix);
    }
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
    if placement.spec.control_plane.count == 1 {
        advice.push("one node has no spare: use 3 nodes in production".to_owned());
    }
    if advice.is_empty() { Check::pass(ID, TITLE, seen) } else { Check::warn(ID, TITLE, seen, advice.join("; ")) }
}

fn too_few(placement: &Placement<'_>, missing: &[usize], free: &[types::Machine]) -> Check {
    let pools: Vec<&PoolSpec> = placement.spec.pools().collect();
    let mut seen = Vec::new();
    for (number, pool) in pools.iter().enumerate() {
        let short = missing.iter().filter(|missing| **missing == number).count();
        if short > 0 {
            seen.push(format!(
                "pool `{}` needs {} ({}), {short} too many for what is free; {}",
                pool.name,
                pool.count,
                asked_in_words(pool),
                near_misses(placement, pool, free)
            ));
        }
    }
    let fix =
        "add machines or commission more in MAAS, free some, choose another zone or resource pool, or ask for less";
    Check::fail(ID, TITLE, seen.join("; "), fix)
}

fn near_misses(placement: &Placement<'_>, pool: &PoolSpec, free: &[types::Machine]) -> String {
    let mut others: Vec<&types::Machine> =
        free.iter().filter(|record| !fit::fits(pool, &observe::machine(record), placement.release)).collect();
    // A machine in the right place that is only too small tells more than one that was never meant.
    others.sort_by_key(|record| {
        let machine = observe::machine(record);
        (machine.resource_pool != pool.resource_pool, !pool.zones.is_empty() && !pool.zones.contains(&machine.zone))
    });
    let near: Vec<String> = others
        .into_iter()
        .take(5)
        .map(|record| format!("{} does not fit: {}", record.hostname, why_not(placement, pool, record)))
        .collect();
    if near.is_empty() { format!("{} machines are free", free.len()) } else { near.join(", ") }
}

fn why_not(placement: &Placement<'_>, pool: &PoolSpec, record: &types::Machine) -> String {
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
    if placement.release.for_architecture(&machine.architecture).is_none() {
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
