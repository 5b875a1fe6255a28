//! The first connection of a new gateway: it is *Running*, and its cloud account is made.

use super::{Presence, event};
use crate::tasks::{Ground, TaskError};
use ferrogate_api::OperationKind;
use ferrogate_model::{
    AccountId, Name, TenantId, Timestamp,
    state::{ClusterState, GatewayState, OperationState, Severity},
};
use ferrogate_store::{
    StoreError, Subject, Tx,
    accounts::{self, Account, AccountState},
    audit::{self, ActorKind, AuditResult, Entry},
    clusters::{self, Observed},
    events,
    gateways::{self, Gateway},
    operations,
};

/// Makes a gateway *Running* when its first node has connected; tells whether that happened now. Ends its installation when
/// all have.
pub(super) async fn step(ground: &Ground, gateway: &Gateway, presence: &Presence) -> Result<bool, TaskError> {
    if presence.roll.present.is_empty() {
        return Ok(false);
    }
    let is_new = matches!(gateway.state, GatewayState::Pending | GatewayState::Provisioning);
    if is_new {
        begin(ground, gateway, presence).await?;
    }
    if is_new || gateway.state == GatewayState::Running {
        end_installation(ground, gateway, presence).await?;
    }
    Ok(is_new)
}

async fn begin(ground: &Ground, gateway: &Gateway, presence: &Presence) -> Result<(), TaskError> {
    let now = ground.now();
    let mut tx = ground.store.begin().await?;
    let mut told = vec![event(
        gateway,
        Severity::Info,
        GatewayState::Running.as_str(),
        format!("its first node, {}, has connected", presence.roll.present.join(", ")),
        now,
    )];
    if gateway.state == GatewayState::Pending {
        let (from, to) = (GatewayState::Pending, GatewayState::Provisioning);
        gateways::transition(&mut tx, gateway.id, from, to, "", now).await?;
    }
    let (from, to) = (GatewayState::Provisioning, GatewayState::Running);
    gateways::transition(&mut tx, gateway.id, from, to, "its nodes are registered", now).await?;
    if gateway.account.is_none() {
        let account = account(&mut tx, gateway, now).await?;
        accounts::insert(&mut tx, &account).await?;
        gateways::set_account(&mut tx, gateway.id, Some(account.id), now).await?;
        let message = format!("cloud account `{}` was created for the site's MAAS", account.name);
        told.push(event(gateway, Severity::Info, "AccountCreated", message, now));
        audit::append_in(&mut tx, &entry(ground, gateway.tenant, account.id.into(), "account.create", now)).await?;
    }
    events::append_in(&mut tx, &told).await?;
    tx.commit().await?;
    ground.events_added(&told);
    // Clusters may be waiting for it.
    ground.nudge();
    Ok(())
}

/// The account, named after the gateway, or where that name is taken the first free `NAME-2`, `NAME-3` …
async fn account(tx: &mut Tx, gateway: &Gateway, now: Timestamp) -> Result<Account, StoreError> {
    let mut name = gateway.name.clone();
    let mut number = 2_u32;
    while accounts::by_name(&mut *tx, gateway.tenant, &name).await?.is_some() {
        name = numbered(&gateway.name, number);
        number += 1;
    }
    Ok(Account {
        id: AccountId::new(),
        tenant: gateway.tenant,
        name,
        gateway: gateway.id,
        endpoint: gateway.maas_endpoint.clone(),
        api_key: gateway.maas_key.clone(),
        ca_pem: gateway.maas_ca.clone(),
        state: AccountState::Unknown,
        reason: String::new(),
        auto_created: true,
        created: now,
        updated: now,
        deleted: None,
    })
}

fn numbered(name: &Name, number: u32) -> Name {
    let front: String = name.as_str().chars().take(52).collect();
    format!("{front}-{number}").parse().expect("a shortened name, a hyphen and a number are a name")
}

/// When every node is there, the installation is over and the gateway's own cluster is taken over.
async fn end_installation(ground: &Ground, gateway: &Gateway, presence: &Presence) -> Result<(), TaskError> {
    if presence.roll.present.len() < usize::try_from(gateway.desired_nodes).unwrap_or(usize::MAX) {
        return Ok(());
    }
    let now = ground.now();
    let subject = Subject::from(gateway.id);
    let installing = operations::open_on(&ground.store, &subject).await?;
    let installing: Vec<_> =
        installing.into_iter().filter(|open| open.kind == OperationKind::InstallGateway.as_str()).collect();
    let cluster = clusters::get(&ground.store, gateway.cluster).await?;
    let young = cluster.filter(|own| matches!(own.state, ClusterState::Queued | ClusterState::Provisioning));
    if installing.is_empty() && young.is_none() {
        return Ok(());
    }
    let mut tx = ground.store.begin().await?;
    for operation in installing {
        let why = "every node is connected";
        operations::transition(&mut tx, operation.id, OperationState::Succeeded, why, now).await?;
    }
    if let Some(own) = young {
        let mut from = own.state;
        for to in [ClusterState::Provisioning, ClusterState::Running] {
            let observed = Observed {
                from,
                to,
                reason: "every node is connected".into(),
                memory: own.memory.clone(),
                api_endpoint: None,
                generation: own.generation,
                converged: true,
            };
            clusters::record(&mut tx, own.id, &observed, now).await?;
            from = to;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// What the plane itself did, for the audit.
pub(super) fn entry(ground: &Ground, tenant: TenantId, subject: Subject, action: &str, now: Timestamp) -> Entry {
    Entry {
        seq: 0,
        tenant: Some(tenant),
        at: now,
        actor_kind: ActorKind::Plane,
        actor: ground.replica.clone(),
        actor_name: "the plane".into(),
        from_ip: None,
        action: action.to_owned(),
        subject: Some(subject),
        result: AuditResult::Done,
        detail: String::new(),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_name_is_a_name_however_long_the_first_was() {
        let long: Name = "x".repeat(63).parse().unwrap();
        assert_eq!(numbered(&long, 12).as_str().len(), 55);
        assert_eq!(numbered(&"paris".parse().unwrap(), 2).as_str(), "paris-2");
    }
}
