//! The file a gateway node starts from. Cloud-init writes it (written by `firstboot`), `ferrogate-gateway` reads it.

use ferrogate_model::{Name, allow::AllowRule};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// Where the file stands on a gateway node.
pub const GATEWAY_CONFIG_PATH: &str = "/etc/ferrogate/gateway.toml";
/// Where a gateway node keeps its own key; survives restarts, never leaves the machine.
pub const GATEWAY_STATE_DIR: &str = "/var/lib/ferrogate";
/// TCP port of a gateway node's admin endpoints (`/livez`, `/readyz`, `/metrics`).
pub const GATEWAY_ADMIN_PORT: u16 = 9470;

/// Configuration of one gateway node (TOML). The file is mode 0600: a proxy's address may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Base address of the plane, such as `https://plane.example.com`.
    pub plane_url: url::Url,
    /// CA certificates (PEM file) trusted for the plane beside the system's; for planes behind a private CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane_ca_file: Option<PathBuf>,
    /// Name of this node, as Kubernetes and MAAS know it.
    pub node_name: Name,
    /// Folder for the node's key.
    pub state_dir: PathBuf,
    /// File with the one-time enrolment token; needed until the key is registered, deleted afterwards where possible.
    pub enrolment_token_file: PathBuf,
    /// Address and port of the admin endpoints; `None` takes the environment's `HOST_IP` and [`GATEWAY_ADMIN_PORT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// Forward proxy for `https`, with credentials where it wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_proxy: Option<String>,
    /// Destinations reached without the proxy, as `NO_PROXY` writes them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// What the plane may reach through this gateway; everything else is refused (design: the allow-list lives in the site).
    pub allow: Vec<AllowRule>,
}
