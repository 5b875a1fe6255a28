//! What a plane may reach through a gateway.

use serde::{Deserialize, Serialize};

/// One permission of the allow-list: a host or range, and the ports on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowRule {
    /// A literal address, a range (`10.20.0.0/22`), or an exact host name.
    pub host: String,
    /// TCP ports.
    pub ports: Vec<u16>,
}
