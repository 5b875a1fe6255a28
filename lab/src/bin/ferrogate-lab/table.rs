//! What `status` shows.

use ferrogate_lab::control::{Delegation, MachineStatus, Status, WayOut};

/// The site as a whole.
pub(crate) fn summary(status: &Status) -> String {
    let way_out = match status.way_out {
        WayOut::Nat => "a router that lets nothing in",
        WayOut::Proxy => "only the HTTP proxy, with a password",
    };
    let plane = match (status.plane_url.as_str(), status.plane_pid) {
        ("", _) => "none".to_owned(),
        (url, Some(pid)) => format!("{url} (process {pid})"),
        (url, None) => format!("{url} (not running)"),
    };
    let delegation = match status.delegation {
        Delegation::Correct => "",
        Delegation::Missing => "; the site's DNS does not delegate to it",
        Delegation::Wrong => "; the site's DNS delegates to a wrong address",
    };
    let mut rows = vec![
        ("site", format!("{}, {} machines", status.site, status.backend)),
        ("way out", if status.partitioned { format!("{way_out}; cut off now") } else { way_out.to_owned() }),
        ("MAAS", format!("{}{delegation}", status.maas_url)),
        ("plane", plane),
    ];
    if !status.artifacts.versions.is_empty() {
        let versions = status.artifacts.versions.iter().map(|(name, version)| format!("{name} {version}"));
        rows.push(("installs", versions.collect::<Vec<_>>().join(", ")));
    }
    rows.push(("ssh key", status.files.ssh_public_key.display().to_string()));
    rows.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

/// One line a machine.
pub(crate) fn machines(machines: &[MachineStatus]) -> String {
    let header = ["MACHINE", "ID", "STATUS", "POWER", "UP", "ADDRESS", "MEMORY", "CPU", "FOR"].map(str::to_owned);
    let rows = machines.iter().map(|machine| {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let fault = machine.fault.and_then(|fault| serde_json::to_value(fault).ok());
        let fault = fault.as_ref().and_then(|fault| fault.as_str()).map(|fault| format!(" ({fault})"));
        [
            machine.hostname.clone(),
            machine.system_id.clone(),
            format!("{}{}", machine.status, fault.unwrap_or_default()),
            machine.power.clone(),
            or_dash(machine.booted_seconds.map(time)),
            or_dash(machine.address.map(|address| address.to_string())),
            or_dash(machine.rss_mib.map(|mib| format!("{mib} MiB"))),
            or_dash(machine.host_cpu.map(|cpu| cpu.to_string())),
            or_dash((!machine.agent_name.is_empty()).then(|| machine.agent_name.clone())),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let widths: Vec<usize> =
        (0..9).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default()).collect();
    let line = |row: &[String; 9]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Seconds as people say them.
fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let machine = |hostname: &str, seconds| MachineStatus {
            hostname: hostname.into(),
            system_id: "abc123".into(),
            status: "Ready".into(),
            power: "off".into(),
            booted_seconds: seconds,
            ..MachineStatus::default()
        };
        let table = machines(&[machine("a", None), machine("amber-heron", Some(75))]);
        let lines: Vec<_> = table.lines().collect();
        let at = lines[0].find("STATUS").unwrap();
        assert!(lines[1..].iter().all(|line| line[at..].starts_with("Ready")), "{table}");
        assert!(lines[2].contains("1m15s"), "{table}");
    }
}
