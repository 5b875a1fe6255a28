//! What creating a cluster would need and take, looked up live through the gateway before anything is touched.

use crate::{
    app::accounts,
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{Check, CheckStatus, ClusterPlan, PlannedMachine};
use ferrogate_engine::preflight::{self, Placement, Status};
use ferrogate_model::{ClusterId, cluster::ClusterSpec, release::Release};
use ferrogate_store::accounts::Account;

/// Every check, and the machines that the checks chose. Nothing is reserved: the engine chooses
/// in the same way when it takes them, and what somebody else took meanwhile is replaced.
pub(crate) async fn make(
    context: &Context,
    account: &Account,
    spec: &ClusterSpec,
    release: &Release,
    cluster: Option<ClusterId>,
) -> Outcome<ClusterPlan> {
    // A gateway that is away is said as such here, and not as a failed check.
    let maas = accounts::client(context, account).await?;
    let found = preflight::cluster(Placement { maas: &maas, spec, release, cluster }).await;
    let ok = preflight::all_hold(&found.checks);
    let machines = if ok { found.machines.into_iter().filter_map(planned).collect() } else { Vec::new() };
    Ok(ClusterPlan { checks: found.checks.into_iter().map(shown).collect(), machines, ok })
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

/// What a person should know of a change of pools that can be made: nothing, or words to go on a sentence with.
pub(crate) fn to_know(plan: &ClusterPlan) -> String {
    let machines = plan.checks.iter().filter(|check| check.id == "machines" && check.status == CheckStatus::Warn);
    machines.map(|check| format!("; {}", check.seen)).collect()
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

/// A machine that would come to a pool; what the pool has already is not planned.
fn planned(chosen: preflight::Chosen) -> Option<PlannedMachine> {
    if chosen.how == preflight::How::Held {
        return None;
    }
    Some(PlannedMachine {
        disk_gib: chosen.disk_gib(),
        pool: chosen.pool?,
        hostname: chosen.record.hostname,
        zone: chosen.record.zone.name,
        cpu: chosen.record.cpu_count,
        memory_mib: chosen.record.memory,
    })
}
