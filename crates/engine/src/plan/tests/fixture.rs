//! Makes up situations.

use super::super::{Action, Plan, plan};
use crate::{
    desired::Desired,
    limits::Limits,
    mark,
    memory::Memory,
    observed::{Api, Endpoint, Machine, Observed, SeenNode, Status},
};
use ferrogate_join::{ClusterKind, ClusterMaterials, NodeConfiguration, Role};
use ferrogate_model::{ClusterId, SystemId, Timestamp, proxy::ProxySettings, release::Release};
use serde_json::json;
use std::{collections::BTreeMap, sync::LazyLock};

static MATERIALS: LazyLock<ClusterMaterials> = LazyLock::new(|| ClusterMaterials::generate("prod", at(0)).unwrap());

/// A moment, in seconds after the beginning of the test.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

/// A cluster and what is seen of it.
pub(super) struct Site {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
}

impl Site {
    /// One server and this many workers wanted, nothing there.
    pub(super) fn new(workers: u32) -> Self {
        let spec = json!({
            "control_plane": {"count": 1, "resource_pool": "default"},
            "workers": [{"name": "work", "count": workers, "resource_pool": "default"}],
        });
        let desired = Desired {
            configuration: NodeConfiguration {
                cluster: ClusterId::new(),
                name: "prod".parse().unwrap(),
                kind: ClusterKind::Tenant,
                spec: serde_json::from_value(spec).unwrap(),
                release: Release::example(),
                materials: MATERIALS.clone(),
                artifacts_url: "https://plane/artifacts/".parse().unwrap(),
                plane_ca_pem: None,
                proxy: ProxySettings::default(),
                gateway: None,
            },
            absent: false,
        };
        let observed = Observed {
            machines: Vec::new(),
            leaving: Vec::new(),
            free: Vec::new(),
            api: Api::NotYet,
            endpoint: Endpoint::default(),
        };
        Self { desired, observed }
    }

    /// Adds a machine that was taken for a pool; an empty pool: nobody wrote down what for.
    pub(super) fn machine(&mut self, name: &str, status: Status, pool: &str) {
        let notes = if pool.is_empty() { BTreeMap::new() } else { mark::notes(&self.desired, pool, "") };
        self.observed.machines.push(Machine {
            id: SystemId(format!("id{name}")),
            hostname: name.into(),
            fqdn: format!("{name}.maas"),
            status,
            message: String::new(),
            locked: false,
            powered: Some(true),
            zone: "default".into(),
            resource_pool: "default".into(),
            architecture: "amd64/generic".into(),
            cpu_count: 8,
            memory_mib: 16_384,
            disk_bytes: 100 << 30,
            tags: Vec::new(),
            addresses: Vec::new(),
            fixed_address: None,
            subnet: None,
            owner_data: notes,
        });
    }

    /// Makes a machine a healthy member, with the address 10.0.0.N, where N is its place in the alphabet.
    pub(super) fn member(&mut self, name: &str, pool: &str) {
        if !self.observed.machines.iter().any(|machine| machine.hostname == name) {
            self.machine(name, Status::Deployed, pool);
        }
        let notes = mark::notes(&self.desired, pool, name);
        let machine = self.of(name);
        machine.status = Status::Deployed;
        machine.owner_data = notes;
        machine.owner_data.insert(mark::JOINED.into(), at(-1000).to_string());
        machine.addresses = vec![[10, 0, 0, name.as_bytes()[0] - b'a' + 1].into()];
        let id = machine.id.clone();
        self.node(name).machine = Some(id);
    }

    pub(super) fn of(&mut self, name: &str) -> &mut Machine {
        self.observed.machines.iter_mut().find(|machine| machine.hostname == name).unwrap()
    }

    /// A node in the API, added where it is not there.
    pub(super) fn node(&mut self, name: &str) -> &mut SeenNode {
        if !matches!(self.observed.api, Api::Answers(_)) {
            self.observed.api = Api::Answers(Vec::new());
        }
        let Api::Answers(nodes) = &mut self.observed.api else { unreachable!() };
        let index = nodes.iter().position(|node| node.name == name).unwrap_or_else(|| {
            nodes.push(SeenNode { name: name.into(), ..SeenNode::default() });
            nodes.len() - 1
        });
        &mut nodes[index]
    }

    pub(super) fn plan(&self) -> Plan {
        self.plan_after(&Memory::default(), 0)
    }

    pub(super) fn plan_after(&self, memory: &Memory, seconds: i64) -> Plan {
        plan(&self.desired, &self.observed, memory, &Limits::default(), at(seconds))
    }

    /// What is remembered after looking every minute from one second to another, and the actions on the way.
    pub(super) fn watched(&self, memory: &Memory, from: i64, to: i64) -> (Memory, Vec<Action>) {
        let (mut memory, mut actions) = (memory.clone(), Vec::new());
        for seconds in (from..=to).step_by(60) {
            let plan = self.plan_after(&memory, seconds);
            actions.extend(plan.actions);
            memory = plan.memory;
        }
        (memory, actions)
    }

    /// The machines a plan installs, and as what.
    pub(super) fn deployed(&self, plan: &Plan) -> Vec<(String, Role)> {
        let name =
            |id: &SystemId| self.observed.machines.iter().find(|machine| machine.id == *id).unwrap().hostname.clone();
        let deployed = plan.actions.iter().filter_map(|action| match action {
            Action::Deploy { machine, role, .. } => Some((name(machine), role.clone())),
            _ => None,
        });
        deployed.collect()
    }

    /// The machines a plan gives back: name, reason, whether they cool down, whether a node goes first.
    pub(super) fn released(&self, plan: &Plan) -> Vec<(String, String, bool, bool)> {
        let name =
            |id: &SystemId| self.observed.machines.iter().find(|machine| machine.id == *id).unwrap().hostname.clone();
        let released = plan.actions.iter().filter_map(|action| match action {
            Action::Release { machine, why, cool, node } => Some((name(machine), why.clone(), *cool, node.is_some())),
            _ => None,
        });
        released.collect()
    }
}
