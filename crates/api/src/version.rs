//! What a plane is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The plane's version and what it installs by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Version of the plane.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// Kubernetes version of new clusters.
    #[schema(example = "v1.36.4")]
    pub kubernetes_version: String,
    /// Operating system image of new machines, as MAAS names it.
    #[schema(example = "ubuntu/noble")]
    pub os_image: String,
    /// Version of new gateways.
    #[schema(example = "0.1.0")]
    pub gateway_version: String,
    /// Whether the plane has its first administrator.
    pub is_set_up: bool,
    /// The plane's clock; a caller whose own differs much should say so.
    pub time: ferrogate_model::Timestamp,
}
