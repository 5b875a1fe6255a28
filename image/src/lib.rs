//! What nodes are made of: programs from Go's modules, a root tree from Debian's packages, container images, and the
//! bundle and release that bring them to a node. Every artifact is kept in a [`Cache`] under the key of its inputs, so
//! only what changed is built again; equal inputs give equal bytes.

mod archive;
pub mod bundle;
mod cache;
pub mod debian;
mod error;
pub mod gateway_image;
mod images;
mod key;
pub mod needs;
mod network_tools;
pub mod programs;
pub mod release;
pub mod root_image;
mod workshop;

pub use cache::Cache;
pub use error::{BuildError, Result};
pub use key::Key;
pub use workshop::{Step, Workshop, answer, spoken};
