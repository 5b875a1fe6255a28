//! The proof at the end: MAAS itself is asked whether everything was given back.

use super::Controls;
use super::environment::Environment;
use super::outcome::Report;
use crate::exit::{Failure, Result};
use ferrogate_installer::prompt::Tone;
use tokio::time::Instant;

/// Fails unless MAAS shows every machine Ready, and no address or name of ours, and nothing tried to leave this computer.
pub(super) fn nothing_is_left(environment: &Environment, controls: &Controls, report: &mut Report) -> Result<()> {
    let start = Instant::now();
    controls.screen.begin("nothing is left");
    let maas = environment.lab.maas();
    let machines = maas.machines();
    report.maas_calls = maas.calls().len();
    report.machines_taken = machines.iter().map(|machine| u64::from(machine.allocations)).sum();
    report.machines_released = machines.iter().map(|machine| u64::from(machine.releases)).sum();
    report.machines_not_ready = machines
        .iter()
        .filter(|machine| machine.status != "Ready")
        .map(|machine| format!("{} is {}", machine.hostname, machine.status))
        .collect();
    report.addresses_left = maas.ip_addresses().len();
    report.records_left = maas.dns_records().len();
    report.dialled_outside = environment.lab.network().outside().iter().map(ToString::to_string).collect();
    report.phase("verify", start.elapsed());
    let mut left = report.machines_not_ready.clone();
    if report.addresses_left > 0 {
        left.push(format!("{} addresses", report.addresses_left));
    }
    if report.records_left > 0 {
        left.push(format!("{} DNS records", report.records_left));
    }
    if report.machines_taken != report.machines_released {
        left.push(format!("{} machines taken, {} given back", report.machines_taken, report.machines_released));
    }
    if !report.dialled_outside.is_empty() {
        left.push(format!("attempts to reach {} outside this computer", report.dialled_outside.join(", ")));
    }
    if left.is_empty() {
        let word = format!(
            "MAAS shows {} machines Ready; {} were taken and given back; no address, no name left; {} MAAS calls",
            machines.len(),
            report.machines_taken,
            report.maas_calls
        );
        controls.screen.end(Tone::Good, start.elapsed(), &word);
        Ok(())
    } else {
        controls.screen.end(Tone::Bad, start.elapsed(), &left.join("; "));
        Err(Failure::failed(format!("left behind: {}", left.join("; "))))
    }
}
