//! What is written on a fresh disk before its first boot. MAAS's installer writes the same two files: where the metadata
//! service is, with the machine's keys for it, and the network as MAAS gave it out. The keys travel on the disk, as with
//! MAAS: a kernel's command line can be read by every user of this computer.

use crate::backend::{Boot, BootInterface};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::{fmt::Write as _, net::IpAddr};

/// Data source, keys and reporting.
pub(crate) const DATA_SOURCE: &str = "/etc/cloud/cloud.cfg.d/90_dpkg_local_cloud_config.cfg";
/// The network.
pub(crate) const NETWORK: &str = "/etc/cloud/cloud.cfg.d/50-curtin-networking.cfg";
/// Room for each of them on the disk, in bytes.
pub(crate) const ROOM: usize = 8192;

/// cloud-init's own settings: ask this MAAS with these keys, and report every stage to it.
pub(crate) fn data_source(boot: &Boot) -> SecretString {
    let (url, secret) = (boot.metadata_url.as_str(), boot.token_secret.expose_secret());
    let endpoint = format!("{}/status/{}", url.trim_end_matches('/'), boot.system_id);
    let maas = json!({
        "consumer_key": boot.consumer_key, "metadata_url": url,
        "token_key": boot.token_key, "token_secret": secret,
    });
    let webhook = json!({
        "type": "webhook", "endpoint": endpoint, "consumer_key": boot.consumer_key,
        "token_key": boot.token_key, "token_secret": secret,
    });
    // The list is read by a shell script, too, which wants it in this form on one line. JSON is YAML.
    SecretString::from(format!(
        "#cloud-config\ndatasource_list: [ MAAS ]\ndatasource: {}\nreporting: {}\nmanage_etc_hosts: true\n\
         manual_cache_clean: true\n",
        json!({ "MAAS": maas }),
        json!({ "maas": webhook }),
    ))
}

/// The boot interface: addresses as MAAS gave them out, DHCP where it gave none.
pub(crate) fn network(boot: &Boot) -> String {
    let mut text = "network:\n  version: 2\n  ethernets:\n".to_owned();
    let Some(interface) = boot.interfaces.first() else {
        text.push_str("    {}\n");
        return text;
    };
    writeln!(text, "    {}: {}", json!(interface.name), ethernet(boot, interface)).expect("a string takes everything");
    text
}

fn ethernet(boot: &Boot, interface: &BootInterface) -> serde_json::Value {
    let mut ethernet = json!({
        "match": { "macaddress": interface.mac_address },
        "set-name": interface.name,
        "nameservers": { "addresses": boot.dns_servers, "search": [boot.domain] },
    });
    if interface.addresses.is_empty() {
        ethernet["dhcp4"] = json!(true);
        return ethernet;
    }
    let addresses: Vec<String> =
        interface.addresses.iter().map(|(address, subnet)| format!("{address}/{}", subnet.prefix_len())).collect();
    ethernet["addresses"] = json!(addresses);
    if let Some(gateway) = boot.gateway {
        let everywhere = if matches!(gateway, IpAddr::V4(_)) { "0.0.0.0/0" } else { "::/0" };
        ethernet["routes"] = json!([{ "to": everywhere, "via": gateway }]);
    }
    ethernet
}

#[cfg(test)]
pub(crate) fn example() -> Boot {
    Boot {
        system_id: ferrogate_model::SystemId("abc123".into()),
        hostname: "amber-heron".into(),
        fqdn: "amber-heron.maas".into(),
        domain: "maas".into(),
        architecture: "amd64/generic".into(),
        cpu_count: 4,
        memory_mib: 8192,
        addresses: vec!["10.77.0.11".parse().unwrap()],
        interfaces: vec![BootInterface {
            name: "vec0".into(),
            mac_address: "02:77:00:00:00:01".into(),
            addresses: vec![("10.77.0.11".parse().unwrap(), "10.77.0.0/24".parse().unwrap())],
        }],
        gateway: Some("10.77.0.1".parse().unwrap()),
        dns_servers: vec!["10.77.0.2".parse().unwrap()],
        image: "custom/debian-13".into(),
        install: true,
        metadata_url: "http://10.77.0.2:5240/MAAS/metadata/".into(),
        consumer_key: "consumer".into(),
        token_key: "token".into(),
        token_secret: "very secret".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn yaml(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn the_machine_is_told_where_to_ask_and_where_to_report() {
        let text = data_source(&example());
        let text = text.expose_secret();
        assert!(text.contains("\ndatasource_list: [ MAAS ]\n"), "ds-identify reads this line: {text}");
        let value = yaml(text);
        let keys = |value: &Value| {
            let key = |name| value[name].as_str().unwrap().to_owned();
            [key("consumer_key"), key("token_key"), key("token_secret")]
        };
        let wanted = ["consumer", "token", "very secret"].map(str::to_owned);
        assert_eq!(keys(&value["datasource"]["MAAS"]), wanted);
        assert_eq!(keys(&value["reporting"]["maas"]), wanted);
        assert_eq!(value["datasource"]["MAAS"]["metadata_url"], "http://10.77.0.2:5240/MAAS/metadata/");
        assert_eq!(value["reporting"]["maas"]["type"], "webhook");
        assert_eq!(value["reporting"]["maas"]["endpoint"], "http://10.77.0.2:5240/MAAS/metadata/status/abc123");
    }

    #[test]
    fn the_network_is_the_one_that_maas_gave_out() {
        let value = yaml(&network(&example()));
        let vec0 = &value["network"]["ethernets"]["vec0"];
        assert_eq!(vec0["match"]["macaddress"], "02:77:00:00:00:01");
        assert_eq!(vec0["addresses"], json!(["10.77.0.11/24"]));
        assert_eq!(vec0["routes"], json!([{ "to": "0.0.0.0/0", "via": "10.77.0.1" }]));
        assert_eq!(vec0["nameservers"], json!({ "addresses": ["10.77.0.2"], "search": ["maas"] }));
        let mut without = example();
        without.interfaces[0].addresses.clear();
        assert_eq!(yaml(&network(&without))["network"]["ethernets"]["vec0"]["dhcp4"], true);
        without.interfaces.clear();
        assert_eq!(yaml(&network(&without))["network"]["ethernets"], json!({}));
    }
}
