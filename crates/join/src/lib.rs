//! The contract between who asks MAAS for machines and who makes a node of one: what is known of a machine, what it is to
//! be, and what it is told. The engine asks for user-data through [`NodeSetup`] and does not know what is in it; who sets
//! nodes up does not know where machines come from.

pub mod cloud_config;
pub mod configuration;
pub mod gateway_config;
pub mod materials;
pub mod names;
pub mod node;
pub mod setup;

pub use configuration::{ClusterKind, GatewayPayload, NodeConfiguration};
pub use materials::{ClientIdentity, ClusterMaterials, MaterialsError};
pub use node::{Node, Role};
pub use setup::{EtcdTool, NodeSetup, SetupError};
