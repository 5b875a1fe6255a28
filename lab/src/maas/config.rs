//! `maas/`: the region's settings.

use super::{
    answer::{Answer, Reply},
    api::Ctx,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The settings of MAAS 3.6, in the order in which its answers list them.
const SETTINGS: [&str; 66] = [
    "maas_name",
    "theme",
    "kernel_opts",
    "enable_http_proxy",
    "maas_proxy_port",
    "use_peer_proxy",
    "prefer_v4_proxy",
    "http_proxy",
    "default_dns_ttl",
    "upstream_dns",
    "dnssec_validation",
    "maas_internal_domain",
    "dns_trusted_acl",
    "ntp_servers",
    "ntp_external_only",
    "allow_only_trusted_transfers",
    "remote_syslog",
    "maas_syslog_port",
    "network_discovery",
    "active_discovery_interval",
    "default_boot_interface_link_type",
    "default_osystem",
    "default_distro_series",
    "default_min_hwe_kernel",
    "enable_kernel_crash_dump",
    "default_storage_layout",
    "commissioning_distro_series",
    "enable_third_party_drivers",
    "windows_kms_host",
    "enable_disk_erasing_on_release",
    "disk_erase_with_secure_erase",
    "disk_erase_with_quick_erase",
    "boot_images_auto_import",
    "boot_images_no_proxy",
    "curtin_verbose",
    "force_v1_network_yaml",
    "enable_analytics",
    "completed_intro",
    "max_node_commissioning_results",
    "max_node_testing_results",
    "max_node_installation_results",
    "max_node_release_results",
    "subnet_ip_exhaustion_threshold_count",
    "release_notifications",
    "use_rack_proxy",
    "node_timeout",
    "prometheus_enabled",
    "prometheus_push_gateway",
    "prometheus_push_interval",
    "promtail_enabled",
    "promtail_port",
    "enlist_commissioning",
    "maas_auto_ipmi_user",
    "maas_auto_ipmi_user_privilege_level",
    "maas_auto_ipmi_k_g_bmc_key",
    "maas_auto_ipmi_cipher_suite_id",
    "maas_auto_ipmi_workaround_flags",
    "vcenter_server",
    "vcenter_username",
    "vcenter_password",
    "vcenter_datacenter",
    "hardware_sync_interval",
    "tls_cert_expiration_notification_enabled",
    "tls_cert_expiration_notification_interval",
    "session_length",
    "auto_vlan_creation",
];

/// The settings that have a value in a fresh MAAS; all others are null.
pub(crate) fn defaults(maas_name: &str) -> BTreeMap<String, Value> {
    let values = [
        ("maas_name", json!(maas_name)),
        ("theme", json!("")),
        ("enable_http_proxy", json!(true)),
        ("maas_proxy_port", json!(8000)),
        ("use_peer_proxy", json!(false)),
        ("prefer_v4_proxy", json!(false)),
        ("default_dns_ttl", json!(30)),
        ("dnssec_validation", json!("auto")),
        ("maas_internal_domain", json!("maas-internal")),
        ("ntp_servers", json!("ntp.ubuntu.com")),
        ("ntp_external_only", json!(false)),
        ("network_discovery", json!("enabled")),
        ("active_discovery_interval", json!(10_800)),
        ("default_boot_interface_link_type", json!("auto")),
        ("default_osystem", json!("ubuntu")),
        ("default_distro_series", json!("noble")),
        ("default_min_hwe_kernel", json!("")),
        ("enable_kernel_crash_dump", json!(false)),
        ("default_storage_layout", json!("flat")),
        ("commissioning_distro_series", json!("noble")),
        ("enable_third_party_drivers", json!(true)),
        ("enable_disk_erasing_on_release", json!(false)),
        ("disk_erase_with_secure_erase", json!(true)),
        ("disk_erase_with_quick_erase", json!(false)),
        ("boot_images_auto_import", json!(true)),
        ("completed_intro", json!(true)),
        ("node_timeout", json!(30)),
        ("main_archive", json!("http://archive.ubuntu.com/ubuntu")),
        ("ports_archive", json!("http://ports.ubuntu.com/ubuntu-ports")),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `maas/`.
pub(crate) fn resource(ctx: &mut Ctx<'_>) -> Reply {
    match ctx.signature() {
        ("GET", Some("get_config")) => {
            let name = ctx.request.query("name").ok_or_else(|| Answer::bad_request("No provided name!"))?;
            check(name)?;
            Ok(Answer::json_bare(ctx.state.config.get(name).unwrap_or(&Value::Null)))
        }
        ("POST", Some("set_config")) => set(ctx),
        _ => ctx.refuse("POST, GET"),
    }
}

fn check(name: &str) -> Result<(), Answer> {
    if matches!(name, "main_archive" | "ports_archive") || (!name.is_empty() && SETTINGS.contains(&name)) {
        return Ok(());
    }
    let known: Vec<&str> = SETTINGS.into_iter().filter(|setting| !setting.is_empty()).collect();
    let text = format!("{name} is not a valid config setting (valid settings are: {}).", known.join(", "));
    Err(Answer::mistake_bare(name, text))
}

fn set(ctx: &mut Ctx<'_>) -> Reply {
    ctx.need_admin(Answer::admins_only)?;
    let form = ctx.request.form()?;
    let name = form.get("name").ok_or_else(|| Answer::bad_request("No provided name!"))?.to_owned();
    let value = form.get("value").ok_or_else(|| Answer::bad_request("No provided value!"))?.to_owned();
    check(&name)?;
    if matches!(name.as_str(), "default_distro_series" | "commissioning_distro_series") {
        let mut series: Vec<&str> = Vec::new();
        for (_, name) in ctx.state.images.iter().filter_map(|image| image.name.split_once('/')) {
            if !series.contains(&name) {
                series.push(name);
            }
        }
        if !series.contains(&value.as_str()) {
            let known: Vec<String> = series.iter().map(|name| format!("'{name}'")).collect();
            let text = format!("'{value}' is not a valid release.  It should be one of: {}.", known.join(", "));
            return Err(Answer::mistake(&name, text));
        }
    }
    // Settings that are numbers or switches stay so.
    let value = match ctx.state.config.get(&name) {
        Some(Value::Bool(_)) => json!(matches!(value.as_str(), "true" | "True" | "1")),
        Some(Value::Number(_)) => value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number)),
        _ => json!(value),
    };
    ctx.state.config.insert(name, value);
    Ok(Answer::plain(http::StatusCode::OK, "OK"))
}
