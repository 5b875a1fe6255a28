//! What an installer asks of the plane after pairing.

use crate::{
    app::events,
    auth::{
        Installer,
        secret::{self, CredentialKind},
    },
    context::Context,
    failure::{Failure, Outcome},
};
use ferrogate_api::{EnrolmentTokenCreate, EnrolmentTokenCreated, InstallProgress, InstallStatus};
use ferrogate_model::{
    EnrolmentId, Timestamp,
    state::{GatewayHealth, GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    SecretHash, Subject,
    enrolment::{self, EnrolmentToken},
    gateways::{self, Gateway},
    operations::{self, Operation},
};
use std::time::Duration;

/// How long a machine may take from being rendered to registering its key: longer than the slowest installation.
const ENROLMENT_LIFETIME: Duration = Duration::from_secs(6 * 3600);

/// How the gateway stands.
pub(crate) async fn status(context: &Context, who: &Installer) -> Outcome<InstallStatus> {
    let gateway = record(context, who).await?;
    let mut connected: Vec<String> =
        context.site_network.nodes(gateway.id).into_iter().map(|node| node.name.to_string()).collect();
    connected.sort();
    Ok(InstallStatus {
        gateway_id: gateway.id,
        name: gateway.name,
        state: gateway.state,
        health: gateway.health,
        reason: gateway.reason,
        connected_nodes: connected,
        desired_nodes: gateway.desired_nodes,
    })
}

/// Makes a token for one machine.
pub(crate) async fn enrolment_token(
    context: &Context,
    who: &Installer,
    request: EnrolmentTokenCreate,
) -> Outcome<EnrolmentTokenCreated> {
    let gateway = record(context, who).await?;
    if gateway.state.is_ending() {
        return Err(Failure::conflict("gateway_going", "the gateway is being deleted"));
    }
    // The installer's token outlives the installation, so that lost machines can be built anew. While none is missing it
    // must not let anybody add a node, which would see what the plane says to the site.
    if gateway.health == GatewayHealth::Healthy {
        return Err(Failure::conflict(
            "gateway_complete",
            format!("every node of gateway `{}` is connected", gateway.name),
        )
        .hint("nothing is to be enrolled; revoke a node in the plane before it is built anew"));
    }
    let now = context.now();
    let token = secret::generate(CredentialKind::Enrolment);
    let expires = now + ENROLMENT_LIFETIME;
    let row = EnrolmentToken {
        id: EnrolmentId::new(),
        gateway: gateway.id,
        node_name: request.node_name.to_string(),
        token_hash: SecretHash::of(&token),
        created: now,
        expires,
        used: None,
    };
    let mut tx = context.store.begin().await?;
    enrolment::insert(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(EnrolmentTokenCreated { token: token.into(), expires_at: expires })
}

/// Notes how far the installer is: a step of the installation's operation, and an event where something failed.
pub(crate) async fn progress(context: &Context, who: &Installer, request: InstallProgress) -> Outcome<()> {
    let step: String = request.step.chars().filter(|c| !c.is_control()).take(80).collect();
    if step.is_empty() {
        return Err(Failure::invalid("bad_step", "the step has no name"));
    }
    let detail: String = request.detail.chars().filter(|c| !c.is_control()).take(500).collect();
    let gateway = record(context, who).await?;
    let now = context.now();
    let Some(operation) = installation(context, &gateway).await? else {
        return Err(Failure::conflict("installation_over", "the installation of this gateway is over"));
    };
    if operation.state == OperationState::Queued {
        operations::transition(&context.store, operation.id, OperationState::Running, "", now).await?;
    }
    let steps = operations::steps(&context.store, operation.id).await?;
    let seq = steps.iter().find(|known| known.name == step).map(|known| known.seq);
    let seq = seq.unwrap_or_else(|| steps.last().map_or(1, |last| last.seq + 1));
    operations::set_step(&context.store, operation.id, seq, &step, request.state, &detail, now).await?;
    let failed = request.state == OperationState::Failed;
    if failed || steps.iter().all(|known| known.name != step) {
        let severity = if failed { Severity::Warning } else { Severity::Info };
        let reason = if failed { "InstallStepFailed" } else { "InstallStep" };
        let message = if detail.is_empty() { step } else { format!("{step}: {detail}") };
        context.record(&[events::new(gateway.tenant, gateway.id, severity, reason, message, now)]).await?;
    }
    Ok(())
}

/// Gives the gateway up. The installer releases the machines, because only it still reaches the site.
pub(crate) async fn abandon(context: &Context, who: &Installer) -> Outcome<()> {
    let gateway = record(context, who).await?;
    if !matches!(gateway.state, GatewayState::Pending | GatewayState::Provisioning | GatewayState::Failed) {
        return Err(Failure::conflict(
            "gateway_in_use",
            format!("gateway `{}` is {} and belongs to the plane now", gateway.name, gateway.state),
        )
        .hint("delete it with `ferrogate delete gateway` instead"));
    }
    let now = context.now();
    let installation = installation(context, &gateway).await?;
    let mut tx = context.store.begin().await?;
    gateways::transition(&mut tx, gateway.id, gateway.state, GatewayState::Deleting, "given up", now).await?;
    gone(&mut tx, &gateway, now).await?;
    if let Some(operation) = installation {
        let reason = "the installation was given up";
        operations::transition(&mut tx, operation.id, OperationState::Cancelled, reason, now).await?;
    }
    let given_up = events::new(
        gateway.tenant,
        gateway.id,
        Severity::Info,
        "InstallationAbandoned",
        "the installer gave this gateway up and releases its machines",
        now,
    );
    ferrogate_store::events::append_in(&mut tx, &[given_up]).await?;
    tx.commit().await?;
    context.events_added();
    context.nudge();
    Ok(())
}

/// Marks a gateway whose machines are not the plane's to release as deleted, with its cluster and its keys.
async fn gone(tx: &mut ferrogate_store::Tx, gateway: &Gateway, now: Timestamp) -> Outcome<()> {
    use ferrogate_model::state::ClusterState;
    use ferrogate_store::{accounts, clusters, gateway_nodes};
    let reason = "the installer gave it up";
    if clusters::request_deletion(&mut *tx, gateway.cluster, reason, now).await? {
        let observed = clusters::Observed {
            from: ClusterState::Deleting,
            to: ClusterState::Deleted,
            reason: reason.to_owned(),
            memory: serde_json::Value::Null,
            api_endpoint: None,
            generation: 2,
            converged: true,
        };
        clusters::record(&mut *tx, gateway.cluster, &observed, now).await?;
        clusters::forget_secrets(&mut *tx, gateway.cluster).await?;
    }
    gateway_nodes::revoke_all(&mut *tx, gateway.id, now).await?;
    gateways::set_install_token(&mut *tx, gateway.id, None, now).await?;
    gateways::transition(&mut *tx, gateway.id, GatewayState::Deleting, GatewayState::Deleted, reason, now).await?;
    gateways::forget_secrets(&mut *tx, gateway.id).await?;
    accounts::delete(&mut *tx, gateway.account, now).await?;
    Ok(())
}

/// The operation of an installation that is not over.
pub(crate) async fn installation(context: &Context, gateway: &Gateway) -> Outcome<Option<Operation>> {
    let open = operations::open_on(&context.store, &Subject::from(gateway.id)).await?;
    Ok(open.into_iter().find(|operation| operation.kind == ferrogate_api::OperationKind::InstallGateway.as_str()))
}

async fn record(context: &Context, who: &Installer) -> Outcome<Gateway> {
    gateways::get(&context.store, who.gateway)
        .await?
        .filter(|gateway| gateway.deleted.is_none())
        .ok_or_else(|| Failure::not_found("gateway", who.gateway))
}
