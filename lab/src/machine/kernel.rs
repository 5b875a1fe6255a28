//! What the kernel is told at boot and by two units of the stock image: modules and settings.

use super::Machine;

/// Kernel settings, as a file of each.
const PROC: &str = "/proc/sys";
const SETTINGS: &str = "/etc/sysctl.d";

/// What is lost when a machine is switched off is gone, and what its files say is set again.
pub(super) fn boot(machine: &Machine) {
    for folder in ["/proc", "/run"] {
        if let Err(error) = super::empty(machine, folder) {
            tracing::warn!(folder, %error, "a simulated machine keeps what a boot takes");
        }
    }
    if let Err(why) = settings(machine) {
        machine.console.say("systemd-sysctl", why);
    }
}

/// What a unit of the stock image does each time it is started; nothing for most.
///
/// # Errors
/// One line, for the console and for who started it.
pub(super) fn stock_unit(machine: &Machine, name: &str) -> Result<(), String> {
    match name {
        "systemd-sysctl.service" => settings(machine),
        "systemd-modules-load.service" => modules(machine),
        _ => Ok(()),
    }
}

/// One setting.
pub(crate) fn setting(machine: &Machine, name: &str) -> Option<String> {
    let path = format!("{PROC}/{}", name.replace('.', "/"));
    machine.disk.read_text(&path).ok().map(|text| text.trim().to_owned())
}

fn settings(machine: &Machine) -> Result<(), String> {
    for file in machine.disk.list(SETTINGS).iter().filter(|name| name.ends_with(".conf")) {
        let path = format!("{SETTINGS}/{file}");
        let text = machine.disk.read_text(&path).map_err(|error| format!("{path}: {error}"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
            let (name, value) =
                line.split_once('=').ok_or_else(|| format!("{path}: Line is not an assignment: {line}"))?;
            let name = name.trim().trim_start_matches('-').replace('.', "/");
            let write = machine.disk.write(&format!("{PROC}/{name}"), value.trim().as_bytes(), 0o644);
            write.map_err(|error| format!("{PROC}/{name}: {error}"))?;
        }
    }
    Ok(())
}

fn modules(machine: &Machine) -> Result<(), String> {
    const FOLDER: &str = "/etc/modules-load.d";
    for file in machine.disk.list(FOLDER).iter().filter(|name| name.ends_with(".conf")) {
        let path = format!("{FOLDER}/{file}");
        let text = machine.disk.read_text(&path).map_err(|error| format!("{path}: {error}"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        for module in lines {
            if module.contains(char::is_whitespace) {
                return Err(format!("{path}: Failed to find module '{module}'"));
            }
            machine.console.say("kernel", format!("module {module} is loaded"));
        }
    }
    Ok(())
}
