//! Gateways and their nodes.

use crate::{
    app::{events, operations, wire},
    auth::{Principal, secret},
    context::Context,
    failure::{Failure, Outcome},
    node_connections::{NodeConnections, is_elsewhere},
};
use ferrogate_api::{Gateway, GatewayForceDelete, GatewayNode, Operation, OperationKind, Page, PageQuery};
use ferrogate_model::{
    Name,
    state::{GatewayHealth, GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    Subject, accounts, clusters, gateway_nodes,
    gateways::{self, Gateway as Record},
};
use ferrogate_tunnel::DisconnectReason;

/// A page of the tenant's gateways.
pub(crate) async fn list(context: &Context, who: &Principal, query: &PageQuery) -> Outcome<Page<Gateway>> {
    let list = gateways::list(&context.store, Some(who.tenant), &wire::page(query)?).await?;
    let next = list.next;
    // Deleted ones are kept for the record, not for the list.
    let mut items = Vec::new();
    for gateway in list.items.into_iter().filter(|gateway| gateway.deleted.is_none()) {
        items.push(shown(context, gateway).await?);
    }
    Ok(Page { items, next })
}

/// One gateway.
pub(crate) async fn read(context: &Context, who: &Principal, gateway: &str) -> Outcome<Gateway> {
    shown(context, find(context, who, gateway).await?).await
}

/// A gateway of the caller's tenant by id or name.
pub(crate) async fn find(context: &Context, who: &Principal, gateway: &str) -> Outcome<Record> {
    let found = match (gateway.parse(), gateway.parse::<Name>()) {
        (Ok(id), _) => gateways::find(&context.store, who.tenant, id).await?,
        (Err(_), Ok(name)) => gateways::by_name(&context.store, who.tenant, &name).await?,
        (Err(_), Err(_)) => None,
    };
    found.filter(|gateway| gateway.deleted.is_none()).ok_or_else(|| Failure::not_found("gateway", gateway))
}

/// Begins to delete a gateway.
pub(crate) async fn delete(context: &Context, who: &Principal, gateway: &str) -> Outcome<Operation> {
    let gateway = find(context, who, gateway).await?;
    let open = ferrogate_store::operations::open_on(&context.store, &Subject::from(gateway.id)).await?;
    if gateway.state == GatewayState::Deleting
        && let Some(running) = open.iter().find(|operation| operation.kind == OperationKind::DeleteGateway.as_str())
    {
        return operations::with_steps(context, running.clone()).await;
    }
    let now = context.now();
    let mut tx = context.store.begin().await?;
    let filter = clusters::Filter {
        gateway: Some(gateway.id),
        kind: Some(clusters::ClusterKind::Tenant),
        ..clusters::Filter::default()
    };
    let using = clusters::list(&mut tx, &filter, &ferrogate_store::Page::first(100)).await?.items;
    if !using.is_empty() {
        let detail = format!("gateway `{}` is used by {} cluster(s)", gateway.name, using.len());
        let failure = Failure::conflict("gateway_in_use", detail).hint("delete or migrate these clusters first");
        return Err(using.into_iter().fold(failure, |failure, cluster| {
            failure.item(cluster.id.to_string(), format!("cluster `{}` is {}", cluster.name, cluster.state), None)
        }));
    }
    let reason = format!("{} asked for it", who.email);
    gateways::transition(&mut tx, gateway.id, gateway.state, GatewayState::Deleting, &reason, now).await?;
    clusters::request_deletion(&mut tx, gateway.cluster, &reason, now).await?;
    for operation in open {
        let reason = "the gateway is deleted";
        ferrogate_store::operations::transition(&mut tx, operation.id, OperationState::Cancelled, reason, now).await?;
    }
    let operation = operations::new(who.tenant, OperationKind::DeleteGateway, gateway.id, &who.user, now);
    ferrogate_store::operations::insert(&mut tx, &operation).await?;
    let event = events::new(who.tenant, gateway.id, Severity::Info, "DeletionRequested", reason, now);
    ferrogate_store::events::append_in(&mut tx, &[event]).await?;
    tx.commit().await?;
    context.events_added();
    context.nudge();
    operations::with_steps(context, operation).await
}

/// Ends a gateway whose deletion is stuck, whatever is left behind; its name was given once more.
pub(crate) async fn force_delete(
    context: &Context,
    who: &Principal,
    gateway: &str,
    request: &GatewayForceDelete,
) -> Outcome<Operation> {
    let gateway = find(context, who, gateway).await?;
    if request.confirm_name != gateway.name.as_str() {
        let detail = format!("`{}` is not the name of this gateway", request.confirm_name.escape_debug());
        return Err(
            Failure::invalid("name_not_confirmed", detail).hint("write the gateway's own name as `confirm_name`")
        );
    }
    if gateway.state != GatewayState::DeletionStuck {
        let detail =
            format!("gateway `{}` is {}; only a deletion that is stuck is forced", gateway.name, gateway.state);
        return Err(Failure::conflict("deletion_not_stuck", detail).hint(
            "ask for the ordinary deletion first; it says that it is stuck when the gateway has been away for a while",
        ));
    }
    let now = context.now();
    let reason = format!("{} forced the deletion", who.email);
    let mut tx = context.store.begin().await?;
    let (from, to) = (GatewayState::DeletionStuck, GatewayState::Deleting);
    gateways::transition(&mut tx, gateway.id, from, to, &reason, now).await?;
    let operation = operations::new(who.tenant, OperationKind::ForceDeleteGateway, gateway.id, &who.user, now);
    ferrogate_store::operations::insert(&mut tx, &operation).await?;
    let event = events::new(who.tenant, gateway.id, Severity::Warning, "DeletionForced", reason, now);
    ferrogate_store::events::append_in(&mut tx, &[event]).await?;
    tx.commit().await?;
    context.events_added();
    context.nudge();
    operations::with_steps(context, operation).await
}

/// The registered nodes of a gateway, with what the hub knows of each.
pub(crate) async fn nodes(context: &Context, who: &Principal, gateway: &str) -> Outcome<Page<GatewayNode>> {
    let gateway = find(context, who, gateway).await?;
    let connected = context.site_network.nodes(gateway.id);
    let records = gateway_nodes::list(&context.store, gateway.id).await?;
    let items = records.into_iter().map(|node| {
        let live = connected.iter().find(|status| status.node_id == node.id);
        GatewayNode {
            id: node.id,
            connected: live.is_some() || is_elsewhere(&node, &context.replica, context.now()),
            name: node.name,
            key_fingerprint: format!("sha256:{}", secret::hash_text(&node.public_key)),
            version: live.map_or(node.version, |status| status.version.clone()),
            registered_at: node.registered,
            last_seen_at: live.map(|status| status.last_seen).or(node.last_seen),
            revoked_at: node.revoked,
            carriers: live.map_or(0, |status| count(status.carriers)),
            streams: live.map_or(0, |status| count(status.streams)),
            refused_dials: live.map_or(0, |status| status.refusals),
        }
    });
    Ok(wire::whole(items.collect()))
}

/// Revokes a node's key and ends its connections.
pub(crate) async fn revoke_node(context: &Context, who: &Principal, gateway: &str, node: &str) -> Outcome<()> {
    let gateway = find(context, who, gateway).await?;
    let known = gateway_nodes::list(&context.store, gateway.id).await?;
    let found = known.into_iter().find(|known| known.id.to_string() == node || known.name == node);
    let found = found.ok_or_else(|| Failure::not_found("gateway_node", node))?;
    let now = context.now();
    gateway_nodes::revoke(&context.store, gateway.id, found.id, now).await?;
    context.site_network.disconnect(found.id, DisconnectReason::Revoked);
    let message = format!("{} revoked the key of node {}", who.email, found.name);
    context.record(&[events::new(who.tenant, gateway.id, Severity::Warning, "NodeRevoked", message, now)]).await?;
    context.nudge();
    Ok(())
}

async fn shown(context: &Context, gateway: Record) -> Outcome<Gateway> {
    let here = context.site_network.nodes(gateway.id);
    let nodes = gateway_nodes::list(&context.store, gateway.id).await?;
    let account = accounts::get(&context.store, gateway.account).await?;
    let nodes = NodeConnections::of(&nodes, &here, &context.replica, gateway.desired_nodes, context.now());
    // A gateway that is being installed misses nobody yet.
    let is_judged = matches!(gateway.health, GatewayHealth::Degraded | GatewayHealth::Unreachable);
    Ok(Gateway {
        id: gateway.id,
        name: gateway.name,
        cloud_type: "maas".into(),
        state: gateway.state,
        reason: gateway.reason,
        health: gateway.health,
        health_reason: if is_judged { nodes.shortfall() } else { String::new() },
        desired_nodes: gateway.desired_nodes,
        connected_nodes: count(nodes.connected.len()),
        version: gateway.version.unwrap_or_default(),
        cluster_id: gateway.cluster,
        account_id: gateway.account,
        maas_endpoint: account.map(|account| account.endpoint).unwrap_or_default(),
        created_at: gateway.created,
        last_seen_at: here.iter().map(|node| node.last_seen).max().or(gateway.last_seen),
    })
}

fn count(number: usize) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
