//! A machine that is to be a node, and what it is to be.

use ferrogate_model::{Name, cluster::PoolSpec};
use std::net::IpAddr;

/// What is known of a machine before it is installed.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// MAAS's id of it.
    pub system_id: &'a str,
    /// Its name in Kubernetes.
    pub name: &'a Name,
    /// Its full name in DNS.
    pub fqdn: &'a str,
    /// Its availability zone.
    pub zone: &'a str,
    /// Its architecture as MAAS writes it, such as `amd64/generic`.
    pub architecture: &'a str,
    /// Its address, where MAAS gives it a fixed one; otherwise the node finds its own by its default route.
    pub address: Option<IpAddr>,
    /// The pool it belongs to.
    pub pool: &'a PoolSpec,
}

/// What a machine is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server that starts the cluster.
    FirstServer,
    /// A further server, and the address of one that it joins.
    Server(IpAddr),
    /// An agent, and the address of the server that it joins.
    Agent(IpAddr),
}
