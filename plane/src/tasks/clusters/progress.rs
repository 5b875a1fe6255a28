//! The steps of the operations on a cluster, from what a pass saw.

use ferrogate_api::OperationKind;
use ferrogate_engine::Pass;
use ferrogate_model::{
    Timestamp,
    state::{MachineState, OperationState},
};
use ferrogate_store::{
    StoreError, Tx,
    clusters::Cluster,
    operations::{self, Operation},
};

/// A step: its name, and how much of how much is done.
struct Step {
    name: &'static str,
    detail: String,
    is_done: bool,
    is_begun: bool,
}

/// The cluster waits for its gateway or its turn.
pub(super) async fn waiting(tx: &mut Tx, cluster: &Cluster, reason: &str, now: Timestamp) -> Result<(), StoreError> {
    for operation in open(tx, cluster, now).await? {
        if operation.kind == OperationKind::CreateCluster.as_str() {
            operations::set_step(&mut *tx, operation.id, 1, "queue", OperationState::Running, reason, now).await?;
        }
        operations::transition(&mut *tx, operation.id, operation.state, reason, now).await?;
    }
    Ok(())
}

/// The cluster's turn has come.
pub(super) async fn begun(tx: &mut Tx, cluster: &Cluster, now: Timestamp) -> Result<(), StoreError> {
    for operation in open(tx, cluster, now).await? {
        operations::transition(&mut *tx, operation.id, OperationState::Running, "", now).await?;
        operations::set_step(&mut *tx, operation.id, 1, "queue", OperationState::Succeeded, "", now).await?;
    }
    Ok(())
}

/// A pass found this.
pub(super) async fn found(
    tx: &mut Tx,
    cluster: &Cluster,
    pass: &Pass,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    for operation in open(tx, cluster, now).await? {
        let is_creation = operation.kind == OperationKind::CreateCluster.as_str();
        let first = if is_creation { 2 } else { 1 };
        for (seq, step) in (first..).zip(steps(cluster, pass, is_creation)) {
            let state = match (step.is_done, step.is_begun) {
                (true, _) => OperationState::Succeeded,
                (false, true) => OperationState::Running,
                (false, false) => OperationState::Queued,
            };
            operations::set_step(&mut *tx, operation.id, seq, step.name, state, &step.detail, now).await?;
        }
        let state = if pass.is_converged() { OperationState::Succeeded } else { OperationState::Running };
        operations::transition(&mut *tx, operation.id, state, reason, now).await?;
    }
    Ok(())
}

/// The operations that this cluster's passes carry out. What a deletion makes pointless is ended.
async fn open(tx: &mut Tx, cluster: &Cluster, now: Timestamp) -> Result<Vec<Operation>, StoreError> {
    let mut open = operations::open_on(&mut *tx, &cluster.id.into()).await?;
    if cluster.absent {
        let is_deletion = |operation: &Operation| operation.kind == OperationKind::DeleteCluster.as_str();
        for pointless in open.iter().filter(|operation| !is_deletion(operation)) {
            let why = "the cluster is being deleted";
            operations::transition(&mut *tx, pointless.id, OperationState::Cancelled, why, now).await?;
        }
        open.retain(is_deletion);
    }
    Ok(open)
}

fn steps(cluster: &Cluster, pass: &Pass, is_creation: bool) -> Vec<Step> {
    let count =
        |states: &[MachineState]| pass.machines.iter().filter(|machine| states.contains(&machine.state)).count();
    if cluster.absent {
        let left = pass.machines.len();
        return vec![
            Step {
                name: "release",
                detail: if left == 0 {
                    "every machine was given back".into()
                } else {
                    format!("{left} machines are left")
                },
                is_done: left == 0,
                is_begun: true,
            },
            Step {
                name: "verify",
                detail: if pass.is_converged() { "nothing is left in MAAS".into() } else { String::new() },
                is_done: pass.is_converged(),
                is_begun: left == 0,
            },
        ];
    }
    let wanted = usize::try_from(cluster.spec.machine_count()).unwrap_or(usize::MAX);
    let taken = count(&[
        MachineState::Allocating,
        MachineState::Deploying,
        MachineState::Joining,
        MachineState::Running,
        MachineState::Draining,
    ]);
    let installed = count(&[MachineState::Joining, MachineState::Running, MachineState::Draining]);
    let joined = count(&[MachineState::Running, MachineState::Draining]);
    let leaving = count(&[MachineState::Draining, MachineState::Releasing]);
    let step = |name, done: usize, before: usize| Step {
        name,
        detail: format!("{done} of {wanted}"),
        is_done: done >= wanted,
        is_begun: before > 0,
    };
    let mut steps =
        vec![step("machines", taken, wanted), step("install", installed, taken), step("join", joined, installed)];
    if !is_creation {
        let detail = if leaving > 0 { format!("{leaving} machines are leaving") } else { String::new() };
        steps.push(Step { name: "surplus", detail, is_done: leaving == 0, is_begun: leaving > 0 });
    }
    steps.push(Step {
        name: "healthy",
        detail: String::new(),
        is_done: pass.is_converged(),
        is_begun: joined > 0 && joined >= wanted,
    });
    steps
}
