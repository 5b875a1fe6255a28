//! The end of a gateway.
//!
//! Its machines can only be given back through the tunnel that runs on them. So everything else goes first, while the tunnel
//! is there: nothing may be left of the clusters, the name and address of the gateway's own API are removed. Then one
//! collective call gives *all* of its machines back at once; what is to be released is written down before the call, and
//! after it nothing needs the tunnel any more. That the tunnel breaks then is not a failure but the proof that it worked,
//! where MAAS has answered. Where it has not, MAAS is looked at and asked again as long as it is reached; where it is not
//! reached any more, the deletion is *stuck*: a person looks, and forces it, or brings the gateway back.

mod decision;
mod end;
mod progress;
mod release;

use super::{event, presence::is_connected_elsewhere};
use crate::tasks::{Done, TaskContext, TaskError};
use decision::{Call, FORCED_AFTER, HINDERED_FOR, Next};
use end::{End, finish};
use ferrogate_api::OperationKind;
use ferrogate_model::{
    Timestamp,
    state::{GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    Page, Subject,
    clusters::{self, Cluster, ClusterKind, Filter},
    events, gateway_nodes,
    gateways::{self, Gateway},
    machines,
    operations::{self, Operation},
};
use progress::{DeletionProgress, HeldMachine, names};
use std::time::Duration;

/// How soon to look again while MAAS works.
const SOON: Duration = Duration::from_secs(1);
/// How soon to look again while something has to change first.
const LATER: Duration = Duration::from_secs(10);

/// One step of the deletion, with the lease held.
pub(super) async fn step(context: &TaskContext, gateway: &Gateway) -> Result<Done, TaskError> {
    let Some(own) = clusters::get(&context.store, gateway.cluster).await?.filter(|own| own.deleted.is_none()) else {
        let said = End::Nothing.to_string();
        finish(context, gateway, None, End::Nothing).await?;
        return Ok(Done::new(LATER, said));
    };
    let open = operations::open_on(&context.store, &Subject::from(gateway.id)).await?;
    let forced = open.into_iter().find(|operation| operation.kind == OperationKind::ForceDeleteGateway.as_str());
    let progress = DeletionProgress::of(&own);
    Deletion { context, gateway, own: &own, progress, forced }.step().await
}

/// A deletion that is under way.
struct Deletion<'a> {
    context: &'a TaskContext,
    gateway: &'a Gateway,
    /// The record of its own cluster.
    own: &'a Cluster,
    progress: DeletionProgress,
    /// Somebody asked to end it whatever is left behind.
    forced: Option<Operation>,
}

impl Deletion<'_> {
    async fn step(mut self) -> Result<Done, TaskError> {
        if let Some(reason) = self.clusters_in_the_way().await? {
            self.report(1, "clusters", &reason).await?;
            return Ok(Done::new(LATER, reason));
        }
        let is_here = !self.context.site_network.nodes(self.gateway.id).is_empty();
        if !is_here && is_connected_elsewhere(self.context, self.gateway.id).await? {
            return Ok(Done::new(LATER, "it is connected to another replica"));
        }
        if !is_here && self.progress.release.is_none() && !self.has_ever_connected().await? {
            return self.end(End::NeverConnected).await;
        }
        let away = if is_here { self.is_back().await? } else { Some(self.away_for().await?) };
        let call = self.progress.release.as_ref().map(|asked| asked.call);
        match decision::next(call, away, self.forced.is_some()) {
            Next::Ask => self.prepare_and_ask().await,
            Next::Look => self.watch().await,
            Next::Done => {
                let machines = self.progress.release.as_ref().map(|asked| names(&asked.machines)).unwrap_or_default();
                self.end(End::TunnelGone { machines }).await
            }
            Next::Wait => self.wait().await,
            Next::Stuck => {
                let reason = self.lost().await?;
                self.stuck(&reason).await
            }
            Next::Abandon => {
                let why = self.lost().await?;
                self.abandon(why).await
            }
        }
    }

    /// Clusters that run through the gateway, for people.
    async fn clusters_in_the_way(&self) -> Result<Option<String>, TaskError> {
        let filter = Filter { gateway: Some(self.gateway.id), kind: Some(ClusterKind::Tenant), ..Filter::default() };
        let list = clusters::list(&self.context.store, &filter, &Page::first(10)).await?;
        if list.items.is_empty() {
            return Ok(None);
        }
        let names: Vec<_> = list.items.iter().map(|cluster| format!("`{}`", cluster.name)).collect();
        let more = if list.next.is_some() { " and more" } else { "" };
        Ok(Some(format!("waits until its clusters are gone: {}{more}", names.join(", "))))
    }

    async fn has_ever_connected(&self) -> Result<bool, TaskError> {
        Ok(self.gateway.last_seen.is_some()
            || !gateway_nodes::list(&self.context.store, self.gateway.id).await?.is_empty())
    }

    /// The machines that are, or may be, held still.
    async fn held(&self) -> Result<Vec<HeldMachine>, TaskError> {
        if let Some(asked) = &self.progress.release {
            return Ok(asked.machines.clone());
        }
        let known = machines::list(&self.context.store, self.own.id, &Page::first(Page::MAX)).await?.items;
        Ok(known.into_iter().map(|row| HeldMachine { system_id: row.system_id, hostname: row.hostname }).collect())
    }

    /// The same in words.
    async fn held_names(&self) -> Result<String, TaskError> {
        let held = self.held().await?;
        Ok(if held.is_empty() { "its machines".to_owned() } else { names(&held) })
    }

    /// The gateway is away, and may come back.
    async fn wait(&self) -> Result<Done, TaskError> {
        if self.progress.release.is_some() {
            return Ok(Done::new(SOON * 5, "the tunnel ended before MAAS answered; whether it comes back is awaited"));
        }
        let machines = self.held_names().await?;
        let reason = format!("waits until a node connects: {machines} can only be given back through the gateway");
        self.report(3, "machines", &reason).await?;
        Ok(Done::new(LATER, reason))
    }

    /// Why nobody knows, or can change, whether the machines are held still.
    async fn lost(&self) -> Result<String, TaskError> {
        let machines = self.held_names().await?;
        Ok(match self.progress.release.as_ref().map(|asked| asked.call) {
            None => format!("{machines} were not given back, because no node of the gateway is connected"),
            Some(Call::Noted) => format!(
                "whether MAAS was asked to take back {machines} is not known, because the plane was interrupted; no node of \
                 the gateway has been connected since"
            ),
            Some(Call::Unanswered | Call::Answered) => format!(
                "MAAS was asked to take back {machines}, but the tunnel ended before it answered, and no node of the gateway \
                 has been connected since"
            ),
        })
    }

    /// Something is in the way although the gateway is connected. Tried again; after a while a person is called.
    async fn hindered(mut self, reason: String, again: Duration) -> Result<Done, TaskError> {
        let now = self.context.now();
        let since = *self.progress.hindered_since.get_or_insert(now);
        self.keep().await?;
        if self.forced.is_some() {
            // While the gateway reaches MAAS one answer that fails is no reason to leave everything behind.
            if elapsed(since, now) >= FORCED_AFTER {
                return self.abandon(reason).await;
            }
            self.report(3, "machines", &reason).await?;
            return Ok(Done::new(again, reason));
        }
        if elapsed(since, now) >= HINDERED_FOR || self.gateway.state == GatewayState::DeletionStuck {
            return self.stuck(&reason).await;
        }
        self.report(3, "machines", &reason).await?;
        Ok(Done::new(again, reason))
    }

    /// A person must look. It is tried on, and goes on by itself when what is in the way is gone.
    async fn stuck(mut self, why: &str) -> Result<Done, TaskError> {
        let name = &self.gateway.name;
        let reason = format!(
            "{why}. It goes on by itself when the gateway reaches MAAS again. If that will not be, look in MAAS \
             (`ferrogate doctor leaks` lists what bears a mark of ours), then end it with `ferrogate delete gateway {name} \
             --force`; what may be left behind is recorded"
        );
        if self.gateway.state == GatewayState::DeletionStuck {
            if self.gateway.reason != reason {
                let now = self.context.now();
                let stuck = GatewayState::DeletionStuck;
                gateways::set_reason(&self.context.store, self.gateway.id, stuck, &reason, now).await?;
            }
            return Ok(Done::new(LATER, reason));
        }
        // Whoever asks again gives it the whole time again.
        (self.progress.away_since, self.progress.hindered_since) = (None, None);
        self.keep().await?;
        let now = self.context.now();
        let mut tx = self.context.store.begin().await?;
        let (from, to) = (GatewayState::Deleting, GatewayState::DeletionStuck);
        gateways::transition(&mut tx, self.gateway.id, from, to, &reason, now).await?;
        for operation in operations::open_on(&mut tx, &Subject::from(self.gateway.id)).await? {
            operations::transition(&mut tx, operation.id, OperationState::Failed, &reason, now).await?;
        }
        let told = [event(self.gateway, Severity::Error, to.as_str(), reason.clone(), now)];
        events::append_in(&mut tx, &told).await?;
        tx.commit().await?;
        self.context.events_added(&told);
        Ok(Done::new(LATER, reason))
    }

    /// A deletion that was stuck makes its call after all.
    async fn resume(&self) -> Result<(), TaskError> {
        if self.gateway.state != GatewayState::DeletionStuck {
            return Ok(());
        }
        let now = self.context.now();
        let reason = "MAAS is reached again, so the deletion goes on";
        let mut tx = self.context.store.begin().await?;
        let (from, to) = (GatewayState::DeletionStuck, GatewayState::Deleting);
        gateways::transition(&mut tx, self.gateway.id, from, to, reason, now).await?;
        let told = [event(self.gateway, Severity::Info, "DeletionResumed", reason, now)];
        events::append_in(&mut tx, &told).await?;
        tx.commit().await?;
        self.context.events_added(&told);
        Ok(())
    }

    /// A person has decided. What may be left behind is recorded with the end of the gateway.
    async fn abandon(self, why: String) -> Result<Done, TaskError> {
        let by = self.forced.as_ref().map(|operation| operation.created_by.clone()).unwrap_or_default();
        let machines = self.held().await?;
        let may_have_name = self.progress.release.is_none();
        self.end(End::Abandoned { why, machines, may_have_name, by }).await
    }

    /// A node is connected; whatever was counted of its absence is over.
    async fn is_back(&mut self) -> Result<Option<Duration>, TaskError> {
        if self.progress.away_since.take().is_some() {
            // What was in the way before it went may be gone.
            self.progress.hindered_since = None;
            self.keep().await?;
        }
        Ok(None)
    }

    /// How long no node has been connected; begins to count now if it did not before.
    async fn away_for(&mut self) -> Result<Duration, TaskError> {
        let now = self.context.now();
        let since = match self.progress.away_since {
            Some(since) => since,
            // It is stuck already: there is nothing to count.
            None if self.gateway.state == GatewayState::DeletionStuck => return Ok(Duration::MAX),
            None => {
                self.progress.away_since = Some(now);
                self.keep().await?;
                now
            }
        };
        Ok(elapsed(since, now))
    }

    async fn keep(&self) -> Result<(), TaskError> {
        self.progress.keep(self.context, self.own).await
    }

    async fn end(&self, how: End) -> Result<Done, TaskError> {
        let said = how.to_string();
        finish(self.context, self.gateway, Some(self.own), how).await?;
        Ok(Done::new(LATER, said))
    }

    /// Shows people how far it is.
    async fn report(&self, seq: u32, step: &str, reason: &str) -> Result<(), TaskError> {
        let (context, gateway) = (self.context, self.gateway);
        if gateway.reason == reason || gateway.state == GatewayState::DeletionStuck {
            return Ok(());
        }
        let now = context.now();
        let mut tx = context.store.begin().await?;
        gateways::set_reason(&mut tx, gateway.id, GatewayState::Deleting, reason, now).await?;
        for operation in operations::open_on(&mut tx, &Subject::from(gateway.id)).await? {
            if !is_deletion(&operation) {
                continue;
            }
            let running = OperationState::Running;
            operations::transition(&mut tx, operation.id, running, reason, now).await?;
            for (number, done) in (1..seq).zip(STEPS) {
                operations::set_step(&mut tx, operation.id, number, done, OperationState::Succeeded, "", now).await?;
            }
            operations::set_step(&mut tx, operation.id, seq, step, running, reason, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

fn is_deletion(operation: &Operation) -> bool {
    [OperationKind::DeleteGateway, OperationKind::ForceDeleteGateway].iter().any(|kind| operation.kind == kind.as_str())
}

/// How long ago; nothing where clocks disagree.
fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// The steps of the operation, in order.
const STEPS: [&str; 4] = ["clusters", "addresses", "machines", "verify"];
