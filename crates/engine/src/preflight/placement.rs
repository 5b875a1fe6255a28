//! What all checks are about.

use ferrogate_maas::Client;
use ferrogate_model::{ClusterId, cluster::ClusterSpec, release::Release};

/// What is to be placed, and where.
#[derive(Clone, Copy, Debug)]
pub struct Placement<'a> {
    /// The site's MAAS.
    pub maas: &'a Client,
    /// The cluster.
    pub spec: &'a ClusterSpec,
    /// What will be installed.
    pub release: &'a Release,
    /// The cluster's id, where machines may have been taken for it already.
    pub cluster: Option<ClusterId>,
}
