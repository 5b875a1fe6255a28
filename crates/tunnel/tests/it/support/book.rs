//! The plane's knowledge of nodes, in memory.

use async_trait::async_trait;
use ferrogate_model::{GatewayId, NodeId};
use ferrogate_tunnel::{Authenticator, EnrolRefused, Enrolment, KnownNode, PublicKey, Unavailable};
use secrecy::ExposeSecret;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct Pages {
    nodes: HashMap<NodeId, KnownNode>,
    tokens: HashMap<String, (GatewayId, Option<(PublicKey, NodeId)>)>,
    unavailable: bool,
    asked: usize,
}

#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A token for a node of a new gateway.
    pub(crate) fn token(&self, gateway: GatewayId, token: &str) {
        self.0.lock().unwrap().tokens.insert(token.into(), (gateway, None));
    }

    /// A node that is registered already.
    pub(crate) fn register(&self, gateway: GatewayId, public_key: PublicKey) -> NodeId {
        let node = NodeId::new();
        let known = KnownNode { gateway, name: "node-1".parse().unwrap(), public_key, revoked: false };
        self.0.lock().unwrap().nodes.insert(node, known);
        node
    }

    pub(crate) fn revoke(&self, node: NodeId) {
        self.0.lock().unwrap().nodes.get_mut(&node).unwrap().revoked = true;
    }

    pub(crate) fn set_unavailable(&self, unavailable: bool) {
        self.0.lock().unwrap().unavailable = unavailable;
    }

    /// How often a hub has asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

#[async_trait]
impl Authenticator for Book {
    async fn node(&self, node: NodeId) -> Result<Option<KnownNode>, Unavailable> {
        let mut pages = self.0.lock().unwrap();
        pages.asked += 1;
        if pages.unavailable {
            return Err(Unavailable("the database does not answer".into()));
        }
        Ok(pages.nodes.get(&node).cloned())
    }

    async fn enrol(&self, enrolment: Enrolment) -> Result<(GatewayId, NodeId), EnrolRefused> {
        let mut pages = self.0.lock().unwrap();
        let key = enrolment.public_key;
        let Some((gateway, used)) = pages.tokens.get_mut(enrolment.token.expose_secret()) else {
            return Err(EnrolRefused::Unknown);
        };
        let gateway = *gateway;
        match used {
            Some((first, node)) if *first == key => Ok((gateway, *node)),
            Some(_) => Err(EnrolRefused::Used),
            None => {
                let node = NodeId::new();
                *used = Some((key, node));
                let known = KnownNode { gateway, name: enrolment.node_name, public_key: key, revoked: false };
                pages.nodes.insert(node, known);
                Ok((gateway, node))
            }
        }
    }
}
