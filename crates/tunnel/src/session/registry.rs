//! Who is connected, which carrier supersedes which, and which one a new stream takes.

use crate::wire::hello::CarrierKind;
use ferrogate_model::{GatewayId, Name, NodeId, Timestamp};
use std::collections::HashMap;

/// One carrier, for as long as the hub runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CarrierId(u64);

/// What a carrier's handshake said.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The gateway.
    pub(crate) gateway: GatewayId,
    /// The node.
    pub(crate) node: NodeId,
    /// The node's name.
    pub(crate) name: Name,
    /// The gateway's version.
    pub(crate) version: String,
    /// Which process of the node.
    pub(crate) epoch: u64,
    /// What the carrier is for.
    pub(crate) kind: CarrierKind,
}

/// Whether new streams may use a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Yes.
    Open,
    /// Only where there is no other: it is being replaced.
    LastResort,
    /// No: its gateway is leaving.
    Closed,
}

/// A carrier in the registry.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    pub(crate) id: CarrierId,
    pub(crate) kind: CarrierKind,
    pub(crate) usage: Use,
    pub(crate) handle: T,
}

/// A connected node.
#[derive(Clone, Debug)]
pub(crate) struct Node<T> {
    pub(crate) gateway: GatewayId,
    pub(crate) name: Name,
    pub(crate) version: String,
    pub(crate) epoch: u64,
    pub(crate) since: Timestamp,
    /// Refused connections its gateway reported.
    pub(crate) refusals: u64,
    /// Bytes of carriers that have ended.
    pub(crate) carried: u64,
    pub(crate) carriers: Vec<Entry<T>>,
}

/// What an arrival led to.
#[derive(Debug)]
pub(crate) struct Admitted<T> {
    /// The new carrier.
    pub(crate) id: CarrierId,
    /// Whether the node had no carrier before.
    pub(crate) first: bool,
    /// Carriers that the new one puts an end to; no longer in the registry.
    pub(crate) ended: Vec<T>,
}

/// A newer process of the same node is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale;

/// Everybody who is connected. `T` is whatever the hub needs to reach a carrier.
#[derive(Debug)]
pub(crate) struct Registry<T> {
    nodes: HashMap<NodeId, Node<T>>,
    next: u64,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { nodes: HashMap::new(), next: 0 }
    }
}

impl<T: Clone> Registry<T> {
    /// Takes a carrier in.
    ///
    /// A newer process (higher epoch) ends all carriers of an older one, which may be a ghost whose machine lost its
    /// power. A second carrier of the same process and kind replaces the first: its gateway has given it up. Carriers
    /// that are being drained stay for their streams. An older process is refused while a newer one is connected, so
    /// two copies of one machine do not take turns for ever.
    pub(crate) fn admit(&mut self, arrival: Arrival, handle: T, now: Timestamp) -> Result<Admitted<T>, Stale> {
        let id = CarrierId(self.next);
        let entry = Entry { id, kind: arrival.kind, usage: Use::Open, handle };
        let mut ended = Vec::new();
        let first = match self.nodes.get_mut(&arrival.node) {
            Some(node) if arrival.epoch < node.epoch => return Err(Stale),
            Some(node) => {
                let newer = arrival.epoch > node.epoch;
                let (out, kept) = std::mem::take(&mut node.carriers)
                    .into_iter()
                    .partition(|old| newer || (old.kind == arrival.kind && old.usage == Use::Open));
                node.carriers = kept;
                ended.extend(Vec::<Entry<T>>::into_iter(out).map(|old| old.handle));
                node.carriers.push(entry);
                node.epoch = arrival.epoch;
                node.version = arrival.version;
                node.name = arrival.name;
                false
            }
            None => {
                let node = Node {
                    gateway: arrival.gateway,
                    name: arrival.name,
                    version: arrival.version,
                    epoch: arrival.epoch,
                    since: now,
                    refusals: 0,
                    carried: 0,
                    carriers: vec![entry],
                };
                self.nodes.insert(arrival.node, node);
                true
            }
        };
        self.next += 1;
        Ok(Admitted { id, first, ended })
    }

    /// Takes a carrier out. The gateway, where it was its node's last one.
    pub(crate) fn remove(&mut self, node: NodeId, id: CarrierId) -> Option<GatewayId> {
        let entry = self.nodes.get_mut(&node)?;
        entry.carriers.retain(|carrier| carrier.id != id);
        if entry.carriers.is_empty() { self.nodes.remove(&node).map(|node| node.gateway) } else { None }
    }

    /// Whether new streams may use a carrier from now on.
    pub(crate) fn set_use(&mut self, node: NodeId, id: CarrierId, usage: Use) {
        if let Some(carrier) =
            self.nodes.get_mut(&node).and_then(|node| node.carriers.iter_mut().find(|carrier| carrier.id == id))
        {
            carrier.usage = carrier.usage.max(usage);
        }
    }

    /// What an ended carrier of the node had carried.
    pub(crate) fn add_carried(&mut self, node: NodeId, bytes: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.carried += bytes;
        }
    }

    /// The gateway's own count of refused connections.
    pub(crate) fn set_refusals(&mut self, node: NodeId, refusals: u64) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.refusals = refusals;
        }
    }

    /// The carrier a new stream takes: one that is not being replaced, of the wanted kind, with the least load, in
    /// that order. `not` was tried already; another node's comes before another of the same node, which may be gone.
    pub(crate) fn pick(
        &self,
        gateway: GatewayId,
        kind: CarrierKind,
        not: Option<(NodeId, CarrierId)>,
        load: impl Fn(&T) -> usize,
    ) -> Option<(NodeId, CarrierId, T)> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.gateway == gateway)
            .flat_map(|(id, node)| node.carriers.iter().map(move |carrier| (*id, carrier)))
            .filter(|(_, carrier)| carrier.usage != Use::Closed && not.is_none_or(|(_, not)| carrier.id != not))
            .min_by_key(|(id, carrier)| {
                let is_tried = not.is_some_and(|(node, _)| node == *id);
                (is_tried, carrier.usage, carrier.kind != kind, load(&carrier.handle), carrier.id)
            })
            .map(|(node, carrier)| (node, carrier.id, carrier.handle.clone()))
    }

    /// Whether a new stream of the gateway could take another node than this one.
    pub(crate) fn has_another(&self, gateway: GatewayId, than: NodeId) -> bool {
        self.nodes.iter().any(|(id, node)| {
            node.gateway == gateway && *id != than && node.carriers.iter().any(|carrier| carrier.usage != Use::Closed)
        })
    }

    /// The connected nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node<T>)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }
}

#[cfg(test)]
mod tests;
