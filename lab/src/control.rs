//! How programs talk to the daemon of a real site (`ferrogate-lab serve`): one line of JSON a request, one an answer,
//! over a socket that only its owner can open.

mod client;

pub use client::{Client, ControlError};

use ferrogate_model::Fault;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

/// Longest line of a request or an answer in bytes; a console's log is the longest.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// What the daemon can be asked. Machines are named by host name or system id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// What the site is like: [`Status`].
    Status,
    /// Takes a machine's power away at once; MAAS learns of it as it would of a real one: not at all.
    Cut {
        /// Which.
        machine: String,
    },
    /// Switches a machine on as it is: its disk stays.
    PowerOn {
        /// Which.
        machine: String,
    },
    /// Switches a machine off the orderly way.
    PowerOff {
        /// Which.
        machine: String,
    },
    /// What a machine wrote to its console since it was last installed: [`Console`].
    Console {
        /// Which.
        machine: String,
    },
    /// Drops everything between site and plane silently, existing connections too.
    Partition {
        /// Heals by itself after this time; `None`: stays until [`Request::Heal`].
        seconds: Option<u64>,
    },
    /// Ends a partition.
    Heal,
    /// Makes a machine go wrong from its next start on, or right again.
    Fault {
        /// Which.
        machine: String,
        /// How; `None` heals it.
        fault: Option<MachineFault>,
    },
    /// Makes the site's own DNS delegate MAAS's domain well, badly or not at all.
    Delegate {
        /// How.
        delegation: Delegation,
    },
    /// What is there beyond what the site began with: [`Leftovers`].
    Leftovers,
    /// Starts the plane again after [`Request::PlaneKill`].
    PlaneStart,
    /// Kills the plane's process (SIGKILL).
    PlaneKill,
    /// Ends the site.
    Shutdown,
}

/// The only way out of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayOut {
    /// A router that masks addresses and lets nothing new in.
    #[default]
    Nat,
    /// No router, only an HTTP proxy with a password.
    Proxy,
}

/// What the site's own DNS does with MAAS's domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegation {
    /// Asks MAAS's DNS.
    #[default]
    Correct,
    /// Knows nothing of the domain.
    Missing,
    /// Asks an address where no DNS answers.
    Wrong,
}

/// How a machine goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineFault {
    /// The switch is thrown and nothing happens.
    NeverBoots,
    /// It is installed and never tells MAAS, which gives up in the end.
    NeverReports,
    /// Its installation fails.
    FailsToDeploy,
}

/// What the site is like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub site: String,
    /// How it is connected.
    pub way_out: WayOut,
    /// What the site's DNS does with MAAS's domain.
    #[serde(default)]
    pub delegation: Delegation,
    /// Which machines: `uml`, `kvm`, `emulated` or `simulated`.
    #[serde(default)]
    pub backend: String,
    /// The plane's address.
    pub plane_url: String,
    /// SHA-256 of the plane's CA (`sha256:…`), for `--fingerprint`.
    #[serde(default)]
    pub plane_fingerprint: String,
    /// Whether its process runs.
    pub plane_running: bool,
    /// The plane's process.
    #[serde(default)]
    pub plane_pid: Option<u32>,
    /// MAAS's endpoint, as seen in the site.
    pub maas_url: String,
    /// Whether site and plane are cut off from each other.
    pub partitioned: bool,
    /// What is installed.
    pub artifacts: Artifacts,
    /// The machines, in the order of the seed.
    pub machines: Vec<MachineStatus>,
    /// The network namespaces.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Files that programs and people need.
    #[serde(default)]
    pub files: Files,
}

/// What is installed on the site's machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// Names and versions, such as `kubernetes` and `v1.36.4`.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
}

/// The site's network namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// MAAS and the machines; the installer runs here.
    pub site: String,
    /// The router, firewall, DHCP and DNS.
    pub edge: String,
    /// The plane; people's command line and kubectl run here.
    pub plane: String,
}

/// Files that programs and people need. All are readable by their owner alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The `ferrogate` program.
    pub ferrogate: PathBuf,
    /// Saved sign-in for `ferrogate` (`FERROGATE_CONFIG`).
    pub cli_config: PathBuf,
    /// The plane's CA, PEM.
    pub plane_ca: PathBuf,
    /// Where the plane logs.
    pub plane_log: PathBuf,
    /// API key of MAAS's administrator.
    pub maas_api_key: PathBuf,
    /// Key pair for `ssh` to machines: the private half.
    pub ssh_key: PathBuf,
    /// The public half, for `ferrogate install` and `ferrogate create cluster`.
    pub ssh_public_key: PathBuf,
    /// Address of the proxy with user name and password (`http://user:password@10.77.0.1:3128`), where it is the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<PathBuf>,
    /// Folder with one folder a machine, each with `console.log`.
    pub machines: PathBuf,
}

/// What one machine is like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineStatus {
    /// MAAS's id.
    pub system_id: String,
    /// Host name without domain.
    pub hostname: String,
    /// State in MAAS's words, such as `Deployed`.
    pub status: String,
    /// Whether it really runs: `on` or `off`.
    pub power: String,
    /// Its first address.
    pub address: Option<IpAddr>,
    /// Who has it in MAAS.
    pub owner: Option<String>,
    /// The mark it was allocated with; empty where there is none.
    #[serde(default)]
    pub agent_name: String,
    /// Its process on this computer.
    pub pid: Option<u32>,
    /// The host CPU it is tied to.
    pub host_cpu: Option<u32>,
    /// Memory it takes on this computer, in MiB.
    pub rss_mib: Option<u64>,
    /// Seconds since it was switched on.
    pub booted_seconds: Option<u64>,
    /// How it was told to go wrong.
    #[serde(default)]
    pub fault: Option<MachineFault>,
    /// How often it was allocated.
    #[serde(default)]
    pub allocations: u32,
    /// How often a deployment began.
    #[serde(default)]
    pub deploys: u32,
}

/// A machine's console log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The text; of very long ones the end.
    pub text: String,
}

/// What is there beyond what the site began with. All empty where everything was given back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Host names with their state, such as `amber-heron (Deployed)`.
    pub machines_not_ready: Vec<String>,
    /// Host names of machines that run.
    pub machines_on: Vec<String>,
    /// Host names of machines whose disk holds something.
    pub disks_with_data: Vec<String>,
    /// Addresses in use.
    pub addresses: Vec<String>,
    /// Names in MAAS's DNS.
    pub dns_records: Vec<String>,
}

impl Leftovers {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer to a request that only does something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Always true.
    pub done: bool,
}

/// Why the daemon refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Refusal {
    /// What happened, to what.
    pub what: String,
    /// Who has to act.
    pub fault: Fault,
    /// What to do next.
    pub next: String,
}

/// A refusal as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The refusal.
    pub error: Refusal,
}

impl Status {
    /// A machine, by host name or system id.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&MachineStatus> {
        self.machines.iter().find(|machine| machine.hostname == name || machine.system_id == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_agreed() {
        let text = |request: &Request| serde_json::to_string(request).unwrap();
        assert_eq!(text(&Request::Status), r#"{"op":"status"}"#);
        assert_eq!(text(&Request::Partition { seconds: None }), r#"{"op":"partition","seconds":null}"#);
        let fault = Request::Fault { machine: "amber-heron".into(), fault: Some(MachineFault::NeverBoots) };
        assert_eq!(text(&fault), r#"{"op":"fault","machine":"amber-heron","fault":"never_boots"}"#);
        let read: Request = serde_json::from_str(r#"{"op":"power_on","machine":"a"}"#).unwrap();
        assert_eq!(read, Request::PowerOn { machine: "a".into() });
    }

    #[test]
    fn a_refusal_says_what_whose_fault_and_what_next() {
        let refused = Refused {
            error: Refusal { what: "no machine `x`".into(), fault: Fault::Caller, next: "see `status`".into() },
        };
        let text = serde_json::to_string(&refused).unwrap();
        assert_eq!(text, r#"{"error":{"what":"no machine `x`","fault":"caller","next":"see `status`"}}"#);
    }
}
