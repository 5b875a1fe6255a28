//! The edge's rules: what the site may reach, and the partition that cuts it off.

use super::PROXY_PORT;
use crate::{
    control::WayOut,
    host::{HostError, Run},
};

/// The table of a partition.
const PARTITION: &str = "ferrogate_partition";

/// The rules of a site's edge.
fn rules(way_out: WayOut) -> String {
    let (forward, masquerade, services) = match way_out {
        WayOut::Nat => ("    iifname \"site0\" oifname \"out0\" accept\n", "    oifname \"out0\" masquerade\n", "53"),
        WayOut::Proxy => ("", "", "{ 53, 3128 }"),
    };
    debug_assert_eq!(PROXY_PORT, 3128, "the rule names the port");
    format!(
        "table inet ferrogate {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
{forward}  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname \"lo\" accept
    ct state established,related accept
    iifname \"site0\" meta l4proto icmp accept
    iifname \"site0\" udp dport {{ 53, 67 }} accept
    iifname \"site0\" tcp dport {services} accept
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
{masquerade}  }}
}}
"
    )
}

/// Drops everything between the edge and the outside before connection tracking sees it, so that connections that exist
/// are cut off as well, and neither side is told.
fn cut() -> String {
    format!(
        "{uncut}table inet {PARTITION} {{
  chain prerouting {{
    type filter hook prerouting priority -400; policy accept;
    iifname \"out0\" drop
  }}
  chain forward {{
    type filter hook forward priority -400; policy accept;
    oifname \"out0\" drop
  }}
  chain output {{
    type filter hook output priority -400; policy accept;
    oifname \"out0\" drop
  }}
}}
",
        uncut = uncut()
    )
}

/// Adding first makes deleting work whether or not there is one.
fn uncut() -> String {
    format!("add table inet {PARTITION}\ndelete table inet {PARTITION}\n")
}

async fn apply(edge: &str, rules: String) -> Result<(), HostError> {
    // One transaction: either all of it holds or nothing.
    Run::within(edge, "nft", ["-f", "-"]).stdin(rules).done().await
}

pub(super) async fn load(edge: &str, way_out: WayOut) -> Result<(), HostError> {
    apply(edge, rules(way_out)).await
}

/// Cuts site and plane off from each other, silently. Once more is no error.
///
/// # Errors
/// The rules could not be loaded.
pub async fn partition(edge: &str) -> Result<(), HostError> {
    apply(edge, cut()).await
}

/// Ends a partition; where there is none, nothing happens.
///
/// # Errors
/// The rules could not be removed.
pub async fn heal(edge: &str) -> Result<(), HostError> {
    apply(edge, uncut()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_proxy_nothing_is_forwarded_and_nothing_masked() {
        let nat = rules(WayOut::Nat);
        assert!(nat.contains("iifname \"site0\" oifname \"out0\" accept") && nat.contains("masquerade"), "{nat}");
        let proxy = rules(WayOut::Proxy);
        assert!(!proxy.contains("oifname") && !proxy.contains("masquerade") && proxy.contains("3128"), "{proxy}");
        for rules in [nat, proxy] {
            assert!(!rules.contains("iifname \"out0\""), "nothing new comes in: {rules}");
        }
    }
}
