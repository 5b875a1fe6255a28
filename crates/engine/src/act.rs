//! Carrying out a plan: bounded, parallel, and so that every call may be the last.

mod allocate;
mod deploy;
mod etcd;
mod release;

use crate::{
    desired::Desired,
    engine::Engine,
    kube::{self, Eviction, KubeError},
    limits::Limits,
    memory::{Cooling, Leaving, Memory},
    observed::Observed,
    pass::Event,
    plan::{Action, Block, Plan, Wait},
};
use etcd::Removal;
use ferrogate_maas::{MaasError, MaasFailure, ReserveIp};
use ferrogate_model::{Explain, Name, Retry, SystemId, Timestamp, cluster::CONTROL_PLANE_POOL, fault, state::Severity};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use serde_json::json;
use std::collections::BTreeMap;

/// What came of a plan.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Whether anything was changed, so that another look makes sense soon.
    pub(crate) changed: bool,
    pub(crate) waits: Vec<Wait>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) events: Vec<Event>,
    /// Pools for which MAAS had no machine.
    pub(crate) none_free: Vec<Name>,
}

impl Report {
    fn changed() -> Self {
        Self { changed: true, ..Self::default() }
    }

    fn merge(&mut self, other: Self) {
        self.changed |= other.changed;
        self.waits.extend(other.waits);
        self.blocks.extend(other.blocks);
        self.events.extend(other.events);
        self.none_free.extend(other.none_free);
    }

    fn wait(now: Timestamp, reason: String) -> Self {
        Self { waits: vec![Wait { reason, since: now, moving: true }], ..Self::default() }
    }

    fn block(cause: String, hint: Option<String>) -> Self {
        Self { blocks: vec![Block { cause, hint }], ..Self::default() }
    }

    fn event(mut self, severity: Severity, reason: &str, message: String, machine: Option<&SystemId>) -> Self {
        self.events.push(Event { severity, reason: reason.into(), message, machine: machine.cloned() });
        self
    }

    /// An error of MAAS: what a person must change is in the way, everything else passes or is seen at the next look.
    fn maas(now: Timestamp, about: &str, error: &MaasError) -> Self {
        let cause = format!("{about}: {}", fault::chain(error));
        let for_a_person = error.retry() == Retry::No
            || matches!(
                *error.failure,
                MaasFailure::Exhausted(_) | MaasFailure::NoneFree | MaasFailure::NoneFits { .. }
            );
        if for_a_person { Self::block(cause, error.hint()) } else { Self::wait(now, cause) }
    }

    fn kube(now: Timestamp, about: &str, error: &KubeError) -> Self {
        Self::wait(now, format!("{about}: {}", fault::chain(error)))
    }
}

/// Writes down what is about to be given back before it is: whoever dies in between must not think that somebody else
/// took the machine away, and should not take a bad one again. Whether there is anything to give back.
pub(crate) fn remember_intentions(plan: &Plan, memory: &mut Memory, limits: &Limits, now: Timestamp) -> bool {
    let mut any = false;
    *memory = Memory { views: std::mem::take(&mut memory.views), ..plan.memory.clone() };
    for action in &plan.actions {
        let Action::Release { machine, why, cool, .. } = action else { continue };
        any = true;
        let view = plan.machines.iter().find(|view| view.system_id == *machine);
        let hostname = view.map_or_else(|| machine.to_string(), |view| view.hostname.clone());
        memory.releasing.entry(machine.clone()).or_insert_with(|| Leaving { hostname: hostname.clone(), since: now });
        if *cool {
            let until = now.saturating_add(limits.cooling).unwrap_or(Timestamp::MAX);
            memory.cooling.insert(machine.clone(), Cooling { hostname, until, reason: why.clone() });
        }
    }
    any
}

/// What the actions share.
pub(super) struct Executor<'a> {
    engine: &'a Engine,
    desired: &'a Desired,
    observed: &'a Observed,
    plan: &'a Plan,
    client: Option<kube::Client>,
    cooling: &'a BTreeMap<SystemId, Cooling>,
    now: Timestamp,
}

/// Does what the plan says.
pub(crate) async fn act(
    engine: &Engine,
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    client: Option<kube::Client>,
    memory: &Memory,
) -> Report {
    let now = engine.now();
    let executor = Executor { engine, desired, observed, plan, client, cooling: &memory.cooling, now };
    let executor = &executor;
    let mut work: Vec<BoxFuture<'_, Report>> = Vec::new();
    if plan.actions.iter().any(|action| matches!(action, Action::Release { .. })) {
        work.push(release::release(executor).boxed());
    }
    if plan.actions.iter().any(|action| matches!(action, Action::Allocate { .. })) {
        work.push(allocate::allocate(executor).boxed());
    }
    work.extend(plan.actions.iter().filter_map(|action| executor.one(action)));
    let mut report = Report::default();
    let mut running = stream::iter(work).buffer_unordered(engine.limits().parallel.max(1));
    while let Some(done) = running.next().await {
        report.merge(done);
    }
    report
}

impl<'a> Executor<'a> {
    /// One action; releases are done together, and so are allocations.
    fn one(&'a self, action: &'a Action) -> Option<BoxFuture<'a, Report>> {
        Some(match action {
            Action::Release { .. } | Action::Allocate { .. } => return None,
            Action::Deploy { machine, pool, node, role, notes } => {
                deploy::deploy(self, machine, pool, node, role, notes).boxed()
            }
            Action::Note { machine, notes } => self.note(machine, notes).boxed(),
            Action::Switch { machine, on, why } => self.switch(machine, *on, why).boxed(),
            Action::ReserveEndpoint { subnet, fqdn } => self.reserve_endpoint(*subnet, fqdn).boxed(),
            Action::ReleaseEndpoint => self.release_endpoint().boxed(),
            Action::DeleteNode { node, why } => self.delete_node(node, why).boxed(),
            Action::Cordon { node } => self.cordon(node).boxed(),
            Action::Uncordon { node } => self.uncordon(node).boxed(),
            Action::Evict { namespace, pod } => self.evict(namespace, pod).boxed(),
            Action::Label { node, labels } => self.label(node, labels).boxed(),
        })
    }

    /// A machine's name for people.
    fn name(&self, machine: &SystemId) -> String {
        let found = self.observed.machines.iter().find(|seen| seen.id == *machine);
        found.map_or_else(|| machine.to_string(), |machine| machine.hostname.clone())
    }

    async fn note(&self, machine: &SystemId, notes: &BTreeMap<String, String>) -> Report {
        let pairs = notes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match self.engine.maas().set_owner_data(machine, pairs).await {
            Ok(_) => Report::changed(),
            // It is not ours any more; the next look shows what is.
            Err(error) if error.is_not_found() => Report::changed(),
            Err(error) => Report::maas(self.now, &self.name(machine), &error),
        }
    }

    async fn switch(&self, machine: &SystemId, on: bool, why: &str) -> Report {
        let comment = format!("ferrogate: {why}");
        let maas = self.engine.maas();
        let done = if on {
            maas.power_on(machine, Some(&comment)).await
        } else {
            // Its node has been silent for minutes: an orderly end is not to be expected.
            maas.power_off(machine, false, Some(&comment)).await
        };
        let (name, word) = (self.name(machine), if on { "on" } else { "off" });
        match done {
            Ok(_) => Report::changed(),
            Err(error) if error.is_not_found() => Report::changed(),
            // Whether it helps is seen by its node; where it does not, the machine is replaced.
            Err(error) => {
                Report::wait(self.now, format!("{name} could not be switched {word}: {}", fault::chain(&error)))
            }
        }
    }

    async fn reserve_endpoint(&self, subnet: ipnet::IpNet, fqdn: &str) -> Report {
        let wanted = ReserveIp { subnet: Some(subnet), hostname: Some(fqdn.to_owned()), ip: None };
        match self.engine.maas().reserve_ip(&wanted).await {
            Ok(reserved) => Report::changed().event(
                Severity::Info,
                "EndpointReserved",
                format!("{} is reserved for the Kubernetes API as {fqdn}", reserved.ip),
                None,
            ),
            Err(error) => Report::maas(self.now, "the address of the Kubernetes API", &error),
        }
    }

    /// The name last: it is the mark by which the address is found.
    async fn release_endpoint(&self) -> Report {
        let endpoint = &self.observed.endpoint;
        for address in &endpoint.addresses {
            match self.engine.maas().release_ip(*address).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Report::maas(self.now, &format!("the reserved address {address}"), &error),
            }
        }
        if let Some(dns) = endpoint.dns {
            match self.engine.maas().delete_dns_resource(dns).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Report::maas(self.now, "the name of the Kubernetes API", &error),
            }
        }
        Report::changed()
    }

    /// Removes a node; a server leaves etcd first, where that is not one and the same.
    async fn delete_node(&self, node: &str, why: &str) -> Report {
        let seen = self.observed.api.nodes().iter().find(|seen| seen.name == node);
        if let Some(seen) = seen.filter(|seen| seen.pool.as_deref() == Some(CONTROL_PLANE_POOL)) {
            let (removal, mut report) = self.leave_etcd(node, &seen.addresses).await;
            if let Removal::NotYet(reason) = removal {
                report.merge(Report::wait(self.now, reason));
                return report;
            }
            report.merge(self.remove_node(node, why).await);
            return report;
        }
        self.remove_node(node, why).await
    }

    async fn remove_node(&self, node: &str, why: &str) -> Report {
        let Some(client) = &self.client else { return Report::default() };
        match client.delete_node(node).await {
            Ok(()) => {
                let message = format!("node {node} is removed from the cluster: {why}");
                Report::changed().event(Severity::Info, "NodeRemoved", message, None)
            }
            Err(error) => Report::kube(self.now, &format!("node {node} could not be removed"), &error),
        }
    }

    async fn cordon(&self, node: &str) -> Report {
        let Some(client) = &self.client else { return Report::default() };
        match client.cordon(node, self.now).await {
            Ok(()) => Report::changed(),
            Err(error) => Report::kube(self.now, &format!("node {node} could not be cordoned"), &error),
        }
    }

    async fn uncordon(&self, node: &str) -> Report {
        let Some(client) = &self.client else { return Report::default() };
        match client.uncordon(node).await {
            Ok(()) => Report::changed(),
            Err(error) => Report::kube(self.now, &format!("node {node} could not be uncordoned"), &error),
        }
    }

    async fn evict(&self, namespace: &str, pod: &str) -> Report {
        let Some(client) = &self.client else { return Report::default() };
        match client.evict(namespace, pod).await {
            Ok(Eviction::Accepted) => Report::changed(),
            Ok(Eviction::Refused(why)) => {
                Report::wait(self.now, format!("pod {namespace}/{pod} may not leave yet: {why}"))
            }
            Err(error) => Report::kube(self.now, &format!("pod {namespace}/{pod} could not be moved"), &error),
        }
    }

    async fn label(&self, node: &str, labels: &BTreeMap<String, String>) -> Report {
        let Some(client) = &self.client else { return Report::default() };
        match client.patch_node(node, &json!({"metadata": {"labels": labels}})).await {
            Ok(()) => Report::changed(),
            // A label Kubernetes does not accept is for a person to change.
            Err(error) if error.retry() == Retry::No => {
                Report::block(fault::chain(&error), Some("correct the labels of the pool".into()))
            }
            Err(error) => Report::kube(self.now, &format!("node {node} could not be labelled"), &error),
        }
    }
}
