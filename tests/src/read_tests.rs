//! The words of other programs, as they really are.

use super::*;
use serde_json::json;

#[test]
fn a_list_of_the_command_line_is_read() {
    let json = json!({"items": [{
        "id": "g1", "name": "maas-pcg-1", "state": "Running", "health": "Degraded", "reason": "amber-heron is away",
        "connected_nodes": 2, "desired_nodes": 3, "version": "0.1.0"
    }]});
    let gateways: Vec<Gateway> = items(&json).unwrap();
    assert_eq!((gateways[0].state.as_str(), gateways[0].connected_nodes), ("Running", 2));
    assert!(items::<Gateway>(&json!({})).is_err());
}

#[test]
fn nodes_and_pods_are_read_sorted() {
    let node = |name: &str, ready: &str| {
        json!({
            "metadata": {"name": name},
            "status": {
                "nodeInfo": {"bootID": "b", "kubeletVersion": "v1.36.4"},
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-23T11:08:01Z"}
                ]
            }
        })
    };
    let found = nodes(&json!({"items": [node("b", "Unknown"), node("a", "True")]}));
    assert_eq!(
        found.iter().map(|node| (node.name.as_str(), node.ready)).collect::<Vec<_>>(),
        [("a", true), ("b", false)]
    );
    assert_eq!(found[0].since, "2026-11-23T11:08:01Z");

    let found = pods(&json!({"items": [{
        "metadata": {"name": "web-1"}, "spec": {"nodeName": "a"},
        "status": {"podIP": "192.168.1.2", "containerStatuses": [{"ready": true, "restartCount": 2}]}
    }, {
        "metadata": {"name": "web-0"}, "spec": {}, "status": {}
    }]}));
    assert_eq!((found[0].name.as_str(), found[0].ready), ("web-0", false), "a pod without containers is not ready");
    assert_eq!((found[1].restarts, found[1].ip.as_str()), (2, "192.168.1.2"));
}

#[test]
fn memory_is_read() {
    let free = "               total        used        free      shared  buff/cache   available\n\
                Mem:            1979         439         902           3         793        1539\n\
                Swap:              0           0           0\n";
    assert_eq!(used_mib(free), Some(439));
    assert_eq!(rss_mib("Name:\tferrogate-gatew\nVmPeak:\t  30000 kB\nVmRSS:\t   12800 kB\n"), Some(12.5));
    assert_eq!(used_mib("free: not found"), None);
}

#[test]
fn the_proxys_log_tells_who_got_a_tunnel_to_whom() {
    let log = "1795432000.123    12 10.77.0.11 TCP_DENIED/407 3973 CONNECT plane.ferrogate.test:443 - HIER_NONE/- text/html\n\
               1795432001.123  9000 10.77.0.11 TCP_TUNNEL/200 5242880 CONNECT plane.ferrogate.test:443 site HIER_DIRECT/198.51.100.10 -\n\
               1795432002.123     5 10.77.0.11 TCP_DENIED/403 100 CONNECT plane.ferrogate.test:443 site HIER_NONE/- -\n\
               1795432003.123     5 10.77.0.2 TCP_TUNNEL/200 100 CONNECT other.test:443 site HIER_DIRECT/198.51.100.11 -\n\
               1795432004.123     5 10.77.0.2 TCP_MISS/200 100 GET http://plane.ferrogate.test/ site HIER_DIRECT/198.51.100.11 -\n";
    let uses = proxy_use(log, "plane.ferrogate.test");
    assert_eq!(uses.len(), 1, "{uses:?}");
    assert_eq!(uses["10.77.0.11"], ProxyUse { tunnels: 1, bytes: 5_242_880, refused: 1 });
}

#[test]
fn a_counter_is_found_by_its_comment() {
    let ruleset = "table inet t {\n\tchain forward {\n\t\tcounter packets 0 bytes 0 comment \"crossed\"\n\t\tcounter packets 17 bytes 900 comment \"left\"\n\t}\n}\n";
    assert_eq!(packets(ruleset, "crossed"), Some(0));
    assert_eq!(packets(ruleset, "left"), Some(17));
    assert_eq!(packets(ruleset, "other"), None);
}

#[test]
fn the_machines_that_would_be_taken_are_read_from_the_checks() {
    let text = "[+] API key                  fine\n[!] Machines                 would take 2 of 8 free: amber-heron (4 CPU, 8192 MiB, 120 GiB, default); calm-lynx (4 CPU, 16384 MiB, 160 GiB, default)\n";
    assert_eq!(would_take(text), ["amber-heron", "calm-lynx"]);
    assert!(would_take("nothing").is_empty());
}

#[test]
fn the_other_ends_of_connections_are_read() {
    let ss = "0      0         10.77.0.1:3128     10.77.0.11:40112\n0 0 [::ffff:198.51.100.10]:443 [::ffff:198.51.100.2]:51000\n";
    assert_eq!(peers(ss), ["10.77.0.11", "198.51.100.2"]);
    assert!(peers("").is_empty());
}
