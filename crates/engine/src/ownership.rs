//! Whose is a machine that a list shows? MAAS lists machines by the mark of the allocate call (`agent_name`) and never shows
//! that mark; a proxy that drops the filter, or a MAAS that does not know it, answers with every machine there is. So no list
//! is believed: each machine in it must bear what was written on it, and what bears nothing yet is only ours where the filter
//! was seen to work. A list with anything else in it is not acted on at all. Nor is one that shows too little: MAAS hides other
//! users' machines from who is no administrator, so a machine that was the cluster's and is missing is asked for by itself.

use crate::mark;
use ferrogate_maas::{
    Client, MaasError, MaasFailure, MachineFilter,
    types::{Machine, MachineStatus},
};
use ferrogate_model::{ClusterId, SystemId};

/// How many machines a refusal names.
const NAMED: usize = 5;

/// What is seen of a machine in a list that was asked for by a cluster's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The mark of the allocate call, where this MAAS shows it.
    pub agent_name: Option<&'a str>,
    /// The cluster that is written on it (owner data).
    pub noted: Option<&'a str>,
    /// Where it is in its life.
    pub status: MachineStatus,
    /// Who holds it in MAAS.
    pub owner: Option<&'a str>,
}

/// What is known about the list itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The user that asks.
    pub user: &'a str,
    /// Whether the same list, asked by a mark that nothing bears, does not show the machine.
    pub filter_works: bool,
}

/// Whose a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The cluster's: it may be kept, adopted and given back.
    Ours,
    /// It is free and the list is older than that: nothing is to be done with it.
    Free,
    /// It may be the cluster's, and nothing proves it: it is named and never given back. Why, in words.
    Unclear(&'static str),
    /// It is somebody else's, so the list is not what was asked for. Why, in words.
    Foreign(String),
}

impl<'a> Seen<'a> {
    /// What a record of MAAS shows.
    #[must_use]
    pub fn of(machine: &'a Machine) -> Self {
        let noted = machine.owner_data.get(mark::CLUSTER).or_else(|| machine.workload_annotations.get(mark::CLUSTER));
        Self {
            agent_name: machine.agent_name.as_deref(),
            // MAAS removes a key by writing nothing.
            noted: noted.map(String::as_str).filter(|noted| !noted.is_empty()),
            status: machine.status,
            owner: machine.owner.as_deref().filter(|owner| !owner.is_empty()),
        }
    }

    /// Whether only the filter says that it is the cluster's.
    const fn rests_on_the_filter(&self) -> bool {
        self.noted.is_none() && self.agent_name.is_none() && may_lack_the_note(self.status)
    }
}

/// The rule. `asked` is only needed for what bears no mark that can be read.
#[must_use]
pub fn decide(cluster: &ClusterId, seen: Seen<'_>, asked: Option<Asked<'_>>) -> Ownership {
    let cluster_text = cluster.to_string();
    if let Some(noted) = seen.noted.filter(|noted| *noted != cluster_text) {
        return Ownership::Foreign(format!("is noted as of {}", noted.escape_debug()));
    }
    if let Some(other) = seen.agent_name.filter(|name| !name.is_empty() && *name != mark::agent_name(cluster)) {
        return Ownership::Foreign(format!("bears the mark `{}`", other.escape_debug()));
    }
    match (seen.noted.is_some(), is_free(seen.status)) {
        (true, true) => return Ownership::Free,
        // Whoever holds it: the account's key may have become another user's since.
        (true, false) => return Ownership::Ours,
        (false, true) => return Ownership::Foreign("is free".to_owned()),
        (false, false) => {}
    }
    if seen.agent_name == Some("") {
        return Ownership::Foreign("bears no mark".to_owned());
    }
    let Some(owner) = seen.owner else { return Ownership::Foreign("belongs to nobody".to_owned()) };
    if !may_lack_the_note(seen.status) {
        return Ownership::Unclear("what is written on every machine of ours before it is installed is missing");
    }
    if seen.agent_name.is_some() {
        return Ownership::Ours;
    }
    match asked {
        Some(asked) if owner != asked.user => Ownership::Foreign(format!("belongs to `{}`", owner.escape_debug())),
        Some(asked) if asked.filter_works => Ownership::Ours,
        Some(_) => {
            Ownership::Unclear("nothing is written on it, and the list is not filtered by the mark that was asked for")
        }
        None => Ownership::Unclear("nothing is written on it, and whether the list is filtered was not looked at"),
    }
}

/// The mark travels in the allocate call, the note in the next one. Whoever is killed between the two leaves a machine
/// without a note, which may be on its way back by now. Before a machine is installed the note is written, so from the
/// deploy call on it is there.
const fn may_lack_the_note(status: MachineStatus) -> bool {
    matches!(status, MachineStatus::Allocated | MachineStatus::Releasing | MachineStatus::DiskErasing)
}

/// Being given back: MAAS may have cleared the mark and not yet the note.
const fn is_given_back(status: MachineStatus) -> bool {
    matches!(
        status,
        MachineStatus::Releasing
            | MachineStatus::DiskErasing
            | MachineStatus::FailedReleasing
            | MachineStatus::FailedDiskErasing
    )
}

const fn is_free(status: MachineStatus) -> bool {
    matches!(
        status,
        MachineStatus::Ready | MachineStatus::New | MachineStatus::Commissioning | MachineStatus::FailedCommissioning
    )
}

/// What became of a machine that was the cluster's and is not in the list of its machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It is no longer the cluster's: MAAS does not know it, or shows that it bears nothing of the cluster.
    Gone,
    /// It may be the cluster's still. Why, in words.
    Hidden(&'static str),
}

/// The rule for what is missing. `answer` is what MAAS says of the machine itself, `None` where it says that there is none.
#[must_use]
pub fn missing(cluster: &ClusterId, answer: Option<Seen<'_>>) -> Missing {
    match answer {
        None => Missing::Gone,
        Some(seen) if is_free(seen.status) || is_given_back(seen.status) => Missing::Gone,
        // When MAAS has a machine back, what is written on it is cleared.
        Some(seen) if seen.noted == Some(cluster.to_string().as_str()) => {
            Missing::Hidden("bears the cluster's note, and the list of its machines lacks it")
        }
        Some(_) => Missing::Gone,
    }
}

/// The machines of a cluster, each of them checked. Where anything is shown that is not the cluster's, or that nobody can
/// tell, there is no list: whoever acted on it might touch what is somebody else's. `known` are machines that were the
/// cluster's when it was last looked at and that nobody of ours has given back: each that the list lacks is asked for by
/// itself, and there is no list either where MAAS does not show it.
///
/// # Errors
/// Those of MAAS; [`MaasFailure::NotAsked`] with the machines that are in the way; [`MaasFailure::Hidden`] with those that are
/// not shown.
pub async fn machines_of(maas: &Client, cluster: &ClusterId, known: &[SystemId]) -> Result<Vec<Machine>, MaasError> {
    let mut machines = maas.machines(&MachineFilter::agent(mark::agent_name(cluster))).await?;
    let mut hidden = Vec::new();
    for id in known.iter().filter(|id| !machines.iter().any(|machine| machine.system_id == **id)) {
        let why = match maas.machine(id).await {
            Ok(machine) => match missing(cluster, Some(Seen::of(&machine))) {
                Missing::Gone => continue,
                Missing::Hidden(why) => format!("{} {why}", machine.hostname),
            },
            Err(error) if error.is_not_found() => continue,
            Err(error) if matches!(*error.failure, MaasFailure::NotAllowed) => {
                format!("{id} was the cluster's, and this key's user may not see it")
            }
            Err(error) => return Err(error),
        };
        hidden.push(why);
    }
    if !hidden.is_empty() {
        return Err(not_acted_on(cluster, hidden, |hidden| MaasFailure::Hidden { hidden }));
    }
    let doubtful: Vec<SystemId> = machines
        .iter()
        .filter(|machine| Seen::of(machine).rests_on_the_filter())
        .map(|machine| machine.system_id.clone())
        .collect();
    let mut user = String::new();
    let mut shown_anyway: Vec<SystemId> = Vec::new();
    if !doubtful.is_empty() {
        user = maas.whoami().await?.username;
        // Nothing bears the mark of a cluster that was never made.
        let nobody = mark::agent_name(&ClusterId::new());
        let control = MachineFilter { ids: doubtful, ..MachineFilter::agent(nobody) };
        shown_anyway = maas.machines(&control).await?.into_iter().map(|machine| machine.system_id).collect();
    }
    let asked = Asked { user: &user, filter_works: shown_anyway.is_empty() };
    let asked = (!user.is_empty()).then_some(asked);
    let mut in_the_way = Vec::new();
    machines.retain(|machine| match decide(cluster, Seen::of(machine), asked) {
        Ownership::Ours => true,
        Ownership::Free => false,
        Ownership::Unclear(why) => {
            in_the_way.push(format!("{} ({}): {why}", machine.hostname, machine.status_name));
            false
        }
        Ownership::Foreign(why) => {
            in_the_way.push(format!("{} ({}) {why}", machine.hostname, machine.status_name));
            false
        }
    });
    if in_the_way.is_empty() {
        return Ok(machines);
    }
    Err(not_acted_on(cluster, in_the_way, |seen| MaasFailure::NotAsked { seen }))
}

/// A list that is not acted on because of these machines.
fn not_acted_on(cluster: &ClusterId, mut why: Vec<String>, failure: impl Fn(String) -> MaasFailure) -> MaasError {
    let more = why.len().saturating_sub(NAMED);
    why.truncate(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    MaasError {
        call: format!("list the machines marked `{}`", mark::agent_name(cluster)),
        failure: Box::new(failure(format!("{}{more}", why.join("; ")))),
        status: None,
        words: None,
    }
}

#[cfg(test)]
mod tests;
