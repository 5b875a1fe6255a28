//! Giving everything back through the tunnel, and watching MAAS do it for as long as the tunnel stands.

use super::{
    Call, Deletion, End, LATER, SOON, elapsed, event,
    progress::{HeldMachine, ReleaseRequest, names},
};
use crate::tasks::{
    Done, TaskContext, TaskError, context,
    gateways::{LOOK_DEADLINE, maas_access},
};
use ferrogate_engine::{mark, ownership};
use ferrogate_maas::{
    Client, DnsResourceFilter, MaasError, MaasFailure, MachineFilter,
    types::{Machine, MachineStatus},
};
use ferrogate_model::{ClusterId, SystemId, state::Severity};
use ferrogate_store::{
    Page,
    clusters::{self, Cluster, ClusterKind, Filter},
    gateways::Gateway,
};
use std::time::Duration;

/// How long MAAS may take before a machine that still bears our mark is asked for again.
const TAKES_EFFECT_WITHIN: Duration = Duration::from_secs(10);

/// What stands in the way, in words.
enum Obstacle {
    Maas(MaasError),
    Words(String),
}

impl From<MaasError> for Obstacle {
    fn from(error: MaasError) -> Self {
        Self::Maas(error)
    }
}

impl Deletion<'_> {
    /// Removes everything but the machines, writes down what will be released, and makes the one call.
    pub(super) async fn prepare_and_ask(mut self) -> Result<Done, TaskError> {
        let (context, gateway, own) = (self.context, self.gateway, self.own);
        let maas = match maas_access(context, gateway).await?.and_then(|access| access.client()) {
            Ok(maas) => maas,
            Err(problem) => return self.hindered(format!("its MAAS cannot be used: {problem}"), LATER).await,
        };
        self.report(2, "addresses", "removing its names and addresses").await?;
        let known: Vec<_> = self.held().await?.into_iter().map(|machine| machine.system_id).collect();
        let machines = match prepare(context, &maas, gateway, own, &known).await? {
            Ok(machines) => machines,
            Err(Obstacle::Words(words)) => return self.hindered(words, LATER).await,
            Err(Obstacle::Maas(error)) => return self.hindered(context::words(&error), LATER).await,
        };
        if machines.is_empty() {
            return self.end(End::Verified { machines: String::new() }).await;
        }
        let all = names(&machines);
        let ids: Vec<_> = machines.iter().map(|machine| machine.system_id.clone()).collect();
        self.resume().await?;
        self.report(3, "machines", &format!("giving back {all}, the last thing that needs the tunnel")).await?;
        let now = context.now();
        self.progress.release = Some(ReleaseRequest { at: now, machines, call: Call::Noted });
        self.keep().await?;
        let comment = format!("ferrogate: gateway {} is deleted", gateway.name);
        match maas.release_many(&ids, Some(&comment)).await {
            // It answers with the machines that it takes back. Where the list came not through whole, MAAS was asked for less.
            Ok(taken) if ids.iter().any(|id| !taken.contains(id)) => {
                self.is_now(Some(Call::Unanswered));
                self.progress.hindered_since.get_or_insert(now);
                self.keep().await?;
                Ok(Done::new(
                    SOON,
                    format!("MAAS was asked to take back {all} and names fewer, so it is looked at again"),
                ))
            }
            Ok(_) => {
                self.is_now(Some(Call::Answered));
                self.progress.hindered_since = None;
                self.keep().await?;
                context
                    .tell(&[event(gateway, Severity::Info, "MachinesReleased", format!("MAAS takes back {all}"), now)])
                    .await?;
                Ok(Done::new(SOON, format!("MAAS takes back {all}")))
            }
            Err(error) => {
                let call = Call::after(&error);
                self.is_now(call);
                let said = context::words(&error);
                if call.is_none() {
                    // Nothing was released: the call never left, or MAAS refused it, which it does for all or none.
                    return self.hindered(said, LATER).await;
                }
                tracing::info!(gateway = %gateway.id, error = said, "no answer to the release of the machines");
                self.progress.hindered_since.get_or_insert(now);
                self.keep().await?;
                Ok(Done::new(
                    SOON,
                    format!("whether MAAS takes back {all} is looked at, because it did not answer: {said}"),
                ))
            }
        }
    }

    /// What is known of the call now; `None` where it was never made.
    fn is_now(&mut self, call: Option<Call>) {
        self.progress.release = match (self.progress.release.take(), call) {
            (Some(asked), Some(call)) => Some(ReleaseRequest { call, ..asked }),
            _ => None,
        };
    }

    /// Looks at MAAS while the tunnel still stands.
    pub(super) async fn watch(mut self) -> Result<Done, TaskError> {
        let Some(asked) = self.progress.release.clone() else { return Ok(Done::new(SOON, "")) };
        let all = names(&asked.machines);
        let maas =
            maas_access(self.context, self.gateway).await?.and_then(|access| access.client_within(LOOK_DEADLINE));
        let looked = match maas {
            Ok(maas) => look(&maas, self.own.id, &asked).await,
            Err(problem) => return self.hindered(format!("its MAAS cannot be used: {problem}"), LATER).await,
        };
        let (marked, released) = match looked {
            Ok(seen) => seen,
            // Most likely the tunnel is breaking; the next step sees whether it is gone.
            Err(error) => return self.hindered(context::words(&error), SOON).await,
        };
        if marked.iter().any(is_held) {
            if elapsed(asked.at, self.context.now()) < TAKES_EFFECT_WITHIN {
                return Ok(Done::new(SOON, format!("MAAS has not begun yet to take back {all}")));
            }
            // It did not take effect: begin anew, with a fresh look at what bears the mark.
            self.progress.release = None;
            return self.hindered("the machines still bear the mark, so they are given back again".into(), SOON).await;
        }
        if let Some(failed) = released.iter().find(|machine| has_failed(machine)) {
            let words = format!("MAAS could not take back {}: it is `{}` there", failed.hostname, failed.status_name);
            return self.hindered(words, LATER).await;
        }
        let under_way: Vec<_> =
            released.iter().filter(|machine| is_leaving(machine)).map(|machine| machine.hostname.as_str()).collect();
        if under_way.is_empty() {
            return self.end(End::Verified { machines: all }).await;
        }
        let words = format!("MAAS is taking back {}", under_way.join(", "));
        self.report(4, "verify", &words).await?;
        Ok(Done::new(SOON, words))
    }
}

/// Everything that must be gone before the machines, and then the machines themselves.
async fn prepare(
    context: &TaskContext,
    maas: &Client,
    gateway: &Gateway,
    own: &Cluster,
    known: &[SystemId],
) -> Result<Result<Vec<HeldMachine>, Obstacle>, TaskError> {
    if let Some(words) = match leftovers(context, maas, gateway).await? {
        Ok(words) => words,
        Err(error) => return Ok(Err(error.into())),
    } {
        return Ok(Err(Obstacle::Words(words)));
    }
    let marked = match ownership::machines_of(maas, &own.id, known).await {
        Ok(marked) => marked,
        Err(error) => return Ok(Err(error.into())),
    };
    if let Some(words) = marked.iter().find_map(cannot_be_released) {
        return Ok(Err(Obstacle::Words(words)));
    }
    // Last, because nothing brings it back: until the machines may all be given back the gateway's API keeps its name.
    if let Err(error) = remove_endpoint(maas, own).await {
        return Ok(Err(error.into()));
    }
    Ok(Ok(marked.into_iter().filter(is_held).map(left).collect()))
}

/// Machines that still bear the mark of a cluster that is gone; there should be none.
async fn leftovers(
    context: &TaskContext,
    maas: &Client,
    gateway: &Gateway,
) -> Result<Result<Option<String>, MaasError>, TaskError> {
    let filter =
        Filter { gateway: Some(gateway.id), kind: Some(ClusterKind::Tenant), deleted: true, ..Filter::default() };
    let mut page = Page::first(Page::MAX);
    loop {
        let list = clusters::list(&context.store, &filter, &page).await?;
        for cluster in &list.items {
            let found = match ownership::machines_of(maas, &cluster.id, &[]).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            };
            let held: Vec<_> = found.iter().filter(|machine| is_held(machine)).map(|m| m.hostname.as_str()).collect();
            if !held.is_empty() {
                return Ok(Ok(Some(format!(
                    "{} still bears the mark of cluster `{}`, which is deleted; release it in MAAS",
                    held.join(", "),
                    cluster.name
                ))));
            }
        }
        match list.next {
            Some(next) => page.after = Some(next),
            None => return Ok(Ok(None)),
        }
    }
}

/// The name and the reserved address of the gateway's own API, where it has them. Gone already is good too.
async fn remove_endpoint(maas: &Client, own: &Cluster) -> Result<(), MaasError> {
    let fqdn = mark::endpoint_fqdn(&own.id, &own.name, &own.spec.domain);
    let filter = DnsResourceFilter { fqdn: Some(fqdn.clone()), ..DnsResourceFilter::default() };
    for resource in maas.dns_resources(&filter).await?.into_iter().filter(|found| found.fqdn == fqdn && found.id >= 0) {
        // The address first: without its name nobody would know that it is ours.
        for address in resource.addresses() {
            gone_is_good(maas.release_ip(address).await)?;
        }
        gone_is_good(maas.delete_dns_resource(resource.id).await)?;
    }
    Ok(())
}

fn gone_is_good(result: Result<(), MaasError>) -> Result<(), MaasError> {
    match result {
        Err(error) if matches!(*error.failure, MaasFailure::NotFound) => Ok(()),
        other => other,
    }
}

/// What bears the mark, and what has become of the machines that were given back.
async fn look(
    maas: &Client,
    own: ClusterId,
    asked: &ReleaseRequest,
) -> Result<(Vec<Machine>, Vec<Machine>), MaasError> {
    let ids: Vec<_> = asked.machines.iter().map(|machine| machine.system_id.clone()).collect();
    let marked = ownership::machines_of(maas, &own, &ids).await?;
    let mut released = maas.machines(&MachineFilter { ids: ids.clone(), ..MachineFilter::default() }).await?;
    // A list that shows more than was asked for says nothing about the others.
    released.retain(|machine| ids.contains(&machine.system_id));
    Ok((marked, released))
}

/// Whether it is taken, and not on its way back.
fn is_held(machine: &Machine) -> bool {
    !is_free(machine) && !is_leaving(machine)
}

const fn is_free(machine: &Machine) -> bool {
    matches!(machine.status, MachineStatus::Ready | MachineStatus::New)
}

const fn is_leaving(machine: &Machine) -> bool {
    matches!(machine.status, MachineStatus::Releasing | MachineStatus::DiskErasing)
}

const fn has_failed(machine: &Machine) -> bool {
    matches!(machine.status, MachineStatus::FailedReleasing | MachineStatus::FailedDiskErasing)
}

/// Why MAAS or a person would not want it released now.
fn cannot_be_released(machine: &Machine) -> Option<String> {
    let name = &machine.hostname;
    if !is_held(machine) {
        return None;
    }
    if machine.locked {
        return Some(format!("{name} is locked in MAAS, so it cannot be given back; unlock it there"));
    }
    let is_ordinary = matches!(
        machine.status,
        MachineStatus::Allocated
            | MachineStatus::Deploying
            | MachineStatus::Deployed
            | MachineStatus::FailedDeployment
            | MachineStatus::FailedReleasing
            | MachineStatus::FailedDiskErasing
    );
    (!is_ordinary).then(|| {
        format!(
            "{name} is `{}` in MAAS, so somebody works on it; finish that, or release it there",
            machine.status_name
        )
    })
}

fn left(machine: Machine) -> HeldMachine {
    HeldMachine { system_id: machine.system_id, hostname: machine.hostname }
}
