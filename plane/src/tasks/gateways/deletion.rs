//! The end of a gateway.
//!
//! Its machines can only be given back through the tunnel that runs on them. So everything else goes first, while the tunnel
//! is there: nothing may be left of the clusters, the name and address of the gateway's own API are removed. Then one
//! collective call gives *all* of its machines back at once; what is to be released is written down before the call, and
//! after it nothing needs the tunnel any more. That the tunnel breaks then is not a failure but the proof that it worked.
//! As long as it still stands, MAAS is watched; where the answer to the call was lost, the gateway must stay away for a while
//! before it is believed.

mod end;
mod release;

use super::{
    event,
    note::{Note, names},
    presence::is_connected_elsewhere,
    site,
};
use crate::tasks::{Done, Ground, TaskError};
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
    machines, operations,
};
use std::time::Duration;

/// How soon to look again while MAAS works.
const SOON: Duration = Duration::from_secs(1);
/// How soon to look again while something has to change first.
const LATER: Duration = Duration::from_secs(10);
/// How long a gateway must stay away until a call without an answer counts as done.
const CONFIRMED_AFTER: Duration = Duration::from_secs(60);
/// How long a gateway may be away before its deletion is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15 * 60);

/// One step of the deletion, with the lease held.
pub(super) async fn step(ground: &Ground, gateway: &Gateway) -> Result<Done, TaskError> {
    let Some(own) = clusters::get(&ground.store, gateway.cluster).await?.filter(|own| own.deleted.is_none()) else {
        return end(ground, gateway, None, End::Nothing).await;
    };
    if let Some(reason) = clusters_in_the_way(ground, gateway).await? {
        report(ground, gateway, 1, "clusters", &reason).await?;
        return Ok(Done::new(LATER, reason));
    }
    if ground.sites.nodes(gateway.id).is_empty() && is_connected_elsewhere(ground, gateway.id).await? {
        return Ok(Done::new(LATER, "it is connected to another replica"));
    }
    let is_here = !ground.sites.nodes(gateway.id).is_empty();
    let mut note = Note::of(&own);
    let now = ground.now();
    if is_here && note.away_since.take().is_some() {
        note.keep(ground, &own).await?;
    }
    match (&note.release, is_here) {
        (None, true) => release::prepare_and_ask(ground, gateway, &own, note).await,
        (Some(_), true) => release::watch(ground, gateway, &own, note).await,
        (Some(asked), false) if asked.answered => {
            let gone = End::TunnelGone { machines: names(&asked.machines) };
            end(ground, gateway, Some(&own), gone).await
        }
        (Some(asked), false) => {
            let machines = names(&asked.machines);
            let away = away_for(ground, &own, &mut note, now).await?;
            if away >= CONFIRMED_AFTER {
                return end(ground, gateway, Some(&own), End::Unanswered { machines }).await;
            }
            Ok(Done::new(SOON * 5, "the tunnel ended before MAAS answered; whether it comes back is awaited"))
        }
        (None, false) => away(ground, gateway, &own, note, now).await,
    }
}

/// Clusters that run through the gateway, for people.
async fn clusters_in_the_way(ground: &Ground, gateway: &Gateway) -> Result<Option<String>, TaskError> {
    let filter = Filter { gateway: Some(gateway.id), kind: Some(ClusterKind::Tenant), ..Filter::default() };
    let list = clusters::list(&ground.store, &filter, &Page::first(10)).await?;
    if list.items.is_empty() {
        return Ok(None);
    }
    let names: Vec<_> = list.items.iter().map(|cluster| format!("`{}`", cluster.name)).collect();
    let more = if list.next.is_some() { " and more" } else { "" };
    Ok(Some(format!("waits until its clusters are gone: {}{more}", names.join(", "))))
}

/// The gateway is not connected, and nothing was released yet.
async fn away(
    ground: &Ground,
    gateway: &Gateway,
    own: &Cluster,
    mut note: Note,
    now: Timestamp,
) -> Result<Done, TaskError> {
    let has_ever_connected =
        gateway.last_seen.is_some() || !gateway_nodes::list(&ground.store, gateway.id).await?.is_empty();
    if !has_ever_connected {
        return end(ground, gateway, Some(own), End::NeverConnected).await;
    }
    let left = machines::list(&ground.store, own.id, &Page::first(Page::MAX)).await?.items;
    let left: Vec<_> = left.iter().map(|machine| machine.hostname.as_str()).collect();
    let machines = if left.is_empty() { "its machines".to_owned() } else { left.join(", ") };
    if note.gave_up {
        return end(ground, gateway, Some(own), End::Abandoned { machines }).await;
    }
    let away = away_for(ground, own, &mut note, now).await?;
    if away < GIVE_UP_AFTER {
        let reason = format!("waits until a node connects: {machines} can only be given back through the gateway");
        report(ground, gateway, 3, "machines", &reason).await?;
        return Ok(Done::new(LATER, reason));
    }
    note.gave_up = true;
    note.away_since = None;
    note.keep(ground, own).await?;
    let reason = format!(
        "{machines} could not be given back, because no node of the gateway is connected; run `ferrogate install cleanup` \
         with the gateway's configuration, or release them in MAAS, and delete the gateway again"
    );
    let mut tx = ground.store.begin().await?;
    let (from, to) = (GatewayState::Deleting, GatewayState::Failed);
    gateways::transition(&mut tx, gateway.id, from, to, &reason, now).await?;
    for operation in operations::open_on(&mut tx, &Subject::from(gateway.id)).await? {
        operations::transition(&mut tx, operation.id, OperationState::Failed, &reason, now).await?;
    }
    let told = [event(gateway, Severity::Error, "DeletionFailed", reason.clone(), now)];
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    ground.events_added(&told);
    Ok(Done::new(LATER, reason))
}

/// How long no node has been connected; begins to count now if it did not before.
async fn away_for(ground: &Ground, own: &Cluster, note: &mut Note, now: Timestamp) -> Result<Duration, TaskError> {
    let since = match note.away_since {
        Some(since) => since,
        None => {
            note.away_since = Some(now);
            note.keep(ground, own).await?;
            now
        }
    };
    Ok(Duration::try_from(now.duration_since(since)).unwrap_or_default())
}

async fn end(ground: &Ground, gateway: &Gateway, own: Option<&Cluster>, how: End) -> Result<Done, TaskError> {
    let said = how.to_string();
    finish(ground, gateway, own, how).await?;
    Ok(Done::new(LATER, said))
}

/// Shows people how far it is.
async fn report(ground: &Ground, gateway: &Gateway, seq: u32, step: &str, reason: &str) -> Result<(), TaskError> {
    if gateway.reason == reason {
        return Ok(());
    }
    let now = ground.now();
    let mut tx = ground.store.begin().await?;
    gateways::set_reason(&mut tx, gateway.id, GatewayState::Deleting, reason, now).await?;
    for operation in operations::open_on(&mut tx, &Subject::from(gateway.id)).await? {
        if operation.kind != OperationKind::DeleteGateway.as_str() {
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

/// The steps of the operation, in order.
const STEPS: [&str; 4] = ["clusters", "addresses", "machines", "verify"];
