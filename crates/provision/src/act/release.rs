//! Giving machines back: only what bears our mark, after looking again.

use super::{Hands, Report};
use crate::{observe, plan::Action};
use ferrogate_maas::Release;
use ferrogate_model::{SystemId, state::Severity};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

/// A machine to give back.
struct Leaver<'a> {
    machine: &'a SystemId,
    why: &'a str,
    cool: bool,
}

/// Gives back everything the plan says.
pub(super) async fn release(hands: &Hands<'_>) -> Report {
    let mut report = Report::default();
    let mut leavers = Vec::new();
    for action in &hands.plan.actions {
        let Action::Release { machine, why, cool, node } = action else { continue };
        if let Some(node) = node {
            let removed = hands.delete_node(node, why).await;
            let failed = !removed.waits.is_empty();
            report.merge(removed);
            // A machine that leaves without its node being removed could never return under its name. One that failed
            // is not waited for.
            if failed && !cool {
                continue;
            }
        }
        leavers.push(Leaver { machine, why, cool: *cool });
    }
    if leavers.is_empty() {
        return report;
    }
    let marked = match observe::marked(hands.engine, hands.desired).await {
        Ok(marked) => marked,
        Err(error) => {
            report.merge(Report::maas(hands.now, "the machines to give back", &error));
            return report;
        }
    };
    leavers.retain(|leaver| marked.iter().any(|machine| machine.system_id == *leaver.machine));
    report.changed = true;
    if let Some(done) = together(hands, &leavers).await {
        report.merge(done);
        return report;
    }
    let parallel = hands.engine.limits().parallel.max(1);
    let mut work: Vec<BoxFuture<'_, Report>> = Vec::new();
    for leaver in &leavers {
        work.push(single(hands, leaver).boxed());
    }
    let mut running = stream::iter(work).buffer_unordered(parallel);
    while let Some(done) = running.next().await {
        report.merge(done);
    }
    report
}

/// All at once, where they leave for the same reason; `None` where MAAS refuses, because then each must be asked for alone
/// to learn which one it is.
async fn together(hands: &Hands<'_>, leavers: &[Leaver<'_>]) -> Option<Report> {
    let first = leavers.first()?;
    if leavers.len() == 1 || leavers.iter().any(|leaver| leaver.why != first.why) {
        return None;
    }
    let ids: Vec<SystemId> = leavers.iter().map(|leaver| leaver.machine.clone()).collect();
    hands.engine.maas().release_many(&ids, Some(&comment(first.why))).await.ok()?;
    let mut report = Report::changed();
    for leaver in leavers {
        report = told(report, hands, leaver);
    }
    Some(report)
}

async fn single(hands: &Hands<'_>, leaver: &Leaver<'_>) -> Report {
    let how = Release { comment: Some(comment(leaver.why)), ..Release::default() };
    match hands.engine.maas().release(leaver.machine, &how).await {
        Ok(_) => told(Report::changed(), hands, leaver),
        Err(error) if error.is_not_found() => Report::changed(),
        Err(error) => Report::maas(hands.now, &hands.name(leaver.machine), &error),
    }
}

fn told(report: Report, hands: &Hands<'_>, leaver: &Leaver<'_>) -> Report {
    let name = hands.name(leaver.machine);
    let (severity, reason) =
        if leaver.cool { (Severity::Warning, "MachineReplaced") } else { (Severity::Info, "MachineGivenBack") };
    report.event(severity, reason, format!("{name} is given back: {}", leaver.why), Some(leaver.machine))
}

/// MAAS keeps 255 characters.
fn comment(why: &str) -> String {
    format!("ferrogate: {why}").chars().take(255).collect()
}
