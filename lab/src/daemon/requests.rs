//! What each request does.

use super::{Site, plane};
use crate::{
    backend::{Backend, Power},
    control::{Artifacts, Console, Done, Leftovers, MachineFault, MachineStatus, Refusal, Request, Status},
    host::HostError,
    maas::{MachineFault as MaasFault, MachineSnapshot},
};
use ferrogate_model::{Explain, Fault, fault::chain};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Most of a console's log that is handed out, in bytes: its end.
const CONSOLE: usize = 4 * 1024 * 1024;

type Answer<T = Value> = Result<T, Refusal>;

fn json(value: impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| Refusal {
        what: format!("the answer could not be written: {error}"),
        fault: Fault::Ferrogate,
        next: "report it".into(),
    })
}

fn done() -> Answer {
    json(Done { done: true })
}

fn refused(error: &HostError) -> Refusal {
    let next = error.hint().unwrap_or_else(|| "look into the daemon's log".into());
    Refusal { what: chain(error), fault: error.fault(), next }
}

fn refuse(what: impl Into<String>, next: &str) -> Refusal {
    Refusal { what: what.into(), fault: Fault::Caller, next: next.into() }
}

impl Site {
    pub(super) async fn answer(&self, request: Request) -> Answer {
        match request {
            Request::Status => json(self.status().await),
            Request::Cut { machine } => {
                let machine = self.find(&machine)?;
                tracing::info!(machine = machine.hostname, "power cut");
                self.machines.power_cut(&machine.system_id).await;
                done()
            }
            Request::PowerOn { machine } => {
                let machine = self.find(&machine)?;
                if !self.machines.facts(&machine.system_id).disk_has_data {
                    let what = format!("{} has an empty disk: there is nothing to boot", machine.hostname);
                    return Err(refuse(what, "deploy it through MAAS, such as by installing a gateway"));
                }
                tracing::info!(machine = machine.hostname, "power on");
                self.maas.press_power_button(&machine.system_id).await;
                done()
            }
            Request::PowerOff { machine } => {
                let machine = self.find(&machine)?;
                self.machines.power_off(&machine.system_id).await;
                done()
            }
            Request::Console { machine } => {
                let machine = self.find(&machine)?;
                let mut text = self.machines.console_log(&machine.system_id).await;
                let mut from = text.len().saturating_sub(CONSOLE);
                while !text.is_char_boundary(from) {
                    from += 1;
                }
                json(Console { text: text.split_off(from) })
            }
            Request::Partition { seconds } => {
                tracing::info!(seconds, "partition");
                let time = seconds.map(Duration::from_secs);
                self.partition.begin(&self.namespaces.edge, time).await.map_err(|error| refused(&error))?;
                done()
            }
            Request::Heal => {
                self.partition.end(&self.namespaces.edge).await.map_err(|error| refused(&error))?;
                done()
            }
            Request::Fault { machine, fault } => {
                self.set_fault(&self.find(&machine)?, fault);
                done()
            }
            Request::Delegate { delegation } => {
                let mut edge = self.edge.lock().await;
                let edge = edge.as_mut().ok_or_else(|| refuse("the site is ending", "start it again"))?;
                edge.dnsmasq.delegate(delegation).await.map_err(|error| refused(&error))?;
                done()
            }
            Request::Leftovers => json(self.leftovers().await),
            Request::PlaneStart => self.start_plane().await,
            Request::PlaneKill => {
                let mut plane = self.plane.lock().await;
                let plane = plane.as_mut().ok_or_else(no_plane)?;
                tracing::info!("the plane is killed");
                plane.kill().await;
                done()
            }
            Request::Shutdown => done(),
        }
    }

    fn find(&self, name: &str) -> Answer<MachineSnapshot> {
        self.maas.machine(name).ok_or_else(|| {
            let known: Vec<_> = self.maas.machines().into_iter().map(|machine| machine.hostname).collect();
            refuse(format!("there is no machine `{name}`"), &format!("name one of {}", known.join(", ")))
        })
    }

    async fn start_plane(&self) -> Answer {
        let mut plane = self.plane.lock().await;
        let plane = plane.as_mut().ok_or_else(no_plane)?;
        if plane.is_running() {
            return Err(refuse("the plane runs", "kill it first, where it is to start anew"));
        }
        plane.start().await.map_err(|error| refused(&error))?;
        done()
    }

    fn set_fault(&self, machine: &MachineSnapshot, fault: Option<MachineFault>) {
        let id = &machine.system_id;
        self.machines.set_dead(id, fault == Some(MachineFault::NeverBoots));
        let faults = self.maas.faults();
        match fault {
            Some(MachineFault::NeverReports) => faults.machine(id.0.clone(), MaasFault::NeverReports),
            Some(MachineFault::FailsToDeploy) => faults.machine(id.0.clone(), MaasFault::FailsToDeploy),
            Some(MachineFault::NeverBoots) | None => faults.heal(&id.0),
        }
    }

    fn fault(&self, machine: &MachineSnapshot) -> Option<MachineFault> {
        if self.machines.is_dead(&machine.system_id) {
            return Some(MachineFault::NeverBoots);
        }
        self.maas.faults().of_machine(&machine.hostname, &machine.system_id.0).map(|fault| match fault {
            MaasFault::NeverReports => MachineFault::NeverReports,
            MaasFault::FailsToDeploy => MachineFault::FailsToDeploy,
        })
    }

    async fn status(&self) -> Status {
        let mut machines = Vec::new();
        for machine in self.maas.machines() {
            let facts = self.machines.facts(&machine.system_id);
            machines.push(MachineStatus {
                power: self.machines.power_state(&machine.system_id).await.word().to_owned(),
                fault: self.fault(&machine),
                system_id: machine.system_id.0,
                hostname: machine.hostname,
                status: machine.status.to_owned(),
                address: machine.addresses.first().copied(),
                owner: machine.owner,
                agent_name: machine.agent_name,
                pid: facts.pid,
                host_cpu: facts.host_cpu,
                rss_mib: facts.rss_mib,
                booted_seconds: facts.booted_seconds,
                allocations: machine.allocations,
                deploys: machine.deploys,
            });
        }
        let (plane_url, plane_fingerprint, plane_pid) = match self.plane.lock().await.as_mut() {
            Some(plane) => (plane::url(), plane.fingerprint().to_owned(), plane.pid()),
            None => Default::default(),
        };
        let delegation = self.edge.lock().await.as_ref().map(|edge| edge.dnsmasq.delegation());
        let versions = self.artifacts.as_ref().map(|artifacts| artifacts.versions.clone()).unwrap_or_default();
        Status {
            site: self.options.site.clone(),
            way_out: self.options.way_out,
            delegation: delegation.unwrap_or_default(),
            backend: self.options.backend.word().to_owned(),
            plane_running: plane_pid.is_some(),
            plane_url,
            plane_fingerprint,
            plane_pid,
            maas_url: self.maas.url(),
            partitioned: self.partition.is_on(),
            artifacts: Artifacts { versions },
            machines,
            namespaces: self.namespaces.clone(),
            files: self.files(),
        }
    }

    /// What is there beyond what the site began with.
    async fn leftovers(&self) -> Leftovers {
        let mut left = Leftovers::default();
        for machine in self.maas.machines() {
            if machine.status != "Ready" {
                left.machines_not_ready.push(format!("{} ({})", machine.hostname, machine.status));
            }
            if self.machines.power_state(&machine.system_id).await == Power::On {
                left.machines_on.push(machine.hostname.clone());
            }
            if self.machines.facts(&machine.system_id).disk_has_data {
                left.disks_with_data.push(machine.hostname);
            }
        }
        let addresses = self.maas.ip_addresses().into_iter().map(|address| address.ip.to_string());
        left.addresses = addresses.filter(|address| !self.first_addresses.contains(address)).collect();
        let names = self.maas.dns_records().into_iter().map(|record| record.fqdn);
        left.dns_records = names.filter(|name| !self.first_names.contains(name)).collect();
        left
    }
}

fn no_plane() -> Refusal {
    refuse("this site was started without a plane", "start it with the `ferrogate` program")
}
