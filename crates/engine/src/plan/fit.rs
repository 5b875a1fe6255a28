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

/// Gives as many machines as possible to places they fit. `fit[machine]` lists the places a machine fits; the result
/// has a machine's place, or none. (Augmenting paths; both sides are small.)
pub(crate) fn matching(fit: &[Vec<usize>], places: usize) -> Vec<Option<usize>> {
    let mut holder: Vec<Option<usize>> = vec![None; places];
    for machine in 0..fit.len() {
        seat(machine, fit, &mut holder, &mut vec![false; places]);
    }
    let mut result = vec![None; fit.len()];
    for (place, machine) in holder.iter().enumerate() {
        if let Some(machine) = machine {
            result[*machine] = Some(place);
        }
    }
    result
}

fn seat(machine: usize, fit: &[Vec<usize>], holder: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for &place in &fit[machine] {
        if std::mem::replace(&mut tried[place], true) {
            continue;
        }
        let free = match holder[place] {
            None => true,
            Some(other) => seat(other, fit, holder, tried),
        };
        if free {
            holder[place] = Some(machine);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_makes_room_for_one_that_fits_nowhere_else() {
        // Machine 0 fits both places, machine 1 only the first.
        assert_eq!(matching(&[vec![0, 1], vec![0]], 2), [Some(1), Some(0)]);
        assert_eq!(matching(&[vec![0], vec![0]], 1), [Some(0), None]);
        assert_eq!(matching(&[], 3), []);
    }
}
