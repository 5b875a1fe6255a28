//! The hub's questions about gateway nodes, answered from the store.

use async_trait::async_trait;
use ferrogate_model::{Clock, GatewayId, NodeId, fault::chain, state::GatewayState};
use ferrogate_store::{
    SecretHash, Store, StoreError,
    enrolment::{self, Enrolled},
    gateway_nodes::{self, GatewayNode},
    gateways,
};
use ferrogate_tunnel::{Authenticator, EnrolRefused, Enrolment, KnownNode, Unavailable};
use std::sync::Arc;

/// Knows nodes by what the store remembers.
#[derive(Debug)]
pub(crate) struct Registry {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Registry {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The ids that the same key was given for an earlier use of a token.
    async fn again(&self, enrolment: &Enrolment, gateway: GatewayId) -> Result<(GatewayId, NodeId), EnrolRefused> {
        let known = gateway_nodes::by_key(&self.store, &enrolment.public_key.to_string()).await.map_err(refused)?;
        match known {
            Some(node) if node.gateway == gateway && node.revoked.is_none() => Ok((gateway, node.id)),
            _ => Err(EnrolRefused::Used),
        }
    }
}

#[async_trait]
impl Authenticator for Registry {
    async fn node(&self, node: NodeId) -> Result<Option<KnownNode>, Unavailable> {
        let unavailable = |error: StoreError| Unavailable(chain(&error));
        let Some(node) = gateway_nodes::get(&self.store, node).await.map_err(unavailable)? else { return Ok(None) };
        let gateway = gateways::get(&self.store, node.gateway).await.map_err(unavailable)?;
        let is_gone = gateway.is_none_or(|gateway| gateway.deleted.is_some() || gateway.state == GatewayState::Deleted);
        let corrupt = |what: &str| Unavailable(format!("the record of node {} has a bad {what}", node.id));
        Ok(Some(KnownNode {
            gateway: node.gateway,
            name: node.name.parse().map_err(|_| corrupt("name"))?,
            public_key: node.public_key.parse().map_err(|_| corrupt("public key"))?,
            revoked: node.revoked.is_some() || is_gone,
        }))
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<(GatewayId, NodeId), EnrolRefused> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await.map_err(refused)?;
        let used = enrolment::consume(&mut tx, &SecretHash::of(&enrolment.token), now).await.map_err(refused)?;
        let token = match used {
            Enrolled::Yes(token) => token,
            Enrolled::Used(token) => {
                drop(tx);
                return self.again(&enrolment, token.gateway).await;
            }
            Enrolled::Expired(_) => return Err(EnrolRefused::Expired),
            Enrolled::Unknown => return Err(EnrolRefused::Unknown),
        };
        if token.node_name != enrolment.node_name.as_str() {
            return Err(EnrolRefused::WrongNode);
        }
        let gateway = gateways::get(&mut tx, token.gateway).await.map_err(refused)?;
        if gateway.is_none_or(|gateway| gateway.state.is_ending()) {
            return Err(EnrolRefused::GatewayGone);
        }
        let node = GatewayNode {
            id: NodeId::new(),
            gateway: token.gateway,
            name: token.node_name,
            public_key: enrolment.public_key.to_string(),
            version: enrolment.version,
            registered: now,
            last_seen: None,
            revoked: None,
            replica: None,
        };
        gateway_nodes::register(&mut tx, &node).await.map_err(refused)?;
        tx.commit().await.map_err(refused)?;
        tracing::info!(gateway = %node.gateway, node = %node.id, name = node.name, "a gateway node registered its key");
        Ok((node.gateway, node.id))
    }
}

fn refused(error: StoreError) -> EnrolRefused {
    match error {
        // The same key with another token: a machine that was told to enrol twice.
        StoreError::Conflict { .. } => EnrolRefused::Used,
        other => EnrolRefused::Unavailable(chain(&other)),
    }
}
