//! Names and labels that both sides go by.

/// Label on every node of ours that names its machine in MAAS. Nodes without it are not ours to remove.
pub const MACHINE_LABEL: &str = "ferrogate.io/machine";
/// Label on every node of ours that names its pool.
pub const POOL_LABEL: &str = "ferrogate.io/pool";
/// A name that every API server's certificate has, whatever the address it is reached at.
pub const API_SERVER_NAME: &str = "kubernetes";
/// TCP port of the Kubernetes API.
pub const API_PORT: u16 = 6443;
