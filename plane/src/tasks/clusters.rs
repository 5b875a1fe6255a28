//! Clusters become what they should be: one pass of the engine after the other, through the cluster's gateway.

mod admission;
mod desired;
mod progress;
mod record;
mod states;

use super::{
    Done, Key, MaasAccess, Reconciler, TaskContext, TaskError,
    lease::{Held, holding},
};
use admission::Admission;
use async_trait::async_trait;
use ferrogate_engine::{Checkpoint, Memory, Outcome, Pass};
use ferrogate_model::{ClusterId, state::ClusterState};
use ferrogate_store::{
    Page,
    accounts::{self, Account},
    clusters::{self, Cluster, ClusterKind},
    gateways::{self, Gateway},
};
use std::{sync::Arc, time::Duration};

/// How often a cluster that is what it should be is looked at.
const SETTLED: Duration = Duration::from_secs(30);
/// How often a cluster that a person has to help is looked at: passes notice when the cause is gone.
const BLOCKED: Duration = Duration::from_secs(20);
/// How often a cluster that waits for its gateway or its turn is looked at; a nudge comes first as a rule.
const WAITING: Duration = Duration::from_secs(10);

/// The reconciler of the tenants' clusters. The gateways' own are looked after by [`super::Gateways`].
#[derive(Debug)]
pub struct Clusters {
    context: Arc<TaskContext>,
}

impl Clusters {
    /// The reconciler that works with this context.
    #[must_use]
    pub const fn new(context: Arc<TaskContext>) -> Self {
        Self { context }
    }
}

#[async_trait]
impl Reconciler for Clusters {
    fn name(&self) -> &'static str {
        "clusters"
    }

    async fn keys(&self) -> Result<Vec<Key>, TaskError> {
        let mut keys = Vec::new();
        let mut page = Page::first(Page::MAX);
        loop {
            let list = clusters::pulses(&self.context.store, None, ClusterKind::Tenant, &page).await?;
            keys.extend(list.items.into_iter().map(|pulse| Key {
                id: pulse.id.to_string(),
                pressing: pulse.state != ClusterState::Running || !pulse.settled,
            }));
            match list.next {
                Some(next) => page.after = Some(next),
                None => return Ok(keys),
            }
        }
    }

    async fn reconcile(&self, id: &str) -> Result<Done, TaskError> {
        let cluster: ClusterId = id.parse().map_err(|error| TaskError::document("cluster id", &error))?;
        let lease = format!("cluster/{cluster}");
        Ok(match holding(&self.context, &lease, Box::pin(step(&self.context, cluster))).await? {
            Held::Done(done) => done,
            Held::Elsewhere => Done::new(WAITING, "another replica works on it"),
        })
    }
}

/// One pass on one cluster, with the lease held.
async fn step(context: &TaskContext, id: ClusterId) -> Result<Done, TaskError> {
    let Some(mut cluster) = clusters::get(&context.store, id).await?.filter(|cluster| cluster.deleted.is_none()) else {
        return Ok(Done::new(SETTLED, "it is gone"));
    };
    let gateway = gateways::get(&context.store, cluster.gateway).await?;
    let gateway = match admission::decide(context, &cluster, gateway).await? {
        Admission::Admitted(gateway) => gateway,
        Admission::Elsewhere => return Ok(Done::new(WAITING, "its gateway is connected to another replica")),
        Admission::Waiting(reason) => {
            record::waiting(context, &cluster, &reason).await?;
            return Ok(Done::new(WAITING, reason));
        }
    };
    if cluster.state == ClusterState::Queued {
        record::begun(context, &mut cluster).await?;
    }
    let mut memory = remembered(&cluster);
    let account = match cluster.account {
        Some(account) => accounts::get(&context.store, account).await?,
        None => None,
    };
    let pass = match account.filter(|account| account.deleted.is_none()) {
        Some(account) => pass(context, &cluster, &gateway, &account, &mut memory).await?,
        None => blocked("its cloud account is deleted", Some("make a cloud account with access to its machines")),
    };
    let again = match &pass.outcome {
        Outcome::Converged => SETTLED,
        Outcome::Working { check_again, .. } => *check_again,
        Outcome::Blocked { .. } => BLOCKED,
    };
    let said = record::found(context, &cluster, &pass, &memory).await?;
    Ok(Done::new(again, said))
}

/// What the engine remembered; it may be lost at any time.
fn remembered(cluster: &Cluster) -> Memory {
    if cluster.memory.is_null() {
        return Memory::default();
    }
    serde_json::from_value(cluster.memory.clone()).unwrap_or_else(|error| {
        tracing::info!(cluster = %cluster.id, %error, "what the engine remembered cannot be read any more and is forgotten");
        Memory::default()
    })
}

async fn pass(
    context: &TaskContext,
    cluster: &Cluster,
    gateway: &Gateway,
    account: &Account,
    memory: &mut Memory,
) -> Result<Pass, TaskError> {
    let materials = desired::materials(context, cluster).await?;
    let desired = desired::of(context, cluster, gateway, account, materials)?;
    let row = Row { context, cluster: cluster.id };
    let passed = match MaasAccess::new(account, context.site_network.connector(gateway.id), Arc::clone(&context.clock))
    {
        Ok(access) => context.builder.pass(&access, &desired, memory, &row).await,
        Err(problem) => Err(problem),
    };
    Ok(match passed {
        Ok(pass) => pass,
        Err(problem) => blocked(
            format!("cloud account `{}` cannot be used: {problem}", account.name),
            Some("correct the cloud account"),
        ),
    })
}

/// The row of a cluster, in which the engine's notes stand. Only who holds the lease writes to it.
struct Row<'a> {
    context: &'a TaskContext,
    cluster: ClusterId,
}

#[async_trait]
impl Checkpoint for Row<'_> {
    async fn save(&self, memory: &Memory) {
        let kept = match serde_json::to_value(memory) {
            Ok(memory) => {
                clusters::set_memory(&self.context.store, self.cluster, &memory).await.map_err(TaskError::from)
            }
            Err(error) => Err(TaskError::document("memory", &error)),
        };
        if let Err(error) = kept {
            tracing::warn!(cluster = %self.cluster, %error, "what is about to be given back could not be noted down");
        }
    }
}

fn blocked(cause: impl Into<String>, hint: Option<&str>) -> Pass {
    Pass {
        outcome: Outcome::Blocked { cause: cause.into(), hint: hint.map(str::to_owned) },
        machines: Vec::new(),
        events: Vec::new(),
        api_endpoint: None,
        api_members: Vec::new(),
    }
}
