//! What creating a cluster would need and take, looked up live through the gateway before anything is touched.

use crate::{
    app::accounts::{self, ready_machines},
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Check, CheckStatus, ClusterPlan, PlannedMachine};
use ferrogate_engine::preflight::{self, Place, Status};
use ferrogate_maas::types::Machine;
use ferrogate_model::{
    ClusterId,
    cluster::{ClusterSpec, PoolSpec},
    release::Release,
};
use ferrogate_store::accounts::Account;

/// MiB in a GiB, and MB in a GB: MAAS counts storage in MB.
const MB_PER_GB: f64 = 1000.0;

/// Every check, and the machines that would be taken. Nothing is reserved.
pub(crate) async fn make(
    context: &Context,
    account: &Account,
    spec: &ClusterSpec,
    release: &Release,
    cluster: Option<ClusterId>,
) -> Outcome<ClusterPlan> {
    // A gateway that is away is said as such here, and not as a failed check.
    let maas = accounts::client(context, account).await?;
    let found = preflight::cluster(Place { maas: &maas, spec, release, cluster }).await;
    let ok = preflight::all_hold(&found);
    let machines = if ok { would_take(ready_machines(&maas).await?, spec, release) } else { Vec::new() };
    Ok(ClusterPlan { checks: found.into_iter().map(shown).collect(), machines, ok })
}

/// Refuses what does not pass, with every check that failed.
pub(crate) fn must_hold(plan: &ClusterPlan) -> Outcome<()> {
    if plan.ok {
        return Ok(());
    }
    let failed = plan.checks.iter().filter(|check| check.status == CheckStatus::Fail);
    let failure = Failure::invalid("preflight_failed", "the cluster cannot be built like this")
        .hint("mend what is listed; nothing was taken or changed");
    Err(failed.fold(failure, |failure, check| {
        failure.item(check.id.clone(), format!("{}: {}", check.title, check.seen), check.fix.clone())
    }))
}

fn shown(check: preflight::Check) -> Check {
    Check {
        id: check.id,
        title: check.title,
        status: match check.status {
            Status::Pass => CheckStatus::Pass,
            Status::Warn => CheckStatus::Warn,
            Status::Fail => CheckStatus::Fail,
            Status::Skip => CheckStatus::Skip,
        },
        seen: check.seen,
        fix: check.fix,
    }
}

/// The machines MAAS would most likely give: the smallest that fit, pool by pool, spread over the pool's zones. MAAS
/// decides when they are allocated.
fn would_take(mut ready: Vec<Machine>, spec: &ClusterSpec, release: &Release) -> Vec<PlannedMachine> {
    ready.sort_by(|a, b| {
        (a.cpu_count, a.memory, a.storage.to_bits(), &a.hostname).cmp(&(
            b.cpu_count,
            b.memory,
            b.storage.to_bits(),
            &b.hostname,
        ))
    });
    let mut taken = Vec::new();
    for pool in spec.pools() {
        for place in 0..pool.count as usize {
            let zone = (!pool.zones.is_empty()).then(|| &pool.zones[place % pool.zones.len()]);
            let in_zone = |machine: &Machine| zone.is_none_or(|zone| machine.zone.name == *zone);
            let fits = |machine: &Machine| fits(pool, machine, release);
            let found = ready
                .iter()
                .position(|machine| fits(machine) && in_zone(machine))
                .or_else(|| ready.iter().position(fits));
            let Some(found) = found else { break };
            let machine = ready.remove(found);
            taken.push(PlannedMachine {
                pool: pool.name.clone(),
                hostname: machine.hostname,
                zone: machine.zone.name,
                cpu: machine.cpu_count,
                memory_mib: machine.memory,
                disk_gib: gigabytes(machine.storage),
            });
        }
    }
    taken
}

fn fits(pool: &PoolSpec, machine: &Machine, release: &Release) -> bool {
    machine.pool.as_ref().is_some_and(|other| other.name == pool.resource_pool)
        && (pool.zones.is_empty() || pool.zones.contains(&machine.zone.name))
        && pool.min_cpu.is_none_or(|least| machine.cpu_count >= least)
        && pool.min_memory_mib.is_none_or(|least| machine.memory >= least)
        && pool.min_disk_gib.is_none_or(|least| machine.has_disk_of(least))
        && pool.tags.iter().all(|tag| machine.tag_names.contains(tag))
        && release.for_architecture(&machine.architecture).is_some()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a disk's size is positive and far below 2⁶⁴"
)]
fn gigabytes(megabytes: f64) -> u64 {
    (megabytes / MB_PER_GB).max(0.0) as u64
}
