//! Giving machines back: only what bears our mark, after looking again.

use super::{Executor, Report, etcd::Removal};
use crate::{
    mark, observe,
    plan::{Action, words},
};
use ferrogate_maas::{EventFilter, Release, types::Event};
use ferrogate_model::{SystemId, cluster::CONTROL_PLANE_POOL, state::Severity};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

/// How many of a failed machine's events are told.
const LAST_EVENTS: u16 = 4;

/// A machine to give back.
struct Leaver<'a> {
    machine: &'a SystemId,
    why: &'a str,
    cool: bool,
    /// What MAAS told of it last, where it failed; empty where that is not known.
    last_words: String,
}

/// Gives back everything the plan says.
pub(super) async fn release(executor: &Executor<'_>) -> Report {
    let mut report = Report::default();
    let mut leavers = Vec::new();
    for action in &executor.plan.actions {
        let Action::Release { machine, why, cool, node } = action else { continue };
        match out_of_etcd(executor, machine).await {
            (Removal::Done, removed) => report.merge(removed),
            (Removal::NotYet(reason), tried) => {
                report.merge(tried);
                report.merge(not_yet(executor, machine, reason));
                continue;
            }
        }
        if let Some(node) = node {
            let removed = executor.remove_node(node, why).await;
            let failed = !removed.waits.is_empty();
            report.merge(removed);
            // A machine that leaves without its node being removed could never return under its name. One that failed
            // is not waited for.
            if failed && !cool {
                continue;
            }
        }
        leavers.push(Leaver { machine, why, cool: *cool, last_words: String::new() });
    }
    if leavers.is_empty() {
        return report;
    }
    let known: Vec<_> = leavers.iter().map(|leaver| leaver.machine.clone()).collect();
    let marked = match observe::marked(executor.engine, executor.desired, &known).await {
        Ok(marked) => marked,
        Err(error) => {
            report.merge(Report::maas(executor.now, "the machines to give back", &error));
            return report;
        }
    };
    leavers.retain(|leaver| marked.iter().any(|machine| machine.system_id == *leaver.machine));
    for leaver in leavers.iter_mut().filter(|leaver| leaver.cool) {
        leaver.last_words = last_words(executor, leaver.machine).await;
    }
    report.changed = true;
    if let Some(done) = together(executor, &leavers).await {
        report.merge(done);
        return report;
    }
    let parallel = executor.engine.limits().parallel.max(1);
    let mut work: Vec<BoxFuture<'_, Report>> = Vec::new();
    for leaver in &leavers {
        work.push(single(executor, leaver).boxed());
    }
    let mut running = stream::iter(work).buffer_unordered(parallel);
    while let Some(done) = running.next().await {
        report.merge(done);
    }
    report
}

/// A server that was installed may be a member of etcd, whether it has a node or not. It leaves etcd first: a member that is
/// gone without leaving counts against the majority for ever.
async fn out_of_etcd(executor: &Executor<'_>, machine: &SystemId) -> (Removal, Report) {
    let seen = executor.observed.machines.iter().find(|seen| seen.id == *machine);
    let server = seen.filter(|seen| seen.note(mark::POOL) == Some(CONTROL_PLANE_POOL));
    let Some((server, node)) = server.and_then(|server| Some((server, server.note(mark::NODE)?))) else {
        return (Removal::Done, Report::default());
    };
    executor.leave_etcd(node, &server.addresses).await
}

/// The machine stays until its member is out of etcd; from the deadline on a person should look.
fn not_yet(executor: &Executor<'_>, machine: &SystemId, reason: String) -> Report {
    let since = executor.plan.memory.releasing.get(machine).map_or(executor.now, |leaving| leaving.since);
    let (lasted, limit) = (words::elapsed(since, executor.now), executor.engine.limits().leaving_etcd);
    if lasted <= limit {
        return Report::wait(executor.now, reason);
    }
    let name = executor.name(machine);
    let hint = format!(
        "look at the pods `ferrogate-etcd-…` and `etcd-…` in namespace kube-system; or remove {name}'s member with etcdctl \
         and release the machine in MAAS"
    );
    let cause = format!("{name} has not been taken out of etcd for {}: {reason}", words::in_words(lasted));
    Report::block(cause, Some(hint))
}

/// All at once, where they leave for the same reason; `None` where MAAS refuses, because then each must be asked for alone
/// to learn which one it is.
async fn together(executor: &Executor<'_>, leavers: &[Leaver<'_>]) -> Option<Report> {
    let first = leavers.first()?;
    if leavers.len() == 1 || leavers.iter().any(|leaver| leaver.why != first.why) {
        return None;
    }
    let ids: Vec<SystemId> = leavers.iter().map(|leaver| leaver.machine.clone()).collect();
    executor.engine.maas().release_many(&ids, Some(&comment(first.why))).await.ok()?;
    let mut report = Report::changed();
    for leaver in leavers {
        report = told(report, executor, leaver);
    }
    Some(report)
}

async fn single(executor: &Executor<'_>, leaver: &Leaver<'_>) -> Report {
    let how = Release { comment: Some(comment(leaver.why)), ..Release::default() };
    match executor.engine.maas().release(leaver.machine, &how).await {
        Ok(_) => told(Report::changed(), executor, leaver),
        Err(error) if error.is_not_found() => Report::changed(),
        Err(error) => Report::maas(executor.now, &executor.name(leaver.machine), &error),
    }
}

fn told(report: Report, executor: &Executor<'_>, leaver: &Leaver<'_>) -> Report {
    let name = executor.name(leaver.machine);
    let (severity, reason) =
        if leaver.cool { (Severity::Warning, "MachineReplaced") } else { (Severity::Info, "MachineGivenBack") };
    let message = format!("{name} is given back: {}{}", leaver.why, leaver.last_words);
    report.event(severity, reason, message, Some(leaver.machine))
}

/// The newest events of a machine, oldest first: a machine that never boots shows where it stopped, and one that never
/// started shows nothing after its power was switched on.
async fn last_words(executor: &Executor<'_>, machine: &SystemId) -> String {
    let filter = EventFilter {
        ids: vec![machine.clone()],
        level: Some("INFO".into()),
        limit: Some(LAST_EVENTS),
        ..EventFilter::default()
    };
    // What cannot be read is not waited for.
    let Ok(page) = executor.engine.maas().events(&filter).await else { return String::new() };
    let told: Vec<String> = page.events.iter().rev().map(event_in_words).collect();
    if told.is_empty() {
        return String::new();
    }
    format!("; the last MAAS knows of it: {}; look at its console and power control in MAAS", told.join(", then "))
}

fn event_in_words(event: &Event) -> String {
    let text = match event.description.as_str() {
        "" => event.kind.clone(),
        description => format!("{} ({description})", event.kind),
    };
    format!("`{}`", text.chars().take(120).collect::<String>())
}

/// MAAS keeps 255 characters.
fn comment(why: &str) -> String {
    format!("ferrogate: {why}").chars().take(255).collect()
}
