//! Whatever is sent, an answer comes, and the next request is served.

use super::fixture::Site;
use proptest::prelude::*;

const WORDS: [&str; 40] = [
    "machines",
    "4y3ha2",
    "nodes",
    "zones",
    "zone-a",
    "subnets",
    "1",
    "lab",
    "10.20.0.0/22",
    "ipranges",
    "events",
    "ipaddresses",
    "dnsresources",
    "dnsresourcerecords",
    "domains",
    "maas",
    "tags",
    "gpu",
    "fabrics",
    "vlans",
    "0",
    "300",
    "spaces",
    "users",
    "account",
    "prefs",
    "sshkeys",
    "boot-resources",
    "interfaces",
    "op-allocate",
    "resourcepool",
    "ü",
    "%",
    "",
    "-9223372036854775808",
    "99999999999999999999",
    "fd00::1",
    "10.20.3.255",
    "255.255.255.255",
    "'\"<",
];
const FIELDS: [&str; 26] = [
    "name",
    "zone",
    "pool",
    "tags",
    "mem",
    "cpu_count",
    "storage",
    "interfaces",
    "system_id",
    "subnet",
    "ip",
    "hostname",
    "start_ip",
    "end_ip",
    "type",
    "cidr",
    "gateway_ip",
    "vid",
    "machines",
    "limit",
    "before",
    "after",
    "swap_size",
    "ttl",
    "mode",
    "fqdn",
];
const OPS: [&str; 22] = [
    "",
    "allocate",
    "release",
    "deploy",
    "query",
    "reserve",
    "statistics",
    "ip_addresses",
    "unreserved_ip_ranges",
    "abort",
    "lock",
    "power_on",
    "commission",
    "test",
    "link_subnet",
    "get_config",
    "set_config",
    "update_nodes",
    "mark_broken",
    "rescue_mode",
    "whoami",
    "set_owner_data",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => "[a-z]{0,4}[:(,=)]{0,2}[0-9]{0,4}[),;]{0,2}",
    ]
}

/// Method, path, operation, fields.
type Junk = (&'static str, Vec<String>, &'static str, Vec<(&'static str, String)>);

fn junk() -> impl Strategy<Value = Junk> {
    (
        proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH"]),
        proptest::collection::vec(word(), 1..5),
        prop_oneof![Just(""), proptest::sample::select(&OPS[..])],
        proptest::collection::vec((proptest::sample::select(&FIELDS[..]), word()), 0..5),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered(requests in proptest::collection::vec(junk(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let site = Site::new().await;
            for (method, path, op, fields) in requests {
                let encode = |text: &str| {
                    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
                };
                let path: Vec<String> = path.iter().map(|part| encode(part)).collect();
                let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
                let path = if op.is_empty() { format!("{}/?{}", path.join("/"), query.join("&")) } else { format!("{}/?op={op}&{}", path.join("/"), query.join("&")) };
                let form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let answer = site.try_send("admin", method, &path, &form).await;
                prop_assert!(answer.is_ok(), "{method} {path} {form:?}: {answer:?}");
            }
            Ok(())
        })?;
    }
}
