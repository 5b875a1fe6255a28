//! Which machine fits which pool.

use crate::observed::Machine;
use ferrogate_model::{cluster::PoolSpec, release::Release};

/// Bytes in a GiB.
pub(crate) const GIB: u64 = 1 << 30;

/// Whether a machine is what a pool asks for, so that it may be adopted by it.
pub(crate) fn fits(pool: &PoolSpec, machine: &Machine, release: &Release) -> bool {
    pool.resource_pool == machine.resource_pool
        && (pool.zones.is_empty() || pool.zones.contains(&machine.zone))
        && pool.min_cpu.is_none_or(|least| machine.cpu_count >= least)
        && pool.min_memory_mib.is_none_or(|least| machine.memory_mib >= least)
        && pool.min_disk_gib.is_none_or(|least| machine.disk_bytes >= least.saturating_mul(GIB))
        && pool.tags.iter().all(|tag| machine.tags.contains(tag))
        && release.for_architecture(&machine.architecture).is_some()
}

/// One machine that a pool misses.
#[derive(Clone, Debug)]
pub(crate) struct Slot<'a> {
    /// The pool's number in the specification.
    pub(crate) pool: usize,
    pub(crate) spec: &'a PoolSpec,
    /// Its zones, the best first; none means any.
    pub(crate) zones: Vec<String>,
}

/// Puts machines in the order in which they are taken, as MAAS does it: the smallest that fits.
pub(crate) fn smallest_first(machines: &mut [Machine]) {
    machines.sort_by(|a, b| {
        let size = |machine: &Machine| (machine.cpu_count, machine.memory_mib);
        (size(a), &a.hostname, &a.id).cmp(&(size(b), &b.hostname, &b.id))
    });
}

/// The machines that fit each slot, by number, the best first: in the zone that comes first, then in the order given.
pub(crate) fn wishes(slots: &[Slot<'_>], machines: &[&Machine], release: &Release) -> Vec<Vec<usize>> {
    let of_slot = |slot: &Slot<'_>| {
        let rank = |machine: &usize| slot.zones.iter().position(|zone| *zone == machines[*machine].zone);
        let mut fitting: Vec<usize> =
            (0..machines.len()).filter(|machine| fits(slot.spec, machines[*machine], release)).collect();
        fitting.sort_by_key(|machine| (rank(machine), *machine));
        fitting
    };
    slots.iter().map(of_slot).collect()
}

/// The pool that each machine without a note is adopted by: as many of them as there are slots they fit, and so that what
/// is `free` can fill as many of the other slots as possible. `missing` is the pool's number for each machine that is
/// missing.
pub(crate) fn adopt(
    machines: &[&Machine],
    free: &[&Machine],
    pools: &[&PoolSpec],
    missing: &[usize],
    release: &Release,
) -> Vec<Option<usize>> {
    let slots: Vec<Slot<'_>> =
        missing.iter().map(|&pool| Slot { pool, spec: pools[pool], zones: Vec::new() }).collect();
    let all: Vec<&Machine> = machines.iter().chain(free).copied().collect();
    let mut adopted = vec![None; machines.len()];
    for (slot, machine) in slots.iter().zip(choose(&wishes(&slots, &all, release), all.len(), machines.len())) {
        if let Some(own) = machine.and_then(|machine| adopted.get_mut(machine)) {
            *own = Some(slot.pool);
        }
    }
    adopted
}

/// For each machine that a pool misses: its zones, those with the fewest machines first, and among equals in the order of
/// the specification. `there` are the zones of the machines it has.
pub(crate) fn zones_in_turn(pool: &PoolSpec, there: &[&str]) -> Vec<Vec<String>> {
    let mut crowd: Vec<(usize, usize, &String)> = pool
        .zones
        .iter()
        .enumerate()
        .map(|(rank, zone)| (there.iter().filter(|there| *there == zone).count(), rank, zone))
        .collect();
    let next = |_| {
        crowd.sort_unstable();
        let zones = crowd.iter().map(|(_, _, zone)| (*zone).clone()).collect();
        if let Some(first) = crowd.first_mut() {
            first.0 += 1;
        }
        zones
    };
    (there.len()..pool.count as usize).map(next).collect()
}

/// Chooses a machine for each slot. `wishes[slot]` lists the machines that fit it, the best first. As many slots as
/// possible get one; among those choices the first slot gets the best, then the second, and so on. Machines from
/// `last_resort` on are only chosen for what the others cannot fill.
pub(crate) fn choose(wishes: &[Vec<usize>], machines: usize, last_resort: usize) -> Vec<Option<usize>> {
    let mut holder: Vec<Option<usize>> = vec![None; machines];
    for bound in [last_resort, machines] {
        for slot in 0..wishes.len() {
            if !holder.contains(&Some(slot)) {
                occupy(slot, wishes, bound, &mut holder, &mut vec![false; machines]);
            }
        }
        if bound == last_resort {
            improve(wishes, bound, &mut holder);
        }
    }
    (0..wishes.len()).map(|slot| holder.iter().position(|held| *held == Some(slot))).collect()
}

/// Gives a slot a machine, if need be by giving others another one.
fn occupy(slot: usize, wishes: &[Vec<usize>], bound: usize, holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for &machine in wishes[slot].iter().filter(|machine| **machine < bound) {
        if std::mem::replace(&mut tried[machine], true) {
            continue;
        }
        if holder[machine].is_none_or(|other| occupy(other, wishes, bound, holder, tried)) {
            holder[machine] = Some(slot);
            return true;
        }
    }
    false
}

/// Gives each slot in turn the best machine that leaves as many slots filled as before.
fn improve(wishes: &[Vec<usize>], bound: usize, holder: &mut Vec<Option<usize>>) {
    let mut fixed = vec![false; holder.len()];
    for slot in 0..wishes.len() {
        let Some(mut held) = holder.iter().position(|other| *other == Some(slot)) else { continue };
        for &wish in wishes[slot].iter().take_while(|wish| **wish != held).filter(|wish| **wish < bound) {
            if fixed[wish] {
                continue;
            }
            let mut trial = holder.clone();
            trial[held] = None;
            let displaced = trial[wish].replace(slot);
            let mut tried = fixed.clone();
            tried[wish] = true;
            if displaced.is_none_or(|other| occupy(other, wishes, bound, &mut trial, &mut tried)) {
                *holder = trial;
                held = wish;
                break;
            }
        }
        fixed[held] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives as many machines as possible to slots they fit. `fit[machine]` lists the slots a machine fits; the result
    /// has a machine's slot, or none. (Augmenting paths; both sides are small.)
    fn matching(fit: &[Vec<usize>], slots: usize) -> Vec<Option<usize>> {
        let mut holder: Vec<Option<usize>> = vec![None; slots];
        for machine in 0..fit.len() {
            augment(machine, fit, &mut holder, &mut vec![false; slots]);
        }
        let mut result = vec![None; fit.len()];
        for (slot, machine) in holder.iter().enumerate() {
            if let Some(machine) = machine {
                result[*machine] = Some(slot);
            }
        }
        result
    }

    fn augment(machine: usize, fit: &[Vec<usize>], holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        for &slot in &fit[machine] {
            if std::mem::replace(&mut tried[slot], true) {
                continue;
            }
            let free = match holder[slot] {
                None => true,
                Some(other) => augment(other, fit, holder, tried),
            };
            if free {
                holder[slot] = Some(machine);
                return true;
            }
        }
        false
    }

    #[test]
    fn a_machine_makes_room_for_one_that_fits_nowhere_else() {
        // Machine 0 fits both slots, machine 1 only the first.
        assert_eq!(matching(&[vec![0, 1], vec![0]], 2), [Some(1), Some(0)]);
        assert_eq!(matching(&[vec![0], vec![0]], 1), [Some(0), None]);
        assert_eq!(matching(&[], 3), []);
    }

    #[test]
    fn a_choice_fills_as_many_places_as_can_be_filled_and_the_first_gets_the_best() {
        // Both slots like machine 0 best; the second fits nothing else.
        assert_eq!(choose(&[vec![0, 1], vec![0]], 2, 2), [Some(1), Some(0)]);
        assert_eq!(choose(&[vec![1, 0], vec![0, 1]], 2, 2), [Some(1), Some(0)]);
        assert_eq!(choose(&[vec![0], vec![0]], 1, 1), [Some(0), None]);
        // Machine 1 is the last resort, although it is liked better.
        assert_eq!(choose(&[vec![1, 0]], 2, 1), [Some(0)]);
        assert_eq!(choose(&[vec![1, 0], vec![0, 1]], 2, 1), [Some(1), Some(0)]);
    }

    /// Every little world: up to three slots, three machines, every way in which they fit, every number of last resorts.
    #[test]
    fn in_every_little_world_the_choice_is_as_large_as_the_matching_and_spares_the_last_resort() {
        for slots in 0..=3 {
            for bits in 0..1_u32 << (slots * 3) {
                let wishes: Vec<Vec<usize>> =
                    (0..slots).map(|p| (0..3).filter(|m| bits >> (p * 3 + m) & 1 == 1).collect()).collect();
                for last_resort in 0..=3 {
                    let chosen = choose(&wishes, 3, last_resort);
                    let mut taken: Vec<usize> = chosen.iter().copied().flatten().collect();
                    taken.sort_unstable();
                    assert!(taken.windows(2).all(|pair| pair[0] != pair[1]), "{wishes:?}: {chosen:?}");
                    let fits = |(slot, machine): (usize, &Option<usize>)| {
                        machine.is_none_or(|machine| wishes[slot].contains(&machine))
                    };
                    assert!(chosen.iter().enumerate().all(fits), "{wishes:?}: {chosen:?}");
                    let size = |bound: usize| {
                        let fit: Vec<Vec<usize>> = (0..bound)
                            .map(|machine| (0..slots).filter(|slot| wishes[*slot].contains(&machine)).collect())
                            .collect();
                        matching(&fit, slots).iter().flatten().count()
                    };
                    assert_eq!(taken.len(), size(3), "{wishes:?}: {chosen:?}");
                    let first = taken.iter().filter(|machine| **machine < last_resort).count();
                    assert_eq!(first, size(last_resort), "{wishes:?} from {last_resort}: {chosen:?}");
                }
            }
        }
    }
}
