//! What each machine is in its cluster, and whether it counts.

use super::{builder::PlanBuilder, fit, words};
use crate::{
    desired::Desired,
    limits::Limits,
    mark,
    observed::{Api, Machine, Observed, SeenNode, Status},
};
use ferrogate_model::{Name, Timestamp, cluster::PoolSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// How far a machine that counts has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Allocated,
    Deploying {
        since: Timestamp,
    },
    /// Installed, not ready yet; `since` is absent while its clock does not run.
    Joining {
        since: Option<Timestamp>,
        why: String,
    },
    Ready,
    /// Was a member, and is in trouble.
    Unwell {
        why: String,
    },
    /// Was a member; nobody can be asked how it is.
    Unknown,
}

/// What is thought of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Assessment {
    /// It counts.
    Good(Stage),
    /// It is given back and replaced.
    Bad { why: String, cool: bool },
    /// Somebody works on it: neither counted nor touched.
    Stuck(String),
    /// On its way back already.
    Leaving,
    /// Not known yet what it is for; looked at again.
    Undecided(String),
}

/// A machine with its place in the cluster.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) machine: &'a Machine,
    /// Number of its pool; the control plane is 0.
    pub(super) pool: Option<usize>,
    /// Whether MAAS must still be told the pool.
    pub(super) unwritten: bool,
    pub(super) node: Name,
    pub(super) seen: Option<&'a SeenNode>,
    pub(super) assessment: Assessment,
}

impl Member<'_> {
    pub(super) fn stage(&self) -> Option<&Stage> {
        match &self.assessment {
            Assessment::Good(stage) => Some(stage),
            Assessment::Bad { .. } | Assessment::Stuck(_) | Assessment::Leaving | Assessment::Undecided(_) => None,
        }
    }

    pub(super) fn is_installed(&self) -> bool {
        matches!(self.machine.status, Status::Deploying | Status::Deployed)
    }

    pub(super) fn has_joined(&self) -> bool {
        self.machine.note(mark::JOINED).is_some()
    }

    /// Whether it fills a place of its pool. A control-plane machine that was a member counts even while somebody works on
    /// it: a second control plane beside it would be a second cluster.
    pub(super) fn counts(&self) -> bool {
        match &self.assessment {
            Assessment::Good(_) => true,
            Assessment::Stuck(_) => self.pool == Some(0) && self.has_joined(),
            Assessment::Bad { .. } | Assessment::Leaving | Assessment::Undecided(_) => false,
        }
    }
}

/// What every machine is assessed by.
pub(super) struct Context<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) pools: Vec<&'a PoolSpec>,
}

impl<'a> Context<'a> {
    /// Assesses every machine.
    pub(super) fn members(&self, builder: &PlanBuilder) -> Vec<Member<'a>> {
        let names = node_names(&self.observed.machines);
        let mut members: Vec<Member<'a>> = Vec::new();
        for machine in &self.observed.machines {
            let noted = machine.note(mark::POOL);
            let pool = noted.and_then(|noted| self.pools.iter().position(|pool| pool.name.as_str() == noted));
            let seen = self.node_of(machine);
            let node = names[&machine.id.0].clone();
            let assessment = Assessment::Leaving;
            members.push(Member { machine, pool, unwritten: false, node, seen, assessment });
        }
        self.place_installed(&mut members);
        let servers = server_addresses(&members);
        for member in &mut members {
            member.assessment = self.assess(member, servers.as_ref(), builder);
        }
        self.place_allocated(&mut members);
        members
    }

    fn node_of(&self, machine: &Machine) -> Option<&'a SeenNode> {
        self.observed.api.nodes().iter().find(|node| node.machine.as_ref() == Some(&machine.id))
    }

    /// Machines that are installed although nobody wrote down what for: their node knows, or they are the first server.
    fn place_installed(&self, members: &mut [Member<'_>]) {
        for index in 0..members.len() {
            let member = &members[index];
            if member.machine.note(mark::POOL).is_some() || !member.is_installed() {
                continue;
            }
            let label = member.seen.and_then(|node| node.pool.as_deref());
            let by_label = label.and_then(|label| self.pools.iter().position(|pool| pool.name.as_str() == label));
            let headless = !members.iter().any(|member| member.pool == Some(0));
            let pool = by_label.or_else(|| headless.then_some(0));
            members[index].unwritten = pool.is_some();
            members[index].pool = pool;
        }
    }

    /// Machines that were taken by a pass that did not live to write down what for.
    fn place_allocated(&self, members: &mut [Member<'_>]) {
        let mut slots = Vec::new();
        for (pool, spec) in self.pools.iter().enumerate() {
            let there = members.iter().filter(|member| member.pool == Some(pool) && member.counts()).count();
            slots.extend(std::iter::repeat_n(pool, (spec.count as usize).saturating_sub(there)));
        }
        let unnoted: Vec<usize> = (0..members.len())
            .filter(|&index| {
                let member = &members[index];
                member.machine.note(mark::POOL).is_none() && member.machine.status == Status::Allocated
            })
            .collect();
        let machines: Vec<&Machine> = unnoted.iter().map(|&index| members[index].machine).collect();
        let free: Vec<&Machine> = self.observed.free.iter().collect();
        let adopted = fit::adopt(&machines, &free, &self.pools, &slots, &self.desired.configuration.release);
        for (index, pool) in unnoted.into_iter().zip(adopted) {
            let member = &mut members[index];
            if pool.is_some() {
                member.pool = pool;
                member.unwritten = true;
                member.assessment = Assessment::Good(Stage::Allocated);
            } else {
                member.assessment = Assessment::Bad { why: "no place is left that it fits".into(), cool: false };
            }
        }
    }

    fn assess(&self, member: &Member<'_>, servers: Option<&BTreeSet<IpAddr>>, builder: &PlanBuilder) -> Assessment {
        use ferrogate_model::state::MachineState::Deploying;
        let machine = member.machine;
        match &machine.status {
            Status::Releasing => Assessment::Leaving,
            Status::ReleaseFailed => {
                Assessment::Bad { why: format!("MAAS could not take it back before: {}", machine.message), cool: false }
            }
            Status::Other(status) => Assessment::Stuck(format!("it is `{status}` in MAAS, so somebody works on it")),
            Status::DeployFailed => {
                let words = if machine.message.is_empty() { "MAAS gives no reason" } else { &machine.message };
                Assessment::Bad { why: format!("MAAS failed to install it: {words}"), cool: true }
            }
            Status::Allocated => Assessment::Good(Stage::Allocated),
            Status::Deploying => {
                let since = builder.since(&machine.id, Deploying);
                if words::elapsed(since, self.now) > self.limits.installing {
                    let deadline = words::in_words(self.limits.installing);
                    return Assessment::Bad {
                        why: format!("MAAS did not finish installing it within {deadline}"),
                        cool: true,
                    };
                }
                match self.told_a_server_that_is_gone(member, servers) {
                    Some(why) => Assessment::Bad { why, cool: false },
                    None => Assessment::Good(Stage::Deploying { since }),
                }
            }
            Status::Deployed => self.assess_installed(member, servers, builder),
        }
    }

    fn assess_installed(
        &self,
        member: &Member<'_>,
        servers: Option<&BTreeSet<IpAddr>>,
        builder: &PlanBuilder,
    ) -> Assessment {
        if let Some(node) = member.seen {
            return match &node.not_ready {
                None => Assessment::Good(Stage::Ready),
                Some(why) if member.has_joined() => {
                    Assessment::Good(Stage::Unwell { why: format!("its node is not ready: {why}") })
                }
                Some(why) => self.joining(member, builder, &format!("its node is not ready: {why}")),
            };
        }
        if let Some(why) = self.told_a_server_that_is_gone(member, servers)
            && (!member.has_joined() || matches!(self.observed.api, Api::Answers(_)))
        {
            return Assessment::Bad { why, cool: false };
        }
        let control_plane = member.pool == Some(0);
        match &self.observed.api {
            Api::Answers(_) if member.pool.is_none() && member.machine.note(mark::POOL).is_none() => {
                Assessment::Bad { why: "nobody knows what it was taken for".into(), cool: false }
            }
            Api::Answers(_) if member.has_joined() => self.joining(member, builder, "its node has left the cluster"),
            Api::Answers(_) => self.joining(member, builder, "it has not introduced itself yet"),
            Api::Silent(why) if control_plane && !member.has_joined() => self.joining(member, builder, why),
            Api::Silent(why) if control_plane => Assessment::Good(Stage::Unwell { why: why.clone() }),
            Api::NotYet if control_plane && !member.has_joined() => {
                self.joining(member, builder, "MAAS shows no address of it")
            }
            Api::Silent(_) | Api::NotYet if member.pool.is_none() => {
                Assessment::Undecided("what it was taken for is known once the Kubernetes API answers".into())
            }
            Api::Silent(_) | Api::NotYet if member.has_joined() => Assessment::Good(Stage::Unknown),
            Api::Silent(_) | Api::NotYet => {
                Assessment::Good(Stage::Joining { since: None, why: "it waits for the Kubernetes API".into() })
            }
        }
    }

    fn joining(&self, member: &Member<'_>, builder: &PlanBuilder, why: &str) -> Assessment {
        let since = builder.joining_since(&member.machine.id);
        if words::elapsed(since, self.now) > self.limits.joining {
            let deadline = words::in_words(self.limits.joining);
            // A machine that has worked before is not at fault.
            let cool = !member.has_joined();
            return Assessment::Bad { why: format!("it did not join the cluster within {deadline}: {why}"), cool };
        }
        Assessment::Good(Stage::Joining { since: Some(since), why: why.to_owned() })
    }

    /// A machine is installed with the address of a server; when that server is replaced, the machine would knock for ever.
    fn told_a_server_that_is_gone(&self, member: &Member<'_>, servers: Option<&BTreeSet<IpAddr>>) -> Option<String> {
        let told: IpAddr = member.machine.note(mark::SERVER)?.parse().ok()?;
        (!servers?.contains(&told)).then(|| format!("it was told to join {told}, which is gone"))
    }
}

/// The addresses of all servers; `None` where they are not all known.
fn server_addresses(members: &[Member<'_>]) -> Option<BTreeSet<IpAddr>> {
    let servers = || members.iter().filter(|member| member.pool == Some(0) && member.is_installed());
    // Somebody works on a server: its addresses may be missing for a while.
    let stuck = members.iter().any(|m| m.pool == Some(0) && matches!(m.machine.status, Status::Other(_)));
    let unknown = stuck || servers().count() == 0 || servers().any(|server| server.machine.addresses.is_empty());
    (!unknown).then(|| servers().flat_map(|server| server.machine.addresses.iter().copied()).collect())
}

/// The node name of each machine: what was written down, else its host name; where two have the same one (in different
/// domains), the id is added.
fn node_names(machines: &[Machine]) -> BTreeMap<String, Name> {
    let mut names = BTreeMap::new();
    let mut used = BTreeSet::new();
    for machine in machines {
        if let Some(name) = machine.note(mark::NODE).and_then(|name| name.parse::<Name>().ok()) {
            used.insert(name.clone());
            names.insert(machine.id.0.clone(), name);
        }
    }
    for machine in machines {
        if names.contains_key(&machine.id.0) {
            continue;
        }
        let id: String = machine.id.0.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let host = machine.hostname.to_ascii_lowercase();
        let candidates = [host.clone(), format!("{}-{id}", &host.get(..40).unwrap_or(&host)), format!("m{id}")];
        let name = candidates
            .iter()
            .filter_map(|candidate| candidate.parse::<Name>().ok())
            .find(|name| !used.contains(name))
            .unwrap_or_else(|| "machine".parse().expect("it is a DNS label"));
        used.insert(name.clone());
        names.insert(machine.id.0.clone(), name);
    }
    names
}
