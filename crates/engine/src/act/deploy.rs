//! Installing machines.

use super::{Executor, Report};
use crate::{mark, observed::Machine};
use ferrogate_join::{ClusterKind, Node, Role, SetupError};
use ferrogate_maas::Deploy;
use ferrogate_model::{Explain, Name, Retry, SystemId, fault};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Notes down what a machine will be, renders its user-data and has MAAS install it.
pub(super) async fn deploy(
    executor: &Executor<'_>,
    machine: &SystemId,
    pool: &Name,
    node: &Name,
    role: &Role,
    notes: &BTreeMap<String, String>,
) -> Report {
    let Some(machine) = executor.observed.machines.iter().find(|seen| seen.id == *machine) else {
        return Report::default();
    };
    let name = &machine.hostname;
    // Before the installation: once it runs, its place in the cluster must be known to whoever comes after us.
    let known = notes.iter().all(|(key, value)| machine.note(key) == Some(value));
    if !known {
        let noted = executor.note(&machine.id, notes).await;
        if !noted.waits.is_empty() || !noted.blocks.is_empty() {
            return noted;
        }
    }
    let token = match executor.desired.configuration.kind {
        ClusterKind::Tenant => None,
        ClusterKind::Gateway => match executor.engine.enrolment().token(node).await {
            Ok(token) => Some(token),
            Err(error) if error.retry() == Retry::No => return Report::block(fault::chain(&error), error.hint()),
            Err(error) => return Report::wait(executor.now, fault::chain(&error)),
        },
    };
    let user_data = match render(executor, machine, pool, node, role, token.as_ref()) {
        Ok(user_data) => user_data,
        Err(error) => return Report::block(fault::chain(&error), error.hint()),
    };
    let desired = executor.desired;
    let what = Deploy {
        distro_series: Some(
            desired.configuration.spec.image.clone().unwrap_or_else(|| desired.configuration.release.os_image.clone()),
        ),
        user_data: Some(user_data),
        comment: Some(format!("ferrogate: node {node} of cluster {}", desired.configuration.name)),
        agent_name: Some(mark::agent_name(&desired.configuration.cluster)),
        ..Deploy::default()
    };
    match executor.engine.maas().deploy(&machine.id, &what).await {
        Ok(_) => Report::changed(),
        Err(error) if error.is_not_found() => Report::changed(),
        Err(error) => Report::maas(executor.now, name, &error),
    }
}

fn render(
    executor: &Executor<'_>,
    machine: &Machine,
    pool: &Name,
    node: &Name,
    role: &Role,
    token: Option<&SecretString>,
) -> Result<SecretString, SetupError> {
    let desired = executor.desired;
    let pool = desired
        .configuration
        .spec
        .pools()
        .find(|spec| spec.name == *pool)
        .unwrap_or(&desired.configuration.spec.control_plane);
    let node = Node {
        system_id: &machine.id.0,
        name: node,
        fqdn: &machine.fqdn,
        zone: &machine.zone,
        architecture: &machine.architecture,
        address: machine.fixed_address,
        pool,
    };
    executor.engine.setup().user_data(&desired.configuration, &node, role, &executor.plan.api_names, token)
}
