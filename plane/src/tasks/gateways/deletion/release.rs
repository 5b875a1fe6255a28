//! Giving everything back through the tunnel, and watching MAAS do it for as long as the tunnel stands.

use super::{End, LATER, SOON, end, event, report, site};
use crate::tasks::{
    Done, Ground, TaskError,
    gateways::{
        LOOK_DEADLINE,
        note::{Asked, Left, Note, names},
    },
    ground,
};
use ferrogate_engine::mark;
use ferrogate_maas::{
    Client, DnsResourceFilter, MaasError, MaasFailure, MachineFilter,
    types::{Machine, MachineStatus},
};
use ferrogate_model::{ClusterId, state::Severity};
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

/// Removes everything but the machines, writes down what will be released, and makes the one call.
pub(super) async fn prepare_and_ask(
    ground: &Ground,
    gateway: &Gateway,
    own: &Cluster,
    mut note: Note,
) -> Result<Done, TaskError> {
    let maas = match site(ground, gateway).maas() {
        Ok(maas) => maas,
        Err(problem) => return later(ground, gateway, format!("its MAAS cannot be used: {problem}")).await,
    };
    report(ground, gateway, 2, "addresses", "removing its names and addresses").await?;
    let machines = match prepare(ground, &maas, gateway, own).await? {
        Ok(machines) => machines,
        Err(Obstacle::Words(words)) => return later(ground, gateway, words).await,
        Err(Obstacle::Maas(error)) => return later(ground, gateway, ground::words(&error)).await,
    };
    if machines.is_empty() {
        return end(ground, gateway, Some(own), End::Verified { machines: String::new() }).await;
    }
    let all = names(&machines);
    let ids: Vec<_> = machines.iter().map(|machine| machine.system_id.clone()).collect();
    report(ground, gateway, 3, "machines", &format!("giving back {all}, the last thing that needs the tunnel")).await?;
    let now = ground.now();
    note.release = Some(Asked { at: now, machines, answered: false });
    note.keep(ground, own).await?;
    let comment = format!("ferrogate: gateway {} is deleted", gateway.name);
    match maas.release_many(&ids, Some(&comment)).await {
        Ok(_) => {
            if let Some(asked) = &mut note.release {
                asked.answered = true;
            }
            note.keep(ground, own).await?;
            ground
                .tell(&[event(gateway, Severity::Info, "MachinesReleased", format!("MAAS takes back {all}"), now)])
                .await?;
            Ok(Done::new(SOON, format!("MAAS takes back {all}")))
        }
        // MAAS answered, so nothing was released: the call is for all or none.
        Err(error) if error.status.is_some() => {
            note.release = None;
            note.keep(ground, own).await?;
            later(ground, gateway, ground::words(&error)).await
        }
        Err(error) => {
            tracing::info!(gateway = %gateway.id, error = ground::words(&error), "no answer to the release of the machines");
            Ok(Done::new(SOON, "MAAS did not answer; whether it did it is looked at"))
        }
    }
}

/// Everything that must be gone before the machines, and then the machines themselves.
async fn prepare(
    ground: &Ground,
    maas: &Client,
    gateway: &Gateway,
    own: &Cluster,
) -> Result<Result<Vec<Left>, Obstacle>, TaskError> {
    if let Some(words) = match leftovers(ground, maas, gateway).await? {
        Ok(words) => words,
        Err(error) => return Ok(Err(error.into())),
    } {
        return Ok(Err(Obstacle::Words(words)));
    }
    if let Err(error) = remove_endpoint(maas, own).await {
        return Ok(Err(error.into()));
    }
    let marked = match marked(maas, own.id).await {
        Ok(marked) => marked,
        Err(error) => return Ok(Err(error.into())),
    };
    if let Some(words) = marked.iter().find_map(cannot_be_released) {
        return Ok(Err(Obstacle::Words(words)));
    }
    Ok(Ok(marked.into_iter().filter(is_held).map(left).collect()))
}

/// Machines that still bear the mark of a cluster that is gone; there should be none.
async fn leftovers(
    ground: &Ground,
    maas: &Client,
    gateway: &Gateway,
) -> Result<Result<Option<String>, MaasError>, TaskError> {
    let filter =
        Filter { gateway: Some(gateway.id), kind: Some(ClusterKind::Tenant), deleted: true, ..Filter::default() };
    let mut page = Page::first(Page::MAX);
    loop {
        let list = clusters::list(&ground.store, &filter, &page).await?;
        for cluster in &list.items {
            let found = match marked(maas, cluster.id).await {
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

/// Looks at MAAS while the tunnel still stands.
pub(super) async fn watch(
    ground: &Ground,
    gateway: &Gateway,
    own: &Cluster,
    mut note: Note,
) -> Result<Done, TaskError> {
    let Some(asked) = note.release.clone() else { return Ok(Done::new(SOON, "")) };
    let all = names(&asked.machines);
    let looked = match site(ground, gateway).maas_within(LOOK_DEADLINE) {
        Ok(maas) => look(&maas, own.id, &asked).await,
        Err(problem) => return later(ground, gateway, format!("its MAAS cannot be used: {problem}")).await,
    };
    let (marked, released) = match looked {
        Ok(seen) => seen,
        // Most likely the tunnel is breaking; the next step sees whether it is gone.
        Err(error) => return Ok(Done::new(SOON, ground::words(&error))),
    };
    if marked.iter().any(is_held) {
        let age = Duration::try_from(ground.now().duration_since(asked.at)).unwrap_or_default();
        if age < TAKES_EFFECT_WITHIN {
            return Ok(Done::new(SOON, format!("MAAS has not begun yet to take back {all}")));
        }
        // It did not take effect: begin anew, with a fresh look at what bears the mark.
        note.release = None;
        note.keep(ground, own).await?;
        return Ok(Done::new(SOON, "the machines still bear the mark, so they are given back again"));
    }
    if let Some(failed) = released.iter().find(|machine| has_failed(machine)) {
        let words = format!("MAAS could not take back {}: it is `{}` there", failed.hostname, failed.status_name);
        report(ground, gateway, 4, "verify", &words).await?;
        return Ok(Done::new(LATER, words));
    }
    let under_way: Vec<_> =
        released.iter().filter(|machine| is_leaving(machine)).map(|machine| machine.hostname.as_str()).collect();
    if under_way.is_empty() {
        return end(ground, gateway, Some(own), End::Verified { machines: all }).await;
    }
    let words = format!("MAAS is taking back {}", under_way.join(", "));
    report(ground, gateway, 4, "verify", &words).await?;
    Ok(Done::new(SOON, words))
}

/// What bears the mark, and what has become of the machines that were given back.
async fn look(maas: &Client, own: ClusterId, asked: &Asked) -> Result<(Vec<Machine>, Vec<Machine>), MaasError> {
    let marked = marked(maas, own).await?;
    let ids = asked.machines.iter().map(|machine| machine.system_id.clone()).collect();
    let released = maas.machines(&MachineFilter { ids, ..MachineFilter::default() }).await?;
    Ok((marked, released))
}

async fn marked(maas: &Client, cluster: ClusterId) -> Result<Vec<Machine>, MaasError> {
    let mut machines = maas.machines(&MachineFilter::agent(mark::agent_name(&cluster))).await?;
    machines.retain(|machine| mark::may_be_of(&cluster, machine));
    Ok(machines)
}

async fn later(ground: &Ground, gateway: &Gateway, reason: String) -> Result<Done, TaskError> {
    report(ground, gateway, 3, "machines", &reason).await?;
    Ok(Done::new(LATER, reason))
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

fn left(machine: Machine) -> Left {
    Left { system_id: machine.system_id, hostname: machine.hostname }
}
